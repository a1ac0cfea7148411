//! The endpoint log, read back by the manual's pattern and nothing of the program's own.

use mns_endpoint::journal::unescape;

/// One record of the endpoint log in its text form.
#[derive(Debug, Clone)]
pub struct Entry {
    pub level: String,
    pub place: String,
    /// All lines after the bracketed fields.
    pub text: String,
}

/// Splits a log into its records.
pub fn records(log: &str) -> Vec<Entry> {
    let pattern = regex::Regex::new(r"(?m)^\[\d+-\d+-\d+ \d+:\d+:\d+\] \[.*").unwrap();
    let starts: Vec<usize> = pattern.find_iter(log).map(|found| found.start()).collect();
    assert_eq!(starts.first().copied().unwrap_or(0), 0, "something stands before the first record");
    let ends = starts.iter().skip(1).copied().chain([log.len()]);
    starts.iter().zip(ends).map(|(start, end)| entry(&log[*start..end])).collect()
}

fn entry(record: &str) -> Entry {
    let body = record.strip_suffix("\n\n").expect("a record ends with an empty line");
    let mut fields = body.splitn(6, "] ");
    let mut field = || fields.next().unwrap().trim_start_matches('[').to_owned();
    let (_time, logger, level, place, _thread) = (field(), field(), field(), field(), field());
    assert_eq!(logger, "root");
    let text = fields.next().unwrap().to_owned();
    Entry { level, place, text }
}

/// The value of an attribute, turned back into bytes; `None` where there is no such line.
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
