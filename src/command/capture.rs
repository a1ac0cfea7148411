//! A captured request: the raw bytes of one HTTP/1 request, followed by an optional note.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};

/// The maximum number of headers of a capture.
const HEADERS_MAX: usize = 256;

/// Parses the head and the body. Returns the request and what follows it. Line ends may be CR LF or
/// LF. The body is as long as Content-Length says or, without one, the rest.
pub(crate) fn read(bytes: &[u8]) -> anyhow::Result<(Request<Bytes>, &[u8])> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed.parse(bytes).context(
        "it must begin like POST /notifications HTTP/1.1, followed by one header per line",
    );
    let head_bytes = match status? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => {
            bail!("an empty line is missing between head and body")
        }
    };
    let mut request = Request::builder()
        .method(parsed.method.context("it has no method")?)
        .uri(parsed.path.context("it has no target")?);
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes())?;
        request = request.header(name, HeaderValue::from_bytes(header.value)?);
    }
    if request
        .headers_ref()
        .is_some_and(|headers| headers.contains_key(http::header::TRANSFER_ENCODING))
    {
        bail!(
            "the body is chunked: capture it decoded, with a Content-Length in place of \
             Transfer-Encoding"
        );
    }
    let rest = bytes.get(head_bytes..).unwrap_or_default();
    let announced = request
        .headers_ref()
        .and_then(|headers| headers.get(http::header::CONTENT_LENGTH));
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let length = announced.unwrap_or(rest.len());
    let Some((body, behind)) = rest.split_at_checked(length) else {
        bail!(
            "the body has {} bytes, but Content-Length says {length}: the capture was truncated",
            rest.len()
        )
    };
    Ok((request.body(Bytes::copy_from_slice(body))?, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_body_are_read_with_either_line_end() {
        for end in ["\r\n", "\n"] {
            let text = [
                "POST /x?y HTTP/1.1",
                "Content-md5: A",
                "Content-length: 5",
                "",
                "hello, and more",
            ]
            .join(end);
            let (request, behind) = read(text.as_bytes()).unwrap();
            assert_eq!(request.uri(), "/x?y");
            assert_eq!(request.headers()["content-md5"], "A");
            assert_eq!(
                (request.body().as_ref(), behind),
                (&b"hello"[..], &b", and more"[..])
            );
        }
    }

    #[test]
    fn an_incomplete_request_is_reported() {
        let cut = read(b"POST / HTTP/1.1\r\nContent-length: 5\r\n\r\nhell").unwrap_err();
        assert!(cut.to_string().contains("the capture was truncated"));
        assert!(
            read(b"POST / HTTP/1.1\r\nHost: a")
                .unwrap_err()
                .to_string()
                .contains("empty line is missing")
        );
        let chunked =
            read(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").unwrap_err();
        assert!(chunked.to_string().contains("chunked"));
        assert!(read(b"hello").is_err());
    }
}
