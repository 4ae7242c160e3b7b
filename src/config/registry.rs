//! The `[registry]` section: a schema registry with Confluent's API, and how to prove who we are to it.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::read::{Reading, Table};
use super::secrets::read_private;

/// The variable that holds `user:password` for the registry, when no file does.
pub const CREDENTIALS_VARIABLE: &str = "PATHWAY_REGISTRY_CREDENTIALS";

/// A schema registry. Records that partners and agencies share are framed for it.
#[derive(Clone, Debug)]
pub struct Registry {
    /// Without a slash at its end.
    pub url: String,
    pub credentials: Option<Credentials>,
    /// PEM; None: the public authorities.
    pub authority: Option<PathBuf>,
}

/// `user:password`. Never printed.
#[derive(Clone)]
pub struct Credentials(SecretString);

impl Credentials {
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(..)")
    }
}

/// None without a section.
pub(super) fn read(reading: &mut Reading<'_>, document: &mut Table<'_>, folder: &Path) -> Option<Registry> {
    let mut table = document.optional_table(reading, "registry")?;
    let (url, span) = table.required_text(reading, "url");
    if !url.is_empty() && !url.starts_with("http://") && !url.starts_with("https://") {
        let remedy = "write url = \"https://registry.example:8081\"";
        reading.fault(&span, "`registry.url` must be an address", remedy);
    }
    let credentials = match table.text(reading, "credentials_file") {
        Some((file, _)) => match read_private(&folder.join(file)) {
            Ok(text) => Some(Credentials::new(text.trim().to_owned())),
            Err(fault) => {
                reading.faults.push(fault);
                None
            }
        },
        None => std::env::var(CREDENTIALS_VARIABLE).ok().map(Credentials::new),
    };
    let authority = table.text(reading, "authority_file").map(|(file, _)| folder.join(file));
    if credentials.as_ref().is_some_and(|known| !known.expose().contains(':')) {
        reading.fault(
            &table.span.clone(),
            "the registry's credentials are not `user:password`",
            "write one line of both",
        );
    }
    table.finish(reading);
    Some(Registry { url: url.trim_end_matches('/').to_owned(), credentials, authority })
}
