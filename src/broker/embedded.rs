//! The embedded broker: a durable single-node log in one SQLite file.
//!
//! One thread writes and syncs (`writer`), one empties the write-ahead log (`checkpoint`); lanes and readers each
//! read through connections of their own. What is acknowledged was synced first.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub use self::copy::backup;
use self::publisher::{EmbeddedPublisher, QueueLimits};
use self::reader::EmbeddedReader;
use self::shared::{Shared, locked};
use self::writer::Request;
use super::vital;
use super::{
    Broker, BrokerError, Clock, Health, LaneBroker, LanePlan, LaneShare, Publisher, Reader, TopicSpec, system_clock,
};

mod append;
mod catalogue;
mod checkpoint;
mod compaction;
mod copy;
pub mod files;
mod identity;
mod in_place;
mod lane;
pub(super) mod layout;
mod lock;
mod publisher;
mod reader;
mod retention;
mod rights;
mod room;
mod shared;
mod topics;
mod writer;

/// How a file is opened.
#[derive(Clone)]
pub struct EmbeddedOptions {
    pub path: PathBuf,
    pub clock: Clock,
    /// Publications that may wait for the writer; beyond, the answer is `Busy`.
    pub queue_requests_max: usize,
    pub queue_bytes_max: usize,
    /// The file is never larger than this; None: as large as the disk allows.
    pub file_bytes_max: Option<u64>,
    pub expected: Expected,
    /// What the file belongs to (`subject key`) and its fingerprint: noted in a file that has none, and a file that
    /// has another is refused.
    pub belongs_to: Vec<(&'static str, String)>,
}

/// What must be found under the file's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// A file that was written before: none, or an empty one, is refused.
    File,
    /// Nothing, or an empty file: one that was written before is refused.
    Nothing,
    Either,
}

impl EmbeddedOptions {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            clock: system_clock(),
            queue_requests_max: 20_000,
            queue_bytes_max: 64 << 20,
            file_bytes_max: None,
            expected: Expected::Either,
            belongs_to: Vec::new(),
        }
    }
}

/// The log in one file. Closed by `close`, else when dropped.
pub struct Embedded {
    shared: Arc<Shared>,
    requests: Sender<Request>,
    limits: QueueLimits,
    reader: Arc<EmbeddedReader>,
    running: Mutex<Option<Running>>,
}

struct Running {
    writer: JoinHandle<()>,
    checkpoint: JoinHandle<()>,
    stop_checkpoint: Sender<()>,
}

impl Embedded {
    /// Opens the file, creating it when it is missing; its folder must exist. `InUse` when another process has it, `DiskFull` where there is no
    /// room to open it.
    pub fn open(options: EmbeddedOptions) -> Result<Self, BrokerError> {
        let EmbeddedOptions { clock, queue_requests_max, queue_bytes_max, file_bytes_max, .. } = options;
        let path = located(&options.path)?;
        if options.expected == Expected::File && !files::is_there(&path).map_err(|error| file_failed(&path, &error))? {
            return Err(identity::missing(&path, "is not there"));
        }
        let mut lock = lock::take(&path)?;
        let of_file = |error| rights::explained(&path, error);
        let connection = layout::open_writer(&path, file_bytes_max.map(layout::pages), options.expected);
        let connection = connection.map_err(of_file)?;
        identity::check(&connection, &path, &options.belongs_to)?;
        sync_folder(&path)?;
        let catalogue = topics::read(&connection).map_err(of_file)?;
        let shared = Arc::new(Shared::new(path.clone(), clock, catalogue));
        if room::is_short(&connection, &path) {
            tracing::error!(file = %path.display(), "the disk is full: nothing is accepted until there is room");
            shared.set_health(Health::DiskFull);
        }
        let (requests, received) = channel();
        let (stop_checkpoint, stopped) = channel();
        let checkpointing = layout::open_checkpointer(&path).map_err(of_file)?;
        // Before anyone writes, or empties the log.
        shared.log_holds.store(lock.log_in_use(), Ordering::Release);
        *locked(&shared.lock) = Some(lock);
        let for_writer = shared.clone();
        let writer = vital::spawn("log-writer", move || writer::run(&connection, &for_writer, &received))?;
        let for_checkpoint = shared.clone();
        let checkpoint =
            vital::spawn("log-checkpoint", move || checkpoint::run(&checkpointing, &for_checkpoint, &stopped))?;
        let reader = EmbeddedReader { shared: shared.clone(), idle: Mutex::default() };
        Ok(Self {
            shared,
            requests,
            limits: QueueLimits { requests_max: queue_requests_max, bytes_max: queue_bytes_max },
            reader: Arc::new(reader),
            running: Mutex::new(Some(Running { writer, checkpoint, stop_checkpoint })),
        })
    }

    /// Writes a whole, consistent copy to `path`, which must not exist, while the log stays in use.
    pub fn backup(&self, path: &Path) -> Result<(), BrokerError> {
        backup(&self.shared.path, path)
    }

    /// Changes how large the file may grow.
    pub fn limit_file_bytes(&self, bytes_max: Option<u64>) {
        let _ = self.requests.send(Request::LimitPages(bytes_max.map(layout::pages)));
    }
}

/// Whether a data file of ours is there, and was opened before: one that a start was killed over may be empty yet.
pub fn is_begun(path: &Path) -> bool {
    let objects = layout::open_reader(path).and_then(|connection| layout::objects_of_ours(&connection, path));
    objects.is_ok_and(|objects| objects > 0)
}

/// The file itself, where the path is a link to it. Refused where a log was left beside the link, as when the file alone was moved after
/// a crash: SQLite would not find it, and what was accepted last lies in it.
fn located(path: &Path) -> Result<PathBuf, BrokerError> {
    let file = files::real(path);
    let (left, place) = (files::log_beside(path), files::log_beside(&file));
    let is_left =
        file != path && left != place && files::metadata_of(&left).is_ok_and(|it| it.is_some_and(|it| it.len() > 0));
    if !is_left {
        return Ok(file);
    }
    let (link, left, place) = (path.display(), left.display(), place.display());
    Err(BrokerError::Mismatch(format!(
        "{link} is a link to {}, and {left} lies beside the link: what was accepted last may lie in it alone, and it is read beside the \
         file. Move it to {place}, unless there is one already, and start again",
        file.display()
    )))
}

fn file_failed(path: &Path, error: &std::io::Error) -> BrokerError {
    BrokerError::Storage(format!("{}: {error}", path.display()))
}

/// A new file's name is durable only once its folder is synced.
fn sync_folder(path: &Path) -> Result<(), BrokerError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| file_failed(folder, &error))
}

impl Broker for Embedded {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), BrokerError> {
        let (answer, answered) = sync_channel(1);
        let request = Request::Topics { topics: topics.to_vec(), answer };
        self.requests.send(request).map_err(|_| BrokerError::Stopping)?;
        answered.recv().map_err(|_| BrokerError::Stopping)?
    }

    fn lane(&self, plan: LanePlan, share: LaneShare) -> Result<Box<dyn LaneBroker>, BrokerError> {
        let lane = lane::EmbeddedLane::open(self.shared.clone(), self.requests.clone(), plan, share)?;
        Ok(Box::new(lane))
    }

    fn publisher(&self) -> Arc<dyn Publisher> {
        let (shared, requests) = (self.shared.clone(), self.requests.clone());
        Arc::new(EmbeddedPublisher { shared, requests, limits: self.limits })
    }

    fn reader(&self) -> Arc<dyn Reader> {
        self.reader.clone()
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn queued(&self) -> (usize, usize) {
        (self.shared.queued_requests.load(Ordering::Relaxed), self.limits.requests_max)
    }

    fn position(&self, group: &str, topic: &str, partition: u32) -> Result<Option<i64>, BrokerError> {
        let topic = self.shared.topic(topic)?;
        self.reader.lend(|connection| lane::position(connection, group, topic.id, partition))
    }

    fn delete_expired(&self) -> Result<u64, BrokerError> {
        let connection = layout::open_reader(&self.shared.path)?;
        retention::pass(&connection, &self.shared, &self.requests)
    }

    fn close(&self) {
        let Some(running) = locked(&self.running).take() else { return };
        let Running { writer, checkpoint, stop_checkpoint } = running;
        drop(stop_checkpoint);
        let _ = checkpoint.join();
        let _ = self.requests.send(Request::Close);
        let _ = writer.join();
        locked(&self.reader.idle).clear();
        // Let go of last.
        if let Some(mut lock) = locked(&self.shared.lock).take()
            && self.shared.log_written_back.load(Ordering::Acquire)
        {
            lock.log_written_back();
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}
