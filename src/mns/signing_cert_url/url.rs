//! An address whose certificate may be fetched, and the name of its copy on disk.

use std::fmt;
use std::sync::Arc;

use crate::mns::signing_cert_url::prefix::{Prefix, has_port};

/// The certificate's address in every known real push: `x-mns-signing-cert-url` of 2023 and
/// `SigningCertURL` of 2017 (`tests/vectors/simplified-2023`, `tests/vectors/xml-2017`, protocol.md
/// 2.3).
pub const WELL_KNOWN_CERTIFICATE: &str =
    "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem";

/// The address of a certificate that may be fetched. Only
/// [`Prefixes::admit`](crate::mns::Prefixes::admit) makes one.
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

    /// Whether it is trusted during this run only. Such an address belongs to a test sender, which
    /// may have a new key at each start.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.prefix.is_temporary
    }

    /// Whether this is [`WELL_KNOWN_CERTIFICATE`], which no stranger has made up.
    #[must_use]
    pub fn is_well_known(&self) -> bool {
        let prefix = WELL_KNOWN_CERTIFICATE.strip_suffix(self.file.as_str());
        prefix.is_some_and(|prefix| prefix == self.prefix.to_string())
    }

    /// The host, with its port if one is written.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.prefix.authority
    }

    /// The same file on another host, for networks that reach the source under another name.
    #[must_use]
    pub fn via(&self, authority: &str) -> String {
        let scheme = if self.prefix.secure { "https" } else { "http" };
        format!("{scheme}://{authority}/{}{}", self.prefix.path, self.file)
    }

    /// The path of the copy, relative to the certificate directory: `HOST/FILE`. The file keeps its
    /// ending, so that `x.crt` and `x.pem` have different copies.
    ///
    /// The name for a plain-HTTP address always has a port (`:80` if none is written), and in that
    /// for a TLS address `+tls` follows a port. So an unprotected copy is never used for a TLS
    /// address. A path becomes part of the file name.
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
        // No segment contains a `+`, so `admit_kept` can separate them again.
        format!("{authority}{port}/{}{}", path.replace('/', "+"), self.file)
    }
}

impl fmt::Display for SigningCertUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.prefix, self.file)
    }
}
