//! A whole, consistent copy of a log, also while a router uses it.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use super::layout::{self, of_file, storage};
use super::{file_failed, identity, sync_folder};
use crate::broker::BrokerError;

/// Copies the log `from` to `to`, which must not exist; readable by its owner alone. It has that name only once it is
/// whole and on disk.
pub fn backup(from: &Path, to: &Path) -> Result<(), BrokerError> {
    if to.exists() {
        return Err(BrokerError::InUse(format!("{} exists: name a file that does not", to.display())));
    }
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let copied = copy(from, &part).and_then(|()| fs::rename(&part, to).map_err(|error| file_failed(to, &error)));
    if copied.is_err() {
        let _ = fs::remove_file(&part);
    }
    copied.and_then(|()| sync_folder(to))
}

fn copy(from: &Path, part: &Path) -> Result<(), BrokerError> {
    let target = part.to_str().ok_or_else(|| BrokerError::Mismatch("the path is not UTF-8".to_owned()))?;
    let connection = layout::open_reader(from).map_err(|error| of_file(from, error))?;
    let objects = layout::objects_of_ours(&connection, from).map_err(|error| of_file(from, error))?;
    if objects == 0 {
        // A copy of nothing would be kept for a good one.
        return Err(identity::missing(from, "is empty"));
    }
    // What a copy that was killed has left.
    let _ = fs::remove_file(part);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(part).map_err(|error| file_failed(part, &error))?;
    connection.execute("VACUUM INTO ?1", [target]).map_err(|error| of_file(from, storage(&error)))?;
    File::open(part).and_then(|file| file.sync_all()).map_err(|error| file_failed(part, &error))
}
