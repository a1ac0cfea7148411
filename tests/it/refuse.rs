//! Refused requests, and what each refusal leaves: a fixed text, one access line, one record, no
//! superfluous fetch.

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mns_endpoint::mns::{ContentFormat, ContentMd5, Notation};
use mns_endpoint::server::Reason;
use mns_endpoint::trust::PEER_FETCHES;
use strum::IntoEnumIterator;

use crate::support::{
    Bench, CertificateHost, Draft, Mode, Refusal, answer_within, attribute, cheap, date,
    eventually, file, foreign_key, key, looked_at, unread,
};

type Alter = fn(Draft) -> Draft;

#[test]
fn every_required_header_must_be_present_once_and_decodable() {
    let bench = Bench::new();
    let cases: [(Reason, &str, Alter); 19] = [
        (Reason::HeaderMissing, "authorization", |push| {
            push.without("authorization")
        }),
        (Reason::HeaderMissing, "x-mns-signing-cert-url", |push| {
            push.without("x-mns-signing-cert-url")
        }),
        (Reason::HeaderMissing, "date", |push| push.without("date")),
        (Reason::HeaderDoubled, "authorization", |push| {
            push.add("Authorization", "c2ln")
        }),
        (Reason::HeaderDoubled, "x-mns-signing-cert-url", |push| {
            push.add("x-mns-signing-cert-url", "c2ln")
        }),
        (Reason::HeaderDoubled, "date", |push| {
            push.add("Date", date(0))
        }),
        (Reason::HeaderDoubled, "x-mns-date", |push| {
            push.add("x-mns-date", date(0)).add("X-Mns-Date", date(0))
        }),
        (Reason::HeaderDoubled, "content-md5", |push| {
            push.add("Content-MD5", ContentMd5::of(b"").upper_hex())
        }),
        (Reason::HeaderDoubled, "content-type", |push| {
            push.add("content-type", "text/plain")
        }),
        (Reason::HeaderDoubled, "x-mns-version", |push| {
            push.add("x-mns-version", "2015-06-06")
        }),
        (Reason::HeaderDoubled, "x-mns-new", |push| {
            push.add("x-mns-new", "1").add("x-mns-new", "2")
        }),
        (Reason::HeaderUndecodable, "authorization", |push| {
            push.set("Authorization", "MNS id:c2ln")
        }),
        (Reason::HeaderUndecodable, "authorization", |push| {
            push.set("Authorization", "")
        }),
        (
            Reason::HeaderUndecodable,
            "x-mns-signing-cert-url",
            |push| push.set("x-mns-signing-cert-url", "http://a/"),
        ),
        (
            Reason::HeaderUndecodable,
            "x-mns-signing-cert-url",
            |push| push.set("x-mns-signing-cert-url", ""),
        ),
        (Reason::HeaderUndecodable, "date", |push| {
            push.set("Date", "yesterday")
        }),
        (Reason::HeaderUndecodable, "x-mns-date", |push| {
            push.set("x-mns-date", "yesterday")
        }),
        (Reason::HeaderUndecodable, "content-md5", |push| {
            push.set("Content-md5", "none")
        }),
        (Reason::HeaderUndecodable, "content-md5", |push| {
            push.set("Content-md5", "")
        }),
    ];
    for (reason, header, alter) in cases {
        let entry = bench.check(&alter(bench.draft().sign(&key(512))), cheap(403, reason));
        let hint = attribute(&entry, "Hint").unwrap();
        assert!(
            String::from_utf8(hint)
                .unwrap()
                .contains(&format!("the header {header} "))
        );
    }
}

#[test]
fn a_date_outside_the_window_is_refused() {
    let bench = Bench::new();
    let strict = Bench::with(|options| options.set("signing.max_age", "15m"));
    for (bench, name, seconds, reason) in [
        (&bench, "Date", -25 * 3600 - 5, Reason::DateTooOld),
        (&bench, "Date", 15 * 60 + 60, Reason::DateAhead),
        (&bench, "x-mns-date", -25 * 3600 - 5, Reason::DateTooOld),
        (&bench, "x-mns-date", 15 * 60 + 60, Reason::DateAhead),
        (&strict, "Date", -15 * 60 - 5, Reason::DateTooOld),
    ] {
        bench.check(
            &bench.draft().set(name, date(seconds)).sign(&key(512)),
            cheap(403, reason),
        );
    }
}

#[test]
fn a_body_that_no_signed_digest_ties_to_its_push_is_refused() {
    let bench = Bench::new();
    bench.check(
        &bench.draft().without("Content-md5").sign(&key(512)),
        cheap(403, Reason::ContentMd5Missing),
    );
    for notation in [Notation::Hex, Notation::Base64Hex, Notation::Base64] {
        let signed = bench.draft().notation(notation).sign(&key(512));
        let swapped = [signed.body.as_slice(), b"\n"].concat();
        bench.check(
            &signed.clone().swap_body(swapped),
            cheap(403, Reason::ContentMd5Mismatch),
        );
        bench.check(
            &signed.swap_body(""),
            cheap(403, Reason::ContentMd5Mismatch),
        );
    }
    let lax = Bench::with(|options| options.set("signing.require_content_md5", "false"));
    lax.accept(&lax.draft().without("Content-md5").sign(&key(512)));
    let other = lax
        .draft()
        .set("Content-md5", ContentMd5::of(b"other").upper_hex())
        .sign(&key(512));
    lax.check(&other, cheap(403, Reason::ContentMd5Mismatch));
}

#[test]
fn an_address_that_is_not_allowed_is_refused_and_never_fetched() {
    // tests/it/addresses.rs has all kinds. At these addresses somebody would listen.
    let bench = Bench::new();
    let other = CertificateHost::serving(&key(512));
    let (good, evil) = (bench.host.address, other.address);
    let port = good.port();
    for address in [
        format!("http://{evil}/x.pem"),
        format!("http://{good}@{evil}/x.pem"),
        format!("http://{evil}#@{good}/x.pem"),
        format!("http://{good}\\@{evil}/x.pem"),
        format!("http://user@{good}/x.pem"),
        format!("http://localhost:{port}/x.pem"),
        format!("http://[::ffff:127.0.0.1]:{port}/x.pem"),
        format!("http://{good}/x.pem\n"),
        format!("http://{good}/redirect?to=x.pem"),
    ] {
        let draft = Draft::new(ContentFormat::Xml, "m", &address).sign(&key(512));
        bench.check(&draft, cheap(403, Reason::CertificateAddressRefused));
    }
    assert_eq!(other.requests(), 0);
}

#[test]
fn a_peer_that_keeps_naming_new_certificates_gets_503_and_nothing_is_fetched_for_it() {
    let bench = Bench::new();
    let (known, foreign) = (
        bench.draft().sign(&key(512)),
        bench.draft().sign(&foreign_key(512)),
    );
    bench.accept(&known);
    bench.check(
        &foreign,
        Refusal {
            fetches: 2,
            ..looked_at(403, Reason::SignatureWrong)
        },
    );
    bench.host.set(Mode::Hang);
    for _ in 3..PEER_FETCHES.burst {
        assert_eq!(bench.ask(&bench.draft().sign(&key(512))).0.status, 503);
    }
    let asked = bench.host.requests();
    // With a new address. The bucket may have gained one fetch in the meantime.
    bench.ask(&bench.draft().sign(&key(512)));
    assert!(bench.host.requests() <= asked + 1);
    bench.check(
        &bench.draft().sign(&key(512)),
        cheap(503, Reason::CertificateOverBudget),
    );
    bench.accept(&known);
}

#[test]
fn a_wrong_signature_is_refused_after_its_certificate_was_fetched_again() {
    let cases: [Alter; 17] = [
        |push| push.sign(&foreign_key(512)),
        |push| push.sign(&foreign_key(1024)),
        |push| push.to("/other").sign(&key(512)).to("/notifications"),
        |push| {
            push.to("/notifications/")
                .sign(&key(512))
                .to("/notifications")
        },
        |push| push.sign(&key(512)).to("/notifications?"),
        |push| {
            push.to("/notifications?a=1")
                .sign(&key(512))
                .to("/notifications?a=2")
        },
        |push| push.method("PUT").sign(&key(512)).method("POST"),
        |push| push.sign(&key(512)).set("x-mns-message-tag", "other"),
        |push| {
            push.set("x-mns-message-tag", "one")
                .sign(&key(512))
                .set("x-mns-message-tag", "One")
        },
        |push| {
            push.set("x-mns-message-tag", "one")
                .sign(&key(512))
                .without("x-mns-message-tag")
        },
        |push| push.sign(&key(512)).set("x-mns-unknown", ""),
        |push| {
            push.sign(&key(512))
                .set("Content-Type", "text/plain; charset=utf-8")
        },
        |push| push.sign(&key(512)).set("Date", date(-2)),
        |push| {
            push.sign(&key(512))
                .swap_body("other")
                .notation(Notation::Hex)
        },
        |push| push.sign(&key(512)).notation(Notation::Base64),
        |push| {
            let signature = key(512).sign(&push.string_to_sign()).unwrap();
            push.set(
                "Authorization",
                STANDARD.encode(&signature[..signature.len() - 1]),
            )
        },
        |push| push.set("Authorization", STANDARD.encode([0; 64])),
    ];
    // One peer does not have enough fetches for all of them.
    for some in cases.chunks(9) {
        let bench = Bench::new();
        for alter in some {
            let draft = alter(bench.draft_in(ContentFormat::Simplified));
            bench.check(
                &draft,
                Refusal {
                    fetches: 2,
                    ..looked_at(403, Reason::SignatureWrong)
                },
            );
            bench.check(
                &draft,
                Refusal {
                    fetches: 0,
                    ..looked_at(403, Reason::SignatureWrong)
                },
            );
        }
    }
}

#[test]
fn a_key_below_min_key_bits_is_refused() {
    let bench = Bench::with(|options| options.set("signing.min_key_bits", "1024"));
    bench.check(
        &bench.draft().sign(&key(512)),
        looked_at(403, Reason::KeyTooSmall),
    );
    bench
        .host
        .set(Mode::Serve(key(1024).certificate_pem().as_bytes().to_vec()));
    bench.accept(&bench.draft().sign(&key(1024)));
}

#[test]
fn a_genuine_push_for_somebody_else_is_refused() {
    for (setting, others, ours, reason) in [
        (
            "accept.topic_owners",
            "1,126912835662044",
            "1,1269128356620446",
            Reason::OwnerNotAccepted,
        ),
        (
            "accept.topics",
            "MyTopic,mytopic1",
            "MyTopic,MyTopic1",
            Reason::TopicNotAccepted,
        ),
        (
            "accept.sources",
            "10.0.0.0/8,127.0.0.2",
            "10.0.0.0/8,127.0.0.0/8",
            Reason::SourceNotAccepted,
        ),
    ] {
        let (closed, open) = (
            Bench::with(|all| all.set(setting, others)),
            Bench::with(|all| all.set(setting, ours)),
        );
        for format in [
            ContentFormat::Xml,
            ContentFormat::Json,
            ContentFormat::Simplified,
        ] {
            closed.check(
                &closed.draft_in(format).sign(&key(512)),
                looked_at(403, reason),
            );
            open.accept(&open.draft_in(format).sign(&key(512)));
        }
    }
}

#[test]
fn a_refusal_after_the_signature_names_the_push_the_value_and_the_file() {
    for (setting, value, hint) in [
        (
            "accept.topic_owners",
            "1",
            "the topic's owner \"1269128356620446\" is not one of accept.topic_owners; ",
        ),
        (
            "accept.topics",
            "Other",
            "the topic \"MyTopic1\" is not one of accept.topics; ",
        ),
        (
            "accept.sources",
            "10.0.0.0/8",
            "the peer's address 127.0.0.1 is not in accept.sources; ",
        ),
    ] {
        let bench = Bench::with(|all| {
            all.set(setting, value)
                .set("logs.access_fields", "message_id")
        });
        for format in [
            ContentFormat::Xml,
            ContentFormat::Json,
            ContentFormat::Simplified,
        ] {
            let draft = bench
                .draft_in(format)
                .set("x-mns-message-tag", "t")
                .sign(&key(512));
            let before = bench.log().len();
            let mut files = Vec::new();
            // A repeated request is saved once, and both records name the file.
            for _ in 0..2 {
                let (answer, line) = bench.ask(&draft);
                assert_eq!(answer.status, 403);
                assert!(
                    line.ends_with(&format!(" \"{}\"", draft.message_id)),
                    "{line}"
                );
                let entry = eventually("its record is there", || {
                    bench.log().get(before + files.len()).cloned()
                });
                let is = |name: &str, wanted: &[u8]| {
                    assert_eq!(attribute(&entry, name).unwrap(), wanted, "{name}")
                };
                is("MessageId", draft.message_id.as_bytes());
                is("TopicOwner", b"1269128356620446");
                is("TopicName", b"MyTopic1");
                is("SubscriptionName", b"MyTopic1-Sub1");
                is("Message", b"m");
                let shown = String::from_utf8(attribute(&entry, "Hint").unwrap()).unwrap();
                assert!(shown.starts_with(hint), "{shown}");
                files
                    .push(String::from_utf8(attribute(&entry, "QuarantineFile").unwrap()).unwrap());
            }
            assert_eq!(files[0], files[1]);
            let path = bench.endpoint.path().join(&files[0]);
            // The name of the file exists before its complete content.
            let kept = eventually("its head is kept", || {
                let kept = std::fs::read(&path).ok()?;
                let has_head = kept.windows(4).any(|bytes| bytes == b"\r\n\r\n");
                has_head.then_some(kept)
            });
            assert_eq!(
                Draft::read(&kept).header("authorization"),
                draft.header("authorization")
            );
        }
        // A stranger's request is named as well, but without attributes: none of it is proven.
        let forged = bench.draft().sign(&foreign_key(512));
        assert_eq!(bench.ask(&forged).0.status, 403);
        let entry = eventually("its record is there", || {
            bench
                .log()
                .pop()
                .filter(|entry| attribute(entry, "Reason").as_deref() == Some(b"signature_wrong"))
        });
        assert!(attribute(&entry, "MessageId").is_none());
        let file = String::from_utf8(attribute(&entry, "QuarantineFile").unwrap()).unwrap();
        assert!(file.ends_with(".unproved.http"), "{file}");
    }
}

#[test]
fn a_refused_message_is_cut_in_its_record_as_the_body_is() {
    let bench = Bench::with(|all| {
        all.set("accept.topics", "Other")
            .set("logs.refused_body", "100")
    });
    let draft = Draft::new(
        ContentFormat::Simplified,
        "m".repeat(5000),
        &bench.host.url(&file()),
    )
    .sign(&key(512));
    assert_eq!(bench.ask(&draft).0.status, 403);
    let entry = eventually("its record is there", || {
        bench
            .log()
            .pop()
            .filter(|entry| entry.place == "receive.rs:3")
    });
    assert_eq!(
        attribute(&entry, "Message").unwrap(),
        "m".repeat(100).as_bytes()
    );
}

#[test]
fn a_signed_body_that_is_no_notification_is_refused() {
    let bench = Bench::new();
    let (xml, json) = (bench.draft().body, bench.draft_in(ContentFormat::Json).body);
    let (xml, json) = (
        String::from_utf8(xml).unwrap(),
        String::from_utf8(json).unwrap(),
    );
    let replaced = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        text.replacen(from, to, 1).into_bytes()
    };
    let not_utf8 = |text: &str| {
        text.bytes()
            .map(|byte| if byte == b'B' { 0xff } else { byte })
            .collect()
    };
    let cases: Vec<(Vec<u8>, Reason)> = vec![
        (b"hello".to_vec(), Reason::BodyNotRecognised),
        (b"[]".to_vec(), Reason::BodyNotRecognised),
        (Vec::new(), Reason::BodyNotRecognised),
        (replaced(&xml, "</Notification>", ""), Reason::BodyMalformed),
        (
            replaced(&xml, "</Notification>", "</Notification>x"),
            Reason::BodyMalformed,
        ),
        (b"<html></html>".to_vec(), Reason::BodyMalformed),
        (
            json.as_bytes()[..json.len() - 1].to_vec(),
            Reason::BodyMalformed,
        ),
        (format!("{json}x").into_bytes(), Reason::BodyMalformed),
        (
            replaced(&xml, "PublishTime>1463476256857</PublishTime", "Other/"),
            Reason::ElementMissing,
        ),
        (
            replaced(&json, "TopicName", "topicName"),
            Reason::ElementMissing,
        ),
        (
            replaced(&xml, "<TopicName>", "<TopicName>a</TopicName><TopicName>"),
            Reason::ElementDoubled,
        ),
        (
            replaced(&json, "{", "{\"TopicName\":\"a\","),
            Reason::ElementDoubled,
        ),
        (
            replaced(
                &xml,
                "<Notification",
                "<!DOCTYPE n [<!ENTITY e \"e\">]><Notification",
            ),
            Reason::DocumentType,
        ),
        (replaced(&xml, "UTF-8", "GBK"), Reason::BodyNotUtf8),
        (not_utf8(&xml), Reason::BodyNotUtf8),
        (not_utf8(&json), Reason::BodyNotUtf8),
    ];
    for (body, reason) in cases {
        let draft = Draft::with_body(body, &bench.host.url(&file())).sign(&key(512));
        bench.check(&draft, looked_at(400, reason));
    }
}

#[test]
fn a_failing_source_causes_503_and_no_other_fetch() {
    let bench = Bench::with(|options| {
        let mut options = options.set("signing.fetch_timeout", "1s");
        options.trust.push("http://127.0.0.1:1/".to_owned());
        options
    });
    let other = CertificateHost::serving(&key(512));
    let good = key(512).certificate_pem().to_owned();
    let answer = |status: &str, header: &str| {
        Mode::Raw(
            format!("HTTP/1.1 {status}\r\n{header}\r\nconnection: close\r\n\r\n{good}")
                .into_bytes(),
        )
    };
    for mode in [
        Mode::Hang,
        Mode::Stall,
        Mode::Raw(b"what?\r\n\r\n".to_vec()),
        answer("404 Not Found", "x: y"),
        answer("500 Internal Server Error", "x: y"),
        answer("203 Non-Authoritative Information", "x: y"),
        answer(
            "301 Moved Permanently",
            &format!("location: {}", other.url("x.pem")),
        ),
        answer("302 Found", &format!("location: {}", other.url("x.pem"))),
        answer(
            "307 Temporary Redirect",
            &format!("location: {}", bench.host.url("x.pem")),
        ),
        answer(
            "200 OK",
            &format!(
                "refresh: 0; url={}\r\ncontent-length: 5",
                other.url("x.pem")
            ),
        ),
        Mode::Serve(format!("{good}{}", "\n".repeat(16 * 1024)).into_bytes()),
        Mode::Serve(b"<html><body>Sign in to this network</body></html>".to_vec()),
        Mode::Serve(Vec::new()),
    ] {
        bench.host.set(mode);
        let refusal = Refusal {
            fetches: 1,
            ..cheap(503, Reason::CertificateUnavailable)
        };
        bench.check(&bench.draft().sign(&key(512)), refusal);
    }
    let nobody_there =
        Draft::new(ContentFormat::Xml, "m", "http://127.0.0.1:1/x.pem").sign(&key(512));
    bench.check(&nobody_there, cheap(503, Reason::CertificateUnavailable));
    assert_eq!(other.requests(), 0);
}

#[test]
fn while_the_key_cannot_be_fetched_again_no_push_is_called_forged() {
    let bench = Bench::new();
    let draft = bench.draft().sign(&key(512));
    bench.accept(&draft);
    bench.host.set(Mode::Hang);
    let perhaps = draft.clone().sign(&foreign_key(512));
    bench.check(&perhaps, looked_at(503, Reason::CertificateUnavailable));
    bench.check(
        &perhaps,
        Refusal {
            fetches: 0,
            ..looked_at(503, Reason::CertificateUnavailable)
        },
    );
    bench.accept(&draft);
}

#[test]
fn a_timeout_before_the_proof_is_reported_as_ours() {
    let bench = Bench::with(|options| options.set("signing.fetch_timeout", "2900ms"));
    bench.host.set(Mode::Stall);
    let draft = bench.draft().sign(&key(512));
    let wire = draft.wire();
    let started = Instant::now();
    bench.check_on(
        &draft,
        Refusal {
            fetches: 1,
            ..cheap(503, Reason::OutOfTime)
        },
        |stream| {
            // The time counts from the first byte, so the fetch does not get all of it.
            stream.write_all(&wire[..1]).unwrap();
            assert!(!answer_within(stream, Duration::from_millis(400)));
            stream.write_all(&wire[1..]).unwrap();
        },
    );
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn another_path_or_method_is_a_warning_only_if_mns_might_have_sent_it() {
    let bench = Bench::new();
    for (method, target, status, reason) in [
        ("POST", "/other?x=1", 404, Reason::PathNotServed),
        ("POST", "/", 404, Reason::PathNotServed),
        ("POST", "/notifications/", 404, Reason::PathNotServed),
        ("POST", "/Notifications", 404, Reason::PathNotServed),
        ("POST", "//notifications", 404, Reason::PathNotServed),
        ("POST", "/notification%73", 404, Reason::PathNotServed),
        ("POST", "/x/../notifications", 404, Reason::PathNotServed),
        ("POST", "/healthz", 404, Reason::PathNotServed),
        ("GET", "/favicon.ico", 404, Reason::PathNotServed),
        ("OPTIONS", "*", 404, Reason::PathNotServed),
        ("GET", "/notifications", 405, Reason::MethodNotAllowed),
        ("PUT", "/notifications?x", 405, Reason::MethodNotAllowed),
        ("DELETE", "/notifications", 405, Reason::MethodNotAllowed),
        ("OPTIONS", "/notifications", 405, Reason::MethodNotAllowed),
        ("post", "/notifications", 405, Reason::MethodNotAllowed),
    ] {
        let draft = bench.draft().method(method).to(target).sign(&key(512));
        bench.check(&draft, unread(status, reason));
        let stranger = [
            "x-mns-request-id",
            "x-mns-version",
            "x-mns-signing-cert-url",
        ];
        let stranger = stranger.into_iter().fold(draft, Draft::without);
        bench.check(
            &stranger,
            Refusal {
                level: "INFO",
                ..unread(status, reason)
            },
        );
    }
}

#[test]
fn a_record_shows_the_target_that_is_not_served_and_no_more_of_it_than_512_bytes() {
    let bench = Bench::new();
    let short = "/wp-login.php?a=%0A&b=[2016-05-17]";
    let (long, quoted) = (format!("/{}", "a".repeat(600)), "/\"".repeat(300));
    for (sent, shown) in [
        (short, format!("GET {short}")),
        (&long, format!("GET {}", &long[..508])),
        // A quote needs as much room as in the access log.
        (&quoted, format!("GET {}", &quoted[..203])),
    ] {
        let draft = Draft {
            headers: vec![(
                "x-mns-request-id".to_owned(),
                b"573AE020B2B71CFC6801A6EF".to_vec(),
            )],
            ..bench.draft()
        };
        let before = bench.log().len();
        bench.ask(&draft.method("GET").to(sent).swap_body(""));
        let entry = eventually("a record", || bench.log().into_iter().nth(before));
        assert_eq!(attribute(&entry, "Reason").unwrap(), b"path_not_served");
        let target = String::from_utf8(attribute(&entry, "Target").unwrap()).unwrap();
        assert_eq!(target, shown);
        assert_eq!(
            attribute(&entry, "RequestId").unwrap(),
            b"573AE020B2B71CFC6801A6EF"
        );
    }
}

#[test]
fn a_body_that_is_too_large_is_not_read_completely() {
    let bench = Bench::with(|options| options.set("server.max_body", "1KiB"));
    let announced = |length: &str| bench.draft().set("Content-length", length).sign(&key(512));
    for length in ["1025", "600000", "9999999999999"] {
        let draft = announced(length);
        bench.check_wire(&draft, &draft.head(), unread(413, Reason::BodyTooLarge));
    }
    let chunked = bench
        .draft()
        .without("Content-length")
        .set("Transfer-Encoding", "chunked")
        .sign(&key(512));
    let chunk = [b"400\r\n".as_slice(), &[b'x'; 1024], b"\r\n"].concat();
    for more in [
        b"1\r\nx".to_vec(),
        b"fffffff\r\nx".to_vec(),
        chunk.repeat(20),
    ] {
        let wire = [chunked.head(), chunk.clone(), more].concat();
        bench.check_wire(&chunked, &wire, unread(413, Reason::BodyTooLarge));
    }
    let largest = Draft {
        body: vec![b'x'; 1024],
        ..bench.draft_in(ContentFormat::Simplified)
    };
    bench.accept(
        &largest
            .set("Content-length", "1024")
            .notation(Notation::Hex)
            .sign(&key(512)),
    );
}

#[test]
fn an_encoded_body_is_refused_unread() {
    let bench = Bench::new();
    for encoding in ["gzip", "br", "identity", ""] {
        let draft = bench
            .draft()
            .set("Content-Encoding", encoding)
            .sign(&key(512));
        bench.check_wire(&draft, &draft.head(), unread(415, Reason::ContentEncoding));
    }
}

#[test]
fn a_body_that_does_not_arrive_in_time_is_given_up() {
    let bench = Bench::with(|options| options.set("server.body_timeout", "300ms"));
    let draft = bench.draft().sign(&key(512));
    let in_time = |write: &dyn Fn(&mut std::net::TcpStream)| {
        eventually("it was given up in time", || {
            let started = Instant::now();
            bench.check_on(&draft, unread(408, Reason::BodyTooSlow), write);
            // Well below the 3 s of a complete request.
            (started.elapsed() < Duration::from_millis(2900)).then_some(())
        });
    };
    in_time(&|stream| stream.write_all(&draft.head()).unwrap());
    in_time(&|stream| {
        stream
            .write_all(&[draft.head(), b"<".to_vec()].concat())
            .unwrap()
    });
    in_time(&|stream| {
        stream.write_all(&draft.head()).unwrap();
        // Sending a byte occasionally does not extend the time.
        for byte in draft.body.chunks(1) {
            stream.write_all(byte).unwrap();
            if answer_within(stream, Duration::from_millis(20)) {
                return;
            }
        }
    });
}

#[test]
fn a_body_that_ends_early_or_in_broken_chunks_is_rejected() {
    let bench = Bench::new();
    let draft = bench.draft().sign(&key(512));
    bench.check_on(&draft, unread(400, Reason::BodyBroken), |stream| {
        stream
            .write_all(&[draft.head(), b"<".to_vec()].concat())
            .unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    });
    let chunked = draft
        .without("Content-length")
        .set("Transfer-Encoding", "chunked")
        .sign(&key(512));
    for chunk in ["zz\r\n", "1\r\nxx", "ffffffffffffffffff\r\n"] {
        let wire = [chunked.head(), chunk.as_bytes().to_vec()].concat();
        bench.check_wire(&chunked, &wire, unread(400, Reason::BodyBroken));
    }
}

#[test]
fn only_the_beginning_of_a_refused_body_is_logged() {
    for (setting, shown) in [("10", 10), ("0", 0), ("4KiB", 4096)] {
        let bench = Bench {
            shown,
            ..Bench::with(|options| options.set("logs.refused_body", setting))
        };
        // The cut is within a character.
        let draft = bench
            .draft()
            .sign(&key(512))
            .swap_body("\n 重要 \\x41\r\n".repeat(500));
        bench.check(&draft, cheap(403, Reason::ContentMd5Mismatch));
        bench.check(
            &draft.swap_body("short"),
            cheap(403, Reason::ContentMd5Mismatch),
        );
    }
}

#[test]
fn every_reason_that_a_peer_can_cause_has_its_test_here() {
    let others = [
        // Caused by the disk or by us.
        Reason::JournalFull,
        Reason::JournalRefused,
        Reason::JournalFailed,
        // The destinations' doing.
        Reason::ForwardBacklogFull,
        Reason::ForwardUnavailable,
        Reason::ForwardLate,
        Reason::ForwardRefused,
        // Caused by several peers together: see limits.
        Reason::TooManyInFlight,
        // Remarks on accepted pushes.
        Reason::MessageMd5Mismatch,
        Reason::DateLate,
    ];
    for reason in Reason::iter().filter(|reason| !others.contains(reason)) {
        assert!(
            include_str!("refuse.rs").contains(&format!("Reason::{reason:?}")),
            "{reason:?}"
        );
    }
}
