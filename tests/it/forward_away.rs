//! All servers of the destination go away under load, and come back. With `ack = "journal"` every
//! push still gets its 201, and the backlog is delivered afterwards. With `ack = "forward"` pushes
//! get 503 before their body is read, and nothing is lost.
//!
//! `AWAY_SECONDS` and `AWAY_RATE` make the test longer. `AWAY_CATCH_UP` sets the rate, in
//! notifications a second, at which the backlog must be delivered, and requires 201s within 15 s.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use mns_endpoint::mns::ContentFormat;
use tokio::time::sleep;

use crate::admin::{get, metric};
use crate::forward_serve::{STREAM, admin};
use crate::support::load::{Answered, Load};
use crate::support::{
    CertificateHost, Draft, Endpoint, Nats, NatsSetup, Options, Stored, assert_each_once,
    eventually, key, read_answer, send, until,
};

/// What a backlog may add to the memory of an endpoint, in KiB.
const GROWTH_MAX: u64 = 24 * 1024;
/// How soon pushes must have their 201 again after the servers are back.
const BACK_WITHIN: Duration = Duration::from_secs(15);
const MESSAGE_BYTES: usize = 500;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

fn number(name: &str) -> Option<usize> {
    Some(std::env::var(name).ok()?.parse().unwrap())
}

fn away() -> Duration {
    Duration::from_secs(number("AWAY_SECONDS").unwrap_or(4).try_into().unwrap())
}

/// An endpoint, three servers, and pushes.
struct Away {
    nats: Nats,
    endpoint: Endpoint,
    host: CertificateHost,
    load: Option<Load>,
}

fn id(number: usize) -> String {
    format!("M{number}")
}

fn text(number: usize) -> String {
    format!("{number:x>MESSAGE_BYTES$}")
}

fn push(url: &str, number: usize) -> Draft {
    let format = ContentFormat::Simplified;
    Draft::of(&id(number), format, text(number).as_bytes(), url).sign(&key(512))
}

impl Away {
    /// Starts everything, and waits until the first pushes are delivered. Prints a note and returns
    /// `None` without nats-server.
    fn start(ack: &str) -> Option<Self> {
        let nats = Nats::cluster(&NatsSetup {
            is_synced: true,
            ..NatsSetup::default()
        })?;
        let host = CertificateHost::serving(&key(512));
        let options = Options::trusting(host.prefix())
            .set("admin.listen", "127.0.0.1:0")
            .set("logs.commit_log", "64MiB")
            .set("forward.orders.to", "nats")
            .set("forward.orders.servers", &nats.urls().join(","))
            .set("forward.orders.ack", ack)
            .set("forward.orders.create", "missing");
        let endpoint = Endpoint::start(&options);
        let url = host.url("x.pem");
        let per_second = number("AWAY_RATE").unwrap_or(200);
        let load = Load::start(endpoint.address, per_second, move |number| {
            push(&url, number).wire()
        });
        let away = Self {
            nats,
            endpoint,
            host,
            load: Some(load),
        };
        eventually("some are delivered", || {
            (away.delivered() >= per_second).then_some(())
        });
        Some(away)
    }

    /// How many notifications were acknowledged. If an acknowledgement was lost with a server, the
    /// notification counts as a duplicate when it is sent again.
    fn delivered(&self) -> usize {
        let metrics = get(admin(&self.endpoint), "/metrics", "").body;
        let of = |result: &str| {
            let labels = format!("{{to=\"orders\",result=\"{result}\"}}");
            let name = format!("mns_endpoint_forward_delivered_total{labels}");
            metric(&metrics, &name)
                .to_string()
                .parse::<usize>()
                .unwrap()
        };
        of("stored") + of("duplicate")
    }

    fn lose_all(&mut self) {
        (0..3).for_each(|place| self.nats.kill(place));
    }

    fn return_all(&mut self) {
        (0..3).for_each(|place| self.nats.start(place));
    }

    fn finish(&mut self) -> Vec<Answered> {
        self.load.take().unwrap().finish()
    }

    /// Asserts that the stream has exactly the notifications that were answered 201, each once.
    async fn assert_each_once(&self, answers: &[Answered], told: &str) {
        let accepted = answers.iter().filter(|it| it.status == 201);
        let expected: BTreeSet<Stored> = accepted
            .map(|it| (id(it.number), text(it.number).into_bytes()))
            .collect();
        let client = async_nats::connect(self.nats.urls()).await.unwrap();
        let context = jetstream::new(client);
        until("all are in the stream", async || {
            let Ok(mut stream) = context.get_stream(STREAM).await else {
                return false;
            };
            let info = stream.info().await;
            info.is_ok_and(|info| info.state.messages >= expected.len() as u64)
        })
        .await;
        assert_each_once(&context, STREAM, &expected, told).await;
    }
}

fn tell(line: &str) {
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

/// The 99th percentile, in milliseconds.
fn p99(answers: &[Answered]) -> f64 {
    let mut spans: Vec<Duration> = answers.iter().map(|it| it.took).collect();
    spans.sort_unstable();
    spans[spans.len() * 99 / 100].as_secs_f64() * 1000.0
}

#[tokio::test(flavor = "multi_thread")]
async fn with_ack_journal_every_push_is_accepted_and_the_backlog_is_caught_up_with() {
    let Some(mut away) = Away::start("journal") else {
        return;
    };
    let before = away.endpoint.peak_kib();
    away.lose_all();
    sleep(self::away()).await;
    let answers = away.finish();
    assert!(answers.iter().all(|it| it.status == 201));
    let (waiting, lost) = (answers.len(), away.delivered());
    away.return_all();
    eventually("the first one is delivered", || {
        (away.delivered() > lost).then_some(())
    });
    let begun = Instant::now();
    let (first, all) = (away.delivered(), answers.len());
    eventually("all are delivered", || {
        (away.delivered() >= all).then_some(())
    });
    let rate = (all - first) as f64 / begun.elapsed().as_secs_f64();
    let grown = away.endpoint.peak_kib() - before;
    away.assert_each_once(&answers, "journal").await;
    tell(&format!(
        "away for {:?}: {waiting} pushes were all answered 201, p99 {:.1} ms; {} were caught up \
         with, {rate:.0} a second; {} KiB of memory more",
        self::away(),
        p99(&answers),
        all - first,
        grown
    ));
    assert!(grown <= GROWTH_MAX, "{grown} KiB");
    if let Some(wanted) = number("AWAY_CATCH_UP") {
        assert!(rate >= wanted as f64, "{rate}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_ack_forward_pushes_are_refused_before_their_body_and_nothing_is_lost() {
    let Some(mut away) = Away::start("forward") else {
        return;
    };
    away.lose_all();
    eventually("a push is refused before its body is read", || {
        let head = push(&away.host.url("x.pem"), 0).set("Expect", "100-continue");
        let answer = read_answer(&mut send(away.endpoint.address, &head.head()));
        (answer.status == 503).then_some(())
    });
    sleep(self::away()).await;
    let refused = away.load.as_ref().unwrap().refused();
    assert!(refused > 0);
    eventually("the refusal is logged", || {
        let log = away.endpoint.endpoint_log();
        log.contains("forward_unavailable").then_some(())
    });
    away.return_all();
    let begun = Instant::now();
    let lost = away.delivered();
    until("the first one is delivered again", async || {
        away.delivered() > lost
    })
    .await;
    let back = begun.elapsed();
    sleep(LOOK_AGAIN).await;
    let answers = away.finish();
    away.assert_each_once(&answers, "forward").await;
    let accepted = answers.iter().filter(|it| it.status == 201).count();
    tell(&format!(
        "away for {:?}: {accepted} pushes were answered 201 and are in the stream, {} times 503; \
         delivered again {:.1} s after the servers started",
        self::away(),
        answers.len() - accepted,
        back.as_secs_f64()
    ));
    if number("AWAY_CATCH_UP").is_some() {
        assert!(back <= BACK_WITHIN, "{back:?}");
    }
}
