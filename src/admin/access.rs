//! Who may ask the admin listener for what.
//!
//! Other machines need a token, and so does everybody for what the inspector shows: messages are
//! in log files that not every local user may read. Browsers are kept out by the name in Host, as
//! a page of a stranger that makes its own name point here does not get past it, and by Origin.
//! There are no cookies, so a browser adds nothing of its own that would let a request in.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;

use crate::host_name;

/// Who may ask for what.
#[derive(Clone, Default)]
pub struct Access {
    /// The token that a caller has to show for what counts and measures, if there is one.
    pub token: Option<String>,
    /// The token that a caller has to show for every path below `/api/`. Without one nobody may.
    pub inspector_token: Option<String>,
    /// Paths that are served without a token.
    pub open: Vec<String>,
    /// Names that a Host header may carry, besides addresses and `localhost`.
    pub hosts: Vec<String>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("has_token", &self.token.is_some())
            .field("has_inspector_token", &self.inspector_token.is_some())
            .field("open", &self.open)
            .field("hosts", &self.hosts)
            .finish()
    }
}

/// What the caller showed of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Right,
    Wrong,
    /// Not compared any more: there were too many wrong ones.
    TooMany,
    Nothing,
}

/// Compares the shown token in constant time.
pub(super) fn shown(headers: &HeaderMap, token: Option<&str>) -> Shown {
    let Some(shown) = headers.get(AUTHORIZATION) else {
        return Shown::Nothing;
    };
    let shown = shown.as_bytes().strip_prefix(b"Bearer ");
    let is_right = shown
        .zip(token)
        .is_some_and(|(shown, token)| shown.ct_eq(token.as_bytes()).into());
    if is_right { Shown::Right } else { Shown::Wrong }
}

impl Access {
    /// Whether Host has a name of ours.
    pub(super) fn knows_host(&self, headers: &HeaderMap) -> bool {
        host_name::is_ours(headers, |name| {
            self.hosts
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        })
    }
}
