//! Who may ask the admin listener for what.
//!
//! Other machines need a token, and browsers are kept out by the name in Host: a page of a stranger
//! that makes its own name point here does not get past it.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;

use crate::host_name;

/// Who may ask for what.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The token that a caller has to show, if there is one.
    pub token: Option<String>,
    /// Paths that are served without it.
    pub open: Vec<String>,
    /// Names that a Host header may carry, besides addresses and `localhost`.
    pub hosts: Vec<String>,
}

impl Access {
    /// Whether the caller may see everything: it showed the token, or there is none.
    pub(super) fn is_shown(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let shown = headers
            .get(AUTHORIZATION)
            .map(|value| value.as_bytes())
            .unwrap_or_default();
        shown
            .strip_prefix(b"Bearer ")
            .is_some_and(|shown| shown.ct_eq(token.as_bytes()).into())
    }

    pub(super) fn knows_host(&self, headers: &HeaderMap) -> bool {
        host_name::is_ours(headers, |name| {
            self.hosts
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        })
    }
}
