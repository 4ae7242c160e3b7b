//! The streams that are open, by who reads them: how many there may be, and how many read the broker at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::share::{OverShare, TokenHash, Told};

/// Streams of one list and unit at once. More are refused.
pub const STREAMS_MAX: usize = 16;
/// Streams that read on at once: what each holds meanwhile is more than what it keeps.
const READING_MAX: usize = 4;

pub struct Streams {
    open: Mutex<BTreeMap<String, usize>>,
    told: Mutex<Told>,
    reading: Semaphore,
}

impl Default for Streams {
    fn default() -> Self {
        Self { open: Mutex::default(), told: Mutex::default(), reading: Semaphore::new(READING_MAX) }
    }
}

/// An open stream's place, given back when dropped.
pub struct StreamPlace {
    streams: Arc<Streams>,
    reader: String,
}

impl Streams {
    /// `reader`: whose list it is, and of which unit.
    pub fn open(self: &Arc<Self>, reader: String, token: TokenHash) -> Result<StreamPlace, OverShare> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(reader.clone()).or_default();
        if *count >= STREAMS_MAX {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            return Err(OverShare { most: STREAMS_MAX, is_to_be_told: told.is_to_be_told(token) });
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
