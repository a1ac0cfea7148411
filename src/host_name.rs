//! The check of the name in Host, which keeps web pages of strangers out.
//!
//! A stranger's web page may point its own DNS name at this machine, so that its scripts can read
//! the answers of a server here. But they cannot change the name that the browser puts into Host.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::HOST;
use http::uri::Authority;

/// Whether the request was meant for this server: Host has an IP address, `localhost`, or a name
/// that `is_known` accepts. A request without Host does not come from a browser.
pub(crate) fn is_ours(headers: &HeaderMap, is_known: impl Fn(&str) -> bool) -> bool {
    let Some(host) = headers.get(HOST) else {
        return true;
    };
    let authority = host
        .to_str()
        .ok()
        .and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        // `host` keeps the brackets of an IPv6 address, and `IpAddr` does not parse them.
        let name = authority.host().trim_matches(['[', ']']);
        // DNS rebinding needs a name: a browser that sends an address in Host was given that
        // address.
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
            // Names that only begin with a known one belong to whoever owns their end.
            "localhost.evil.example",
            "127.0.0.1.evil.example:9000",
            "a@known.example.b",
        ] {
            assert!(!asked(host), "{host}");
        }
        assert!(is_ours(&HeaderMap::new(), |_| false));
    }
}
