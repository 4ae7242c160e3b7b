//! The listener: TLS, connection limit, header timeout, graceful drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tower::Service;

use super::Gateway;
use crate::config::{Http, Tls};
use crate::telemetry::metrics::Metrics;

/// The time a client has for a request's headers; also how long an idle connection is kept.
const HEADER_WAIT: Duration = Duration::from_secs(30);

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error(
        "{address} can be reached by others and needs TLS: name tls_certificate_file and tls_key_file under [http]"
    )]
    NeedsTls { address: SocketAddr },
    #[error("cannot listen on {address}: {reason}; stop what listens there, or set another `bind` under [http]{file}")]
    Bind { address: SocketAddr, reason: String, file: String },
    #[error("the TLS certificate or key cannot be used: {0}; both must be PEM files")]
    Tls(String),
}

/// A server that answers.
pub struct Running {
    address: SocketAddr,
    gateway: Arc<Gateway>,
    handle: Handle<SocketAddr>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Where it listens: the real port when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, ends long polls and streams, and waits for the requests in flight, but no longer than allowed.
    pub async fn stop(self) {
        self.gateway.stopping.send_replace(true);
        self.handle.graceful_shutdown(Some(self.gateway.limits.drain));
        if let Ok(Err(error)) = self.served.await {
            tracing::warn!(%error, "the HTTP server ended badly");
        }
    }
}

/// Listens and serves in the background. Needs a tokio runtime.
pub async fn start(gateway: Arc<Gateway>, settings: &Http) -> Result<Running, HttpError> {
    let address = settings.bind;
    if settings.tls.is_none() && !address.ip().is_loopback() {
        return Err(HttpError::NeedsTls { address });
    }
    let file = match gateway.config_file.as_os_str().is_empty() {
        true => String::new(),
        false => format!(" in {}", gateway.config_file.display()),
    };
    let bind_fault = |error: std::io::Error| HttpError::Bind { address, reason: error.to_string(), file: file.clone() };
    let listener = std::net::TcpListener::bind(address).map_err(bind_fault)?;
    let address = listener.local_addr().map_err(bind_fault)?;
    let handle = Handle::new();
    let connections = Connections {
        router: super::router(gateway.clone()),
        room: Arc::new(Semaphore::new(gateway.limits.connections)),
        metrics: gateway.metrics.clone(),
    };
    let mut server = axum_server::from_tcp(listener).map_err(bind_fault)?.handle(handle.clone()).http1_only();
    server.http_builder().http1().header_read_timeout(HEADER_WAIT);
    let server = server.first_request_timeout(HEADER_WAIT);
    let served = match &settings.tls {
        Some(tls) => {
            let tls = load_tls(tls).await?;
            tokio::spawn(server.acceptor(axum_server::tls_rustls::RustlsAcceptor::new(tls)).serve(connections))
        }
        None => tokio::spawn(server.serve(connections)),
    };
    Ok(Running { address, gateway, handle, served })
}

async fn load_tls(files: &Tls) -> Result<RustlsConfig, HttpError> {
    // A second call finds the provider in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let loaded = RustlsConfig::from_pem_file(&files.certificate, &files.key)
        .await
        .map_err(|error| HttpError::Tls(error.to_string()))?;
    let mut settings = (*loaded.get_inner()).clone();
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    loaded.reload_from_config(Arc::new(settings));
    Ok(loaded)
}

/// Makes the service of each new connection, or refuses it when there are too many.
#[derive(Clone)]
struct Connections {
    router: Router,
    room: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Service<SocketAddr> for Connections {
    type Response = Connection;
    type Error = std::io::Error;
    type Future = std::future::Ready<Result<Connection, std::io::Error>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _peer: SocketAddr) -> Self::Future {
        let place = self.room.clone().try_acquire_owned().map_err(|_| std::io::Error::other("too many connections"));
        std::future::ready(place.map(|permit| {
            self.metrics.http_connection_opened();
            let place = Place { _permit: permit, metrics: self.metrics.clone() };
            Connection { router: self.router.clone(), _place: Arc::new(place) }
        }))
    }
}

/// A connection's place among those allowed, given back when it ends.
struct Place {
    _permit: OwnedSemaphorePermit,
    metrics: Arc<Metrics>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.http_connection_closed();
    }
}

/// One connection's service.
#[derive(Clone)]
struct Connection {
    router: Router,
    _place: Arc<Place>,
}

impl<B> Service<Request<B>> for Connection
where
    Router: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = <Router as Service<Request<B>>>::Error;
    type Future = <Router as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<B>>::poll_ready(&mut self.router, context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.router.call(request)
    }
}
