//! The data file and what lies beside it, by name, and whether a file is there at all.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// What is known of a file; None where there is none. An error where nobody can tell: its folder may not be entered, say.
pub fn metadata_of(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether there is such a file, and no folder.
pub fn is_there(path: &Path) -> io::Result<bool> {
    Ok(metadata_of(path)?.is_some_and(|metadata| metadata.is_file()))
}

/// Which file lies under a path; None where there is none. An error where nobody can tell.
pub fn number_of(path: &Path) -> io::Result<Option<u64>> {
    Ok(metadata_of(path)?.as_ref().map(number))
}

#[cfg(unix)]
fn number(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> u64 {
    0
}

/// What can be seen of a write-ahead log from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogFound {
    pub number: u64,
    pub length: u64,
    /// SQLite writes it anew when it starts the log over, with other salts.
    pub header: [u8; LOG_HEADER_BYTES],
}

/// As of SQLite's file format.
const LOG_HEADER_BYTES: usize = 32;
const SALT_AT: usize = 16;

impl LogFound {
    /// By which SQLite tells frames of this log from those of before: one more each time it starts the log over.
    pub fn salt(&self) -> Option<u32> {
        let (salt, _) = self.header.get(SALT_AT..)?.split_first_chunk()?;
        (self.length > 0).then_some(u32::from_be_bytes(*salt))
    }

    /// It was emptied by something else than SQLite, and written on at its former end.
    pub fn is_hollow(&self) -> bool {
        self.length > 0 && self.header == [0; LOG_HEADER_BYTES]
    }
}

/// The write-ahead log of a file; None where there is none. Of the log alone: to open and close the data file, or the index, would
/// let go of SQLite's locks on it.
pub fn log_found(path: &Path) -> io::Result<Option<LogFound>> {
    let mut file = match fs::File::open(log_beside(path)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    let mut found = LogFound { number: number(&metadata), length: metadata.len(), header: [0; LOG_HEADER_BYTES] };
    match file.read_exact(&mut found.header) {
        Ok(()) => {}
        // Emptied just now.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => found.length = 0,
        Err(error) => return Err(error),
    }
    Ok(Some(found))
}

/// As many as Linux follows.
const LINKS_MAX: usize = 40;

/// The file itself, which may not be there yet, where the path is a link to it: SQLite keeps beside the file what belongs to it, and one
/// file is to have one lock, by whichever path it is opened. A link that leads nowhere (to itself) is left as it is.
pub fn real(path: &Path) -> PathBuf {
    let mut file = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(target) = fs::read_link(&file) else { return file };
        file = file.parent().unwrap_or(Path::new("")).join(target);
    }
    path.to_owned()
}

/// SQLite's write-ahead log of a file.
pub fn log_beside(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// SQLite's index of that log.
pub fn index_beside(path: &Path) -> PathBuf {
    beside(path, "-shm")
}

/// SQLite's journal of a file that is written without a log.
pub fn journal_beside(path: &Path) -> PathBuf {
    beside(path, "-journal")
}

/// What guards the file.
pub fn lock_beside(path: &Path) -> PathBuf {
    beside(path, ".lock")
}

/// What a copy is called until it is whole.
pub fn part_beside(path: &Path) -> PathBuf {
    beside(path, ".part")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
