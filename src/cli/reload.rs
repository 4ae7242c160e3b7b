//! The configuration of a running router read again: partners and tokens taken up, or what is wrong said until it is mended.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::service::{RunningRouter, check_again};
use crate::config::Config;
use crate::config::fault::{ConfigFault, ConfigFaults};
use crate::config::tokens::TokenBook;

/// What `/readyz` calls it.
const RELOAD: &str = "reload";

/// A faulty configuration changes nothing, but for tokens that were revoked.
pub async fn reload(router: &RunningRouter, file: &Path) {
    match taken_up(router, file).await {
        Ok(config) => {
            let (partners, tokens) = (config.partners.len(), config.tokens.entries().len());
            tracing::info!(partners, tokens, "partners and tokens were read again");
            router.readiness.no_warning(RELOAD);
            router.metrics.troubles.reload_failed(false);
        }
        Err(Refused { problems, files, tokens }) => {
            for problem in &problems {
                tracing::error!(problem, "partners and tokens stay as they were");
            }
            revoke(router, tokens.as_ref());
            router.readiness.warn(RELOAD, &not_taken_up(&files));
            router.metrics.troubles.reload_failed(true);
        }
    }
}

/// For `/readyz`.
fn not_taken_up(files: &[PathBuf]) -> String {
    let named: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let (what, remedy) = match named.len() {
        0 => ("the configuration was".to_owned(), "Once what it says is over, send SIGHUP again"),
        1 => (format!("{} was", named.concat()), "Mend it and send SIGHUP again"),
        _ => (format!("{} were", named.join(" and ")), "Mend them and send SIGHUP again"),
    };
    format!("{what} not taken up: partners stay as they were, and no token is new; the log says why at ERROR. {remedy}")
}

/// Why nothing was taken up.
struct Refused {
    problems: Vec<String>,
    /// In which files, each once. In none: the log could not be written, as while another program holds the data file.
    files: Vec<PathBuf>,
    /// Where they are sound by themselves: what is not among them is revoked all the same.
    tokens: Option<TokenBook>,
}

async fn taken_up(router: &RunningRouter, file: &Path) -> Result<Config, Refused> {
    let read = Config::load(file).and_then(|config| check_again(&config, &router.books()).map(|()| config));
    let config = read.map_err(|ConfigFaults(faults)| Refused {
        tokens: sound_tokens(router),
        problems: faults.iter().map(ConfigFault::to_string).collect(),
        files: faults.into_iter().map(|fault| fault.file).collect::<BTreeSet<_>>().into_iter().collect(),
    })?;
    match router.reload(&config).await {
        Ok(()) => Ok(config),
        Err(error) => {
            let (problems, files) = (vec![error.to_string()], Vec::new());
            Err(Refused { problems, files, tokens: Some(config.tokens) })
        }
    }
}

/// The tokens file read by itself, if it is sound so, whatever it says of partners that are not there.
fn sound_tokens(router: &RunningRouter) -> Option<TokenBook> {
    TokenBook::load(&router.gateway.tokens_file()?).ok()
}

fn revoke(router: &RunningRouter, tokens: Option<&TokenBook>) {
    let Some(tokens) = tokens else { return };
    for token in router.gateway.revoke_tokens(tokens) {
        tracing::warn!(token, "is revoked all the same: the tokens file is sound, and has it no longer as it was");
    }
}
