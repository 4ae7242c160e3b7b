//! One process a file: the lock beside the log, and who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::broker::BrokerError;

/// Read and written by its owner alone: the log names children.
#[cfg(unix)]
const PRIVATE_MODE: u32 = 0o600;

/// Held for as long as the log is open; the operating system lets go of it however the process ends.
pub struct FileLock {
    _file: File,
}

/// `router.db` is guarded by `router.db.lock`.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// Opens a file for writing, creating it when it is missing; its owner alone may read it (0600), whatever it was before.
fn open_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, PRIVATE_MODE);
    let file = options.open(path)?;
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&file.metadata()?.permissions()) & 0o077 != 0 {
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(PRIVATE_MODE))?;
    }
    Ok(file)
}

/// Takes the lock, or says which file is in use and by which process.
pub fn take(path: &Path) -> Result<FileLock, BrokerError> {
    let lock = lock_path(path);
    let failed = |error: std::io::Error| BrokerError::Storage(format!("{}: {error}", lock.display()));
    let mut file = open_private(&lock).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(path, &mut file)),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // Who holds it is for people: on a full disk it goes unsaid.
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(FileLock { _file: file })
}

fn in_use(path: &Path, file: &mut File) -> BrokerError {
    let mut holder = String::new();
    let known = file.read_to_string(&mut holder).is_ok() && holder.trim().parse::<u32>().is_ok();
    let by = if known { format!("process {}", holder.trim()) } else { "another process".to_owned() };
    BrokerError::InUse(format!("{} is in use by {by}: stop it first, or name another folder", path.display()))
}
