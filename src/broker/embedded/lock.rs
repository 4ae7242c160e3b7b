//! One process a file: the lock beside the log, who holds it, and whether what was written last lies in a write-ahead log alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::{files, rights};
use crate::broker::BrokerError;

/// Read and written by its owner alone: the log names children.
#[cfg(unix)]
const PRIVATE_MODE: u32 = 0o600;
/// Before the number of the file whose write-ahead log is in use, in the lock's second line. By number: a copy that was put in its
/// place has no log.
const LOG_OF: &str = "write-ahead log of file ";

/// Held for as long as the log is open; the operating system lets go of it however the process ends.
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Notes that from now on what is acknowledged may lie in the write-ahead log alone: a start that finds it gone must not
    /// go on as if nothing were missing.
    pub fn log_in_use(&mut self, path: &Path) {
        if let Ok(Some(number)) = files::number_of(path) {
            self.say(Some(number));
        }
    }

    /// Notes that all of the write-ahead log is in the file.
    pub fn log_written_back(&mut self) {
        self.say(None);
    }

    /// For people, and for the next start: on a full disk it goes unsaid.
    fn say(&mut self, log_of: Option<u64>) {
        let holder = std::process::id();
        let text = log_of.map_or_else(|| format!("{holder}\n"), |number| format!("{holder}\n{LOG_OF}{number}\n"));
        let cleared = self.file.set_len(0).and_then(|()| self.file.rewind());
        let _ = cleared.and_then(|()| self.file.write_all(text.as_bytes())).and_then(|()| self.file.sync_data());
    }
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

/// Makes the lock as a file of whoever owns the log, as SQLite does with what it makes beside it: a command that root runs would shut
/// the router out. One that is there already (a link, maybe) is given to nobody.
#[cfg(unix)]
fn make_for_owner(lock: &Path, of: &Path) {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
    let Ok(owned) = std::fs::metadata(of) else { return };
    let made = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_MODE).open(lock);
    // Only root may give a file away; whoever else made it is its owner, as a rule of the log, too.
    let _ = made.and_then(|made| fchown(made, Some(owned.uid()), Some(owned.gid())));
}

/// Takes the lock, or says which file is in use and by which process.
pub fn take(path: &Path) -> Result<FileLock, BrokerError> {
    let lock = files::lock_beside(path);
    let failed = |error: std::io::Error| rights::refused(&lock, &error);
    #[cfg(unix)]
    make_for_owner(&lock, path);
    let mut file = open_private(&lock).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(path, &mut file)),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    refuse_without_its_log(path, &said(&mut file))?;
    let mut lock = FileLock { file };
    lock.say(None);
    Ok(lock)
}

/// What the lock says; nothing where it cannot be read.
fn said(file: &mut File) -> String {
    let mut said = String::new();
    let _ = file.read_to_string(&mut said);
    said
}

/// Whoever held the lock last was not stopped in order, and the log that it left is gone.
fn refuse_without_its_log(path: &Path, said: &str) -> Result<(), BrokerError> {
    let left_open = said.lines().nth(1).and_then(|line| line.strip_prefix(LOG_OF)?.parse::<u64>().ok());
    let is_this_file = left_open.is_some() && files::number_of(path).is_ok_and(|number| number == left_open);
    let log = files::log_beside(path);
    if !is_this_file || files::metadata_of(&log).is_ok_and(|log| log.is_some()) {
        return Ok(());
    }
    let (file, log, lock) = (path.display(), log.display(), files::lock_beside(path));
    Err(BrokerError::Mismatch(format!(
        "{log} is not there, and {file} was not closed in order: what was accepted last lies in that log alone. Put it back. Only where it \
         is gone for good (partners and agencies then send again, as after a restore), or another program has opened the data file since \
         and so written the log back, remove {} and start again",
        lock.display()
    )))
}

fn in_use(path: &Path, file: &mut File) -> BrokerError {
    let holder = said(file).lines().next().and_then(|line| line.parse::<u32>().ok());
    let by = holder.map_or_else(|| "another process".to_owned(), |holder| format!("process {holder}"));
    BrokerError::InUse(format!("{} is in use by {by}: stop it first, or name another folder", path.display()))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt, chown};

    use super::*;

    #[test]
    fn a_lock_that_root_makes_is_the_data_file_s_owner_s() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("pathway.db");
        std::fs::write(&data, "").unwrap();
        if chown(&data, Some(65_534), Some(65_534)).is_err() {
            println!("not root: nothing is given away");
            return;
        }
        drop(take(&data).unwrap());
        let lock = std::fs::metadata(files::lock_beside(&data)).unwrap();
        assert_eq!((lock.uid(), lock.gid(), lock.mode() & 0o777), (65_534, 65_534, 0o600));
        // What is there already stays whose it is.
        chown(files::lock_beside(&data), Some(0), Some(0)).unwrap();
        drop(take(&data).unwrap());
        assert_eq!(std::fs::metadata(files::lock_beside(&data)).unwrap().uid(), 0);
    }

    #[test]
    fn a_lock_that_may_not_be_opened_says_what_to_do() {
        let denied = rights::refused(Path::new("data/pathway.db.lock"), &std::io::ErrorKind::PermissionDenied.into());
        let said = denied.to_string();
        assert!(said.contains("data/pathway.db.lock cannot be opened") && said.contains("chown"), "{said}");
    }
}
