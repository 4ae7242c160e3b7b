//! Whether the data file and the write-ahead log beside it are still those that were opened, and as the router left them.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::files::{self, LogFound};
use super::shared::locked;
use crate::broker::BrokerError;

pub struct InPlace {
    /// Which file lay under the path when it was opened.
    opened: Option<u64>,
    /// What was seen last of the log beside it, once it was there: what is committed may lie in it alone.
    log: Mutex<Option<LogFound>>,
    /// Some of the log is gone: what is left of it must not go into the file.
    is_cut: AtomicBool,
}

/// What is found of the log.
#[derive(PartialEq, Eq, Debug)]
pub enum Log {
    /// Whole, so far as can be seen from outside.
    AsLeft,
    /// Nothing lies in it: rightly, or not.
    Empty,
}

impl InPlace {
    pub fn new(path: &Path) -> Self {
        Self { opened: files::number_of(path).ok().flatten(), log: Mutex::default(), is_cut: AtomicBool::new(false) }
    }

    /// What is written to a file that was removed goes with the process: nobody may be told that it is kept. Where nobody can tell
    /// (the folder may not be looked into), it is in place: what was opened is written on.
    pub fn look(&self, path: &Path) -> Result<Log, BrokerError> {
        if self.opened.is_some() && files::number_of(path).is_ok_and(|found| found != self.opened) {
            return Err(gone("the data file was"));
        }
        // Held while it is looked at: of two who look, the later one finds no less.
        let mut seen = locked(&self.log);
        let (Ok(found), before) = (files::log_found(path), *seen) else { return Ok(Log::AsLeft) };
        if before.is_some_and(|before| found.is_none_or(|found| found.number != before.number)) {
            return Err(gone("the write-ahead log (-wal) beside the data file was"));
        }
        let Some(found) = found else { return Ok(Log::Empty) };
        // One that is emptied in order, and written again, has another header.
        let is_shorter = before.is_some_and(|before| found.length < before.length && found.header == before.header);
        if found.length > 0 && (is_shorter || found.is_hollow()) {
            return Err(self.cut());
        }
        *seen = Some(found);
        Ok(if found.length == 0 { Log::Empty } else { Log::AsLeft })
    }

    /// Which log it was that was seen last.
    pub fn salt(&self) -> Option<u32> {
        locked(&self.log).and_then(|seen| seen.salt())
    }

    /// Notes that some of the log is gone, and says so.
    pub fn cut(&self) -> BrokerError {
        self.is_cut.store(true, Ordering::Release);
        BrokerError::Storage(
            "the write-ahead log (-wal) beside the data file was emptied or cut under the running router, and with it went what was \
             accepted last: stop it, restore a backup, and have partners send again"
                .to_owned(),
        )
    }

    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }
}

fn gone(what: &str) -> BrokerError {
    let problem = format!(
        "{what} removed or replaced under the running router; restore it, in the place of any that lies there now, and start again"
    );
    BrokerError::Storage(problem)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    #[test]
    fn a_log_that_is_shorter_or_hollow_is_cut_and_one_that_is_started_over_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("pathway.db");
        let log = files::log_beside(&data);
        let begun = |header: u8, length: usize| fs::write(&log, [vec![header; 32], vec![7; length]].concat()).unwrap();
        fs::write(&data, "").unwrap();
        let opened = || InPlace::new(&data);
        let in_place = opened();
        assert_eq!(in_place.look(&data), Ok(Log::Empty), "there is none yet");
        for (header, length) in [(1, 100), (1, 200), (2, 50)] {
            begun(header, length);
            assert_eq!(in_place.look(&data), Ok(Log::AsLeft), "{header} {length}");
        }
        fs::write(&log, "").unwrap();
        assert_eq!(in_place.look(&data), Ok(Log::Empty));
        begun(3, 200);
        assert_eq!(in_place.look(&data), Ok(Log::AsLeft));
        assert!(!in_place.is_cut());
        OpenOptions::new().write(true).open(&log).unwrap().set_len(100).unwrap();
        assert!(in_place.look(&data).is_err() && in_place.is_cut());

        // Emptied, and written on at its former end.
        let in_place = opened();
        OpenOptions::new().write(true).truncate(true).open(&log).unwrap().set_len(300).unwrap();
        assert!(in_place.look(&data).is_err() && in_place.is_cut());
    }
}
