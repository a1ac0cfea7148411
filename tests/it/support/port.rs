//! Ports for servers that a test stops and starts again.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ephemeral ports of the system. While a server is down, a connection of another test
/// would sooner or later take an ephemeral one, and the server could not start again.
const FIRST_PORT: u16 = 12_000;
const LAST_PORT: u16 = 32_000;

/// A port that is free, and that no other test of this process gets.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = LAST_PORT - FIRST_PORT;
    // Test processes that run at the same time begin at different ports.
    let begin = u16::try_from(std::process::id() * 97 % u32::from(span)).unwrap();
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST_PORT + (begin.wrapping_add(step)) % span;
        // Tests listen on several addresses of the loopback network.
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}
