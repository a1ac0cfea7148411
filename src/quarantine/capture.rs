//! A refused request as a file: raw HTTP in the form that `explain` reads, followed by a note on
//! it.
//!
//! The head has exactly one Content-Length, that of the received body. So the end of the body is
//! known, whatever a peer sent, and the note begins there. The note is written last: a crash tore a
//! file without a complete one.

use std::net::SocketAddr;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Request, Version};

/// The note on a refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// When it arrived, by our clock.
    pub came: SystemTime,
    /// Its sender.
    pub peer: SocketAddr,
    /// The reason key.
    pub reason: String,
}

/// Encodes the file.
#[must_use]
pub fn capture(request: &Request<Bytes>, note: &Note) -> Vec<u8> {
    // serve speaks HTTP/1 only, so there is no third version.
    let version = if request.version() == Version::HTTP_10 {
        "HTTP/1.0"
    } else {
        "HTTP/1.1"
    };
    let mut out = format!("{} {} {version}\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        // Replaced by the length of the body, which is complete and not chunked here.
        if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
    }
    out.extend_from_slice(format!("content-length: {}\r\n\r\n", request.body().len()).as_bytes());
    out.extend_from_slice(request.body());
    out.extend_from_slice(note.to_string().as_bytes());
    out
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // All nine digits, so that `parse` returns exactly the same note.
        let came = humantime::format_rfc3339_nanos(self.came);
        write!(
            f,
            "\n\nCame: {came}\nPeer: {}\nReason: {}\n",
            self.peer, self.reason
        )
    }
}

impl Note {
    /// Reads the note after the body of a capture. `None` if it is missing or incomplete.
    #[must_use]
    pub fn parse(rest: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(rest).ok()?.strip_prefix("\n\nCame: ")?;
        let (came, text) = text.split_once("\nPeer: ")?;
        let (peer, text) = text.split_once("\nReason: ")?;
        // The line feed is written last: without it the reason may be truncated.
        let reason = text.strip_suffix('\n')?.to_owned();
        Some(Self {
            came: humantime::parse_rfc3339(came).ok()?,
            peer: peer.parse().ok()?,
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> Note {
        let came = humantime::parse_rfc3339("2026-11-24T10:40:38.123456789Z").unwrap();
        Note {
            came,
            peer: "[::1]:443".parse().unwrap(),
            reason: "owner_not_accepted".to_owned(),
        }
    }

    #[test]
    fn a_request_is_written_as_it_came_with_one_length_and_a_note() {
        let request = Request::builder()
            .method("POST")
            .uri("/a?b=%20c")
            .header("x-b", "1")
            .header("transfer-encoding", "chunked");
        let request = request
            .header("content-length", "99")
            .header("x-a", "")
            .body(Bytes::from_static(b"\0body\n"))
            .unwrap();
        let expected = "POST /a?b=%20c HTTP/1.1\r\nx-b: 1\r\nx-a: \r\ncontent-length: \
            6\r\n\r\n\0body\n\n\nCame: 2026-11-24T10:40:38.123456789Z\nPeer: [::1]:443\nReason: \
            owner_not_accepted\n";
        assert_eq!(
            String::from_utf8(capture(&request, &note())).unwrap(),
            expected
        );
    }

    #[test]
    fn a_note_is_read_completely_or_not_at_all() {
        let text = note().to_string();
        assert_eq!(Note::parse(text.as_bytes()), Some(note()));
        for end in 0..text.len() {
            assert_eq!(Note::parse(&text.as_bytes()[..end]), None, "cut at {end}");
        }
    }
}
