//! What a forwarder takes from memory is what it would read from the files.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};
use jiff::tz::TimeZone;
use proptest::prelude::*;

use crate::forward::reader::{ReadRow, Reader};
use crate::forward::source::Source;
use crate::forward::tests::support::{Log, settings, unsynced};
use crate::forward::{Ack, Outgoing, Settings};
use crate::journal::{
    self, AcceptedRows, Entry, Format, Level, LogTail, LoggedNotification, Place, Position, Record,
    RecordRequest, RecordTime, SUCCEED, Stamps, Start,
};

const AWAITED: Ack = Ack::Forward {
    timeout: Duration::from_secs(2),
};

/// What happens to the log, or to the reader under test.
#[derive(Debug, Clone)]
enum Step {
    Accept(Push),
    Refuse,
    /// The reader reads all there is.
    Read,
}

/// An accepted push.
#[derive(Debug, Clone)]
struct Push {
    id: u8,
    tag: Vec<u8>,
    message: Vec<u8>,
    request_id: Option<String>,
    format: Format,
    is_described: bool,
}

fn pushes() -> impl Strategy<Value = Push> {
    let bytes = |max| proptest::collection::vec(any::<u8>(), 0..max);
    let format = prop_oneof![Just(Format::Text), Just(Format::Json)];
    let request_id = proptest::option::of("[ -~]{0,30}");
    let parts = (0..8_u8, bytes(20), bytes(3000), request_id, format);
    (parts, proptest::bool::weighted(0.9)).prop_map(
        |((id, tag, message, request_id, format), is_described)| Push {
            id,
            tag,
            message,
            // As a header arrives: without blanks around it.
            request_id: request_id.map(|id| id.trim().to_owned()),
            format,
            is_described,
        },
    )
}

fn last() -> Push {
    Push {
        id: 9,
        tag: b"t".to_vec(),
        message: b"m".to_vec(),
        request_id: Some("R".to_owned()),
        format: Format::Text,
        is_described: true,
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => pushes().prop_map(Step::Accept),
        1 => Just(Step::Refuse),
        2 => Just(Step::Read),
    ];
    proptest::collection::vec(step, 1..60)
}

/// An entry as `serve` makes it.
fn entry(log: &Log, push: &Push) -> Entry {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_463_476_256_857);
    let stamp = Stamps::new(TimeZone::get("Asia/Shanghai").unwrap()).at(time);
    let mut entry = Entry {
        access: b"a\n".to_vec(),
        ..Entry::default()
    };
    let mut headers = HeaderMap::new();
    if let Some(id) = &push.request_id {
        headers.insert("x-mns-request-id", HeaderValue::from_str(id).unwrap());
        let request = RecordRequest {
            headers: &headers,
            origin: None,
            body: Some(b"<Notification/>"),
        };
        let record = Record {
            stamp: &stamp,
            level: Level::Info,
            place: Place::Request,
            title: None,
            attributes: &[],
            request: Some(request),
        };
        record.write(&mut entry.endpoint, push.format);
    }
    let id = format!("M{}", push.id);
    let attributes: [(&str, &[u8]); 9] = [
        ("TopicOwner", b"1"),
        ("TopicName", b"orders"),
        ("Subscriber", b"2"),
        ("SubscriptionName", b"s"),
        ("MessageId", id.as_bytes()),
        ("Message", &push.message),
        ("MessageMD5", b"075C3D4AEB2D2F2D6A4C17C9D6DBBEBB"),
        ("MessageTag", &push.tag),
        ("PublishTime", b"1463476256857"),
    ];
    let record = Record {
        stamp: &stamp,
        level: Level::Info,
        place: Place::Succeed,
        title: Some(SUCCEED),
        attributes: &attributes,
        request: None,
    };
    let head = record.write(&mut entry.endpoint, push.format);
    let identity: [&[u8]; 4] = [b"1", b"orders", b"s", id.as_bytes()];
    entry.identity = log.journal.identify(identity, head);
    if push.is_described {
        let request_id = push.request_id.as_ref().map(String::as_bytes);
        let time = RecordTime::of(&stamp, push.format);
        let logged = LoggedNotification::copied(&attributes, request_id, time).unwrap();
        entry.accepted = AcceptedRows::one(entry.endpoint.len(), logged);
    }
    entry
}

fn refusal() -> Entry {
    Entry {
        endpoint: b"[2026-11-24 10:00:00] [root] [WARNING] [receive.rs:3] [1] Access Forbidden!\n\
            Reason                        : signature_mismatch\n\n"
            .to_vec(),
        access: b"a\n".to_vec(),
        ..Entry::default()
    }
}

type Sent = (Position, u64, Outgoing);

fn sent(rows: impl IntoIterator<Item = ReadRow>) -> Vec<Sent> {
    let of = |row: ReadRow| row.outgoing.map(|outgoing| (row.end, row.bytes, outgoing));
    rows.into_iter().filter_map(of).collect()
}

/// A reader, and how many rows it has taken from memory.
struct Tested(Reader, usize);

impl Tested {
    fn new(source: &Source, ack: Ack) -> Self {
        let settings = Settings { ack, ..settings() };
        Self(Reader::new(source, Start::Oldest, settings), 0)
    }

    /// Reads all there is, from memory where that is possible.
    fn read(&mut self) -> Vec<Sent> {
        let mut found = Vec::new();
        loop {
            let remembered = self.0.take();
            let is_remembered = remembered.is_some();
            let chunk = remembered.unwrap_or_else(|| self.0.read().unwrap());
            assert!(chunk.gaps.is_empty() && chunk.damaged.is_empty());
            let (is_at_end, rows) = (chunk.is_at_end, sent(chunk.rows));
            self.1 += if is_remembered { rows.len() } else { 0 };
            found.extend(rows);
            if is_at_end {
                return found;
            }
        }
    }
}

async fn run(steps: Vec<Step>, rotate_bytes: Option<u64>, ack: Ack) -> usize {
    let log = Log::new(journal::Settings {
        rotate_bytes,
        ..unsynced()
    });
    let source = log.source();
    let mut tested = Tested::new(&source, ack);
    let mut found = Vec::new();
    for step in steps {
        match step {
            Step::Accept(push) => {
                log.journal.append(entry(&log, &push)).await.unwrap();
            }
            Step::Refuse => log.journal.offer(refusal()),
            Step::Read => found.extend(tested.read()),
        }
    }
    // The refusals before it are written too, once this one is.
    log.journal.append(entry(&log, &last())).await.unwrap();
    found.extend(tested.read());
    let files_only = Source {
        tail: Arc::<LogTail>::default(),
        ..source
    };
    let mut reader = Tested::new(&files_only, ack);
    let expected = reader.read();
    assert_eq!(reader.1, 0);
    assert_eq!(found, expected);
    tested.1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn memory_and_files_say_the_same(
        steps in steps(),
        rotate_bytes in proptest::option::of(4_000..40_000_u64),
        is_awaited in any::<bool>(),
    ) {
        // A destination that no push waits for gets no duplicates.
        let ack = if is_awaited { AWAITED } else { Ack::Journal };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(run(steps, rotate_bytes, ack));
    }
}

#[tokio::test]
async fn a_reader_that_keeps_up_reads_no_file() {
    let push = last();
    let one = [Step::Accept(push.clone()), Step::Read];
    let steps = one.into_iter().cycle().take(20).collect();
    // The first one is read, because the reader does not know what precedes its position.
    assert_eq!(run(steps, None, AWAITED).await, 10);
    let not_described = Push {
        is_described: false,
        ..push
    };
    let one = [Step::Accept(not_described), Step::Read];
    let steps = one.into_iter().cycle().take(20).collect();
    // All but the one that `run` adds.
    assert_eq!(run(steps, None, AWAITED).await, 1);
}
