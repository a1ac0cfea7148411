//! Formats a message for reading: JSON with line breaks, token by token, so that long numbers and
//! repeated keys stay as they were published; base64 of a text as that text.

use serde::de::IgnoredAny;

use crate::command::logs::decode::Decode;
use crate::command::logs::line::one_line;

/// The kind of a message and its lines, safe for a terminal.
pub(super) struct Pretty {
    pub(super) kind: &'static str,
    pub(super) lines: Vec<String>,
}

impl Pretty {
    pub(super) fn of(message: &[u8]) -> Self {
        let decoded = Decode::apply(Some(Decode::Base64), message);
        let is_text = |bytes: &[u8]| {
            // For bytes that are not UTF-8 use a control character, which is not text either.
            let mut characters = std::str::from_utf8(bytes).unwrap_or("\0").chars();
            !bytes.is_empty() && characters.all(|it| !it.is_control() || it.is_whitespace())
        };
        // Words such as `test` are valid base64 too. So only a message of 8 bytes or more that
        // decodes to text is treated as base64.
        let is_encoded = message.len() >= 8 && *decoded != *message && is_text(&decoded);
        let (text, is_encoded) = if is_encoded {
            (&*decoded, true)
        } else {
            (message, false)
        };
        // Validated but not parsed: a parsed number could lose digits.
        let is_json = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['))
            && serde_json::from_slice::<IgnoredAny>(text).is_ok();
        let (lines, kinds) = if is_json {
            (json(text), ["JSON", "base64 of JSON"])
        } else if text.trim_ascii_start().starts_with(b"<") {
            (lines(text), ["XML", "base64 of XML"])
        } else if std::str::from_utf8(text).is_ok() {
            (lines(text), ["text", "base64 of text"])
        } else {
            (lines(text), ["bytes", "base64 of bytes"])
        };
        let [plain, encoded] = kinds;
        Self {
            kind: if is_encoded { encoded } else { plain },
            lines,
        }
    }
}

fn lines(text: &[u8]) -> Vec<String> {
    text.split(|byte| *byte == b'\n').map(one_line).collect()
}

/// Breaks valid JSON into lines, one for each member or element.
fn json(text: &[u8]) -> Vec<String> {
    let mut out: Vec<u8> = Vec::new();
    let mut depth = 0_usize;
    let mut rest = text;
    let break_line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len().saturating_add(depth.saturating_mul(2)), b' ');
    };
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'"' => {
                let length = string_length(after);
                let (string, behind) = after.split_at_checked(length).unwrap_or((after, &[]));
                out.push(b'"');
                out.extend_from_slice(string);
                rest = behind;
            }
            b'{' | b'[' => {
                out.push(*first);
                let inner = after.trim_ascii_start();
                if let Some((end @ (b'}' | b']'), behind)) = inner.split_first() {
                    out.push(*end);
                    rest = behind;
                } else {
                    depth = depth.saturating_add(1);
                    break_line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(*first);
            }
            b',' => {
                out.push(b',');
                break_line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            blank if blank.is_ascii_whitespace() => {}
            other => out.push(*other),
        }
    }
    lines(&out)
}

/// The length of the rest of a string after its opening quote, including the closing one.
fn string_length(text: &[u8]) -> usize {
    let mut is_escaped = false;
    for (place, byte) in text.iter().enumerate() {
        match byte {
            b'"' if !is_escaped => return place.saturating_add(1),
            b'\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_broken_into_lines_and_no_token_changes() {
        let message = br#"{"a":[1.0,9007199254740993123,{}],"a": "x\"},\\" ,"b":[]}"#;
        let pretty = Pretty::of(message);
        assert_eq!(pretty.kind, "JSON");
        let expected = [
            "{",
            "  \"a\": [",
            "    1.0,",
            "    9007199254740993123,",
            "    {}",
            "  ],",
            "  \"a\": \"x\\\"},\\\\\",",
            "  \"b\": []",
            "}",
        ];
        assert_eq!(pretty.lines, expected);
    }

    #[test]
    fn the_kind_of_a_message_is_found_from_its_bytes() {
        for (message, kind, first) in [
            (&b"{\"a\":"[..], "text", "{\"a\":"),
            (b"eyJhIjoxfQ==", "base64 of JSON", "{"),
            (b"aGVsbG8gd29ybGQ=", "base64 of text", "hello world"),
            (b"test", "text", "test"),
            (b"<a/>", "XML", "<a/>"),
            (b"\xff\xfe", "bytes", "\\xff\\xfe"),
            (b"", "text", ""),
            (b"a\x1b[2J", "text", "a\\x1b[2J"),
        ] {
            let pretty = Pretty::of(message);
            assert_eq!((pretty.kind, pretty.lines[0].as_str()), (kind, first));
        }
    }
}
