//! The two secret keys: from files or from variables, never printed.

use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use super::fault::ConfigFault;

/// 32 secret bytes. `Debug` shows nothing; the memory is wiped on drop.
pub struct SecretKey(SecretBox<[u8; 32]>);

impl SecretKey {
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }

    pub fn bytes(&self) -> &[u8; 32] {
        self.0.expose_secret()
    }

    /// Tells keys apart without giving anything away that could be used in the key's place. Hex.
    pub fn fingerprint(&self) -> String {
        let tagged = Hmac::<Sha256>::new_from_slice(self.bytes()).map(|mut keyed| {
            keyed.update(b"pathway-router key fingerprint 1");
            keyed.finalize().into_bytes()
        });
        // HMAC takes keys of any length.
        tagged.map(|tag| hex::encode(Sha256::digest(tag))).unwrap_or_default()
    }

    /// None unless `text` is 64 hex digits, spaces around them aside.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).ok()?;
        Some(Self::new(bytes))
    }
}

impl Clone for SecretKey {
    fn clone(&self) -> Self {
        Self::new(*self.bytes())
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SecretKey(..)")
    }
}

/// Both keys. Losing the first means that no child is recognised again; losing the second, that no task can be answered.
#[derive(Clone, Debug)]
pub struct SecretKeys {
    /// HMAC key of the subjects.
    pub subject: SecretKey,
    /// Key that seals `reply_to`.
    pub sealing: SecretKey,
}

impl SecretKeys {
    /// What a data file written with these keys belongs to.
    pub fn fingerprints(&self) -> Vec<(&'static str, String)> {
        vec![("subject key", self.subject.fingerprint()), ("sealing key", self.sealing.fingerprint())]
    }
}

/// A key from the variable if it is set, else from the file.
pub(super) fn read_key(variable: &str, file: &Path) -> Result<SecretKey, ConfigFault> {
    let remedy = "write 64 hex digits; `pathway-router keygen` makes them";
    if let Ok(mut text) = std::env::var(variable) {
        let key = SecretKey::parse(&text);
        text.zeroize();
        return key.ok_or_else(|| ConfigFault::of_file(Path::new(variable), "this variable is not a key", remedy));
    }
    let mut text = read_private(file)?;
    let key = SecretKey::parse(&text);
    text.zeroize();
    key.ok_or_else(|| ConfigFault::of_file(file, "this file does not hold a key", remedy))
}

/// The text of a file that others on this machine must not be able to read.
pub(super) fn read_private(file: &Path) -> Result<String, ConfigFault> {
    check_private(file)?;
    std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))
}

/// That a file is there, and that others on this machine cannot read it.
pub(super) fn check_private(file: &Path) -> Result<(), ConfigFault> {
    let metadata = std::fs::metadata(file).map_err(|error| unreadable(file, &error))?;
    if !is_open_to_others(&metadata) {
        return Ok(());
    }
    let (problem, remedy) =
        ("anyone on this machine can read or change it", format!("run chmod o= {}", file.display()));
    Err(ConfigFault::of_file(file, problem, remedy))
}

/// That no others on this machine can change a file.
pub(super) fn check_unchanged_by_others(file: &Path) -> Result<(), ConfigFault> {
    let metadata = std::fs::metadata(file).map_err(|error| unreadable(file, &error))?;
    if mode_for_others(&metadata) & 0o002 == 0 {
        return Ok(());
    }
    let remedy = format!("run chmod o-w {}", file.display());
    Err(ConfigFault::of_file(file, "anyone on this machine can change it", remedy))
}

/// Whether a file is there that others on this machine can read or change.
pub fn others_may_read(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| is_open_to_others(&metadata))
}

fn unreadable(file: &Path, error: &std::io::Error) -> ConfigFault {
    let remedy = match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "give it, and its folder, to the user that the router runs as (chown), who alone reads it"
        }
        _ => "restore the file, or name the right one",
    };
    ConfigFault::of_file(file, format!("cannot be read: {error}"), remedy)
}

fn is_open_to_others(metadata: &std::fs::Metadata) -> bool {
    mode_for_others(metadata) != 0
}

/// What those may do who are neither its owner nor of its group.
#[cfg(unix)]
fn mode_for_others(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o007
}

#[cfg(not(unix))]
fn mode_for_others(_metadata: &std::fs::Metadata) -> u32 {
    0
}
