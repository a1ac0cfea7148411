//! The destination itself: a notification becomes a request, and the answer to it a verdict.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::{Request, Response};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::clock::Clock;
use crate::forward::content::{body, headers};
use crate::forward::detail::detail;
use crate::forward::http::answer::{Answer, meaning, retry_after};
use crate::forward::http::current::Current;
use crate::forward::http::files::{Files, InvalidFile};
use crate::forward::http::loaded::Loaded;
use crate::forward::identity::identity;
use crate::forward::{Body, Delivered, Failure, HttpOptions, Outgoing, Reason, Settings, Sink};
use crate::report::Report;
use crate::tls_error;

/// How many requests are in flight at once, each on its own connection. This is less than the
/// window of notifications in flight, so that a service that is back after an outage does not get
/// all of them at once.
const REQUESTS_MAX: usize = 64;
/// How much of an answer is read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// How long to wait for the rest of an answer once its status has arrived. The connection can be
/// reused only after the end of the answer.
const REST_TIMEOUT: Duration = Duration::from_millis(250);

/// A service that takes POST requests.
pub struct HttpSink {
    options: HttpOptions,
    body: Body,
    endpoint: String,
    clock: Arc<dyn Clock>,
    current: Current,
    requests: Semaphore,
    /// The time until which the service wants no requests.
    paused_until: Mutex<Option<Instant>>,
}

impl HttpSink {
    /// Reads the files, and sends nothing. `endpoint` is the name of this replica in the requests.
    ///
    /// # Errors
    /// [`InvalidFile`]
    pub fn new(
        settings: &Settings,
        options: &HttpOptions,
        endpoint: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidFile> {
        let files = Files {
            destination: settings.name.clone(),
            options: options.clone(),
        };
        Ok(Self {
            options: options.clone(),
            body: settings.body,
            endpoint: endpoint.to_owned(),
            clock,
            current: Current::new(files)?,
            requests: Semaphore::new(REQUESTS_MAX),
            paused_until: Mutex::new(None),
        })
    }

    fn request(&self, outgoing: &Outgoing, loaded: &Loaded) -> reqwest::Result<Request> {
        let (id, body) = (identity(outgoing), body(outgoing, self.body));
        // Take the time of this attempt and not of the first one: receivers refuse a timestamp that
        // is off by five minutes.
        let since = self.clock.now().duration_since(SystemTime::UNIX_EPOCH);
        let timestamp = since.map_or(0, |since| since.as_secs()).to_string();
        let signatures = loaded.secrets.iter();
        let signatures: Vec<_> = signatures
            .map(|secret| secret.sign(&id, &timestamp, &body))
            .collect();
        let mut request = loaded.client.post(loaded.url.clone());
        for (name, value) in headers(outgoing, self.body, &id, &self.endpoint) {
            request = request.header(name, value);
        }
        request = request
            .header(CONTENT_TYPE, content_type(self.body, &body))
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp);
        if !signatures.is_empty() {
            // Send one signature for each secret. A receiver accepts the request if one of them
            // matches, so a secret can be replaced without a gap.
            request = request.header("webhook-signature", signatures.join(" "));
        }
        request.body(body).build()
    }

    /// How much longer the service wants no requests. `None` if it accepts them.
    fn pause(&self) -> Option<Duration> {
        let until = (*self
            .paused_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner))?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Stops all requests for this time, and not only those with the notification that the service
    /// answered.
    fn pause_for(&self, wait: Duration) {
        let until = Instant::now().checked_add(wait);
        let mut paused = self
            .paused_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Answers to parallel requests arrive in any order. A shorter wait must not end a longer
        // one.
        *paused = (*paused).max(until);
    }

    async fn answer(&self, mut response: Response) -> Answer {
        let text = |name| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let (wait, target) = (text(RETRY_AFTER), text(LOCATION));
        let status = response.status();
        let beginning = beginning(&mut response).await;
        let said = match target {
            Some(target) if status.is_redirection() => format!("to {target}"),
            Some(_) | None => String::from_utf8_lossy(&beginning).into_owned(),
        };
        Answer {
            status,
            retry_after: wait.and_then(|wait| retry_after(&wait, self.clock.now())),
            said,
        }
    }

    /// The failure of a request that got no answer.
    fn unanswered(&self, error: &reqwest::Error) -> Failure {
        let trust = "name the file with the certificate of its CA in `ca`";
        let of_tls = tls_error::with_peer(error, &self.options.url, trust);
        let reason = match &of_tls {
            Some(_) => Reason::Forbidden,
            // A connect that timed out is reported as no answer within `timeout`.
            None if error.is_connect() && !error.is_timeout() => Reason::Disconnected,
            None => Reason::NoAnswer,
        };
        let text = match of_tls {
            Some(text) => text,
            None if error.is_timeout() => format!("no answer within {:?}", self.options.timeout),
            None => Report(error).to_string(),
        };
        Failure::Retry {
            reason,
            after: None,
            detail: detail(&text),
        }
    }
}

impl Sink for HttpSink {
    async fn send(&self, outgoing: &Outgoing) -> Result<Delivered, Failure> {
        // `acquire` fails only after `close`.
        let Ok(_request) = self.requests.acquire().await else {
            let (reason, detail) = (Reason::Disconnected, "closed".to_owned());
            return Err(Failure::Down { reason, detail });
        };
        // Check for a pause after the permit was acquired, because one may have begun during the
        // wait for the permit.
        if let Some(left) = self.pause() {
            return Err(Failure::Retry {
                reason: Reason::Throttled,
                after: Some(left),
                detail: format!("the service asked to be left alone for {left:.0?} more"),
            });
        }
        let loaded = self.current.get().await;
        let request = self.request(outgoing, &loaded);
        let response = match request {
            Ok(request) => loaded.client.execute(request).await,
            Err(error) => Err(error),
        };
        let response = response.map_err(|error| self.unanswered(&error))?;
        let met = meaning(&self.answer(response).await);
        if let Err(Failure::Retry {
            reason: Reason::Throttled,
            after: Some(wait),
            ..
        }) = &met
        {
            self.pause_for(*wait);
        }
        met
    }

    fn is_connected(&self) -> bool {
        true
    }

    async fn close(&self) {
        self.requests.close();
    }
}

/// The beginning of an answer's body. The rest may be missing if it is long or late, because only
/// the status decides.
async fn beginning(response: &mut Response) -> Vec<u8> {
    let mut beginning = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            beginning.extend_from_slice(&chunk);
            if beginning.len() >= ANSWER_BYTES_MAX {
                break;
            }
        }
    };
    drop(timeout(REST_TIMEOUT, read).await);
    beginning
}

/// MNS does not say what a message contains, so only text and other bytes are distinguished.
fn content_type(body: Body, bytes: &[u8]) -> &'static str {
    match body {
        Body::Json => "application/json",
        Body::Message | Body::CloudEvent if std::str::from_utf8(bytes).is_ok() => {
            "text/plain; charset=utf-8"
        }
        Body::Message | Body::CloudEvent => "application/octet-stream",
    }
}
