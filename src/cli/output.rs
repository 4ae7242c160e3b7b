//! Lines on standard output. A reader that has seen enough (`| head`) is no error.

use std::fmt::Display;
use std::io::{self, Write};

/// Prints one line; ends the process quietly when nobody reads any more.
pub fn line(text: impl Display) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}") {
        let gone = error.kind() == io::ErrorKind::BrokenPipe;
        if !gone {
            eprintln!("standard output cannot be written: {error}");
        }
        std::process::exit(i32::from(!gone));
    }
}

/// The same for what is done whether or not anybody reads.
pub fn told(text: impl Display) {
    // Whoever stopped reading is told nothing more, and what was begun goes on.
    let _ = writeln!(io::stdout().lock(), "{text}");
}
