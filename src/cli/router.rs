//! The router that a command works on: a running one over HTTP, or one that does not run, by its own file.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use ureq::http::Uri;
use ureq::tls::TlsConfig;
use zeroize::Zeroizing;

use super::CliError;
use super::files::read_text;
use super::local::LocalRouter;
use crate::config::tls::trusting;

/// How often a request is tried again while the router says that it is busy.
const TRIES_MAX: u32 = 8;
const WAIT_MAX: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(60);

/// Which router.
#[derive(clap::Args)]
pub struct RouterArguments {
    /// Address of a running router; without it the file of one that does not run is opened
    #[arg(long, value_name = "URL", requires = "token_file", conflicts_with = "config")]
    to: Option<String>,

    /// File that holds the operator's token, for --to
    #[arg(long, value_name = "T", requires = "to")]
    token_file: Option<PathBuf>,

    /// Certificates to trust for --to, if not those of the public authorities (PEM)
    #[arg(long, value_name = "FILE", requires = "to")]
    authority: Option<PathBuf>,

    /// Settings of the router whose file is opened
    #[arg(long, value_name = "FILE", default_value = "data/config.toml")]
    config: PathBuf,
}

/// A router that takes requests.
pub enum Router {
    Remote(RemoteRouter),
    Local(LocalRouter),
}

impl Router {
    pub fn of(arguments: &RouterArguments) -> Result<Self, CliError> {
        match (&arguments.to, &arguments.token_file) {
            (Some(to), Some(token)) => RemoteRouter::new(to, token, arguments.authority.as_deref()).map(Router::Remote),
            (Some(_), None) => Err(CliError::Usage("--to needs --token-file".to_owned())),
            (None, _) => LocalRouter::open(&arguments.config).map(Router::Local),
        }
    }

    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Answer, CliError> {
        match self {
            Router::Remote(router) => router.post(path, content_type, body),
            Router::Local(router) => router.call("POST", path, content_type, body),
        }
    }

    pub fn get(&self, path: &str) -> Result<Answer, CliError> {
        match self {
            Router::Remote(router) => router.get(path),
            Router::Local(router) => router.call("GET", path, "application/json", b""),
        }
    }
}

/// A router and the token to call it with.
pub struct RemoteRouter {
    agent: ureq::Agent,
    /// Without a slash at its end.
    address: String,
    authorization: Zeroizing<String>,
}

/// What the router answered.
pub struct Answer {
    pub status: u16,
    /// Null if it was not JSON.
    pub body: Value,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The router's own words for what went wrong: `title: detail`.
    pub fn problem(&self) -> String {
        let text = |name: &str| self.body.get(name).and_then(Value::as_str).unwrap_or_default();
        match (text("title"), text("detail")) {
            ("", "") => format!("the router answered {} without saying why", self.status),
            (title, detail) => format!("{title} ({}). {detail}", self.status),
        }
    }
}

impl RemoteRouter {
    /// `token_file` holds the token and nothing else. `authority_file`: certificates to trust, PEM.
    pub fn new(address: &str, token_file: &Path, authority_file: Option<&Path>) -> Result<Self, CliError> {
        let token = Zeroizing::new(read_text(Some(token_file))?);
        if token.trim().is_empty() || token.trim().contains(char::is_whitespace) {
            let file = token_file.display();
            return Err(CliError::Usage(format!("{file} must hold one token and nothing else")));
        }
        Self::with_token(address, &token, authority_file)
    }

    pub fn with_token(address: &str, token: &str, authority_file: Option<&Path>) -> Result<Self, CliError> {
        let usage = || CliError::Usage("--to must be an address like http://127.0.0.1:8080".to_owned());
        let uri: Uri = address.parse().map_err(|_| usage())?;
        let host = uri.host().ok_or_else(usage)?;
        let local = is_loopback(host);
        let mut config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT));
        match uri.scheme_str() {
            Some("http") if local => {}
            Some("http") => {
                let reason = "the token and the children's data would travel in the clear";
                return Err(CliError::Usage(format!("--to must begin with https:// for {host}: {reason}")));
            }
            Some("https") => config = config.tls_config(tls(authority_file)?),
            _ => return Err(usage()),
        }
        if local {
            config = config.proxy(None);
        }
        Ok(Self {
            agent: config.build().new_agent(),
            address: address.trim_end_matches('/').to_owned(),
            authorization: Zeroizing::new(format!("Bearer {}", token.trim())),
        })
    }

    /// Posts once, and again while the router is too busy to take it.
    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Answer, CliError> {
        self.retrying(|| {
            let url = format!("{}{path}", self.address);
            let request = self.agent.post(url).header("authorization", self.authorization.as_str());
            request.header("content-type", content_type).send(body)
        })
    }

    pub fn get(&self, path: &str) -> Result<Answer, CliError> {
        self.retrying(|| {
            let url = format!("{}{path}", self.address);
            self.agent.get(url).header("authorization", self.authorization.as_str()).call()
        })
    }

    fn unreached(&self, error: &ureq::Error) -> CliError {
        let error = error.to_string();
        let remedy = remedy(&self.address, &error);
        CliError::failed(format!("{} could not be reached: {error}{remedy}", self.address))
    }

    fn retrying(
        &self,
        request: impl Fn() -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer, CliError> {
        let mut tries = 1;
        loop {
            let response = request();
            let mut response = response.map_err(|error| self.unreached(&error))?;
            let status = response.status().as_u16();
            if matches!(status, 429 | 503) && tries < TRIES_MAX {
                let asked = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
                thread::sleep(Duration::from_secs(asked.unwrap_or(1)).min(WAIT_MAX));
                tries += 1;
                continue;
            }
            let body = response.body_mut().read_to_vec().unwrap_or_default();
            return Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or_default() });
        }
    }
}

/// What to do about a connection that failed, where its words tell.
fn remedy(address: &str, error: &str) -> &'static str {
    let error = error.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| error.contains(word));
    if says(&["connection refused"]) {
        return "; nothing listens there: start the router, or name the address that its log gives";
    }
    if address.starts_with("https:") && says(&["causedasendentity"]) {
        return "; its certificate is an authority's, made to sign others (CA:TRUE), and may not be a server's own: give the router one without \
                that (`openssl req -x509 … -addext basicConstraints=critical,CA:FALSE`), and restart it";
    }
    if address.starts_with("https:") && says(&["unknownissuer", "unknown issuer", "selfsigned", "self-signed"]) {
        return "; nobody that is trusted here signed its certificate: name that certificate, or its authority's, with --authority";
    }
    if address.starts_with("https:") && says(&["certificate expired", "certificate: expired", "expiredcontext"]) {
        return "; its certificate has ended: a renewed one is to be put in its place, and the router restarted";
    }
    if address.starts_with("https:") && says(&["not valid yet", "notvalidyet"]) {
        return "; its certificate does not count yet: one that does is to be put in its place, and the router restarted, unless this machine's clock is behind";
    }
    if address.starts_with("https:") && says(&["notvalidforname", "not valid for name"]) {
        return "; its certificate is for another name: write the address with the name that it bears";
    }
    if address.starts_with("https:") && says(&["corrupt message", "invalidcontenttype", "invalidmessage"]) {
        return "; it seems to speak no TLS: if it is on this machine, begin the address with http://";
    }
    if address.starts_with("http:")
        && says(&["http version", "http parse", "protocol", "disconnect", "closed", "reset", "token"])
    {
        return "; if it serves TLS, begin the address with https://";
    }
    ""
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn tls(authority_file: Option<&Path>) -> Result<TlsConfig, CliError> {
    trusting(authority_file).map_err(|problem| {
        CliError::Usage(format!("{problem}; name the router's certificate authority with --authority"))
    })
}

#[cfg(test)]
mod tests {
    use super::remedy;

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_in_plain_words() {
        let told = |error: &str| remedy("https://router:8443", &format!("invalid peer certificate: {error}"));
        let authority = told("Other(OtherError(CaUsedAsEndEntity))");
        assert!(authority.contains("may not be a server's own") && authority.contains("CA:FALSE"), "{authority}");
        assert!(!authority.contains("--authority"), "to trust it helps nobody: {authority}");
        assert!(told("UnknownIssuer").contains("--authority"));
        assert!(told("Expired").contains("renewed"), "{}", told("Expired"));
        let early = told("certificate not valid yet: verification time 1 (UNIX), but certificate is not valid until 2");
        assert!(early.contains("does not count yet"), "{early}");
    }
}
