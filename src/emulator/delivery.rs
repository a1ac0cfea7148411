//! Delivering a push: one connection to an endpoint, byte for byte what MNS sends.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::mns::DEFAULT_PATH;
use crate::tls_error;

/// How long MNS waits for an answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The largest body of an answer, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How a TLS server's answer to a request without TLS begins: the record type of an alert, and the
/// major version.
const TLS_ALERT: [u8; 2] = [21, 3];
/// What makes an endpoint's certificate trusted.
const TRUST_IT: &str = "name the file of its CA with --ca, or check nothing with --insecure";

/// An endpoint's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    host: String,
    port: u16,
    secure: bool,
    path: String,
    authority: String,
}

/// No address of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no endpoint: write http://HOST[:PORT][/PATH] or the same with https")]
pub struct TargetError(String);

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    reusable: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The endpoint cannot be reached.
    #[error("cannot connect to {authority}")]
    Connect {
        /// The endpoint.
        authority: String,
        /// What the system said.
        source: io::Error,
    },
    /// What listens there speaks no TLS, or its certificate is not trusted.
    #[error("{0}")]
    Tls(
        /// What is wrong, with the endpoint and what to do.
        String,
    ),
    /// The connection broke.
    #[error("the connection broke before an answer came")]
    Broken(#[source] io::Error),
    /// No answer in time.
    #[error("no answer within {ANSWER_TIMEOUT:?}")]
    TimedOut,
    /// TLS came.
    #[error("the endpoint answers with TLS: its address begins with https://")]
    NotPlain,
    /// Something else than HTTP came.
    #[error("the answer is no HTTP: is this the endpoint's port?")]
    NotHttp,
}

/// A connection that is kept while the endpoint keeps it.
pub struct Connection {
    target: Target,
    tls: Arc<rustls::ClientConfig>,
    stream: Option<BufReader<Box<dyn Duplex>>>,
}

trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for S {}

impl Target {
    /// Reads an endpoint's address as MNS does: without a path it is `/notifications`.
    ///
    /// # Errors
    /// [`TargetError`]
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let wrong = || TargetError(text.to_owned());
        let uri: Uri = text.parse().map_err(|_not_a_uri| wrong())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(wrong()),
        };
        let authority = uri
            .authority()
            .filter(|authority| !authority.as_str().contains('@'))
            .ok_or_else(wrong)?;
        // The library takes a port past 65535 for none: another one would be asked than was meant.
        if authority.port_u16().is_none() && !authority.as_str().ends_with(authority.host()) {
            return Err(wrong());
        }
        let has_path = text.matches('/').count() > 2;
        let path = uri
            .path_and_query()
            .filter(|_| has_path)
            .map_or(DEFAULT_PATH, |path| path.as_str());
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority
                .port_u16()
                .unwrap_or(if secure { 443 } else { 80 }),
            secure,
            path: path.to_owned(),
            authority: authority.to_string(),
        })
    }

    /// The path with its query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The value of Host.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

impl Answer {
    /// Whether MNS counts it as a delivery.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Connection {
    /// A connection to be made with the first delivery. `tls` is used for https.
    #[must_use]
    pub fn new(target: Target, tls: Arc<rustls::ClientConfig>) -> Self {
        Self {
            target,
            tls,
            stream: None,
        }
    }

    /// Where it leads.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Sends a request and waits for its answer.
    ///
    /// A dropped future leaves the connection in an unknown state: drop it too.
    ///
    /// # Errors
    /// [`DeliveryError`]. The request may have arrived all the same.
    pub async fn deliver(&mut self, request: &[u8]) -> Result<Answer, DeliveryError> {
        self.deliver_in(&[request], Duration::ZERO).await
    }

    /// Sends a request in pieces, with a pause between two of them, and waits for its answer.
    ///
    /// # Errors
    /// As [`Self::deliver`], and with the same limit of time for all of it.
    pub async fn deliver_in(
        &mut self,
        pieces: &[&[u8]],
        pause: Duration,
    ) -> Result<Answer, DeliveryError> {
        let exchange = self.exchange(pieces, pause);
        let answer = timeout(ANSWER_TIMEOUT, exchange)
            .await
            .unwrap_or(Err(DeliveryError::TimedOut));
        if !answer.as_ref().is_ok_and(|answer| answer.reusable) {
            self.stream = None;
        }
        answer
    }

    /// Sends the beginning of a request and closes the connection.
    ///
    /// # Errors
    /// As [`Self::deliver`].
    pub async fn send_part(&mut self, part: &[u8]) -> Result<(), DeliveryError> {
        let sent = timeout(ANSWER_TIMEOUT, async {
            let stream = self.connected().await?;
            send(stream, &[part], Duration::ZERO).await?;
            stream.shutdown().await.map_err(DeliveryError::Broken)
        });
        let sent = sent.await.unwrap_or(Err(DeliveryError::TimedOut));
        self.stream = None;
        sent
    }

    async fn exchange(
        &mut self,
        pieces: &[&[u8]],
        pause: Duration,
    ) -> Result<Answer, DeliveryError> {
        let is_kept = self.stream.is_some();
        let stream = self.connected().await?;
        let answer = match send(stream, pieces, pause).await {
            Ok(()) => read_answer(stream).await,
            Err(error) => Err(error),
        };
        match answer {
            // A kept connection may have been closed by the endpoint in the meantime: that is no
            // failure of it.
            Err(DeliveryError::Broken(_)) if is_kept => {
                self.stream = None;
                let stream = self.connected().await?;
                send(stream, pieces, pause).await?;
                read_answer(stream).await
            }
            answer => answer,
        }
    }

    async fn connected(&mut self) -> Result<&mut BufReader<Box<dyn Duplex>>, DeliveryError> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => BufReader::new(connect(&self.target, &self.tls).await?),
        };
        Ok(self.stream.insert(stream))
    }
}

async fn send(
    stream: &mut BufReader<Box<dyn Duplex>>,
    pieces: &[&[u8]],
    pause: Duration,
) -> Result<(), DeliveryError> {
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            sleep(pause).await;
        }
        stream
            .write_all(piece)
            .await
            .map_err(DeliveryError::Broken)?;
        stream.flush().await.map_err(DeliveryError::Broken)?;
    }
    Ok(())
}

async fn connect(
    target: &Target,
    tls: &Arc<rustls::ClientConfig>,
) -> Result<Box<dyn Duplex>, DeliveryError> {
    let Target {
        host,
        port,
        secure,
        authority,
        ..
    } = target;
    let failed = |source| DeliveryError::Connect {
        authority: authority.clone(),
        source,
    };
    let stream = TcpStream::connect((host.as_str(), *port))
        .await
        .map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    if !secure {
        return Ok(Box::new(stream));
    }
    let name =
        ServerName::try_from(host.clone()).map_err(|error| failed(io::Error::other(error)))?;
    let stream = TlsConnector::from(tls.clone())
        .connect(name, stream)
        .await
        .map_err(|error| DeliveryError::Tls(no_tls(authority, &error)))?;
    Ok(Box::new(stream))
}

/// Why there is no TLS with an endpoint.
fn no_tls(authority: &str, error: &io::Error) -> String {
    if let Some(told) = tls_error::with_peer(error, authority, TRUST_IT) {
        return told;
    }
    format!(
        "{authority} broke the handshake off: {error}; the address of a port without TLS begins \
         with http://"
    )
}

/// The final answer, behind those that are not.
async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Answer, DeliveryError> {
    loop {
        let answer = read_one_answer(stream).await?;
        if answer.status != 100 {
            return Ok(answer);
        }
    }
}

async fn read_one_answer<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Answer, DeliveryError> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX {
            return Err(DeliveryError::NotHttp);
        }
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) if head.starts_with(&TLS_ALERT) => return Err(DeliveryError::NotPlain),
            Err(error) => return Err(DeliveryError::Broken(error)),
        }
    }
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
        // Without a length the body is of no interest, and the connection ends with it.
        Some(_) | None => {}
    }
    let reusable =
        !closes && (status == 100 || length.is_some_and(|length| length <= BODY_BYTES_MAX));
    Ok(Answer {
        status,
        body,
        reusable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_is_that_of_notifications() {
        for (text, path) in [
            ("http://127.0.0.1:8080", "/notifications"),
            ("http://a.example/", "/"),
            ("http://a.example/api/test?x=1", "/api/test?x=1"),
            ("https://[::1]:8443/x", "/x"),
        ] {
            assert_eq!(Target::parse(text).unwrap().path(), path, "{text}");
        }
        for text in [
            "",
            "a.example",
            "127.0.0.1:8080",
            "ftp://a.example/",
            "http://",
            "http://a.example:99999/",
            "http://u@a/",
        ] {
            assert_eq!(
                Target::parse(text).err(),
                Some(TargetError(text.to_owned()))
            );
        }
    }
}
