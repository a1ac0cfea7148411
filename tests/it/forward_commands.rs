//! Tests of the commands of forwarding, with and without a running `serve`, with a real
//! nats-server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{ConnectOptions, jetstream};
use mns_endpoint::clock::{Clock as _, SystemClock};
use mns_endpoint::mns::ContentFormat;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{
    CertificateHost, Draft, Ended, Endpoint, Nats, NatsSetup, Options, Running, eventually, finish,
    key, program, until,
};

/// An address at which nobody listens.
const NOBODY: &str = "nats://127.0.0.1:1";

/// An endpoint that forwards, and its commands.
struct Setup {
    host: CertificateHost,
    nats: Option<Nats>,
    sets: Vec<(String, String)>,
}

impl Setup {
    fn of(nats: Option<Nats>, sets: &[(&str, &str)]) -> Self {
        let servers = nats
            .as_ref()
            .map_or(NOBODY.to_owned(), |nats| nats.urls().join(","));
        let mut all = vec![
            ("forward.orders.to", "nats"),
            ("forward.orders.servers", servers.as_str()),
        ];
        all.extend(sets);
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Self {
            host: CertificateHost::serving(&key(512)),
            sets: all.into_iter().map(owned).collect(),
            nats,
        }
    }

    /// A setup without nats-server.
    fn alone(sets: &[(&str, &str)]) -> Self {
        Self::of(None, sets)
    }

    /// A setup with a server. Prints a note and returns `None` without nats-server.
    fn with_nats(lines: &str, sets: &[(&str, &str)]) -> Option<Self> {
        let nats = Nats::one(&NatsSetup {
            is_synced: true,
            lines: lines.to_owned(),
        })?;
        let made = [
            ("forward.orders.create", "missing"),
            ("forward.orders.replicas", "1"),
        ];
        Some(Self::of(Some(nats), &[&made, sets].concat()))
    }

    fn nats(&mut self) -> &mut Nats {
        self.nats.as_mut().unwrap()
    }

    fn set(&mut self, key: &str, value: &str) {
        self.sets.retain(|(known, _)| known != key);
        self.sets.push((key.to_owned(), value.to_owned()));
    }

    fn options(&self) -> Options {
        let options = Options::trusting(self.host.prefix());
        let sets = self.sets.iter();
        sets.fold(options, |options, (key, value)| options.set(key, value))
    }

    fn start(&self) -> Endpoint {
        Endpoint::start(&self.options())
    }

    fn restart(&self, dir: tempfile::TempDir, port: u16) -> Endpoint {
        let listen = format!("127.0.0.1:{port}");
        Endpoint::start_in(dir, &self.options().set("server.listen", &listen))
    }

    fn push(&self, endpoint: &Endpoint, id: &str, message: &[u8]) -> u16 {
        let url = self.host.url("x.pem");
        let draft = Draft::of(id, ContentFormat::Xml, message, &url);
        endpoint.exchange(&draft.sign(&key(512)).wire()).status
    }

    #[track_caller]
    fn accept(&self, endpoint: &Endpoint, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            let id = format!("M{number}");
            assert_eq!(self.push(endpoint, &id, b"message"), 201, "{id}");
        }
    }

    fn command(&self, dir: &Path, port: u16, arguments: &[&str]) -> std::process::Command {
        let mut command = program();
        command.current_dir(dir).arg("forward").args(arguments);
        let listen = format!("127.0.0.1:{port}");
        command.args(["--log-dir", "logs", "--listen", &listen]);
        for (key, value) in &self.sets {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command
    }

    fn run(&self, dir: &Path, port: u16, arguments: &[&str]) -> Ended {
        finish(&mut self.command(dir, port, arguments), b"")
    }

    /// What `forward status` prints for the destination.
    fn status(&self, dir: &Path, port: u16) -> Value {
        let ended = self.run(dir, port, &["status", "orders", "--output", "json"]);
        serde_json::from_str(&ended.stdout).unwrap()
    }

    fn backlog(&self, dir: &Path, port: u16) -> u64 {
        self.status(dir, port)["backlog_bytes"].as_u64().unwrap()
    }

    /// The message id and the `Nats-Msg-Id` of each notification in the stream, in order.
    async fn stored(&self) -> Vec<(String, String)> {
        let urls = self.nats.as_ref().unwrap().urls();
        let client = ConnectOptions::new().connect(urls).await.unwrap();
        let context = jetstream::new(client);
        let Ok(mut stream) = context.get_stream("MNS").await else {
            return Vec::new();
        };
        let last = stream.info().await.unwrap().state.last_sequence;
        let mut stored = Vec::new();
        for sequence in 1..=last {
            let message = stream.get_raw_message(sequence).await.unwrap();
            let header = |name: &str| message.headers.get(name).unwrap().to_string();
            stored.push((header("Mns-Message-Id"), header("Nats-Msg-Id")));
        }
        stored
    }

    async fn stored_ids(&self) -> Vec<String> {
        self.stored().await.into_iter().map(|(id, _)| id).collect()
    }

    async fn assert_stored(&self, ids: &[&str]) {
        until("all are in the stream", async || {
            self.stored().await.len() >= ids.len()
        })
        .await;
        let mut stored = self.stored_ids().await;
        stored.sort();
        assert_eq!(stored, ids);
    }
}

fn cursor(dir: &Path, port: u16) -> PathBuf {
    dir.join("logs")
        .join(format!(".forward.orders.{port}.cursor"))
}

fn dead(dir: &Path, port: u16) -> PathBuf {
    dir.join("logs").join(format!("forward_orders.{port}.dead"))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Waits until the saved cursor is at the end of the log.
fn passed(setup: &Setup, dir: &Path, port: u16) {
    eventually("the cursor is at the end", || {
        (setup.status(dir, port)["backlog_bytes"] == 0).then_some(())
    });
}

#[test]
fn reset_needs_a_stopped_endpoint_and_is_the_way_out_of_a_cursor_that_cannot_be_used() {
    let mut setup = Setup::alone(&[("logs.mode", "0600")]);
    let endpoint = setup.start();
    let port = endpoint.address.port();
    setup.accept(&endpoint, 0..3);
    let now = ["reset", "orders", "--to", "now"];
    let beside = setup.run(endpoint.path(), port, &now);
    beside.assert(1, "serve writes to the logs of port");
    // The endpoint is killed and not stopped, so that the commit log is not empty.
    let dir = endpoint.kill();
    let dir_path = dir.path();
    let reset =
        |setup: &Setup, to: &str| setup.run(dir_path, port, &["reset", "orders", "--to", to]);
    let all = fs::metadata(dir_path.join(format!("logs/endpoint_log.{port}")))
        .unwrap()
        .len();
    assert!(setup.backlog(dir_path, port) > 0);
    reset(&setup, "now").assert(0, "bytes of the log are stepped over and not forwarded");
    assert_eq!(setup.backlog(dir_path, port), 0);
    assert_eq!(mode(&cursor(dir_path, port)), 0o600);
    reset(&setup, "oldest").assert(0, "the next start forwards from the oldest record");
    assert_eq!(setup.backlog(dir_path, port), all);

    // The second record of a notification, which begins after the record of the start and the first
    // notification.
    let log = fs::read_to_string(dir_path.join(format!("logs/endpoint_log.{port}"))).unwrap();
    let second = log.find("<MessageId>M1<").unwrap();
    let begin = log[..second].rfind("\n[").unwrap() + 1;
    let place = |offset: usize| format!("endpoint_log.{port}:{offset}");
    reset(&setup, &place(begin)).assert(0, &format!("forwards from {}", place(begin)));
    assert_eq!(
        setup.backlog(dir_path, port),
        all - u64::try_from(begin).unwrap()
    );
    reset(&setup, &place(begin + 1)).assert(1, "no record of ");
    reset(&setup, &place(1 << 30)).assert(1, &format!("ends at byte {all}"));
    reset(&setup, "endpoint_log.1.7:0").assert(1, "is not a file of the log, whose files are ");
    reset(&setup, "yesterday").assert(2, "write now, oldest or FILE:OFFSET");

    fs::write(cursor(dir_path, port), "x").unwrap();
    assert_eq!(setup.status(dir_path, port)["state"], "unusable");
    reset(&setup, "oldest").assert(0, "the old cursor was not usable (");
    assert_eq!(setup.status(dir_path, port)["state"], "saved");
    // The cursor of one stream is not usable for another.
    setup.set("forward.orders.stream", "OTHER");
    assert_eq!(setup.status(dir_path, port)["state"], "unusable");
    reset(&setup, "now").assert(0, "the old cursor was not usable (");
    assert_eq!(setup.backlog(dir_path, port), 0);

    let wrong = setup.run(dir_path, port, &["reset", "others", "--to", "now"]);
    wrong.assert(1, "the configuration has no table [forward.others]");
    let wrong = setup.run(
        dir_path,
        port,
        &["reset", "orders", "--to", "now", "--port", "1"],
    );
    wrong.assert(1, &format!("but of {port}: name one with --port"));
}

#[test]
fn status_shows_the_condition_of_a_running_serve_and_says_whose_it_is_otherwise() {
    let setup = Setup::alone(&[("logs.mode", "0600")]);
    let endpoint = setup.start();
    let port = endpoint.address.port();
    let file = |dir: &Path| dir.join(format!("logs/.forward.orders.{port}.condition"));
    let text = |dir: &Path| setup.run(dir, port, &["status"]).stdout;
    setup.accept(&endpoint, [0]);
    let seen = eventually("it is away", || {
        let seen = setup.status(endpoint.path(), port)["condition"].clone();
        seen["since"].is_string().then_some(seen)
    });
    assert_eq!(
        (&seen["present"], &seen["reason"]),
        (&true.into(), &"disconnected".into())
    );
    assert_eq!(mode(&file(endpoint.path())), 0o600);
    setup.accept(&endpoint, [0, 2]);
    let all = setup.status(endpoint.path(), port);
    assert_eq!(all["backlog_messages"], 2, "{all}");
    assert_eq!(all["backlog_messages_complete"], true, "{all}");
    assert!(all["backlog_seconds"].is_u64(), "{all}");
    let waiting = "bytes of the log after the cursor, 2 notifications, the oldest for ";
    assert!(
        text(endpoint.path()).contains(waiting),
        "{}",
        text(endpoint.path())
    );

    let dir = endpoint.kill();
    let seen = setup.status(dir.path(), port)["condition"].clone();
    assert_eq!(
        (&seen["present"], &seen["state"]),
        (&false.into(), &"disconnected".into())
    );
    let last = "\n  serve is not running; when it last ran: no connection: disconnected since ";
    assert!(text(dir.path()).contains(last), "{}", text(dir.path()));

    fs::write(file(dir.path()), "x").unwrap();
    let seen = setup.status(dir.path(), port);
    assert_eq!(
        (&seen["state"], &seen["condition"]),
        (&"saved".into(), &Value::Null)
    );
    let why = seen["condition_error"].as_str().unwrap();
    assert!(
        why.ends_with(
            ".condition is not the condition of a destination: serve replaces it \
        when it starts"
        ),
        "{why}"
    );
    let ended = setup.run(dir.path(), port, &["status"]);
    ended.assert(0, "\n  condition unknown: ");
    fs::remove_file(file(dir.path())).unwrap();
    assert!(text(dir.path()).contains("\n  condition unknown: serve has saved none\n"));

    // A start replaces what is there. A stop leaves it, and it is not the present one any more.
    fs::write(file(dir.path()), "x").unwrap();
    let endpoint = setup.restart(dir, port);
    assert_eq!(
        setup.status(endpoint.path(), port)["condition"]["present"],
        true
    );
    let (_printed, dir) = endpoint.stop();
    assert_eq!(
        setup.status(dir.path(), port)["condition"]["present"],
        false
    );

    // A condition that cannot be saved is reported once, and disturbs nothing else.
    let draft = file(dir.path()).with_extension("condition.new");
    fs::create_dir(&draft).unwrap();
    let endpoint = setup.restart(dir, port);
    endpoint.assert_tells("Cannot save the condition of a destination");
    assert!(text(endpoint.path()).contains("\n  condition unknown: serve has saved none\n"));
    setup.accept(&endpoint, [1]);
    fs::remove_dir(&draft).unwrap();
    eventually("it is saved", || {
        (setup.status(endpoint.path(), port)["condition"]["present"] == true).then_some(())
    });
    let told = endpoint.stderr();
    assert_eq!(
        told.matches("Cannot save the condition").count(),
        1,
        "{told}"
    );
    endpoint.stop();
}

#[test]
fn status_fails_where_there_is_no_log_and_creates_none() {
    let setup = Setup::alone(&[]);
    let dir = tempfile::tempdir().unwrap();
    let help = "name the directory of the logs with --log-dir";
    setup.run(dir.path(), 8080, &["status"]).assert(1, help);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    fs::create_dir(dir.path().join("logs")).unwrap();
    let none = setup.run(dir.path(), 8080, &["status", "orders"]);
    none.assert(1, &format!("no logs are in logs: {help}"));
    let logs = fs::read_dir(dir.path().join("logs")).unwrap();
    assert_eq!(logs.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_goes_on_where_a_reset_has_put_the_cursor() {
    let Some(mut setup) = Setup::with_nats("", &[]) else {
        return;
    };
    setup.nats().kill(0);
    let endpoint = setup.start();
    let port = endpoint.address.port();
    setup.accept(&endpoint, 0..3);
    let (_printed, dir) = endpoint.stop();
    setup
        .run(dir.path(), port, &["reset", "orders", "--to", "now"])
        .assert(0, "stepped over");
    setup.nats().start(0);
    setup.nats().ready(0);
    let endpoint = setup.restart(dir, port);
    setup.accept(&endpoint, 3..5);
    setup.assert_stored(&["M3", "M4"]).await;
    let (_printed, dir) = endpoint.stop();
    setup
        .run(dir.path(), port, &["reset", "orders", "--to", "oldest"])
        .assert(0, "oldest");
    let endpoint = setup.restart(dir, port);
    setup.assert_stored(&["M0", "M1", "M2", "M3", "M4"]).await;
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_sent_again_and_dropped_beside_a_serve_that_makes_more() {
    let small = "max_payload: 2048";
    let Some(mut setup) = Setup::with_nats(small, &[("logs.mode", "0600")]) else {
        return;
    };
    let endpoint = setup.start();
    let port = endpoint.address.port();
    let dir = endpoint.path().to_owned();
    let run = |setup: &Setup, arguments: &[&str]| setup.run(&dir, port, arguments);
    run(&setup, &["dead", "list", "orders"]).assert(0, "orders: 0 dead letters");
    run(&setup, &["dead", "retry", "orders"]).assert(0, "orders has no dead letters");
    run(&setup, &["dead", "drop", "orders", "--all"]).assert(0, "0 dead letters dropped");
    assert!(!dead(&dir, port).exists());

    // Before that, an attempt would count as a failed one.
    eventually("it is connected", || {
        let status = run(&setup, &["status", "orders"]);
        (status.stdout.contains("\n  now: connected\n")).then_some(())
    });
    let large = vec![b'x'; 4000];
    for id in ["L1", "L2", "L3"] {
        assert_eq!(setup.push(&endpoint, id, &large), 201);
    }
    setup.accept(&endpoint, [0]);
    setup.assert_stored(&["M0"]).await;
    let lines = || fs::read_to_string(dead(&dir, port)).map_or(0, |text| text.lines().count());
    eventually("three are dead letters", || (lines() == 3).then_some(()));
    assert_eq!(mode(&dead(&dir, port)), 0o600);

    let listed = run(&setup, &["dead", "list", "orders"]);
    listed.assert(0, "orders: 3 dead letters");
    assert!(
        listed.stdout.contains("  too_large  1 attempt  "),
        "{listed:?}"
    );
    assert!(listed.stdout.contains("/L2  "), "{listed:?}");
    let listed = run(&setup, &["dead", "list", "orders", "--output", "json"]);
    // The notifications were in flight together, so they may have failed in any order.
    let letters = listed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let letters: Vec<Value> = letters.collect();
    let first = letters.iter().find(|letter| letter["MessageId"] == "L1");
    let first = first.unwrap_or_else(|| panic!("{letters:?}"));
    assert_eq!(first["message_bytes"], 4000);
    assert_eq!(
        (first.get("Message"), &first["attempts"]),
        (None, &1.into())
    );
    let id = first["id"].as_str().unwrap();
    assert!(id.ends_with("/L1"), "{id}");

    // The notification is still too large.
    let retried = run(&setup, &["dead", "retry", "orders"]);
    retried.assert(1, "0 stored, 0 duplicates, 3 dead letters left");
    assert!(
        retried
            .stderr
            .contains("/L3 was not delivered: too_large: "),
        "{retried:?}"
    );
    assert_eq!(lines(), 3);
    run(&setup, &["dead", "drop", "orders", "nothing"]).assert(1, "nothing was dropped");
    run(&setup, &["dead", "drop", "orders"]).assert(2, "<ID>...");
    let dropped = run(&setup, &["dead", "drop", "orders", "L2"]);
    dropped.assert(0, "1 dead letter dropped");
    assert!(
        dropped.stdout.contains("too_large: 3 dead letters"),
        "{dropped:?}"
    );

    setup.nats().reload("max_payload: 65536");
    let retried = run(&setup, &["dead", "retry", "orders"]);
    retried.assert(0, "2 stored, 0 duplicates, 0 dead letters left");
    assert!(!dead(&dir, port).exists());
    setup.assert_stored(&["L1", "L3", "M0"]).await;

    // A damaged line stays, unless all are dropped.
    fs::write(dead(&dir, port), "{\"time\"").unwrap();
    run(&setup, &["dead", "list", "orders"]).assert(1, "line 1 of ");
    run(&setup, &["dead", "retry", "orders"]).assert(1, "1 dead letter left");
    run(&setup, &["dead", "drop", "orders", "--all"]).assert(0, "damaged: 1 dead letter");
    assert!(!dead(&dir, port).exists());
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_waits_for_what_was_there_while_pushes_arrive() {
    // A message that is too large keeps the cursor back, because there is no room for its dead
    // letter.
    let no_room = [("forward.orders.dead_letters_max", "1")];
    let Some(mut setup) = Setup::with_nats("max_payload: 2048", &no_room) else {
        return;
    };
    let endpoint = setup.start();
    let port = endpoint.address.port();
    let dir = endpoint.path().to_owned();
    setup.accept(&endpoint, 0..3);
    setup
        .run(&dir, port, &["drain", "--timeout", "45s"])
        .assert(0, "orders: forwarded");
    assert_eq!(setup.stored().await.len(), 3);

    setup.nats().kill(0);
    setup.accept(&endpoint, 3..6);
    let late = setup.run(&dir, port, &["drain", "orders", "--timeout", "300ms"]);
    late.assert(1, "bytes of the log are not forwarded yet");
    let mut waiting = setup.command(&dir, port, &["drain", "--timeout", "120s"]);
    let errors = dir.join("drain.stderr");
    waiting.stdin(Stdio::null()).stdout(Stdio::null());
    waiting.stderr(fs::File::create(&errors).unwrap());
    let mut waiting = Running(waiting.spawn().unwrap());
    eventually("it waits", || {
        let told = fs::read_to_string(&errors).unwrap();
        told.contains("bytes of the log are not forwarded")
            .then_some(())
    });
    // The cursor never passes this notification, and pushes do not stop. The drain must end
    // nevertheless.
    assert_eq!(setup.push(&endpoint, "L6", &[b'x'; 4000]), 201);
    setup.nats().start(0);
    setup.nats().ready(0);
    let (is_over, setup) = (AtomicBool::new(false), &setup);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let ids = (7..).take_while(|_| !is_over.load(Ordering::Relaxed));
            ids.for_each(|id| setup.accept(&endpoint, [id]));
        });
        let status = waiting.0.wait().unwrap();
        is_over.store(true, Ordering::Relaxed);
        assert!(status.success(), "{status}");
    });
    let stored = setup.stored_ids().await;
    for id in ["M3", "M4", "M5"] {
        assert!(stored.iter().any(|stored| stored == id), "{id}: {stored:?}");
    }
    let left = setup.run(&dir, port, &["drain", "--timeout", "300ms"]);
    left.assert(1, "bytes of the log are not forwarded yet");

    let (_printed, dir) = endpoint.stop();
    let reset = ["reset", "orders", "--to", "now"];
    setup
        .run(dir.path(), port, &reset)
        .assert(0, "stepped over");
    setup
        .run(dir.path(), port, &["drain"])
        .assert(0, "orders: forwarded");
    let reset = ["reset", "orders", "--to", "oldest"];
    setup.run(dir.path(), port, &reset).assert(0, "oldest");
    let nobody = setup.run(dir.path(), port, &["drain"]);
    nobody.assert(1, "no serve writes to this log");
    nobody.assert(1, "bytes of the log are not forwarded yet");
    fs::write(cursor(dir.path(), port), "x").unwrap();
    let never = setup.run(dir.path(), port, &["drain"]);
    never.assert(1, "orders: nothing is forwarded: ");
    setup
        .run(dir.path(), port, &["drain", "others"])
        .assert(1, "no table [forward.others]");
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_does_not_wait_for_refusals() {
    let Some(setup) = Setup::with_nats("", &[]) else {
        return;
    };
    let endpoint = setup.start();
    let port = endpoint.address.port();
    setup.accept(&endpoint, [0]);
    setup.assert_stored(&["M0"]).await;
    passed(&setup, endpoint.path(), port);
    // Its record alone is not committed, so the cursor does not pass it.
    let unsigned = "POST /notifications HTTP/1.1\r\nHost: endpoint\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(endpoint.exchange(unsigned.as_bytes()).status, 403);
    eventually("it is logged", || {
        (setup.backlog(endpoint.path(), port) > 0).then_some(())
    });
    let drain = ["drain", "--timeout", "5s"];
    setup
        .run(endpoint.path(), port, &drain)
        .assert(0, "orders: forwarded");
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn check_finds_how_long_the_oldest_notification_has_waited_wherever_it_is() {
    let Some(setup) = Setup::with_nats("", &[("forward.orders.topics", "orders,MyTopic1")]) else {
        return;
    };
    let endpoint = setup.start();
    let port = endpoint.address.port();
    setup.accept(&endpoint, [0]);
    setup.assert_stored(&["M0"]).await;
    passed(&setup, endpoint.path(), port);
    let live = endpoint.log_path("endpoint_log");
    let (_printed, dir) = endpoint.stop();
    let is_behind = || {
        let checked = setup.run(dir.path(), port, &["check", "orders"]);
        assert_eq!(checked.code, 0, "{checked:?}");
        let text = "warning  forward.orders.dedupe: MNS remembers an id for ";
        checked.stdout.contains(text)
    };
    // Cut to the place of the cursor.
    let text = fs::read(&live).unwrap();
    let left = usize::try_from(setup.backlog(dir.path(), port)).unwrap();
    let passed = &text[..text.len() - left];

    let record = |topic: &str, message: &str| {
        let head = "[2026-01-02 03:04:05] [root] [INFO] [receive.rs:2] [1]";
        let mut record = format!("{head} Notify Message Succeed!\n");
        for (name, value) in [
            ("TopicOwner", "1"),
            ("PublishTime", "1463476256857"),
            ("SubscriptionName", "s"),
            ("MessageId", "OLD"),
            ("Message", message),
            ("TopicName", topic),
        ] {
            record += &format!("{name:<30}: {value}\n");
        }
        record + "\n"
    };
    let small = record("orders", "m");
    // Larger than what is read at once.
    let large = record("orders", &"x".repeat(1_000_000));
    let other = record("others", "m");
    let after_other = format!("{other}{small}");
    let mut seen = Vec::new();
    for (what, rows) in [
        ("none", ""),
        ("small", &small),
        ("large", &large),
        ("of another topic", &other),
        ("after one of another topic", &after_other),
    ] {
        fs::write(&live, [passed, rows.as_bytes()].concat()).unwrap();
        seen.push((what, is_behind()));
    }
    fs::write(&live, passed).unwrap();
    fs::rename(&live, format!("{}.1", live.display())).unwrap();
    fs::write(&live, &small).unwrap();
    seen.push(("in the next file", is_behind()));
    let expected = [
        ("none", false),
        ("small", true),
        ("large", true),
        ("of another topic", false),
        ("after one of another topic", true),
        ("in the next file", true),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_is_wrong_with_the_stream_and_changes_nothing() {
    let Some(mut setup) = Setup::with_nats("", &[]) else {
        return;
    };
    let monitor = setup.nats().monitor_url(0);
    setup.set("forward.orders.monitors", &monitor);
    setup.set("forward.orders.duplicate_window", "1m");
    let dir = tempfile::tempdir().unwrap();
    // `check` needs no log and creates none.
    let missing = setup.run(dir.path(), 8080, &["check", "orders"]);
    missing.assert(0, "the first message makes it");
    assert!(setup.stored().await.is_empty());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

    let endpoint = setup.start();
    let port = endpoint.address.port();
    setup.accept(&endpoint, [0]);
    setup.assert_stored(&["M0"]).await;
    let checked = setup.run(endpoint.path(), port, &["check", "orders"]);
    checked.assert(0, "warning  forward.orders.stream: MNS has 1 of 3 copies");
    for text in [
        "warning  forward.orders.dedupe: MNS remembers an id for 60s",
        "note     forward.orders.monitors: http://127.0.0.1:",
        "syncs each message before it acknowledges it",
        ": 0 errors, 2 warnings",
    ] {
        assert!(checked.stdout.contains(text), "{text}: {checked:?}");
    }
    setup.set("forward.orders.subject", "elsewhere.{topic}");
    let wrong = setup.run(
        endpoint.path(),
        port,
        &["check", "orders", "--output", "json"],
    );
    let object: Value = serde_json::from_str(&wrong.stdout).unwrap();
    let errors = object["findings"].as_array().unwrap().iter();
    let errors: Vec<&Value> = errors.filter(|found| found["level"] == "error").collect();
    assert_eq!((wrong.code, errors.len()), (78, 1), "{wrong:?}");
    assert_eq!(errors[0]["key"], "forward.orders.subject");
    setup.set("forward.orders.servers", NOBODY);
    let away = setup.run(endpoint.path(), port, &["check", "orders"]);
    away.assert(78, "error    forward.orders.servers: ");
    setup
        .run(endpoint.path(), port, &["check", "others"])
        .assert(1, "[forward.others]");
    fs::write(cursor(endpoint.path(), port), "x").unwrap();
    let broken = setup.run(endpoint.path(), port, &["check", "orders"]);
    broken.assert(78, "error    forward.orders.cursor: nothing is forwarded: ");
    endpoint.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_sends_what_is_in_the_files_again_and_leaves_the_cursor() {
    let Some(mut setup) = Setup::with_nats("", &[("logs.rotate_size", "8KiB")]) else {
        return;
    };
    let endpoint = setup.start();
    let port = endpoint.address.port();
    let dir = endpoint.path().to_owned();
    setup.accept(&endpoint, 0..12);
    // A repeat is not replayed, because its first copy is replayed.
    setup.accept(&endpoint, [3]);
    let ids: Vec<String> = (0..12).map(|number| format!("M{number}")).collect();
    let mut sorted: Vec<&str> = ids.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    setup.assert_stored(&sorted).await;
    passed(&setup, &dir, port);
    let saved = fs::read(cursor(&dir, port)).unwrap();
    let replay = |setup: &Setup, further: &[&str]| {
        let arguments = [&["replay", "orders"], further].concat();
        setup.run(&dir, port, &arguments)
    };
    let known = replay(&setup, &["--from", "1h"]);
    known.assert(0, ": 0 stored, 12 duplicates, 0 not delivered");
    assert!(
        known.stderr.contains("--again has them stored once more"),
        "{known:?}"
    );
    let again = replay(&setup, &["--from", "1h", "--again"]);
    again.assert(0, ": 12 stored, 0 duplicates, 0 not delivered");
    let stored = setup.stored().await;
    let second = &stored[12..];
    let mut of_second: Vec<&str> = second.iter().map(|(id, _)| id.as_str()).collect();
    of_second.sort_unstable();
    assert_eq!(of_second, sorted);
    let resent = regex::Regex::new(r"/M\d+/r\d+$").unwrap();
    assert!(
        second.iter().all(|(_, id)| resent.is_match(id)),
        "{second:?}"
    );

    let file = format!("endpoint_log.{port}.2");
    assert!(dir.join("logs").join(&file).exists());
    let from_file = replay(&setup, &["--from", &file]);
    from_file.assert(0, "0 not delivered");
    assert!(
        !from_file.stderr.contains(" 12 duplicates"),
        "{from_file:?}"
    );
    replay(&setup, &["--from", &format!("{file}:1")]).assert(1, "no record of ");
    let early = ["--from", "2020-01-01", "--until", "2020-01-02"];
    replay(&setup, &early).assert(0, "Nothing to replay to orders");
    replay(&setup, &["--from", "sometime"]).assert(1, "write a span as in 15m");
    setup.set("forward.orders.topics", "others");
    replay(&setup, &["--from", "1h"]).assert(0, "Nothing to replay to orders");
    setup.sets.pop();
    assert_eq!(
        fs::read(cursor(&dir, port)).unwrap(),
        saved,
        "the cursor stays"
    );

    setup.nats().kill(0);
    let away = replay(&setup, &["--from", "1h", "--timeout", "300ms"]);
    away.assert(1, "12 not delivered");
    assert!(
        away.stderr.contains("was not delivered: disconnected: "),
        "{away:?}"
    );
    assert!(
        away.stderr.contains("Go on with --from endpoint_log."),
        "{away:?}"
    );
    // A signal ends the replay before its timeout of an hour.
    let arguments = ["replay", "orders", "--from", "1h", "--timeout", "1h"];
    let mut command = setup.command(&dir, port, &arguments);
    let errors = dir.join("replay.stderr");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(fs::File::create(&errors).unwrap());
    let mut running = Running(command.spawn().unwrap());
    let told = || fs::read_to_string(&errors).unwrap();
    eventually("it sends", || told().contains("Replaying 12").then_some(()));
    // Wait until the process handles SIGINT: before that, SIGINT would end it without its last
    // message.
    let pid = Pid::from_child(&running.0);
    eventually("it listens to the signal", || {
        let status = fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
        let caught = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:\t"))?;
        let caught = u64::from_str_radix(caught, 16).unwrap();
        (caught & (1 << (libc_sigint() - 1)) != 0).then_some(())
    });
    kill_process(pid, Signal::INT).unwrap();
    let status = running.0.wait().unwrap();
    assert_eq!(status.code(), Some(1), "{}", told());
    assert!(
        told().contains("Go on with --from endpoint_log."),
        "{}",
        told()
    );
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_reports_what_it_cannot_read_and_sends_the_rest() {
    let Some(setup) = Setup::with_nats("", &[]) else {
        return;
    };
    let endpoint = setup.start();
    let port = endpoint.address.port();
    setup.accept(&endpoint, 0..4);
    setup.assert_stored(&["M0", "M1", "M2", "M3"]).await;
    let log = endpoint.log_path("endpoint_log");
    let (_printed, dir) = endpoint.stop();
    let text = fs::read_to_string(&log).unwrap();
    let run = || setup.run(dir.path(), port, &["replay", "orders", "--from", "1h"]);
    run().assert(0, ": 0 stored, 4 duplicates, 0 not delivered");

    let first = text.find("MessageId ").unwrap();
    let second = first + 1 + text[first + 1..].find("MessageId ").unwrap();
    let renamed = format!("{}MessageNo{}", &text[..second], &text[second + 9..]);
    fs::write(&log, &renamed).unwrap();
    let ended = run();
    ended.assert(1, ": 0 stored, 3 duplicates, 0 not delivered");
    ended.assert(1, "1 record without a message id not sent");

    // Before the record of the third one.
    let third = text.find("M2").unwrap();
    let begin = text[..third].rfind("\n[").unwrap() + 1;
    fs::write(
        &log,
        format!("{}{}{}", &text[..begin], "\0".repeat(10), &text[begin..]),
    )
    .unwrap();
    let ended = run();
    ended.assert(1, ": 0 stored, 4 duplicates, 0 not delivered");
    ended.assert(
        1,
        &format!("endpoint_log.{port}: damage of 10 bytes: see mns-endpoint logs"),
    );
}

/// The number of SIGINT.
fn libc_sigint() -> i32 {
    Signal::INT.as_raw()
}

#[test]
fn a_cursor_of_a_destination_that_was_removed_warns_and_holds_no_files() {
    let mut setup = Setup::alone(&[("logs.rotate_size", "8KiB"), ("logs.keep", "1s")]);
    let endpoint = setup.start();
    let port = endpoint.address.port();
    setup.accept(&endpoint, 0..12);
    let oldest = PathBuf::from(format!("{}.1", endpoint.log_path("endpoint_log").display()));
    let (_printed, dir) = endpoint.stop();
    let long_ago = SystemClock.now() - Duration::from_secs(3600);
    let file = fs::File::options().append(true).open(&oldest).unwrap();
    file.set_modified(long_ago).unwrap();

    let endpoint = setup.restart(dir, port);
    setup.accept(&endpoint, [12]);
    let (_printed, dir) = endpoint.stop();
    assert!(oldest.exists(), "the destination needs it");

    setup.sets.retain(|(key, _)| !key.starts_with("forward."));
    let endpoint = setup.restart(dir, port);
    endpoint.assert_tells("Nothing is forwarded to a destination that has a cursor");
    setup.accept(&endpoint, [13]);
    eventually("nobody needs it", || (!oldest.exists()).then_some(()));
    assert!(cursor(endpoint.path(), port).exists());
    endpoint.stop();
}

#[test]
fn check_warns_of_too_few_copies_of_what_a_201_waits_for() {
    let dir = tempfile::tempdir().unwrap();
    let check = |further: &[&str]| {
        let mut command = program();
        command.current_dir(dir.path()).arg("check");
        let table = [
            "forward.orders.to=nats",
            "forward.orders.servers=nats://127.0.0.1:1",
            "forward.orders.ack=forward",
        ];
        for set in table.iter().chain(further) {
            command.args(["--set", set]);
        }
        finish(&mut command, b"")
    };
    let made = ["forward.orders.create=missing", "forward.orders.replicas=1"];
    check(&made).assert(0, "warning  forward.orders.replicas: 1 of 3: ");
    let enough = check(&made[..1]);
    enough.assert(0, "note     forward.orders.ack: pushes wait for it");
    assert!(
        !enough.stdout.contains("forward.orders.replicas"),
        "{enough:?}"
    );
    check(&[]).assert(
        0,
        "note     forward.orders.stream: whether it has 3 replicas",
    );
    check(&["forward.orders.answer_timeout=3s"]).assert(78, "less than 3s");
    check(&["forward.orders.ack=journal"]).assert(0, ": 0 errors, ");
}
