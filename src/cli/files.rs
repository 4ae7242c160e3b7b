//! Reads the files a command names, and says plainly which one could not be read.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::CliError;
use crate::broker::embedded::files;

/// The whole of a text file, or of standard input for `-` or no path.
pub fn read_text(path: Option<&Path>) -> Result<String, CliError> {
    String::from_utf8(read_input(path)?).map_err(|error| {
        let sound = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(sound).filter(|byte| **byte == b'\n').count() + 1;
        let name = name_of(path);
        CliError::Usage(format!("{name}:{line}: could not be read: it is not UTF-8 there; save the file as UTF-8"))
    })
}

/// The same as it lies there, text or not.
pub fn read_input(path: Option<&Path>) -> Result<Vec<u8>, CliError> {
    let Some(path) = path.filter(|path| path.as_os_str() != "-") else {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|error| CliError::Usage(format!("standard input could not be read: {error}")))?;
        return Ok(bytes);
    };
    read_bytes(path)
}

/// Whether a file is there. An error where nobody can tell: its folder may not be entered, say.
pub fn is_there(file: &Path) -> Result<bool, CliError> {
    files::is_there(file).map_err(|error| unreadable(file, &error))
}

/// The whole of a file, as it lies there.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

/// What a person calls the input: its path, or `standard input`.
pub fn name_of(path: Option<&Path>) -> String {
    match path.filter(|path| path.as_os_str() != "-") {
        Some(path) => path.display().to_string(),
        None => "standard input".to_owned(),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    let remedy = match error.kind() {
        ErrorKind::PermissionDenied => {
            "; run this as the user that it, and its folder, belong to, or give both to the one that the router runs as (chown)"
        }
        _ => "",
    };
    CliError::Usage(format!("{} could not be read: {error}{remedy}", path.display()))
}

pub fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::failed(format!("{} could not be written: {error}", path.display()))
}
