//! The data file and what lies beside it, by name, and whether a file is there at all.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
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
    #[cfg(unix)]
    let number = |metadata: Metadata| std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let number = |_| 0;
    Ok(metadata_of(path)?.map(number))
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
