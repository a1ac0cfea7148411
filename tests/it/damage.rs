//! Random damage to the logs: no record outside of it is lost, and damage to the structure is
//! found.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};
use jiff::tz::TimeZone;
use mns_endpoint::journal::{
    AccessLine, Entry, Format, Found, Journal, Level, Log, Place, Record, RecordOrigin,
    RecordRequest, Records, SUCCEED, Settings, Stamps, accepted, verify,
};
use proptest::prelude::*;

use crate::support::FaultyDisk;

#[derive(Debug, Clone)]
enum Damage {
    /// One bit of a byte, at this position in per mille.
    Flip(usize, u8),
    /// One bit in the end of a record or line, by its number.
    FlipEnd(usize, usize, u8),
    /// This many bytes become NUL.
    Nul(usize, usize),
    /// The file is truncated at this position in per mille.
    Cut(usize),
    /// Something is appended.
    Junk(Vec<u8>),
    /// A complete record is removed.
    Lose(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        3 => (0_usize..1000, 0_u8..8).prop_map(|(place, bit)| Damage::Flip(place, bit)),
        3 => (0_usize..100, 0_usize..2, 0_u8..8)
            .prop_map(|(record, back, bit)| Damage::FlipEnd(record, back, bit)),
        3 => (0_usize..1000, 1_usize..600).prop_map(|(place, len)| Damage::Nul(place, len)),
        1 => (0_usize..1000).prop_map(Damage::Cut),
        1 => proptest::collection::vec(any::<u8>(), 1..40).prop_map(Damage::Junk),
        1 => (0_usize..100).prop_map(Damage::Lose),
    ]
}

/// Texts that a peer may choose, with what looks like a record.
const HOSTILE: [&str; 5] = [
    "plain",
    "two\n\nlines \u{4e2d}\u{6587}",
    concat!(
        "[2016-05-17 17:10:56] [root] [INFO] [receive.rs:2] [1] Notify Message Succeed!\n",
        "MessageId                     : no",
    ),
    "x\n\n[2016-05-17 17:10:56] [root] [INFO] [receive.rs:2] [1] Notify Message Succeed!\n\n",
    "{\"time\":\"2016-05-17T17:10:56Z\",\"event\":\"Notify Message Succeed!\",\
     \"MessageId\":\"no\"}",
];

/// The entry of an accepted push.
fn entry(number: usize, format: Format) -> Entry {
    let stamp =
        Stamps::new(TimeZone::UTC).at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_463_476_256));
    let text = HOSTILE[number % HOSTILE.len()];
    let id = format!("{number:016X}");
    let mut headers = HeaderMap::new();
    headers.insert(
        "time",
        HeaderValue::from_static("[17/May/2016 17:10:56]\"POST\""),
    );
    headers.insert("x-mns-message-id", HeaderValue::from_str(&id).unwrap());
    let request = RecordRequest {
        headers: &headers,
        origin: Some(RecordOrigin {
            peer: "192.0.2.1:5",
            target: text.as_bytes(),
            request_id: Some(text.as_bytes()),
        }),
        body: Some(text.as_bytes()),
    };
    let attributes: [(&str, &[u8]); 5] = [
        ("TopicOwner", b"1"),
        ("TopicName", b"t"),
        ("SubscriptionName", b"s"),
        ("MessageId", id.as_bytes()),
        ("Message", text.as_bytes()),
    ];
    let (level, place, title) = (Level::Info, Place::Request, None);
    let first = Record {
        stamp: &stamp,
        level,
        place,
        title,
        attributes: &[],
        request: Some(request),
    };
    let (place, title) = (Place::Succeed, Some(SUCCEED));
    let second = Record {
        stamp: &stamp,
        level,
        place,
        title,
        attributes: &attributes,
        request: None,
    };
    let mut entry = Entry::default();
    first.write(&mut entry.endpoint, format);
    second.write(&mut entry.endpoint, format);
    let line = AccessLine {
        stamp: &stamp,
        method: b"POST",
        status: 201,
        target: b"/notifications",
        version: "HTTP/1.1",
        content_length: Some(b"5"),
        host: Some(b"x[17/May/2016 17:10:56]"),
        user_agent: Some(text.as_bytes()),
        request_id: Some(id.as_bytes()),
        mns_version: None,
        peer: Some("192.0.2.1:5".parse().unwrap()),
        duration: Some(Duration::ZERO),
        reason: None,
        message_id: None,
    };
    line.write(&mut entry.access, format, &[]);
    entry
}

/// A log and the positions of its records.
#[derive(Clone)]
struct File {
    log: Log,
    bytes: Vec<u8>,
    records: Vec<Range<usize>>,
}

impl File {
    /// The format of the log changes once, as at a restart with another `logs.format`.
    fn write(log: Log, formats: [Format; 2], pushes: usize) -> Self {
        let mut file = Self {
            log,
            bytes: Vec::new(),
            records: Vec::new(),
        };
        for number in 0..pushes {
            let entry = entry(number, formats[usize::from(number > pushes / 2)]);
            file.add(if log == Log::Endpoint {
                &entry.endpoint
            } else {
                &entry.access
            });
        }
        file
    }

    fn add(&mut self, bytes: &[u8]) {
        let mut records = Records::new(self.log, bytes);
        let mut place = self.bytes.len();
        while let Found::Whole(record) = records.read().unwrap() {
            self.records.push(place..place + record.len());
            place += record.len();
        }
        self.bytes.extend_from_slice(bytes);
        assert_eq!(place, self.bytes.len());
    }

    fn place(&self, per_mille: usize) -> usize {
        self.bytes.len() * per_mille / 1000
    }

    /// Damages the file. Returns the records that are not affected, and whether the structure is
    /// damaged, which must be found.
    fn damage(&mut self, damage: &Damage) -> (BTreeSet<Vec<u8>>, bool) {
        let before = self.clone();
        let (touched, is_broken) = match damage {
            Damage::Flip(place, bit) => {
                let place = self.place(*place);
                self.bytes[place] ^= 1 << bit;
                (place..place + 1, self.is_no_text())
            }
            Damage::FlipEnd(record, back, bit) => {
                let end = self.records[record % self.records.len()].end;
                // In JSON and in the access log a record ends with one line end.
                let is_text = before.bytes[..end].ends_with(b"\n\n");
                let place = end - if is_text { 1 + back } else { 1 };
                self.bytes[place] ^= 1 << bit;
                (place..place + 1, true)
            }
            Damage::Nul(place, len) => {
                let place = self.place(*place);
                let end = (place + len).min(self.bytes.len());
                self.bytes[place..end].fill(0);
                (place..end, true)
            }
            Damage::Cut(place) => {
                let place = self.place(*place);
                self.bytes.truncate(place);
                let is_at_an_end =
                    place == 0 || before.records.iter().any(|record| record.end == place);
                let is_between = before.log == Log::Access
                    || before
                        .records
                        .iter()
                        .skip(1)
                        .step_by(2)
                        .any(|record| record.end == place);
                (
                    place..before.bytes.len(),
                    !is_at_an_end || (place > 0 && !is_between),
                )
            }
            Damage::Junk(junk) => {
                self.bytes.extend_from_slice(junk);
                (before.bytes.len()..before.bytes.len(), true)
            }
            Damage::Lose(record) => {
                let record = self.records[record % self.records.len()].clone();
                self.bytes.drain(record.clone());
                (record, before.log == Log::Endpoint)
            }
        };
        let is_whole =
            |record: &&Range<usize>| record.end <= touched.start || record.start >= touched.end;
        let whole = before
            .records
            .iter()
            .filter(is_whole)
            .map(|record| before.bytes[record.clone()].to_vec());
        (whole.collect(), is_broken)
    }

    fn is_no_text(&self) -> bool {
        let text = std::str::from_utf8(&self.bytes);
        text.is_err()
            || text.is_ok_and(|text| {
                text.chars()
                    .any(|character| character.is_control() && character != '\n')
            })
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The records that a reader finds complete.
fn whole(log: Log, text: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut records = Records::new(log, text);
    let mut found = BTreeSet::new();
    while let Some(record) = records.next_whole().unwrap() {
        found.insert(record.to_vec());
    }
    found
}

fn formats() -> impl Strategy<Value = [Format; 2]> {
    let format = || prop_oneof![Just(Format::Text), Just(Format::Json)];
    [format(), format()]
}

fn log() -> impl Strategy<Value = Log> {
    prop_oneof![2 => Just(Log::Endpoint), 1 => Just(Log::Access)]
}

fn put(storage: &FaultyDisk, log: Log, bytes: &[u8]) {
    storage.with(|disk| disk.file(log).live = bytes.to_vec());
}

fn taken(storage: &FaultyDisk, log: Log) -> Vec<u8> {
    storage.with(|disk| disk.file(log).live.clone())
}

#[test]
fn text_of_a_peer_that_looks_like_a_json_record_is_not_one_after_damage() {
    for formats in [[Format::Text; 2], [Format::Text, Format::Json]] {
        let file = File::write(Log::Endpoint, formats, 10);
        let sent: BTreeSet<_> = (0..10)
            .map(|number| format!("{number:016X}").into_bytes())
            .collect();
        let heads = file
            .bytes
            .windows(7)
            .enumerate()
            .filter(|(_, window)| *window == b"{\"time\"");
        for (head, _) in heads.filter(|(head, _)| *head > 0) {
            for len in [1, 2, 40] {
                let mut damaged = file.bytes.clone();
                damaged[head.saturating_sub(len)..head].fill(0);
                for record in whole(Log::Endpoint, &damaged) {
                    let key = accepted(&record);
                    assert!(
                        key.is_none_or(|key| sent.contains(key.parts()[3])),
                        "{}",
                        String::from_utf8_lossy(&record)
                    );
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_a_rotated_file_readers_find_the_rest_and_verify_finds_the_damage(
        log in log(),
        formats in formats(),
        pushes in 3_usize..8,
        damage in damage(),
    ) {
        let mut file = File::write(log, formats, pushes);
        let mut sound = verify(log, &file.bytes[..]).unwrap();
        sound.finish();
        prop_assert_eq!(sound.problems, vec![]);
        let (rest, is_broken) = file.damage(&damage);
        let mut verdict = verify(log, &file.bytes[..]).unwrap();
        verdict.finish();
        prop_assert!(!is_broken || verdict.problems_count > 0, "not found: \
            {}", String::from_utf8_lossy(&file.bytes));
        if log == Log::Endpoint {
            let found = whole(log, &file.bytes);
            for record in &rest {
                prop_assert!(found.contains(record), "not read: \
                    {}", String::from_utf8_lossy(record));
            }
            // Nothing is counted as accepted that was not.
            let key = |number| format!("{number:016X}").into_bytes();
            let sent: BTreeSet<_> = (0..pushes).map(key).collect();
            if !matches!(damage, Damage::Flip(..) | Damage::FlipEnd(..)) {
                for key in found.iter().filter_map(|record| accepted(record)) {
                    prop_assert!(sent.contains(key.parts()[3]), "{key:?}");
                }
            }
        }
    }

    #[test]
    fn at_a_start_nothing_but_the_damaged_record_goes_and_the_next_is_readable(
        log in log(),
        formats in formats(),
        pushes in 1_usize..8,
        damage in damage(),
    ) {
        let mut file = File::write(log, formats, pushes);
        let (rest, _) = file.damage(&damage);
        let storage = FaultyDisk::new();
        put(&storage, log, &file.bytes);
        let (journal, _) = Journal::start(storage.open(), Settings::default(), None).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let next = entry(1000, formats[1]);
        let mut wanted = File { log, bytes: Vec::new(), records: Vec::new() };
        wanted.add(if log == Log::Endpoint { &next.endpoint } else { &next.access });
        runtime.block_on(journal.append(next)).unwrap();
        let left = taken(&storage, log);
        for record in &rest {
            prop_assert!(contains(&left, record), "lost: {}", String::from_utf8_lossy(record));
        }
        let found = whole(log, &left);
        for record in &wanted.records {
            prop_assert!(found.contains(&wanted.bytes[record.clone()]), "runs into: \
                {}", String::from_utf8_lossy(&left));
        }
    }

    #[test]
    fn while_running_nothing_that_was_acknowledged_is_cut_off_and_the_next_is_readable(
        log in log(),
        formats in formats(),
        pushes in 1_usize..8,
        damage in damage(),
        junk in proptest::collection::vec(any::<u8>(), 1..20),
    ) {
        let storage = FaultyDisk::new();
        let (journal, _) = Journal::start(storage.open(), Settings::default(), None).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for number in 0..pushes {
            let format = formats[usize::from(number > pushes / 2)];
            runtime.block_on(journal.append(entry(number, format))).unwrap();
        }
        let mut file = File::write(log, formats, pushes);
        prop_assert_eq!(&taken(&storage, log), &file.bytes);
        let known = file.bytes.len();
        let (rest, _) = file.damage(&damage);
        let damaged = file.bytes.clone();
        file.bytes.extend_from_slice(&junk);
        // A file is only examined again if its length has changed, and the truncated part may be as
        // long as the added one.
        prop_assume!(file.bytes.len() != known);
        put(&storage, log, &file.bytes);
        let next = entry(1000, formats[1]);
        let mut wanted = File { log, bytes: Vec::new(), records: Vec::new() };
        wanted.add(if log == Log::Endpoint { &next.endpoint } else { &next.access });
        runtime.block_on(journal.append(next)).unwrap();
        let left = taken(&storage, log);
        for record in &rest {
            prop_assert!(contains(&left, record), "lost: {}", String::from_utf8_lossy(record));
        }
        if !matches!(damage, Damage::Cut(_) | Damage::Lose(_)) {
            prop_assert!(left.starts_with(&damaged[..known]), "cut below what is durable");
        }
        let found = whole(log, &left);
        for record in &wanted.records {
            prop_assert!(found.contains(&wanted.bytes[record.clone()]), "runs into: \
                {}", String::from_utf8_lossy(&left));
        }
    }
}
