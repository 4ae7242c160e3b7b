//! One process a file: the lock beside the log, who holds it, and whether what was written last lies in a write-ahead log alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::{files, rights};
use crate::broker::BrokerError;

/// Read and written by its owner alone: the log names children.
#[cfg(unix)]
const PRIVATE_MODE: u32 = 0o600;
/// Before the number of the file whose write-ahead log is in use, in the lock's second line. By number: a copy that was put in its
/// place has no log.
const LOG_OF: &str = "write-ahead log of file ";
/// In the third line: records lie in that log, so that an empty one is not how it was left.
const HOLDS: &str = "it holds records";
/// In the fourth line, before the salt of the log in which they lie: an older one that was laid in its place has another.
const BEGUN_AS: &str = "begun as ";
/// So often the log may have been started over since its salt was noted, and what is told of an older one is still told.
const STARTED_OVER_MAX: u32 = 16;

/// What is said of a write-ahead log that is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Log {
    of_file: u64,
    holds: bool,
    salt: Option<u32>,
}

/// Held for as long as the log is open; the operating system lets go of it however the process ends.
pub struct FileLock {
    file: File,
    path: PathBuf,
    /// Whoever held the lock last left this write-ahead log in use, and it is not yet read back.
    left_in_use: Option<Log>,
    /// What is said now.
    said: Option<Log>,
}

impl FileLock {
    /// Notes that from now on what is acknowledged may lie in the write-ahead log alone: a start that finds it gone must not
    /// go on as if nothing were missing. Whether there is anything in it yet.
    pub fn log_in_use(&mut self) -> bool {
        let log = files::metadata_of(&files::log_beside(&self.path));
        let holds = log.map_or(true, |log| log.is_some_and(|log| log.len() > 0));
        if let Ok(Some(of_file)) = files::number_of(&self.path) {
            self.left_in_use = None;
            self.say(Some(Log { of_file, holds, salt: salt_of_log(&self.path).filter(|_| holds) }));
        }
        holds
    }

    /// Notes that records lie in it, and by which salt, before the first of them is acknowledged; or that it is about to be emptied into
    /// the file.
    pub fn log_holds(&mut self, holds: bool, salt: Option<u32>) {
        let Some(said) = self.said else { return };
        let now = Log { holds, salt: salt.or(said.salt).filter(|_| holds), ..said };
        if now != said {
            self.say(Some(now));
        }
    }

    /// Notes that all of the write-ahead log is in the file.
    pub fn log_written_back(&mut self) {
        self.left_in_use = None;
        self.say(None);
    }

    /// For people, and for the next start: on a full disk it goes unsaid. Written over what was said before, of which only the rest is then
    /// cut off: that a log was left is said at every moment, whenever the process ends and however full the disk is.
    fn say(&mut self, log: Option<Log>) {
        self.said = log;
        let mut text = format!("{}\n", std::process::id());
        if let Some(Log { of_file, holds, salt }) = log {
            text += &format!("{LOG_OF}{of_file}\n{}", if holds { format!("{HOLDS}\n") } else { String::new() });
            text += &salt.map_or(String::new(), |salt| format!("{BEGUN_AS}{salt}\n"));
        }
        let written = self.file.rewind().and_then(|()| self.file.write_all(text.as_bytes()));
        let cut = written.and_then(|()| self.file.set_len(text.len() as u64));
        let _ = cut.and_then(|()| self.file.sync_data());
    }
}

impl Drop for FileLock {
    /// A start that was refused after SQLite had opened the file: as it closes, what was left goes into the file, and the log goes.
    fn drop(&mut self) {
        if self.left_in_use.is_some() && matches!(files::metadata_of(&files::log_beside(&self.path)), Ok(None)) {
            self.say(None);
        }
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
    let left_in_use = left_in_use(path, &said(&mut file));
    if let Some(left) = left_in_use {
        refuse_without_its_log(path, left)?;
    }
    let mut lock = FileLock { file, path: path.to_owned(), left_in_use, said: None };
    // What was left is said until it is read back: whoever ends before that has not taken it up.
    lock.say(left_in_use);
    Ok(lock)
}

/// What the lock says; nothing where it cannot be read.
fn said(file: &mut File) -> String {
    let mut said = String::new();
    let _ = file.read_to_string(&mut said);
    said
}

/// The log of this file, where whoever held the lock last was not stopped in order. Also where nobody can tell which file it is.
fn left_in_use(path: &Path, said: &str) -> Option<Log> {
    let mut lines = said.lines().skip(1);
    let of_file = lines.next()?.strip_prefix(LOG_OF)?.parse::<u64>().ok()?;
    let holds = lines.next() == Some(HOLDS);
    let salt = lines.next().and_then(|line| line.strip_prefix(BEGUN_AS)).and_then(|salt| salt.parse().ok());
    let left = Log { of_file, holds, salt };
    files::number_of(path).map_or(true, |number| number == Some(of_file)).then_some(left)
}

fn salt_of_log(path: &Path) -> Option<u32> {
    files::log_found(path).ok().flatten().and_then(|log| log.salt())
}

/// Whether another log lies there than that one or one that it was started over as: an older copy, or another file's.
fn is_another(path: &Path, left: Log) -> bool {
    let since = left.salt.zip(salt_of_log(path)).map(|(left, found)| found.wrapping_sub(left));
    since.is_some_and(|since| since > STARTED_OVER_MAX)
}

/// It was left in use: without it what was accepted last is missing.
fn refuse_without_its_log(path: &Path, left: Log) -> Result<(), BrokerError> {
    let log = files::log_beside(path);
    let how = match files::metadata_of(&log) {
        Ok(None) => "is not there",
        Ok(Some(found)) if found.len() == 0 && left.holds => "is empty",
        Ok(Some(_))
            if left.holds && files::log_found(path).is_ok_and(|found| found.is_some_and(|it| it.is_hollow())) =>
        {
            "was emptied and written on"
        }
        Ok(Some(_)) if left.holds && is_another(path, left) => "is another than was in use (move it away)",
        Ok(Some(_)) | Err(_) => return Ok(()),
    };
    let (file, log, lock) = (path.display(), log.display(), files::lock_beside(path));
    Err(BrokerError::Mismatch(format!(
        "{log} {how}, and {file} was not closed in order: what was accepted last lies in that log alone. Put it back. Only where it \
         is gone for good (partners and agencies then send again, as after a restore), or another program has opened the data file since, \
         or just before, and so written the log back, remove {} and start again",
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

    /// As when the router is killed again while it opens the file that it was killed over.
    #[test]
    fn that_a_log_was_left_is_said_until_it_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("pathway.db");
        let said = || std::fs::read_to_string(files::lock_beside(&data)).unwrap();
        let log = files::log_beside(&data);
        std::fs::write(&data, "").unwrap();
        std::fs::write(&log, "records").unwrap();
        let mut first = take(&data).unwrap();
        assert!(!said().contains(LOG_OF), "it is not in use yet");
        first.log_in_use();
        drop(first);
        let again = take(&data).unwrap();
        assert!(said().contains(LOG_OF), "{}", said());
        drop(again);
        std::fs::rename(&log, folder.path().join("away")).unwrap();
        let refused = take(&data).map(drop).unwrap_err().to_string();
        assert!(refused.contains("was not closed in order") && said().contains(LOG_OF), "{refused}");

        // Refused for another reason, once SQLite has written it back.
        std::fs::rename(folder.path().join("away"), &log).unwrap();
        let refused = take(&data).unwrap();
        std::fs::remove_file(&log).unwrap();
        drop(refused);
        drop(take(&data).unwrap());
        assert!(!said().contains(LOG_OF), "{}", said());
    }

    #[test]
    fn a_log_that_held_records_and_is_empty_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("pathway.db");
        std::fs::write(&data, "").unwrap();
        std::fs::write(files::log_beside(&data), "").unwrap();
        let mut lock = take(&data).unwrap();
        assert!(!lock.log_in_use(), "there is nothing in it");
        drop(lock);
        let mut lock = take(&data).unwrap();
        lock.log_in_use();
        lock.log_holds(true, None);
        drop(lock);
        for _ in 0..2 {
            let refused = take(&data).map(drop).unwrap_err().to_string();
            assert!(refused.contains("pathway.db-wal is empty, and") && refused.contains("Put it back"), "{refused}");
        }
        std::fs::write(files::log_beside(&data), "records").unwrap();
        let mut lock = take(&data).unwrap();
        assert!(lock.log_in_use());
        lock.log_holds(false, None);
        drop(lock);
        std::fs::write(files::log_beside(&data), "").unwrap();
        drop(take(&data).unwrap());
    }

    #[test]
    fn another_log_than_was_in_use_is_refused_and_one_that_was_started_over_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("pathway.db");
        let begun = |salt: u32| {
            let header = [vec![7; 16], salt.to_be_bytes().to_vec(), vec![7; 12]].concat();
            std::fs::write(files::log_beside(&data), [header, vec![7; 100]].concat()).unwrap();
        };
        std::fs::write(&data, "").unwrap();
        begun(u32::MAX);
        take(&data).unwrap().log_in_use();
        for (salt, is_it) in [(u32::MAX, true), (0, true), (u32::MAX - 1, false), (100, false)] {
            begun(salt);
            match take(&data) {
                Ok(_) => assert!(is_it, "{salt}"),
                Err(refused) => {
                    assert!(!is_it && refused.to_string().contains("is another than was in use"), "{refused}");
                }
            }
        }
        begun(0);
        let mut lock = take(&data).unwrap();
        lock.log_in_use();
        lock.log_holds(true, Some(1));
        drop(lock);
        assert!(take(&data).is_err());
        begun(1);
        drop(take(&data).unwrap());
    }

    #[test]
    fn a_lock_that_may_not_be_opened_says_what_to_do() {
        let denied = rights::refused(Path::new("data/pathway.db.lock"), &std::io::ErrorKind::PermissionDenied.into());
        let said = denied.to_string();
        assert!(said.contains("data/pathway.db.lock cannot be opened") && said.contains("chown"), "{said}");
    }
}
