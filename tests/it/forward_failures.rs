//! One fault at a time around a real `serve` that forwards to a real nats-server: `serve` reports
//! the fault, nothing is lost, and if somebody can mend the fault, no restart is needed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use mns_endpoint::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::admin::{get, metric};
use crate::forward_serve::{STREAM, Setup, admin, cursor, ready};
use crate::support::{Endpoint, Identity, Options, eventually, run, until};

/// The limit of the backlog in these tests, and a size of messages of which a few fill it.
const BACKLOG: &str = "1MiB";
const LARGE: usize = 48 * 1024;

/// A counter of the destination, with the labels that follow its name.
fn counted(endpoint: &Endpoint, name: &str, labels: &str) -> f64 {
    let metrics = get(admin(endpoint), "/metrics", "").body;
    let name = format!("mns_endpoint_forward_{name}{{to=\"orders\"{labels}}}");
    metric(&metrics, &name)
}

/// What `forward status` prints for the destination, as JSON and as text.
fn printed(setup: &Setup, endpoint: &Endpoint) -> (Value, String) {
    let listen = format!("127.0.0.1:{}", endpoint.address.port());
    let mut arguments = vec!["forward", "status", "orders", "--log-dir", "logs"];
    arguments.extend(["--listen", &listen]);
    let sets: Vec<String> = (setup.options.set.iter())
        .filter(|(key, _)| key.starts_with("forward."))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    sets.iter().for_each(|set| arguments.extend(["--set", set]));
    let text = run(endpoint.path(), &arguments).stdout;
    arguments.extend(["--output", "json"]);
    let json = run(endpoint.path(), &arguments).stdout;
    (serde_json::from_str(&json).unwrap(), text)
}

/// Waits until the metrics, the diagnostic log and `forward status` show that the destination
/// accepts nothing for this reason. The endpoint stays ready.
#[track_caller]
fn assert_shown(setup: &Setup, endpoint: &Endpoint, reason: &str, detail: &str) {
    eventually(&format!("{reason} is counted"), || {
        let labels = format!(",reason=\"{reason}\"");
        (counted(endpoint, "failures_total", &labels) > 0.0).then_some(())
    });
    endpoint.assert_tells(detail);
    let told = endpoint.stderr();
    let mut lines = told.lines().filter(|line| line.contains(detail));
    assert!(lines.any(|line| line.contains(reason)), "{told}");
    let (status, parts) = ready(endpoint);
    assert_eq!(status, 200, "{parts}");
    assert_eq!(parts["forward.orders"]["ended"], false, "{parts}");
    let shown = eventually(&format!("the status shows {reason}: {detail}"), || {
        let (object, text) = printed(setup, endpoint);
        let condition = &object["condition"];
        let said = condition["detail"].as_str().unwrap_or_default();
        let is_shown = condition["reason"] == reason && said.contains(detail);
        // The text was printed before, perhaps of another moment.
        let is_in_text = text.contains(&format!(": {reason} since ")) && text.contains(detail);
        (is_shown && is_in_text).then_some((condition.clone(), text))
    });
    assert_eq!(shown.0["present"], true, "{shown:?}");
    assert!(shown.1.contains("\n  now: no"), "{shown:?}");
}

/// Waits until `forward status` shows no trouble any more.
#[track_caller]
fn assert_not_shown(setup: &Setup, endpoint: &Endpoint) {
    eventually("the status shows no trouble", || {
        let (object, text) = printed(setup, endpoint);
        let expected = json!({
            "present": true, "state": "connected", "reason": null, "detail": null, "since": null,
            "backlog_full": false,
        });
        let is_in_text = text.contains("\n  now: connected\n");
        (object["condition"] == expected && is_in_text).then_some(())
    });
}

/// The configuration of a stream with the subjects that are used here.
pub fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config {
        name: STREAM.to_owned(),
        subjects: vec!["mns.>".to_owned()],
        discard: DiscardPolicy::New,
        ..Config::default()
    };
    change(&mut config);
    config
}

/// The users of a server: a client without a name may do everything, and the forwarder has these
/// permissions.
pub fn users(password: &str, permissions: &str) -> String {
    format!(
        "authorization {{ users: [ {{ user: admin, password: all }},\n{{ user: forwarder, \
         password: {password}, permissions: {{ {permissions} }} }} ] }}\nno_auth_user: admin"
    )
}

/// Configures the endpoint to log in with a password file, and writes the file before the endpoint
/// starts.
pub fn as_user(setup: &mut Setup, dir: &Path, password: &str) -> PathBuf {
    let file = dir.join("password");
    fs::write(&file, password).unwrap();
    let options = setup.options.clone();
    setup.options = options
        .set("forward.orders.user", "forwarder")
        .set("forward.orders.password_file", file.to_str().unwrap());
    file
}

/// Configures the endpoint to rotate logs early, and to delete them as soon as nothing needs them.
pub fn rotating(options: Options) -> Options {
    options
        .set("logs.rotate_size", "8KiB")
        .set("logs.keep", "1s")
}

/// The rotated endpoint logs, the oldest first.
fn rotated(endpoint: &Endpoint) -> Vec<PathBuf> {
    let live = endpoint.log_path("endpoint_log");
    let numbered = (1..).map(|number| PathBuf::from(format!("{}.{number}", live.display())));
    numbered.take_while(|path| path.exists()).collect()
}

fn age(paths: &[PathBuf]) {
    let long_ago = SystemClock.now() - Duration::from_secs(3600);
    for path in paths {
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(long_ago).unwrap();
    }
}

/// The options without any destination.
fn without_tables(options: &Options) -> Options {
    let mut options = options.clone();
    options.set.retain(|(key, _)| !key.starts_with("forward."));
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_shown_until_their_file_is_replaced() {
    let may = "publish: \">\", subscribe: \">\"";
    let Some(mut setup) = Setup::with("journal", &users("right", may)) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = as_user(&mut setup, dir.path(), "wrong");
    let endpoint = Endpoint::start(&setup.options);
    setup.accept(&endpoint, 0..3);
    assert_shown(&setup, &endpoint, "forbidden", "authorization violation");
    assert_eq!(ready(&endpoint).1["forward.orders"]["connected"], false);
    fs::write(&file, "right").unwrap();
    setup.assert_each_once(0..3).await;
    assert_not_shown(&setup, &endpoint);
    setup.accept(&endpoint, 3..5);
    setup.assert_each_once(0..5).await;
    // The password changes on the server and in the file. The present connection ends, and the next
    // one uses the new password.
    fs::write(&file, "other").unwrap();
    setup.nats.reload(&users("other", may));
    setup.accept(&endpoint, 5..8);
    setup.assert_each_once(0..8).await;
    assert_not_shown(&setup, &endpoint);
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_shown_until_it_is_given() {
    let may = |subjects: &str| {
        let api = "\"$JS.API.>\"";
        users(
            "right",
            &format!("publish: [{subjects}, {api}], subscribe: \"_INBOX.>\""),
        )
    };
    let Some(mut setup) = Setup::with("journal", &may("\"orders.>\"")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    as_user(&mut setup, dir.path(), "right");
    let endpoint = Endpoint::start(&setup.options);
    setup.accept(&endpoint, 0..3);
    let said = "Permissions Violation for Publish to";
    assert_shown(&setup, &endpoint, "forbidden", said);
    setup.nats.reload(&may("\"mns.>\""));
    setup.assert_each_once(0..3).await;
    assert_not_shown(&setup, &endpoint);
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_is_awaited_and_a_full_one_until_it_is_enlarged() {
    let Some(mut setup) = Setup::new("journal") else {
        return;
    };
    setup.options = setup.options.clone().set("forward.orders.create", "off");
    setup
        .options
        .set
        .retain(|(key, _)| key != "forward.orders.replicas");
    let endpoint = Endpoint::start(&setup.options);
    setup.accept(&endpoint, 0..3);
    assert_shown(
        &setup,
        &endpoint,
        "stream_missing",
        "there is no stream MNS",
    );
    let context = setup.context().await;
    let room_for = |count| config(|config| config.max_messages = count);
    context.create_stream(room_for(4)).await.unwrap();
    setup.assert_each_once(0..3).await;
    assert_not_shown(&setup, &endpoint);

    setup.accept(&endpoint, 3..8);
    assert_shown(
        &setup,
        &endpoint,
        "destination_full",
        "maximum messages exceeded",
    );
    context.update_stream(room_for(8)).await.unwrap();
    setup.assert_each_once(0..8).await;
    assert_not_shown(&setup, &endpoint);
    eventually("all are counted", || {
        let stored = counted(&endpoint, "delivered_total", ",result=\"stored\"");
        (stored == 8.0).then_some(())
    });
    endpoint.stop();
}

/// Waits until the saved cursor has passed all.
#[track_caller]
fn passed(setup: &Setup, endpoint: &Endpoint) {
    eventually("the cursor has passed all", || {
        let (status, _text) = printed(setup, endpoint);
        (status["backlog_bytes"] == 0).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_a_dead_letter_and_holds_up_no_other() {
    let Some(setup) = Setup::with("journal", "max_payload: 16384") else {
        return;
    };
    let endpoint = Endpoint::start(&setup.options);
    setup.accept(&endpoint, [0]);
    let large = setup.push_of(1, &"x".repeat(LARGE));
    assert_eq!(endpoint.exchange(&large.wire()).status, 201);
    setup.accept(&endpoint, 2..5);
    setup.assert_each_once([0, 2, 3, 4]).await;
    let dead = ",reason=\"too_large\"";
    eventually("it is a dead letter", || {
        (counted(&endpoint, "dead_letters_total", dead) == 1.0).then_some(())
    });
    endpoint.assert_tells("A notification is a dead letter");
    assert_not_shown(&setup, &endpoint);
    let (object, text) = printed(&setup, &endpoint);
    let last = &object["last_dead_letter"];
    assert_eq!(
        (&object["dead_letters_kept"], &last["reason"]),
        (&1.into(), &"too_large".into())
    );
    let detail = last["detail"].as_str().unwrap();
    assert!(detail.contains("16384"), "{object}");
    let line = format!(
        "\n  1 dead letter in logs/forward_orders.{}.dead, the last at ",
        endpoint.address.port()
    );
    assert!(
        text.contains(&line) && text.contains(": too_large: "),
        "{text}"
    );
    let port = endpoint.address.port();
    let file = endpoint
        .path()
        .join(format!("logs/forward_orders.{port}.dead"));
    let letters = fs::read_to_string(file).unwrap();
    let [letter] = letters.lines().collect::<Vec<_>>()[..] else {
        panic!("{letters}")
    };
    assert!(
        letter.contains("\"M1\"") && letter.contains("too_large"),
        "{letter}"
    );
    // The cursor has passed the notification, so the next start does not send it again.
    passed(&setup, &endpoint);
    let (_printed, dir) = endpoint.stop();
    let endpoint = setup.restart(dir, port);
    setup.accept(&endpoint, [5]);
    setup.assert_each_once([0, 2, 3, 4, 5]).await;
    assert_eq!(counted(&endpoint, "failures_total", dead), 0.0);
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_ack_forward_a_push_that_the_stream_never_takes_gets_503() {
    let Some(setup) = Setup::with("forward", "max_payload: 16384") else {
        return;
    };
    let endpoint = Endpoint::start(&setup.options);
    let large = setup.push_of(0, &"x".repeat(LARGE)).wire();
    eventually("the push is refused permanently", || {
        assert_eq!(endpoint.exchange(&large).status, 503);
        let log = endpoint.endpoint_log();
        log.contains("forward_refused").then_some(())
    });
    eventually("another one is taken", || {
        (setup.push_to(&endpoint, 1) == 201).then_some(())
    });
    setup.assert_each_once([1]).await;
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_shown_until_it_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let server = Identity::new();
    server.write(dir.path());
    let client = |not_after: i32| {
        let mut params = rcgen::CertificateParams::new(["forwarder".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(not_after, 1, 1);
        Identity::of(&params)
    };
    let (expired, good) = (client(2021), client(2090));
    let write = |identity: &Identity| {
        fs::write(at("client.pem"), &identity.certificate_pem).unwrap();
        fs::write(at("client.key"), &identity.key_pem).unwrap();
    };
    write(&expired);
    let both = format!("{}{}", expired.certificate_pem, good.certificate_pem);
    fs::write(at("clients.pem"), both).unwrap();
    fs::write(at("ca.pem"), &server.certificate_pem).unwrap();
    let tls = format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
        at("server.pem"),
        at("server.key"),
        at("clients.pem")
    );
    let Some(mut setup) = Setup::with("journal", &tls) else {
        return;
    };
    let url = format!("tls://localhost:{}", setup.nats.port(0));
    setup.options = (setup.options.clone())
        .set("forward.orders.servers", &url)
        .set("forward.orders.ca", &at("ca.pem"))
        .set("forward.orders.certificate", &at("client.pem"))
        .set("forward.orders.private_key", &at("client.key"));
    let endpoint = Endpoint::start(&setup.options);
    setup.accept(&endpoint, 0..3);
    assert_shown(&setup, &endpoint, "forbidden", "refused the handshake");
    write(&good);
    eventually("all are stored", || {
        (counted(&endpoint, "delivered_total", ",result=\"stored\"") == 3.0).then_some(())
    });
    assert_eq!(setup.nats.json(0, "/jsz")["messages"], 3);
    assert_not_shown(&setup, &endpoint);
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn at_its_bound_a_backlog_refuses_pushes_until_the_destination_is_back() {
    let Some(mut setup) = Setup::new("journal") else {
        return;
    };
    setup.options = (setup.options.clone()).set("forward.orders.max_backlog", BACKLOG);
    setup.nats.kill(0);
    let endpoint = Endpoint::start(&setup.options);
    let push = |setup: &Setup, number: usize| {
        let message = format!("{number} {}", "x".repeat(LARGE));
        endpoint
            .exchange(&setup.push_of(number, &message).wire())
            .status
    };
    let mut accepted = BTreeSet::new();
    let refused = eventually("pushes are refused", || {
        let number = accepted.len();
        // The backlog is measured once a second, so some pushes are still accepted.
        (push(&setup, number) == 503 || !accepted.insert(number)).then_some(number)
    });
    assert!(refused > 1024 * 1024 / LARGE / 3, "{refused}");
    eventually("the refusal is logged", || {
        let log = endpoint.endpoint_log();
        log.contains("forward_backlog_full").then_some(())
    });
    let (status, parts) = ready(&endpoint);
    assert_eq!(
        (status, &parts["forward.orders"]["ready"]),
        (503, &false.into()),
        "{parts}"
    );
    eventually("the status shows it", || {
        let (object, text) = printed(&setup, &endpoint);
        let is_in_text = text.contains("; the backlog is full\n");
        (object["condition"]["backlog_full"] == true && is_in_text).then_some(())
    });
    setup.nats.start(0);
    setup.nats.ready(0);
    eventually("it is ready", || (ready(&endpoint).0 == 200).then_some(()));
    assert_eq!(push(&setup, refused), 201);
    until("all are stored", async || {
        setup.stored(STREAM).await.len() > refused
    })
    .await;
    let stored = setup.stored(STREAM).await;
    assert_eq!(stored.len(), refused + 1);
    let ids: BTreeSet<String> = stored.into_iter().map(|(id, _)| id).collect();
    assert_eq!(
        ids,
        (0..=refused).map(|number| format!("M{number}")).collect()
    );
    assert_not_shown(&setup, &endpoint);
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_is_deleted_for_its_age_while_a_cursor_is_before_it() {
    let Some(mut setup) = Setup::new("journal") else {
        return;
    };
    setup.options = rotating(setup.options.clone());
    setup.nats.kill(0);
    let endpoint = Endpoint::start(&setup.options);
    setup.accept(&endpoint, 0..20);
    let old = rotated(&endpoint);
    assert!(old.len() > 2, "{old:?}");
    age(&old);
    // Each rotation deletes old files that nothing needs.
    setup.accept(&endpoint, 20..40);
    assert!(rotated(&endpoint).len() > old.len());
    setup.nats.start(0);
    setup.nats.ready(0);
    setup.assert_each_once(0..40).await;
    eventually("a saved cursor has passed them", || {
        setup.accept(&endpoint, [40, 41]);
        (!old[0].exists()).then_some(())
    });
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_somebody_deleted_is_a_gap_that_is_shown_and_what_is_left_is_forwarded() {
    let Some(mut setup) = Setup::new("journal") else {
        return;
    };
    setup.options = rotating(setup.options.clone());
    let endpoint = Endpoint::start(&setup.options);
    let port = endpoint.address.port();
    setup.accept(&endpoint, [0]);
    setup.assert_each_once([0]).await;
    setup.nats.kill(0);
    setup.accept(&endpoint, 1..30);
    let logs = rotated(&endpoint);
    let (_printed, dir) = endpoint.stop();
    for path in &logs[..2] {
        fs::remove_file(path).unwrap();
    }
    setup.nats.start(0);
    setup.nats.ready(0);
    let endpoint = setup.restart(dir, port);
    endpoint.assert_tells("may not have been forwarded: somebody deleted, packed or cut a log");
    setup.accept(&endpoint, 30..32);
    until("the last is there", async || {
        let stored = setup.stored(STREAM).await;
        stored.iter().any(|(id, _)| id == "M31")
    })
    .await;
    let stored = setup.stored(STREAM).await;
    let ids: BTreeSet<&String> = stored.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), stored.len(), "each once");
    assert!((20..32).contains(&stored.len()), "{}", stored.len());
    assert_eq!(counted(&endpoint, "gaps_total", ""), 1.0);
    assert_eq!(ready(&endpoint).0, 200);
    endpoint.stop();
}

/// Cuts the log, as after a power cut before the system had written all that the cursor has passed.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_before_the_cursor_is_followed_from_its_end() {
    let Some(mut setup) = Setup::new("journal") else {
        return;
    };
    setup.options = (setup.options.clone())
        .set("logs.sync", "os")
        .set("logs.commit_log", "off");
    let endpoint = Endpoint::start(&setup.options);
    let port = endpoint.address.port();
    setup.accept(&endpoint, 0..6);
    setup.assert_each_once(0..6).await;
    let log = endpoint.log_path("endpoint_log");
    passed(&setup, &endpoint);
    let (_printed, dir) = endpoint.stop();
    let text = fs::read_to_string(&log).unwrap();
    let end = text
        .match_indices("] Notify Message Succeed!")
        .nth(3)
        .unwrap()
        .0;
    let end = end + text[end..].find("\n\n").unwrap() + 2;
    fs::write(&log, &text[..end]).unwrap();
    let endpoint = setup.restart(dir, port);
    // What was cut is no longer on disk, so a repeat from MNS counts as new.
    setup.accept(&endpoint, [6, 5, 7]);
    setup.assert_each_once(0..8).await;
    endpoint.assert_tells("The log ends before the cursor");
    endpoint.stop();
}

/// Two copies of the volume of an endpoint with a backlog.
#[tokio::test(flavor = "multi_thread")]
async fn a_cloned_volume_doubles_nothing_and_one_volume_serves_one() {
    let Some(mut setup) = Setup::new("journal") else {
        return;
    };
    setup.nats.kill(0);
    let endpoint = Endpoint::start(&setup.options);
    let port = endpoint.address.port();
    setup.accept(&endpoint, 0..5);
    let logs = endpoint.path().join("logs").to_str().unwrap().to_owned();
    let port_text = port.to_string();
    let beside = format!("127.0.0.2:{port_text}");
    let mut arguments = vec!["serve", "--listen", &beside, "--log-dir", &logs];
    let sets: Vec<String> = (setup.options.set.iter())
        .filter(|(key, _)| key.starts_with("forward."))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    sets.iter().for_each(|set| arguments.extend(["--set", set]));
    run(endpoint.path(), &arguments).assert(1, "in use by another process");

    let dir = endpoint.kill();
    let clone = tempfile::tempdir().unwrap();
    fs::create_dir(clone.path().join("logs")).unwrap();
    for entry in fs::read_dir(dir.path().join("logs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        fs::copy(&path, clone.path().join("logs").join(name)).unwrap();
    }
    let first = setup.restart(dir, port);
    let second = Endpoint::start_in(clone, &setup.options.clone().set("server.listen", &beside));
    setup.nats.start(0);
    setup.nats.ready(0);
    setup.accept(&first, [5]);
    setup.accept(&second, [6]);
    setup.assert_each_once(0..7).await;
    let repeats = || {
        let of = |endpoint| counted(endpoint, "delivered_total", ",result=\"duplicate\"");
        of(&first) + of(&second)
    };
    eventually("both have sent all", || (repeats() == 5.0).then_some(()));
    setup.assert_each_once(0..7).await;
}

/// The price of `ack = "journal"`: a backlog is lost with the machine that has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_lost_takes_along_what_was_not_forwarded() {
    let Some(mut setup) = Setup::new("journal") else {
        return;
    };
    let endpoint = Endpoint::start(&setup.options);
    let port = endpoint.address.port();
    setup.accept(&endpoint, 0..5);
    setup.assert_each_once(0..5).await;
    setup.nats.kill(0);
    setup.accept(&endpoint, 5..12);
    drop(endpoint.kill());
    setup.nats.start(0);
    setup.nats.ready(0);
    let endpoint = setup.restart(tempfile::tempdir().unwrap(), port);
    setup.accept(&endpoint, 12..15);
    setup.assert_each_once((0..5).chain(12..15)).await;
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_ack_forward_a_damaged_cursor_refuses_pushes_until_it_is_mended() {
    let Some(setup) = Setup::new("forward") else {
        return;
    };
    let endpoint = Endpoint::start(&setup.options);
    let port = endpoint.address.port();
    eventually("a 201", || {
        (setup.push_to(&endpoint, 0) == 201).then_some(())
    });
    let file = cursor(&endpoint, "orders");
    let (_printed, dir) = endpoint.stop();
    let before = fs::read(&file).unwrap();
    fs::write(&file, &before[..before.len() / 2]).unwrap();

    let endpoint = setup.restart(dir, port);
    endpoint.assert_tells("is no cursor: it is torn, or somebody changed it");
    assert_eq!(setup.push_to(&endpoint, 1), 503);
    eventually("the refusal is logged", || {
        endpoint
            .endpoint_log()
            .contains("forward_unavailable")
            .then_some(())
    });
    let (status, parts) = ready(&endpoint);
    assert_eq!(
        (status, &parts["forward.orders"]["ended"]),
        (200, &true.into())
    );
    assert_eq!(counted(&endpoint, "ended", ""), 1.0);
    let (object, text) = printed(&setup, &endpoint);
    let condition = &object["condition"];
    assert_eq!(
        (
            &condition["present"],
            &condition["state"],
            &condition["reason"]
        ),
        (&true.into(), &"not_started".into(), &"cursor_broken".into()),
        "{object}"
    );
    assert!(
        text.contains("\n  now: nothing is forwarded until the next start: "),
        "{text}"
    );
    assert_eq!(setup.stored(STREAM).await.len(), 1);

    let (_printed, dir) = endpoint.stop();
    fs::write(&file, before).unwrap();
    let endpoint = setup.restart(dir, port);
    eventually("a 201", || {
        (setup.push_to(&endpoint, 1) == 201).then_some(())
    });
    setup.assert_each_once(0..2).await;
    assert_not_shown(&setup, &endpoint);
    endpoint.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cursor_of_a_removed_destination_warns_and_keeps_no_files() {
    let Some(mut setup) = Setup::new("journal") else {
        return;
    };
    setup.options = rotating(setup.options.clone());
    setup.nats.kill(0);
    let endpoint = Endpoint::start(&setup.options);
    let port = endpoint.address.port();
    setup.accept(&endpoint, 0..20);
    let old = rotated(&endpoint);
    assert!(old.len() > 2, "{old:?}");
    age(&old[..old.len() - 1]);
    let file = cursor(&endpoint, "orders");
    let (_printed, dir) = endpoint.stop();
    assert!(old[0].exists());

    setup.options = without_tables(&setup.options);
    let endpoint = setup.restart(dir, port);
    endpoint.assert_tells("Nothing is forwarded to a destination that has a cursor");
    eventually("nobody needs the old ones", || {
        (!old[0].exists()).then_some(())
    });
    assert!(file.exists(), "it is left for whoever restores the table");
    endpoint.stop();
}
