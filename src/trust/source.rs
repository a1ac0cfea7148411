//! The source of certificates: one HTTPS request, bounded in time, size and redirects.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use reqwest::redirect;
use reqwest::{Client, ClientBuilder, Proxy};

use crate::mns::SigningCertUrl;
use crate::report::Report;
use crate::roots;
use crate::tls_error;
use crate::trust::InvalidCertificate;

/// The maximum size of a certificate, in bytes.
const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// Fetches certificates. This is a trait, so that tests can replace it and count the calls.
pub trait CertificateSource: Send + Sync {
    /// The bytes at an address, PEM or DER.
    ///
    /// # Errors
    /// A [`FetchError`]. The result arrives within the source's time limit.
    fn fetch<'a>(&'a self, url: &'a SigningCertUrl) -> Fetching<'a>;
}

/// A fetch under way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchError>> + Send + 'a>>;

/// Why there is no certificate. This proves nothing about the push, which can be neither accepted
/// nor refused permanently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No answer in time.
    #[error("the source did not answer within {0:?}")]
    TimedOut(Duration),
    /// No connection, no TLS, or a broken answer.
    #[error("the source cannot be reached: {0}")]
    Unreachable(String),
    /// An answer other than 200. Redirects are never followed.
    #[error("the source answered {0}")]
    Status(u16),
    /// The answer is larger than a certificate can be.
    #[error("the source sent more than {CERTIFICATE_BYTES_MAX} bytes")]
    TooLarge,
    /// The answer is not a certificate.
    #[error("the source sent something else: {0}")]
    Invalid(#[from] InvalidCertificate),
    /// Not fetched: too many other fetches are under way.
    #[error("too many certificates are being fetched at the moment")]
    TooMany,
    /// Not fetched: the peer, its IPv6 network of 48 bits, or all peers together named too many new
    /// addresses.
    #[error(
        "the certificate is not cached, and the budget for fetching unknown certificates is used up"
    )]
    OverBudget,
    /// Not fetched: the host has failed too often in this run of `logs recover`. `serve` never
    /// gives up on a host.
    #[error(
        "the certificate is not cached, and its host failed too often in this run to be asked again"
    )]
    GivenUp,
    /// The fetch ended without a result: a defect of ours.
    #[error("the fetch was abandoned")]
    Abandoned,
}

/// How to reach the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchOptions {
    /// The time limit for the whole fetch, from name look-up to last byte.
    pub timeout: Duration,
    /// Hosts that are reached under another name.
    pub via: HashMap<String, String>,
    /// An HTTP proxy. `None` uses the proxy of the environment, if there is one.
    pub proxy: Option<String>,
}

/// Why the source cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The proxy's address cannot be used.
    #[error("cannot prepare an HTTP client: see signing.proxy")]
    Client(#[from] reqwest::Error),
    /// The TLS library cannot be used.
    #[error("cannot prepare TLS")]
    Tls(#[from] rustls::Error),
}

/// Fetches over the network; with TLS if the address begins with https.
#[derive(Debug)]
pub struct HttpsSource {
    client: Client,
    direct: Client,
    options: FetchOptions,
}

impl HttpsSource {
    /// Prepares the clients. Sends nothing.
    ///
    /// # Errors
    /// [`SourceError`]
    pub fn new(options: FetchOptions) -> Result<Self, SourceError> {
        let tls = roots::tls_client()?;
        let bounded = || bounded(&options, &tls);
        let client = match &options.proxy {
            Some(proxy) => bounded().proxy(Proxy::all(proxy.as_str())?).build()?,
            None => bounded().build()?,
        };
        // Without `no_proxy`, reqwest would use the proxy of the environment.
        let direct = bounded().no_proxy().build()?;
        Ok(Self {
            client,
            direct,
            options,
        })
    }

    async fn get(&self, url: &SigningCertUrl) -> Result<Vec<u8>, FetchError> {
        let authority = self
            .options
            .via
            .get(url.authority())
            // TLS then checks the name of the other host: whoever configures that host trusts it
            // instead.
            .map_or(url.authority(), String::as_str);
        // A proxy cannot reach this machine's loopback.
        let client = if is_loopback(authority) {
            &self.direct
        } else {
            &self.client
        };
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                FetchError::TimedOut(self.options.timeout)
            } else {
                let why = tls_error::with_peer(&error, authority, tls_error::INSTALL_ROOT);
                FetchError::Unreachable(why.unwrap_or_else(|| Report(&error).to_string()))
            }
        };
        let mut response = client
            .get(url.via(authority))
            .send()
            .await
            .map_err(failed)?;
        if response.status() != http::StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut bytes = Vec::new();
        // Read in chunks, because Content-Length may be absent or wrong.
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > CERTIFICATE_BYTES_MAX {
                return Err(FetchError::TooLarge);
            }
        }
        Ok(bytes)
    }
}

impl CertificateSource for HttpsSource {
    fn fetch<'a>(&'a self, url: &'a SigningCertUrl) -> Fetching<'a> {
        Box::pin(self.get(url))
    }
}

fn bounded(options: &FetchOptions, tls: &rustls::ClientConfig) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .timeout(options.timeout)
        // The address was checked against the allowed prefixes; the target of a redirect would not
        // be.
        .redirect(redirect::Policy::none())
        // No idle connections: the next fetch from the same host may be years away.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("mns-endpoint/", env!("CARGO_PKG_VERSION")))
}

fn is_loopback(authority: &str) -> bool {
    match authority.parse::<http::uri::Authority>() {
        Ok(authority) => {
            let host = authority.host().trim_matches(['[', ']']);
            host == "localhost"
                || host
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        // This is not a loopback address, and a request to it fails by itself.
        Err(_) => false,
    }
}
