//! A keep-alive connection to an endpoint.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::emulator::delivery::answer::{Answer, read_answer};
use crate::emulator::delivery::error::{ANSWER_TIMEOUT, DeliveryError};
use crate::emulator::delivery::target::Target;
use crate::tls_error;

/// How to make an endpoint's certificate trusted.
const TRUST_IT: &str = "name the file of its CA with --ca, or skip verification with --insecure";

/// A connection that is reused for as long as the endpoint keeps it open.
pub struct Connection {
    target: Target,
    tls: Arc<rustls::ClientConfig>,
    // Boxed, because a TCP stream and a TLS stream have different types.
    stream: Option<BufReader<Box<dyn Duplex>>>,
}

trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for S {}

impl Connection {
    /// A connection that is opened by the first delivery. `tls` is used for https.
    #[must_use]
    pub fn new(target: Target, tls: Arc<rustls::ClientConfig>) -> Self {
        Self {
            target,
            tls,
            stream: None,
        }
    }

    /// The endpoint.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Sends a request and waits for its answer.
    ///
    /// If the future is dropped, the state of the connection is unknown: drop it too.
    ///
    /// # Errors
    /// [`DeliveryError`]. The endpoint may have received the request nevertheless.
    pub async fn deliver(&mut self, request: &[u8]) -> Result<Answer, DeliveryError> {
        self.deliver_in(&[request], Duration::ZERO).await
    }

    /// Sends a request in pieces, with a pause between two of them, and waits for its answer.
    ///
    /// # Errors
    /// As for [`Self::deliver`]. The same time limit applies to the whole exchange.
    pub async fn deliver_in(
        &mut self,
        pieces: &[&[u8]],
        pause: Duration,
    ) -> Result<Answer, DeliveryError> {
        let exchange = self.exchange(pieces, pause);
        let answer = timeout(ANSWER_TIMEOUT, exchange)
            .await
            .unwrap_or(Err(DeliveryError::TimedOut));
        // After a timeout the answer may still arrive, and would be taken for that of the next
        // push.
        if !answer.as_ref().is_ok_and(|answer| answer.reusable) {
            self.stream = None;
        }
        answer
    }

    /// Sends the beginning of a request and closes the connection.
    ///
    /// # Errors
    /// As for [`Self::deliver`].
    pub async fn send_part(&mut self, part: &[u8]) -> Result<(), DeliveryError> {
        let sent = timeout(ANSWER_TIMEOUT, async {
            let stream = self.connected().await?;
            send(stream, &[part], Duration::ZERO).await?;
            // Ends the stream cleanly, with TLS by close_notify, so that the endpoint receives the
            // part and then the end instead of a reset.
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
        // Read before `connected`, which opens a missing connection.
        let is_kept = self.stream.is_some();
        let stream = self.connected().await?;
        let answer = match send(stream, pieces, pause).await {
            Ok(()) => read_answer(stream).await,
            Err(error) => Err(error),
        };
        match answer {
            // The endpoint may have closed an idle connection in the meantime, which is not a
            // failure. Only a new connection that breaks counts.
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
        // Taken and put back: the borrow checker does not accept an early return of a borrow of the
        // field.
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
        // The TLS stream buffers records, so a piece could otherwise remain unsent during the
        // pause.
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
    // Nagle's algorithm would delay a piece until the one before it is acknowledged.
    stream.set_nodelay(true).map_err(failed)?;
    if !secure {
        return Ok(Box::new(stream));
    }
    let name =
        // Accepts an IP address too, but without brackets. `Target` has removed them.
        ServerName::try_from(host.clone()).map_err(|error| failed(io::Error::other(error)))?;
    let stream = TlsConnector::from(tls.clone())
        .connect(name, stream)
        .await
        .map_err(|error| DeliveryError::Tls(no_tls(authority, &error)))?;
    Ok(Box::new(stream))
}

/// Describes a failed handshake with an endpoint, and what to do about it.
fn no_tls(authority: &str, error: &io::Error) -> String {
    if let Some(problem) = tls_error::with_peer(error, authority, TRUST_IT) {
        return problem;
    }
    format!(
        "{authority} aborted the handshake: {error}; the address of a port without TLS begins \
         with http://"
    )
}
