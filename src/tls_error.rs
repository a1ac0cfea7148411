//! Errors of the TLS library, explained to the person who has to fix them.
//!
//! The library's own texts (`UnknownIssuer`, `KeyMismatch`) name neither the peer nor a remedy.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::{CertificateError, InconsistentKeys, OtherError};

/// How to make a certificate trusted if only this machine's roots count.
pub(crate) const INSTALL_ROOT: &str = "add the certificate of its CA to this machine's, or name \
    the file that holds it in SSL_CERT_FILE";

/// Why there is no TLS connection with `peer`, and what to do. `None` if `error` has no TLS cause.
///
/// `trust_it` says how to make its certificate trusted, as an imperative.
pub(crate) fn with_peer(
    error: &(dyn Error + 'static),
    peer: &str,
    trust_it: &str,
) -> Option<String> {
    Some(match cause(error)? {
        rustls::Error::InvalidCertificate(error) => {
            format!("the certificate of {peer} {}", refused(error, trust_it))
        }
        // The answer is not a TLS record. In practice it is HTTP in plain text.
        rustls::Error::InvalidMessage(_) => {
            format!(
                "{peer} does not answer with TLS: the address of a port without TLS begins with \
                 http://"
            )
        }
        rustls::Error::AlertReceived(alert) => {
            let alert = in_words(&format!("{alert:?}"));
            format!("{peer} refused the handshake with this alert: {alert}")
        }
        rustls::Error::PeerIncompatible(_) => {
            format!(
                "{peer} has no TLS version or cipher in common with this program, which speaks TLS \
                 1.2 and 1.3"
            )
        }
        rustls::Error::NoCertificatesPresented => format!("{peer} sent no certificate"),
        other => format!("the handshake with {peer} failed: {other}"),
    })
}

/// Why a server cannot use a certificate and a private key, and what to do.
pub(crate) fn of_pair(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the private key is not the key of the first certificate in the file. Name the files \
             that were created together, and put the server's certificate before those of its CAs"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::BadEncoding) => {
            "the first certificate in the file is damaged".to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::Other(error))
            if is(error, "UnsupportedCertVersion") =>
        {
            format!("the certificate {OLD_VERSION}")
        }
        // The library has no own variant for a key that its provider cannot load.
        rustls::Error::General(_) => {
            "the private key is of a kind that TLS does not support here: use RSA of 2048 to 8192 \
             bits, ECDSA (P-256, P-384, P-521) or Ed25519"
                .to_owned()
        }
        other => other.to_string(),
    }
}

const OLD_VERSION: &str =
    "is of X.509 version 1, and TLS needs version 3: make it with a subjectAltName";

/// The continuation of "the certificate".
fn refused(error: &CertificateError, trust_it: &str) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            format!("was issued by a CA that is not trusted here: {trust_it}")
        }
        CertificateError::BadSignature => {
            format!(
                "was not signed by the trusted CA of that name, which has another key: \
                {trust_it}"
            )
        }
        CertificateError::Expired => "has expired: renew it there".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("expired at {}: renew it there", date(*not_after))
        }
        CertificateError::NotValidYet => "is not valid yet: are both clocks right?".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!(
                "is not valid before {}: are both clocks right?",
                date(*not_before)
            )
        }
        CertificateError::NotValidForName => "is for other names: use one of these".to_owned(),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } if presented.is_empty() => {
            // A name in the common name alone does not count (RFC 9525).
            format!("has no subjectAltName: make one for {}", expected.to_str())
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let names = presented
                .iter()
                .map(|name| bare(name))
                .collect::<Vec<_>>()
                .join(", ");
            format!(
                "is for {names} and not for {}: use one of its names, or make one for that \
                name",
                expected.to_str()
            )
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for servers: make one with the extended key usage serverAuth".to_owned()
        }
        CertificateError::Other(error) if is(error, "CaUsedAsEndEntity") => {
            "is that of a CA (basicConstraints CA:TRUE), which a server must not present: create \
             one with CA:FALSE, as openssl does with -addext basicConstraints=critical,CA:FALSE"
                .to_owned()
        }
        CertificateError::Other(error) if is(error, "UnsupportedCertVersion") => {
            OLD_VERSION.to_owned()
        }
        CertificateError::BadEncoding => "is damaged".to_owned(),
        CertificateError::UnhandledCriticalExtension => {
            "has a critical extension that this program does not know".to_owned()
        }
        other => format!("cannot be used: {}", in_words(&other.to_string())),
    }
}

/// Splits the name of a variant, which the TLS library prints for errors without a text:
/// `HandshakeFailure` becomes `handshake failure`. Leaves other texts as they are.
fn in_words(text: &str) -> String {
    if !text.chars().all(char::is_alphanumeric) {
        return text.to_owned();
    }
    let mut words = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// Whether an error is this variant of the verifier's own enum, which the TLS library passes on
/// unchanged.
fn is(error: &OtherError, variant: &str) -> bool {
    // Compared as text, because the type is that of a crate which is not a dependency of ours.
    error.0.to_string() == variant
}

/// The name in `DnsName("localhost")`.
fn bare(name: &str) -> &str {
    let inside = name
        .split_once('(')
        .and_then(|(_kind, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(name).trim_matches('"')
}

fn date(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    time.map_or_else(
        || "a time past all dates".to_owned(),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}

/// The TLS library's error among the causes of another error.
fn cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // The `source` of an `io::Error` skips the error inside it and returns the causes of that.
        let inside = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_found_below_those_of_other_libraries() {
        let wrapped = || {
            io::Error::other(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer,
            ))
        };
        for error in [wrapped(), io::Error::other(wrapped())] {
            let text = with_peer(&error, "a.example:443", "trust it");
            let expected = "the certificate of a.example:443 was issued by a CA that is not \
                trusted here: trust it";
            assert_eq!(text.as_deref(), Some(expected));
        }
        assert_eq!(with_peer(&io::Error::other("else"), "a", "b"), None);
    }

    #[test]
    fn names_and_dates_are_shown_as_people_write_them() {
        assert_eq!(
            ["DnsName(\"a.example\")", "IpAddress(127.0.0.1)", "odd"].map(bare),
            ["a.example", "127.0.0.1", "odd"]
        );
        assert_eq!(
            date(UnixTime::since_unix_epoch(Duration::from_secs(86_400))),
            "1970-01-02T00:00:00Z"
        );
    }
}
