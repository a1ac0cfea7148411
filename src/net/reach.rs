//! Which addresses are reachable from the internet.

use std::net::IpAddr;

/// Domains that do not exist in the public DNS (RFC 6761, 6762 and 8375, and those that are common
/// in private networks).
const PRIVATE_DOMAINS: [&str; 12] = [
    "corp",
    "home",
    "home.arpa",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "private",
    "test",
];

/// Whether an address is not reachable from the internet: private, local, shared or reserved for
/// documentation.
#[must_use]
pub fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            // RFC 6598 and RFC 2544. The standard library's methods for both are not stable.
            let is_shared = first == 100 && (64..128).contains(&second);
            let is_for_benchmarks = first == 198 && (18..20).contains(&second);
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_documentation()
                || ip.is_broadcast()
                || ip.is_multicast()
                || is_shared
                || is_for_benchmarks
        }
        IpAddr::V6(ip) => {
            // RFC 3849.
            let is_documentation = matches!(ip.segments(), [0x2001, 0xdb8, ..]);
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || is_documentation
        }
    }
}

/// The same for a host: an IP address, or a name that only this machine or its network can resolve.
#[must_use]
pub fn is_private_host(host: &str) -> bool {
    if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
        return is_private(ip);
    }
    // DNS ignores case, and a fully qualified name may end with a dot.
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let is_below = |domain: &&str| {
        name.strip_suffix(*domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    !name.contains('.') || PRIVATE_DOMAINS.iter().any(is_below)
}
