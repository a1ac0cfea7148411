//! Connections that are told that every slot is busy.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::net::limits::{LINGER_BYTES_MAX, LINGER_TIMEOUT, TURNED_AWAY_MAX, TURNED_AWAY_PROXY_TIMEOUT};
use crate::net::{Tls, TrustedProxies};

/// Tells them 503, a bounded number at a time and each within a bounded time.
#[derive(Clone)]
pub(super) struct TurnedAway {
    tls: Option<Arc<Tls>>,
    proxies: TrustedProxies,
    room: Arc<Semaphore>,
}

impl TurnedAway {
    pub(super) fn new(tls: Option<Arc<Tls>>, proxies: TrustedProxies) -> Self {
        Self { tls, proxies, room: Arc::new(Semaphore::new(TURNED_AWAY_MAX)) }
    }

    /// Tells one, behind its PROXY header and under TLS as it expects. `None` where too many are being told: it is closed.
    pub(super) fn tell(&self, mut stream: TcpStream, peer: SocketAddr) -> Option<impl Future<Output = ()> + use<>> {
        let permit = self.room.clone().try_acquire_owned().ok()?;
        let (tls, proxies) = (self.tls.clone(), self.proxies.clone());
        let told = async move {
            let _permit = permit;
            // One that stays silent is told all the same.
            if proxies.trusts(peer)
                && let Ok(Err(_)) = timeout(TURNED_AWAY_PROXY_TIMEOUT, proxies.open(&mut stream, peer)).await
            {
                return;
            }
            match tls {
                None => say_busy(stream).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        say_busy(stream).await;
                    }
                }
            }
        };
        // Whoever takes longer is closed.
        Some(async { drop(timeout(LINGER_TIMEOUT, told).await) })
    }
}

async fn say_busy(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nretry-after: 5\r\n\
        connection: close\r\ncontent-length: 19\r\n\r\nService Unavailable";
    let mut scratch = [0; 4096];
    let mut swallowed: usize = 0;
    if stream.write_all(ANSWER).await.is_ok() && stream.shutdown().await.is_ok() {
        while let Ok(read @ 1..) = stream.read(&mut scratch).await
            && swallowed < LINGER_BYTES_MAX
        {
            swallowed = swallowed.saturating_add(read);
        }
    }
}
