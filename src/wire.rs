//! What lies between our records and the log when a schema registry is configured: Confluent's framing (a zero byte, the
//! schema's id, the record) outside, Avro single-object encoding inside. The rest of the house knows the latter alone.
//!
//! Framed is what others read or write: referrals, outcomes, tasks, feedback, decisions, quarantine. What only the router
//! reads (inbox, history, its gateway's topic) needs no registry to be read again. On the way in the first bytes tell, and
//! both are taken. A record by another schema than ours is put into ours by Avro's resolution, or refused with the reason.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::broker::BrokerError;
use crate::config;
use crate::engine::schema::{PublishedSchema, SchemaName};
use known::Known;
use registry::{Registry, RegistryError};

pub mod framed;
pub mod known;
pub mod plan;
pub mod registry;
pub mod schema;

/// Zero and the schema's id.
const FRAME_BYTES: usize = 5;
/// C3 01 and the schema's fingerprint.
const HEADER_BYTES: usize = 10;
/// Pauses between questions to a registry that does not answer.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A registry that has not answered counts as unreachable for so long after it was last asked.
const TROUBLE_FOR: Duration = Duration::from_secs(12);

/// Which schema a topic's records have, if others share them.
pub type SchemaOf = fn(&str) -> Option<SchemaName>;

/// Frames and unframes. Shared by every lane.
pub struct Wire {
    registry: Registry,
    schema_of: SchemaOf,
    /// By topic, the id that what we write there bears.
    ids: RwLock<HashMap<Arc<str>, u32>>,
    known: Mutex<Known>,
    trouble: Mutex<Option<Trouble>>,
}

struct Trouble {
    problem: String,
    asked_at: Instant,
    pause: Duration,
}

/// What a subject needs on the registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SubjectChange {
    /// Its schema, ours, is not there yet.
    Register { subject: String },
    /// New versions are held to something else.
    HoldTo { subject: String, present: Option<String>, wanted: &'static str },
}

impl Wire {
    /// # Errors
    /// What is wrong with a file that the settings name.
    pub fn new(settings: &config::registry::Registry, schema_of: SchemaOf) -> Result<Self, BrokerError> {
        Ok(Self {
            registry: Registry::new(settings).map_err(BrokerError::Mismatch)?,
            schema_of,
            ids: RwLock::default(),
            known: Mutex::default(),
            trouble: Mutex::default(),
        })
    }

    /// What the topics' subjects need.
    pub fn plan<'t>(&self, topics: impl Iterator<Item = &'t str>) -> Result<Vec<SubjectChange>, BrokerError> {
        let mut changes = Vec::new();
        for (topic, name) in topics.filter_map(|topic| Some((topic, (self.schema_of)(topic)?))) {
            let subject = subject(topic);
            if self.heard(self.registry.id(&subject, name.text()))?.is_none() {
                changes.push(SubjectChange::Register { subject: subject.clone() });
            }
            let (present, wanted) = (self.heard(self.registry.compatibility(&subject))?, held_to(name));
            if present.as_deref() != Some(wanted) {
                changes.push(SubjectChange::HoldTo { subject, present, wanted });
            }
        }
        Ok(changes)
    }

    /// Makes the subjects so.
    pub fn apply(&self, changes: &[SubjectChange]) -> Result<(), BrokerError> {
        for change in changes {
            match change {
                SubjectChange::Register { subject } => {
                    let topic = subject.strip_suffix("-value").unwrap_or(subject);
                    if let Some(name) = (self.schema_of)(topic) {
                        self.heard(self.registry.register(subject, name.text()))?;
                    }
                }
                SubjectChange::HoldTo { subject, wanted, .. } => {
                    self.heard(self.registry.hold_to(subject, wanted))?;
                }
            }
        }
        Ok(())
    }

    /// Finds out, or registers, the id of each topic's schema.
    pub fn learn<'t>(&self, topics: impl Iterator<Item = &'t str>) -> Result<(), BrokerError> {
        for topic in topics {
            let known = self.ids.read().unwrap_or_else(PoisonError::into_inner).contains_key(topic);
            if let Some(name) = (self.schema_of)(topic).filter(|_| !known) {
                self.learn_one(topic, name)?;
            }
        }
        Ok(())
    }

    fn learn_one(&self, topic: &str, name: SchemaName) -> Result<u32, BrokerError> {
        let subject = subject(topic);
        let id = match self.heard(self.registry.id(&subject, name.text()))? {
            Some(id) => id,
            None => self.heard(self.registry.register(&subject, name.text()))?,
        };
        self.ids.write().unwrap_or_else(PoisonError::into_inner).insert(topic.into(), id);
        Ok(id)
    }

    /// Frames what we write to a topic that others read.
    pub fn frame(&self, topic: &str, value: &mut Vec<u8>) -> Result<(), BrokerError> {
        let Some(name) = (self.schema_of)(topic) else { return Ok(()) };
        // What is not a record of ours goes as it is.
        if value.len() < HEADER_BYTES || own_header(name)?[..] != value[..HEADER_BYTES] {
            return Ok(());
        }
        let known = self.ids.read().unwrap_or_else(PoisonError::into_inner).get(topic).copied();
        let id = match known {
            Some(id) => id,
            None => self.learn_one(topic, name)?,
        };
        let frame = std::iter::once(0).chain(id.to_be_bytes());
        value.splice(..HEADER_BYTES, frame);
        Ok(())
    }

    /// Takes the frame off, and puts the record into our schema. Inner Err: why it cannot be read, ever.
    pub fn unframe(&self, topic: &str, value: &mut Vec<u8>) -> Result<Result<(), String>, BrokerError> {
        let Some(name) = (self.schema_of)(topic).filter(|_| value.first() == Some(&0)) else { return Ok(Ok(())) };
        let Some(id) = value.get(1..FRAME_BYTES).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes) else {
            return Ok(Err(
                "the record ends within its frame: send a zero byte, the schema's id, the record".to_owned()
            ));
        };
        let known = self.known().get(id, name);
        let way = match known {
            Some(way) => way,
            None => self.find(id, name)?,
        };
        let read = match way.as_ref() {
            known::Way::Same => {
                value.splice(..FRAME_BYTES, own_header(name)?);
                return Ok(Ok(()));
            }
            known::Way::By(plan) => {
                let mut translated = Vec::with_capacity(value.len() + HEADER_BYTES);
                translated.extend(own_header(name)?);
                plan.run(&value[FRAME_BYTES..], &mut translated).map(|()| translated)
            }
            known::Way::None(reason) => return Ok(Err(reason.clone())),
        };
        Ok(read.map(|translated| *value = translated).map_err(|error| error.to_string()))
    }

    fn find(&self, id: u32, name: SchemaName) -> Result<Arc<known::Way>, BrokerError> {
        if let Some(problem) = self.trouble().filter(|_| self.rests()) {
            return Err(BrokerError::Unreachable(problem));
        }
        let way = match self.heard(self.registry.schema(id).map(Some).or_else(unknown)) {
            Ok(text) => known::Way::of(id, name, text.as_deref()),
            Err(BrokerError::Mismatch(reason)) => known::Way::None(format!("the schema with id {id} {reason}")),
            Err(other) => return Err(other),
        };
        Ok(self.known().put(id, name, way))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether the registry answers.
    fn heard<T>(&self, answer: Result<T, RegistryError>) -> Result<T, BrokerError> {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Err(RegistryError::Unavailable(_)) => {}
            Ok(_) | Err(RegistryError::Unknown | RegistryError::Refused(_)) => *trouble = None,
        }
        answer.map_err(|error| match error {
            RegistryError::Unavailable(_) => {
                let problem = error.to_string();
                let pause = trouble.as_ref().map_or(PAUSE_MIN, |trouble| (trouble.pause * 2).min(PAUSE_MAX));
                *trouble = Some(Trouble { problem: problem.clone(), asked_at: Instant::now(), pause });
                BrokerError::Unreachable(problem)
            }
            RegistryError::Unknown | RegistryError::Refused(_) => BrokerError::Mismatch(error.to_string()),
        })
    }

    /// Why the registry cannot be asked now, if it has not answered lately.
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble
            .as_ref()
            .filter(|trouble| trouble.asked_at.elapsed() < TROUBLE_FOR)
            .map(|trouble| trouble.problem.clone())
    }

    /// Whether it is too soon to ask again.
    fn rests(&self) -> bool {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().is_some_and(|trouble| trouble.asked_at.elapsed() < trouble.pause)
    }
}

fn unknown(error: RegistryError) -> Result<Option<String>, RegistryError> {
    match error {
        RegistryError::Unknown => Ok(None),
        RegistryError::Unavailable(_) | RegistryError::Refused(_) => Err(error),
    }
}

/// As Confluent's clients name it.
fn subject(topic: &str) -> String {
    format!("{topic}-value")
}

/// What partners send we must go on reading; what agencies and auditors read must be readable both ways.
fn held_to(name: SchemaName) -> &'static str {
    match name {
        SchemaName::ReferralEvent | SchemaName::Outcome => "BACKWARD",
        SchemaName::Inbox
        | SchemaName::Task
        | SchemaName::Decision
        | SchemaName::History
        | SchemaName::Feedback
        | SchemaName::Quarantine => "FULL",
    }
}

/// What each of our records of this schema begins with inside the house.
fn own_header(name: SchemaName) -> Result<[u8; HEADER_BYTES], BrokerError> {
    let fault = |error: crate::engine::schema::SchemaError| BrokerError::Mismatch(error.to_string());
    let mut header = [0xC3, 0x01, 0, 0, 0, 0, 0, 0, 0, 0];
    let own = name.published().and_then(PublishedSchema::own).map_err(fault)?;
    header[2..].copy_from_slice(own.rabin_fingerprint());
    Ok(header)
}
