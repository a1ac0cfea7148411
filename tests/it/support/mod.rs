//! What the tests share: a real endpoint process, a certificate host, and hand-made requests.

mod api_host;
mod bench;
mod certificate_host;
mod disk;
mod draft;
mod endpoint;
mod exchange;
mod keys;
pub mod load;
mod local_mns;
mod logs;
mod nats;
mod port;
mod run;
pub mod site;
mod stream;
mod subscriber;
mod tls;
mod turned_clock;
mod webhook;

pub use api_host::{ApiHost, read};
pub use bench::{Bench, Refusal, answer_within, cheap, date, file, looked_at, unread};
pub use certificate_host::{CertificateHost, Mode};
pub use disk::{Disk, FaultyDisk, File};
pub use draft::Draft;
pub use endpoint::{Endpoint, OFF, Options, activated, program};
pub use exchange::{Answer, exchange, exchange_all, occupy, read_answer, read_request, send};
pub use keys::{foreign_key, key};
pub use local_mns::{LocalMns, data, to};
pub use logs::{Entry, attribute, records, whole};
pub use nats::{Nats, NatsSetup};
pub use port::free_port;
pub use run::{Ended, Running, finish, run};
pub use stream::{Stored, assert_each_once, elected, leader, until};
pub use subscriber::Subscriber;
pub use tls::{Identity, secure, secure_after, secure_with};
pub use turned_clock::TurnedClock;
pub use webhook::{Came, Reply, Webhook};

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

/// How long the endpoint waits for the rest of a body that has begun.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs a test whose connections the endpoint closes after [`BODY_TIMEOUT`].
///
/// A failure only counts if it happened within that time. On a machine too busy for that the test
/// runs again.
pub fn within_body_timeout(test: impl Fn()) {
    within(BODY_TIMEOUT, test);
}

/// The same for another timeout of the endpoint.
pub fn within(timeout: Duration, test: impl Fn()) {
    eventually(&format!("it ran within a timeout of {timeout:?}"), || {
        let begun = Instant::now();
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(&test));
        match outcome {
            Err(failure) if begun.elapsed() < timeout => std::panic::resume_unwind(failure),
            outcome => outcome.ok(),
        }
    });
}

/// How long an operation may take that is expected at once. Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// The time between two checks: a busy loop would take CPU time from the process that it waits for.
pub const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Waits for something that another process or thread does, for a bounded time. Polls, because
/// files cannot be awaited.
#[expect(
    clippy::disallowed_methods,
    reason = "files and other processes cannot be awaited"
)]
pub fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "did not happen within {PATIENCE:?}: {what}"
        );
        std::thread::sleep(LOOK_AGAIN);
    }
}
