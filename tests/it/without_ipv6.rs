//! A machine without IPv6: a seccomp filter refuses its sockets, as a kernel without IPv6 does.

use std::collections::BTreeMap;
use std::thread;

use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

use crate::support::{Endpoint, Options, run};

/// The number of `socket(2)`.
const SOCKET: i64 = if cfg!(target_arch = "x86_64") {
    41
} else {
    198
};
const AF_INET6: u64 = 10;
const EAFNOSUPPORT: u32 = 97;

/// Runs `test` on a thread without IPv6, which its child processes inherit.
fn without_ipv6(test: impl FnOnce() + Send + 'static) {
    let is_ipv6 =
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, AF_INET6).unwrap();
    let rules = BTreeMap::from([(SOCKET, vec![SeccompRule::new(vec![is_ipv6]).unwrap()])]);
    let refused = SeccompAction::Errno(EAFNOSUPPORT);
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, arch).unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    let restricted = thread::spawn(move || {
        apply_filter(&program).unwrap();
        assert!(std::net::UdpSocket::bind("[::1]:0").is_err());
        test();
    });
    restricted.join().unwrap();
}

#[test]
fn without_ipv6_dual_stack_is_ipv4() {
    without_ipv6(|| {
        let endpoint = Endpoint::start(
            &Options::default()
                .set("server.listen", "[::]:0")
                .set("admin.listen", "127.0.0.1:0"),
        );
        endpoint.assert_tells("This machine has no IPv6: listening on 0.0.0.0 instead of [::]");
        let address = format!("127.0.0.1:{}", endpoint.address.port());
        let health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(
            crate::support::exchange(address.parse().unwrap(), health).status,
            200
        );
        // With the configuration of serve.
        let listen = format!("[::]:{}", endpoint.address.port());
        run(endpoint.path(), &["health", "--listen", &listen]).assert(0, "healthy: ");
        let found = run(endpoint.path(), &["check", "--listen", &listen]);
        found.assert(
            0,
            "warning  server.listen: this machine has no IPv6: [::] is 0.0.0.0",
        );
    });
}

#[test]
fn without_ipv6_an_ipv6_address_cannot_be_used() {
    without_ipv6(|| {
        let dir = tempfile::tempdir().unwrap();
        let flags = ["--log-dir", "logs", "--listen", "[::1]:0"];
        let ended = run(dir.path(), &[&["serve"], &flags[..]].concat());
        ended.assert(1, "cannot listen on [::1]:0: ");
        ended.assert(1, "this machine has no IPv6");
        run(dir.path(), &[&["check"], &flags[..]].concat()).assert(78, "error    server.listen: ");
    });
}

#[test]
fn with_ipv6_nothing_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let found = run(dir.path(), &["check", "--listen", "[::]:8080"]);
    assert!(!found.stdout.contains("IPv6"), "{}", found.stdout);
}
