//! The listener: TLS, connection limit, header timeout, graceful drain.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use http_body_util::BodyExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::task::JoinHandle;
use tower::Service;

use super::house::{Door, House, Place};
use super::{Gateway, certificate};
use crate::config::{Http, Tls};
use crate::telemetry::metrics::Metrics;

/// The time a client has for a request's headers; also how long an idle connection is kept.
const HEADER_WAIT: Duration = Duration::from_secs(30);
/// What is held of a connection's bytes before anybody reads them: room for any request's headers.
const CONNECTION_BYTES: usize = 64 << 10;
/// The time that streams have at a stop to send what they have begun. What a client has not taken by then it asks for again.
const STREAMS_END: Duration = Duration::from_millis(500);

/// While many are being closed the next is let in after so many glances at the latest, whether they are or not.
const GLANCE: Duration = Duration::from_millis(2);
const GLANCES_MAX: u32 = 5;

/// That connections cannot be let in is said so often.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What `/readyz` calls a certificate that ends.
const CERTIFICATE: &str = "certificate";
const LOOK_AT_CERTIFICATE_EVERY: Duration = Duration::from_secs(3600);

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error(
        "{address} can be reached by others and needs TLS: name tls_certificate_file and tls_key_file under [http]"
    )]
    NeedsTls { address: SocketAddr },
    #[error("cannot listen on {address}: {reason}; stop what listens there, or set another `bind` under [http]{file}")]
    Bind { address: SocketAddr, reason: String, file: String },
    #[error("the TLS certificate {certificate} or its key {key} cannot be used: {reason}; {remedy}")]
    Tls { certificate: String, key: String, reason: String, remedy: &'static str },
}

/// A server that answers.
pub struct Running {
    address: SocketAddr,
    gateway: Arc<Gateway>,
    handle: Handle<SocketAddr>,
    house: Arc<House>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Where it listens: the real port when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, ends long polls and streams (cuts off those that are not read), and waits for the requests in flight, but no longer than allowed.
    pub async fn stop(self) {
        self.gateway.stopping.send_replace(true);
        self.handle.graceful_shutdown(Some(self.gateway.limits.drain));
        let mut served = self.served;
        let ended = match tokio::time::timeout(STREAMS_END.min(self.gateway.limits.drain), &mut served).await {
            Ok(ended) => ended,
            Err(_) => {
                self.house.close_streams();
                served.await
            }
        };
        if let Ok(Err(error)) = ended {
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
    let house = House::new(gateway.limits.connections, gateway.metrics.clone());
    let connections =
        Connections { router: super::router(gateway.clone()), house: house.clone(), pause: None, glances: 0 };
    let mut server = axum_server::from_tcp(listener).map_err(bind_fault)?.handle(handle.clone()).http1_only();
    server.http_builder().http1().header_read_timeout(HEADER_WAIT).max_buf_size(CONNECTION_BYTES);
    let failing = Failing { metrics: gateway.metrics.clone(), said_at: Mutex::default() };
    let server = server.first_request_timeout(HEADER_WAIT).accept_error_handler(move |peer, error| {
        // What has a peer was let in, and left or was refused.
        if peer.is_none() {
            failing.failed(error);
        }
    });
    let served = match &settings.tls {
        Some(tls) => {
            watch_certificate(&gateway, &tls.certificate);
            let tls = load_tls(tls).await?;
            tokio::spawn(server.acceptor(RustlsAcceptor::new(tls).acceptor(Door)).serve(connections))
        }
        None => tokio::spawn(server.acceptor(Door).serve(connections)),
    };
    Ok(Running { address, gateway, handle, house, served })
}

/// Connections that cannot be let in: counted, and said now and then.
struct Failing {
    metrics: Arc<Metrics>,
    said_at: Mutex<Option<Instant>>,
}

impl Failing {
    fn failed(&self, error: &std::io::Error) {
        self.metrics.troubles.accept_failed();
        let mut said_at = self.said_at.lock().unwrap_or_else(PoisonError::into_inner);
        if said_at.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            *said_at = Some(Instant::now());
            tracing::error!(
                %error,
                "a connection could not be let in: if too many files are open, raise the limit (LimitNOFILE= of a systemd unit) or lower \
                 `connections` under [limits]"
            );
        }
    }
}

/// Says when the certificate ends, and in `/readyz`, and once in the log, that it has not begun, has ended or ends soon: it is looked at now and every hour.
fn watch_certificate(gateway: &Gateway, file: &Path) {
    let validity = CertificateDer::from_pem_file(file).ok().and_then(|der| certificate::validity_of(&der));
    let Some(validity) = validity else { return };
    gateway.metrics.troubles.certificate_ends(validity.ends);
    let (readiness, clock, file) = (gateway.readiness.clone(), gateway.clock.clone(), file.to_owned());
    tokio::spawn(async move {
        loop {
            match certificate::problem(&file, validity, clock()) {
                Some(problem) if readiness.warn(CERTIFICATE, &problem) => {
                    tracing::warn!(problem, "the certificate that clients are shown");
                }
                Some(_) => {}
                // It counts by now.
                None => readiness.no_warning(CERTIFICATE),
            }
            tokio::time::sleep(LOOK_AT_CERTIFICATE_EVERY).await;
        }
    });
}

fn tls_fault(files: &Tls, reason: String) -> HttpError {
    let remedy = match reason.contains("KeyMismatch") {
        true => "the key is that of another certificate: name the two that belong together",
        false => "both must be PEM files that the router may read",
    };
    let [certificate, key] = [&files.certificate, &files.key].map(|file| file.display().to_string());
    HttpError::Tls { certificate, key, reason, remedy }
}

async fn load_tls(files: &Tls) -> Result<RustlsConfig, HttpError> {
    // A second call finds the provider in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let loaded = RustlsConfig::from_pem_file(&files.certificate, &files.key)
        .await
        .map_err(|error| tls_fault(files, error.to_string()))?;
    let mut settings = (*loaded.get_inner()).clone();
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    loaded.reload_from_config(Arc::new(settings));
    Ok(loaded)
}

/// Makes the service of each new connection, or refuses it when every other is answering somebody with a token.
struct Connections {
    router: Router,
    house: Arc<House>,
    /// Lets those that leave do so first.
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    glances: u32,
}

impl Service<SocketAddr> for Connections {
    type Response = Connection;
    type Error = std::io::Error;
    type Future = std::future::Ready<Result<Connection, std::io::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        while self.glances < GLANCES_MAX && self.house.is_crowded() {
            let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(GLANCE)));
            std::task::ready!(pause.as_mut().poll(context));
            self.pause = None;
            self.glances += 1;
        }
        (self.pause, self.glances) = (None, 0);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _peer: SocketAddr) -> Self::Future {
        let place = self.house.enter().ok_or_else(|| std::io::Error::other("too many connections"));
        std::future::ready(place.map(|place| Connection { router: self.router.clone(), place: Arc::new(place) }))
    }
}

/// One connection's service.
#[derive(Clone)]
pub struct Connection {
    router: Router,
    pub place: Arc<Place>,
}

type Answered<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<B> Service<Request<B>> for Connection
where
    Router: Service<Request<B>, Response = Response<Body>>,
    <Router as Service<Request<B>>>::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = <Router as Service<Request<B>>>::Error;
    type Future = Answered<Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<B>>::poll_ready(&mut self.router, context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let answering = self.place.answering();
        // Whoever reads the token tells it.
        request.extensions_mut().insert(answering.clone());
        let answer = self.router.call(request);
        Box::pin(async move {
            let response = answer.await?;
            // Held until the last of the body is sent.
            Ok(response.map(|body| {
                Body::new(body.map_err(move |error| {
                    let _ = &answering;
                    error
                }))
            }))
        })
    }
}
