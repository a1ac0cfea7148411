//! Forwarding by a real `serve` to a real nats-server: what a 201 proves in both modes.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream;
use mns_endpoint::clock::{Clock as _, SystemClock};
use mns_endpoint::mns::ContentFormat;

use crate::admin::get;
use crate::support::{
    CertificateHost, Draft, Endpoint, Nats, NatsSetup, Options, eventually, key, run, until,
};

pub const STREAM: &str = "MNS";

/// An endpoint that forwards to a server, on a port that a restart keeps.
pub struct Setup {
    host: CertificateHost,
    pub nats: Nats,
    pub options: Options,
}

impl Setup {
    /// Starts a server. Prints a note and returns `None` without nats-server.
    pub fn new(ack: &str) -> Option<Self> {
        Self::with(ack, "")
    }

    /// Like [`new`](Self::new), with further lines in the configuration of the server.
    pub fn with(ack: &str, lines: &str) -> Option<Self> {
        let nats = Nats::one(&NatsSetup {
            is_synced: true,
            lines: lines.to_owned(),
        })?;
        let host = CertificateHost::serving(&key(512));
        let options = Options::trusting(host.prefix())
            .set("admin.listen", "127.0.0.1:0")
            .set("forward.orders.to", "nats")
            .set("forward.orders.ack", ack)
            .set("forward.orders.servers", &nats.urls().join(","))
            .set("forward.orders.create", "missing")
            .set("forward.orders.replicas", "1");
        Some(Self {
            host,
            nats,
            options,
        })
    }

    fn push(&self, number: usize) -> Draft {
        self.push_of(number, &format!("message {number}"))
    }

    /// A push of the given message under the id of that number.
    pub fn push_of(&self, number: usize, message: &str) -> Draft {
        let (id, url) = (format!("M{number}"), self.host.url("x.pem"));
        Draft::of(&id, ContentFormat::Xml, message.as_bytes(), &url).sign(&key(512))
    }

    pub fn push_to(&self, endpoint: &Endpoint, number: usize) -> u16 {
        endpoint.exchange(&self.push(number).wire()).status
    }

    #[track_caller]
    pub fn accept(&self, endpoint: &Endpoint, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            assert_eq!(self.push_to(endpoint, number), 201, "M{number}");
        }
    }

    /// Starts the endpoint again, after a stop or a kill.
    pub fn restart(&self, dir: tempfile::TempDir, port: u16) -> Endpoint {
        let listen = format!("127.0.0.1:{port}");
        Endpoint::start_in(dir, &self.options.clone().set("server.listen", &listen))
    }

    pub async fn context(&self) -> jetstream::Context {
        let client = ConnectOptions::new()
            .connect(self.nats.urls())
            .await
            .unwrap();
        jetstream::new(client)
    }

    /// The ids and bodies in a stream, repeats included.
    pub async fn stored(&self, stream: &str) -> Vec<(String, String)> {
        let context = self.context().await;
        let Ok(mut stream) = context.get_stream(stream).await else {
            return Vec::new();
        };
        let state = stream.info().await.unwrap().state.clone();
        let mut stored = Vec::new();
        for sequence in 1..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await.unwrap();
            let id = message.headers.get("Mns-Message-Id").unwrap().to_string();
            let body = String::from_utf8(message.payload.to_vec()).unwrap();
            stored.push((id, body));
        }
        stored
    }

    /// Waits until the notifications with these numbers are in the stream. Asserts that each is
    /// there once, and that nothing else is there.
    pub async fn assert_each_once(&self, numbers: impl IntoIterator<Item = usize>) {
        let expected: BTreeSet<(String, String)> = numbers
            .into_iter()
            .map(|number| (format!("M{number}"), format!("message {number}")))
            .collect();
        until("all are in the stream", async || {
            self.stored(STREAM).await.len() >= expected.len()
        })
        .await;
        let stored = self.stored(STREAM).await;
        assert_eq!(stored.len(), expected.len(), "{stored:?}");
        assert_eq!(stored.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}

pub fn admin(endpoint: &Endpoint) -> SocketAddr {
    eventually("the admin listener is announced", || {
        let told = endpoint.stderr();
        let line = told
            .lines()
            .rfind(|line| line.contains("Health, readiness and metrics are served"))?;
        line.split("address=").nth(1)?.trim().parse().ok()
    })
}

pub fn ready(endpoint: &Endpoint) -> (u16, serde_json::Value) {
    let answer = get(admin(endpoint), "/readyz", "");
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    (answer.status, body["parts"].clone())
}

pub fn cursor(endpoint: &Endpoint, name: &str) -> PathBuf {
    let port = endpoint.address.port();
    let file = format!(".forward.{name}.{port}.cursor");
    endpoint.path().join("logs").join(file)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_is_in_the_stream_once_through_an_outage_and_a_kill() {
    let Some(mut setup) = Setup::new("journal") else {
        return;
    };
    let endpoint = Endpoint::start(&setup.options);
    let port = endpoint.address.port();
    setup.accept(&endpoint, 0..5);
    setup.assert_each_once(0..5).await;

    setup.nats.kill(0);
    setup.accept(&endpoint, 5..10);
    eventually("it notices", || {
        let (status, parts) = ready(&endpoint);
        // A destination that is away leaves the endpoint ready.
        assert_eq!(status, 200, "{parts}");
        (parts["forward.orders"]["connected"] == false).then_some(())
    });
    let endpoint = setup.restart(endpoint.kill(), port);
    // Accept a repeat and two new notifications while the destination is away.
    setup.accept(&endpoint, [7, 10, 11]);
    setup.nats.start(0);
    setup.nats.ready(0);
    setup.accept(&endpoint, [12, 3]);
    setup.assert_each_once(0..13).await;

    let dir = endpoint.kill();
    let endpoint = setup.restart(dir, port);
    setup.accept(&endpoint, 13..16);
    setup.assert_each_once(0..16).await;
    let metrics = get(admin(&endpoint), "/metrics", "").body;
    assert!(
        metrics.contains("mns_endpoint_forward_delivered_total{to=\"orders\",result=\"stored\"} "),
        "{metrics}"
    );
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_ack_forward_a_201_comes_only_after_the_stream_has_it() {
    let Some(mut setup) = Setup::new("forward") else {
        return;
    };
    let options = &mut setup.options;
    *options = options
        .clone()
        .set("forward.orders.answer_timeout", "2500ms");
    let endpoint = Endpoint::start(&setup.options);
    let accept = |setup: &Setup, number| {
        // The first push may precede the connection, and on a busy machine an acknowledgement may
        // be late.
        eventually("a 201", || {
            let status = setup.push_to(&endpoint, number);
            assert!(status == 201 || status == 503, "{status}");
            (status == 201).then_some(())
        });
    };
    for number in 0..5 {
        accept(&setup, number);
        // Check without waiting: the 201 must come after the delivery.
        assert_eq!(setup.stored(STREAM).await.len(), number + 1);
    }

    setup.nats.kill(0);
    assert_eq!(setup.push_to(&endpoint, 5), 503);
    let reason = eventually("the refusal is logged", || {
        let log = endpoint.endpoint_log();
        let found = ["forward_late", "forward_unavailable"];
        found.into_iter().find(|reason| log.contains(reason))
    });
    assert!(!reason.is_empty());
    eventually("pushes are refused before their body", || {
        assert_eq!(setup.push_to(&endpoint, 6), 503);
        endpoint
            .endpoint_log()
            .contains("forward_unavailable")
            .then_some(())
    });
    setup.nats.start(0);
    setup.nats.ready(0);
    accept(&setup, 5);
    accept(&setup, 6);
    setup.assert_each_once(0..7).await;
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_cursor_stops_its_forwarder_only() {
    let Some(mut setup) = Setup::new("journal") else {
        return;
    };
    let options = setup.options.clone();
    setup.options = options
        .set("forward.other.to", "nats")
        .set("forward.other.servers", &setup.nats.urls().join(","))
        .set("forward.other.stream", "OTHER")
        .set("forward.other.subject", "other.{topic}")
        .set("forward.other.create", "missing")
        .set("forward.other.replicas", "1");
    let endpoint = Endpoint::start(&setup.options);
    let port = endpoint.address.port();
    setup.accept(&endpoint, [0]);
    setup.assert_each_once([0]).await;
    let file = cursor(&endpoint, "orders");
    let (_printed, dir) = endpoint.stop();
    let before = fs::read(&file).unwrap();
    fs::write(&file, "x").unwrap();

    let endpoint = setup.restart(dir, port);
    endpoint.assert_tells("is no cursor: it is torn, or somebody changed it");
    setup.accept(&endpoint, [1]);
    until("the other one goes on", async || {
        setup.stored("OTHER").await.len() == 2
    })
    .await;
    let (status, parts) = ready(&endpoint);
    assert_eq!(
        (status, &parts["forward.orders"]["ended"]),
        (200, &true.into())
    );
    assert_eq!(parts["forward.other"]["ended"], false);
    assert_eq!(setup.stored(STREAM).await.len(), 1);
    assert_eq!(fs::read(&file).unwrap(), b"x", "it is left as it is");

    let (_printed, dir) = endpoint.stop();
    fs::write(&file, before).unwrap();
    let endpoint = setup.restart(dir, port);
    setup.assert_each_once([0, 1]).await;
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_deletes_no_old_log_that_a_destination_needs() {
    let Some(mut setup) = Setup::new("journal") else {
        return;
    };
    let options = setup.options.clone();
    setup.options = options
        .set("logs.rotate_size", "8KiB")
        .set("logs.keep", "1s");
    setup.nats.kill(0);
    let endpoint = Endpoint::start(&setup.options);
    let port = endpoint.address.port();
    setup.accept(&endpoint, 0..20);
    let live = endpoint.log_path("endpoint_log");
    let (_printed, dir) = endpoint.stop();
    let numbered = (1..).map(|number| PathBuf::from(format!("{}.{number}", live.display())));
    let rotated: Vec<PathBuf> = numbered.take_while(|path| path.exists()).collect();
    assert!(rotated.len() > 2, "{rotated:?}");
    let long_ago = SystemClock.now() - Duration::from_secs(3600);
    for path in &rotated[..rotated.len() - 1] {
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(long_ago).unwrap();
    }

    let endpoint = setup.restart(dir, port);
    setup.accept(&endpoint, [20]);
    setup.nats.start(0);
    setup.nats.ready(0);
    setup.assert_each_once(0..21).await;
    eventually("nobody needs the old ones", || {
        (!rotated[0].exists()).then_some(())
    });
    endpoint.stop();
}

/// The destination is an address at which nobody listens.
#[test]
fn status_says_how_far_a_stopped_endpoint_is() {
    let host = CertificateHost::serving(&key(512));
    let tables = [
        ("forward.orders.to", "nats"),
        ("forward.orders.servers", "nats://127.0.0.1:1"),
    ];
    let options = Options::trusting(host.prefix());
    let options = tables
        .into_iter()
        .fold(options, |options, (key, value)| options.set(key, value));
    let endpoint = Endpoint::start(&options);
    let address = endpoint.address.to_string();
    let draft = Draft::new(ContentFormat::Xml, "m", &host.url("x.pem"));
    assert_eq!(endpoint.exchange(&draft.sign(&key(512)).wire()).status, 201);
    let file = cursor(&endpoint, "orders");
    let (_printed, dir) = endpoint.stop();
    let sets = tables.map(|(key, value)| format!("{key}={value}"));
    let status = |further: &[&str]| {
        let mut arguments = vec!["forward", "status", "--log-dir", "logs"];
        arguments.extend(["--listen", address.as_str()]);
        for set in &sets {
            arguments.extend(["--set", set.as_str()]);
        }
        arguments.extend(further);
        run(dir.path(), &arguments)
    };
    status(&["orders"]).assert(
        0,
        "orders (nats MNS): 0 delivered, 0 dead letters, 0 skipped, 0 gaps; ",
    );
    let told = status(&["--output", "json"]);
    let object: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(
        (&object["name"], &object["state"]),
        (&"orders".into(), &"saved".into())
    );
    assert!(object["backlog_bytes"].as_u64().unwrap() > 0, "{object}");
    status(&["others"]).assert(1, "the configuration has no table [forward.others]");

    fs::write(&file, "x").unwrap();
    status(&[]).assert(1, "orders (nats MNS): is not forwarded to: ");
    fs::remove_file(&file).unwrap();
    status(&[]).assert(0, "orders (nats MNS): has not started yet");
}
