//! The thread that sends traces to a collector, by OTLP over HTTP.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use http::{HeaderMap, header};
use prost::Message as _;
use reqwest::{Client, redirect};
use tokio::time::timeout;
use tracing::warn;

use crate::clock::{Clock as _, SystemClock};
use crate::report::Report;
use crate::roots;
use crate::traces::Traces;
use crate::traces::otlp;
use crate::traces::queue::{Finished, Shared};

/// The most traces in one request.
const BATCH_MAX: usize = 512;
/// The longest time that a trace waits for a batch to fill.
const BATCH_AGE_MAX: Duration = Duration::from_secs(5);
/// How often the thread looks at the queue. It polls, so that a push need not wake it.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// The timeout of one request to the collector.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How many times a batch is sent before it is dropped.
const ATTEMPTS: usize = 2;
/// How long the thread may take to send the last batches when the endpoint stops.
const STOP_TIMEOUT: Duration = Duration::from_millis(400);

/// The collector that traces are sent to, and which pushes are traced.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The collector's URL, which ends in `/v1/traces`.
    pub url: String,
    /// Headers that the collector requires.
    pub headers: HeaderMap,
    /// The share of pushes that is traced. A verified sender whose request names a trace decides
    /// for itself.
    pub sample: f64,
}

/// The exporter could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The TLS library rejects its own defaults.
    #[error("cannot prepare TLS for telemetry.otlp")]
    Tls(#[from] rustls::Error),
    /// The HTTP client could not be created.
    #[error("cannot prepare an HTTP client for telemetry.otlp")]
    Client(#[from] reqwest::Error),
    /// The thread or its runtime could not be created.
    #[error("cannot start the thread that sends traces")]
    Thread(#[from] io::Error),
}

/// The thread that sends traces.
#[derive(Debug)]
pub struct Exporter {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Exporter {
    /// Starts the thread. Nothing is sent until there is a trace.
    ///
    /// # Errors
    /// [`TracesError`] if the client, the thread or its runtime could not be created.
    pub fn start(options: Options) -> Result<(Traces, Self), TracesError> {
        let client = Client::builder()
            .tls_backend_preconfigured(roots::tls_client()?)
            // reqwest removes the standard headers with credentials when a redirect leaves the
            // host, but not a header that only a collector knows.
            .redirect(redirect::Policy::none())
            .timeout(SEND_TIMEOUT)
            .build()?;
        // A separate runtime, so that traces take no time of the workers that answer pushes.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared::new(options.sample));
        let mut sender = Sender {
            client,
            options,
            shared: shared.clone(),
            has_warned: false,
        };
        let thread = thread::Builder::new()
            .name("traces".to_owned())
            .spawn(move || runtime.block_on(sender.run()))?;
        Ok((Traces::to(shared.clone()), Self { shared, thread }))
    }

    /// Sends the queued traces, for at most `STOP_TIMEOUT`, and ends the thread.
    pub async fn stop(self) {
        // Relaxed: the flag publishes nothing, and the queue has its own lock.
        self.shared.is_closing.store(true, Ordering::Relaxed);
        let join = tokio::task::spawn_blocking(move || self.thread.join());
        // Traces not sent by then are lost, which is acceptable: no answer depends on them.
        drop(timeout(STOP_TIMEOUT, join).await);
    }
}

struct Sender {
    client: Client,
    options: Options,
    shared: Arc<Shared>,
    has_warned: bool,
}

impl Sender {
    async fn run(&mut self) {
        let mut last = SystemClock.instant();
        loop {
            // Read before the queue is taken, so that the last round includes every trace queued
            // before the stop.
            let is_closing = self.shared.is_closing.load(Ordering::Relaxed);
            if is_closing || self.is_due(last) {
                // Takes everything at once, so that the queue has room again while a slow collector
                // answers.
                for batch in self.shared.take().chunks(BATCH_MAX) {
                    self.send(batch).await;
                }
                last = SystemClock.instant();
            }
            if is_closing {
                return;
            }
            tokio::time::sleep(LOOK_PERIOD).await;
        }
    }

    fn is_due(&self, last: Instant) -> bool {
        let waiting = self.shared.len();
        waiting >= BATCH_MAX
            || (waiting > 0
                && SystemClock.instant().saturating_duration_since(last) >= BATCH_AGE_MAX)
    }

    async fn send(&mut self, batch: &[Finished]) {
        let body = otlp::request(batch).encode_to_vec();
        let mut failure = String::new();
        for _ in 0..ATTEMPTS {
            match self.post(body.clone()).await {
                Ok(()) => return count(&self.shared.sent, batch),
                Err(why) => failure = why,
            }
        }
        count(&self.shared.not_taken, batch);
        // Once per process: a collector that is away for days must not fill the log, and the
        // metrics count the rest.
        if !std::mem::replace(&mut self.has_warned, true) {
            let url = &self.options.url;
            warn!(%url, %failure, "The collector of telemetry.otlp does not take traces: they are \
                dropped and counted");
        }
    }

    async fn post(&self, body: Vec<u8>) -> Result<(), String> {
        let request = self
            .client
            .post(&self.options.url)
            .headers(self.options.headers.clone())
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .body(body);
        match request.send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!("it answered {}", response.status())),
            Err(error) => Err(Report(&error).to_string()),
        }
    }
}

fn count(counter: &std::sync::atomic::AtomicU64, batch: &[Finished]) {
    let traces = u64::try_from(batch.len()).unwrap_or(u64::MAX);
    counter.fetch_add(traces, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;
    use crate::traces::queue::WAITING_MAX;
    use crate::traces::trace::Answered;

    #[test]
    fn behind_a_collector_that_never_answers_the_queue_stays_at_its_bound() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = Options {
            url: format!("http://{}/v1/traces", silent.local_addr().unwrap()),
            headers: HeaderMap::new(),
            sample: 1.0,
        };
        let (traces, exporter) = Exporter::start(options).unwrap();
        let push = |count: usize| {
            for _ in 0..count {
                let trace = traces.begin(&HeaderMap::new()).unwrap();
                let answered = Answered {
                    first_byte: SystemClock.instant(),
                    end: SystemClock.instant(),
                    now: SystemClock.now(),
                    status: 201,
                    reason: None,
                };
                traces.finish(trace, answered);
            }
        };
        push(BATCH_MAX);
        // The first batch has been sent: the thread now waits for its answer.
        let (mut stream, _) = silent.accept().unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
        push(WAITING_MAX + 7);
        assert_eq!(exporter.shared.len(), WAITING_MAX);
        assert_eq!((traces.overflowed(), traces.sent()), (7, 0));
    }
}
