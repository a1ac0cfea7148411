//! The certificate and key in use, and the watch on their files.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::net::limits::{HANDSHAKE_TIMEOUT, TLS_LOOK_PERIOD};
use crate::net::tls::files::{Bytes, TlsError, TlsFiles};
use crate::net::tls::last_look::LastLook;
use crate::net::tls::pair::Pair;
use crate::report::Report;

/// The server side of TLS.
pub struct Tls {
    pair: ArcSwap<Pair>,
    /// Locked while a pair is replaced, so that a slow look cannot undo a reload.
    change: Mutex<()>,
}

impl Tls {
    /// Reads a pair.
    ///
    /// # Errors
    /// [`TlsError`]
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let bytes = Bytes::read(&files)?;
        Ok(Self {
            pair: ArcSwap::from_pointee(Pair::new(files, &bytes)?),
            change: Mutex::default(),
        })
    }

    /// Switches to the pair that is now in `files`. Open connections continue with theirs.
    ///
    /// # Errors
    /// [`TlsError`]: the previous pair stays in use.
    pub fn replace(&self, files: TlsFiles) -> Result<(), TlsError> {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = Bytes::read(&files)?;
        self.pair.store(Arc::new(Pair::new(files, &bytes)?));
        Ok(())
    }

    /// The expiry that the certificate claims.
    #[must_use]
    pub fn not_after(&self) -> Option<SystemTime> {
        self.pair.load().not_after
    }

    /// Performs the TLS handshake on a connection, within [`HANDSHAKE_TIMEOUT`].
    pub(in crate::net) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = self.pair.load().acceptor.clone();
        timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream))
            .await
            .map_err(|_elapsed| io::ErrorKind::TimedOut)?
    }

    /// Reads the files every [`TLS_LOOK_PERIOD`] and switches to a changed pair, until `stop`.
    pub(in crate::net) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut last_look = LastLook::default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(TLS_LOOK_PERIOD) => {}
            }
            let tls = self.clone();
            // Reading a file may block for long, and this runtime may serve connections.
            let looked = tokio::task::spawn_blocking(move || {
                tls.look(&mut last_look);
                last_look
            });
            match looked.await {
                Ok(after) => last_look = after,
                // The task panicked, which tokio has reported. SIGHUP still reloads the pair.
                Err(_) => return,
            }
        }
    }

    fn look(&self, last_look: &mut LastLook) {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let in_use = self.pair.load();
        let read = Bytes::read(&in_use.files);
        let found = read.as_ref().ok().map(Bytes::digest);
        if found == Some(in_use.digest) {
            // The files are those in use: there was no change, or it was undone.
            *last_look = LastLook::default();
            return;
        }
        // Two files cannot be replaced at once. So a change takes effect once two looks in a row
        // have found the same content, and an unusable pair is reported once.
        if !last_look.settles(found) {
            return;
        }
        let changed = read.and_then(|bytes| Pair::new(in_use.files.clone(), &bytes));
        match changed {
            Ok(pair) => {
                self.pair.store(Arc::new(pair));
                info!(
                    "Certificate and key of server.tls have changed: new connections get the new \
                     ones"
                );
            }
            Err(error) => {
                error!(error = %Report(&error), "The new certificate or key of server.tls cannot \
                    be used: the old pair stays in use");
            }
        }
    }
}
