//! Serves a certificate, like the bucket of the real ones.

use axum::Router;
use axum::routing::get;
use http::header::CONTENT_TYPE;

use crate::emulator::signer::Signer;

/// Answers `GET /FILE` with the signer's certificate. Serves nothing else.
pub fn certificate_host(signer: &Signer) -> Router {
    // Copied, because the router may outlive the signer.
    let pem = signer.certificate_pem().to_owned();
    let answer = move || {
        let pem = pem.clone();
        async move { ([(CONTENT_TYPE, "application/x-x509-ca-cert")], pem) }
    };
    Router::new().route(&format!("/{}", signer.certificate_file()), get(answer))
}
