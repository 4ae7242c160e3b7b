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
        ErrorKind::PermissionDenied => {
            "; give it to the user that the router runs as, who alone reads and writes it (chown, chmod 600), and start again"
        }
        // As /etc is to a service: [broker] file was left relative to the configuration's folder.
        ErrorKind::ReadOnlyFilesystem => {
            "; give [broker] file an absolute path where the router may write, such as /var/lib/pathway-router/pathway.db, and start again"
        }
        ErrorKind::NotFound => {
            "; make its folder, the router's own (install -d -m 0700 -o pathway-router DIR), or name another under [broker] file, and start again"
        }
        _ => "",
    };
    BrokerError::Storage(format!("{} cannot be opened: {error}{remedy}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_remedy() {
        let remedy = |kind: ErrorKind| refused(Path::new("/etc/router/pathway.db.lock"), &kind.into()).to_string();
        assert!(remedy(ErrorKind::PermissionDenied).contains("chown"));
        let read_only = remedy(ErrorKind::ReadOnlyFilesystem);
        assert!(read_only.contains("[broker] file an absolute path") && !read_only.contains("chown"), "{read_only}");
        let no_folder = remedy(ErrorKind::NotFound);
        assert!(no_folder.contains("make its folder"), "{no_folder}");
    }
}
