//! Why SQLite could not open a file: it names neither which of the three it was, nor that it is a matter of rights.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{files, layout, room};
use crate::broker::BrokerError;

/// The error with the name of the file that cannot be opened, and what to do; else with the data file's.
pub fn explained(path: &Path, error: BrokerError) -> BrokerError {
    let BrokerError::Storage(_) = &error else { return error };
    let Some((file, closed)) = closed(path) else { return layout::of_file(path, error) };
    refused(&file, &closed)
}

/// Whether the file, or one of those beside it, is there and cannot be opened.
pub fn is_any_closed(path: &Path) -> bool {
    closed(path).is_some()
}

fn closed(path: &Path) -> Option<(PathBuf, std::io::Error)> {
    let files = [path.to_owned(), files::log_beside(path), files::index_beside(path)];
    files.into_iter().find_map(|file| {
        let opened = OpenOptions::new().read(true).write(true).open(&file);
        opened.err().filter(|error| error.kind() != ErrorKind::NotFound).map(|error| (file, error))
    })
}

/// Why a file cannot be opened, and what to do where it is a matter of rights.
pub fn refused(file: &Path, error: &std::io::Error) -> BrokerError {
    if room::is_for_want_of_room(error) {
        return room::cannot_be_opened(file);
    }
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
