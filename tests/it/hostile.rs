//! Whatever a peer sends, accepted or refused: the logs contain one line and the right records,
//! with the exact bytes.

use std::borrow::Cow;

use mns_endpoint::journal::{unescape, unescape_bytes};
use mns_endpoint::mns::{ContentFormat, ContentMd5, Notation};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{Bench, Draft, Entry, attribute, key, read_answer, send};

/// A complete record and an access line, as a forger would write them.
const FORGED: &str = "\n\n[2016-05-17 17:10:56] [root] [INFO] [receive.rs:2] [1096657216] Notify \
    Message Succeed!\n\
    MessageMD5                    : 0\nMessageId                     : forged\n\n\
    [17/May/2016 17:10:56]\"POST\" \"201\" \"/notifications\" \"HTTP/1.1\" \"4\" \"-\" \"-\" \"-\" \
    \"-\"\n";

/// The fate of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Accepted(ContentFormat),
    WrongBody,
    WrongAddress,
    WrongPath,
}

#[derive(Debug, Clone)]
struct Request {
    fate: Fate,
    agent: Vec<u8>,
    target: String,
    tag: Vec<u8>,
    body: Vec<u8>,
    address: Vec<u8>,
}

/// Bytes of the kinds that have forged or broken logs before.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        FORGED, "\n", "\n\n", "\r\n\r\n", "\"", "\" \"", "\\", "\\x", "\\x41", "5c", "\n    ",
        "\t", "\x1b[2J",
    ];
    let more = [
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "重要",
        "\0",
        "Reason                        : x",
        "Body:",
        "%0a",
        "\r",
    ];
    let piece = prop_oneof![
        proptest::sample::select([pieces.as_slice(), &more].concat())
            .prop_map(|piece| piece.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// The same without bytes that no HTTP head can contain.
fn hostile_value() -> impl Strategy<Value = Vec<u8>> {
    let in_head = |byte: u8| {
        if matches!(byte, b'\t' | b' '..=b'~' | 0x80..) {
            byte
        } else {
            b' '
        }
    };
    hostile().prop_map(move |bytes| {
        bytes
            .into_iter()
            .map(in_head)
            .collect::<Vec<_>>()
            .trim_ascii()
            .to_vec()
    })
}

/// The same without bytes that the HTTP library rejects in a target.
fn hostile_query() -> impl Strategy<Value = String> {
    let in_target =
        |character: &char| !matches!(character, '\0'..=' ' | '"' | '#' | '<' | '>' | '\x7f');
    hostile().prop_map(move |bytes| {
        String::from_utf8_lossy(&bytes)
            .chars()
            .filter(in_target)
            .collect()
    })
}

fn request() -> impl Strategy<Value = Request> {
    let fate = proptest::sample::select(vec![
        Fate::Accepted(ContentFormat::Xml),
        Fate::Accepted(ContentFormat::Json),
        Fate::Accepted(ContentFormat::Simplified),
        Fate::WrongBody,
        Fate::WrongAddress,
        Fate::WrongPath,
    ]);
    (
        fate,
        hostile_value(),
        hostile_query(),
        hostile_value(),
        hostile(),
        hostile(),
    )
        .prop_map(|(fate, agent, query, tag, body, address)| {
            let path = if fate == Fate::WrongPath {
                "/\"{other}\\"
            } else {
                "/notifications"
            };
            Request {
                fate,
                agent,
                target: format!("{path}?{query}"),
                tag,
                body,
                address,
            }
        })
}

impl Request {
    fn draft(&self, certificate_url: &str) -> Draft {
        let format = match self.fate {
            Fate::Accepted(format) => format,
            Fate::WrongBody | Fate::WrongAddress | Fate::WrongPath => ContentFormat::Simplified,
        };
        let draft = Draft::new(format, self.message(), certificate_url)
            .to(&self.target)
            .set("User-Agent", &self.agent);
        let draft = match format {
            ContentFormat::Simplified => draft.set("x-mns-message-tag", &self.tag),
            ContentFormat::Xml | ContentFormat::Json => {
                let tagged = with_tag(&draft.body, format, &String::from_utf8_lossy(&self.tag));
                draft.swap_body(tagged).notation(Notation::Hex)
            }
        };
        match self.fate {
            Fate::Accepted(_) | Fate::WrongPath => draft.sign(&key(512)),
            Fate::WrongBody => draft
                .set(
                    "Content-md5",
                    ContentMd5::of(b"another body than any").upper_hex(),
                )
                .sign(&key(512)),
            Fate::WrongAddress => draft
                .set("x-mns-signing-cert-url", base64(&self.address))
                .sign(&key(512)),
        }
    }

    /// XML and JSON contain text; a SIMPLIFIED body has arbitrary bytes.
    fn message(&self) -> Cow<'_, [u8]> {
        match self.fate {
            Fate::Accepted(ContentFormat::Xml | ContentFormat::Json) => lossy(&self.body),
            Fate::Accepted(ContentFormat::Simplified)
            | Fate::WrongBody
            | Fate::WrongAddress
            | Fate::WrongPath => Cow::Borrowed(&self.body),
        }
    }

    fn assert_records(&self, log: &[Entry]) {
        match (self.fate, log) {
            (Fate::Accepted(format), [request, outcome]) => {
                assert_eq!(
                    (request.place.as_str(), outcome.place.as_str()),
                    ("receive.rs:1", "receive.rs:2")
                );
                assert_eq!(
                    attribute(outcome, "Message").unwrap(),
                    self.message().as_ref()
                );
                let tag = if format == ContentFormat::Simplified {
                    Cow::Borrowed(&self.tag[..])
                } else {
                    lossy(&self.tag)
                };
                assert_eq!(attribute(outcome, "MessageTag").unwrap(), tag.as_ref());
                assert_ne!(attribute(outcome, "MessageId").unwrap(), b"forged");
            }
            (Fate::WrongBody | Fate::WrongAddress | Fate::WrongPath, [refused]) => {
                let body = refused.text.rsplit_once("\nBody:").unwrap().1;
                let read: &[u8] = if self.fate == Fate::WrongPath {
                    b""
                } else {
                    &self.body
                };
                assert_eq!(unescape(body.as_bytes()), read);
                let reason = attribute(refused, "Reason").unwrap();
                assert_ne!(reason, b"x");
                if self.fate == Fate::WrongAddress && !self.address.is_empty() {
                    assert_eq!(
                        attribute(refused, "CertificateAddress").unwrap(),
                        self.address
                    );
                }
            }
            (fate, log) => panic!("{fate:?} left {log:?}"),
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

fn lossy(bytes: &[u8]) -> Cow<'_, [u8]> {
    Cow::Owned(String::from_utf8_lossy(bytes).into_owned().into_bytes())
}

fn with_tag(body: &[u8], format: ContentFormat, tag: &str) -> String {
    let body = std::str::from_utf8(body).unwrap();
    if format == ContentFormat::Json {
        return body.replacen(
            '{',
            &format!("{{\"MessageTag\":{},", serde_json::Value::from(tag)),
            1,
        );
    }
    let escaped = tag
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let (before, end) = body.rsplit_once("</Notification>").unwrap();
    format!("{before}<MessageTag>{escaped}</MessageTag></Notification>{end}")
}

#[test]
fn no_bytes_of_a_peer_forge_a_record_or_a_line() {
    let bench = Bench::new();
    let url = bench.host.url("x.pem");
    let field = regex::Regex::new(r#" ?"((?:[^"\\]|\\x[0-9a-f]{2})*)""#).unwrap();
    let config = Config {
        cases: 150,
        failure_persistence: None,
        max_shrink_iters: 50,
        ..Config::default()
    };
    let check = |request: Request| {
        let (lines, entries) = (
            bench.endpoint.access_log().lines().count(),
            bench.log().len(),
        );
        let wire = request.draft(&url).wire();
        let status = read_answer(&mut send(bench.endpoint.address, &wire)).status;
        let wanted = match request.fate {
            Fate::Accepted(_) => 201,
            Fate::WrongBody | Fate::WrongAddress => 403,
            Fate::WrongPath => 404,
        };
        assert_eq!(status, wanted);
        let line = bench.next_line(lines);
        let (time, fields) = line.split_once(']').unwrap();
        assert_eq!(time.len(), "[17/May/2016 17:10:56".len());
        assert_eq!(field.replace_all(fields, ""), "", "{line}");
        let fields: Vec<Vec<u8>> = field
            .captures_iter(fields)
            .map(|found| unescape_bytes(found[1].as_bytes()))
            .collect();
        assert_eq!(fields.len(), 9, "{line}");
        assert_eq!(fields[1], wanted.to_string().into_bytes());
        for (found, sent) in [
            (&fields[2], request.target.as_bytes()),
            (&fields[6], &request.agent),
        ] {
            // A refused body is cut, and each byte may take four.
            let shown = if wanted == 201 {
                sent.len()
            } else {
                sent.len().min(512 / 4)
            };
            assert!(sent.starts_with(found) && found.len() >= shown, "{line}");
        }
        request.assert_records(&bench.log()[entries..]);
        Ok(())
    };
    TestRunner::new(config).run(&request(), check).unwrap();
}

#[test]
fn no_character_that_a_viewer_interprets_reaches_a_log_and_each_can_be_restored() {
    let codes = [
        0x61c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2066, 0x2069,
    ];
    let hidden: String = codes
        .iter()
        .map(|code| char::from_u32(*code).unwrap())
        .collect();
    let message = format!("before{hidden}after");
    for log_format in ["text", "json"] {
        let bench = Bench::with(|options| options.set("logs.format", log_format));
        for format in [
            ContentFormat::Xml,
            ContentFormat::Json,
            ContentFormat::Simplified,
        ] {
            let draft = Draft::new(format, &message, &bench.host.url("x.pem"));
            let draft = draft
                .set("User-Agent", &message)
                .set("x-mns-message-tag", &hidden)
                .sign(&key(512));
            assert_eq!(
                bench.endpoint.exchange(&draft.wire()).status,
                201,
                "{format}"
            );
        }
        // Refused, with the same bytes in its headers and body.
        bench.ask(
            &bench
                .draft()
                .set("User-Agent", &message)
                .set("x-mns-message-tag", &hidden)
                .swap_body(message.clone()),
        );
        let (access, endpoint) = (bench.endpoint.access_log(), bench.endpoint.endpoint_log());
        for log in [&access, &endpoint] {
            assert!(!log.contains(|letter| hidden.contains(letter)), "{log:?}");
        }
        let values: Vec<String> = if log_format == "json" {
            let lines = endpoint
                .lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            lines
                .filter_map(|record| Some(record["Message"].as_str()?.to_owned()))
                .collect()
        } else {
            let found = bench
                .log()
                .into_iter()
                .filter_map(|entry| attribute(&entry, "Message"));
            found
                .map(|value| String::from_utf8(value).unwrap())
                .collect()
        };
        assert_eq!(values, vec![message.clone(); 3]);
    }
}
