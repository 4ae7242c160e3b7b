//! A request's body: no larger and no slower than allowed, in one of the media types a route takes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::Gateway;
use super::caller::Presented;
use super::problem::Problem;
use super::share::{Shares, TokenHash};

/// The time a sender has for its whole body.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// What of a body is held without asking: nearly every event is smaller.
const SMALL_BYTES: usize = 64 << 10;
/// Bodies larger than that which are read at once; the others wait for their turn.
const LARGE_MAX: usize = 64;
/// What is larger is judged beside the threads that answer everybody: of so much a thousand things may be wrong.
const JUDGED_HERE_BYTES: usize = 16 << 10;
/// So many at once; the others wait for their turn.
const JUDGED_BESIDE_MAX: usize = 4;
/// So many of them of one token: who sends much holds up nobody else.
const JUDGED_OF_ONE_TOKEN_MAX: usize = 2;
/// What of a body that is only looked through is held from one piece to the next: more than what is looked for is long.
const OVERLAP_BYTES: usize = 256;

/// The places of large bodies. Of those of one token no more are read or wait than its share: who sends many and ends none
/// holds up nobody else.
pub struct LargeBodies {
    places: Semaphore,
    judged: Arc<Semaphore>,
    /// The places of each token that ever had one, of those that are judged.
    judged_of: Mutex<BTreeMap<TokenHash, Arc<Semaphore>>>,
    shares: Mutex<Shares>,
}

/// A place, given back when dropped.
struct Turn<'a> {
    large: &'a LargeBodies,
    token: TokenHash,
    /// None: it waits for its turn.
    place: Option<SemaphorePermit<'a>>,
}

impl Default for LargeBodies {
    fn default() -> Self {
        let [places, judged] = [LARGE_MAX, JUDGED_BESIDE_MAX].map(Semaphore::new);
        Self { places, judged: Arc::new(judged), judged_of: Mutex::default(), shares: Mutex::default() }
    }
}

impl LargeBodies {
    async fn turn(&self, token: &Presented) -> Result<Turn<'_>, Problem> {
        self.shares().take(token.hash(), LARGE_MAX).map_err(|over| token.too_many_large(over))?;
        let mut turn = Turn { large: self, token: token.hash(), place: None };
        // It is never closed: there is a place in the end.
        turn.place = self.places.acquire().await.ok();
        Ok(turn)
    }

    /// A place among those that are judged, first among its token's own.
    async fn judged_place(&self, token: &Presented) -> [Option<OwnedSemaphorePermit>; 2] {
        let own = {
            let mut all = self.judged_of.lock().unwrap_or_else(PoisonError::into_inner);
            let own = all.entry(token.hash()).or_insert_with(|| Arc::new(Semaphore::new(JUDGED_OF_ONE_TOKEN_MAX)));
            Arc::clone(own)
        };
        // They are never closed: there is a place in the end.
        [own.acquire_owned().await.ok(), Arc::clone(&self.judged).acquire_owned().await.ok()]
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.large.shares().give_back(&self.token);
    }
}

/// Judges what was read of a body of so many bytes.
pub async fn judged<T: Send + 'static>(
    gateway: &Gateway,
    token: &Presented,
    bytes: usize,
    judge: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    if bytes <= JUDGED_HERE_BYTES {
        return Ok(judge());
    }
    let place = gateway.large_bodies.judged_place(token).await;
    let judge = move || {
        // Whoever sent it may be gone: the place is taken until it is judged all the same.
        let _place = place;
        judge()
    };
    tokio::task::spawn_blocking(judge).await.map_err(|_| Problem::internal("The body could not be judged."))
}

/// What was read of a body.
pub enum Read {
    Whole(Vec<u8>),
    /// Larger than allowed: its first bytes.
    TooLarge(Vec<u8>),
}

/// Why a body was not read, and what there is of it all the same.
pub struct Unread {
    problem: Problem,
    came: Vec<u8>,
    /// None: what comes of it was waited for long enough.
    rest: Option<BodyDataStream>,
}

impl Unread {
    /// The problem, and whether what came or comes of the body holds what is looked for.
    pub async fn looked_through(
        self,
        bytes_max: usize,
        wait: Duration,
        is_held: impl Fn(&[u8]) -> bool,
    ) -> (Problem, bool) {
        let Self { problem, came, rest } = self;
        if is_held(&came) {
            return (problem, true);
        }
        let holds = match rest {
            Some(rest) => comes_to_hold(came, rest, bytes_max, wait, is_held).await,
            None => false,
        };
        (problem, holds)
    }
}

impl From<Unread> for Problem {
    fn from(unread: Unread) -> Self {
        unread.problem
    }
}

/// Reads a body of at most `bytes_max`.
pub async fn read(gateway: &Gateway, token: &Presented, body: Body, bytes_max: usize) -> Result<Read, Unread> {
    let (mut bytes, mut chunks) = (Vec::new(), body.into_data_stream());
    let collected = collect(&gateway.large_bodies, token, &mut chunks, bytes_max, &mut bytes);
    match tokio::time::timeout(BODY_WAIT, collected).await {
        Ok(Ok(true)) => Ok(Read::Whole(bytes)),
        Ok(Ok(false)) => Ok(Read::TooLarge(bytes)),
        Ok(Err(problem)) => Err(Unread { problem, came: bytes, rest: Some(chunks) }),
        Err(_) => Err(Unread { problem: Problem::body_timeout(), came: bytes, rest: None }),
    }
}

/// Whether what comes of a body within a time, and at most so much, holds what is looked for. Next to nothing of it is held,
/// for whoever sends it may be anybody.
pub async fn holds(body: Body, bytes_max: usize, wait: Duration, is_held: impl Fn(&[u8]) -> bool) -> bool {
    comes_to_hold(Vec::new(), body.into_data_stream(), bytes_max, wait, is_held).await
}

/// The same of a body of which some came already, and was looked through.
async fn comes_to_hold(
    came: Vec<u8>,
    mut chunks: BodyDataStream,
    bytes_max: usize,
    wait: Duration,
    is_held: impl Fn(&[u8]) -> bool,
) -> bool {
    let search = async {
        let (mut read, mut window) = (came.len(), came);
        window.drain(..window.len().saturating_sub(OVERLAP_BYTES));
        while let Some(Ok(chunk)) = chunks.next().await {
            read = read.saturating_add(chunk.len());
            window.extend_from_slice(&chunk);
            if is_held(&window) {
                return true;
            }
            if read >= bytes_max {
                return false;
            }
            window.drain(..window.len().saturating_sub(OVERLAP_BYTES));
        }
        false
    };
    tokio::time::timeout(wait, search).await.unwrap_or(false)
}

/// As `read`, for routes that keep nothing of what is too large.
pub async fn read_whole(
    gateway: &Gateway,
    token: &Presented,
    body: Body,
    bytes_max: usize,
) -> Result<Vec<u8>, Problem> {
    match read(gateway, token, body, bytes_max).await? {
        Read::Whole(bytes) => Ok(bytes),
        Read::TooLarge(_) => Err(Problem::too_large(bytes_max, "Nothing of it was kept.")),
    }
}

/// True: that is all of it.
async fn collect(
    large: &LargeBodies,
    token: &Presented,
    chunks: &mut BodyDataStream,
    bytes_max: usize,
    bytes: &mut Vec<u8>,
) -> Result<bool, Problem> {
    let mut turn = None;
    while let Some(chunk) = chunks.next().await {
        let chunk: Bytes = chunk
            .map_err(|_| Problem::bad_request("broken-body", "The body ended early. Send it again.", Vec::new()))?;
        let room = bytes_max.saturating_sub(bytes.len()).min(chunk.len());
        let (kept, rest) = chunk.split_at(room);
        let is_large = bytes.len() + chunk.len() > SMALL_BYTES;
        bytes.extend_from_slice(kept);
        if turn.is_none() && is_large {
            turn = Some(large.turn(token).await?);
        }
        if !rest.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The media type without its parameters, in small letters; empty if there is none.
pub fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Refuses what is not JSON.
pub fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = media_type(headers);
    if media_type == "application/json" || media_type.ends_with("+json") {
        Ok(())
    } else {
        Err(Problem::unsupported_media_type("application/json"))
    }
}
