//! The emulator's page: what it shows and does, who may ask for it, and that clients of the API see
//! no difference.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use mns_endpoint::mns::api::NotifyStrategy;
use serde_json::{Value, json};

use crate::inspector::{
    assert_guarded, assert_never_parses_markup, assert_same_texts, assert_served, page_files,
};
use crate::inspector_browser::{AXE, Browser};
use crate::support::{Answer, LocalMns, Subscriber, eventually, exchange};

const OWN: &str = "emulator/page/web";
/// The page's paths besides its files, with what each takes.
const PATHS: [(&str, &str); 5] = [
    ("/", "GET"),
    ("/-/state", "GET"),
    ("/-/publish", "POST"),
    ("/-/deliver", "POST"),
    ("/-/chaos", "POST"),
];
const BACKOFF: NotifyStrategy = NotifyStrategy::BackoffRetry;

fn address(mns: &LocalMns) -> SocketAddr {
    mns.address.parse().unwrap()
}

fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n\
         {body}"
    );
    exchange(address, request.as_bytes())
}

/// As the page posts.
fn post(mns: &LocalMns, path: &str, value: &Value) -> (u16, Value) {
    let headers = format!(
        "Host: {0}\r\nOrigin: http://{0}\r\nSec-Fetch-Site: same-origin\r\n\
         Content-Type: application/json\r\n",
        mns.address
    );
    let answer = ask(address(mns), "POST", path, &headers, &value.to_string());
    assert_guarded(&answer);
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

fn state(mns: &LocalMns) -> Value {
    let answer = ask(address(mns), "GET", "/-/state", "Host: localhost\r\n", "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "no-store");
    serde_json::from_str(&answer.body).unwrap()
}

/// The state of the one subscription.
fn subscription(mns: &LocalMns) -> Value {
    state(mns)["topics"][0]["subscriptions"][0].clone()
}

fn publish(mns: &LocalMns, message: &str) -> Value {
    let (status, told) = post(
        mns,
        "/-/publish",
        &json!({ "topic": "T", "message": message, "tag": "tag" }),
    );
    assert_eq!(status, 200, "{told}");
    told
}

#[test]
fn its_files_are_served_as_they_are_under_the_strict_policy() {
    let mns = LocalMns::start(&[]);
    let files = page_files(OWN);
    assert!(files.len() > 12, "{}", files.len());
    assert_served(address(&mns), "/-/", files);
}

#[test]
fn it_makes_elements_in_one_module_and_has_the_same_texts_in_both_languages() {
    let files = page_files(OWN);
    assert_never_parses_markup(&files);
    assert_same_texts(&files, &[]);
    let (_, english) = files.iter().find(|(name, _)| name == "i18n/en.js").unwrap();
    for kind in state(&LocalMns::start(&[]))["chaos"].as_array().unwrap() {
        let key = kind["kind"].as_str().unwrap();
        assert!(
            english.contains(&format!("    {key}:")) || english.contains(&format!("    '{key}':")),
            "{key}"
        );
    }
}

#[tokio::test]
async fn what_it_publishes_is_pushed_and_shown_with_the_answer() {
    let subscriber = Subscriber::start(|_| Some(201));
    let mns = LocalMns::start(&[]);
    mns.subscribe(&subscriber.url(), BACKOFF).await;
    let told = publish(&mns, "<b>\u{4e2d}</b>");
    assert_eq!(told["subscriptions"], json!(["S"]));
    // It is counted before the message is removed.
    let one = eventually("it is delivered and removed", || {
        let one = subscription(&mns);
        (one["delivered"] == 1 && one["undelivered"] == 0 && one["state"] == "idle").then_some(one)
    });
    let pushed = subscriber.pushed();
    assert_eq!(pushed[0].request.body(), "<b>\u{4e2d}</b>".as_bytes());
    assert_eq!(subscriber.header("x-mns-message-tag"), ["tag"]);
    let shown = state(&mns);
    let attempt = &shown["attempts"][0];
    assert_eq!(attempt["message_id"], told["message_id"]);
    let facts = [
        "number",
        "topic",
        "subscription",
        "attempt",
        "status",
        "failure",
        "forgery",
    ];
    assert_eq!(
        facts.map(|name| attempt[name].clone()),
        [
            json!(1),
            json!("T"),
            json!("S"),
            json!(1),
            json!(201),
            Value::Null,
            Value::Null
        ]
    );
    assert!(attempt["took_us"].as_u64().unwrap() > 0);
    assert_eq!(one["endpoint"], subscriber.url());
    assert_eq!(
        ["state", "undelivered", "delivered", "next_ms"].map(|name| one[name].clone()),
        [json!("idle"), json!(0), json!(1), Value::Null]
    );
}

#[tokio::test]
async fn deliver_now_pushes_what_would_wait_ten_seconds() {
    // A third failure in a row would slow the pace, and this test with it.
    const MESSAGES: usize = 2;
    let subscriber = Subscriber::start(|number| Some(if number < MESSAGES { 500 } else { 201 }));
    let mns = LocalMns::start(&[]);
    mns.subscribe(&subscriber.url(), BACKOFF).await;
    for number in 0..MESSAGES {
        publish(&mns, &format!("m{number}"));
    }
    // A failed push is counted just before its message gets a new time. Until then `next_ms` is 0.
    let (asked, waiting) = eventually("both wait", || {
        let asked = Instant::now();
        let one = subscription(&mns);
        let waits = one["next_ms"].as_u64() > Some(0) && one["state"] != "pushing";
        (one["failed_pushes"] == MESSAGES && waits).then_some((asked, one))
    });
    assert_eq!(waiting["undelivered"], MESSAGES);
    assert_eq!(waiting["last_failure"], "the endpoint answered 500");
    let next = Duration::from_millis(waiting["next_ms"].as_u64().unwrap());
    let order = json!({ "topic": "T", "subscription": "S" });
    let (status, told) = post(&mns, "/-/deliver", &order);
    assert_eq!((status, &told["messages"]), (200, &json!(MESSAGES)));
    mns.await_count("delivered", MESSAGES as u64);
    assert!(asked.elapsed() < next, "{waiting}");
    assert_eq!(subscriber.pushed().len(), 2 * MESSAGES);
    let unknown = json!({ "topic": "T", "subscription": "X" });
    let (status, told) = post(&mns, "/-/deliver", &unknown);
    assert_eq!(
        (status, &told["error"]),
        (404, &json!("SubscriptionNotExist"))
    );
}

#[tokio::test]
async fn deliver_now_repeats_nothing_that_is_in_flight() {
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let subscriber = Subscriber::start(move |_| {
        held.lock().unwrap().recv().ok();
        Some(201)
    });
    let mns = LocalMns::start(&[]);
    mns.subscribe(&subscriber.url(), BACKOFF).await;
    publish(&mns, "m");
    eventually("it is in flight", || {
        (subscription(&mns)["state"] == "pushing" && subscriber.pushed().len() == 1).then_some(())
    });
    let order = json!({ "topic": "T", "subscription": "S" });
    assert_eq!(post(&mns, "/-/deliver", &order).1["messages"], 0);
    drop(release);
    mns.await_count("delivered", 1);
    mns.await_count("undelivered", 0);
    assert_eq!(subscriber.pushed().len(), 1);
}

#[tokio::test]
async fn chaos_is_switched_on_and_off_while_it_runs() {
    let subscriber = Subscriber::start(|number| Some(if number == 0 { 403 } else { 201 }));
    let mns = LocalMns::start(&[]);
    mns.subscribe(&subscriber.url(), BACKOFF).await;
    let (status, told) = post(
        &mns,
        "/-/chaos",
        &json!({ "rates": { "bad-signature": 1.0 } }),
    );
    assert_eq!(status, 200, "{told}");
    publish(&mns, "m");
    mns.await_count("delivered", 1);
    assert_eq!(subscriber.pushed().len(), 2, "a forgery comes first");
    let shown = state(&mns);
    assert_eq!(
        shown["forgeries"],
        json!({ "refused": 1, "believed": 0, "unanswered": 0 })
    );
    let seen = |at: usize| {
        (
            &shown["attempts"][at]["forgery"],
            &shown["attempts"][at]["status"],
        )
    };
    assert_eq!(seen(0), (&Value::Null, &json!(201)));
    assert_eq!(seen(1), (&json!("bad-signature"), &json!(403)));
    let of = |kind: &str| {
        let all = shown["chaos"].as_array().unwrap();
        all.iter().find(|one| one["kind"] == kind).unwrap().clone()
    };
    let (forged, slow) = (of("bad-signature"), of("slow"));
    assert_eq!(
        (&forged["rate"], &forged["struck"]),
        (&json!(1.0), &json!(1))
    );
    assert_eq!((&slow["rate"], &slow["usual"]), (&json!(0.0), &json!(0.02)));
    for wrong in [
        json!({ "rates": { "fast": 0.5 } }),
        json!({ "rates": { "slow": 1.5 } }),
        json!({ "rates": { "slow": -0.1 } }),
        json!({ "rates": { "slow": "much" } }),
        json!({ "rates": {}, "seed": 1 }),
        json!({}),
        json!([]),
    ] {
        let (status, told) = post(&mns, "/-/chaos", &wrong);
        assert_eq!(
            (status, &told["error"]),
            (400, &json!("InvalidArgument")),
            "{wrong}"
        );
    }
    assert_eq!(
        state(&mns)["chaos"],
        shown["chaos"],
        "a wrong rate changes none"
    );
    post(&mns, "/-/chaos", &json!({ "rates": {} }));
    publish(&mns, "n");
    mns.await_count("delivered", 2);
    assert_eq!(subscriber.pushed().len(), 3);
    assert!(
        mns.stop().contains("bad-signature 1"),
        "what struck is reported at the end"
    );
}

#[test]
fn a_foreign_host_or_page_is_refused_at_every_path() {
    let mns = LocalMns::start(&[]);
    let own = format!("Host: {}\r\n", mns.address);
    let pages = [
        ("Origin: http://evil.example\r\n", 403),
        ("Origin: null\r\n", 403),
        (
            "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\n",
            403,
        ),
        ("Sec-Fetch-Site: same-site\r\n", 403),
        ("Host: evil.example\r\n", 421),
        ("Host: evil.example\r\nOrigin: http://evil.example\r\n", 421),
    ];
    let files =
        ["/-/emulator.js", "/-/app.css", "/-/no-such", "/-/%73tate"].map(|path| (path, "GET"));
    for (path, method) in PATHS.into_iter().chain(files) {
        for (headers, status) in pages {
            let host = if headers.starts_with("Host") {
                ""
            } else {
                &own
            };
            let headers = format!("{host}{headers}Content-Type: application/json\r\n");
            let answer = ask(address(&mns), method, path, &headers, "{}");
            assert_eq!(answer.status, status, "{method} {path} {headers}");
            assert_guarded(&answer);
        }
    }
    assert_eq!(state(&mns)["attempts"], json!([]));
}

#[test]
fn each_path_takes_its_method_and_json_alone() {
    let mns = LocalMns::start(&[]);
    let own = format!("Host: {}\r\n", mns.address);
    let json_type = format!("{own}Content-Type: application/json; charset=utf-8\r\n");
    for (path, taken) in PATHS.into_iter().skip(1) {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"] {
            let answer = ask(address(&mns), method, path, &json_type, "{}");
            assert_eq!(answer.status == 405, method != taken, "{method} {path}");
            assert_guarded(&answer);
        }
    }
    for (path, taken) in PATHS {
        if taken == "POST" {
            for content_type in ["", "Content-Type: text/plain\r\n", "Content-Type: a/b\r\n"] {
                let headers = format!("{own}{content_type}");
                let answer = ask(address(&mns), taken, path, &headers, "{}");
                assert_eq!(answer.status, 415, "{path} {content_type}");
            }
            let large = format!("{{\"message\":\"{}\"}}", "x".repeat(512 * 1024));
            let answer = ask(address(&mns), taken, path, &json_type, &large);
            assert_eq!(answer.status, 400, "{path}");
        }
    }
    for path in [
        "/-/",
        "/-/state/",
        "/-/index.html",
        "/-/i18n",
        "/-/..%2fstatus",
        "/-/%73tate",
    ] {
        assert_eq!(
            ask(address(&mns), "GET", path, &own, "").status,
            404,
            "{path}"
        );
    }
}

#[test]
fn clients_of_the_api_see_no_page() {
    let mns = LocalMns::start(&[]);
    let version = "Host: a\r\nx-mns-version: 2015-06-06\r\n";
    for (method, path, headers, code) in [
        ("GET", "/", version, "InvalidRequestURL"),
        ("GET", "/?accountmeta=true", "Host: a\r\n", "NotSupported"),
        ("PUT", "/?accountmeta=true", version, "NotSupported"),
        ("GET", "/?accountmeta=true", version, "NotSupported"),
        ("POST", "/", "Host: a\r\n", "InvalidRequestURL"),
        ("GET", "/-", "Host: a\r\n", "InvalidRequestURL"),
        ("GET", "//-/state", "Host: a\r\n", "InvalidRequestURL"),
        ("GET", "/%2d/state", "Host: a\r\n", "InvalidRequestURL"),
        ("GET", "/topics", version, "MissingAuthorizationHeader"),
        ("GET", "/topics/-", version, "MissingAuthorizationHeader"),
        (
            "GET",
            "/topics",
            "Host: a\r\nOrigin: http://evil.example\r\n",
            "MissingVersionHeader",
        ),
    ] {
        let answer = ask(address(&mns), method, path, headers, "");
        let code = format!("<Code>{code}</Code>");
        assert!(answer.body.contains(&code), "{method} {path}: {answer:?}");
        assert_eq!(answer.headers["server"], "AliyunMQS");
        assert!(
            !answer.headers.contains_key("content-security-policy"),
            "{path}"
        );
    }
}

/// An address of this machine that is not its loopback, if it has one.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").ok()?;
    let own = socket.local_addr().unwrap().ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "a test that tests nothing has to say so"
)]
fn with_a_key_of_its_own_it_is_for_its_own_machine() {
    let Some(own) = own_address() else {
        println!("SKIPPED: this machine has no address but its loopback");
        return;
    };
    let public = ["--public-url", "http://127.0.0.1:9"];
    for (args, elsewhere) in [
        (&["--access-key", "a:secret"][..], 403),
        (&["--no-auth"][..], 200),
        (&[][..], 200),
    ] {
        let mns = LocalMns::listen("0.0.0.0:0", &[&public, args].concat());
        let here = mns.bound();
        let there = SocketAddr::from((own, here.port()));
        for (from, status) in [(here, 200), (there, elsewhere)] {
            let headers = format!("Host: {from}\r\n");
            let answer = ask(from, "GET", "/-/state", &headers, "");
            assert_eq!(answer.status, status, "{args:?} {from}: {}", answer.body);
            assert_eq!(ask(from, "GET", "/", &headers, "").status, 200);
        }
    }
}

/// The subscription and what its button says, as the page shows them.
const SUBSCRIPTION: &str = "document.querySelector('.subscription')";
const ROWS: &str = "document.querySelectorAll('.attempts tbody tr').length";

#[test]
fn a_browser_publishes_delivers_now_and_switches_chaos() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let subscriber = Subscriber::start(|number| Some(if number == 0 { 500 } else { 201 }));
    let mns = LocalMns::start(&[]);
    browser.goto(&format!("http://{}/?theme=light", mns.address));
    browser.until(
        "it says how to begin",
        "document.querySelector('.topics .shell')",
    );
    browser.shot("emulator_empty");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(mns.subscribe(&subscriber.url(), BACKOFF));
    browser.until("the subscription", SUBSCRIPTION);
    browser.until(
        "the topic",
        "document.querySelector('[name=topic]').value === 'T'",
    );
    browser.js("document.querySelector('[name=message]').value = '<b>\u{202e}</b>'");
    browser.js("document.querySelector('form .primary').click()");
    browser.until("it is published", "document.querySelector('.answer code')");
    browser.until("it failed once", &format!("{ROWS} === 1"));
    browser.until(
        "it waits",
        &format!("{SUBSCRIPTION}.classList.contains('waits')"),
    );
    browser.shot("emulator_waits");
    browser.js(&format!("{SUBSCRIPTION}.querySelector('.act').click()"));
    browser.until("it is delivered", &format!("{ROWS} === 2"));
    assert_eq!(
        subscriber.pushed()[1].request.body(),
        "<b>\u{202e}</b>".as_bytes()
    );
    browser.js("document.querySelectorAll('.chaos .buttons button')[0].click()");
    let everything = "document.querySelectorAll('.chaos [role=switch]:checked').length";
    browser.until("all are on", &format!("{everything} === 8"));
    eventually("the emulator has them", || {
        (state(&mns)["chaos"][0]["rate"] == 0.05).then_some(())
    });
    browser.shot("emulator");
    if let Some(axe) = AXE.as_ref() {
        for theme in ["light", "dark"] {
            browser.goto(&format!("http://{}/?theme={theme}&lang=zh", mns.address));
            browser.until("the attempts", &format!("{ROWS} === 2"));
            browser.js(axe);
            let found = browser.js_later(
                "axe.run().then((r) => done(r.violations.map((v) => \
                 [v.id, ...v.nodes.map((n) => n.html)].join(' '))))",
            );
            assert_eq!(found, json!([]), "{theme}");
            browser.shot(&format!("emulator_{theme}"));
        }
    }
    browser.assert_quiet();
}

#[test]
fn axe_finds_nothing_in_any_view_of_a_desk_or_a_phone_and_none_is_wider() {
    let Some(axe) = AXE.as_ref() else {
        return;
    };
    let Some(browser) = Browser::open() else {
        return;
    };
    let long = "a".repeat(200);
    let subscriber = Subscriber::start(|number| Some(if number == 0 { 500 } else { 201 }));
    let mns = LocalMns::start(&[]);
    let mut found = Vec::new();
    let mut look = |view: &str| {
        for size in ["desk", "phone"] {
            if size == "phone" {
                browser.be_a_phone();
            }
            for theme in ["light", "dark"] {
                browser.set_system_theme(theme);
                let name = format!("emulator-{size}-{view}-{theme}");
                found.extend(browser.violations(&name, axe));
                found.extend(browser.too_wide(&name));
            }
        }
        browser.devtools("Emulation.clearDeviceMetricsOverride", json!({}));
    };
    browser.goto(&format!("http://{}/", mns.address));
    let empty = "document.querySelector('.topics .shell')";
    browser.until("it says how to begin", empty);
    look("empty");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(mns.subscribe(&subscriber.url(), BACKOFF));
    browser.until("the subscription", SUBSCRIPTION);
    publish(&mns, &long);
    let waits = format!("{SUBSCRIPTION}.classList.contains('waits')");
    browser.until("it waits", &waits);
    look("waits");
    post(
        &mns,
        "/-/deliver",
        &json!({ "topic": "T", "subscription": "S" }),
    );
    browser.until("it is delivered", &format!("{ROWS} === 2"));
    let rates = json!({ "rates": { "bad-signature": 1.0 } });
    post(&mns, "/-/chaos", &rates);
    publish(&mns, "forged first");
    browser.until(
        "a forgery that is believed",
        "document.querySelector('td .wrong')",
    );
    look("chaos");
    // What is refused is said.
    browser.js("document.querySelector('[name=topic]').value = 'no such topic'");
    browser.js("document.querySelector('form .primary').click()");
    browser.until("the notice", "document.querySelector('.notice.bad')");
    look("refused");
    drop(mns);
    browser.until("it is lost", "document.querySelector('.status.lost')");
    look("lost");
    assert_eq!(found, Vec::<String>::new());
}
