//! Why SQLite could not open a file: it names neither which of the three it was, nor that it is a matter of rights.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;

use super::{files, layout};
use crate::broker::BrokerError;

/// The error with the name of the file that cannot be opened, and what to do; else with the data file's.
pub fn explained(path: &Path, error: BrokerError) -> BrokerError {
    let BrokerError::Storage(_) = &error else { return error };
    let files = [path.to_owned(), files::log_beside(path), files::index_beside(path)];
    let closed = files.iter().find_map(|file| {
        let opened = OpenOptions::new().read(true).write(true).open(file);
        opened.err().filter(|error| error.kind() != ErrorKind::NotFound).map(|error| (file, error))
    });
    let Some((file, closed)) = closed else { return layout::of_file(path, error) };
    refused(file, &closed)
}

/// Why a file cannot be opened, and what to do where it is a matter of rights.
pub fn refused(file: &Path, error: &std::io::Error) -> BrokerError {
    let remedy = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; give it to the user that the router runs as, who alone reads and writes it (chown, chmod 600), and start again"
        }
        _ => "",
    };
    BrokerError::Storage(format!("{} cannot be opened: {error}{remedy}", file.display()))
}
