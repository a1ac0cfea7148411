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

/// Reads the final answer, skipping any `100 Continue`.
pub(super) async fn read_answer<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> Result<Answer, DeliveryError> {
    loop {
        let answer = read_one_answer(stream).await?;
        // 100 is an interim response: the final one follows on the same connection (RFC 9110,
        // 15.2).
        if answer.status != 100 {
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
    let value = |name: &str| {
        let header = parsed
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        header.map(|header| String::from_utf8_lossy(header.value).into_owned())
    };
    // Without further headers HTTP/1.0 closes the connection after the answer (RFC 9112, 9.3).
    let closes = parsed.version == Some(0)
        || value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let length = value("content-length").and_then(|length| length.parse::<usize>().ok());
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
    // Unread bytes of a body would be parsed as the next answer. A 100 never has a body.
    let reusable =
        !closes && (status == 100 || length.is_some_and(|length| length <= BODY_BYTES_MAX));
    Ok(Answer {
        status,
        body,
        reusable,
    })
}
