//! Requests over a real socket.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mns_endpoint::mns::ContentFormat;

use crate::support::{Draft, key};

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
}

/// Opens a connection and sends these bytes.
pub fn send(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// One request on a new connection.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> Answer {
    read_answer(&mut send(address, bytes))
}

/// Occupies a connection with a genuine push whose body does not arrive. A preceding push makes its
/// head provable.
pub fn occupy(stream: &mut (impl Read + Write), certificate_url: &str) {
    let push = || Draft::new(ContentFormat::Xml, "m", certificate_url).sign(&key(512));
    stream.write_all(&push().wire()).unwrap();
    assert_eq!(read_answer(stream).status, 201);
    stream
        .write_all(&push().set("Expect", "100-continue").head())
        .unwrap();
    assert_eq!(read_answer(stream).status, 100);
}

/// Several requests on one connection, each after the answer to the previous one.
pub fn exchange_all(address: SocketAddr, requests: &[Vec<u8>]) -> Vec<Answer> {
    let mut stream = send(address, &[]);
    requests
        .iter()
        .map(|request| {
            stream.write_all(request).unwrap();
            read_answer(&mut stream)
        })
        .collect()
}

/// The next request on a connection, as received.
pub fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        assert_eq!(
            stream.read(&mut byte).unwrap(),
            1,
            "the connection ended within a head"
        );
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    [request, body].concat()
}

/// The next answer of a connection.
pub fn read_answer(stream: &mut impl Read) -> Answer {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        let read = match stream.read(&mut byte) {
            // Somebody has stopped this process for a while.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.unwrap(),
        };
        assert!(
            read > 0,
            "the connection ended after {:?}",
            String::from_utf8_lossy(&head)
        );
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    if status != 100 {
        stream.read_exact(&mut body).unwrap();
    }
    Answer {
        status,
        headers,
        body: String::from_utf8(body).unwrap(),
    }
}
