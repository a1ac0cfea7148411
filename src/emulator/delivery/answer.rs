//! The answer of an endpoint, read from its connection.

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::emulator::delivery::error::DeliveryError;

/// The largest head of an answer, in bytes.
// The bounds on head and body keep an endpoint that never stops sending from filling the memory.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The largest body of an answer, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The beginning of a TLS server's answer to a request without TLS: the record type of an alert,
/// and the major version.
const TLS_ALERT: [u8; 2] = [21, 3];

const SWITCHING_PROTOCOLS: u16 = 101;
const NO_CONTENT: u16 = 204;
const NOT_MODIFIED: u16 = 304;

/// The answer of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    /// Whether the connection can carry another request.
    pub(super) reusable: bool,
}

impl Answer {
    /// Whether MNS counts the answer as a delivery.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Reads the final answer, skipping interim ones.
pub(super) async fn read_answer<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> Result<Answer, DeliveryError> {
    loop {
        let answer = read_one_answer(stream).await?;
        // The final answer follows interim ones on the same connection (RFC 9110, 15.2). After 101
        // the connection no longer speaks HTTP, so no other answer follows.
        if !(100..200).contains(&answer.status) || answer.status == SWITCHING_PROTOCOLS {
            return Ok(answer);
        }
    }
}

async fn read_one_answer<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Answer, DeliveryError> {
    let mut head = Vec::new();
    // Byte by byte: the reader is buffered, and bytes after the head must stay in it.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX {
            return Err(DeliveryError::NotHttp);
        }
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            // A TLS server closes the connection after its alert, so the alert is all that is read.
            Err(_) if head.starts_with(&TLS_ALERT) => return Err(DeliveryError::NotPlain),
            Err(error) => return Err(DeliveryError::Broken(error)),
        }
    }
    // `httparse` rejects an answer with more headers than this.
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut headers);
    parsed
        .parse(&head)
        .map_err(|_not_http| DeliveryError::NotHttp)?;
    let status = parsed.code.ok_or(DeliveryError::NotHttp)?;
    let values = |name: &'static str| {
        let headers = parsed.headers.iter();
        headers
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .filter_map(|header| std::str::from_utf8(header.value).ok())
    };
    // Without further headers HTTP/1.0 closes the connection after the answer (RFC 9112, 9.3).
    let closes = parsed.version == Some(0)
        || values("connection")
            .flat_map(|value| value.split(','))
            .any(|option| option.trim().eq_ignore_ascii_case("close"));
    let length = if has_no_body(status) {
        Some(0)
    } else if values("transfer-encoding").next().is_some() {
        // It overrides Content-Length (RFC 9112, 6.3).
        None
    } else {
        let mut lengths = values("content-length");
        lengths
            .next()
            .and_then(|length| length.parse::<usize>().ok())
    };
    let mut body = Vec::new();
    match length {
        Some(length) if length <= BODY_BYTES_MAX => {
            body.resize(length, 0);
            stream
                .read_exact(&mut body)
                .await
                .map_err(DeliveryError::Broken)?;
        }
        // Without a length the body is not needed, and the connection cannot be reused.
        Some(_) | None => {}
    }
    // Unread bytes of a body would be parsed as the next answer.
    let reusable = !closes
        && status != SWITCHING_PROTOCOLS
        && length.is_some_and(|length| length <= BODY_BYTES_MAX);
    Ok(Answer {
        status,
        body,
        reusable,
    })
}

/// Whether an answer ends with its head, whatever its headers say (RFC 9112, 6.3).
fn has_no_body(status: u16) -> bool {
    matches!(status, 100..200 | NO_CONTENT | NOT_MODIFIED)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the final answer, and returns it with the bytes left on the connection.
    async fn read(mut wire: &[u8]) -> (Answer, &[u8]) {
        let answer = read_answer(&mut wire).await.unwrap();
        (answer, wire)
    }

    #[tokio::test]
    async fn interim_answers_are_skipped_and_switching_protocols_is_final() {
        let wire = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
            HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 3\r\n\r\n\
            HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok";
        let (answer, left) = read(wire).await;
        assert_eq!((answer.status, answer.body.as_slice()), (201, &b"ok"[..]));
        assert!(answer.reusable && left.is_empty());
        let (answer, _) = read(b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x00").await;
        assert_eq!((answer.status, answer.reusable), (101, false));
    }

    #[tokio::test]
    async fn an_answer_keeps_the_connection_if_its_end_is_known() {
        for (head, is_kept) in [
            ("HTTP/1.1 204 No Content", true),
            // A 204 has no body, whatever it announces.
            ("HTTP/1.1 204 No Content\r\nContent-Length: 4", true),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 4", true),
            ("HTTP/1.1 204 No Content\r\nConnection: close", false),
            ("HTTP/1.1 204 No Content\r\nConnection: x, Close", false),
            (
                "HTTP/1.1 204 No Content\r\nConnection: x\r\nConnection: close",
                false,
            ),
            ("HTTP/1.0 204 No Content", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0", true),
            ("HTTP/1.1 200 OK", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", false),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4",
                false,
            ),
        ] {
            let wire = format!("{head}\r\n\r\nHTTP");
            let (answer, left) = read(wire.as_bytes()).await;
            assert_eq!((answer.reusable, left), (is_kept, &b"HTTP"[..]), "{head}");
        }
    }
}
