//! The connections there may be at once. When all places are taken, the one that has been idle for longest makes room:
//! whoever opens many and has no token shuts nobody out, however slowly it asks.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::server::Connection;
use super::share::{OverShare, Shares, TokenHash};
use crate::telemetry::metrics::Metrics;

/// Connections that another's coming closes, and that are not closed yet: some, so that a rush does not wait for each.
const LEAVING_MAX: usize = 16;

pub struct House {
    connections_max: usize,
    places: Mutex<Places>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Places {
    next: u64,
    held: BTreeMap<u64, Held>,
    /// Those whose place another took, and that are not closed yet.
    leaving: BTreeSet<u64>,
    /// Requests being answered, by the token they came with.
    answering: Shares,
}

struct Held {
    /// Requests with a token, whose answer is not sent yet.
    answering: usize,
    has_shown_token: bool,
    /// Since it came, or its last answer was sent. Whoever shows no token is idle all the while: its body may never end.
    idle_since: Instant,
    /// Its last request was for a stream.
    is_stream: bool,
    /// Dropped: the connection is closed.
    _open: oneshot::Sender<()>,
}

/// A connection's place, given back when dropped.
pub struct Place {
    house: Arc<House>,
    number: u64,
    /// Whoever reads from the connection takes it.
    closed: Mutex<Option<oneshot::Receiver<()>>>,
}

/// A request that is being answered. Its connection is not idle once the request's token was accepted.
pub struct Answering {
    place: Arc<Place>,
    token: OnceLock<TokenHash>,
}

impl House {
    pub fn new(connections_max: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { connections_max, places: Mutex::default(), metrics })
    }

    /// None: every connection is answering somebody with a token.
    pub fn enter(self: &Arc<Self>) -> Option<Place> {
        let (open, closed) = oneshot::channel();
        let mut places = self.places();
        if places.held.len() >= self.connections_max {
            let idlest = places.idlest()?;
            places.held.remove(&idlest);
            places.leaving.insert(idlest);
            self.metrics.http_connection_made_room();
        }
        let number = places.next;
        places.next = number.wrapping_add(1);
        places.held.insert(
            number,
            Held { answering: 0, has_shown_token: false, idle_since: Instant::now(), is_stream: false, _open: open },
        );
        self.metrics.http_connection_opened();
        Some(Place { house: self.clone(), number, closed: Mutex::new(Some(closed)) })
    }

    /// Whether so many are on their way out that the next had better wait a moment: each has its file descriptor still.
    pub fn is_crowded(&self) -> bool {
        self.places().leaving.len() >= LEAVING_MAX
    }

    /// Closes what streams were asked on, also where their client does not read.
    pub fn close_streams(&self) {
        self.places().held.retain(|_, held| !held.is_stream);
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// Of those that answer nobody with a token: one that never showed a token before one that did.
    fn idlest(&self) -> Option<u64> {
        let idle = self.held.iter().filter(|(_, held)| held.answering == 0);
        idle.min_by_key(|(_, held)| (held.has_shown_token, held.idle_since)).map(|(number, _)| *number)
    }
}

impl Place {
    /// Until what this answers is dropped.
    pub fn answering(self: &Arc<Self>) -> Arc<Answering> {
        if let Some(held) = self.house.places().held.get_mut(&self.number) {
            held.is_stream = false;
        }
        Arc::new(Answering { place: self.clone(), token: OnceLock::new() })
    }
}

impl Answering {
    /// The answer goes on until one of the two ends it.
    pub fn streams(&self) {
        if let Some(held) = self.place.house.places().held.get_mut(&self.place.number) {
            held.is_stream = true;
        }
    }

    /// From here on its place is its own, unless the token has more than its share.
    pub fn accept_token(&self, token: TokenHash) -> Result<(), OverShare> {
        let mut places = self.place.house.places();
        let places = &mut *places;
        let Some(held) = places.held.get_mut(&self.place.number) else { return Ok(()) };
        held.has_shown_token = true;
        places.answering.take(token, self.place.house.connections_max)?;
        if self.token.set(token).is_ok() {
            held.answering += 1;
        } else {
            places.answering.give_back(&token);
        }
        Ok(())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let token = self.token.get();
        let mut places = self.place.house.places();
        if let Some(held) = places.held.get_mut(&self.place.number) {
            held.answering = held.answering.saturating_sub(usize::from(token.is_some()));
            held.idle_since = Instant::now();
        }
        if let Some(token) = token {
            places.answering.give_back(token);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.house.places();
        places.held.remove(&self.number);
        places.leaving.remove(&self.number);
        drop(places);
        self.house.metrics.http_connection_closed();
    }
}

/// Lets a connection in through what closes it once its place is another's.
#[derive(Clone)]
pub struct Door;

impl Accept<TcpStream, Connection> for Door {
    type Stream = Leaving;
    type Service = Connection;
    type Future = Ready<io::Result<(Leaving, Connection)>>;

    fn accept(&self, stream: TcpStream, service: Connection) -> Self::Future {
        let closed = service.place.closed.lock().unwrap_or_else(PoisonError::into_inner).take();
        ready(Ok((Leaving { stream, closed }, service)))
    }
}

/// A connection that ends when its place is given to another, also while it is answered without a token.
pub struct Leaving {
    stream: TcpStream,
    /// None: it has left.
    closed: Option<oneshot::Receiver<()>>,
}

impl Leaving {
    /// An error once its place is another's.
    fn stays(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let has_left = self.closed.as_mut().is_none_or(|closed| Pin::new(closed).poll(context).is_ready());
        if has_left {
            self.closed = None;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl AsyncRead for Leaving {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stays(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Leaving {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stays(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stays(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
