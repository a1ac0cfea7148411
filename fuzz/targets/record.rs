//! Values of a peer in both logs, which forge nothing and turn back into themselves; and any bytes
//! as a log.
#![no_main]

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use mns_endpoint::fuzzing;
use mns_endpoint::journal::{
    AccessField, AccessLine, Format, Found, Level, Log, Place, Record, RecordOrigin, RecordRequest,
    Records, SUCCEED, Stamp, Stamps, accepted, escaped, unescape, verify,
};

fuzz_target!(|bytes: &[u8]| {
    check_escape(bytes);
    for format in [Format::Text, Format::Json] {
        check_records(bytes, format);
        check_access_line(bytes, format);
    }
    for log in [Log::Endpoint, Log::Access] {
        check_log(log, bytes);
    }
});

fn check_escape(value: &[u8]) {
    let text = escaped(value);
    assert_eq!(unescape(text.as_bytes()), value);
    assert!(
        text.split('\n')
            .skip(1)
            .all(|line| line.starts_with("    "))
    );
    assert!(
        text.chars()
            .all(|character| !character.is_control() || character == '\n')
    );
    assert!(!text.contains(is_obeyed));
}

/// What a viewer obeys instead of showing it: separators of lines, and marks that reorder one.
fn is_obeyed(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// The two records of a push whose every value is one that a peer chose.
fn check_records(value: &[u8], format: Format) {
    let stamp = stamp();
    let (half, rest) = value.split_at(value.len() / 2);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("user-agent", rest),
        ("x-mns-message-tag", half),
        ("x-mns-topic-name", value),
    ] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let request = RecordRequest {
        headers: &headers,
        origin: Some(RecordOrigin {
            peer: "192.0.2.1:5",
            target: value,
            request_id: Some(half),
        }),
        body: Some(value),
    };
    let attributes: [(&str, &[u8]); 6] = [
        ("TopicOwner", half),
        ("MessageTag", half),
        ("SubscriptionName", rest),
        ("MessageId", b"1"),
        ("Message", value),
        ("TopicName", value),
    ];
    let first = Record {
        stamp: &stamp,
        level: Level::Info,
        place: Place::Request,
        title: None,
        attributes: &[],
        request: Some(request),
    };
    let second = Record {
        place: Place::Succeed,
        title: Some(SUCCEED),
        attributes: &attributes,
        request: None,
        ..first.clone()
    };
    let mut file = Vec::new();
    first.write(&mut file, format);
    let first_bytes = file.len();
    second.write(&mut file, format);
    assert!(!String::from_utf8_lossy(&file).contains(is_obeyed));

    let (whole, torn) = split(Log::Endpoint, &file);
    assert_eq!((whole.len(), torn.len()), (2, 0));
    assert_eq!(whole[0].len(), first_bytes);
    assert_eq!(accepted(&whole[0]), None);
    assert_eq!(
        accepted(&whole[1]).unwrap().parts(),
        [half, value, rest, b"1"]
    );
    let verdict = verify(Log::Endpoint, &file[..]).unwrap();
    assert_eq!(verdict.problems, []);
    assert_eq!(
        (verdict.records, verdict.accepted, verdict.without_outcome),
        (2, 1, 0)
    );

    // A crash cuts anywhere; what was whole before the cut stays.
    let cut = value.iter().fold(value.len(), |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
    });
    let cut = cut % (file.len() + 1);
    let kept = [file.len(), first_bytes, 0]
        .into_iter()
        .find(|end| *end <= cut);
    assert_eq!(fuzzing::whole_end(Log::Endpoint, &file[..cut]), kept);
}

fn check_access_line(value: &[u8], format: Format) {
    let (half, rest) = value.split_at(value.len() / 2);
    let line = AccessLine {
        stamp: &stamp(),
        method: half,
        status: 201,
        target: value,
        version: "HTTP/1.1",
        content_length: Some(rest),
        host: None,
        user_agent: Some(rest),
        request_id: None,
        mns_version: None,
        peer: Some("192.0.2.1:5".parse().unwrap()),
        duration: Some(Duration::from_millis(5)),
        reason: None,
        message_id: Some(half),
    };
    let mut file = Vec::new();
    let extra = [
        AccessField::Peer,
        AccessField::DurationMs,
        AccessField::Reason,
        AccessField::MessageId,
    ];
    line.write(&mut file, format, &extra);
    assert_eq!(
        file.iter().position(|byte| *byte == b'\n'),
        Some(file.len() - 1)
    );
    assert!(!String::from_utf8_lossy(&file).contains(is_obeyed));
    let verdict = verify(Log::Access, &file[..]).unwrap();
    assert_eq!(verdict.problems, []);
    assert_eq!((verdict.records, verdict.accepted), (1, 1));
}

/// Reading loses nothing, and what a start keeps of a file is whole.
fn check_log(log: Log, file: &[u8]) {
    let (pieces, torn) = split(log, file);
    assert_eq!([pieces.concat(), torn.clone()].concat(), file);
    for record in &pieces {
        let _ = accepted(record);
    }
    let mut verdict = verify(log, file).unwrap();
    assert_eq!(
        (verdict.records, verdict.len),
        (pieces.len() as u64, file.len() as u64)
    );
    assert_eq!(verdict.torn_bytes, torn.len() as u64);
    // An outcome and a record that are each in order may still lack what belongs to them.
    assert!(verdict.problems_count <= 2 * verdict.records);
    verdict.finish();
    assert!(torn.is_empty() || verdict.problems_count > 0);

    let end = fuzzing::whole_end(log, file).unwrap();
    let kept = &file[..end];
    assert_eq!(fuzzing::whole_end(log, kept), Some(end));
    assert_eq!(split(log, kept).1, b"");
}

/// The records of a file and what is between them, and its torn end.
fn split(log: Log, file: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut records = Records::new(log, file);
    let mut whole = Vec::new();
    loop {
        match records.read().unwrap() {
            Found::Whole(record) | Found::Damaged(record, _) => whole.push(record.to_vec()),
            Found::Torn(rest) => return (whole, rest.to_vec()),
            Found::End => return (whole, Vec::new()),
        }
    }
}

fn stamp() -> Stamp {
    Stamps::new(TimeZone::UTC).at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_463_476_256))
}
