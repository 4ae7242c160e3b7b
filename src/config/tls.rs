//! Whose certificates a client of ours trusts.

use std::path::Path;
use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// What Debian keeps the certificates of public authorities in.
const PUBLIC_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Trusts the certificates of a PEM file; None: those of the public authorities.
///
/// # Errors
/// What is wrong with the file, with its name.
pub fn trusting(authority_file: Option<&Path>) -> Result<TlsConfig, String> {
    let file = authority_file.unwrap_or(Path::new(PUBLIC_AUTHORITIES));
    let pem = std::fs::read(file).map_err(|error| format!("{} could not be read: {error}", file.display()))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            Ok(_) | Err(_) => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(format!("{} holds no PEM certificate", file.display()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates));
    Ok(config.unversioned_rustls_crypto_provider(provider).build())
}
