//! Who may call: bearer tokens, kept as hashes, each bound to one partner and unit, one agency (and unit), or a role.

use std::path::{Path, PathBuf};

use rand::Rng;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::fault::{ConfigFault, ConfigFaults};
use super::read::{Reading, Table};
use super::secrets::read_private;

/// Whom a token speaks for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Caller {
    /// Posts events and reads feedback.
    Partner { partner: String, unit: String },
    /// Reads tasks and posts outcomes. `unit`: for agencies of many units.
    Agency { agency: String, unit: Option<String> },
    /// Imports, and looks after the quarantine.
    Operator,
}

/// One token's hash and caller.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenEntry {
    /// The operator's own name for it.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    pub caller: Caller,
    /// Where it is written, for faults found later.
    pub line: Option<usize>,
}

/// A new token: 32 random bytes, with a prefix that scanners for leaked secrets can look for.
pub fn new_token() -> String {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    format!("pathway_{}", hex::encode(bytes))
}

pub fn hash_of(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Every token of the router.
#[derive(Clone, Default)]
pub struct TokenBook {
    entries: Vec<TokenEntry>,
    file: Option<PathBuf>,
}

impl TokenBook {
    pub fn new(entries: Vec<TokenEntry>) -> Self {
        Self { entries, file: None }
    }

    /// The file it was read from.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whom a presented token speaks for. Takes as long for a wrong token as for a right one.
    pub fn caller(&self, token: &str) -> Option<&Caller> {
        self.caller_of(&hash_of(token))
    }

    /// The same, of a token of which the hash alone was kept.
    pub fn caller_of(&self, presented: &[u8; 32]) -> Option<&Caller> {
        let mut found = u32::MAX;
        for (index, entry) in (0u32..).zip(&self.entries) {
            let same: Choice = entry.sha256.ct_eq(presented);
            found.conditional_assign(&index, same);
        }
        self.entries.get(usize::try_from(found).ok()?).map(|entry| &entry.caller)
    }

    pub fn entries(&self) -> &[TokenEntry] {
        &self.entries
    }

    /// Without those that `other` does not have, or binds to somebody else; and the names of these.
    pub fn revoked_by(&self, other: &Self) -> (Self, Vec<String>) {
        let is_kept = |entry: &&TokenEntry| other.caller_of(&entry.sha256) == Some(&entry.caller);
        let (kept, revoked): (Vec<_>, Vec<_>) = self.entries.iter().partition(is_kept);
        let entries = kept.into_iter().cloned().collect();
        (Self { entries, file: self.file.clone() }, revoked.into_iter().map(|entry| entry.name.clone()).collect())
    }

    /// Reads the tokens file: one table a token.
    pub fn load(file: &Path) -> Result<Self, ConfigFaults> {
        let text = read_private(file).map_err(ConfigFaults::one)?;
        let mut reading = Reading::new(file, &text);
        let mut book = Self { entries: Vec::new(), file: Some(file.to_owned()) };
        for (name, mut table) in reading.parse().named_tables(&mut reading) {
            if let Some(entry) = read_entry(&mut reading, name, &mut table) {
                if book.entries.iter().any(|other| other.sha256 == entry.sha256) {
                    let span = table.span.clone();
                    reading.fault(&span, format!("`{}` has the hash of another token", entry.name), "make a new token");
                }
                book.entries.push(entry);
            }
            table.finish(&mut reading);
        }
        if book.entries.is_empty() && reading.faults.is_empty() {
            let remedy = "put the tokens back, one table each (docs/http.md, `Tokens`)";
            reading.fault(&(0..0), "no token is in it: nobody could send, read or answer anything", remedy);
        }
        // No span: the line shown to its reader might hold a token that was written here in the clear.
        let unshown = |fault: ConfigFault| ConfigFault { span: None, ..fault };
        let faults: Vec<ConfigFault> = reading.faults.into_iter().map(unshown).collect();
        if faults.is_empty() { Ok(book) } else { Err(ConfigFaults(faults)) }
    }

    /// The file's text for these tokens.
    pub fn to_toml(&self) -> String {
        let mut text = String::from(
            "# One table a token. sha256: the hash of the token; the token itself is kept by its holder alone.\n\
             # partner + unit: may post events and read feedback. agency (+ unit): may read tasks and answer them.\n\
             # role = \"operator\": may import and look after the quarantine.\n",
        );
        for entry in &self.entries {
            let lines = match &entry.caller {
                Caller::Partner { partner, unit } => format!("partner = \"{partner}\"\nunit = \"{unit}\"\n"),
                Caller::Agency { agency, unit: Some(unit) } => format!("agency = \"{agency}\"\nunit = \"{unit}\"\n"),
                Caller::Agency { agency, unit: None } => format!("agency = \"{agency}\"\n"),
                Caller::Operator => "role = \"operator\"\n".to_owned(),
            };
            text.push_str(&format!("\n[{}]\nsha256 = \"{}\"\n{lines}", entry.name, hex::encode(entry.sha256)));
        }
        text
    }
}

impl std::fmt::Debug for TokenBook {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "TokenBook({} tokens)", self.entries.len())
    }
}

fn read_entry(reading: &mut Reading<'_>, name: String, table: &mut Table<'_>) -> Option<TokenEntry> {
    let (hash, hash_span) = table.required_text(reading, "sha256");
    let partner = table.text(reading, "partner");
    let agency = table.text(reading, "agency");
    let unit = table.text(reading, "unit").map(|(unit, _)| unit);
    let role = table.text(reading, "role");
    let mut sha256 = [0; 32];
    if hex::decode_to_slice(&hash, &mut sha256).is_err() {
        if !hash.is_empty() {
            reading.fault(
                &hash_span,
                "this is not a SHA-256 hash",
                "write the 64 hex digits of sha256sum, never the token",
            );
        }
        return None;
    }
    let caller = match (partner, agency, unit, role) {
        (Some((partner, _)), None, Some(unit), None) => Caller::Partner { partner, unit },
        (None, Some((agency, _)), unit, None) => Caller::Agency { agency, unit },
        (None, None, None, Some((role, _))) if role == "operator" => Caller::Operator,
        _ => {
            let span = table.span.clone();
            reading.fault(
                &span,
                format!("`{name}` is bound to nobody, or to more than one"),
                "write partner and unit; or agency, with unit if it has many; or role = \"operator\"",
            );
            return None;
        }
    };
    let line = Some(reading.line(&table.span));
    Some(TokenEntry { name, sha256, caller, line })
}
