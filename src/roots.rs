//! TLS for clients: which servers are trusted.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tracing::warn;

/// The certificates that a TLS client accepts.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// Those issued by the roots of this machine, which `SSL_CERT_FILE` and `SSL_CERT_DIR` may
    /// name.
    Roots,
    /// Also these certificates, and those that they issued.
    RootsAnd(Vec<CertificateDer<'static>>),
    /// These certificates, and those that they issued, and no others.
    Only(Vec<CertificateDer<'static>>),
    /// All certificates: nothing is verified, so an attacker on the network can read and answer.
    Anyone,
}

/// A TLS client that trusts this machine's roots.
///
/// On a machine without roots the client trusts nobody, and a warning is logged: everything that
/// needs no TLS still works.
///
/// # Errors
/// The TLS library rejects its own defaults, which does not happen.
pub(crate) fn tls_client() -> Result<ClientConfig, rustls::Error> {
    tls_client_trusting(Trust::Roots)
}

/// The same, with another set of trusted certificates.
///
/// # Errors
/// A certificate in [`Trust::RootsAnd`] or [`Trust::Only`] cannot be read.
pub(crate) fn tls_client_trusting(trust: Trust) -> Result<ClientConfig, rustls::Error> {
    // Named here, because the process-wide default panics if no provider is installed, or if a
    // dependency compiles in a second one.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let roots = match trust {
        Trust::Roots => machine_roots(Vec::new())?,
        Trust::RootsAnd(more) => machine_roots(more)?,
        Trust::Only(these) => {
            let mut roots = RootCertStore::empty();
            // An unreadable certificate is an error here: somebody named it, and without it
            // handshakes would fail with a less obvious message.
            for certificate in these {
                roots.add(certificate)?;
            }
            roots
        }
        Trust::Anyone => {
            let builder = builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unchecked(provider)));
            return Ok(builder.with_no_client_auth());
        }
    };
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn machine_roots(more: Vec<CertificateDer<'static>>) -> Result<RootCertStore, rustls::Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    for certificate in more {
        roots.add(certificate)?;
    }
    // Skips what cannot be read: the bundles of systems contain ancient certificates, and one of
    // them must not cost all the others.
    let (_usable, _unusable) = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        warn!(errors = ?found.errors, "No CA certificates found: no https address can be reached; \
            install ca-certificates");
    }
    Ok(roots)
}

/// Accepts every certificate.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // The signature only proves possession of the key of a certificate that nobody has
        // verified.
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        // The client offers these in its hello, and a server has to choose one of them.
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
