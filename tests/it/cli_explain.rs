//! `explain`: its verdict on a real request, on a valid one, and on each change in transit.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mns_endpoint::mns::{ContentFormat, Notation};

use crate::support::{CertificateHost, Draft, Ended, finish, foreign_key, key, program, run};

const REAL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/vectors/simplified-2023/request.http"
);
const REAL_TEXT: &str = include_str!("../vectors/simplified-2023/string-to-sign.txt");
const REAL_CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/certs/mns-2015.pem");
/// Nobody listens at this address, and nothing needs to: the certificate is in a file.
const ADDRESS: &str = "http://127.0.0.1:1/x.pem";
const TRUST: [&str; 4] = [
    "--certificate",
    "certificate.pem",
    "--trust",
    "http://127.0.0.1:1/",
];

fn explain(dir: &Path, wire: &[u8], args: &[&str]) -> Ended {
    fs::write(dir.join("request.http"), wire).unwrap();
    fs::write(dir.join("certificate.pem"), key(512).certificate_pem()).unwrap();
    run(dir, &[&["explain", "request.http"], args].concat())
}

/// A valid push before it is signed.
fn draft() -> Draft {
    Draft::new(ContentFormat::Xml, "m", ADDRESS)
}

fn hours_ago(hours: u64) -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the program under test has the same clock"
    )]
    let now = std::time::SystemTime::now();
    httpdate::fmt_http_date(now - Duration::from_secs(hours * 3600))
}

#[test]
fn the_real_request_has_a_valid_signature_and_an_unknown_body() {
    let dir = tempfile::tempdir().unwrap();
    let at = ["explain", REAL, "--at", "2023-03-29T08:41:30Z"];
    let ended = run(
        dir.path(),
        &[&at[..], &["--certificate", REAL_CERTIFICATE]].concat(),
    );
    ended.assert(
        1,
        "\nVerdict: serve would answer 403 (content_md5_mismatch).\nMost likely:  the \
        body is missing",
    );
    for check in [
        "path",
        "headers",
        "date",
        "address",
        "signature",
        "notification",
    ] {
        ended.assert(1, &format!("\n{check:<13} ok"));
    }
    ended.assert(1, "\ncontent-md5   REFUSED  content_md5_mismatch: ");
    ended.assert(1, "under a key of 512 bits from ");
    let (_, text) = ended.stdout.split_once("\nString to sign:\n").unwrap();
    let text = text
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| line.strip_prefix("    ").unwrap());
    assert_eq!(text.collect::<Vec<_>>().join("\n"), REAL_TEXT);
    run(dir.path(), &at).assert(
        1,
        "signature     UNKNOWN  no cached certificate: give one with --certificate",
    );
    let official = "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem";
    run(
        dir.path(),
        &["certificate", "add", official, REAL_CERTIFICATE],
    )
    .assert(0, "512 bits");
    run(dir.path(), &at).assert(
        1,
        "signature     ok       under a key of 512 bits from certs/signing/mnstest",
    );
    run(dir.path(), &["explain", REAL]).assert(1, "date_too_old: the date is ");
}

#[test]
fn a_source_that_cannot_be_reached_leaves_the_other_checks() {
    let dir = tempfile::tempdir().unwrap();
    let wire = draft().sign(&key(512)).wire();
    let ended = explain(
        dir.path(),
        &wire,
        &["--fetch", "--trust", "http://127.0.0.1:1/"],
    );
    ended.assert(
        1,
        "signature     UNKNOWN  cannot fetch http://127.0.0.1:1/x.pem: ",
    );
    ended.assert(
        1,
        "; give the certificate with --certificate\nnotification  ok",
    );
    ended.assert(1, "\nString to sign:\n    POST\n");
    ended.assert(
        1,
        "answer 503 (certificate_unavailable), unless it has the certificate or can fetch it.\n",
    );
}

#[test]
fn a_valid_request_ends_with_0() {
    let dir = tempfile::tempdir().unwrap();
    for format in [
        ContentFormat::Xml,
        ContentFormat::Json,
        ContentFormat::Simplified,
    ] {
        let draft = Draft::new(format, "m", ADDRESS).sign(&key(512));
        let ended = explain(dir.path(), &draft.wire(), &TRUST);
        ended.assert(
            0,
            "\nVerdict: serve would accept it, as far as the request itself goes.\n",
        );
        ended.assert(
            0,
            &format!(
                "{format}, topic MyTopic1 of 1269128356620446, message {}",
                draft.message_id
            ),
        );
        assert!(
            !ended.stdout.contains("REFUSED") && !ended.stdout.contains("Most likely"),
            "{}",
            ended.stdout
        );
        assert!(
            ended.stdout.lines().all(|line| line.trim_end() == line),
            "{}",
            ended.stdout
        );
    }
    let host = CertificateHost::serving(&key(512));
    let fetched = Draft::new(ContentFormat::Xml, "m", &host.url("x.pem"))
        .sign(&key(512))
        .wire();
    explain(
        dir.path(),
        &fetched,
        &["--trust", &host.prefix(), "--fetch"],
    )
    .assert(0, "signature     ok");
    assert_eq!(host.requests(), 1);
    explain(dir.path(), &fetched, &["--trust", &host.prefix()]).assert(1, "UNKNOWN");
    explain(dir.path(), &fetched, &["--fetch"]).assert(1, "certificate_address_refused");
    assert_eq!(
        host.requests(),
        1,
        "only an allowed address is asked, and only on demand"
    );
}

#[test]
fn changes_by_a_proxy_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let signed = || draft().sign(&key(512));
    let below = || {
        draft()
            .to("/hooks/mns/notifications")
            .sign(&key(512))
            .to("/notifications")
    };
    let prefix = [&TRUST[..], &["--path-prefix", "/hooks/mns"]].concat();
    for (request, args, verdict, cause) in [
        (
            signed().to("/mns/notifications"),
            &TRUST[..],
            "404 (path_not_served)",
            "the path was rewritten: /notifications was signed, /mns/notifications was received",
        ),
        (
            below(),
            &prefix,
            "403 (signature_wrong)",
            "the path was rewritten: /hooks/mns/notifications was signed, /notifications was \
             received",
        ),
        (
            below(),
            &TRUST,
            "403 (signature_wrong)",
            "none of the usual changes explains the signature",
        ),
        (
            signed().set("Content-Type", "text/html"),
            &TRUST,
            "403 (signature_wrong)",
            "Content-Type was changed: \"text/xml;charset=utf-8\" was signed",
        ),
        (
            signed().set("x-mns-via", "proxy"),
            &TRUST,
            "403 (signature_wrong)",
            "the header x-mns-via was added on the way",
        ),
        (
            signed().swap_body("other"),
            &TRUST,
            "403 (content_md5_mismatch)",
            "the body was changed on the way: 5 bytes came whose digest was not signed",
        ),
        (
            signed().swap_body(""),
            &TRUST,
            "403 (content_md5_mismatch)",
            "the body is missing",
        ),
        (
            draft().sign(&foreign_key(512)),
            &TRUST,
            "403 (signature_wrong)",
            "none of the usual changes explains the signature: forged, or not signed under a key \
             of 512 bits",
        ),
    ] {
        let ended = explain(dir.path(), &request.wire(), args);
        ended.assert(
            1,
            &format!("\nVerdict: serve would answer {verdict}.\nMost likely:  {cause}"),
        );
        assert_eq!(
            ended.stdout.matches("Most likely:").count(),
            1,
            "{}",
            ended.stdout
        );
    }
}

#[test]
fn changes_by_a_proxy_to_the_spelling_of_a_target_or_to_the_digest_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let any = [&TRUST[..], &["--set", "server.paths=*"]].concat();
    for (signed, received, change) in [
        ("/n/a%2Fb", "/n/a/b", "a proxy decoded %2F"),
        ("/n/a%2Fb%2Fc?x=1", "/n/a/b/c?x=1", "a proxy decoded %2F"),
        ("/n//b", "/n/b", "a proxy merged //"),
        (
            "/Hooks/MNS",
            "/hooks/mns",
            "a proxy changed the case of the path",
        ),
        (
            "/n/a%3Ab%7E",
            "/n/a:b%7E",
            "a proxy decoded a percent-escape",
        ),
        (
            "/n/~a@b",
            "/n/%7Ea%40b",
            "a proxy percent-encoded a character",
        ),
        (
            "/n/a%2fb",
            "/n/a%2Fb",
            "a proxy changed the case of a percent-escape",
        ),
    ] {
        let request = draft().to(signed).sign(&key(512)).to(received);
        let ended = explain(dir.path(), &request.wire(), &any);
        let cause = format!("Most likely:  {change}: {signed} was signed, {received} was received");
        ended.assert(
            1,
            &format!("\nVerdict: serve would answer 403 (signature_wrong).\n{cause}"),
        );
        assert_eq!(
            ended.stdout.matches("Most likely:").count(),
            1,
            "{}",
            ended.stdout
        );
    }
    for format in [
        ContentFormat::Xml,
        ContentFormat::Json,
        ContentFormat::Simplified,
    ] {
        let signed = Draft::new(format, "m", ADDRESS).sign(&key(512));
        let digest = String::from_utf8(signed.header("Content-md5").unwrap().to_vec()).unwrap();
        let ended = explain(dir.path(), &signed.without("Content-md5").wire(), &TRUST);
        let cause = format!("Most likely:  Content-MD5 was removed: {digest} was signed");
        ended.assert(
            1,
            &format!("\nVerdict: serve would answer 403 (content_md5_missing).\n{cause}"),
        );
    }
    let rewritten = draft()
        .notation(Notation::Base64Hex)
        .sign(&key(512))
        .notation(Notation::Base64);
    explain(dir.path(), &rewritten.wire(), &TRUST)
        .assert(1, "Most likely:  Content-MD5 was changed: ");
}

#[test]
fn the_checks_lead_to_one_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let manual = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fuzz/seeds/capture/manual_2016.http"
    );
    let ended = run(
        dir.path(),
        &["explain", manual, "--certificate", REAL_CERTIFICATE],
    );
    ended.assert(1, "\nsignature     REFUSED  signature_wrong: ");
    ended.assert(1, "nothing proves that MNS sent this body");
    ended.assert(
        1,
        "Most likely:  the signature has 3 bytes, and one under this key has 64",
    );
    for never in ["the signature matches", "see mns-endpoint explain"] {
        assert!(!ended.stdout.contains(never), "{}", ended.stdout);
    }
    let apart = regex::Regex::new(r"the date is \d+ y( \d+ d)? behind our clock\n").unwrap();
    assert!(apart.is_match(&ended.stdout), "{}", ended.stdout);
    // The signature matches, but not for this body. Who changed the body is unknown.
    let swapped = Draft::with_body("<a/>", ADDRESS)
        .sign(&key(512))
        .swap_body("<b/>");
    let ended = explain(dir.path(), &swapped.wire(), &TRUST);
    ended.assert(1, "\nsignature     ok ");
    ended.assert(1, "nothing proves that MNS sent this body");
    let odd = explain(
        dir.path(),
        &Draft::with_body("<a/>", ADDRESS).sign(&key(512)).wire(),
        &TRUST,
    );
    odd.assert(1, "the signature matches, so MNS sent this body");
}

#[test]
fn the_configuration_that_judges_is_named_and_another_verdict_than_that_of_the_note() {
    let dir = tempfile::tempdir().unwrap();
    let wire = draft().sign(&key(512)).wire();
    explain(dir.path(), &wire, &TRUST).assert(
        0,
        "\nConfiguration: built-in defaults, \
        MNS_ENDPOINT_ADMIN__LISTEN, MNS_ENDPOINT_LOGS__COMMIT_LOG, MNS_ENDPOINT_SIGNING__PREFETCH, \
        --trust http://127.0.0.1:1/\n",
    );
    fs::write(dir.path().join("our.toml"), "").unwrap();
    let owner = [
        "--config",
        "our.toml",
        "--set",
        "accept.topic_owners=42",
        "--listen",
        "127.0.0.1:1",
    ];
    let args = [&TRUST[..], &owner].concat();
    let told = "\nConfiguration: our.toml, MNS_ENDPOINT_ADMIN__LISTEN, \
        MNS_ENDPOINT_LOGS__COMMIT_LOG, MNS_ENDPOINT_SIGNING__PREFETCH, \
        --set accept.topic_owners, --listen, --trust \
        http://127.0.0.1:1/\n";
    explain(dir.path(), &wire, &args).assert(1, told);
    let mut command = program();
    command
        .current_dir(dir.path())
        .args(["explain", "request.http"])
        .args(TRUST);
    command
        .env("MNS_ENDPOINT_ACCEPT__TOPICS", "MyTopic1")
        .env("MNS_ENDPOINT_PORT", "tcp://10.0.0.1:80");
    finish(&mut command, b"").assert(
        0,
        "\nConfiguration: built-in defaults, MNS_ENDPOINT_ACCEPT__TOPICS, \
            MNS_ENDPOINT_ADMIN__LISTEN, ",
    );
    let noted = |reason: &str| {
        let came =
            humantime::format_rfc3339_nanos(httpdate::parse_http_date(&hours_ago(0)).unwrap());
        let note = format!("\n\nCame: {came}\nPeer: 127.0.0.1:4000\nReason: {reason}\n");
        [&wire[..], note.as_bytes()].concat()
    };
    let differs = "The note in the capture has another reason, ";
    let same = explain(dir.path(), &noted("owner_not_accepted"), &args);
    same.assert(1, "owner_not_accepted\n");
    assert!(!same.stdout.contains(differs), "{}", same.stdout);
    let now = explain(dir.path(), &noted("owner_not_accepted"), &TRUST);
    now.assert(
        0,
        &format!(
            "\nVerdict: serve would accept it, as far as the request itself \
            goes.\n{differs}owner_not_accepted: "
        ),
    );
    explain(dir.path(), &noted("journal_full"), &args)
        .assert(1, &format!("\n{differs}journal_full: that was the state "));
}

#[test]
fn a_wrong_clock_is_found_and_its_effect_can_be_excluded() {
    let dir = tempfile::tempdir().unwrap();
    for (hours, key_of_reason) in [(40, "date_too_old"), (0, "date_ahead")] {
        let date = hours_ago(hours);
        let request = draft().set("Date", &date).sign(&key(512)).wire();
        let time = humantime::format_rfc3339_seconds(httpdate::parse_http_date(&date).unwrap())
            .to_string();
        let an_hour_before = httpdate::parse_http_date(&date).unwrap() - Duration::from_secs(3600);
        let an_hour_before = humantime::format_rfc3339_seconds(an_hour_before).to_string();
        let args = if hours == 0 {
            [&TRUST[..], &["--at", &an_hour_before]].concat()
        } else {
            TRUST.to_vec()
        };
        let ended = explain(dir.path(), &request, &args);
        let cause = format!(
            "Verdict: serve would answer 403 ({key_of_reason}).\nMost likely:  signed at {time}, \
             judged at "
        );
        ended.assert(1, &cause);
        ended.assert(1, "a clock is wrong, or the capture is old");
        ended.assert(1, "\nsignature     ok");
        let then = [&TRUST[..], &["--at", &time]].concat();
        explain(dir.path(), &request, &then).assert(0, "serve would accept it");
    }
    let late = draft().set("Date", hours_ago(20)).sign(&key(512)).wire();
    explain(dir.path(), &late, &TRUST).assert(0, " GMT, late\n");
}

#[test]
fn every_other_refusal_names_its_reason_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let signed = || draft().sign(&key(512));
    for (request, setting, verdict, told) in [
        (
            signed().method("PUT"),
            "",
            "405 (method_not_allowed)",
            "method        REFUSED",
        ),
        (
            signed().set("Content-Encoding", "gzip"),
            "",
            "415 (content_encoding)",
            "encoding      REFUSED",
        ),
        (
            signed(),
            "server.max_body=100B",
            "413 (body_too_large)",
            "a larger server.max_body accepts such a body",
        ),
        (
            draft(),
            "",
            "403 (header_missing)",
            "the header authorization is missing",
        ),
        (
            signed().add("Date", "x"),
            "",
            "403 (header_doubled)",
            "the header date is there more than once",
        ),
        (
            draft().set("Authorization", "?"),
            "",
            "403 (header_undecodable)",
            "authorization cannot be decoded",
        ),
        (
            draft().without("Content-md5").sign(&key(512)),
            "",
            "403 (content_md5_missing)",
            "require_content_md5",
        ),
        (
            signed(),
            "signing.min_key_bits=1024",
            "403 (key_too_small)",
            "the signing key has 512 bits",
        ),
        (
            Draft::with_body("<a/>", ADDRESS).sign(&key(512)),
            "",
            "400 (",
            "notification  REFUSED",
        ),
        (
            signed(),
            "accept.topic_owners=42",
            "403 (owner_not_accepted)",
            "accept.topic_owners",
        ),
        (
            signed(),
            "accept.topics=Other",
            "403 (topic_not_accepted)",
            "accept.topics",
        ),
    ] {
        let set = if setting.is_empty() {
            vec![]
        } else {
            vec!["--set", setting]
        };
        let ended = explain(dir.path(), &request.wire(), &[&TRUST[..], &set].concat());
        ended.assert(1, &format!("\nVerdict: serve would answer {verdict}"));
        ended.assert(1, told);
    }
    let untrusted = explain(dir.path(), &signed().wire(), &TRUST[..2]);
    untrusted.assert(1, "serve would answer 403 (certificate_address_refused)");
}

#[test]
fn nothing_in_a_capture_controls_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let body = String::from_utf8(Draft::new(ContentFormat::Json, "m", ADDRESS).body).unwrap();
    let hostile = body.replace("MyTopic1\"", "\\u001b[2J\\nVerdict: fine\"");
    assert_ne!(hostile, body);
    let request = Draft::with_body(hostile, ADDRESS)
        .set("x-mns-tag", "\u{9b}2J\u{85}")
        .sign(&key(512));
    let ended = explain(dir.path(), &request.wire(), &TRUST);
    ended.assert(0, "topic \\x1b[2J\n    Verdict: fine of 1269128356620446");
    ended.assert(0, "\n    x-mns-tag:\\xc2\\x9b2J\\xc2\\x85\n");
    assert!(
        !ended
            .stdout
            .contains(|letter: char| letter.is_control() && letter != '\n'),
        "{:?}",
        ended.stdout
    );
}

#[test]
fn a_capture_of_thirty_thousand_slashes_is_explained_in_bounded_work_and_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let request = draft().sign(&foreign_key(512)).to(&"/".repeat(30_000));
    let ended = explain(dir.path(), &request.wire(), &TRUST);
    ended.assert(
        1,
        "\nMost likely:  no usual change that was tried explains the signature",
    );
    ended.assert(
        1,
        "not every one was tried, because the request is far larger than one of MNS",
    );
    // The target and the string to sign have 30,000 bytes each; no candidate is printed.
    assert!(ended.stdout.len() < 100_000, "{} bytes", ended.stdout.len());
}

#[test]
fn an_incomplete_request_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let whole = draft().sign(&key(512)).wire();
    let cut = whole.len() - 3;
    for (wire, told) in [
        (
            &whole[..cut],
            "request.http is not an HTTP request: the body has ",
        ),
        (&whole[..cut], ": the capture was truncated"),
        (
            &whole[..100],
            "an empty line is missing between head and body",
        ),
        (b"", "an empty line is missing"),
        (
            b"-----BEGIN CERTIFICATE-----\n",
            "it must begin like POST /notifications HTTP/1.1",
        ),
    ] {
        explain(dir.path(), wire, &TRUST).assert(1, told);
    }
    run(dir.path(), &["explain", "none.http"]).assert(1, "cannot read none.http: No such file");
    run(dir.path(), &["explain", "."]).assert(1, "cannot read .: Is a directory");
    let request = ["explain", "request.http", "--certificate", "request.http"];
    fs::write(dir.path().join("request.http"), &whole).unwrap();
    run(dir.path(), &request).assert(
        1,
        "cannot use request.http: it is not an X.509 certificate in PEM or DER",
    );
}
