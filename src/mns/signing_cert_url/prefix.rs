//! A prefix below which certificates may be fetched: scheme, host, port and path.

use std::fmt;

use crate::mns::signing_cert_url::file_name::is_file_name;
use crate::mns::signing_cert_url::regions::REGIONS;

/// A place that certificates may be fetched from: `https://HOST[:PORT]/[PATH/]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prefix {
    pub(super) secure: bool,
    pub(super) authority: String,
    pub(super) path: String,
    /// Whether it is trusted during this run only.
    pub(super) is_temporary: bool,
}

/// A configured prefix that is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a certificate prefix: write https://HOST/ or https://HOST:PORT/PATH/, with the \
     final slash"
)]
pub struct PrefixError(String);

impl Prefix {
    /// Reads a configured prefix. `{region}` in its host yields one prefix for each region.
    ///
    /// # Errors
    /// A [`PrefixError`] that quotes the text.
    pub fn expand<'a>(
        text: &str,
        extra_regions: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<Self>, PrefixError> {
        if !text.contains("{region}") {
            return Ok(vec![Self::parse(text)?]);
        }
        let regions = REGIONS.into_iter().chain(extra_regions);
        regions
            .map(|region| Self::parse(&text.replace("{region}", region)))
            .collect()
    }

    /// Reads one prefix.
    ///
    /// # Errors
    /// A [`PrefixError`] that quotes the text.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        let wrong = || PrefixError(text.to_owned());
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(wrong()),
        };
        let (authority, path) = rest.split_once('/').ok_or_else(wrong)?;
        // Addresses are compared up to their last slash, so a prefix without one would never match.
        if !is_authority(authority) || !(path.is_empty() || path.ends_with('/')) {
            return Err(wrong());
        }
        if !path
            .split_terminator('/')
            // The rule for files, so that no segment is `..` and none can be spelled in another
            // way.
            .all(|segment| is_file_name(segment.as_bytes()))
        {
            return Err(wrong());
        }
        Ok(Self {
            secure,
            authority: authority.to_owned(),
            path: path.to_owned(),
            is_temporary: false,
        })
    }

    /// The same, but trusted during this run only.
    #[must_use]
    pub fn temporary(self) -> Self {
        Self {
            is_temporary: true,
            ..self
        }
    }

    /// Whether the fetch is protected by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}/{}", self.authority, self.path)
    }
}

pub(super) fn has_port(authority: &str) -> bool {
    // The colons of an IPv6 address are inside brackets.
    authority
        .rsplit(']')
        .next()
        .is_some_and(|rest| rest.contains(':'))
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        // The last colon of an IPv6 address without a port is inside the brackets.
        Some((host, port)) if !host.ends_with(':') && !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let host_is_good = match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let labels = host.split('.').all(|label| !label.is_empty());
            labels
                && host
                    .bytes()
                    // No upper case, because addresses are compared as bytes and MNS writes lower
                    // case.
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        }
    };
    host_is_good && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}
