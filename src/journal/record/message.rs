//! The line on stdout for an accepted notification: JSON with the keys that the endpoint log has.

use serde_json::Map;

use crate::journal::record::Stamp;
use crate::journal::record::escape::{json_string, json_text_into};

/// How the line of an accepted notification begins. The outcome comes first, because it is the only
/// part that differs for a duplicate.
const ACCEPTED: &[u8] = b"{\"outcome\":\"accepted\"";
const DUPLICATE: &[u8] = b"{\"outcome\":\"duplicate\"";

/// An accepted notification, as written to stdout with `logs.stdout = "messages"`.
#[derive(Debug, Clone)]
pub struct MessageLine<'a> {
    /// The stamp of the outcome in the endpoint log.
    pub stamp: &'a Stamp,
    /// The names and values of the outcome, in order.
    pub attributes: &'a [(&'a str, &'a [u8])],
}

impl MessageLine<'_> {
    /// Appends the line, with its line break.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(ACCEPTED);
        out.extend_from_slice(b",\"time\":");
        json_text_into(out, &self.stamp.rfc3339());
        let members: Map<_, _> = self
            .attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json_string(value)))
            .collect();
        let brace = out.len();
        json_text_into(out, &members);
        // Merge the two objects: these members follow those above.
        if let Some(brace) = out.get_mut(brace) {
            *brace = b',';
        }
        out.push(b'\n');
    }
}

/// Appends the line of an accepted notification with the outcome `duplicate`.
pub(in crate::journal) fn write_duplicate(line: &[u8], out: &mut Vec<u8>) {
    if let Some(rest) = line.strip_prefix(ACCEPTED) {
        out.extend_from_slice(DUPLICATE);
        out.extend_from_slice(rest);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use jiff::tz::TimeZone;
    use serde_json::Value;

    use super::*;
    use crate::journal::record::{Stamps, unescape_bytes};

    #[test]
    fn a_line_is_one_object_and_that_of_a_duplicate_differs_in_its_outcome_only() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_463_476_256_857);
        let stamp = Stamps::new(TimeZone::UTC).at(time);
        let message = b"{\"outcome\":\"accepted\"}\n\n\xff\\x41\xe2\x80\xae";
        let attributes: [(&str, &[u8]); 2] = [("MessageTag", b""), ("Message", message)];
        let mut line = Vec::new();
        MessageLine {
            stamp: &stamp,
            attributes: &attributes,
        }
        .write(&mut line);
        let mut duplicate = Vec::new();
        write_duplicate(&line, &mut duplicate);
        for (line, outcome) in [(line, "accepted"), (duplicate, "duplicate")] {
            let text = String::from_utf8(line).unwrap();
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            assert!(!text.contains('\u{202e}'));
            let object: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(object["outcome"], outcome);
            assert_eq!(object["time"], "2016-05-17T09:10:56.857+00:00");
            assert_eq!(object["MessageTag"], "");
            let read = object["Message"].as_str().unwrap();
            assert_eq!(unescape_bytes(read.as_bytes()), message);
        }
    }
}
