//! The address of an endpoint, parsed as MNS parses it.

use std::fmt;

use http::Uri;

use crate::mns::DEFAULT_PATH;

/// An endpoint's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// Whether it is https.
    pub(super) secure: bool,
    path: String,
    pub(super) authority: String,
}

/// Not an address of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an endpoint: write http://HOST[:PORT][/PATH] or the same with https")]
pub struct TargetError(String);

impl Target {
    /// Parses an endpoint's address as MNS does: a missing path means `/notifications`.
    ///
    /// # Errors
    /// [`TargetError`]
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let wrong = || TargetError(text.to_owned());
        let uri: Uri = text.parse().map_err(|_not_a_uri| wrong())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(wrong()),
        };
        // An address of page 27480 has no user name, and Authorization already has the signature.
        let authority = uri
            .authority()
            .filter(|authority| !authority.as_str().contains('@'))
            .ok_or_else(wrong)?;
        // The library parses a port above 65535 as no port at all, and the push would go to port
        // 80.
        if authority.port_u16().is_none() && !authority.as_str().ends_with(authority.host()) {
            return Err(wrong());
        }
        let path = match (uri.path_and_query(), uri.query()) {
            (Some(path), _) if has_path(text) => path.as_str().to_owned(),
            (_, Some(query)) => format!("{DEFAULT_PATH}?{query}"),
            (_, None) => DEFAULT_PATH.to_owned(),
        };
        Ok(Self {
            // Brackets are notation of URLs: neither the resolver nor the TLS library accepts them.
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority
                .port_u16()
                .unwrap_or(if secure { 443 } else { 80 }),
            secure,
            path,
            authority: authority.to_string(),
        })
    }

    /// The path with its query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The value of Host.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// Whether an address has a path. `Uri` reports a missing path as `/`.
fn has_path(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_scheme, rest)| rest);
    // The authority ends at the first of these (RFC 3986, 3.2). A query may contain slashes too.
    rest.find(['/', '?', '#'])
        .and_then(|end| rest.get(end..))
        .is_some_and(|rest| rest.starts_with('/'))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_is_that_of_notifications() {
        for (text, path) in [
            ("http://127.0.0.1:8080", "/notifications"),
            // A final slash is a path, although `Uri` cannot distinguish it from a missing one.
            ("http://a.example/", "/"),
            ("http://a.example/api/test?x=1", "/api/test?x=1"),
            ("http://a.example?x=1", "/notifications?x=1"),
            ("http://a.example:8080?x=/a/b", "/notifications?x=/a/b"),
            ("http://a.example/?x=1", "/?x=1"),
            ("http://a.example#a/b", "/notifications"),
            ("https://[::1]:8443/x", "/x"),
        ] {
            assert_eq!(Target::parse(text).unwrap().path(), path, "{text}");
        }
        for text in [
            "",
            "a.example",
            "127.0.0.1:8080",
            "ftp://a.example/",
            "http://",
            "http://a.example:99999/",
            "http://u@a/",
        ] {
            assert_eq!(
                Target::parse(text).err(),
                Some(TargetError(text.to_owned()))
            );
        }
    }
}
