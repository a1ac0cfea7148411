//! Decides who may request what from the admin listener.
//!
//! Requests from other machines need a token. What the inspector shows needs one even from this
//! machine, because messages are in log files that not every local user may read. A page of another
//! site is kept out by the checks of Host and Origin: if it points its own name at this address,
//! the Host header still has that name. There are no cookies, so a browser adds no credential to a
//! request that a page makes.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;

use crate::host_name;

/// The authentication scheme of RFC 6750.
const SCHEME: &[u8] = b"Bearer";

/// Who may request what.
#[derive(Clone, Default)]
pub struct Access {
    /// The token for metrics and health, if one is required.
    pub token: Option<String>,
    /// The token for every path below `/api/`. Without one, nobody may request them.
    pub inspector_token: Option<String>,
    /// Paths that are served without a token.
    pub open: Vec<String>,
    /// Names that the Host header may have, besides addresses and `localhost`.
    pub hosts: Vec<String>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A derived `Debug` would print the tokens.
        f.debug_struct("Access")
            .field("has_token", &self.token.is_some())
            .field("has_inspector_token", &self.inspector_token.is_some())
            .field("open", &self.open)
            .field("hosts", &self.hosts)
            .finish()
    }
}

/// The result of comparing the caller's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Right,
    Wrong,
    /// The caller has sent too many wrong tokens, so this one was not compared.
    TooMany,
    Nothing,
}

/// Compares the caller's token in constant time.
pub(super) fn shown(headers: &HeaderMap, token: Option<&str>) -> Shown {
    let Some(shown) = headers.get(AUTHORIZATION) else {
        return Shown::Nothing;
    };
    let is_right = bearer(shown.as_bytes())
        .zip(token)
        .is_some_and(|(shown, token)| shown.ct_eq(token.as_bytes()).into());
    if is_right { Shown::Right } else { Shown::Wrong }
}

/// The token in the value of an Authorization header. Schemes are compared without regard to case,
/// and one or more blanks follow them (RFC 9110, 11.1 and 11.4).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    let token = rest.trim_ascii_start();
    (scheme.eq_ignore_ascii_case(SCHEME) && token.len() < rest.len()).then_some(token)
}

impl Access {
    /// Whether the Host header has a name of this listener.
    pub(super) fn knows_host(&self, headers: &HeaderMap) -> bool {
        host_name::is_ours(headers, |name| {
            self.hosts
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_recognised_in_any_case_and_the_token_only_in_its_own() {
        for (value, expected) in [
            ("Bearer s3cret", Shown::Right),
            ("bearer s3cret", Shown::Right),
            ("BEARER  s3cret", Shown::Right),
            ("Bearer S3CRET", Shown::Wrong),
            ("Bearers3cret", Shown::Wrong),
            ("Basic s3cret", Shown::Wrong),
            ("Bearer", Shown::Wrong),
            ("s3cret", Shown::Wrong),
            ("", Shown::Wrong),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            assert_eq!(shown(&headers, Some("s3cret")), expected, "{value:?}");
            assert_eq!(shown(&headers, None), Shown::Wrong, "{value:?}");
        }
        assert_eq!(shown(&HeaderMap::new(), Some("s3cret")), Shown::Nothing);
    }
}
