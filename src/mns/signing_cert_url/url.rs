//! An address whose certificate may be fetched, and the name under which a copy of it is kept.

use std::fmt;
use std::sync::Arc;

use crate::mns::signing_cert_url::prefix::{Prefix, has_port};

/// The certificate's address in every real push that is known: `x-mns-signing-cert-url` of 2023 and
/// `SigningCertURL` of 2017 (`tests/vectors/simplified-2023`, `tests/vectors/xml-2017`, protocol.md
/// 2.3).
pub const WELL_KNOWN_CERTIFICATE: &str =
    "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem";

/// The address of a certificate that may be fetched. Made by
/// [`Prefixes::admit`](crate::mns::Prefixes::admit) and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SigningCertUrl {
    pub(super) prefix: Arc<Prefix>,
    pub(super) file: String,
}

impl SigningCertUrl {
    /// Whether the fetch is protected by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.prefix.secure
    }

    /// Whether only this run trusts it: it belongs to a sender of tests, which may have a new key
    /// each time it starts.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.prefix.is_temporary
    }

    /// Whether this is [`WELL_KNOWN_CERTIFICATE`]: no stranger has made it up.
    #[must_use]
    pub fn is_well_known(&self) -> bool {
        let prefix = WELL_KNOWN_CERTIFICATE.strip_suffix(self.file.as_str());
        prefix.is_some_and(|prefix| prefix == self.prefix.to_string())
    }

    /// Host, with the port if one is written.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.prefix.authority
    }

    /// The same file under another host: for networks that reach the source by another name.
    #[must_use]
    pub fn via(&self, authority: &str) -> String {
        let scheme = if self.prefix.secure { "https" } else { "http" };
        format!("{scheme}://{authority}/{}{}", self.prefix.path, self.file)
    }

    /// Where a copy is kept, relative to the certificate directory: `HOST/FILE`. The file keeps its
    /// ending, so that `x.crt` and `x.pem` are kept apart.
    ///
    /// A plain-HTTP address always has its port there and one with TLS never has just that, so that
    /// what came unprotected is not taken for what came over TLS. A path is part of the file's
    /// name.
    #[must_use]
    pub fn kept_as(&self) -> String {
        let Prefix {
            secure,
            authority,
            path,
            is_temporary: _,
        } = self.prefix.as_ref();
        let port = match (secure, has_port(authority)) {
            (true, false) | (false, true) => "",
            (true, true) => "+tls",
            (false, false) => ":80",
        };
        format!("{authority}{port}/{}{}", path.replace('/', "+"), self.file)
    }
}

impl fmt::Display for SigningCertUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.prefix, self.file)
    }
}
