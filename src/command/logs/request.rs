//! Rebuilds a request from what the logs have of it.

use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use http::StatusCode;
use memchr::memmem::Finder;
use serde_json::Value;

use crate::command::input;
use crate::command::logs::source::{Source, say};
use crate::disk::{RealDisk, regular};
use crate::journal::{Log, Row, unescape_bytes};

/// The method of a push.
const METHOD: &str = "POST";

/// A rebuilt request.
pub(super) struct AsSent {
    pub(super) method: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

impl AsSent {
    /// The request of a row, if its headers and its whole body were logged.
    pub(super) fn of(row: &Row) -> anyhow::Result<Self> {
        if let Some(missing) = missing(row) {
            let hint = row
                .message()
                .map_or("", |_| "; --message prints its message");
            bail!("{missing}{hint}");
        }
        let sent = row.as_sent();
        let target = row.target().map(String::from_utf8_lossy);
        let method = target.as_deref().and_then(|target| target.split_once(' '));
        Ok(Self {
            method: method.map_or(METHOD, |(method, _)| method).to_owned(),
            headers: sent.headers.clone(),
            body: sent.body.clone().unwrap_or_default(),
        })
    }

    /// The bytes of the request, in the form that `explain` reads.
    pub(super) fn raw(&self, target: &str) -> Vec<u8> {
        let mut raw = format!("{target} HTTP/1.1\r\n").into_bytes();
        for (name, value) in &self.headers {
            // The logged body is decoded, so its own length replaces the framing of the connection.
            if name != "content-length" && name != "transfer-encoding" {
                let line = [name.as_bytes(), b": ", value.as_slice(), b"\r\n"].concat();
                raw.extend_from_slice(&line);
            }
        }
        let length = self.body.len();
        raw.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
        raw.extend_from_slice(&self.body);
        raw
    }
}

/// The missing part of a request, and the key that controls its logging. `None` if it is complete.
pub(super) fn missing(row: &Row) -> Option<String> {
    let sent = row.as_sent();
    let is_accepted = row.status() == Some(StatusCode::CREATED);
    let length = sent
        .header("content-length")
        .and_then(|length| std::str::from_utf8(length).ok()?.parse::<usize>().ok());
    let logged = sent.body.as_ref().map_or(0, Vec::len);
    match length {
        _ if sent.headers.is_empty() && is_accepted => Some(without("its request", "off")),
        _ if sent.headers.is_empty() => Some("the log has no request for this row".to_owned()),
        // A chunked body has no Content-Length.
        length if sent.body.is_none() && is_accepted && length != Some(0) => {
            Some(without("the body of its request", "headers"))
        }
        Some(length) if length != logged => Some(format!(
            "the log has {logged} of the {length} bytes of its body: see logs.refused_body"
        )),
        Some(_) | None => None,
    }
}

fn without(what: &str, setting: &str) -> String {
    format!("{what} was not logged: logs.request was \"{setting}\", and is \"full\" by default")
}

/// The request of a row in the form that `explain` reads: from the quarantine, which has every
/// byte, otherwise from the log.
pub(super) fn raw_request(row: &Row, source: &Source) -> anyhow::Result<Vec<u8>> {
    if let Some(file) = quarantine_file(row).filter(|file| file.exists()) {
        return input::read(&file);
    }
    Ok(AsSent::of(row)?.raw(&target(row, source)?))
}

/// The file in the quarantine that has the request.
pub(super) fn quarantine_file(row: &Row) -> Option<PathBuf> {
    let file = row.record.attribute("QuarantineFile")?;
    Some(PathBuf::from(String::from_utf8_lossy(file).into_owned()))
}

/// Method and path: from the record, otherwise from the access line of the same request, otherwise
/// from the configuration.
fn target(row: &Row, source: &Source) -> anyhow::Result<String> {
    if let Some(target) = row.target() {
        return Ok(String::from_utf8_lossy(target).into_owned());
    }
    if let Some(id) = row.request_id()
        && let Some(target) = access_target(id, source)?
    {
        return Ok(target);
    }
    say("its path is not in the logs: the first of server.paths is shown");
    Ok(format!("{METHOD} {}", source.first_path))
}

/// Method and target of the newest access line with a request id.
fn access_target(id: &[u8], source: &Source) -> anyhow::Result<Option<String>> {
    let names = &source.names;
    let numbers = names.rotated_numbers(&RealDisk, Log::Access);
    let numbers = numbers.with_context(|| source.cannot_read())?;
    let rotated = numbers.into_iter().rev();
    let paths = rotated.map(|number| names.rotated(Log::Access, number));
    for path in std::iter::once(names.live(Log::Access)).chain(paths) {
        match target_in(&path, id) {
            Ok(None) => {}
            Ok(found) => return Ok(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| source.cannot_read()),
        }
    }
    Ok(None)
}

fn target_in(path: &Path, id: &[u8]) -> io::Result<Option<String>> {
    let needle = Finder::new(id);
    let mut found = None;
    let mut file = BufReader::new(regular::open_to_read(path)?);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        // Searching the bytes first avoids parsing every line of a large log.
        if needle.find(&line).is_some() {
            found = target_of(&line, id).or(found);
        }
        line.clear();
    }
    Ok(found)
}

fn target_of(line: &[u8], id: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?;
    let text = |text: &str| String::from_utf8_lossy(&unescape_bytes(text.as_bytes())).into_owned();
    if line.starts_with('{') {
        let object: Value = serde_json::from_str(line).ok()?;
        let value = |name: &str| object.get(name)?.as_str().map(text);
        let is_it = value("request_id")?.as_bytes() == id;
        return is_it.then_some(format!("{} {}", value("method")?, value("target")?));
    }
    let fields: Vec<&str> = line.split_once("]\"")?.1.split("\" \"").collect();
    let field = |number: usize| fields.get(number).map(|field| text(field));
    // Counted from 0 after the time. In docs/logging.md, method, target and request id are the
    // fields 2, 4 and 9.
    let is_it = field(7)?.as_bytes() == id;
    is_it.then_some(format!("{} {}", field(0)?, field(2)?))
}
