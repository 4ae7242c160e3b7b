//! The binary: parse, dispatch, exit code.

use std::process::ExitCode;

/// A quarter less processor time an event than the system's allocator: records are made by one thread and freed by
/// another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pathway_router::cli::main()
}
