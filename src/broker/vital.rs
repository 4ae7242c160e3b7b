//! Threads that nobody can do without, and nobody starts again: if one panics the process ends, and whoever looks after it starts
//! another. A router that went on would look well and not do its work; what was accepted is kept, as at any end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use super::BrokerError;

/// Starts one. Its name stands in the log.
pub fn spawn(name: &'static str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, BrokerError> {
    let guarded = move || {
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            tracing::error!(thread = name, "it panicked, and the router cannot do without it: the process ends");
            std::process::abort();
        }
    };
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(guarded);
    spawned.map_err(|error| BrokerError::Storage(format!("thread {name} could not be started: {error}")))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    #[test]
    #[ignore = "the process that ends, run by the test below"]
    fn a_process_whose_thread_panics() {
        let thread = super::spawn("vital", || panic!("made to"));
        let _ = thread.unwrap().join();
        std::process::exit(0);
    }

    #[test]
    fn a_panic_ends_the_process() {
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "broker::vital::tests::a_process_whose_thread_panics"])
            .output()
            .unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(6), "{ended:?}");
    }
}
