//! The destinations in the inspector: what its API says of them, and the view of the page.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::prelude::Key;

use crate::admin::{bench, get};
use crate::forward_serve::admin;
use crate::inspector::{api, token};
use crate::inspector_browser::{Browser, page};
use crate::support::{Bench, Draft, Endpoint, Nats, NatsSetup, Options, eventually, key};

/// Nobody listens there.
const NOWHERE: &str = "nats://127.0.0.1:1";

/// With a destination called `orders`.
pub fn forwarding(options: Options, servers: &str) -> Options {
    options
        .set("forward.orders.to", "nats")
        .set("forward.orders.servers", servers)
}

fn away(options: Options) -> Options {
    forwarding(options, NOWHERE)
}

/// What the API says of the only destination.
fn orders(admin: SocketAddr, token: &str) -> Value {
    let answer = api(admin, token, "/api/forwarding");
    let [one] = answer["destinations"].as_array().unwrap().as_slice() else {
        panic!("{answer}")
    };
    one.clone()
}

fn push_of(bench: &Bench, id: &str) -> u16 {
    let url = bench.draft().certificate_url();
    let format = mns_endpoint::mns::ContentFormat::Xml;
    let draft = Draft::of(id, format, b"m", &url).sign(&key(512));
    bench.endpoint.exchange(&draft.wire()).status
}

fn accept(bench: &Bench, id: &str) {
    assert_eq!(push_of(bench, id), 201);
}

fn cursor(dir: &TempDir, port: u16) -> PathBuf {
    dir.path()
        .join(format!("logs/.forward.orders.{port}.cursor"))
}

#[test]
fn without_a_destination_there_is_none() {
    let (bench, admin) = bench(|options| options);
    let answer = api(admin, &token(&bench), "/api/forwarding");
    assert_eq!(
        (&answer["destinations"], &answer["held_files"]),
        (&json!([]), &json!(0))
    );
    let shown = format!("Authorization: Bearer {}\r\n", token(&bench));
    assert_eq!(get(admin, "/api/forwarding?x=1", &shown).status, 400);
}

#[test]
fn a_destination_that_is_away_has_its_reason_before_and_after_something_waits_and_no_secret() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "hush-hush\n").unwrap();
    let path = secret.path().to_str().unwrap();
    let (bench, admin) = bench(|options| {
        away(options)
            .set("forward.orders.user", "mns")
            .set("forward.orders.password_file", path)
    });
    let token = token(&bench);
    let one = eventually("why there is no connection", || {
        let one = orders(admin, &token);
        (one["since_s"].is_u64()).then_some(one)
    });
    let expected = json!({
        "name": "orders", "kind": "nats", "target": "MNS", "servers": [NOWHERE], "topics": [],
        "ack": "journal", "answer_timeout_ms": null, "when_full": "refuse",
        "state": "disconnected", "reason": "disconnected", "full": false,
        "backlog_bytes": 0, "backlog_s": 0, "in_flight": 0, "stored": 0, "duplicates": 0,
        "failures": {}, "dead_letters": {}, "skipped_bytes": 0, "last_delivery": null, "gap": null,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&one[name], value, "{name} of {one}");
    }
    accept(&bench, "M1");
    let one = eventually("it waits", || {
        let one = orders(admin, &token);
        let waits = one["in_flight"] == 1 && one["backlog_bytes"] != 0;
        (waits && one["failures"]["disconnected"].is_u64()).then_some(one)
    });
    assert_eq!(one["state"], "disconnected", "{one}");
    let answers = [
        one.to_string(),
        api(admin, &token, "/api/about").to_string(),
    ];
    assert!(!answers.concat().contains("hush"), "{answers:?}");
}

#[test]
fn a_forwarder_that_cannot_start_says_why_and_a_gap_has_its_bounds() {
    let set = |options: Options| away(options).set("logs.rotate_size", "8KiB");
    let (bench, _) = bench(set);
    for number in 0..20 {
        accept(&bench, &format!("M{number}"));
    }
    let port = bench.endpoint.address.port();
    let Bench { endpoint, host, .. } = bench;
    let (_, dir) = endpoint.stop();
    let live = dir.path().join(format!("logs/endpoint_log.{port}"));
    for number in 1..=2 {
        fs::remove_file(format!("{}.{number}", live.display())).unwrap();
    }
    let options = Options::listing(&host.prefix()).set("admin.listen", "127.0.0.1:0");
    let options = set(options).set("server.listen", &format!("127.0.0.1:{port}"));
    let shown = |endpoint: &Endpoint| {
        let file = endpoint
            .path()
            .join(format!("logs/.inspector.{port}.token"));
        let token = fs::read_to_string(file).unwrap();
        orders(admin(endpoint), token.trim())
    };

    let endpoint = Endpoint::start_in(dir, &options);
    let one = eventually("the gap", || {
        let one = shown(&endpoint);
        one["gap"].is_object().then_some(one)
    });
    let before = one["gap"]["before"].as_str().unwrap();
    assert!(before.len() == "2026-11-24T18:40:36+08:00".len(), "{one}");
    let (_, dir) = endpoint.stop();
    let file = cursor(&dir, port);
    fs::write(&file, "x").unwrap();

    let endpoint = Endpoint::start_in(dir, &options);
    let one = shown(&endpoint);
    let told = ["state", "reason"].map(|name| one[name].as_str().unwrap());
    assert_eq!(told, ["not_started", "cursor_broken"], "{one}");
    let detail = one["detail"].as_str().unwrap();
    assert!(
        detail.contains(file.file_name().unwrap().to_str().unwrap()),
        "{detail}"
    );
    endpoint.stop();
}

#[test]
fn what_is_delivered_is_counted_and_the_cursor_saved() {
    let Some(nats) = Nats::one(&NatsSetup::default()) else {
        return;
    };
    let (bench, admin) = bench(|options| {
        forwarding(options, &nats.urls().join(","))
            .set("forward.orders.create", "missing")
            .set("forward.orders.replicas", "1")
            .set("forward.orders.ack", "forward")
    });
    let token = token(&bench);
    eventually("it is connected", || {
        (orders(admin, &token)["state"] == "connected").then_some(())
    });
    for id in ["M1", "M2", "M2"] {
        // The first one makes the stream, which may take longer than a push waits. It is forwarded
        // all the same.
        let status = push_of(&bench, id);
        assert!(status == 201 || status == 503, "{id}: {status}");
    }
    let one = eventually("all of it is settled and saved", || {
        let one = orders(admin, &token);
        let is_saved = one["saved_after_ms"].as_u64().unwrap() > 0;
        (one["duplicates"] == 1 && one["in_flight"] == 0 && is_saved).then_some(one)
    });
    let told = ["stored", "state", "reason", "ack", "answer_timeout_ms"].map(|name| &one[name]);
    let expected = [
        json!(2),
        json!("connected"),
        json!(null),
        json!("forward"),
        json!(2000),
    ];
    assert_eq!(told, expected.each_ref(), "{one}");
    assert!(one["last_delivery"].is_string(), "{one}");
}

/// How often the page has asked for this.
fn asked(browser: &Browser, path: &str) -> u64 {
    let script = format!(
        "return performance.getEntriesByType('resource')\
            .filter((one) => one.name.endsWith('{path}')).length"
    );
    browser.js(&script).as_u64().unwrap()
}

fn fact(label: &str) -> String {
    format!("document.querySelector('.destination .{label} dd')?.textContent")
}

#[test]
fn the_view_is_live_while_it_is_open_and_asks_for_nothing_while_it_is_not() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let (bench, admin) = bench(away);
    browser.goto(&page(&bench, admin, ""));
    browser.until("it is live", "document.querySelector('.status.live')");
    let alarm = "document.querySelector('.views .alarm:not([hidden])')";
    browser.until("the destination is away", alarm);
    assert_eq!(asked(&browser, "/api/forwarding"), 0);
    // By a key alone.
    browser.press("f");
    let state = "document.querySelector('.destination .status')?.textContent";
    browser.until("the state", &format!("{state} === 'Not connected'"));
    browser.until(
        "the keys scroll it",
        "document.activeElement.matches('.forwarding')",
    );
    browser.until("nothing waits", &format!("{} === '0'", fact("inFlight")));
    let current = "document.querySelector('.views [aria-current=page]').textContent";
    let current = browser.js(&format!("return {current}"));
    assert!(
        current.as_str().unwrap().starts_with("Forwarding"),
        "{current}"
    );
    let node = "document.querySelector('.destination')";
    browser.js(&format!("{node}.id = 'same'"));
    accept(&bench, "M1");
    browser.until("one waits", &format!("{} === '1'", fact("inFlight")));
    let text = browser.until("why", "document.querySelector('.wrongs .cause')?.innerText");
    assert!(text.as_str().unwrap().contains("disconnected: "), "{text}");
    assert_eq!(
        browser.js(&format!("return {node}.id")),
        "same",
        "it was replaced"
    );
    // Keys of the list do nothing here.
    browser.press("jp");
    browser.press_key(Key::Escape);
    browser.until(
        "the list",
        "document.querySelector('.list').checkVisibility()",
    );
    browser.until(
        "the keys go on there",
        "document.activeElement.id === 'list'",
    );
    browser.until(
        "it was not paused",
        "document.querySelector('.status.live')",
    );
    let (before, hours) = (
        asked(&browser, "/api/forwarding"),
        asked(&browser, "/api/hour"),
    );
    assert!(before > 1, "{before}");
    eventually("seconds have passed", || {
        (asked(&browser, "/api/hour") > hours + 1).then_some(())
    });
    // The last one may have been on its way.
    let after = asked(&browser, "/api/forwarding");
    assert!(after <= before + 1, "{before} {after}");
    // The address leads to the view, in Chinese too.
    browser.goto(&page(&bench, admin, "?view=forwarding&lang=zh"));
    browser.until("the state", &format!("{state} === '未连接'"));
    browser.assert_quiet();
}

#[test]
fn the_view_says_how_to_switch_forwarding_on() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let (bench, admin) = bench(|options| options);
    let cases = [
        ("en", "zh", "Forwarding is off"),
        ("zh", "en", "转发未启用"),
    ];
    for (language, other, text) in cases {
        let query = format!("?view=forwarding&lang={language}");
        browser.goto(&page(&bench, admin, &query));
        let title = "document.querySelector('.forwarding h2')?.textContent";
        browser.until("the title", &format!("{title} === '{text}'"));
        let how = browser.js("return document.querySelector('.forwarding').innerText");
        assert!(how.as_str().unwrap().contains("[forward.NAME]"), "{how}");
        let loaded = [language, other].map(|name| asked(&browser, &format!("/i18n/{name}.js")));
        assert_eq!(loaded, [1, 0], "the texts of one language are loaded");
    }
    browser.assert_quiet();
}
