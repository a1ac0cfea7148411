//! TLS towards others: which servers are believed to be who they are.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tracing::warn;

/// Whose certificates a TLS client accepts.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// Those issued by the roots of this machine, as `SSL_CERT_FILE` and `SSL_CERT_DIR` say.
    Roots,
    /// These, and what they issued, too.
    RootsAnd(Vec<CertificateDer<'static>>),
    /// All of them: nothing is checked, so whoever is on the way can read and answer.
    Anyone,
}

/// A TLS client that trusts this machine's roots.
///
/// A machine without roots gets a client that trusts nobody, and a warning: what needs no TLS still
/// works.
///
/// # Errors
/// The TLS library refuses its own defaults, which it does not.
pub(crate) fn tls_client() -> Result<ClientConfig, rustls::Error> {
    tls_client_trusting(Trust::Roots)
}

/// The same that trusts others.
///
/// # Errors
/// A certificate in [`Trust::RootsAnd`] cannot be read.
pub(crate) fn tls_client_trusting(trust: Trust) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let roots = match trust {
        Trust::Roots => machine_roots(Vec::new())?,
        Trust::RootsAnd(more) => machine_roots(more)?,
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
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
