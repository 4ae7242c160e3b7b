//! The `[broker]` section: which log engine, where, and what it needs to know.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fault::ConfigFaults;
use super::read::{Reading, Table};
use super::secrets::{check_private, read_private};

/// The variable that names this instance, when the file does not.
pub const INSTANCE_VARIABLE: &str = "PATHWAY_INSTANCE";

/// The variable in which systemd names the folders of `StateDirectory=`.
const STATE_VARIABLE: &str = "STATE_DIRECTORY";

/// Well within the time that an open transaction may last.
const COMMIT_INTERVAL_MS_MAX: u64 = 2000;

/// Settings of the Kafka client that name a file with a secret in it.
const PRIVATE_FILES: [&str; 2] = ["ssl.key.location", "ssl.keystore.location"];

/// Which log engine, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Broker {
    /// One SQLite file.
    Embedded { file: PathBuf },
    /// An Apache Kafka cluster.
    Kafka(Kafka),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kafka {
    /// `host:port`, several separated by commas.
    pub bootstrap: String,
    /// No two that run at once share it.
    pub instance: String,
    /// Copies of each partition, and how many must have a record before it counts.
    pub replication: u32,
    pub min_in_sync: u32,
    /// How long a busy lane gathers before it commits.
    pub commit_interval: Duration,
    pub properties: Properties,
    /// What is read over HTTP, kept beside this instance. Made anew when it is missing.
    pub index_file: PathBuf,
    /// The router's own name on the cluster, such as `User:pathway-router`. None: rights are not looked after.
    pub principal: Option<String>,
}

/// Further settings of the Kafka client, such as how to prove who we are. Never printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Properties(pub BTreeMap<String, String>);

impl fmt::Debug for Properties {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Properties(..)")
    }
}

impl Properties {
    /// Reads a file of them that others on this machine must not be able to read.
    pub fn load(file: &Path) -> Result<Self, ConfigFaults> {
        let mut reading = Reading::new(file, "");
        let properties = read_properties(&mut reading, file, &(0..0));
        if reading.faults.is_empty() { Ok(properties) } else { Err(ConfigFaults(reading.faults)) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Embedded,
    Kafka,
}

pub(super) fn read(reading: &mut Reading<'_>, document: &mut Table<'_>, folder: &Path) -> Broker {
    let mut table = document.table(reading, "broker");
    let kind = table.word(reading, "kind", ("embedded", Kind::Embedded), &[("kafka", Kind::Kafka)]);
    let broker = match kind {
        Kind::Embedded => {
            let file = table.text(reading, "file").map_or_else(|| "pathway.db".to_owned(), |(file, _)| file);
            Broker::Embedded { file: folder.join(file) }
        }
        Kind::Kafka => Broker::Kafka(read_kafka(reading, &mut table, folder)),
    };
    table.finish(reading);
    broker
}

fn read_kafka(reading: &mut Reading<'_>, table: &mut Table<'_>, folder: &Path) -> Kafka {
    let (bootstrap, _) = table.required_text(reading, "bootstrap");
    let instance = read_instance(reading, table);
    let replication = table.whole(reading, "replication", 1..=15, 3);
    let min_in_sync = table.whole(reading, "min_in_sync", 1..=replication, replication.min(2));
    let commit_interval =
        Duration::from_millis(table.whole(reading, "commit_interval_ms", 0..=COMMIT_INTERVAL_MS_MAX, 20));
    let properties = match table.text(reading, "properties_file") {
        Some((file, span)) => read_properties(reading, &folder.join(file), &span),
        None => Properties::default(),
    };
    let index_file = match table.text(reading, "index_file") {
        Some((file, _)) => folder.join(file),
        None => state_folder(std::env::var_os(STATE_VARIABLE), folder).join(format!("inboxes-{instance}.db")),
    };
    let principal = table.text(reading, "principal").map(|(name, span)| checked_principal(reading, name, &span));
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let (replication, min_in_sync) = (small(replication), small(min_in_sync));
    Kafka { bootstrap, instance, replication, min_in_sync, commit_interval, properties, index_file, principal }
}

/// Where a service may write: a configuration under /etc may lie where it may not.
fn state_folder(given: Option<OsString>, folder: &Path) -> PathBuf {
    let first = given.as_ref().and_then(|folders| std::env::split_paths(folders).next());
    first.filter(|folder| folder.is_absolute()).unwrap_or_else(|| folder.to_owned())
}

/// A principal as Kafka names it.
pub(super) fn checked_principal(reading: &mut Reading<'_>, name: String, span: &Range<usize>) -> String {
    let is_one = name.strip_prefix("User:").is_some_and(|user| !user.is_empty() && user != "*");
    if !is_one {
        let remedy = "write principal = \"User:NAME\", or \"User:CN=…\" as the broker reads it from a certificate";
        reading.fault(span, format!("`{name}` is not one principal"), remedy);
    }
    name
}

/// From the file, the variable, or the machine's own name.
fn read_instance(reading: &mut Reading<'_>, table: &mut Table<'_>) -> String {
    let written = table.text(reading, "instance");
    let span = written.as_ref().map_or(table.span.clone(), |(_, span)| span.clone());
    let found = written
        .map(|(text, _)| text)
        .or_else(|| std::env::var(INSTANCE_VARIABLE).ok())
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok())
        .map(|text| text.trim().to_owned());
    let is_fit = |name: &String| {
        (1..=100).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    found.filter(is_fit).unwrap_or_else(|| {
        let problem = "this instance has no usable name (letters, digits, hyphens; no two that run share it)";
        reading.fault(&span, problem, format!("write instance = \"router-1\", or set {INSTANCE_VARIABLE}"));
        String::new()
    })
}

/// `name=value` lines, as the Kafka client calls its settings; `#` begins a comment.
fn read_properties(reading: &mut Reading<'_>, file: &Path, span: &Range<usize>) -> Properties {
    let text = match read_private(file) {
        Ok(text) => text,
        Err(fault) => {
            reading.faults.push(fault);
            return Properties::default();
        }
    };
    let mut properties = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((name, value)) => {
                properties.insert(name.trim().to_owned(), value.trim().to_owned());
            }
            None => {
                let problem = format!("line {number} of {} is not `name=value`", file.display());
                reading.fault(span, problem, "write one setting a line, such as security.protocol=sasl_ssl");
            }
        }
    }
    // One that is missing is librdkafka's to name: it may look elsewhere than we would.
    let keys = PRIVATE_FILES.iter().filter_map(|name| properties.get(*name)).map(Path::new);
    reading.faults.extend(keys.filter(|key| key.exists()).filter_map(|key| check_private(key).err()));
    Properties(properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_keeps_what_it_makes_where_it_may_write() {
        let folder = |given: Option<&str>| state_folder(given.map(OsString::from), Path::new("/etc/pathway-router"));
        assert_eq!(folder(Some("/var/lib/pathway-router")), Path::new("/var/lib/pathway-router"));
        assert_eq!(folder(Some("/var/lib/one:/var/lib/two")), Path::new("/var/lib/one"));
        for none in [None, Some(""), Some("relative")] {
            assert_eq!(folder(none), Path::new("/etc/pathway-router"), "{none:?}");
        }
    }
}
