//! A parser of the endpoint log that uses the manual's pattern and none of the program's code.

use std::path::Path;

use mns_endpoint::journal::unescape;

/// One record of the endpoint log in its text form.
#[derive(Debug, Clone)]
pub struct Entry {
    pub level: String,
    pub place: String,
    /// All lines after the bracketed fields.
    pub text: String,
}

/// Reads a log that a process is writing, up to the last `end` in it.
///
/// A write becomes visible in pieces, so a reader may see half a record, or half a character.
pub fn whole(path: &Path, end: &str) -> String {
    let mut bytes = std::fs::read(path).unwrap();
    let length = bytes
        .windows(end.len())
        .rposition(|window| window == end.as_bytes());
    bytes.truncate(length.map_or(0, |start| start + end.len()));
    String::from_utf8(bytes).unwrap()
}

#[test]
fn half_a_record_and_half_a_character_of_a_live_log_are_left_out() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let log = "[2026-11-28 19:00:00] [root] [INFO] [receive.rs:1] [1] Headers:a: 1\n\n\
               [2026-11-28 19:00:00] [root] [INFO] [receive.rs:2] [1] Notify Message \
               Succeed!\nMessage: \u{91cd}\n\n";
    for length in 0..=log.len() {
        std::fs::write(file.path(), &log.as_bytes()[..length]).unwrap();
        let expected = log
            .match_indices("\n\n")
            .filter(|(start, end)| start + end.len() <= length)
            .count();
        assert_eq!(
            records(&whole(file.path(), "\n\n")).len(),
            expected,
            "{length}"
        );
    }
}

/// Splits a log into its records. It must end with a complete one: use [`whole`] for a live log.
pub fn records(log: &str) -> Vec<Entry> {
    let pattern = regex::Regex::new(r"(?m)^\[\d+-\d+-\d+ \d+:\d+:\d+\] \[.*").unwrap();
    let starts: Vec<usize> = pattern.find_iter(log).map(|found| found.start()).collect();
    assert_eq!(
        starts.first().copied().unwrap_or(0),
        0,
        "something precedes the first record"
    );
    let ends = starts.iter().skip(1).copied().chain([log.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| entry(&log[*start..end]))
        .collect()
}

fn entry(record: &str) -> Entry {
    let body = record
        .strip_suffix("\n\n")
        .expect("a record ends with an empty line");
    let mut fields = body.splitn(6, "] ");
    let mut field = || fields.next().unwrap().trim_start_matches('[').to_owned();
    let (_time, logger, level, place, _thread) = (field(), field(), field(), field(), field());
    assert_eq!(logger, "root");
    let text = fields.next().unwrap().to_owned();
    Entry { level, place, text }
}

/// The unescaped value of an attribute. `None` if there is no such line.
pub fn attribute(entry: &Entry, name: &str) -> Option<Vec<u8>> {
    let start = format!("\n{name:<30}: ");
    let (_, rest) = entry.text.split_once(&start)?;
    let mut value = Vec::new();
    for (number, line) in rest.split('\n').enumerate() {
        if number > 0 {
            if !line.starts_with("    ") {
                break;
            }
            value.push(b'\n');
        }
        value.extend_from_slice(line.as_bytes());
    }
    Some(unescape(&value))
}
