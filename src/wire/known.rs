//! What is known of schemas by their ids: a bounded memory, in which an unknown id is forgotten soon.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::plan::{Plan, plan};
use super::schema::parse;
use crate::engine::schema::SchemaName;

/// Ids remembered; more than any partnership has, fewer than a sender of nonsense could name.
pub const KNOWN_MAX: usize = 1_000;
/// An id that was not known may be by now: a registry has copies.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);

/// How records by one schema are read.
#[derive(Debug)]
pub enum Way {
    /// Byte for byte as ours.
    Same,
    By(Plan),
    /// Not at all, and why.
    None(String),
}

impl Way {
    /// `text`: the schema, if the registry has one of this id.
    pub fn of(id: u32, name: SchemaName, text: Option<&str>) -> Self {
        let Some(text) = text else {
            return Way::None(format!("the schema registry has no schema with id {id}: register it before you send"));
        };
        let ours = parse(name.text());
        let planned = parse(text).and_then(|theirs| plan(&theirs, &ours?).map_err(|error| error.to_string()));
        match planned {
            Ok(plan) if plan.is_identity => Way::Same,
            Ok(plan) => Way::By(plan),
            Err(problem) => {
                let stem = name.file_stem();
                Way::None(format!("the schema with id {id} cannot be read as schemas/{stem}.avsc: {problem}"))
            }
        }
    }
}

#[derive(Default)]
pub struct Known {
    ways: HashMap<(u32, SchemaName), (Arc<Way>, Instant)>,
    oldest: VecDeque<(u32, SchemaName)>,
}

impl Known {
    pub fn get(&self, id: u32, name: SchemaName) -> Option<Arc<Way>> {
        let (way, since) = self.ways.get(&(id, name))?;
        let stale = matches!(**way, Way::None(_)) && since.elapsed() >= UNKNOWN_FOR;
        (!stale).then(|| way.clone())
    }

    pub fn put(&mut self, id: u32, name: SchemaName, way: Way) -> Arc<Way> {
        let way = Arc::new(way);
        if self.ways.insert((id, name), (way.clone(), Instant::now())).is_none() {
            self.oldest.push_back((id, name));
        }
        while self.oldest.len() > KNOWN_MAX {
            if let Some(oldest) = self.oldest.pop_front() {
                self.ways.remove(&oldest);
            }
        }
        way
    }

    pub fn len(&self) -> usize {
        self.ways.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }
}
