//! The copies of certificates on disk, read and written on threads that may block.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::mns::SigningCertUrl;
use crate::trust::cache::failure_log::FailureLog;
use crate::trust::cache::slot::Slot;
use crate::trust::certificate::SigningCertificate;
use crate::trust::store::CertificateStore;

/// Reads and writes copies.
pub(super) struct Copies {
    store: CertificateStore,
    /// Rate-limits the warnings about copies that cannot be used.
    unusable: FailureLog,
}

impl Copies {
    pub(super) fn new(store: CertificateStore) -> Self {
        Self {
            store,
            unusable: FailureLog::default(),
        }
    }

    /// Whether a certificate of this address is on disk.
    pub(super) async fn has(&self, url: &SigningCertUrl) -> bool {
        let (store, url) = (self.store.clone(), url.clone());
        // A copy that cannot be read counts as missing, so that the address is fetched.
        spawn_blocking(move || matches!(store.load(&url), Ok(Some(_))))
            .await
            .unwrap_or(false)
    }

    /// The paths of the usable copies, below the directory of the store.
    pub(super) async fn paths(&self) -> Vec<PathBuf> {
        let store = self.store.clone();
        let Ok(Ok(kept)) = spawn_blocking(move || store.list()).await else {
            return Vec::new();
        };
        kept.into_iter()
            .filter(|kept| kept.certificate.is_ok())
            .map(|kept| kept.path)
            .collect()
    }

    /// Loads the copy of an address. Logs that the copy is used, or why it cannot be used.
    pub(super) async fn load(&self, url: &SigningCertUrl) -> Option<Arc<SigningCertificate>> {
        let (store, address) = (self.store.clone(), url.clone());
        match spawn_blocking(move || store.load(&address)).await {
            Ok(Ok(Some(certificate))) => {
                let path = self.store.path(url);
                info!(%url, path = %path.display(), "Using the signing certificate cached on disk");
                Some(Arc::new(certificate))
            }
            Ok(Ok(None)) => None,
            Ok(Err(error)) => {
                self.unusable
                    .warn(url, &error, "Ignored a certificate on disk");
                None
            }
            Err(error) => {
                warn!(%url, %error, "Could not look for a certificate on disk");
                None
            }
        }
    }

    /// Writes the proven certificate of an address in the background: a push does not wait for it.
    pub(super) fn keep(&self, url: &SigningCertUrl, slot: Arc<Slot>) {
        let (store, url) = (self.store.clone(), url.clone());
        spawn_blocking(move || {
            slot.keep(
                |certificate| match certificate.to_pem().map(|pem| store.keep(&url, &pem)) {
                    Ok(Ok(path)) => {
                        info!(%url, path = %path.display(), "Cached a signing certificate on disk")
                    }
                    Ok(Err(error)) => warn!(%url, %error, "Could not cache a signing certificate \
                        on disk"),
                    Err(error) => warn!(%url, %error, "Could not encode a signing certificate"),
                },
            );
        });
    }
}
