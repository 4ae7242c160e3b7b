//! Logs: what happened to the router, never to a child. Fields are codes, counts, offsets and names from the
//! configuration; no identifier, name, narrative or token.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How a log line looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// How much is logged: `error`, `warn`, `info`, `debug` or `trace`.
pub type LogLevel = tracing::level_filters::LevelFilter;

/// Starts logging to standard error. The variable `PATHWAY_LOG` (a level) overrides `level`. A second call changes
/// nothing, so tests and `demo` may call it freely.
pub fn start(format: LogFormat, level: LogLevel) {
    install(format, level, std::io::stderr);
}

/// As `start`, into memory: for the tests that search every log line.
pub fn start_captured(level: LogLevel) -> Captured {
    let captured = Captured::default();
    let writer = captured.clone();
    install(LogFormat::Json, level, move || writer.clone());
    captured
}

fn install<W>(format: LogFormat, level: LogLevel, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level = std::env::var("PATHWAY_LOG").ok().and_then(|text| text.parse().ok()).unwrap_or(level);
    // Libraries below us log what they parse, headers and tokens too, at `debug` and `trace`: they stay at `warn`.
    let filter = EnvFilter::new(format!("warn,pathway_router={level}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    // A log that cannot be written (its disk is full) must not end the router.
    let builder = builder.log_internal_errors(false);
    let installed = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // Someone else's subscriber is already in place: theirs goes on.
    drop(installed);
    quiet_panics();
}

/// Panics say where, never what: their messages may quote the record that caused them.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(%thread, %place, "panic");
    }));
}

/// Log lines kept in memory.
#[derive(Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
