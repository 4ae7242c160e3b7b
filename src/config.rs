//! Configuration: read raw, validated in one pass, every fault at once.
//!
//! `Config::load` reads a TOML file, the key files and the tokens file it names. `first_start::first_start` writes them
//! all for a router that has none.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::engine::calendar::start_of;
use crate::engine::intake;
use crate::engine::model::scalar::Timestamp;
use crate::telemetry::logging::{LogFormat, LogLevel};
use broker::Broker;
use fault::{ConfigFault, ConfigFaults};
use read::{Reading, Table};
use secrets::{SecretKeys, check_private, read_key};
use tokens::{Caller, TokenBook};

pub mod broker;
pub mod default_rules;
pub mod fault;
pub mod first_start;
mod read;
pub mod registry;
pub mod secrets;
pub mod tls;
pub mod tokens;

#[cfg(test)]
mod tests;

/// The variable that holds the subjects' HMAC key, when no file does.
pub const SUBJECT_KEY_VARIABLE: &str = "PATHWAY_SUBJECT_KEY";
/// The variable that holds the key that seals `reply_to`, when no file does.
pub const SEALING_KEY_VARIABLE: &str = "PATHWAY_SEALING_KEY";

/// 1 MiB: what one request may bring at most, whatever the settings say.
pub const BODY_BYTES_MAX: u64 = 1 << 20;

/// A validated configuration. Paths are absolute or relative to the working folder.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    pub broker: Broker,
    /// Records shared with others are framed for it. None: Avro single-object encoding.
    pub registry: Option<registry::Registry>,
    pub lanes: Lanes,
    pub http: Http,
    pub front_door: FrontDoor,
    /// From when on histories are complete (go-live, or the start of what was imported). Decisions that look further back
    /// say so; None: they do not.
    pub history_complete_since: Option<Timestamp>,
    /// Other instances still run the previous release: histories and the inbox are written as it reads them.
    pub written_for_previous: bool,
    /// The rule book's folder.
    pub rules: PathBuf,
    pub partners: BTreeMap<String, Partner>,
    /// Agencies that read their tasks from Kafka themselves, each with its principal there.
    pub agency_principals: BTreeMap<String, String>,
    pub keys: SecretKeys,
    pub tokens: TokenBook,
    pub limits: Limits,
    pub retention: Retention,
    pub log: Log,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lanes {
    pub intake: usize,
    pub decide: usize,
    /// Partitions of `inbox` and `history`. Fixed once the broker's file exists.
    pub partitions: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Http {
    pub bind: SocketAddr,
    /// Always there when `bind` is not loopback.
    pub tls: Option<Tls>,
}

/// PEM files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Whom a sender rings when a child is in danger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrontDoor {
    pub name: String,
    pub telephone: String,
    pub out_of_hours: String,
}

/// A system that publishes events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partner {
    /// Its own name among the agencies of the rule book, if it is one.
    pub agency: Option<String>,
    /// Its units; None: any.
    pub units: Option<Vec<String>>,
    /// Its name on a Kafka cluster, if it writes to its topic itself.
    pub principal: Option<String>,
    /// Nothing may come from it for weeks, and nobody need ask why.
    pub seldom: bool,
}

impl Partner {
    pub fn has_unit(&self, unit: &str) -> bool {
        self.units.as_ref().is_none_or(|units| units.iter().any(|one| one == unit))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Requests waiting to be made durable; above it the gateway answers 429.
    pub queue_requests: usize,
    pub body_bytes: usize,
    /// Events in one batch.
    pub batch_events: usize,
    pub connections: usize,
    /// The longest a reader may ask to wait for tasks.
    pub long_poll: Duration,
    /// How long requests in flight may take at a stop.
    pub drain: Duration,
}

/// How long each topic is kept. `history` is compacted and has no days.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    pub referrals: Duration,
    pub outcomes: Duration,
    pub inbox: Duration,
    pub tasks: Duration,
    pub feedback: Duration,
    pub decisions: Duration,
    pub quarantine: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Log {
    pub format: LogFormat,
    pub level: LogLevel,
}

impl Config {
    /// Reads and checks the file, and the keys and tokens it names. Relative paths are relative to its folder.
    pub fn load(file: &Path) -> Result<Self, ConfigFaults> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            let remedy = match error.kind() {
                std::io::ErrorKind::NotFound => "name a configuration file, or start once without one to have it written",
                _ => "let the router's user read it: another start without it would make a second router, with keys of its own",
            };
            ConfigFaults::one(ConfigFault::of_file(file, format!("cannot be read: {error}"), remedy))
        })?;
        let mut reading = Reading::new(file, &text);
        // Whoever may write it may say whom a token speaks for, and which number is rung.
        reading.faults.extend(secrets::check_unchanged_by_others(file).err());
        let mut document = reading.parse();
        let folder = file.parent().unwrap_or(Path::new(""));
        let broker = broker::read(&mut reading, &mut document, folder);
        let registry = registry::read(&mut reading, &mut document, folder);
        if let (Some(_), Broker::Embedded { .. }) = (&registry, &broker) {
            let problem = "a schema registry is for Kafka: nobody but the router reads an embedded broker's records";
            reading.fault(&(0..0), problem, "remove [registry], or write kind = \"kafka\" in [broker]");
        }
        let lanes = read_lanes(&mut reading, &mut document);
        let http = read_http(&mut reading, &mut document, folder);
        let front_door = read_front_door(&mut reading, &mut document);
        let (history_complete_since, written_for_previous) = read_history(&mut reading, &mut document);
        // Looked into where it is needed: once a book is published, a router works without it.
        let (rules, _) = read_path(&mut reading, &mut document, "rules", "folder", folder, "rules");
        let partners = read_partners(&mut reading, &mut document);
        let agency_principals = read_agencies(&mut reading, &mut document);
        let keys = read_keys(&mut reading, &mut document, folder);
        let tokens = read_tokens(&mut reading, &mut document, folder, &partners);
        let limits = read_limits(&mut reading, &mut document);
        let retention = read_retention(&mut reading, &mut document);
        let log = read_log(&mut reading, &mut document);
        document.finish(&mut reading);
        match keys {
            Some(keys) if reading.faults.is_empty() => Ok(Self {
                file: file.to_owned(),
                broker,
                registry,
                lanes,
                http,
                front_door,
                history_complete_since,
                written_for_previous,
                rules,
                partners,
                agency_principals,
                keys,
                tokens,
                limits,
                retention,
                log,
            }),
            Some(_) | None => Err(ConfigFaults(reading.faults)),
        }
    }

    /// Faults that only the rule book shows: agencies it does not have, and tokens that need a unit.
    /// `books`: which were asked, as a person calls them. `has_many_units`: None when none of them has such an agency.
    pub fn check_agencies(
        &self,
        books: &str,
        has_many_units: impl Fn(&str) -> Option<bool>,
    ) -> Result<(), ConfigFaults> {
        let mut faults = Vec::new();
        for (name, partner) in &self.partners {
            if let Some(agency) = partner.agency.as_deref().filter(|agency| has_many_units(agency).is_none()) {
                let problem = format!("`partners.{name}.agency`: {books} has no agency `{agency}`");
                faults.push(ConfigFault::of_file(&self.file, problem, "name one of the rule book's agencies, or none"));
            }
        }
        for agency in self.agency_principals.keys() {
            let (problem, remedy) = match has_many_units(agency) {
                None => (format!("{books} has no such agency"), "name one of the rule book's agencies"),
                Some(true) => (
                    "it has many units, and who reads its topic would read all of theirs".to_owned(),
                    "remove it: its units read their tasks over HTTP, each with a token",
                ),
                Some(false) => continue,
            };
            faults.push(ConfigFault::of_file(&self.file, format!("`agencies.{agency}`: {problem}"), remedy));
        }
        for entry in self.tokens.entries() {
            let Caller::Agency { agency, unit } = &entry.caller else { continue };
            let (problem, remedy) = match (has_many_units(agency), unit) {
                (None, _) => (format!("{books} has no agency `{agency}`"), "name one of its agencies"),
                (Some(true), None) => (format!("`{agency}` has many units"), "write unit = \"…\": one token a unit"),
                (Some(false), Some(_)) => (format!("`{agency}` has no units"), "remove the unit"),
                (Some(_), _) => continue,
            };
            let problem = format!("token `{}`: {problem}", entry.name);
            faults.push(ConfigFault { line: entry.line, ..ConfigFault::of_file(&self.tokens_file(), problem, remedy) });
        }
        if faults.is_empty() { Ok(()) } else { Err(ConfigFaults(faults)) }
    }

    /// The partners as INTAKE knows them.
    pub fn intake_partners(&self) -> intake::Partners {
        let known = |partner: &Partner| intake::Partner {
            agency: partner.agency.clone(),
            units: partner.units.as_ref().map(|units| units.iter().cloned().collect()),
        };
        self.partners.iter().map(|(name, partner)| (name.clone(), known(partner))).collect()
    }

    fn tokens_file(&self) -> PathBuf {
        self.tokens.file().unwrap_or(&self.file).to_owned()
    }
}

/// A path setting of a section, with where it was written.
fn read_path(
    reading: &mut Reading<'_>,
    document: &mut Table<'_>,
    section: &'static str,
    key: &'static str,
    folder: &Path,
    default: &str,
) -> (PathBuf, Range<usize>) {
    let mut table = document.table(reading, section);
    let (path, span) = table.text(reading, key).unwrap_or_else(|| (default.to_owned(), table.span.clone()));
    table.finish(reading);
    (folder.join(path), span)
}

fn read_lanes(reading: &mut Reading<'_>, document: &mut Table<'_>) -> Lanes {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut table = document.table(reading, "lanes");
    let intake = size(table.whole(reading, "intake", 1..=64, 1));
    let partitions = table.whole(reading, "partitions", 1..=256, 8);
    let default = u64::try_from(cores).unwrap_or(1).clamp(1, partitions);
    let decide = size(table.whole(reading, "decide", 1..=partitions, default));
    table.finish(reading);
    Lanes { intake, decide, partitions: u32::try_from(partitions).unwrap_or(u32::MAX) }
}

fn read_http(reading: &mut Reading<'_>, document: &mut Table<'_>, folder: &Path) -> Http {
    let mut table = document.table(reading, "http");
    let span = table.span.clone();
    let (bind, bind_span) = table.text(reading, "bind").unwrap_or_else(|| ("127.0.0.1:8080".to_owned(), span.clone()));
    let certificate = table.text(reading, "tls_certificate_file");
    let key = table.text(reading, "tls_key_file");
    table.finish(reading);
    let bind: SocketAddr = bind.parse().unwrap_or_else(|_| {
        let problem = "`http.bind` must be an address and a port";
        reading.fault(&bind_span, problem, "write bind = \"127.0.0.1:8080\"");
        SocketAddr::from(([127, 0, 0, 1], 0))
    });
    let tls = match (certificate, key) {
        (Some((certificate, _)), Some((key, _))) => {
            let key = folder.join(key);
            reading.faults.extend(check_private(&key).err());
            Some(Tls { certificate: folder.join(certificate), key })
        }
        (None, None) => None,
        (Some((_, span)), None) | (None, Some((_, span))) => {
            reading.fault(&span, "TLS needs both files", "write tls_certificate_file and tls_key_file");
            None
        }
    };
    if tls.is_none() && !bind.ip().is_loopback() {
        reading.fault(
            &bind_span,
            "an address that others can reach needs TLS: children's data would travel in the clear",
            "write tls_certificate_file and tls_key_file, or bind to 127.0.0.1 behind a proxy that does TLS",
        );
    }
    Http { bind, tls }
}

fn read_history(reading: &mut Reading<'_>, document: &mut Table<'_>) -> (Option<Timestamp>, bool) {
    let mut table = document.table(reading, "history");
    let given = table.text(reading, "complete_since");
    let written_for_previous = table.word(reading, "written_for", ("this", false), &[("previous", true)]);
    table.finish(reading);
    let Some((date, span)) = given else { return (None, written_for_previous) };
    let since = date.parse::<jiff::civil::Date>().ok().map(start_of);
    if since.is_none() {
        let problem = "`history.complete_since` must be a date";
        reading.fault(&span, problem, "write complete_since = \"2026-09-01\"");
    }
    (since, written_for_previous)
}

fn read_front_door(reading: &mut Reading<'_>, document: &mut Table<'_>) -> FrontDoor {
    let mut table = document.table(reading, "front_door");
    let (name, _) = table.required_text(reading, "name");
    let (telephone, _) = table.required_text(reading, "telephone");
    let out_of_hours = table.text(reading, "out_of_hours").map_or_else(|| telephone.clone(), |(text, _)| text);
    table.finish(reading);
    FrontDoor { name, telephone, out_of_hours }
}

fn read_partners(reading: &mut Reading<'_>, document: &mut Table<'_>) -> BTreeMap<String, Partner> {
    let tables = document.table(reading, "partners").named_tables(reading);
    let mut partners = BTreeMap::new();
    for (name, mut table) in tables {
        if !is_name(&name) {
            let remedy = "use small letters, digits and hyphens: leighton-hospital";
            reading.fault(&table.span.clone(), format!("`{name}` cannot name a topic"), remedy);
        }
        let agency = table.text(reading, "agency").map(|(agency, _)| agency);
        let units = table.list_or_any(reading, "units");
        let principal = table.text(reading, "principal");
        let principal = principal.map(|(name, span)| broker::checked_principal(reading, name, &span));
        let seldom = table.word(reading, "sends", ("weekly", false), &[("seldom", true)]);
        table.finish(reading);
        partners.insert(name, Partner { agency, units, principal, seldom });
    }
    if partners.is_empty() {
        reading.fault(&(0..0), "there are no partners", "write [partners.NAME] with units = [\"…\"], one a system");
    }
    partners
}

/// Agencies that read from Kafka themselves.
fn read_agencies(reading: &mut Reading<'_>, document: &mut Table<'_>) -> BTreeMap<String, String> {
    let mut agencies = BTreeMap::new();
    for (name, mut table) in document.table(reading, "agencies").named_tables(reading) {
        let (principal, span) = table.required_text(reading, "principal");
        table.finish(reading);
        agencies.insert(name, broker::checked_principal(reading, principal, &span));
    }
    agencies
}

/// A name that can be part of a topic's name, on every broker.
fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn read_keys(reading: &mut Reading<'_>, document: &mut Table<'_>, folder: &Path) -> Option<SecretKeys> {
    let mut table = document.table(reading, "keys");
    let mut file = |reading: &mut Reading<'_>, key: &'static str, default: &str| {
        folder.join(table.text(reading, key).map_or_else(|| default.to_owned(), |(file, _)| file))
    };
    let subject_file = file(reading, "subject_file", "keys/subject.key");
    let sealing_file = file(reading, "sealing_file", "keys/sealing.key");
    table.finish(reading);
    let mut key = |variable, file: &Path| match read_key(variable, file) {
        Ok(key) => Some(key),
        Err(fault) => {
            reading.faults.push(fault);
            None
        }
    };
    let subject = key(SUBJECT_KEY_VARIABLE, &subject_file);
    let sealing = key(SEALING_KEY_VARIABLE, &sealing_file);
    Some(SecretKeys { subject: subject?, sealing: sealing? })
}

fn read_tokens(
    reading: &mut Reading<'_>,
    document: &mut Table<'_>,
    folder: &Path,
    partners: &BTreeMap<String, Partner>,
) -> TokenBook {
    let (file, _) = read_path(reading, document, "tokens", "file", folder, "tokens.toml");
    let book = match TokenBook::load(&file) {
        Ok(book) => book,
        Err(ConfigFaults(faults)) => {
            reading.faults.extend(faults);
            return TokenBook::default();
        }
    };
    for entry in book.entries() {
        let Caller::Partner { partner, unit } = &entry.caller else { continue };
        let problem = match partners.get(partner) {
            None => format!("token `{}`: there is no partner `{partner}`", entry.name),
            Some(known) if !known.has_unit(unit) => {
                format!("token `{}`: partner `{partner}` has no unit `{unit}`", entry.name)
            }
            Some(_) => continue,
        };
        let remedy = format!("add it under [partners] in {}, or correct the token", reading.file().display());
        reading.faults.push(ConfigFault { line: entry.line, ..ConfigFault::of_file(&file, problem, remedy) });
    }
    book
}

fn read_limits(reading: &mut Reading<'_>, document: &mut Table<'_>) -> Limits {
    let mut table = document.table(reading, "limits");
    let limits = Limits {
        queue_requests: size(table.whole(reading, "queue_requests", 1..=1_000_000, 10_000)),
        body_bytes: size(table.whole(reading, "body_bytes", 1_024..=BODY_BYTES_MAX, BODY_BYTES_MAX)),
        batch_events: size(table.whole(reading, "batch_events", 1..=10_000, 1_000)),
        connections: size(table.whole(reading, "connections", 1..=100_000, 1_024)),
        long_poll: Duration::from_secs(table.whole(reading, "long_poll_seconds", 1..=300, 30)),
        drain: Duration::from_secs(table.whole(reading, "drain_seconds", 1..=300, 4)),
    };
    table.finish(reading);
    limits
}

fn read_retention(reading: &mut Reading<'_>, document: &mut Table<'_>) -> Retention {
    let mut table = document.table(reading, "retention_days");
    let mut days = |key, default| Duration::from_secs(table.whole(reading, key, 1..=36_525, default) * 86_400);
    let retention = Retention {
        referrals: days("referrals", 30),
        outcomes: days("outcomes", 30),
        inbox: days("inbox", 30),
        tasks: days("tasks", 90),
        feedback: days("feedback", 90),
        decisions: days("decisions", 9_131),
        quarantine: days("quarantine", 90),
    };
    table.finish(reading);
    retention
}

fn read_log(reading: &mut Reading<'_>, document: &mut Table<'_>) -> Log {
    let mut table = document.table(reading, "log");
    let format = table.word(reading, "format", ("text", LogFormat::Text), &[("json", LogFormat::Json)]);
    let level = table.word(
        reading,
        "level",
        ("info", LogLevel::INFO),
        &[("error", LogLevel::ERROR), ("warn", LogLevel::WARN), ("debug", LogLevel::DEBUG), ("trace", LogLevel::TRACE)],
    );
    table.finish(reading);
    Log { format, level }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
