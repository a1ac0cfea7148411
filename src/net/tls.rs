//! TLS on accepted sockets: one pair of certificate and key, read again when it changes.
//!
//! A pair that cannot be used never takes the place of one that can.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::bounded;
use crate::disk::regular;
use crate::net::limits::{HANDSHAKE_TIMEOUT, TLS_FILE_BYTES_MAX, TLS_LOOK_PERIOD};
use crate::report::Report;
use crate::tls_error;

/// The only protocol that ALPN offers: MNS speaks no other.
const HTTP_1_1: &[u8] = b"http/1.1";

/// A word in every PEM file whose key needs a passphrase.
const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// The files of certificate and key, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, then those between it and a root.
    pub certificate: PathBuf,
    /// The private key.
    pub private_key: PathBuf,
}

/// Why a pair cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{key} = {path:?}: the file cannot be read")]
    Unreadable {
        /// The path of the configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{key} = {path:?}: there is no {wanted} in PEM in it")]
    Empty {
        /// The path of the configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What should be there.
        wanted: &'static str,
    },
    /// They do not belong together, or are of a kind that is not understood.
    #[error(
        "server.tls.certificate = {certificate:?} cannot be used with server.tls.private_key = \
         {private_key:?}: {problem}"
    )]
    Unfit {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        private_key: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
}

/// The server's side of TLS.
pub struct Tls {
    pair: ArcSwap<Pair>,
    /// Locked while one pair replaces another, so that a slow look cannot undo a reload.
    change: Mutex<()>,
}

/// A pair in use.
struct Pair {
    files: TlsFiles,
    acceptor: TlsAcceptor,
    digest: u64,
    not_after: Option<SystemTime>,
}

/// The content of both files.
struct Bytes {
    certificate: Vec<u8>,
    private_key: Vec<u8>,
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

    /// Uses the pair that is now in `files`. Open connections keep theirs.
    ///
    /// # Errors
    /// [`TlsError`]: the pair before stays in use.
    pub fn replace(&self, files: TlsFiles) -> Result<(), TlsError> {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = Bytes::read(&files)?;
        self.pair.store(Arc::new(Pair::new(files, &bytes)?));
        Ok(())
    }

    /// Returns when the certificate expires, as it claims.
    #[must_use]
    pub fn not_after(&self) -> Option<SystemTime> {
        self.pair.load().not_after
    }

    /// Speaks TLS on a connection, within [`HANDSHAKE_TIMEOUT`].
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = self.pair.load().acceptor.clone();
        timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream))
            .await
            .map_err(|_elapsed| io::ErrorKind::TimedOut)?
    }

    /// Reads the files every [`TLS_LOOK_PERIOD`] and uses a pair that has changed, until `stop`.
    pub(super) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut last_look = LastLook::default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(TLS_LOOK_PERIOD) => {}
            }
            let tls = self.clone();
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
            *last_look = LastLook::default();
            return;
        }
        // Two files cannot be replaced at once. So a change counts once two looks in a row have
        // found the same, and a pair that cannot be used is reported once.
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
                    be used: the old pair stays");
            }
        }
    }
}

/// What the last look found that is not in use; the inner `None` if the files cannot be read.
#[derive(Debug, Clone, Copy, Default)]
struct LastLook {
    last: Option<Option<u64>>,
    is_reported: bool,
}

impl LastLook {
    /// Returns whether the same was found twice in a row, and that for the first time.
    fn settles(&mut self, found: Option<u64>) -> bool {
        if self.last != Some(found) {
            *self = Self {
                last: Some(found),
                is_reported: false,
            };
            return false;
        }
        !std::mem::replace(&mut self.is_reported, true)
    }
}

impl Bytes {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let read = |key, path: &PathBuf| {
            regular::open_to_read(path)
                .and_then(|file| bounded::read_all(file, TLS_FILE_BYTES_MAX))
                .map_err(|source| TlsError::Unreadable {
                    key,
                    path: path.clone(),
                    source,
                })
        };
        Ok(Self {
            certificate: read("server.tls.certificate", &files.certificate)?,
            private_key: read("server.tls.private_key", &files.private_key)?,
        })
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.certificate, &self.private_key).hash(&mut hasher);
        hasher.finish()
    }
}

impl Pair {
    fn new(files: TlsFiles, bytes: &Bytes) -> Result<Self, TlsError> {
        let empty = |key, path: &PathBuf, wanted| TlsError::Empty {
            key,
            path: path.clone(),
            wanted,
        };
        let chain =
            CertificateDer::pem_slice_iter(&bytes.certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain
            .ok_or_else(|| empty("server.tls.certificate", &files.certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&bytes.private_key).map_err(|_no_key| {
            // PKCS#8 says so in its label, the older forms in a header.
            let is_encrypted = bytes
                .private_key
                .windows(ENCRYPTED.len())
                .any(|window| window == ENCRYPTED);
            let wanted = if is_encrypted {
                "private key without a passphrase"
            } else {
                "private key"
            };
            empty("server.tls.private_key", &files.private_key, wanted)
        })?;
        let first = chain
            .first()
            .and_then(|first| Certificate::from_der(first).ok());
        let not_after = first.map(|first| {
            first
                .tbs_certificate()
                .validity()
                .not_after
                .to_system_time()
        });
        let config = server_config(chain, key).map_err(|error| TlsError::Unfit {
            certificate: files.certificate.clone(),
            private_key: files.private_key.clone(),
            problem: tls_error::of_pair(&error),
        })?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            digest: bytes.digest(),
            not_after,
            files,
        })
    }
}

/// TLS 1.2 and 1.3, HTTP/1.1, no certificates of clients.
fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_looked_at_once_it_stands_still_and_told_once() {
        let mut last_look = LastLook::default();
        let looks = [
            Some(1),
            Some(2),
            Some(2),
            Some(2),
            None,
            None,
            None,
            Some(2),
            Some(2),
        ];
        let settled = looks.map(|found| last_look.settles(found));
        assert_eq!(
            settled,
            [false, false, true, false, false, true, false, false, true]
        );
    }
}
