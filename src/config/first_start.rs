//! The first start of a router that has no configuration: writes one, with keys and sample tokens of its own.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rand::Rng;
use zeroize::Zeroizing;

use super::default_rules;
use super::fault::{ConfigFault, ConfigFaults};
use super::tokens::{Caller, TokenBook, TokenEntry, hash_of, new_token};
use crate::engine::calendar::london_date;
use crate::engine::model::scalar::Timestamp;
use own_book::OwnBook;

pub mod own_book;

/// The data file as the sample configuration names it.
const DATA_FILE: &str = "pathway.db";
/// Where it listens unless told otherwise.
const USUAL_BIND: &str = "127.0.0.1:8080";

/// One file that was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    pub path: PathBuf,
    /// What it is, in a few words.
    pub what: String,
}

/// A sample token: its file's name and whom it speaks for.
struct Sample {
    name: String,
    caller: Caller,
}

/// What the configuration is called until there is a data file: of a start that ended before, killed or refused, nothing is left that asks
/// for one.
const CONFIG_TO_COME: &str = "config.toml.new";

/// What a first start is told; it has an answer to each.
#[derive(Clone, Copy, Default)]
pub struct Told<'a> {
    /// Where to listen.
    pub bind: Option<SocketAddr>,
    /// Another rule book than the default one.
    pub own_book: Option<OwnBook<'a>>,
}

/// The configuration's file in a data folder.
pub fn config_file(folder: &Path) -> PathBuf {
    folder.join("config.toml")
}

/// Writes configuration, keys, tokens and, unless `rules/cheshire-east` lies beside the folder, the rule book. Every
/// file is readable by its owner alone; one that exists is left as it is, unless it is the mere beginning of what would be written. Returns
/// what was written, in order.
pub fn first_start(folder: &Path) -> Result<Vec<Written>, ConfigFaults> {
    if config_file(folder).exists() {
        return Ok(Vec::new());
    }
    let written = begin(folder, Told::default())?;
    put_in_place(folder).map(|()| written)
}

/// The same, as it is told to, but for the configuration's name: that it has once it is put in place.
pub fn begin(folder: &Path, told: Told<'_>) -> Result<Vec<Written>, ConfigFaults> {
    let data_file = folder.join(DATA_FILE);
    if data_file.exists() {
        let remedy =
            "restore config.toml, keys/ and tokens.toml from the backup taken with it: new keys know no child in it";
        let problem = "exists, but the configuration that belongs to it does not";
        return Err(ConfigFaults::one(ConfigFault::of_file(&data_file, problem.to_owned(), remedy)));
    }
    let mut writer = Writer { folder, told, written: Vec::new() };
    writer.run().map_err(|(path, error)| unwritable(&path, &error))?;
    Ok(writer.written)
}

/// There is a data file: the configuration that was written for it gets its name.
pub fn put_in_place(folder: &Path) -> Result<(), ConfigFaults> {
    let file = config_file(folder);
    match std::fs::rename(config_to_come(folder), &file) {
        // Another process that began in the folder has done it.
        Err(error) if error.kind() == ErrorKind::NotFound && file.exists() => Ok(()),
        renamed => renamed.map_err(|error| unwritable(&file, &error)),
    }
}

/// The configuration of a first start that has no data file yet.
pub fn config_to_come(folder: &Path) -> PathBuf {
    folder.join(CONFIG_TO_COME)
}

fn unwritable(path: &Path, error: &std::io::Error) -> ConfigFaults {
    let remedy = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on its disk, and start again",
        _ => "give this user the right to write there, or name a configuration file with --config",
    };
    ConfigFaults::one(ConfigFault::of_file(path, format!("cannot be written: {error}"), remedy))
}

pub fn data_file(folder: &Path) -> PathBuf {
    folder.join(DATA_FILE)
}

struct Writer<'a> {
    folder: &'a Path,
    told: Told<'a>,
    written: Vec<Written>,
}

type WriteResult = Result<(), (PathBuf, std::io::Error)>;

impl Writer<'_> {
    fn run(&mut self) -> WriteResult {
        for folder in ["", "keys", "tokens"] {
            self.create_folder(folder)?;
        }
        self.write("keys/subject.key", &new_key(), "the key that makes subject keys: back it up, never change it")?;
        self.write("keys/sealing.key", &new_key(), "the key that seals reply addresses: back it up")?;
        self.write_tokens()?;
        let rules = self.write_rules()?;
        let to_come = config_to_come(self.folder);
        let config = sample_config(&rules, self.told);
        write_private(&to_come, config.as_bytes()).map_err(|error| (to_come, error))?;
        self.written.push(Written { path: config_file(self.folder), what: "the configuration".to_owned() });
        Ok(())
    }

    /// New tokens, unless tokens exist: their hashes in one file, each in the clear in a file of its own. With a book of one's own those of a
    /// first start with another book, which came to nothing, are put aside: they speak for its partners.
    fn write_tokens(&mut self) -> WriteResult {
        let hashes = self.folder.join("tokens.toml");
        if !lacks(&hashes, "") {
            if self.told.own_book.is_none() {
                return Ok(());
            }
            let aside = self.folder.join("tokens.toml.before");
            std::fs::rename(&hashes, &aside).map_err(|error| (hashes, error))?;
            self.written.push(Written { path: aside, what: "the tokens that were there, put aside".to_owned() });
        }
        let mut entries = Vec::new();
        for sample in self.told.own_book.map_or_else(samples, OwnBook::samples) {
            let token = Zeroizing::new(new_token());
            let what = match &sample.caller {
                Caller::Partner { partner, unit } => format!("sample token of partner {partner}, unit {unit}"),
                Caller::Agency { agency, unit: None } => format!("sample token of agency {agency}"),
                Caller::Agency { agency, unit: Some(unit) } => format!("sample token of agency {agency}, unit {unit}"),
                Caller::Operator => "sample token of the operator".to_owned(),
            };
            self.replace(&format!("tokens/{}.token", sample.name), &format!("{}\n", *token), &what)?;
            let sha256 = hash_of(&token);
            entries.push(TokenEntry { name: sample.name, sha256, caller: sample.caller, line: None });
        }
        self.write("tokens.toml", &TokenBook::new(entries).to_toml(), "the tokens' hashes and whom they speak for")
    }

    /// The rule book's folder as the configuration names it.
    fn write_rules(&mut self) -> Result<String, (PathBuf, std::io::Error)> {
        if let Some(own) = self.told.own_book {
            return Ok(own.folder.to_owned());
        }
        let beside = "../rules/cheshire-east";
        if self.folder.join(beside).is_dir() {
            return Ok(beside.to_owned());
        }
        let own = "rules/cheshire-east";
        self.create_folder("rules")?;
        self.create_folder(own)?;
        self.create_folder(&format!("{own}/rules"))?;
        for (name, text) in default_rules::FILES {
            self.write(&format!("{own}/{name}"), text, "the default rule book")?;
        }
        Ok(own.to_owned())
    }

    fn create_folder(&self, name: &str) -> WriteResult {
        let path = self.folder.join(name);
        create_private_folder(&path).map_err(|error| (path, error))
    }

    /// Writes a file that is not there yet, or of which only the beginning is.
    fn write(&mut self, name: &str, text: &str, what: &str) -> WriteResult {
        if lacks(&self.folder.join(name), text) { self.replace(name, text, what) } else { Ok(()) }
    }

    fn replace(&mut self, name: &str, text: &str, what: &str) -> WriteResult {
        let path = self.folder.join(name);
        write_private(&path, text.as_bytes()).map_err(|error| (path.clone(), error))?;
        self.written.push(Written { path, what: what.to_owned() });
        Ok(())
    }
}

/// Makes a folder, and those above it that are not there, which their owner alone can enter (0700).
pub fn create_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Whether the text is still to be written there: the file is not there, is empty, or breaks off within the text, as where an earlier release
/// was killed or out of room while it wrote it. A person's own file is neither.
fn lacks(path: &Path, text: &str) -> bool {
    match std::fs::read(path) {
        Ok(there) => there.is_empty() || (there.len() < text.len() && text.as_bytes().starts_with(&there)),
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// What a file is called until all of it is on disk.
const PART: &str = ".part";

/// Writes a file that its owner alone can read (0600), durably: there is all of it under its name, or what was there before.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(PART);
    let part = PathBuf::from(part);
    let written = write_part(&part, bytes).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written.and_then(|()| sync_folder_of(path))
}

fn write_part(part: &Path, bytes: &[u8]) -> std::io::Result<()> {
    match std::fs::remove_file(part) {
        // What one that was killed has left.
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(part)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A file's new name is durable only once its folder is synced.
fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all())
}

/// A new key, as its file holds it: 64 hex digits and a line end.
pub fn new_key() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0u8; 32]);
    rand::rng().fill_bytes(&mut *bytes);
    Zeroizing::new(format!("{}\n", hex::encode(*bytes)))
}

fn samples() -> Vec<Sample> {
    vec![
        Sample::partner("police", "police", "missing-from-home"),
        Sample::partner("leighton-hospital", "leighton-hospital", "emergency-department"),
        Sample::partner("school-111111", "schools", "111111"),
        Sample::partner("council", "council", "case-system"),
        Sample::partner("designated-officer", "designated-officer", "officer"),
        Sample::agency("social-care", None),
        Sample::agency("police", None),
        Sample::agency("lado", None),
        Sample::agency("camhs", None),
        Sample::agency("school", Some("111111")),
        Sample::agency("gp", Some("N81001")),
        Sample::operator(),
    ]
}

impl Sample {
    fn partner(name: &str, partner: &str, unit: &str) -> Self {
        let caller = Caller::Partner { partner: partner.to_owned(), unit: unit.to_owned() };
        Self { name: name.to_owned(), caller }
    }

    fn agency(agency: &str, unit: Option<&str>) -> Self {
        let of_unit = unit.map_or(String::new(), |unit| format!("-{unit}"));
        let caller = Caller::Agency { agency: agency.to_owned(), unit: unit.map(str::to_owned) };
        Self { name: format!("inbox-{agency}{of_unit}"), caller }
    }

    fn operator() -> Self {
        Self { name: "operator".to_owned(), caller: Caller::Operator }
    }
}

fn sample_config(rules: &str, told: Told<'_>) -> String {
    let bind = told.bind.map_or(USUAL_BIND.to_owned(), |bind| bind.to_string());
    let today = london_date(Timestamp::from_jiff(jiff::Timestamp::now()));
    let (front_door, partners) = match told.own_book {
        Some(own) => (own.front_door(), own.partners()),
        None => (include_str!("sample/front_door.toml").to_owned(), include_str!("sample/partners.toml").to_owned()),
    };
    include_str!("sample.toml")
        .replace("{{front_door}}", &front_door)
        .replace("{{partners}}", &partners)
        .replace("\"{{rules}}\"", &quoted(rules))
        .replace("{{today}}", &today.to_string())
        .replace("{{bind}}", &bind)
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
