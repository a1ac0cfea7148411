//! Splits the bytes of a log into rows: the record of a request with its outcome, or a single
//! record.

use memchr::memchr_iter;

use crate::journal::Log;
use crate::journal::read::records::{Found, Records, title};
use crate::journal::record::{DUPLICATE, SUCCEED};

/// Precedes the event in a JSON record. No byte before the event comes from a peer.
const JSON_EVENT: &[u8] = b",\"event\":\"";
/// How many bytes at the beginning of a JSON record are searched for the event.
const JSON_EVENT_WITHIN: usize = 256;

/// The bytes of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub start: usize,
    /// The offset of the row's last record: the outcome, or the only record.
    pub last: usize,
    pub end: usize,
}

/// What follows the bytes to split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Possibly the rest of the same record, or the outcome of its request.
    Unknown,
    /// The beginning of another row, or the end of the log.
    Other,
}

/// Bytes split into rows.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Split {
    pub spans: Vec<Span>,
    /// The end of what could be split. The bytes after it must be read again together with the
    /// bytes that follow them.
    pub end: usize,
    /// The number of bytes before `end` that belong to no record.
    pub damaged: usize,
}

/// Which part of a row a record can be: the request, the outcome, or neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Request,
    Outcome,
    Neither,
}

/// Splits bytes that begin where a record begins.
///
/// If it is unknown what follows the bytes, damage in the last line is not reported yet. An
/// unfinished line may look like damage with a record in its middle: for example a JSON line with a
/// header named "time".
pub(super) fn split(bytes: &[u8], next: Next) -> Split {
    let bytes = match next {
        Next::Unknown => whole_lines(bytes),
        Next::Other => bytes,
    };
    let mut records = Records::new(Log::Endpoint, bytes);
    let mut split = Split::default();
    let mut request = None;
    let mut at = 0_usize;
    // Reading from memory cannot fail.
    while let Ok(found) = records.read() {
        let (length, half) = match found {
            Found::Whole(record) => (record.len(), Some(half(record))),
            Found::Damaged(record, _)
                if next == Next::Unknown && is_last_line(bytes, at, record.len()) =>
            {
                break;
            }
            Found::Damaged(record, _) => (record.len(), None),
            // No more bytes follow, so the record will never be complete.
            Found::Torn(record) if next == Next::Other => (record.len(), None),
            Found::Torn(_) | Found::End => break,
        };
        let end = at.saturating_add(length);
        if half != Some(Half::Outcome) {
            split.alone(&mut request, at);
        }
        match half {
            Some(Half::Request) => request = Some(at),
            Some(Half::Outcome | Half::Neither) => split.spans.push(Span {
                start: request.take().unwrap_or(at),
                last: at,
                end,
            }),
            None => split.damaged = split.damaged.saturating_add(length),
        }
        at = end;
    }
    if next == Next::Other {
        split.alone(&mut request, at);
    }
    split.end = request.unwrap_or(at);
    split
}

impl Split {
    /// Adds a request whose outcome is missing, because of a crash or a failed write.
    fn alone(&mut self, request: &mut Option<usize>, end: usize) {
        self.spans.extend(request.take().map(|start| Span {
            start,
            last: start,
            end,
        }));
    }
}

fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = memchr::memrchr(b'\n', bytes).map_or(0, |place| place.saturating_add(1));
    bytes.get(..end).unwrap_or_default()
}

/// Whether damage ends in the middle of the last line. Only the next line, which is not there yet,
/// shows whether a record begins at the end of the damage.
fn is_last_line(bytes: &[u8], at: usize, length: usize) -> bool {
    let end = at.saturating_add(length);
    let is_in_line = end.checked_sub(1).and_then(|last| bytes.get(last)) != Some(&b'\n');
    let rest = bytes.get(end..).unwrap_or_default();
    is_in_line
        && memchr::memchr(b'\n', rest).is_none_or(|place| place.saturating_add(1) == rest.len())
}

/// The offsets at which a record certainly begins, whatever precedes it: in text, a line begins
/// with a bracket only where a record begins, and in JSON every line is a record. If `is_begin`,
/// the bytes are the beginning of a file, and offset 0 counts in any case.
pub(super) fn boundaries(bytes: &[u8], is_begin: bool) -> Vec<usize> {
    let begins = |place: usize| matches!(bytes.get(place), Some(b'[' | b'{'));
    let first = (is_begin && !bytes.is_empty()).then_some(0);
    let further = memchr_iter(b'\n', bytes)
        .map(|place| place.saturating_add(1))
        .filter(|place| begins(*place));
    first.into_iter().chain(further).collect()
}

/// The first record of bytes that begin with one.
pub(super) fn first_record(bytes: &[u8]) -> &[u8] {
    let next = boundaries(bytes, true).get(1).copied();
    next.and_then(|end| bytes.get(..end)).unwrap_or(bytes)
}

/// The last offset of [`boundaries`].
pub(super) fn last_boundary(bytes: &[u8]) -> Option<usize> {
    memchr::memrchr_iter(b'\n', bytes)
        .map(|place| place.saturating_add(1))
        .find(|place| matches!(bytes.get(*place), Some(b'[' | b'{')))
}

/// The first offset in a block, except 0, at which a row certainly begins: where a record begins
/// that is not the outcome of the request before it.
pub(super) fn row_begin(bytes: &[u8]) -> Option<usize> {
    let places = boundaries(bytes, false);
    places.windows(2).find_map(|pair| {
        let &[before, place] = pair else { return None };
        let is_of_the_request_before =
            is_outcome(bytes.get(place..)?) && ends_with_request(bytes.get(before..place)?);
        (!is_of_the_request_before).then_some(place)
    })
}

/// Whether the last record in these bytes is a request whose outcome may follow. The bytes must
/// begin with a record.
fn ends_with_request(bytes: &[u8]) -> bool {
    let last = split(bytes, Next::Other).spans.last().copied();
    last.filter(|last| last.end == bytes.len())
        .and_then(|last| bytes.get(last.last..last.end))
        .is_some_and(|record| half(record) == Half::Request)
}

/// Whether a record is the outcome of the request before it.
fn is_outcome(record: &[u8]) -> bool {
    half(record) == Half::Outcome
}

fn half(record: &[u8]) -> Half {
    if record.starts_with(b"{") {
        return json_half(record);
    }
    let first = record.split(|byte| *byte == b'\n').next();
    let title = first
        .and_then(|line| std::str::from_utf8(line).ok())
        .and_then(title)
        .unwrap_or_default();
    match title {
        SUCCEED | DUPLICATE => Half::Outcome,
        request if request.starts_with("Headers:") => Half::Request,
        _ => Half::Neither,
    }
}

fn json_half(record: &[u8]) -> Half {
    let head = record.get(..JSON_EVENT_WITHIN).unwrap_or(record);
    let event = memchr::memmem::find(head, JSON_EVENT)
        .and_then(|place| record.get(place.saturating_add(JSON_EVENT.len())..));
    let is = |name: &str| {
        event.is_some_and(|event| {
            event
                .strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.starts_with(b"\""))
        })
    };
    if is(SUCCEED) || is(DUPLICATE) {
        Half::Outcome
    } else if is("Request") {
        Half::Request
    } else {
        Half::Neither
    }
}
