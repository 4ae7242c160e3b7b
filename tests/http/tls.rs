//! TLS: refused without it where others can reach, and served with it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use pathway_router::broker::memory::{Memory, MemoryOptions};
use pathway_router::broker::{Broker, system_clock};
use pathway_router::config::first_start::{config_file, first_start};
use pathway_router::config::{Config, Tls};
use pathway_router::http::Gateway;
use pathway_router::http::server::{HttpError, start};
use pathway_router::telemetry::metrics::Metrics;
use pathway_router::telemetry::readiness::Readiness;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::kit::House;

#[test]
fn an_address_others_can_reach_is_refused_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    first_start(folder.path()).unwrap();
    let mut config = Config::load(&config_file(folder.path())).unwrap();
    config.http.bind = "0.0.0.0:0".parse().unwrap();
    let broker = Memory::new(MemoryOptions::default());
    let metrics = Arc::new(Metrics::new().unwrap());
    let gateway = Gateway::new(
        &config,
        Default::default(),
        broker.publisher(),
        broker.reader(),
        metrics,
        Arc::new(Readiness::default()),
        system_clock(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let started = runtime.block_on(start(gateway, &config.http));
    assert!(matches!(started, Err(HttpError::NeedsTls { .. })));
}

#[test]
fn with_tls_the_routes_are_served_over_it_and_not_beside_it() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/tls");
    let files =
        Tls { certificate: format!("{folder}/certificate.pem").into(), key: format!("{folder}/key.pem").into() };
    let certificate = files.certificate.clone();
    let house = House::with(MemoryOptions::default(), |config| {
        config.http.bind = "0.0.0.0:0".parse().unwrap();
        config.http.tls = Some(files);
    });
    let port = house.base().rsplit(':').next().unwrap().parse().unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut session = rustls::ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
    let mut socket = connect(port);
    let mut answer = String::new();
    let mut secured = rustls::Stream::new(&mut session, &mut socket);
    secured.write_all(request).unwrap();
    secured.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("\npathway_tls_certificate_ends_seconds 4128254587\n"),
        "when the certificate ends: {answer}"
    );

    let mut socket = connect(port);
    let mut plain = Vec::new();
    let _ = socket.write_all(request).and_then(|()| socket.read_to_end(&mut plain));
    assert!(!plain.starts_with(b"HTTP"), "nothing is answered in the clear");
}

#[test]
fn a_key_that_cannot_be_used_is_named_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    first_start(folder.path()).unwrap();
    let mut config = Config::load(&config_file(folder.path())).unwrap();
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/tls");
    let missing = folder.path().join("no-key.pem");
    config.http.bind = "127.0.0.1:0".parse().unwrap();
    config.http.tls = Some(Tls { certificate: format!("{own}/certificate.pem").into(), key: missing });
    let broker = Memory::new(MemoryOptions::default());
    let gateway = Gateway::new(
        &config,
        Default::default(),
        broker.publisher(),
        broker.reader(),
        Arc::new(Metrics::new().unwrap()),
        Arc::new(Readiness::default()),
        system_clock(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Err(error) = runtime.block_on(start(gateway, &config.http)) else { panic!("it is served") };
    let told = error.to_string();
    assert!(told.contains("certificate.pem") && told.contains("no-key.pem"), "{told}");
}

fn connect(port: u16) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}
