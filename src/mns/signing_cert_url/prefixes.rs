//! The allowed prefixes, and the check of an address against them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::mns::signing_cert_url::file_name::{FileNameRule, check_certificate_file};
use crate::mns::signing_cert_url::prefix::{Prefix, has_port};
use crate::mns::signing_cert_url::url::SigningCertUrl;

/// The prefixes below which certificates may be fetched.
#[derive(Debug, Clone, Default)]
pub struct Prefixes {
    by_text: HashMap<Vec<u8>, Arc<Prefix>>,
}

/// An address that may not be fetched, and the rule that it violates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The scheme, host, port or path differs from every prefix.
    #[error("the certificate address is not below an allowed prefix")]
    Prefix,
    /// The prefix is allowed, but what follows is not the name of a certificate.
    #[error("the certificate address is below an allowed prefix, but {0}")]
    FileName(FileNameRule),
}

impl Prefixes {
    /// Allows these prefixes and no others.
    pub fn new(prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        let by_text = prefixes
            .into_iter()
            .map(|prefix| (prefix.to_string().into_bytes(), Arc::new(prefix)));
        Self {
            by_text: by_text.collect(),
        }
    }

    /// The address whose certificate is saved under this name, if its prefix is allowed: the
    /// reverse of [`SigningCertUrl::kept_as`].
    #[must_use]
    pub fn admit_kept(&self, name: &str) -> Option<SigningCertUrl> {
        let (host, file) = name.split_once('/')?;
        let (scheme, authority) = match (host.strip_suffix("+tls"), host.strip_suffix(":80")) {
            (Some(authority), _) => ("https", authority),
            (None, Some(authority)) => ("http", authority),
            (None, None) => (if has_port(host) { "http" } else { "https" }, host),
        };
        let url = self
            .admit(format!("{scheme}://{authority}/{}", file.replace('+', "/")).as_bytes())
            .ok()?;
        // Several names may lead to one address, but only one of them is the name of its copy.
        (url.kept_as() == name).then_some(url)
    }

    /// Checks an address as it was sent.
    ///
    /// An `http://` address on a host whose `https://` prefix is allowed is treated as that https
    /// address: MNS wrote it like this in 2016 (protocol.md 2.3), and it is never fetched without
    /// TLS.
    ///
    /// # Errors
    /// [`NotAllowed`]
    pub fn admit(&self, address: &[u8]) -> Result<SigningCertUrl, NotAllowed> {
        let slash = address
            .iter()
            .rposition(|byte| *byte == b'/')
            .ok_or(NotAllowed::Prefix)?;
        let (prefix, file) = address.split_at(slash.saturating_add(1));
        let prefix = match (self.by_text.get(prefix), prefix.strip_prefix(b"http://")) {
            // First as sent: an http prefix that is allowed itself, as for an emulator, stays http.
            (Some(prefix), _) => prefix,
            (None, Some(rest)) => self
                .by_text
                .get(&[b"https://", rest].concat())
                .ok_or_else(|| self.broken_rule(address))?,
            (None, None) => return Err(self.broken_rule(address)),
        };
        check_certificate_file(file).map_err(NotAllowed::FileName)?;
        let file = std::str::from_utf8(file)
            .map_err(|_not_ascii| NotAllowed::FileName(FileNameRule::Characters))?;
        Ok(SigningCertUrl {
            prefix: prefix.clone(),
            file: file.to_owned(),
        })
    }

    /// The rule that an address violates whose text up to its last slash is not a prefix.
    fn broken_rule(&self, address: &[u8]) -> NotAllowed {
        let secure = address
            .strip_prefix(b"http://")
            .map(|rest| [b"https://", rest].concat());
        let is_below = |prefix: &Vec<u8>| {
            address.starts_with(prefix)
                || secure
                    .as_ref()
                    .is_some_and(|secure| secure.starts_with(prefix))
        };
        // A query or a fragment is not part of the path, and the last slash may be inside it.
        match self.by_text.keys().any(is_below) {
            true if address.contains(&b'?') || address.contains(&b'#') => {
                NotAllowed::FileName(FileNameRule::Characters)
            }
            true => NotAllowed::FileName(FileNameRule::OneSegment),
            false => NotAllowed::Prefix,
        }
    }
}
