//! A certificate with its private key, ready to accept TLS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::net::tls::files::{Bytes, TlsError, TlsFiles};
use crate::tls_error;

/// The only protocol offered by ALPN, because MNS speaks no other.
const HTTP_1_1: &[u8] = b"http/1.1";

/// A word that occurs in every PEM file whose key needs a passphrase.
const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// A pair in use.
pub(super) struct Pair {
    pub(super) files: TlsFiles,
    pub(super) acceptor: TlsAcceptor,
    pub(super) digest: u64,
    pub(super) not_after: Option<SystemTime>,
}

impl Pair {
    pub(super) fn new(files: TlsFiles, bytes: &Bytes) -> Result<Self, TlsError> {
        let empty = |key, path: &PathBuf, wanted| TlsError::Empty {
            key,
            path: path.clone(),
            wanted,
        };
        let chain =
            CertificateDer::pem_slice_iter(&bytes.certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain
            .ok_or_else(|| empty("server.tls.certificate", &files.certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&bytes.private_key).map_err(|_no_key| {
            // PKCS#8 has it in the label, older formats in a header.
            let is_encrypted = bytes
                .private_key
                .windows(ENCRYPTED.len())
                .any(|window| window == ENCRYPTED);
            let wanted = if is_encrypted {
                "private key without a passphrase"
            } else {
                "private key"
            };
            empty("server.tls.private_key", &files.private_key, wanted)
        })?;
        // Only for the expiry: what `x509_cert` cannot parse may still be a pair that rustls
        // accepts.
        let first = chain
            .first()
            .and_then(|first| Certificate::from_der(first).ok());
        let not_after = first.map(|first| {
            first
                .tbs_certificate()
                .validity()
                .not_after
                .to_system_time()
        });
        let config = server_config(chain, key).map_err(|error| TlsError::Unfit {
            certificate: files.certificate.clone(),
            private_key: files.private_key.clone(),
            problem: tls_error::of_pair(&error),
        })?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            digest: bytes.digest(),
            not_after,
            files,
        })
    }
}

/// TLS 1.2 and 1.3, HTTP/1.1, no client certificates.
fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(config)
}
