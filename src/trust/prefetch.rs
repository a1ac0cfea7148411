//! The certificate of MNS, fetched before the first push needs it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;
use tracing::{debug, warn};

use crate::mns::SigningCertUrl;
use crate::trust::{CertificateCache, FetchError};

/// How long to wait after the first failure, and twice as long after each further one.
const PAUSE_MIN: Duration = Duration::from_secs(5);
/// Up to this.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// Fetches a known address until that has worked once, unless a certificate of it is on disk.
///
/// The first failure is a warning, further ones are not. Ends as well once the cache is dropped, as
/// after a reload that changes how certificates are fetched.
///
/// What it fetches stays in memory. The store is for certificates that have verified a push: after
/// a restart each of them counts as known, so a wrong one from a bad day at the source would be
/// used without a [`KeyChange`](crate::trust::KeyChange). The first push that verifies under it has
/// it kept.
pub async fn prefetch(cache: Weak<CertificateCache>, url: SigningCertUrl) {
    let mut pause = PAUSE_MIN;
    while let Some(cache) = cache.upgrade() {
        let Err(error) = fetch(&cache, &url).await else {
            return;
        };
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
