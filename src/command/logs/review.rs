//! Judges the requests in the quarantine again, by the current configuration of `serve`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use bytes::Bytes;
use http::Request;

use crate::bounded;
use crate::clock::Clock;
use crate::command::logs::gives_up::GivesUp;
use crate::command::{capture, input};
use crate::config::Config;
use crate::disk::regular;
use crate::mns::{Notification, SignedRequest};
use crate::quarantine::{Note, Provenance};
use crate::server::Rejection;
use crate::trust::{CertificateCache, CertificateStore, HttpsSource, Verifier};

/// The current requirements for a request.
pub(super) struct Review {
    config: Config,
    certificates: Arc<CertificateCache>,
    reading: Reading,
}

/// A file in quarantine.
pub(super) struct Capture {
    pub(super) path: PathBuf,
    /// `None` if a crash left it incomplete, or another program created it.
    read: Option<(Request<Bytes>, Note)>,
}

/// The current verdict on a file.
pub(super) enum Judgement<'r> {
    Passes(Notification<'r>, &'r Note, Reading),
    Refused(Rejection),
    NotWhole,
}

/// A file and the verdict on it.
pub(super) type Judged<'r> = (&'r Capture, Judgement<'r>);

/// How to read a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// As a notification.
    Whole,
    /// As a notification. A body that cannot be parsed becomes the message itself, with the
    /// attributes that can be found in it.
    Raw,
}

/// A clock that shows the time at which the request arrived, because its Date is compared with
/// that.
struct Then(SystemTime);

impl Clock for Then {
    fn now(&self) -> SystemTime {
        self.0
    }
}

impl Review {
    pub(super) fn new(config: Config, reading: Reading) -> anyhow::Result<Self> {
        let source = GivesUp::new(HttpsSource::new(config.fetch.clone())?);
        let store = CertificateStore::new(config.certificate_dir.clone());
        let certificates =
            // The budget limits fetches by sender and time. This run has many senders at once and
            // has to end, so `GivesUp` limits them by host.
            CertificateCache::without_budget(Arc::new(source), store, config.fetch.timeout);
        Ok(Self {
            config,
            certificates,
            reading,
        })
    }

    /// Reads the files, at most `logs.quarantine_bytes` in total. Skips a file that a `serve`
    /// deletes meanwhile.
    pub(super) fn read(&self, paths: Vec<PathBuf>) -> anyhow::Result<Vec<Capture>> {
        let mut captures = Vec::new();
        for path in paths {
            match regular::open_to_read(&path)
                .and_then(|file| bounded::read_all(file, input::INPUT_BYTES_MAX))
            {
                Ok(bytes) => captures.push(Capture {
                    read: self.parse(&bytes),
                    path,
                }),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                // A FIFO, a device or an oversized file, none of which `serve` created.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::InvalidInput | ErrorKind::FileTooLarge
                    ) =>
                {
                    captures.push(Capture { read: None, path });
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read {}", path.display()));
                }
            }
        }
        Ok(captures)
    }

    fn parse(&self, bytes: &[u8]) -> Option<(Request<Bytes>, Note)> {
        let (mut request, behind) = capture::read(bytes).ok()?;
        // A file from before the prefix was configured does not have it yet.
        let prefix = self.config.server.path_prefix.as_str();
        let rest = request.uri().path().strip_prefix(prefix);
        if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            *request.uri_mut() = self.config.server.with_prefix(request.uri().clone());
        }
        Note::parse(behind).map(|note| (request, note))
    }

    /// Judges the files, beginning with those proved to be from MNS, so that no stranger's file
    /// delays them. Returns the verdicts in the order of the files.
    pub(super) async fn judge<'r>(&self, captures: &'r [Capture]) -> Vec<Judged<'r>> {
        let mut waiting: Vec<_> = captures.iter().enumerate().collect();
        waiting.sort_by_key(|(_, capture)| !is_signed(&capture.path));
        let mut judged = Vec::new();
        for (place, capture) in waiting {
            let judgement = match &capture.read {
                None => Judgement::NotWhole,
                Some((request, note)) => match self.check(request, note).await {
                    Ok((notification, reading)) => Judgement::Passes(notification, note, reading),
                    Err(rejection) => Judgement::Refused(rejection),
                },
            };
            judged.push((place, capture, judgement));
        }
        judged.sort_by_key(|(place, ..)| *place);
        judged
            .into_iter()
            .map(|(_, capture, judgement)| (capture, judgement))
            .collect()
    }

    /// Runs the checks of `serve`, in the same order.
    async fn check<'r>(
        &self,
        request: &'r Request<Bytes>,
        note: &Note,
    ) -> Result<(Notification<'r>, Reading), Rejection> {
        let config = &self.config;
        config.server.check_head(request)?;
        let signed =
            SignedRequest::of(request).map_err(|defect| Rejection::Untrusted(defect.into()))?;
        let clock = Arc::new(Then(note.came));
        let verifier = Verifier::new(
            config.policy.clone(),
            config.prefixes.clone(),
            self.certificates.clone(),
            clock,
        );
        // A proxy that was configured since may name the client.
        let client = config
            .trusted_proxies
            .client(note.peer, request.headers())
            .ip();
        let verified = verifier.verify(&signed, client).await?;
        let (notification, reading) = match verified.notification() {
            Ok(notification) => (notification, Reading::Whole),
            // Owner and topic must be accepted even then, as far as the body names them.
            Err(_) if self.reading == Reading::Raw => {
                (verified.notification_as_raw(), Reading::Raw)
            }
            Err(invalid) => return Err(invalid.into()),
        };
        Ok((config.admission.admit(notification, client)?, reading))
    }
}

/// Whether the name of a file says that its signature matched.
fn is_signed(path: &Path) -> bool {
    let provenance = path
        .file_stem()
        .and_then(|stem| Path::new(stem).extension()?.to_str()?.parse().ok());
    provenance == Some(Provenance::Signed)
}
