//! TLS towards others, with the certificate roots of this machine.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use tracing::warn;

/// A TLS client that trusts this machine's roots, as `SSL_CERT_FILE` and `SSL_CERT_DIR` say.
///
/// A machine without roots gets a client that trusts nobody, and a warning: what needs no TLS still works.
///
/// # Errors
/// The TLS library refuses its own defaults, which it does not.
pub(crate) fn tls_client() -> Result<ClientConfig, rustls::Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _unusable) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        warn!(errors = ?found.errors, "No CA certificates found: no https address can be reached; install ca-certificates");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
