//! Why SQLite could not open a file: it names neither which of the three it was, nor that it is a matter of rights.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{file_failed, layout};
use crate::broker::BrokerError;

/// Whether the file is there. An error where nobody can tell.
pub fn is_there(path: &Path) -> Result<bool, BrokerError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_file()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(file_failed(path, &error)),
    }
}

/// The error with the name of the file that cannot be opened, and what to do; else with the data file's.
pub fn explained(path: &Path, error: BrokerError) -> BrokerError {
    let BrokerError::Storage(_) = &error else { return error };
    let files = [path.to_owned(), layout::log_beside(path), index_beside(path)];
    let closed = files.iter().find_map(|file| {
        let opened = OpenOptions::new().read(true).write(true).open(file);
        opened.err().filter(|error| error.kind() != ErrorKind::NotFound).map(|error| (file, error))
    });
    let Some((file, closed)) = closed else { return layout::of_file(path, error) };
    let remedy = match closed.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; give it to the user that the router runs as, who alone reads and writes it (chown, chmod 600), and start again"
        }
        _ => "",
    };
    BrokerError::Storage(format!("{} cannot be opened: {closed}{remedy}", file.display()))
}

/// SQLite's index of the write-ahead log of a file.
fn index_beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-shm");
    name.into()
}
