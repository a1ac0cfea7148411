//! A journal on a real disk, and a scripted destination.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::time::{sleep, timeout};

use crate::clock::SystemClock;
use crate::disk::{Disk, RealDisk};
use crate::forward::answers::Answers;
use crate::forward::cursor::Counts;
use crate::forward::forwarder::{Forwarder, Gateway};
use crate::forward::gate::Gate;
use crate::forward::source::Source;
use crate::forward::{
    Ack, Body, Create, Dedupe, Delivered, Destination, Failure, Login, NatsOptions, Outgoing,
    Reason, Settings, Sink, StartAt, TlsOptions, WhenFull,
};
use crate::journal::{
    self, AcceptedRows, Entry, FileOptions, Journal, LogFiles, LoggedNotification, Names,
    Numbering, RecordTime, SyncMode,
};

pub(in crate::forward) const PORT: u16 = 80;

/// What a sink does with a notification.
#[derive(Debug, Clone, Copy)]
pub(in crate::forward) enum Act {
    Store,
    /// Stores it, and answers late.
    StoreLate(Duration),
    /// Stores it, and its answer is lost.
    Lose,
    /// Stores it twice, like a destination that does not drop repeats.
    Double,
    Fail(Reason),
    Refuse,
    Poison,
    Down,
    Gone,
}

type Acts = Box<dyn FnMut(&Outgoing) -> Act + Send>;

/// The notifications that a scripted destination has stored, and what it does next. It outlives the
/// process that forwards.
pub(in crate::forward) struct Fake {
    /// How often each message was stored, by its id.
    pub(in crate::forward) stored: Mutex<BTreeMap<String, usize>>,
    /// The sequence numbers, in the order of arrival.
    pub(in crate::forward) order: Mutex<Vec<u64>>,
    act: Mutex<Acts>,
    pub(in crate::forward) sends: AtomicU64,
    pub(in crate::forward) is_closed: AtomicBool,
}

#[derive(Clone)]
pub(in crate::forward) struct FakeSink(pub(in crate::forward) Arc<Fake>);

impl FakeSink {
    pub(in crate::forward) fn new(act: impl FnMut(&Outgoing) -> Act + Send + 'static) -> Self {
        Self(Arc::new(Fake {
            stored: Mutex::default(),
            order: Mutex::default(),
            act: Mutex::new(Box::new(act)),
            sends: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        }))
    }
}

impl Fake {
    pub(in crate::forward) fn does(&self, act: impl FnMut(&Outgoing) -> Act + Send + 'static) {
        *self.act.lock().unwrap() = Box::new(act);
    }

    pub(in crate::forward) fn store(&self, outgoing: &Outgoing) -> Delivered {
        self.order.lock().unwrap().push(outgoing.sequence);
        let mut stored = self.stored.lock().unwrap();
        let count = stored.entry(id(outgoing)).or_default();
        *count += 1;
        if *count == 1 {
            Delivered::stored()
        } else {
            Delivered::duplicate()
        }
    }

    pub(in crate::forward) fn ids(&self) -> BTreeSet<String> {
        self.stored.lock().unwrap().keys().cloned().collect()
    }
}

pub(in crate::forward) fn id(outgoing: &Outgoing) -> String {
    String::from_utf8(outgoing.notification.key.parts()[3].to_vec()).unwrap()
}

impl Sink for FakeSink {
    async fn send(&self, outgoing: &Outgoing) -> Result<Delivered, Failure> {
        let fake = &self.0;
        fake.sends.fetch_add(1, Ordering::Relaxed);
        let act = fake.act.lock().unwrap()(outgoing);
        let detail = "the fake says so".to_owned();
        let retry = |reason| Failure::Retry {
            reason,
            after: None,
            detail: "the fake says so".to_owned(),
        };
        match act {
            Act::Store => Ok(fake.store(outgoing)),
            Act::StoreLate(span) => {
                let delivered = fake.store(outgoing);
                sleep(span).await;
                Ok(delivered)
            }
            Act::Lose => {
                fake.store(outgoing);
                Err(retry(Reason::AckTimeout))
            }
            Act::Double => {
                let _again = fake.store(outgoing);
                Ok(fake.store(outgoing))
            }
            Act::Fail(reason) => Err(retry(reason)),
            Act::Refuse => Err(Failure::Refused {
                reason: Reason::Refused,
                after: None,
                detail,
            }),
            Act::Poison => Err(Failure::Poison {
                reason: Reason::TooLarge,
                detail,
            }),
            Act::Down => Err(Failure::Down {
                reason: Reason::Forbidden,
                detail,
            }),
            Act::Gone => Err(Failure::Gone { detail }),
        }
    }

    fn is_connected(&self) -> bool {
        true
    }

    async fn close(&self) {
        self.0.is_closed.store(true, Ordering::Relaxed);
    }
}

/// A journal with its directory.
pub(in crate::forward) struct Log {
    pub(in crate::forward) dir: tempfile::TempDir,
    pub(in crate::forward) journal: Journal,
    disk: Arc<dyn Disk>,
}

impl Log {
    pub(in crate::forward) fn new(settings: journal::Settings) -> Self {
        Self::at(tempfile::tempdir().unwrap(), settings)
    }

    pub(in crate::forward) fn at(dir: tempfile::TempDir, settings: journal::Settings) -> Self {
        let options = FileOptions {
            dir: dir.path().to_owned(),
            port: PORT,
            mode: 0o640,
        };
        let files = LogFiles::open(options).unwrap();
        let (journal, _) = Journal::start(files, settings, None).unwrap();
        Self {
            dir,
            journal,
            disk: Arc::new(RealDisk),
        }
    }

    pub(in crate::forward) fn names(&self) -> Names {
        Names {
            dir: self.dir.path().to_owned(),
            port: PORT,
        }
    }

    pub(in crate::forward) fn source(&self) -> Source {
        Source {
            disk: self.disk.clone(),
            names: self.names(),
            numbering: Numbering::Ascending,
            mode: 0o640,
            mark: self.journal.high_water_mark(),
            tail: self.journal.tail(),
            zone: TimeZone::UTC,
            clock: Arc::new(SystemClock),
        }
    }

    pub(in crate::forward) async fn accept(&self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            let mut entry = entry(record("Succeed", "orders", &format!("M{id}")));
            // Those that are not described are read from the file.
            if id % 4 != 0 {
                describe(&mut entry, "orders", &format!("M{id}"));
            }
            self.journal.append(entry).await.unwrap();
        }
    }

    pub(in crate::forward) async fn write(&self, record: String) {
        self.journal.append(entry(record)).await.unwrap();
    }

    pub(in crate::forward) fn start(&self, settings: Settings, sink: &FakeSink) -> Forwarder {
        Forwarder::start(&self.source(), settings, sink.clone(), self.gateway(None)).unwrap()
    }

    pub(in crate::forward) fn gateway(&self, answers: Option<Arc<Answers>>) -> Gateway {
        Gateway {
            gate: Arc::new(Gate::new(tokio::time::Instant::now().into_std())),
            hold: self.journal.hold(),
            answers,
        }
    }

    pub(in crate::forward) fn counts(&self, settings: &Settings) -> Counts {
        let loaded = self.source().cursor(settings).load();
        loaded.unwrap().unwrap_or_default().counts
    }

    /// Kills a forwarder, and waits until none of its jobs writes any more.
    pub(in crate::forward) async fn kill(&self, forwarder: Forwarder) {
        forwarder.kill().await;
        until("no step of the killed one writes", || {
            // The jobs of the killed forwarder run to their end on other threads, each with a clone
            // of the disk.
            Arc::strong_count(&self.disk) == 1
        })
        .await;
    }
}

pub(in crate::forward) fn unsynced() -> journal::Settings {
    journal::Settings {
        sync: SyncMode::Os,
        ..journal::Settings::default()
    }
}

fn entry(record: String) -> Entry {
    Entry {
        endpoint: record.into_bytes(),
        access: b"a\n".to_vec(),
        ..Entry::default()
    }
}

fn describe(entry: &mut Entry, topic: &str, id: &str) {
    let attributes = attributes(topic, id).map(|(name, value)| {
        // As a reader of the record has it: a line that is continued begins with four blanks.
        (name, value.replace("\n    ", "\n"))
    });
    let attributes = attributes.each_ref();
    let attributes = attributes.map(|(name, value)| (*name, value.as_bytes()));
    let time = RecordTime::of_text("2026-11-24 10:00:00").unwrap();
    let logged = LoggedNotification::copied(&attributes, None, time).unwrap();
    entry.accepted = AcceptedRows::one(entry.endpoint.len(), logged);
}

fn attributes<'a>(topic: &'a str, id: &'a str) -> [(&'a str, &'a str); 6] {
    [
        ("TopicOwner", "1"),
        ("PublishTime", "1463476256857"),
        ("SubscriptionName", "s"),
        ("MessageId", id),
        ("Message", "I am a test message.\n    Of two lines."),
        ("TopicName", topic),
    ]
}

pub(in crate::forward) fn record(title: &str, topic: &str, id: &str) -> String {
    let attributes = attributes(topic, id);
    let lines = attributes.map(|(name, value)| format!("{name:<30}: {value}\n"));
    let head = "[2026-11-24 10:00:00] [root] [INFO] [receive.rs:2] [1]";
    format!("{head} Notify Message {title}!\n{}\n", lines.concat())
}

pub(in crate::forward) fn settings() -> Settings {
    Settings {
        name: "orders".to_owned(),
        ack: Ack::Journal,
        start: StartAt::Now,
        topics: Vec::new(),
        in_flight: 16,
        in_flight_bytes: 1 << 20,
        max_backlog_bytes: None,
        max_backlog_age: None,
        when_full: WhenFull::Refuse,
        give_up: None,
        dead_letters_bytes_max: 1 << 20,
        body: Body::Message,
        destination: Destination::Nats(NatsOptions {
            servers: vec!["nats://127.0.0.1:4222".to_owned()],
            stream: "MNS".to_owned(),
            create: Create::Off,
            subject: crate::forward::SubjectTemplate::parse("mns").unwrap(),
            dedupe: Dedupe::Window,
            shards: 1,
            login: Login::None,
            tls: TlsOptions::default(),
            ack_timeout: Duration::from_secs(5),
            monitors: Vec::new(),
        }),
    }
}

pub(in crate::forward) fn all(ids: impl IntoIterator<Item = u64>) -> BTreeSet<String> {
    ids.into_iter().map(|id| format!("M{id}")).collect()
}

/// Waits until a condition holds that another task brings about. Polls, because files and counters
/// cannot be awaited.
pub(in crate::forward) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = timeout(Duration::from_secs(60), async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(waited.await.is_ok(), "it never was so that {what}");
}

/// Small numbers from a seed.
pub(in crate::forward) fn dice(mut seed: u64) -> impl FnMut(u64) -> u64 + Send {
    move |sides| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % sides
    }
}
