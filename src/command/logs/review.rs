//! A request in quarantine, judged again as `serve` would judge it today.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use bytes::Bytes;
use http::Request;

use crate::clock::Clock;
use crate::command::capture;
use crate::command::running::Certificates;
use crate::config::Config;
use crate::mns::{Notification, SignedRequest};
use crate::quarantine::Note;
use crate::server::Rejection;

/// What is asked of a request today.
pub(super) struct Review {
    config: Config,
    certificates: Certificates,
}

/// The time at which a request came: that is what its Date is compared with.
struct Then(SystemTime);

impl Clock for Then {
    fn now(&self) -> SystemTime {
        self.0
    }
}

impl Review {
    pub(super) fn new(config: Config) -> anyhow::Result<Self> {
        Ok(Self { certificates: Certificates::new(&config)?, config })
    }

    /// Reads a file; `None` where a crash tore it, or somebody else made it.
    pub(super) fn read(&self, path: &Path) -> anyhow::Result<Option<(Request<Bytes>, Note)>> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let Ok((mut request, behind)) = capture::read(&bytes) else { return Ok(None) };
        // Where it came before a prefix was configured, that is still to be put back.
        let prefix = self.config.server.path_prefix.as_str();
        let rest = request.uri().path().strip_prefix(prefix);
        if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            *request.uri_mut() = self.config.server.with_prefix(request.uri().clone());
        }
        Ok(Note::parse(behind).map(|note| (request, note)))
    }

    /// The checks of `serve`, in its order.
    pub(super) async fn judge<'r>(
        &self,
        request: &'r Request<Bytes>,
        note: &Note,
    ) -> Result<Notification<'r>, Rejection> {
        let (head, _body) = request.clone().into_parts();
        self.config.server.check_head(&head)?;
        let signed = SignedRequest::of(request).map_err(|defect| Rejection::Untrusted(defect.into()))?;
        let gate = self.certificates.gate(&self.config, Arc::new(Then(note.came)));
        let verified = gate.verifier.verify(&signed, note.peer.ip()).await?;
        Ok(gate.admission.admit(verified.notification()?, note.peer.ip())?)
    }
}
