//! The parsed contents of the files: the secrets, and a client with the certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Url, redirect};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::forward::http::files::{Contents, Files, InvalidFile};
use crate::forward::http::secret::Secret;
use crate::report::Report;
use crate::roots::{Trust, tls_client_trusting};
use crate::tls_error;

/// How long an idle connection is kept. Many servers close an idle connection after 5 s, and a
/// request that is sent at that instant gets no answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// The secrets and the client that requests use.
pub(super) struct Loaded {
    pub(super) secrets: Vec<Secret>,
    pub(super) client: Client,
    pub(super) url: Url,
}

impl Loaded {
    /// Parses the contents of the files. May block on the disk, to read the root certificates of
    /// this machine.
    pub(super) fn new(files: &Files, contents: &Contents) -> Result<Self, InvalidFile> {
        let secrets = files.options.secret_files.iter().zip(&contents.secrets);
        let secrets = secrets.map(|(path, bytes)| {
            let invalid = |problem: &str| files.invalid("secret_files", path, problem);
            let text = std::str::from_utf8(bytes).map_err(|_binary| invalid("it is not UTF-8"))?;
            Secret::parse(text).map_err(|error| invalid(&error.to_string()))
        });
        Ok(Self {
            secrets: secrets.collect::<Result<_, _>>()?,
            client: client(files, contents)?,
            url: url(files)?,
        })
    }
}

fn url(files: &Files) -> Result<Url, InvalidFile> {
    let text = &files.options.url;
    let parsed = Url::parse(text);
    parsed.map_err(|error| files.invalid("url", Path::new(text), &error.to_string()))
}

fn client(files: &Files, contents: &Contents) -> Result<Client, InvalidFile> {
    let options = &files.options;
    let client = Client::builder()
        .tls_backend_preconfigured(tls(files, contents)?)
        // This covers the time from the connect to the end of the answer's body.
        .timeout(options.timeout)
        // A signed request is meant for this service, and must not be sent to another one.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("mns-endpoint/", env!("CARGO_PKG_VERSION")))
        .build();
    client.map_err(|error| {
        let problem = Report(&error).to_string();
        files.invalid("url", Path::new(&options.url), &problem)
    })
}

fn tls(files: &Files, contents: &Contents) -> Result<ClientConfig, InvalidFile> {
    let options = &files.options.tls;
    let ca = options.ca.as_deref().unwrap_or(Path::new(""));
    let trust = match &contents.ca {
        Some(pem) => Trust::Only(certificates(files, "ca", ca, pem)?),
        None => Trust::Roots,
    };
    let config = tls_client_trusting(trust);
    let mut config =
        config.map_err(|error| files.invalid("ca", ca, &tls_error::of_pair(&error)))?;
    if let (Some(names), Some([chain, key])) = (&options.identity, &contents.identity) {
        let pair = pair(files, names, (chain, key), &config)?;
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(pair));
    }
    Ok(config)
}

fn pair(
    files: &Files,
    (certificate, private_key): &(PathBuf, PathBuf),
    (chain, key): (&[u8], &[u8]),
    config: &ClientConfig,
) -> Result<CertifiedKey, InvalidFile> {
    let chain = certificates(files, "certificate", certificate, chain)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_none| {
        let problem = "there is no private key in PEM in it";
        files.invalid("private_key", private_key, problem)
    })?;
    let pair = CertifiedKey::from_der(chain, key, config.crypto_provider());
    pair.map_err(|error| files.invalid("certificate", certificate, &tls_error::of_pair(&error)))
}

fn certificates(
    files: &Files,
    key: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, InvalidFile> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(files.invalid(key, path, "there is no certificate in PEM in it")),
    }
}
