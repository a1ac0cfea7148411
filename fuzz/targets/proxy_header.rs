//! What proxies say of who is asking: a PROXY header, and lines of X-Forwarded-For.
#![no_main]

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use mns_endpoint::fuzzing;
use mns_endpoint::net::TrustedProxies;

fuzz_target!(|bytes: &[u8]| {
    let proxy: SocketAddr = "10.0.0.1:5".parse().unwrap();
    check_proxy_header(bytes, proxy);
    check_forwarded_for(bytes, proxy);
});

fn check_proxy_header(bytes: &[u8], proxy: SocketAddr) {
    let reading = pin!(fuzzing::proxy_header(bytes, proxy));
    // All bytes are there: there is nothing to wait for.
    let Poll::Ready(read) = reading.poll(&mut Context::from_waker(Waker::noop())) else {
        unreachable!()
    };
    let Ok(client) = read else { return };
    assert_eq!(client.ip(), client.ip().to_canonical());
    if bytes.starts_with(b"PROXY ") {
        return check_line(bytes, client, proxy);
    }
    assert!(bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
    let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    match (bytes[12], bytes[13]) {
        // The proxy asks for itself.
        (0x20, _) => assert_eq!(client, proxy),
        // TCP over IPv4, and over IPv6.
        (0x21, 0x11) => {
            let ip: [u8; 4] = bytes[16..20].try_into().unwrap();
            assert_eq!(client, SocketAddr::new(ip.into(), port(24)));
        }
        (0x21, 0x21) => {
            let ip: [u8; 16] = bytes[16..32].try_into().unwrap();
            assert_eq!(
                client,
                SocketAddr::new(IpAddr::from(ip).to_canonical(), port(48))
            );
        }
        _ => {}
    }
}

/// Version 1: a line of at most 107 bytes.
fn check_line(bytes: &[u8], client: SocketAddr, proxy: SocketAddr) {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n").unwrap();
    assert!(end + 2 <= 107);
    let words: Vec<&[u8]> = bytes[..end].split(|byte| *byte == b' ').collect();
    let word = |at: usize| std::str::from_utf8(words[at]).unwrap();
    match words[1] {
        b"TCP4" | b"TCP6" => {
            let ip: IpAddr = word(2).parse().unwrap();
            assert_eq!(
                client,
                SocketAddr::new(ip.to_canonical(), word(4).parse().unwrap())
            );
        }
        _ => assert_eq!(client, proxy),
    }
}

fn check_forwarded_for(text: &[u8], proxy: SocketAddr) {
    const NAME: &str = "x-forwarded-for";
    let trusted = TrustedProxies::new(
        ["10.0.0.0/8", "fd00::/8"]
            .map(|network| network.parse().unwrap())
            .to_vec(),
    );
    let mut headers = HeaderMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else {
            return;
        };
        headers.append(NAME, value);
    }
    let told = fuzzing::client(&trusted, proxy, &headers);
    assert_eq!(told.ip(), told.ip().to_canonical());
    // A stranger has no word.
    let stranger: SocketAddr = "192.0.2.1:5".parse().unwrap();
    assert_eq!(fuzzing::client(&trusted, stranger, &headers), stranger);
    // What precedes the address that the nearest proxy saw changes nothing.
    headers.append(NAME, HeaderValue::from_static("203.0.113.7"));
    assert_eq!(
        fuzzing::client(&trusted, proxy, &headers).to_string(),
        "203.0.113.7:0"
    );
}
