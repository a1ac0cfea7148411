//! NATS as a destination, with real servers: what follows from each answer, from a lost connection,
//! from wrong credentials and from a missing stream.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use bytes::Bytes;
use mns_endpoint::forward::{
    Ack, Body, Create, Dedupe, Delivered, Destination, Failure, Login, NatsOptions, NatsSink,
    NewStream, Outgoing, Reason, Settings, Sink as _, StartAt, SubjectTemplate, TlsOptions, Weight,
    WhenFull, examine,
};
use mns_endpoint::journal::{LoggedNotification, NotificationKey};

use crate::support::{Identity, Nats, NatsSetup, finish};

/// The deadline of a step. Only a failing test reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two checks of a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
pub const STREAM: &str = "MNS";

pub type Sent = Result<Delivered, Failure>;

pub fn options(servers: Vec<String>) -> NatsOptions {
    NatsOptions {
        servers,
        stream: STREAM.to_owned(),
        create: Create::Missing(new_stream()),
        subject: template("mns.{owner}.{topic}.{tag}"),
        dedupe: Dedupe::Window,
        shards: 1,
        login: Login::None,
        tls: TlsOptions::default(),
        ack_timeout: Duration::from_secs(5),
        monitors: Vec::new(),
    }
}

pub fn template(text: &str) -> SubjectTemplate {
    SubjectTemplate::parse(text).unwrap()
}

pub fn new_stream() -> NewStream {
    NewStream {
        replicas: 1,
        max_age: Some(Duration::from_secs(3600)),
        max_bytes: None,
        duplicate_window: Duration::from_secs(600),
    }
}

pub fn start(options: &NatsOptions) -> NatsSink {
    let settings = Settings {
        name: "orders".to_owned(),
        ack: Ack::Journal,
        start: StartAt::Now,
        topics: Vec::new(),
        in_flight: 512,
        in_flight_bytes: 1 << 24,
        max_backlog_bytes: None,
        max_backlog_age: None,
        when_full: WhenFull::Refuse,
        give_up: None,
        dead_letters_bytes_max: 1 << 26,
        body: Body::Message,
        destination: Destination::Nats(options.clone()),
    };
    NatsSink::start(&settings, options, "host:8080")
}

pub fn message(id: &str, text: &str) -> Outgoing {
    let notification = LoggedNotification {
        key: NotificationKey::of([b"1269128356620446", b"T", b"S", id.as_bytes()]),
        message: Bytes::copy_from_slice(text.as_bytes()),
        message_md5: b"075C3D4AEB2D2F2D6A4C17C9D6DBBEBB"[..].into(),
        message_tag: b"a.b"[..].into(),
        publish_time: b"1463476256857"[..].into(),
        subscriber: b"1269128356620446"[..].into(),
        request_id: None,
        time: None,
    };
    Outgoing {
        notification: Arc::new(notification),
        received: None,
        position: "1-2-3".parse().unwrap(),
        sequence: 1,
        again: None,
    }
}

/// Sends repeatedly until the outcome is as expected.
#[track_caller]
pub fn until(
    sink: &NatsSink,
    outgoing: &Outgoing,
    expected: impl Fn(&Sent) -> bool,
) -> impl Future<Output = Sent> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let sent = sink.send(outgoing).await;
            if expected(&sent) {
                return sent;
            }
            assert!(Instant::now() < deadline, "{caller}: still {sent:?}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

pub fn is_stored(sent: &Sent) -> bool {
    sent.as_ref()
        .is_ok_and(|delivered| !delivered.is_duplicate())
}

pub fn is_down(reason: Reason) -> impl Fn(&Sent) -> bool {
    move |sent| matches!(sent, Err(Failure::Down { reason: found, .. }) if *found == reason)
}

/// A failure of the notification itself, and not of the destination.
fn is_poison(sent: &Sent) -> bool {
    matches!(
        sent,
        Err(Failure::Poison {
            reason: Reason::TooLarge,
            ..
        })
    )
}

fn detail(sent: &Sent) -> &str {
    sent.as_ref()
        .map_or_else(Failure::detail, |_delivered| "delivered")
}

pub async fn admin(nats: &Nats) -> jetstream::Context {
    let client = ConnectOptions::new().connect(nats.urls()).await.unwrap();
    jetstream::new(client)
}

/// A client that may do everything, if other users may not.
async fn admin_as(nats: &Nats, user: &str, password: &str) -> jetstream::Context {
    let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
    jetstream::new(options.connect(nats.urls()).await.unwrap())
}

async fn messages(context: &jetstream::Context) -> u64 {
    let mut stream = context.get_stream(STREAM).await.unwrap();
    stream.info().await.unwrap().state.messages
}

fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config {
        name: STREAM.to_owned(),
        subjects: vec!["mns.>".to_owned()],
        discard: DiscardPolicy::New,
        ..Config::default()
    };
    change(&mut config);
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_made_and_has_each_notification_once() {
    let Some(nats) = Nats::one(&NatsSetup::default()) else {
        return;
    };
    let sink = start(&options(nats.urls()));
    let first = message("M1", "I am test message 0.");
    until(&sink, &first, is_stored).await.unwrap();
    assert!(sink.is_connected());
    assert!(sink.send(&first).await.unwrap().is_duplicate());
    let second = message("M2", "");
    assert!(!sink.send(&second).await.unwrap().is_duplicate());

    let context = admin(&nats).await;
    let mut stream = context.get_stream(STREAM).await.unwrap();
    let info = stream.info().await.unwrap();
    assert_eq!(info.state.messages, 2);
    assert_eq!(info.config.subjects, ["mns.*.*.*"]);
    assert_eq!(info.config.discard, DiscardPolicy::New);
    assert_eq!(info.config.duplicate_window, Duration::from_secs(600));
    assert_eq!(info.config.max_age, Duration::from_secs(3600));
    let stored = stream.get_raw_message(1).await.unwrap();
    assert_eq!(stored.subject.as_str(), "mns.1269128356620446.T.a%2Eb");
    assert_eq!(stored.payload, "I am test message 0.");
    let header = |name: &str| stored.headers.get(name).unwrap().as_str().to_owned();
    assert_eq!(header("Nats-Msg-Id"), "1269128356620446/T/S/M1");
    assert_eq!(header("Mns-Message-Tag"), "a.b");
    assert_eq!(header("Mns-Endpoint"), "host:8080");
    assert_eq!(stream.get_raw_message(2).await.unwrap().payload, "");

    sink.close().await;
    assert!(!sink.is_connected());
    assert!(is_down(Reason::Disconnected)(&sink.send(&first).await));
}

/// The first copy of the message has no id, so the duplicate window does not drop the second one.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_subject_is_taken_is_delivered_only_if_it_is_stored() {
    let Some(nats) = Nats::one(&NatsSetup::default()) else {
        return;
    };
    let by_subject = NatsOptions {
        dedupe: Dedupe::Subject,
        subject: template("mns.{topic}.{id}"),
        ..options(nats.urls())
    };
    let sink = start(&by_subject);
    until(&sink, &message("M1", "m"), is_stored).await.unwrap();
    let context = admin(&nats).await;
    let mut stream = context.get_stream(STREAM).await.unwrap();
    let made = stream.info().await.unwrap().config.clone();
    assert!(made.discard_new_per_subject);
    assert_eq!(made.max_messages_per_subject, 1);

    let subject = "mns.T.1269128356620446/T/S/M2";
    let publish = context.publish(subject, "m".into()).await.unwrap();
    publish.await.unwrap();
    assert!(sink.send(&message("M2", "m")).await.unwrap().is_duplicate());
    assert_eq!(messages(&context).await, 2);

    // A full stream: the error has the same code, but the message is not stored.
    let full = Config {
        max_messages: 2,
        ..made
    };
    context.update_stream(&full).await.unwrap();
    let sent = sink.send(&message("M3", "m")).await;
    assert!(is_down(Reason::DestinationFull)(&sent), "{sent:?}");
    assert!(sink.send(&message("M2", "m")).await.unwrap().is_duplicate());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_is_awaited_unless_it_may_be_made() {
    let Some(nats) = Nats::one(&NatsSetup::default()) else {
        return;
    };
    let sink = start(&NatsOptions {
        create: Create::Off,
        ..options(nats.urls())
    });
    let first = message("M1", "m");
    let sent = until(&sink, &first, is_down(Reason::StreamMissing)).await;
    assert!(
        detail(&sent).starts_with("there is no stream MNS"),
        "{sent:?}"
    );

    // The stream has other subjects, and another stream has ours.
    let context = admin(&nats).await;
    let elsewhere = config(|config| config.subjects = vec!["orders.>".to_owned()]);
    context.create_stream(elsewhere).await.unwrap();
    let not_covered =
        |sent: &Sent| is_down(Reason::StreamMissing)(sent) && detail(sent).contains("orders.>");
    until(&sink, &first, not_covered).await.unwrap_err();
    let other = config(|config| config.name = "OTHER".to_owned());
    context.create_stream(other).await.unwrap();
    let taken = |sent: &Sent| detail(sent).contains("expected stream does not match");
    until(&sink, &first, taken).await.unwrap_err();

    context.delete_stream("OTHER").await.unwrap();
    context
        .update_stream(&config(|_as_it_is| {}))
        .await
        .unwrap();
    until(&sink, &first, is_stored).await.unwrap();
    assert_eq!(messages(&context).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_is_awaited() {
    let Some(nats) = Nats::one(&NatsSetup::default()) else {
        return;
    };
    let context = admin(&nats).await;
    context
        .create_stream(config(|config| config.max_messages = 1))
        .await
        .unwrap();
    let sink = start(&options(nats.urls()));
    until(&sink, &message("M1", "m"), is_stored).await.unwrap();
    let second = message("M2", "m");
    let sent = sink.send(&second).await;
    assert!(is_down(Reason::DestinationFull)(&sent), "{sent:?}");
    context
        .update_stream(&config(|config| config.max_messages = 2))
        .await
        .unwrap();
    assert!(is_stored(&sink.send(&second).await));
    assert_eq!(messages(&context).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_says_nothing_of_others() {
    let setup = NatsSetup {
        lines: "max_payload: 4096".to_owned(),
        ..NatsSetup::default()
    };
    let Some(nats) = Nats::one(&setup) else {
        return;
    };
    let context = admin(&nats).await;
    context
        .create_stream(config(|config| config.max_message_size = 2048))
        .await
        .unwrap();
    let sink = start(&options(nats.urls()));
    until(&sink, &message("M1", "m"), is_stored).await.unwrap();
    // The first message is larger than the server accepts, which the client checks; the second is
    // larger than the stream accepts.
    assert!(is_poison(
        &sink.send(&message("M2", &"m".repeat(4096))).await
    ));
    assert!(is_poison(
        &sink.send(&message("M3", &"m".repeat(2048))).await
    ));
    assert!(is_stored(
        &sink.send(&message("M4", &"m".repeat(1024))).await
    ));
    assert_eq!(messages(&context).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_shown_and_the_file_is_read_again() {
    let setup = NatsSetup {
        lines: "authorization { user: forwarder, password: right }".to_owned(),
        ..NatsSetup::default()
    };
    let Some(nats) = Nats::one(&setup) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let password_file = dir.path().join("password");
    let sink = start(&NatsOptions {
        login: Login::User {
            user: "forwarder".to_owned(),
            password_file: password_file.clone(),
        },
        ..options(nats.urls())
    });
    let first = message("M1", "m");
    let sent = until(&sink, &first, is_down(Reason::Forbidden)).await;
    assert!(detail(&sent).contains("password: No such file"), "{sent:?}");
    std::fs::write(&password_file, "wrong\n").unwrap();
    let refused = |sent: &Sent| detail(sent).contains("authorization violation");
    let sent = until(&sink, &first, refused).await;
    assert!(is_down(Reason::Forbidden)(&sent), "{sent:?}");
    std::fs::write(&password_file, "right\n").unwrap();
    until(&sink, &first, is_stored).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_read_from_its_file() {
    let setup = NatsSetup {
        lines: "authorization { token: \"s3cret\" }".to_owned(),
        ..NatsSetup::default()
    };
    let Some(nats) = Nats::one(&setup) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "s3cret").unwrap();
    let sink = start(&NatsOptions {
        login: Login::Token(file),
        ..options(nats.urls())
    });
    until(&sink, &message("M1", "m"), is_stored).await.unwrap();
}

const ADMIN: &str = "{ user: admin, password: all }";

fn users(forwarder: &str) -> String {
    format!(
        "authorization {{ users: [ {ADMIN},\n{{ user: forwarder, password: right, permissions: \
         {{ {forwarder} }} }} ] }}"
    )
}

fn forwarder(nats: &Nats, dir: &Path) -> NatsSink {
    let password_file = dir.join("password");
    std::fs::write(&password_file, "right").unwrap();
    start(&NatsOptions {
        login: Login::User {
            user: "forwarder".to_owned(),
            password_file,
        },
        // The timeout is longer than this test may take, so that only the error itself can show a
        // violation.
        ack_timeout: Duration::from_secs(300),
        ..options(nats.urls())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_violation_is_shown_before_an_acknowledgement_is_late() {
    let publish =
        |subjects: &str| users(&format!("publish: [{subjects}], subscribe: \"_INBOX.>\""));
    let setup = NatsSetup {
        lines: publish("\"orders.>\", \"$JS.API.>\""),
        ..NatsSetup::default()
    };
    let Some(mut nats) = Nats::one(&setup) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let sink = forwarder(&nats, dir.path());
    let first = message("M1", "m");
    let sent = until(&sink, &first, is_down(Reason::Forbidden)).await;
    let said = "Permissions Violation for Publish to \"mns.1269128356620446.T.a%2Eb\"";
    assert_eq!(detail(&sent), said);
    // The user may publish but not ask for the stream, so it can neither create one nor find out
    // more.
    nats.reload(&publish("\"mns.>\""));
    let unknown = |sent: &Sent| detail(sent).contains("$JS.API.STREAM.INFO.MNS");
    let sent = until(&sink, &first, unknown).await;
    assert_eq!(sent.unwrap_err().reason(), Reason::NoResponders);
    let context = admin_as(&nats, "admin", "all").await;
    context.create_stream(config(|_usual| {})).await.unwrap();
    until(&sink, &first, is_stored).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_gets_no_answers_is_told_so() {
    let setup = NatsSetup {
        lines: users("publish: \">\", subscribe: \"orders.>\""),
        ..NatsSetup::default()
    };
    let Some(mut nats) = Nats::one(&setup) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let sink = forwarder(&nats, dir.path());
    let first = message("M1", "m");
    let sent = until(&sink, &first, is_down(Reason::Forbidden)).await;
    assert!(
        detail(&sent).starts_with("Permissions Violation for Subscription"),
        "{sent:?}"
    );
    nats.reload(&users("publish: \">\", subscribe: \"_INBOX.>\""));
    until(&sink, &first, is_stored).await.unwrap();
}

fn tls_lines(dir: &Path, more: &str) -> String {
    let (certificate, key) = (dir.join("server.pem"), dir.join("server.key"));
    format!("tls {{ cert_file: {certificate:?}, key_file: {key:?}{more} }}")
}

fn over_tls(nats: &Nats, tls: TlsOptions) -> NatsSink {
    start(&NatsOptions {
        tls,
        ..options(vec![format!("tls://localhost:{}", nats.port(0))])
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_authority_that_is_named_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Identity::new();
    server.write(dir.path());
    let setup = NatsSetup {
        lines: tls_lines(dir.path(), ""),
        ..NatsSetup::default()
    };
    let Some(nats) = Nats::one(&setup) else {
        return;
    };
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, Identity::new().certificate_pem).unwrap();
    let sink = over_tls(
        &nats,
        TlsOptions {
            ca: Some(ca.clone()),
            identity: None,
        },
    );
    let first = message("M1", "m");
    let sent = until(&sink, &first, is_down(Reason::Forbidden)).await;
    assert!(
        detail(&sent).contains("the certificate of tls://localhost:"),
        "{sent:?}"
    );
    // The client reads the file for each connection.
    std::fs::write(&ca, server.certificate_pem).unwrap();
    until(&sink, &first, is_stored).await.unwrap();
    let unnamed = over_tls(&nats, TlsOptions::default());
    until(&unnamed, &first, is_down(Reason::Forbidden))
        .await
        .unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_that_has_expired_is_replaced_by_a_good_one() {
    let dir = tempfile::tempdir().unwrap();
    let server = Identity::new();
    server.write(dir.path());
    let at = |name: &str| dir.path().join(name);
    let client = |not_after: i32| {
        let mut params = rcgen::CertificateParams::new(["forwarder".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(not_after, 1, 1);
        Identity::of(&params)
    };
    let (expired, good) = (client(2021), client(2090));
    let write = |identity: &Identity| {
        std::fs::write(at("client.pem"), &identity.certificate_pem).unwrap();
        std::fs::write(at("client.key"), &identity.key_pem).unwrap();
    };
    write(&expired);
    let both = format!("{}{}", expired.certificate_pem, good.certificate_pem);
    std::fs::write(at("clients.pem"), both).unwrap();
    std::fs::write(at("ca.pem"), server.certificate_pem).unwrap();
    let setup = NatsSetup {
        lines: tls_lines(
            dir.path(),
            &format!(", ca_file: {:?}, verify: true", at("clients.pem")),
        ),
        ..NatsSetup::default()
    };
    let Some(nats) = Nats::one(&setup) else {
        return;
    };
    let sink = over_tls(
        &nats,
        TlsOptions {
            ca: Some(at("ca.pem")),
            identity: Some((at("client.pem"), at("client.key"))),
        },
    );
    let first = message("M1", "m");
    let sent = until(&sink, &first, is_down(Reason::Forbidden)).await;
    assert!(detail(&sent).contains("refused the handshake"), "{sent:?}");
    write(&good);
    until(&sink, &first, is_stored).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_queued_while_the_server_is_away() {
    let Some(mut nats) = Nats::one(&NatsSetup::default()) else {
        return;
    };
    let sink = start(&options(nats.urls()));
    until(&sink, &message("M1", "m"), is_stored).await.unwrap();
    nats.kill(0);
    let lost = message("M2", "m");
    until(&sink, &lost, is_down(Reason::Disconnected))
        .await
        .unwrap_err();
    for _ in 0..1000 {
        let sent = sink.send(&lost).await;
        assert!(is_down(Reason::Disconnected)(&sent), "{sent:?}");
    }
    nats.start(0);
    until(&sink, &message("M3", "m"), |sent| sent.is_ok())
        .await
        .unwrap();
    // What failed during the outage was not queued: only M1 and M3 are stored.
    assert_eq!(messages(&admin(&nats).await).await, 2);
    assert!(is_stored(&sink.send(&lost).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_given_up_and_what_was_in_flight_is_not_sent_by_itself() {
    let Some(nats) = Nats::one(&NatsSetup::default()) else {
        return;
    };
    let sink = start(&NatsOptions {
        ack_timeout: Duration::from_secs(300),
        ..options(nats.urls())
    });
    let first = message("M1", "m");
    until(&sink, &first, is_stored).await.unwrap();
    nats.pause(0);
    // The pings notice long before the acknowledgement times out.
    let sent = sink.send(&message("M2", "m")).await;
    assert!(is_down(Reason::Disconnected)(&sent), "{sent:?}");
    nats.resume(0);
    until(&sink, &first, |sent| sent.is_ok()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_weakens_the_promise_is_found_by_asking_the_servers() {
    let synced = NatsSetup {
        is_synced: true,
        ..NatsSetup::default()
    };
    for setup in [NatsSetup::default(), synced] {
        let Some(nats) = Nats::one(&setup) else {
            return;
        };
        let context = admin(&nats).await;
        let nobody = "nats://127.0.0.1:1".to_owned();
        let options = NatsOptions {
            monitors: vec![nats.monitor_url(0)],
            ..options([nats.urls(), vec![nobody]].concat())
        };
        let seen = examine(&options, Duration::ZERO).await;
        let has = |weight: Weight, text: &str| {
            let is_there = seen.iter().any(|it| matches_observation(it, weight, text));
            assert!(is_there, "{text}: {seen:?}");
        };
        has(Weight::Error, "nats://127.0.0.1:1: IO error");
        has(Weight::Note, "has version 2.");
        has(
            Weight::Note,
            "there is no stream MNS: the first message makes it",
        );
        match setup.is_synced {
            true => has(Weight::Note, "syncs each message before it acknowledges it"),
            false => has(Weight::Warning, "not on its disk yet"),
        }
        context.create_stream(config(|_usual| {})).await.unwrap();
        let seen = examine(&options, Duration::ZERO).await;
        let is_alone = |it| matches_observation(it, Weight::Warning, "MNS has 1 of 3 copies");
        assert!(seen.iter().any(is_alone), "{seen:?}");
    }
}

fn matches_observation(
    seen: &mns_endpoint::forward::Observation,
    weight: Weight,
    text: &str,
) -> bool {
    seen.weight == weight && seen.text.contains(text)
}

/// The path of a built example, which is beside the folder of this test. `cargo test` builds
/// examples before it runs tests, but `cargo test --test it` does not.
fn built_example(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let example = own.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(
        example.exists(),
        "first: cargo build --locked --example {name}"
    );
    example
}

/// The consumers of `examples/consume`, one after the other on one stream.
#[tokio::test(flavor = "multi_thread")]
async fn the_consumers_of_a_stream_get_each_notification() {
    let Some(nats) = Nats::one(&NatsSetup::default()) else {
        return;
    };
    let sink = start(&options(nats.urls()));
    for id in ["M1", "M2", "M3"] {
        until(&sink, &message(id, &format!("{id}!")), Result::is_ok)
            .await
            .unwrap();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut python = Command::new(target.join("nats/bin/python"));
    python.arg(root.join("examples/consume/consume.py"));
    let rust = Command::new(built_example("consume"));
    for (name, mut consumer) in [("python", python), ("rust", rust)] {
        consumer.args([&nats.urls()[0], STREAM, name, "3"]);
        let ended = tokio::task::spawn_blocking(move || finish(&mut consumer, b""));
        let ended = ended.await.unwrap();
        ended.assert(0, "");
        let lines: Vec<&str> = ended.stdout.lines().collect();
        let expected = ["M1", "M2", "M3"].map(|id| format!("1269128356620446/T/S/{id} {id}!"));
        assert_eq!(lines, expected, "{name}");
        let info = nats.json(0, "/jsz?consumers=true&streams=true");
        let stream = &info["account_details"][0]["stream_detail"][0];
        let consumers = stream["consumer_detail"].as_array().unwrap();
        let of_name = consumers.iter().find(|it| it["name"] == name).unwrap();
        assert_eq!(of_name["ack_floor"]["stream_seq"], 3, "{name}: {of_name}");
    }
}
