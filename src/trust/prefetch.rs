//! The certificate of MNS, fetched before the first push needs it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;
use tracing::{debug, warn};

use crate::mns::SigningCertUrl;
use crate::trust::{CertificateCache, FetchError};

/// The pause after the first failure. It doubles after each further one.
const PAUSE_MIN: Duration = Duration::from_secs(5);
/// The maximum pause.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// Fetches the certificate of a known address, with retries until one fetch succeeds. Does nothing
/// if the certificate is on disk.
///
/// Logs the first failure as a warning. Ends early if the cache is dropped, as after a reload that
/// changes how certificates are fetched.
///
/// The fetched certificate stays in memory. It is saved in the store only after it has verified a
/// push. After a restart each certificate in the store counts as known. So if the source ever
/// returned a wrong certificate, and it were saved before it has verified a push, its key would
/// later be used without a [`KeyChange`](crate::trust::KeyChange).
// The reference is weak, because this may run for as long as the process, and must not keep a
// replaced cache alive.
pub async fn prefetch(cache: Weak<CertificateCache>, url: SigningCertUrl) {
    let mut pause = PAUSE_MIN;
    while let Some(cache) = cache.upgrade() {
        let Err(error) = fetch(&cache, &url).await else {
            return;
        };
        // Release the cache during the pause, so that its owner can drop it in the meantime.
        drop(cache);
        if pause == PAUSE_MIN {
            warn!(%url, %error, "Could not fetch the signing certificate of MNS ahead of the first \
                push: trying again in the background");
        } else {
            debug!(%url, %error, "Could not fetch the signing certificate of MNS ahead of the \
                first push");
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
    }
}

async fn fetch(cache: &Arc<CertificateCache>, url: &SigningCertUrl) -> Result<(), FetchError> {
    if cache.is_kept(url).await {
        return Ok(());
    }
    cache.get_ahead(url).await.map(drop)
}
