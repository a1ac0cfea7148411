//! Escaping: bytes that a peer chose become text that cannot forge a log.
//!
//! In the endpoint log a value may span several lines. Continuation lines are indented by four
//! blanks, so no line inside a value is empty or begins like a record. Other control characters,
//! characters that a viewer interprets instead of showing ([`is_hidden`]), and invalid UTF-8 become
//! `\xhh`. A backslash becomes `\x5c` only if it would otherwise read as such an escape.
//! [`unescape`] restores the exact bytes. In the access log a value is one quoted field. In JSON,
//! control characters below U+0020 and the characters of [`is_hidden`] have the escapes of JSON,
//! such as `\u2028`.

use std::borrow::Cow;
use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// The line break and the indentation before a continuation line.
pub(in crate::journal) const INDENT: &[u8] = b"\n    ";
/// How many bytes are checked at once.
const CHUNK: usize = 16;

/// Appends a value of the endpoint log.
pub(super) fn escape_into(out: &mut Vec<u8>, value: &[u8]) {
    escape(out, value, Controls::LinesIndented, |_| false);
}

/// Escapes a peer's text for a terminal.
///
/// It is escaped as in the endpoint log, so that it cannot move the cursor or forge a line.
/// Invisible characters are escaped too, so that the reader sees what was sent. The log leaves
/// invisible characters unchanged, because an emoji may contain one.
#[must_use]
pub fn escaped(value: &[u8]) -> String {
    let mut out = Vec::new();
    escape(&mut out, value, Controls::Terminal, |_| false);
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends one quoted field of the access log, quotes included.
pub(super) fn quote_into(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    escape(out, value, Controls::AllEscaped, |byte| {
        (byte == b'"') | (byte == b'\\')
    });
    out.push(b'"');
}

/// A value as a JSON string: escaped by the rule for text logs first, then encoded as JSON.
///
/// Control characters below U+0020 and the characters of [`is_hidden`] are left to the JSON
/// encoding.
pub(super) fn json_string(value: &[u8]) -> serde_json::Value {
    let mut out = Vec::with_capacity(value.len());
    escape(&mut out, value, Controls::LeftToJson, |_| false);
    serde_json::Value::String(String::from_utf8_lossy(&out).into_owned())
}

/// JSON on one line, without characters that a viewer interprets.
///
/// DEL, the control characters above it and the characters that reorder or break a line are written
/// as `\u` and four digits, which every JSON parser decodes. `serde_json` alone escapes only what
/// is below U+0020.
#[must_use]
pub fn json_text(value: &serde_json::Value) -> String {
    let mut out = Vec::new();
    json_text_into(&mut out, value);
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends the [`json_text`] of a value.
pub(super) fn json_text_into(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let written = value.serialize(&mut Serializer::with_formatter(out, Visible));
    // Serialising a value with text keys into memory cannot fail.
    debug_assert!(written.is_ok(), "{written:?}");
}

/// Whether a viewer interprets a character instead of showing it: separators that start a line in
/// some viewers (U+2028, U+2029), and marks, embeddings, overrides and isolates that reorder a line
/// (Unicode Standard Annex 9).
#[must_use]
fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// Whether a character is invisible and takes no width: the format characters of the Unicode
/// Standard, and fillers.
fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{600}'..='\u{605}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200d}'
            | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Formats compact JSON whose strings contain no character that a viewer interprets.
struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let must_escape = |character: char| character.is_control() || is_hidden(character);
        let mut rest = fragment;
        while let Some((start, found)) = rest
            .char_indices()
            .find(|(_, character)| must_escape(*character))
        {
            let (before, after) = rest.split_at_checked(start).unwrap_or((rest, ""));
            // All of these are below U+10000, so one escape is enough.
            write!(writer, "{before}\\u{:04x}", u32::from(found))?;
            rest = after.get(found.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// The bytes that a value of the endpoint log represents.
#[must_use]
pub fn unescape(text: &[u8]) -> Vec<u8> {
    unescape_bytes(&dedent(text))
}

/// Decodes `\xhh` and nothing else: for values of the JSON form and the access log.
#[must_use]
pub fn unescape_bytes(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    let split = |rest: &'_ [u8]| memchr::memchr(b'\\', rest);
    while let Some((before, after)) = split(rest).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(before);
        match (hex_escape(after), after.get(4..)) {
            (Some(byte), Some(after)) => {
                out.push(byte);
                rest = after;
            }
            (Some(_) | None, _) => {
                out.push(b'\\');
                rest = after.get(1..).unwrap_or_default();
            }
        }
    }
    out.extend_from_slice(rest);
    out
}

/// Removes the indentation from all lines but the first. Most values have only one line.
fn dedent(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\n', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, INDENT) {
        let (line, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(line);
        out.push(b'\n');
        rest = after.get(INDENT.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// How control characters are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Controls {
    /// All are escaped.
    AllEscaped,
    /// A line break starts an indented line; all others are escaped.
    LinesIndented,
    /// Those below U+0020, and the characters of [`is_hidden`], stay unchanged.
    LeftToJson,
    /// As with indented lines; invisible characters are escaped too.
    Terminal,
}

/// Escapes a value. Runs of plain ASCII, the usual case, are copied in one step.
fn escape(out: &mut Vec<u8>, value: &[u8], controls: Controls, also: impl Fn(u8) -> bool) {
    // For a byte below a blank the subtraction wraps around, so one comparison checks both ends of
    // the range. No short circuits, so that `run` can be vectorised.
    let is_plain =
        |byte: u8| (byte.wrapping_sub(b' ') <= b'~' - b' ') & (byte != b'\\') & !also(byte);
    let mut rest = value;
    while let Some(first) = rest.first() {
        let length = match first {
            first if is_plain(*first) => run(rest, is_plain),
            // A UTF-8 sequence never crosses the boundary of such a run, so a run can be decoded
            // alone.
            0x80.. => run(rest, |byte| byte >= 0x80),
            _ => 1,
        };
        let (part, next) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        match first {
            first if is_plain(*first) => out.extend_from_slice(part),
            0x80.. => escape_beyond_ascii(out, part, controls),
            b'\n' if matches!(controls, Controls::LinesIndented | Controls::Terminal) => {
                out.extend_from_slice(INDENT)
            }
            0..b' ' if controls == Controls::LeftToJson => out.push(*first),
            b'\\' if !also(b'\\') && !begins_escape(rest) => out.push(*first),
            other => push_hex(out, *other),
        }
        rest = next;
    }
}

/// The length of the longest prefix in which `is_one` holds for every byte.
fn run(bytes: &[u8], is_one: impl Fn(u8) -> bool) -> usize {
    // Without a branch for each byte, so that the compiler vectorises the check of a chunk.
    let (chunks, _) = bytes.as_chunks::<CHUNK>();
    let is_all = |chunk: &[u8; CHUNK]| {
        chunk
            .iter()
            .fold(0, |other, byte| other | u8::from(!is_one(*byte)))
            == 0
    };
    let whole = chunks.iter().take_while(|chunk| is_all(chunk)).count();
    let (whole, rest) = bytes
        .split_at_checked(whole.saturating_mul(CHUNK))
        .unwrap_or((bytes, &[]));
    let further = rest
        .iter()
        .position(|byte| !is_one(*byte))
        .unwrap_or(rest.len());
    whole.len().saturating_add(further)
}

/// Copies valid UTF-8, but escapes control characters and those that a viewer interprets.
fn escape_beyond_ascii(out: &mut Vec<u8>, bytes: &[u8], controls: Controls) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut buffer = [0; 4];
            let encoded = character.encode_utf8(&mut buffer).as_bytes();
            let is_escaped = character.is_control()
                || (controls != Controls::LeftToJson && is_hidden(character))
                || (controls == Controls::Terminal && is_unseen(character));
            if is_escaped {
                encoded.iter().for_each(|byte| push_hex(out, *byte));
            } else {
                out.extend_from_slice(encoded);
            }
        }
        chunk.invalid().iter().for_each(|byte| push_hex(out, *byte));
    }
}

fn begins_escape(bytes: &[u8]) -> bool {
    hex_escape(bytes).is_some()
}

/// The byte of a `\xhh` at the start.
fn hex_escape(bytes: &[u8]) -> Option<u8> {
    let [b'\\', b'x', high, low, ..] = bytes else {
        return None;
    };
    let nibble = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    Some(nibble(*high)? << 4 | nibble(*low)?)
}

fn push_hex(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?');
    out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        escape_into(&mut out, value);
        out
    }

    #[test]
    fn a_terminal_shows_every_character_that_was_sent_and_the_log_keeps_them() {
        for unseen in [
            "\u{ad}",
            "\u{200b}",
            "\u{200d}",
            "\u{2060}",
            "\u{feff}",
            "\u{e0041}",
            "\u{3164}",
        ] {
            let shown = super::escaped(unseen.as_bytes());
            assert!(
                shown.is_ascii() && shown.starts_with("\\x"),
                "{unseen:?}: {shown}"
            );
            assert_eq!(unescape(shown.as_bytes()), unseen.as_bytes());
            assert_eq!(escaped(unseen.as_bytes()), unseen.as_bytes());
        }
        let seen = "王小明 é \u{1f600} שלום";
        assert_eq!(super::escaped(seen.as_bytes()), seen);
        assert_eq!(super::escaped(b"a\nb"), "a\n    b");
    }

    #[test]
    fn values_are_written_as_the_contract_says() {
        for (value, text) in [
            (
                &b"plain \"quoted\" \\ back\\slash \xe4\xb8\xad"[..],
                &b"plain \"quoted\" \\ back\\slash \xe4\xb8\xad"[..],
            ),
            (
                b"two\nlines\n\nand a break\n",
                b"two\n    lines\n    \n    and a break\n    ",
            ),
            (b"\r\t\x1b[1m\0\x7f", b"\\x0d\\x09\\x1b[1m\\x00\\x7f"),
            (b"\xc2\x85\xff\xfe", b"\\xc2\\x85\\xff\\xfe"),
            (
                "a\u{2028}b\u{202e}c\u{61c}".as_bytes(),
                b"a\\xe2\\x80\\xa8b\\xe2\\x80\\xaec\\xd8\\x9c",
            ),
            // Characters that shape text without moving it stay: a joiner between emoji, and Arabic
            // and Hebrew letters.
            (
                "\u{200d}\u{633}\u{5d0}".as_bytes(),
                "\u{200d}\u{633}\u{5d0}".as_bytes(),
            ),
            (
                b"\\x41 \\x4 \\xzz \\\\x41",
                b"\\x5cx41 \\x4 \\xzz \\\\x5cx41",
            ),
        ] {
            assert_eq!(escaped(value), text, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_field_of_the_access_log_is_one_quoted_line() {
        let mut out = Vec::new();
        quote_into(&mut out, b"a\"b\\c\nd\xff");
        assert_eq!(out, b"\"a\\x22b\\x5cc\\x0ad\\xff\"");
    }

    /// All characters of [`is_hidden`], written down independently.
    fn hidden() -> Vec<char> {
        let ranges = [
            0x61c..=0x61c,
            0x200e..=0x200f,
            0x2028..=0x2029,
            0x202a..=0x202e,
            0x2066..=0x2069,
        ];
        ranges
            .into_iter()
            .flatten()
            .map(|code| char::from_u32(code).unwrap())
            .collect()
    }

    #[test]
    fn no_character_that_a_viewer_interprets_is_left_in_a_log() {
        let c1 = ('\u{7f}'..='\u{9f}').collect::<Vec<char>>();
        for character in [hidden(), c1].concat() {
            let value = format!("before{character}after");
            let text = String::from_utf8(escaped(value.as_bytes())).unwrap();
            assert!(text.is_ascii(), "{text:?}");
            assert_eq!(unescape(text.as_bytes()), value.as_bytes());
            let mut quoted = Vec::new();
            quote_into(&mut quoted, value.as_bytes());
            assert!(quoted.is_ascii(), "{character:?}");
            assert_eq!(unescape_bytes(inside(&quoted)), value.as_bytes());
            let json = json_text(&json_string(value.as_bytes()));
            assert!(json.is_ascii(), "{json}");
            let read: String = serde_json::from_str(&json).unwrap();
            assert_eq!(unescape_bytes(read.as_bytes()), value.as_bytes());
        }
    }

    #[test]
    fn json_escapes_what_a_viewer_interprets() {
        let value =
            serde_json::json!({ "a\u{2028}": ["\u{202e}\u{7f}\u{9b}", "\n\u{1b} 中 😀", 1, null] });
        let text = json_text(&value);
        assert_eq!(
            text,
            "{\"a\\u2028\":[\"\\u202e\\u007f\\u009b\",\"\\n\\u001b 中 😀\",1,null]}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }

    fn inside(quoted: &[u8]) -> &[u8] {
        quoted
            .strip_prefix(b"\"")
            .and_then(|rest| rest.strip_suffix(b"\""))
            .unwrap()
    }

    fn tricky() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            "[\\\\x0-9a-f\n\r \\[]{1,6}".prop_map(String::into_bytes),
            any::<String>().prop_map(String::into_bytes),
            proptest::sample::select(hidden())
                .prop_map(|character| character.to_string().into_bytes()),
            Just(b"\n\n[2016-05-17 17:10:56] [root] [INFO] Notify Message Succeed!".to_vec()),
        ];
        proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn every_value_survives_a_round_trip(value in tricky()) {
            prop_assert_eq!(&unescape(&escaped(&value)), &value);
            let json = json_string(&value);
            prop_assert!(json.as_str().unwrap().chars().all(|c| !c.is_control() || c < ' '));
            let line = json_text(&json);
            prop_assert!(line.chars().all(|c| !c.is_control() && !hidden().contains(&c)));
            prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&line).unwrap(), &json);
            prop_assert_eq!(&unescape_bytes(json.as_str().unwrap().as_bytes()), &value);
            let mut quoted = Vec::new();
            quote_into(&mut quoted, &value);
            prop_assert_eq!(unescape_bytes(inside(&quoted)), value);
        }

        #[test]
        fn no_line_of_a_value_is_empty_or_at_the_margin(value in tricky()) {
            let text = escaped(&value);
            for line in text.split(|byte| *byte == b'\n').skip(1) {
                prop_assert!(line.starts_with(b"    "));
            }
            prop_assert!(std::str::from_utf8(&text).is_ok());
            prop_assert!(text.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || *byte == b'\n'));
            let is_hidden = |character| hidden().contains(&character);
            prop_assert!(!String::from_utf8_lossy(&text).chars().any(is_hidden));
            let mut quoted = Vec::new();
            quote_into(&mut quoted, &value);
            let inside = inside(&quoted);
            prop_assert!(!inside.contains(&b'"') && inside.iter().all(|byte| *byte >= b' '));
        }
    }
}
