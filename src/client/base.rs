//! The address of the API.

use std::fmt;

use http::Uri;

/// The address of the API: `http://ACCOUNT.mns.REGION.aliyuncs.com`, or any other scheme, host and
/// port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub(super) text: String,
    pub(super) authority: String,
}

/// Not an address of the API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an endpoint of the API: write http://ACCOUNT.mns.REGION.aliyuncs.com, or \
     http://127.0.0.1:9000"
)]
pub struct BaseError(String);

impl Base {
    /// Reads an address without a path.
    ///
    /// # Errors
    /// [`BaseError`]
    pub fn parse(text: &str) -> Result<Self, BaseError> {
        let wrong = || BaseError(text.to_owned());
        let uri: Uri = text
            .trim_end_matches('/')
            .parse()
            .map_err(|_not_a_uri| wrong())?;
        // Credentials in the address would be ignored: the access key signs the requests.
        let authority = uri
            .authority()
            .filter(|authority| !authority.as_str().contains('@'))
            .ok_or_else(wrong)?;
        // The signature covers the path, and the targets of the operations begin at the root.
        let is_bare = uri.path() == "/" && uri.query().is_none();
        match uri.scheme_str() {
            Some(scheme @ ("http" | "https")) if is_bare => Ok(Self {
                text: format!("{scheme}://{authority}"),
                authority: authority.to_string(),
            }),
            Some(_) | None => Err(wrong()),
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Base {
    /// The host, without its port.
    #[must_use]
    pub fn host(&self) -> &str {
        // In an IPv6 address without a port, the last colon is inside the brackets.
        let end = self.authority.rfind(':').filter(|end| {
            !self
                .authority
                .get(*end..)
                .is_some_and(|rest| rest.contains(']'))
        });
        end.and_then(|end| self.authority.get(..end))
            .unwrap_or(&self.authority)
    }
}
