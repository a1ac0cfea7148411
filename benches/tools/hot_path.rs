//! Takes signed pushes from a file made by `presigned` and answers each, one after the other and
//! without a network: for counting the instructions that one costs.
//!
//! `hot_path FILE CERTIFICATE_URL COUNT DIRECTORY`

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use axum::body::Body;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use jiff::tz::TimeZone;
use mimalloc::MiMalloc;
use mns_endpoint::clock::{Clock, SystemClock};
use mns_endpoint::config::{Config, Sources};
use mns_endpoint::journal::{self, COMMIT_LOG_BYTES_MIN, FileOptions, Journal, LogFiles, SyncMode};
use mns_endpoint::mns::{Prefix, Prefixes, SigningCertUrl};
use mns_endpoint::net::{Arrival, Connection, Responder as _};
use mns_endpoint::quarantine::Quarantine;
use mns_endpoint::server::{Endpoint, Gate, Parts};
use mns_endpoint::trust::{
    Admission, CertificateCache, CertificateSource, CertificateStore, Fetching, Policy, Verifier,
};
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const HEADERS_MAX: usize = 64;

/// Has one certificate, whatever it is asked for.
struct OneCertificate(Vec<u8>);

impl CertificateSource for OneCertificate {
    fn fetch<'a>(&'a self, _url: &'a SigningCertUrl) -> Fetching<'a> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, certificate_url, count, directory] = arguments.as_slice() else {
        bail!("usage: hot_path FILE CERTIFICATE_URL COUNT DIRECTORY");
    };
    let pushes = std::fs::read(file).context("cannot read the pushes")?;
    let certificate =
        std::fs::read(format!("{file}.pem")).context("cannot read the certificate")?;
    let endpoint = Arc::new(endpoint(certificate, certificate_url, directory.as_ref())?);
    let mut rest = pushes.as_slice();
    for _ in 0..count.parse::<u64>()? {
        let answer = endpoint.respond(arrival(), next(&mut rest)?).await;
        ensure!(
            answer.status() == StatusCode::CREATED,
            "a push was answered {}",
            answer.status()
        );
    }
    endpoint.journal.close().await?;
    Ok(())
}

/// Takes the next push, as the HTTP library would hand it over.
fn next(rest: &mut &[u8]) -> anyhow::Result<Request<Body>> {
    let line = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .context("there are fewer pushes than were asked for")?;
    let (length, after) = rest.split_at(line);
    let length: usize = std::str::from_utf8(length)?.parse()?;
    let (push, after) = after
        .get(1..)
        .and_then(|after| after.split_at_checked(length))
        .context("it is cut")?;
    *rest = after;
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(end) = head.parse(push)? else {
        bail!("a head is not complete")
    };
    let mut request = Request::new(Body::from(push.get(end..).unwrap_or_default().to_vec()));
    *request.method_mut() = head.method.unwrap_or_default().parse()?;
    *request.uri_mut() = head.path.unwrap_or_default().parse()?;
    for header in head.headers {
        request.headers_mut().append(
            HeaderName::from_bytes(header.name.as_bytes())?,
            HeaderValue::from_bytes(header.value)?,
        );
    }
    Ok(request)
}

fn arrival() -> Arrival {
    Arrival {
        peer: SocketAddr::from(([127, 0, 0, 1], 40000)),
        first_byte: Instant::now(),
        connection: Connection::detached(),
    }
}

/// Waits until the commit log is made: pushes before that go without.
fn with_commit_log(journal: Journal) -> anyhow::Result<Journal> {
    const LOOKS_MAX: u32 = 3000;
    for _look in 0..LOOKS_MAX {
        if journal.meters().commit_log.bytes.load(Ordering::Relaxed) > 0 {
            return Ok(journal);
        }
        #[expect(clippy::disallowed_methods, reason = "there is no runtime yet")]
        std::thread::sleep(Duration::from_millis(10));
    }
    anyhow::bail!("no commit log was made")
}

/// As `serve` has it without a configuration, but that no commit is synced, which costs time and no
/// instructions, and that the commit log is as small as it can be.
fn endpoint(
    certificate: Vec<u8>,
    certificate_url: &str,
    directory: &std::path::Path,
) -> anyhow::Result<Endpoint> {
    let files = LogFiles::open(FileOptions {
        dir: directory.join("logs"),
        port: 8080,
        mode: 0o640,
    })?;
    let sources = Sources {
        file: Some("/dev/null".into()),
        ..Sources::default()
    };
    let config = Config::load(&sources)?;
    let kept = journal::Settings {
        sync: SyncMode::Interval(Duration::from_secs(3600)),
        commit_log_bytes: Some(COMMIT_LOG_BYTES_MIN),
        ..config.journal
    };
    let certificates = CertificateStore::new(directory.join("certs"));
    let cache = CertificateCache::new(
        Arc::new(OneCertificate(certificate)),
        certificates,
        Duration::from_secs(2),
    );
    let policy = Policy {
        max_clock_skew: None,
        max_age: None,
        ..config.policy
    };
    let (prefix, _file) = certificate_url
        .rsplit_once('/')
        .context("the address has no file")?;
    let prefixes = Prefixes::new([Prefix::parse(&format!("{prefix}/"))?]);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Ok(Endpoint::new(Parts {
        gate: Gate {
            verifier: Verifier::new(policy, prefixes, cache, clock.clone()),
            admission: Admission::new(Vec::new(), Vec::new(), Vec::new()),
        },
        journal: with_commit_log(Journal::start(files, kept, None)?.0)?,
        settings: config.server,
        quarantine: Quarantine::off(),
        clock,
        zone: TimeZone::UTC,
    }))
}
