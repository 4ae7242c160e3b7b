//! The streams that are open, by who reads them: how many there may be, and how many read the broker at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::problem::Problem;

/// Streams of one list and unit at once. More are refused.
pub const STREAMS_MAX: usize = 16;
/// Streams that read on at once: what each holds meanwhile is more than what it keeps.
const READING_MAX: usize = 4;
const RETRY_SECONDS: u32 = 30;

pub struct Streams {
    open: Mutex<BTreeMap<String, usize>>,
    reading: Semaphore,
}

impl Default for Streams {
    fn default() -> Self {
        Self { open: Mutex::default(), reading: Semaphore::new(READING_MAX) }
    }
}

/// An open stream's place, given back when dropped.
pub struct StreamPlace {
    streams: Arc<Streams>,
    reader: String,
}

impl Streams {
    /// `reader`: whose list it is, and of which unit.
    pub fn open(self: &Arc<Self>, reader: String) -> Result<StreamPlace, Problem> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(reader.clone()).or_default();
        if *count >= STREAMS_MAX {
            let detail = format!(
                "{STREAMS_MAX} streams of this list are open, as many as there may be. Close those that nobody reads, or \
                 read one and share it."
            );
            let (status, kind, title) = (StatusCode::TOO_MANY_REQUESTS, "too-many-streams", "Too many streams at once");
            return Err(Problem::new(status, kind, title, detail).retry_after(RETRY_SECONDS));
        }
        *count += 1;
        Ok(StreamPlace { streams: self.clone(), reader })
    }
}

impl StreamPlace {
    /// None: nobody may read any longer.
    pub async fn reading(&self) -> Option<SemaphorePermit<'_>> {
        self.streams.reading.acquire().await.ok()
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.reader) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.reader);
            }
        }
    }
}
