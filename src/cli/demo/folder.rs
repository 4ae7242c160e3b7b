//! The demo's throw-away folder: rule book, keys, tokens and configuration, gone when the demo ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::local::load_config;
use crate::cli::rule_book::read_sound;
use crate::cli::{CliError, files};
use crate::config::Config;
use crate::config::default_rules;
use crate::config::first_start::{new_key, write_private};
use crate::config::tokens::{Caller, TokenBook, TokenEntry, hash_of, new_token};
use crate::engine::rules::book::UnitKind;
use crate::simulate::partners::{PARTNERS, PRACTICE_CODES, SCHOOL_URNS};

/// Removed with all that is in it when dropped.
pub struct DemoFolder {
    path: PathBuf,
    /// By whom a token speaks for.
    tokens: BTreeMap<Caller, String>,
}

impl DemoFolder {
    /// Made where temporary files go, readable by this user alone. `kafka`: its address, if the log is to be there.
    pub fn create(kafka: Option<&str>) -> Result<(Self, Config), CliError> {
        let path = std::env::temp_dir().join(format!("pathway-router-demo-{}", uuid::Uuid::new_v4().simple()));
        let mut folder = Self { path, tokens: BTreeMap::new() };
        let config = folder.fill(kafka)?;
        Ok((folder, config))
    }

    pub fn partner_token(&self, partner: &str, unit: &str) -> Option<&str> {
        self.token(&Caller::Partner { partner: partner.to_owned(), unit: unit.to_owned() })
    }

    /// The token that reads the tasks of this agency, or of this unit of it, if only units may.
    pub fn agency_token(&self, agency: &str, unit: Option<&str>) -> Option<&str> {
        let caller = |unit: Option<&str>| Caller::Agency { agency: agency.to_owned(), unit: unit.map(str::to_owned) };
        self.token(&caller(None)).or_else(|| self.token(&caller(unit)))
    }

    pub fn operator_token(&self) -> Option<&str> {
        self.token(&Caller::Operator)
    }

    fn token(&self, caller: &Caller) -> Option<&str> {
        self.tokens.get(caller).map(String::as_str)
    }

    fn fill(&mut self, kafka: Option<&str>) -> Result<Config, CliError> {
        let rules = self.path.join("rules");
        private_folder(&self.path)?;
        for folder in ["rules", "rules/rules", "keys"] {
            private_folder(&self.path.join(folder))?;
        }
        for (name, text) in default_rules::FILES {
            self.write(&format!("rules/{name}"), text)?;
        }
        for name in ["keys/subject.key", "keys/sealing.key"] {
            self.write(name, &new_key())?;
        }
        self.make_tokens(&rules)?;
        self.write("config.toml", &config_text(kafka))?;
        load_config(&self.path.join("config.toml"))
    }

    /// One for each unit that sends, each agency, each unit of the agencies of many, and the operator.
    fn make_tokens(&mut self, rules: &Path) -> Result<(), CliError> {
        let mut callers = vec![Caller::Operator];
        for partner in PARTNERS {
            let caller = |unit: &&str| Caller::Partner { partner: partner.name.to_owned(), unit: (*unit).to_owned() };
            callers.extend(partner.units.iter().map(caller));
        }
        let book = read_sound(rules)?;
        for (name, agency) in &book.agencies {
            let units: Vec<Option<String>> = match agency.units {
                UnitKind::One => vec![None],
                UnitKind::School => SCHOOL_URNS.iter().map(|urn| Some((*urn).to_owned())).collect(),
                UnitKind::Practice => PRACTICE_CODES.iter().map(|code| Some((*code).to_owned())).collect(),
                UnitKind::Locality | UnitKind::Authority => {
                    let listed = book.directory.units_of(agency.units);
                    let known = listed.into_iter().chain(agency.localities.iter().flatten().cloned());
                    known.collect::<BTreeSet<String>>().into_iter().map(Some).collect()
                }
            };
            callers.extend(units.into_iter().map(|unit| Caller::Agency { agency: name.clone(), unit }));
        }
        let mut entries = Vec::new();
        for (number, caller) in callers.into_iter().enumerate() {
            let token = new_token();
            let name = format!("token-{number}");
            entries.push(TokenEntry { name, sha256: hash_of(&token), caller: caller.clone(), line: None });
            self.tokens.insert(caller, token);
        }
        self.write("tokens.toml", &TokenBook::new(entries).to_toml())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), CliError> {
        let path = self.path.join(name);
        write_private(&path, text.as_bytes()).map_err(|error| files::unwritable(&path, &error))
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{} could not be removed: {error}", self.path.display());
        }
    }
}

fn private_folder(path: &Path) -> Result<(), CliError> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| files::unwritable(path, &error))
}

/// A free port, every simulated partner, and the front door's numbers of the drama range.
fn config_text(kafka: Option<&str>) -> String {
    let broker = kafka.map_or_else(String::new, |bootstrap| {
        format!("[broker]\nkind = \"kafka\"\nbootstrap = {bootstrap:?}\ninstance = \"demo\"\nreplication = 1\n\n")
    });
    let mut text = broker
        + "\
[http]\nbind = \"127.0.0.1:0\"\n\n\
[rules]\nfolder = \"rules\"\n\n\
[front_door]\nname = \"the front door (made up)\"\ntelephone = \"01632 960123\"\nout_of_hours = \"01632 960999\"\n";
    for partner in PARTNERS {
        text.push_str(&format!("\n[partners.{}]\nunits = \"any\"\n", partner.name));
        if let Some(agency) = partner.agency {
            text.push_str(&format!("agency = \"{agency}\"\n"));
        }
    }
    text.push_str("\n[partners.children-looked-after-return]\nunits = [\"ssda903\"]\n");
    text
}
