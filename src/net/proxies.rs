//! Trusted proxies, and the client that they name for a request.

use std::io;
use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;
use proxy_header::{ParseConfig, ProxyHeader};
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncReadExt as _, Interest};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::net::limits::{PROXY_BYTES_MAX, PROXY_HEADER_TIMEOUT, PROXY_LINE_BYTES_MAX};

/// The header to which each proxy appends the address of its own client.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The beginning of a PROXY header of version 1. No HTTP method is just `PROXY`.
const LINE_START: &[u8] = b"PROXY ";
/// The length of the signature, version, kind and length of a PROXY header of version 2.
const FIXED_BYTES: usize = 16;

/// The networks of the trusted proxies.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Trusts every peer in one of these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether no proxy is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the networks contains every address of a family.
    #[must_use]
    pub fn takes_everyone(&self) -> bool {
        self.0.iter().any(|network| network.prefix_len() == 0)
    }

    pub(super) fn trusts(&self, peer: SocketAddr) -> bool {
        // On a dual-stack socket an IPv4 peer has an IPv6 address, which is in no IPv4 network.
        let ip = peer.ip().to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// Returns the client as far as trusted proxies name it. Reads X-Forwarded-For from its end,
    /// where the nearest proxy appended, up to the first address that is not a trusted proxy. An
    /// address without a port gets port 0.
    pub(crate) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let mut client = peer;
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let named = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        for one in named {
            if !self.trusts(client) {
                break;
            }
            match address(one) {
                Some(address) => client = address,
                // This entry does not name the proxy that wrote the addresses before it, so those
                // are not trusted.
                None => break,
            }
        }
        client
    }

    /// Reads a PROXY header of version 1 or 2 if a trusted proxy sends one. Returns the client that
    /// it names.
    ///
    /// An HTTP or TLS connection begins with neither `\r` nor `PROXY `, so the first bytes decide.
    /// If there is no header, they stay in the socket.
    pub(super) async fn open(
        &self,
        stream: &mut TcpStream,
        peer: SocketAddr,
    ) -> io::Result<SocketAddr> {
        let mut first = [0];
        // The peer has closed. HTTP or TLS reads the end as well, and ends the connection.
        if stream.peek(&mut first).await? == 0 {
            return Ok(peer);
        }
        let opened = async {
            match &first {
                b"\r" => read_header(stream, peer).await,
                b"P" if begins_with_line(stream).await? => read_header(stream, peer).await,
                _ => Ok(peer),
            }
        };
        timeout(PROXY_HEADER_TIMEOUT, opened)
            .await
            .map_err(|_elapsed| io::ErrorKind::TimedOut)?
    }
}

/// Whether a connection begins with [`LINE_START`]. Waits for more bytes as long as it may.
async fn begins_with_line(stream: &TcpStream) -> io::Result<bool> {
    let look = || {
        let mut begun = [0; LINE_START.len()];
        let (count, _) = recv(stream, &mut begun[..], RecvFlags::PEEK)?;
        let begun = begun.get(..count).unwrap_or_default();
        // `WouldBlock` makes tokio wait for the next packet: a plain peek would return the same
        // bytes at once.
        let may_follow = count < LINE_START.len() && LINE_START.starts_with(begun);
        if may_follow {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(begun == LINE_START)
        }
    };
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        match stream.try_io(Interest::READABLE, look) {
            // A peer that has finished sending stays readable, but nothing more arrives.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && ready.is_read_closed() => {
                return Ok(false);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            looked => return looked,
        }
    }
}

/// Reads a header of either version, and no byte beyond it.
pub(crate) async fn read_header(
    stream: &mut (impl AsyncRead + Unpin),
    peer: SocketAddr,
) -> io::Result<SocketAddr> {
    let first = stream.read_u8().await?;
    let is_line = LINE_START.first() == Some(&first);
    let header = if is_line {
        read_line(stream, first).await?
    } else {
        read_binary(stream, first).await?
    };
    let version = ParseConfig {
        // Only the version that the first byte selected.
        allow_v1: is_line,
        allow_v2: !is_line,
        include_tlvs: false,
    };
    let parsed =
        ProxyHeader::parse(&header, version).map_err(|error| io::Error::other(error.to_string()));
    let (header, _all) = parsed?;
    // `None` if the proxy connects on its own behalf, as for a probe, or does not know the client.
    Ok(header
        .proxied_address()
        .map_or(peer, |proxied| canonical(proxied.source)))
}

/// Reads the rest of a header of version 1: text up to its line end.
async fn read_line(stream: &mut (impl AsyncRead + Unpin), first: u8) -> io::Result<Vec<u8>> {
    let mut line = vec![first];
    while !line.ends_with(b"\r\n") {
        // Byte by byte: what follows the line belongs to TLS or HTTP. This happens once per
        // connection, so its cost does not matter.
        line.push(stream.read_u8().await?);
        if line.len() > PROXY_LINE_BYTES_MAX
            || !line
                .iter()
                .zip(LINE_START)
                .all(|(byte, wanted)| byte == wanted)
        {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(line)
}

/// Reads the rest of a header of version 2: a fixed part with the length of what follows.
async fn read_binary(stream: &mut (impl AsyncRead + Unpin), first: u8) -> io::Result<Vec<u8>> {
    let mut header = vec![0; FIXED_BYTES];
    if let [start, rest @ ..] = header.as_mut_slice() {
        *start = first;
        stream.read_exact(rest).await?;
    }
    // Bytes 15 and 16, in network byte order (PROXY protocol, 2.2).
    let length = header
        .last_chunk::<2>()
        .map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
    if length > PROXY_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    header.resize(FIXED_BYTES.saturating_add(length), 0);
    stream
        .read_exact(header.get_mut(FIXED_BYTES..).unwrap_or_default())
        .await?;
    Ok(header)
}

/// An address as proxies write it: with or without a port, IPv6 with or without brackets.
fn address(text: &[u8]) -> Option<SocketAddr> {
    // A list in a header may have white space around its commas (RFC 9110, 5.6.1).
    let text = std::str::from_utf8(text).ok()?.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let without_port = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    without_port.or_else(|_| text.parse()).ok().map(canonical)
}

/// Converts an IPv4 address that is written as IPv6.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                FORWARDED_FOR,
                HeaderValue::from_bytes(line.as_bytes()).unwrap(),
            );
        }
        TrustedProxies::new(networks.to_vec())
            .client(peer.parse().unwrap(), &headers)
            .to_string()
    }

    #[test]
    fn x_forwarded_for_is_read_from_its_end() {
        for (peer, lines, expected) in [
            ("10.0.0.1:5", &[][..], "10.0.0.1:5"),
            ("10.0.0.1:5", &["203.0.113.7"], "203.0.113.7:0"),
            ("10.0.0.1:5", &["203.0.113.7:99"], "203.0.113.7:99"),
            // A stranger is not trusted.
            // Whoever connects directly could otherwise pass for any address.
            ("192.0.2.1:5", &["203.0.113.7"], "192.0.2.1:5"),
            // What the client wrote itself is not trusted.
            ("10.0.0.1:5", &["1.1.1.1, 203.0.113.7"], "203.0.113.7:0"),
            ("10.0.0.1:5", &["1.1.1.1", "203.0.113.7"], "203.0.113.7:0"),
            // A chain of trusted proxies.
            (
                "10.0.0.1:5",
                &["1.1.1.1, 203.0.113.7, 10.0.0.2"],
                "203.0.113.7:0",
            ),
            ("10.0.0.1:5", &["10.0.0.3", "10.0.0.2"], "10.0.0.3:0"),
            // An unreadable entry ends the chain.
            ("10.0.0.1:5", &["203.0.113.7, unknown"], "10.0.0.1:5"),
            ("10.0.0.1:5", &["203.0.113.7,"], "10.0.0.1:5"),
            ("10.0.0.1:5", &["203.0.113.7, _x, 10.0.0.2"], "10.0.0.2:0"),
            // IPv6, and IPv4 written as IPv6.
            ("[fd00::1]:5", &["[2001:db8::1]:99"], "[2001:db8::1]:99"),
            ("[fd00::1]:5", &["[2001:db8::1]"], "[2001:db8::1]:0"),
            ("[fd00::1]:5", &["2001:db8::1"], "[2001:db8::1]:0"),
            ("10.0.0.1:5", &["::ffff:203.0.113.7"], "203.0.113.7:0"),
            ("[::ffff:10.0.0.1]:5", &["203.0.113.7"], "203.0.113.7:0"),
        ] {
            assert_eq!(client(peer, lines), expected, "{peer} {lines:?}");
        }
    }
}
