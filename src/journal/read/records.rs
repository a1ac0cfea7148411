//! Reads a log record by record, and continues after damage.

use std::io::{self, BufRead};

use serde::de::IgnoredAny;

use crate::journal::Log;
use crate::journal::record::NAME_WIDTH;

/// How a record begins; `0` matches any digit and `a` any letter. `JSON_HEAD` never occurs within a
/// JSON string, because its quotes would be escaped there.
const TEXT_HEAD: &[u8] = b"[0000-00-00 00:00:00] [";
const LINE_HEAD: &[u8] = b"[00/aaa/0000 00:00:00]\"";
const JSON_HEAD: &[u8] = b"{\"time\":\"";
/// The beginnings of unindented lines in a record, besides names of attributes.
const PARTS: [&[u8]; 5] = [
    b"Headers:",
    b"Peer: ",
    b"Target: ",
    b"RequestId: ",
    b"Body:",
];

/// The records of one file, in order.
pub struct Records<R> {
    input: R,
    log: Log,
    record: Vec<u8>,
    /// The beginning of a record that was found in the middle of a line, up to the end of that
    /// line.
    rest: Vec<u8>,
}

/// The next part of a file. All parts, concatenated, are the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A record of the endpoint log or a line of the access log, including its end.
    Whole(&'a [u8]),
    /// Bytes that are not a record. Reading continues after them.
    Damaged(&'a [u8], Damage),
    /// The file ends within a record.
    Torn(&'a [u8]),
    /// The end of the file.
    End,
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub enum Damage {
    /// A control character, such as NUL.
    #[strum(to_string = "it has control characters, which no record has")]
    Control,
    /// A byte that is not valid UTF-8.
    #[strum(to_string = "it is not UTF-8")]
    NotText,
    /// The end of the record is missing.
    #[strum(
        to_string = "its end is missing: another record begins within it, or its line ends too \
            early"
    )]
    NoEnd,
}

impl<R: BufRead> Records<R> {
    /// Reads from the current position of `input`, which must be the beginning of a record.
    pub fn new(log: Log, input: R) -> Self {
        Self {
            input,
            log,
            record: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// Reads the next record, or the damage in its place.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self) -> io::Result<Found<'_>> {
        self.record.clear();
        loop {
            // In a text log only the beginning of a record has a bracket at the start of a line.
            if !self.record.is_empty() && matches!(self.peek()?, Some(b'[' | b'{')) {
                return Ok(self.damaged());
            }
            let start = self.record.len();
            self.read_line()?;
            if let Some(begin) = self.begins_within(start)
                && self.is_followed_like_a_record(begin)?
            {
                self.rest = self.record.split_off(begin);
                return Ok(self.damaged());
            }
            let line = self.record.get(start..).unwrap_or_default();
            if !line.ends_with(b"\n") {
                // `read_until` returns a line without its end only at the end of the file.
                return Ok(if self.record.is_empty() {
                    Found::End
                } else {
                    Found::Torn(&self.record)
                });
            }
            // In the access log and in JSON every line is a record. In text an empty line ends a
            // record.
            let is_json = self.record.starts_with(b"{");
            if is_json && !self.record.ends_with(b"}\n") {
                return Ok(self.damaged());
            }
            if is_json || self.log == Log::Access || line == b"\n" {
                let damage = damage(&self.record);
                return Ok(damage.map_or(Found::Whole(&self.record), |damage| {
                    Found::Damaged(&self.record, damage)
                }));
            }
        }
    }

    /// Reads the next complete record, and skips damage. Returns `None` at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next_whole(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            match self.read()? {
                Found::Whole(_) => break,
                Found::Damaged(..) => {}
                Found::Torn(_) | Found::End => return Ok(None),
            }
        }
        Ok(Some(&self.record))
    }

    fn damaged(&self) -> Found<'_> {
        Found::Damaged(&self.record, damage(&self.record).unwrap_or(Damage::NoEnd))
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.input.fill_buf() {
                // Unlike `read_until`, `fill_buf` does not retry an interrupted read.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                filled => return Ok(filled?.first().copied()),
            }
        }
    }

    fn read_line(&mut self) -> io::Result<()> {
        if self.rest.is_empty() {
            self.input.read_until(b'\n', &mut self.record)?;
        } else {
            self.record.append(&mut self.rest);
        }
        Ok(())
    }

    /// Whether the bytes after the last line can follow a record that begins at `begin`.
    ///
    /// In JSON a record is one line, and the next record follows it. A peer's text that looks like
    /// such a line is followed by the rest of its own record: an indented line, another attribute,
    /// or an empty line.
    fn is_followed_like_a_record(&mut self, begin: usize) -> io::Result<bool> {
        Ok(self.record.get(begin) != Some(&b'{')
            || matches!(self.peek()?, None | Some(b'[' | b'{')))
    }

    /// The offset at which a record begins in the middle of the line at `start`, because the end of
    /// the previous record is damaged.
    ///
    /// A peer's text may look like the beginning of a record. So a beginning counts only where
    /// there cannot be a peer's text. That is directly after a control character, or in a line that
    /// is certainly damaged: it cannot belong to a record or is not valid JSON.
    fn begins_within(&self, start: usize) -> Option<usize> {
        let line = self.record.get(start..).unwrap_or_default();
        let head = match self.log {
            Log::Endpoint => TEXT_HEAD,
            Log::Access => LINE_HEAD,
        };
        let is_head = |place: usize| {
            line.get(place..)
                .is_some_and(|rest| is_like(rest, head) || rest.starts_with(JSON_HEAD))
        };
        let before = |place: usize, is_it: fn(&u8) -> bool| {
            // At place 0 the index wraps around, and `get` returns `None`.
            line.get(place.wrapping_sub(1)).is_some_and(is_it)
        };
        if line.starts_with(b"{") {
            // Unescaped quotes distinguish the beginning of a JSON record from a message that looks
            // like one. A text record has no such mark.
            let json = find(line, 1, |place| {
                line.get(place..)
                    .is_some_and(|rest| rest.starts_with(JSON_HEAD))
            });
            let behind_end = |place: usize| {
                before(place, is_control) || before(place.wrapping_sub(1), |it| *it == b'}')
            };
            let begin =
                json.or_else(|| find(line, 1, |place| behind_end(place) && is_head(place)))?;
            // If the line is valid JSON, what was found is not the beginning of a record but a
            // member, such as a header named "time".
            return serde_json::from_slice::<IgnoredAny>(line)
                .is_err()
                .then_some(begin);
        }
        let is_odd = match self.log {
            Log::Endpoint if start > 0 => !is_line_of_a_record(line),
            Log::Endpoint | Log::Access => !line.starts_with(b"["),
        };
        let begin = if is_odd {
            find(line, 1, is_head)
        } else {
            if !has_control(line) {
                return None;
            }
            let first_control = line.iter().position(is_control)?;
            find(line, first_control.saturating_add(1), |place| {
                before(place, is_control) && is_head(place)
            })
        };
        begin.map(|begin| start.saturating_add(begin))
    }
}

/// The first offset in a line, from `from` on, that satisfies a condition.
fn find(line: &[u8], from: usize, is_it: impl Fn(usize) -> bool) -> Option<usize> {
    (from..line.len()).find(|place| is_it(*place))
}

fn is_like(text: &[u8], pattern: &[u8]) -> bool {
    let is_alike = |(byte, wanted): (&u8, &u8)| match wanted {
        b'0' => byte.is_ascii_digit(),
        b'a' => byte.is_ascii_alphabetic(),
        wanted => byte == wanted,
    };
    text.len() >= pattern.len() && text.iter().zip(pattern).all(is_alike)
}

/// Whether a line may follow the first line of a text record.
pub(super) fn is_line_of_a_record(line: &[u8]) -> bool {
    let is_attribute = || {
        let name = split_attribute(line).map_or(&[][..], |(name, _)| name);
        !name.is_empty() && name.iter().all(u8::is_ascii_alphanumeric)
    };
    line == b"\n"
        || line.starts_with(b"    ")
        || PARTS.iter().any(|part| line.starts_with(part))
        || is_attribute()
}

fn is_control(byte: &u8) -> bool {
    (*byte < b' ' && *byte != b'\n') || *byte == 0x7f
}

/// Checks every byte. That takes a fraction of the time of a search that stops early, because the
/// compiled code checks 32 bytes at once.
fn has_control(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .fold(false, |found, byte| found | is_control(byte))
}

fn damage(record: &[u8]) -> Option<Damage> {
    if has_control(record) {
        return Some(Damage::Control);
    }
    std::str::from_utf8(record)
        .is_err()
        .then_some(Damage::NotText)
}

/// The text after the five bracketed fields of a record's first line. In the record of a request, a
/// peer chose most of this text, so only its beginning is reliable.
pub(super) fn title(first: &str) -> Option<&str> {
    first.splitn(6, "] ").nth(5)
}

pub(super) fn split_attribute(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = line.split_at_checked(NAME_WIDTH)?;
    Some((name.trim_ascii_end(), rest.strip_prefix(b": ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(log: Log, text: &[u8]) -> Vec<(bool, Vec<u8>)> {
        let mut records = Records::new(log, text);
        let mut found = Vec::new();
        loop {
            match records.read().unwrap() {
                Found::Whole(record) => found.push((true, record.to_vec())),
                Found::Torn(record) | Found::Damaged(record, _) => {
                    found.push((false, record.to_vec()))
                }
                Found::End => return found,
            }
        }
    }

    #[test]
    fn records_of_both_formats_are_distinguished_from_a_torn_end() {
        let found = all(
            Log::Endpoint,
            b"[a]\nx\n\n{\"b\":1}\n{\"c\":2}\n[d]\n\n[e]\ny\n",
        );
        let whole: Vec<&[u8]> = vec![b"[a]\nx\n\n", b"{\"b\":1}\n", b"{\"c\":2}\n", b"[d]\n\n"];
        assert_eq!(
            found[..4]
                .iter()
                .map(|(_, text)| text.as_slice())
                .collect::<Vec<_>>(),
            whole
        );
        assert_eq!(found[4..], [(false, b"[e]\ny\n".to_vec())]);
        assert_eq!(
            all(Log::Access, b"a\nb"),
            [(true, b"a\n".to_vec()), (false, b"b".to_vec())]
        );
        assert_eq!(all(Log::Access, b""), []);
    }
}
