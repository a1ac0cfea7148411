//! Refused requests are saved, so that they can be inspected and recovered, and strangers cannot
//! use up the space for it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mns_endpoint::mns::ContentFormat;
use mns_endpoint::quarantine::{self, Note};

use crate::support::{
    CertificateHost, Draft, Endpoint, Options, attribute, eventually, foreign_key, key, records,
    run,
};

const FORMATS: [ContentFormat; 3] = [
    ContentFormat::Xml,
    ContentFormat::Json,
    ContentFormat::Simplified,
];

/// An owner for which every genuine push is refused.
fn wrong(host: &CertificateHost) -> Options {
    Options::listing(&host.prefix())
        .set("accept.topic_owners", "1")
        .set("logs.refused_rate", "off")
}

fn dir_of(endpoint: &Endpoint) -> PathBuf {
    endpoint
        .path()
        .join(format!("logs/quarantine.{}", endpoint.address.port()))
}

fn push(host: &CertificateHost, format: ContentFormat, message: &[u8]) -> Draft {
    Draft::new(format, message, &host.url("x.pem")).sign(&key(512))
}

fn forged(host: &CertificateHost) -> Draft {
    Draft::new(ContentFormat::Xml, "forged", &host.url("x.pem")).sign(&foreign_key(512))
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// What an endpoint reports once the certificate of a genuine push is on disk, where `explain`
/// finds it. It is written in the background, and a stop does not wait for it.
const CACHED: &str = "Cached a signing certificate on disk";

/// Ends an endpoint, which waits for files being saved. Returns its directory and the files in
/// quarantine.
fn stopped(endpoint: Endpoint) -> (tempfile::TempDir, Vec<PathBuf>) {
    let quarantine = dir_of(&endpoint);
    let dir = endpoint.stop().1;
    (dir, quarantine::list(&quarantine).unwrap())
}

#[test]
fn a_refused_request_is_saved_unchanged_and_explain_says_what_is_wrong() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&wrong(&host));
    let quarantine = dir_of(&endpoint);
    let drafts = FORMATS.map(|format| push(&host, format, b"two\n\nlines \xc3\xa9"));
    for draft in &drafts {
        assert_eq!(endpoint.exchange(&draft.wire()).status, 403);
    }
    endpoint.assert_tells(CACHED);
    let (dir, kept) = stopped(endpoint);
    assert_eq!(kept.len(), 3);
    assert_eq!(
        fs::metadata(&quarantine).unwrap().permissions().mode() & 0o777,
        0o700
    );
    for (path, draft) in kept.iter().zip(&drafts) {
        assert_eq!(
            fs::metadata(path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        let read = Draft::read(&fs::read(path).unwrap());
        assert_eq!((&read.method, &read.target), (&draft.method, &draft.target));
        let lower = |draft: &Draft| {
            let rest = draft.clone().without("content-length").headers;
            rest.into_iter()
                .map(|(name, value)| (name.to_lowercase(), value))
                .collect::<Vec<_>>()
        };
        assert_eq!(lower(&read), lower(draft), "all headers, in their order");
        assert_eq!(
            read.header("content-length"),
            draft.header("content-length")
        );
        let note = Note::parse(read.body.strip_prefix(draft.body.as_slice()).unwrap()).unwrap();
        assert_eq!(
            (note.reason.as_str(), note.peer.ip().to_string().as_str()),
            ("owner_not_accepted", "127.0.0.1")
        );
        let explain = ["explain", path.to_str().unwrap(), "--trust", &host.prefix()];
        let ended = run(
            dir.path(),
            &[&explain[..], &["--set", "accept.topic_owners=1"]].concat(),
        );
        ended.assert(1, "\nVerdict: serve would answer 403 (owner_not_accepted).");
        ended.assert(1, "\nRefused: at 20");
        ended.assert(1, "from 127.0.0.1:");
        ended.assert(1, "\nsignature     ok");
        run(dir.path(), &explain).assert(0, "serve would accept it");
        // The note contains the sender.
        let elsewhere = [&explain[..], &["--set", "accept.sources=10.0.0.0/8"]].concat();
        run(dir.path(), &elsewhere).assert(1, "(source_not_accepted)");
    }
}

#[test]
fn a_chunked_request_is_saved_with_its_length() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&wrong(&host));
    let draft = push(&host, ContentFormat::Simplified, b"12345");
    let chunked = Draft {
        body: b"2\r\n12\r\n3\r\n345\r\n0\r\n\r\n".to_vec(),
        ..draft.without("content-length")
    };
    assert_eq!(
        endpoint
            .exchange(&chunked.set("Transfer-Encoding", "chunked").wire())
            .status,
        403
    );
    endpoint.assert_tells(CACHED);
    let (dir, kept) = stopped(endpoint);
    run(
        dir.path(),
        &[
            "explain",
            kept[0].to_str().unwrap(),
            "--trust",
            &host.prefix(),
        ],
    )
    .assert(0, "5 bytes of body");
}

#[test]
fn only_refusals_with_a_complete_body_are_saved() {
    let host = CertificateHost::serving(&key(512));
    let endpoint =
        Endpoint::start(&Options::trusting(host.prefix()).set("logs.refused_rate", "off"));
    let draft = || push(&host, ContentFormat::Xml, b"m");
    for (draft, status) in [
        (draft(), 201),
        (draft().to("/elsewhere"), 404),
        (draft().method("PUT"), 405),
        (draft().set("Content-Encoding", "gzip"), 415),
        (draft().set("Content-length", "600000"), 413),
        (forged(&host), 403),
        (
            Draft::with_body("<a/>", &host.url("x.pem")).sign(&key(512)),
            400,
        ),
    ] {
        assert_eq!(endpoint.exchange(&draft.wire()).status, status);
    }
    let (_dir, kept) = stopped(endpoint);
    let names: Vec<&str> = kept.iter().map(|path| name(path)).collect();
    assert_eq!(
        names,
        ["0000000001.unproved.http", "0000000002.genuine.http"]
    );
}

#[test]
fn nothing_is_saved_without_room_or_while_space_is_low() {
    let host = CertificateHost::serving(&key(512));
    for (key, value) in [
        ("logs.quarantine_bytes", "0"),
        ("logs.low_water", "1000PiB"),
    ] {
        let endpoint = Endpoint::start(&wrong(&host).set(key, value));
        let quarantine = dir_of(&endpoint);
        assert_eq!(
            endpoint
                .exchange(&push(&host, ContentFormat::Xml, b"m").wire())
                .status,
            403
        );
        let _dir = endpoint.stop().1;
        assert!(!quarantine.exists(), "{key}");
    }
}

#[test]
fn if_space_is_scarce_files_of_strangers_are_deleted_and_signed_ones_stay() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&wrong(&host));
    let port = endpoint.address.port();
    for draft in [
        forged(&host),
        push(&host, ContentFormat::Xml, b"m"),
        forged(&host),
    ] {
        assert_eq!(endpoint.exchange(&draft.wire()).status, 403);
    }
    let (dir, kept) = stopped(endpoint);
    assert_eq!(kept.len(), 3);
    let scarce = wrong(&host)
        .set("logs.low_water", "1EiB")
        .set("server.listen", &format!("127.0.0.1:{port}"));
    let endpoint = Endpoint::start_in(dir, &scarce);
    let genuine = kept
        .iter()
        .filter(|path| name(path).contains("genuine"))
        .cloned()
        .collect::<Vec<_>>();
    let left = || quarantine::list(&dir_of(&endpoint)).unwrap();
    eventually("the genuine one is alone", || {
        (left() == genuine).then_some(())
    });
    // It is still there after the time in which it could have been deleted too.
    assert_eq!(stopped(endpoint).1, genuine);
}

#[test]
fn requests_of_strangers_take_no_record_and_no_access_line_from_signed_ones() {
    let host = CertificateHost::serving(&key(512));
    for (limit, log) in [
        ("logs.refused_rate", "endpoint_log"),
        ("logs.refused_bytes", "access_log"),
    ] {
        let value = if limit == "logs.refused_rate" {
            "1/s"
        } else {
            "1B/s"
        };
        let endpoint = Endpoint::start(&wrong(&host).set(limit, value));
        for _ in 0..20 {
            assert_eq!(
                endpoint
                    .exchange(&forged(&host).set("User-Agent", "stranger").wire())
                    .status,
                403
            );
        }
        let genuine = push(&host, ContentFormat::Xml, b"m").set("User-Agent", "the service");
        assert_eq!(endpoint.exchange(&genuine.wire()).status, 403);
        let path = endpoint.log_path(log);
        let _dir = endpoint.stop().1;
        let log = fs::read_to_string(path).unwrap();
        assert!(log.matches("stranger").count() < 20, "{limit}");
        assert_eq!(log.matches("the service").count(), 1, "{limit}");
    }
}

#[test]
fn no_file_name_contains_what_a_peer_sent_and_the_oldest_of_strangers_are_deleted_first() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&wrong(&host).set("logs.quarantine_bytes", "64KiB"));
    let hostile = |number: usize| {
        let target = format!("/notifications?/../../{number}.http");
        forged(&host)
            .to(&target)
            .set("x-mns-request-id", "../../x")
            .set("x-mns-message-id", "/tmp/x\0".trim_end_matches('\0'))
    };
    for _ in 0..3 {
        assert_eq!(
            endpoint
                .exchange(&push(&host, ContentFormat::Xml, b"m").wire())
                .status,
            403
        );
    }
    for number in 0..40 {
        assert_eq!(endpoint.exchange(&hostile(number).wire()).status, 403);
    }
    let quarantine = dir_of(&endpoint);
    let (dir, kept) = stopped(endpoint);
    let expected = (1..=3).map(|number| format!("{number:010}.genuine.http"));
    let expected: Vec<String> = expected
        .chain((31..=43).map(|number| format!("{number:010}.unproved.http")))
        .collect();
    assert_eq!(
        kept.iter().map(|path| name(path)).collect::<Vec<_>>(),
        expected,
        "64 KiB are 16 blocks"
    );
    assert_eq!(fs::read_dir(&quarantine).unwrap().count(), 16);
    let mut all: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    all.sort();
    assert_eq!(all, ["certs", "logs", "stderr"]);
}

#[test]
fn at_most_as_many_are_saved_as_are_logged_in_full_and_within_a_byte_rate() {
    let host = CertificateHost::serving(&key(512));
    let full = |log: &str| {
        records(log)
            .into_iter()
            .filter(|record| record.text.starts_with("Access Forbidden!"))
            .count()
    };
    let endpoint = Endpoint::start(&wrong(&host).set("logs.refused_rate", "3/s"));
    let begun = Instant::now();
    for _ in 0..30 {
        assert_eq!(endpoint.exchange(&forged(&host).wire()).status, 403);
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 2;
    let log = endpoint.log_path("endpoint_log");
    let (_dir, kept) = stopped(endpoint);
    assert_eq!(kept.len(), full(&fs::read_to_string(log).unwrap()));
    assert!(
        (1..=3 * seconds).contains(&kept.len()),
        "{} in {seconds} s",
        kept.len()
    );
    // 20 × (4 + 16) KiB are 400 KiB: at most two of these in a second.
    let endpoint = Endpoint::start(&wrong(&host).set("logs.refused_rate", "20/s"));
    let begun = Instant::now();
    for _ in 0..12 {
        assert_eq!(
            endpoint
                .exchange(&push(&host, ContentFormat::Simplified, &[b'x'; 300_000]).wire())
                .status,
            403
        );
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 2;
    let log = endpoint.log_path("endpoint_log");
    let (dir, kept) = stopped(endpoint);
    assert!(
        (1..=2 * seconds).contains(&kept.len()),
        "{} in {seconds} s",
        kept.len()
    );
    // A record names the file if the request was saved, and none otherwise.
    let log = records(&fs::read_to_string(log).unwrap());
    let named = log
        .iter()
        .filter_map(|entry| attribute(entry, "QuarantineFile"));
    let named: Vec<PathBuf> = named
        .map(|file| dir.path().join(String::from_utf8(file).unwrap()))
        .collect();
    assert!(
        log.iter()
            .filter(|entry| entry.place == "receive.rs:3")
            .count()
            > named.len()
    );
    assert_eq!(named, kept);
}

#[test]
fn each_signed_request_is_saved_once_whatever_strangers_send() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(
        &wrong(&host)
            .set("logs.refused_rate", "2/s")
            .set("logs.quarantine_bytes", "256KiB"),
    );
    let replayed = push(&host, ContentFormat::Xml, b"replayed").wire();
    let stranger = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    for _ in 0..8 {
        for _ in 0..20 {
            assert_eq!(endpoint.exchange(stranger).status, 404);
            assert_eq!(endpoint.exchange(&replayed).status, 403);
        }
        assert_eq!(
            endpoint
                .exchange(&push(&host, ContentFormat::Xml, b"m").wire())
                .status,
            403
        );
    }
    let (_dir, kept) = stopped(endpoint);
    // The one that was sent 160 times would have used more than the whole space.
    assert_eq!(
        kept.iter()
            .filter(|path| name(path).contains("genuine"))
            .count(),
        9
    );
}

#[test]
fn a_signed_request_that_was_dropped_is_saved_when_it_is_sent_again() {
    let host = CertificateHost::serving(&key(512));
    // One of these fits into the bytes of a second, two do not.
    let endpoint = Endpoint::start(&wrong(&host).set("logs.refused_rate", "20/s"));
    let pushes = [b'a', b'b', b'c', b'd']
        .map(|byte| push(&host, ContentFormat::Simplified, &[byte; 300_000]).wire());
    eventually("each is kept", || {
        for wire in &pushes {
            assert_eq!(endpoint.exchange(wire).status, 403);
        }
        (quarantine::list(&dir_of(&endpoint)).unwrap().len() == pushes.len()).then_some(())
    });
    for wire in &pushes {
        assert_eq!(endpoint.exchange(wire).status, 403);
    }
    assert_eq!(stopped(endpoint).1.len(), pushes.len(), "and each once");
}
