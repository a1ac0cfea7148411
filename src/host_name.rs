//! The name in Host: it keeps browsers out.
//!
//! A page of a stranger may make its own name point at this machine, and then its scripts may read
//! what a server here answers. They cannot change the name that the browser puts into Host.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::HOST;
use http::uri::Authority;

/// Whether the request was meant for this server: Host has an address, `localhost`, or a name that
/// `is_known` takes. A request without Host is from no browser.
pub(crate) fn is_ours(headers: &HeaderMap, is_known: impl Fn(&str) -> bool) -> bool {
    let Some(host) = headers.get(HOST) else {
        return true;
    };
    let authority = host
        .to_str()
        .ok()
        .and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        let name = authority.host().trim_matches(['[', ']']);
        name.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost") || is_known(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_known_names_are_ours_and_no_other() {
        let asked = |host: &str| {
            let headers = HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
            is_ours(&headers, |name| name.eq_ignore_ascii_case("known.example"))
        };
        for host in [
            "127.0.0.1:9000",
            "[::1]:9000",
            "10.0.0.5",
            "LocalHost:9000",
            "Known.example:1",
        ] {
            assert!(asked(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9000",
            "a@known.example.b",
        ] {
            assert!(!asked(host), "{host}");
        }
        assert!(is_ours(&HeaderMap::new(), |_| false));
    }
}
