//! The connections there may be at once. When all places are taken, the one that has been idle for longest makes room:
//! whoever opens many and asks nothing shuts nobody out.

use std::collections::BTreeMap;
use std::future::{Future, Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::server::Connection;
use crate::telemetry::metrics::Metrics;

pub struct House {
    connections_max: usize,
    places: Mutex<Places>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Places {
    next: u64,
    held: BTreeMap<u64, Held>,
}

struct Held {
    /// Requests whose answer is not sent yet.
    answering: usize,
    has_asked: bool,
    /// Since it came, or its last answer was sent.
    idle_since: Instant,
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

/// A request that is being answered: its connection is not idle.
pub struct Answering(Arc<Place>);

impl House {
    pub fn new(connections_max: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { connections_max, places: Mutex::default(), metrics })
    }

    /// None: every connection is being answered.
    pub fn enter(self: &Arc<Self>) -> Option<Place> {
        let (open, closed) = oneshot::channel();
        let mut places = self.places();
        if places.held.len() >= self.connections_max {
            let idlest = places.idlest()?;
            places.held.remove(&idlest);
            self.metrics.http_connection_made_room();
        }
        let number = places.next;
        places.next = number.wrapping_add(1);
        places.held.insert(number, Held { answering: 0, has_asked: false, idle_since: Instant::now(), _open: open });
        self.metrics.http_connection_opened();
        Some(Place { house: self.clone(), number, closed: Mutex::new(Some(closed)) })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// Of those that are not being answered: one that never asked before one that did.
    fn idlest(&self) -> Option<u64> {
        let idle = self.held.iter().filter(|(_, held)| held.answering == 0);
        idle.min_by_key(|(_, held)| (held.has_asked, held.idle_since)).map(|(number, _)| *number)
    }
}

impl Place {
    /// Until what this answers is dropped.
    pub fn answering(self: &Arc<Self>) -> Answering {
        if let Some(held) = self.house.places().held.get_mut(&self.number) {
            held.has_asked = true;
            held.answering += 1;
        }
        Answering(self.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(held) = self.0.house.places().held.get_mut(&self.0.number) {
            held.answering = held.answering.saturating_sub(1);
            held.idle_since = Instant::now();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.house.places().held.remove(&self.number);
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

/// A connection that ends when its place is given to another. Nobody writes to it then: it is idle.
pub struct Leaving {
    stream: TcpStream,
    /// None: it has left.
    closed: Option<oneshot::Receiver<()>>,
}

impl AsyncRead for Leaving {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let has_left = self.closed.as_mut().is_none_or(|closed| Pin::new(closed).poll(context).is_ready());
        if has_left {
            self.closed = None;
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Leaving {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
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
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
