//! The inspector: who may see it, what it gives, and that every answer of the admin listener is
//! guarded.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use mns_endpoint::mns::ContentFormat;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::admin::{bench, get};
use crate::support::{Answer, Bench, Draft, eventually, exchange, key, run};

/// The token that serve has made.
pub fn token(bench: &Bench) -> String {
    let port = bench.endpoint.address.port();
    let path = bench
        .endpoint
        .path()
        .join(format!("logs/.inspector.{port}.token"));
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

fn ask(admin: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    exchange(admin, request.as_bytes())
}

/// Each path of the admin listener, whether it wants the token of the inspector, and the methods
/// that it takes.
const PATHS: [(&str, bool, &[&str]); 11] = [
    ("/", false, &["GET", "HEAD"]),
    ("/inspector/app.js", false, &["GET", "HEAD"]),
    ("/healthz", false, &["GET", "HEAD"]),
    ("/readyz", false, &["GET", "HEAD"]),
    ("/metrics", false, &["GET", "HEAD"]),
    ("/api/about", true, &["GET", "HEAD"]),
    ("/api/replay", true, &["POST"]),
    ("/api/hour", true, &["GET", "HEAD"]),
    ("/api/forwarding", true, &["GET", "HEAD"]),
    ("/api/stream", true, &["GET", "HEAD"]),
    ("/api/notifications", true, &["GET", "HEAD"]),
];
/// Paths that are others to a program that decodes or cleans them.
const LOOKALIKES: [&str; 17] = [
    "/%61pi/about",
    "/%61pi/stream",
    "//api/about",
    "//api/stream",
    "/api//about",
    "/api/about/",
    "/api/./about",
    "/x/../api/about",
    "/API/about",
    "/api/forwarding/",
    "/api/%66orwarding",
    "/api",
    "/api/",
    "/api/about%00",
    "/api/notifications/",
    "/api/notifications/..%2f",
    "/api/notifications/1-1/request/",
];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"];
const HOSTS: [(&str, bool); 4] = [
    ("Host: localhost\r\n", true),
    ("Host: 127.0.0.1:9080\r\n", true),
    ("Host: evil.example\r\n", false),
    ("Host: localhost.evil.example\r\n", false),
];
/// What a browser adds for the page that asks.
const PAGES: [(&str, bool); 8] = [
    ("", true),
    (
        "Origin: http://HOST\r\nSec-Fetch-Site: same-origin\r\n",
        true,
    ),
    ("Sec-Fetch-Site: none\r\n", true),
    ("Origin: http://evil.example\r\n", false),
    ("Origin: null\r\n", false),
    (
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n",
        false,
    ),
    ("Sec-Fetch-Site: same-site\r\n", false),
    ("Origin: http://HOST.evil.example\r\n", false),
];

#[test]
fn every_path_and_method_is_guarded_whatever_host_origin_and_token_are() {
    let (bench, admin) = bench(|options| options);
    let token = token(&bench);
    let tokens = [
        (String::new(), false),
        ("Authorization: Bearer wrong\r\n".to_owned(), false),
        (format!("Authorization: Bearer {token}\r\n"), true),
    ];
    let known = PATHS
        .iter()
        .map(|(path, needs, methods)| (*path, *needs, *methods));
    let all = known.chain(LOOKALIKES.map(|path| (path, false, &[][..])));
    for (path, needs_token, methods) in all {
        let tried = if methods.is_empty() {
            &METHODS[..3]
        } else {
            &METHODS[..]
        };
        for method in tried.iter().copied() {
            for (host, is_ours) in HOSTS {
                for (page, is_own) in PAGES {
                    for (shown, is_right) in &tokens {
                        let name = host.trim().trim_start_matches("Host: ");
                        let headers = [host, &page.replace("HOST", name), shown].concat();
                        let expected = match () {
                            () if !is_ours => 421,
                            () if !is_own => 403,
                            () if methods.is_empty() => 404,
                            () if !methods.contains(&method) => 405,
                            () if needs_token && !is_right => 401,
                            // It has no body.
                            () if path == "/api/replay" => 415,
                            () => 200,
                        };
                        // Of wrong tokens there are five a second, and of streams sixteen.
                        let answer = eventually("another second", || {
                            let answer = ask_bodyless(admin, method, path, &headers);
                            (answer.status != 429 && answer.status != 503).then_some(answer)
                        });
                        assert_eq!(answer.status, expected, "{method} {path} {headers}");
                        assert_guarded(&answer);
                        if needs_token && matches!(expected, 200 | 401 | 415) {
                            let is_stream = path == "/api/stream" && expected == 200;
                            let kept = if is_stream {
                                "no-cache, no-transform"
                            } else {
                                "no-store"
                            };
                            assert_eq!(answer.headers["cache-control"], kept, "{path}");
                        }
                        let data = ["version", "items", "minutes", "destinations", "hello"];
                        let gives_data = data.iter().any(|word| answer.body.contains(word));
                        let is_file = path == "/metrics" || path.starts_with("/inspector/");
                        let may = expected == 200 && (needs_token || is_file);
                        assert!(may || !gives_data, "{method} {path} {headers}");
                    }
                }
            }
        }
    }
}

/// The answer to HEAD has the length of what it leaves out.
fn ask_bodyless(admin: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    if method != "HEAD" {
        return ask(admin, method, path, headers);
    }
    let request = format!("HEAD {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    let mut answer = Vec::new();
    let mut stream = crate::support::send(admin, request.as_bytes());
    stream.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8(answer).unwrap();
    let without_length = text
        .lines()
        .filter(|line| !line.to_lowercase().starts_with("content-length"))
        .map(|line| format!("{line}\r\n"))
        .collect::<String>();
    crate::support::read_answer(&mut without_length.as_bytes())
}

#[track_caller]
pub fn assert_guarded(answer: &Answer) {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
        connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
        require-trusted-types-for 'script'; trusted-types 'none'";
    for (name, value) in [
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        let found = answer.headers.get(name).map(String::as_str);
        assert_eq!(found, Some(value), "{name} of {}", answer.status);
    }
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    assert!(!answer.headers.contains_key("set-cookie"));
}

#[test]
fn a_link_from_elsewhere_leads_to_the_listener_and_brings_no_token() {
    let (_bench, admin) = bench(|options| options);
    let link = "Host: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n";
    assert_eq!(ask(admin, "GET", "/healthz", link).status, 200);
    assert_eq!(ask(admin, "GET", "/api/about", link).status, 401);
}

#[test]
fn five_wrong_tokens_a_second_are_enough() {
    let (bench, admin) = bench(|options| options);
    let right = format!("Authorization: Bearer {}\r\n", token(&bench));
    let wrong = "Authorization: Bearer wrong\r\n";
    // The second that the first one begins may end in between.
    let statuses = eventually("six in one second", || {
        let statuses: Vec<u16> = (0..6)
            .map(|_| get(admin, "/api/about", wrong).status)
            .collect();
        (statuses[5] == 429).then_some(statuses)
    });
    assert!(
        statuses[..5]
            .iter()
            .all(|status| matches!(status, 401 | 429))
    );
    // Neither is the right one distinguished, nor is anybody without a token kept out.
    assert_eq!(get(admin, "/healthz", "").status, 200);
    eventually("the second is over", || {
        (get(admin, "/api/about", &right).status == 200).then_some(())
    });
}

#[test]
fn the_token_is_kept_as_the_logs_are_and_printed_by_inspect_alone() {
    let (bench, admin) = bench(|options| options.set("logs.mode", "0600"));
    let token = token(&bench);
    let port = bench.endpoint.address.port();
    let file = bench
        .endpoint
        .path()
        .join(format!("logs/.inspector.{port}.token"));
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let address = bench.endpoint.address.to_string();
    let (listen, logs) = (format!("admin.listen={admin}"), ["--log-dir", "logs"]);
    let inspect = |set: &[&str]| {
        let common = ["inspect", "--listen", &address];
        run(bench.endpoint.path(), &[&common[..], &logs, set].concat())
    };
    let printed = inspect(&["--set", &listen]);
    printed.assert(0, &format!("http://{admin}/#token={token}\n"));
    let shown = format!("Authorization: Bearer {token}\r\n");
    let about = get(admin, "/api/about", &shown);
    let about: Value = serde_json::from_str(&about.body).unwrap();
    assert_eq!(
        (&about["port"], &about["request"]),
        (&port.into(), &"full".into())
    );
    assert_eq!(get(admin, "/api/about?x=1", &shown).status, 400);
    inspect(&["--set", "admin.listen=off"]).assert(1, "admin.listen is off");
    inspect(&["--set", "admin.listen=127.0.0.1:0"]).assert(1, "has port 0");
    let other = ["--set", &listen, "--set", "logs.dir=none"];
    run(bench.endpoint.path(), &[&["inspect"][..], &other].concat())
        .assert(1, "has serve been started with this configuration?");
    // Stdout is no terminal here.
    let start = bench.endpoint.start_lines.concat();
    let (rest, dir) = bench.endpoint.stop();
    let told = std::fs::read_to_string(dir.path().join("stderr")).unwrap();
    let logs = std::fs::read_dir(dir.path().join("logs")).unwrap();
    let logged: String = logs
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with(file.file_name().unwrap()))
        .map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned())
        .collect();
    for text in [start, rest, told, logged] {
        assert!(!text.contains(&token));
    }
}

#[test]
fn a_token_of_the_configuration_is_that_of_the_inspector_too() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret\n").unwrap();
    let path = file.path().to_str().unwrap();
    let (bench, admin) = bench(|options| options.set("admin.token_file", path));
    let shown = "Authorization: Bearer s3cret\r\n";
    assert_eq!(get(admin, "/api/about", shown).status, 200);
    assert_eq!(get(admin, "/api/about", "").status, 401);
    let port = bench.endpoint.address.port();
    let made = bench
        .endpoint
        .path()
        .join(format!("logs/.inspector.{port}.token"));
    assert!(!made.exists(), "none is made");
}

/// A push of this message.
fn saying(bench: &Bench, message: &str) -> Draft {
    let url = bench.draft().certificate_url();
    Draft::new(ContentFormat::Simplified, message, &url)
}

/// A stream of events.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(admin: SocketAddr, token: &str, query: &str) -> Self {
        let request = format!(
            "GET /api/stream{query} HTTP/1.1\r\nHost: localhost\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        let stream = crate::support::send(admin, request.as_bytes());
        Self(BufReader::new(stream))
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| line.trim_end().to_owned())
    }

    /// The next event of this name.
    #[track_caller]
    fn next(&mut self, name: &str) -> Value {
        let wanted = format!("event: {name}");
        loop {
            let line = self
                .line()
                .unwrap_or_else(|| panic!("the stream ended before {name}"));
            if line == wanted {
                let mut data = self.line().unwrap();
                while !data.starts_with("data: ") {
                    data = self.line().unwrap();
                }
                return serde_json::from_str(&data["data: ".len()..]).unwrap();
            }
        }
    }

    /// The next row.
    #[track_caller]
    fn row(&mut self) -> Value {
        self.next("rows")["rows"][0].clone()
    }
}

pub fn api(admin: SocketAddr, token: &str, path: &str) -> Value {
    let answer = get(admin, path, &format!("Authorization: Bearer {token}\r\n"));
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{path}: {answer:?}"))
}

#[test]
fn what_arrives_is_in_the_stream_within_a_second_and_as_it_was_answered() {
    let (bench, admin) = bench(|options| options);
    let token = token(&bench);
    let mut all = Events::open(admin, &token, "");
    let mut refused = Events::open(admin, &token, "?outcome=refused,deferred");
    let mut searched = Events::open(admin, &token, "?q=topic:mytopic1+NEEDLE");
    for stream in [&mut all, &mut refused, &mut searched] {
        assert_eq!(stream.next("hello")["seq"], 0);
    }
    assert_eq!(all.next("state")["ready"], true);
    let mut pushes = 0;
    // A busy machine may be late for some of them.
    let (push, row) = eventually("a row within a second", || {
        let push = bench.draft().sign(&key(512));
        pushes += 1;
        let begun = Instant::now();
        bench.accept(&push);
        let row = all.row();
        (begun.elapsed() < Duration::from_secs(1)).then_some((push, row))
    });
    let topic = (&row["topic"], &row["subscription"], &row["outcome"]);
    assert_eq!(
        topic,
        (
            &json!("MyTopic1"),
            &json!("MyTopic1-Sub1"),
            &json!("accepted")
        )
    );
    assert_eq!(
        (&row["status"], &row["claimed"]),
        (&json!(201), &json!(false))
    );
    assert!(row["took_us"].as_u64().unwrap() > 0);
    bench.accept(&push);
    assert_eq!(all.row()["outcome"], "duplicate");
    let forged = bench.draft().sign(&key(1024));
    assert_eq!(bench.endpoint.exchange(&forged.wire()).status, 403);
    for stream in [&mut all, &mut refused] {
        let row = stream.row();
        let told = (
            &row["outcome"],
            &row["reason"],
            &row["claimed"],
            &row["topic"],
        );
        let expected = ["refused", "signature_wrong"].map(|word| json!(word));
        assert_eq!(
            told,
            (&expected[0], &expected[1], &json!(true), &json!("MyTopic1"))
        );
    }
    let scan = b"GET /wp-login.php HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(bench.endpoint.exchange(scan).status, 404);
    let row = all.row();
    let told = (&row["outcome"], &row["target"], &row["method"]);
    assert_eq!(
        told,
        (&json!("other"), &json!("/wp-login.php"), &json!("GET"))
    );
    bench.accept(&saying(&bench, "a NEEDLE in it").sign(&key(512)));
    assert_eq!(searched.row()["preview"], "a NEEDLE in it");
    // One that was away takes up where it was.
    let mut again = Events::open(admin, &token, &format!("?after={}", pushes + 2));
    let missed = again.next("rows");
    let numbers: Vec<u64> = missed["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["seq"].as_u64().unwrap())
        .collect();
    let expected = vec![pushes + 3, pushes + 4];
    assert_eq!((numbers, &missed["skipped"]), (expected, &json!(0)));
    bench.endpoint.signal(Signal::TERM);
    // One whose last event is still on its way ends without it.
    let has_bye = |stream: &mut Events| {
        let lines: Vec<String> = std::iter::from_fn(|| stream.line()).collect();
        lines.iter().any(|line| line == "event: bye")
    };
    let streams = [&mut all, &mut refused, &mut searched, &mut again];
    assert!(streams.map(has_bye).contains(&true));
    bench.endpoint.end();
}

#[test]
fn sixteen_streams_are_open_at_most_and_one_that_ends_makes_room() {
    let (bench, admin) = bench(|options| options);
    let token = token(&bench);
    let mut open: Vec<Events> = (0..16).map(|_| Events::open(admin, &token, "")).collect();
    open.iter_mut()
        .for_each(|stream| drop(stream.next("hello")));
    let shown = format!("Authorization: Bearer {token}\r\n");
    let refused = get(admin, "/api/stream", &shown);
    assert_eq!(
        (refused.status, refused.headers["retry-after"].as_str()),
        (503, "5")
    );
    assert!(refused.body.contains("too_many_streams"));
    // They are no idle connections: whoever asks for something else is answered.
    for _ in 0..70 {
        assert_eq!(get(admin, "/healthz", "Connection: close\r\n").status, 200);
    }
    open.pop();
    eventually("there is room again", || {
        let mut stream = crate::support::send(
            admin,
            format!("GET /api/stream HTTP/1.1\r\nHost: localhost\r\n{shown}\r\n").as_bytes(),
        );
        let mut line = [0; 12];
        stream.read_exact(&mut line).unwrap();
        (&line == b"HTTP/1.1 200").then_some(())
    });
}

#[test]
fn the_list_is_paged_from_the_newest_and_each_is_shown_whole() {
    let (bench, admin) = bench(|options| options);
    let token = token(&bench);
    let message = "{\"id\":9007199254740993,\"a\":1,\"a\":2,\"t\":\"\u{202e}<script>\"}";
    for number in 0..5 {
        let draft = saying(&bench, message).set("x-mns-message-tag", format!("t{number}"));
        bench.accept(&draft.sign(&key(512)));
    }
    let seen = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["tag"].as_str().unwrap().to_owned())
            .collect()
    };
    let page = api(admin, &token, "/api/notifications?limit=2");
    assert_eq!(
        (seen(&page), &page["done"]),
        (vec!["t4".to_owned(), "t3".into()], &json!(false))
    );
    let next = page["next"].as_str().unwrap();
    let page = api(
        admin,
        &token,
        &format!("/api/notifications?limit=200&before={next}"),
    );
    assert_eq!(seen(&page), ["t2", "t1", "t0"]);
    // Behind memory are the log files, which have nothing more.
    let mut next = page["next"].as_str().unwrap().to_owned();
    // One that took too long is asked on.
    let files = eventually("all is searched", || {
        let path = format!("/api/notifications?limit=200&before={next}");
        let files = api(admin, &token, &path);
        assert_eq!(seen(&files), [""; 0]);
        if let Some(further) = files["next"].as_str() {
            next = further.to_owned();
        }
        (files["done"] == true).then_some(files)
    });
    assert_eq!(files["next"], json!(null));
    assert_eq!(
        seen(&api(admin, &token, "/api/notifications?tag=t3")),
        ["t3"]
    );
    assert_eq!(
        seen(&api(
            admin,
            &token,
            "/api/notifications?q=%22a%22%3A2&limit=1"
        )),
        ["t4"]
    );
    assert_eq!(
        seen(&api(admin, &token, "/api/notifications?q=absent")),
        [""; 0]
    );
    let shown = format!("Authorization: Bearer {token}\r\n");
    for wrong in [
        "limit=0",
        "limit=201",
        "limit=x",
        "before=1",
        "x=1",
        "outcome=x",
        "since=25:00",
    ] {
        let answer = get(admin, &format!("/api/notifications?{wrong}"), &shown);
        assert_eq!(
            (answer.status, answer.body.contains("parameter_wrong")),
            (400, true),
            "{wrong}"
        );
    }
    let id = page["items"][0]["id"].as_str().unwrap();
    let detail = api(admin, &token, &format!("/api/notifications/{id}"));
    assert_eq!(detail["message"], message);
    let attributes: Vec<&str> = detail["attributes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| pair[0].as_str().unwrap())
        .collect();
    assert_eq!(attributes.len(), 8);
    assert_eq!(detail["request"]["target"], "/notifications");
    let checks = api(admin, &token, &format!("/api/notifications/{id}/checks"));
    assert_eq!(checks["verdict"], json!({ "status": 201, "reason": null }));
    let message_file = get(admin, &format!("/api/notifications/{id}/message"), &shown);
    assert_eq!(message_file.body, message);
    assert_eq!(
        message_file.headers["content-type"],
        "application/octet-stream"
    );
    assert_eq!(message_file.headers["cache-control"], "no-store");
    assert_eq!(
        message_file.headers["content-disposition"],
        "attachment; filename=\"notification.message\""
    );
    // The request is what explain reads.
    let request = get(admin, &format!("/api/notifications/{id}/request"), &shown);
    let file = bench.endpoint.path().join("request.http");
    std::fs::write(&file, &request.body).unwrap();
    let trust = ["--trust", &bench.host.url("")];
    let explained = run(
        bench.endpoint.path(),
        &[&["explain", "request.http"][..], &trust].concat(),
    );
    explained.assert(0, "");
    for gone in [format!("{id}0"), "1-1".into(), "none".into()] {
        assert_eq!(
            get(admin, &format!("/api/notifications/{gone}"), &shown).status,
            410,
            "{gone}"
        );
    }
}

#[test]
fn the_hour_has_what_was_counted_and_who_is_backed_off_from() {
    let (bench, admin) = bench(|options| options);
    let token = token(&bench);
    bench.accept(&bench.draft().sign(&key(512)));
    let forged = bench.draft().sign(&key(1024));
    let hour = || api(admin, &token, "/api/hour");
    let first = hour();
    let minute = &first["minutes"][59];
    assert_eq!(first["minutes"].as_array().unwrap().len(), 60);
    assert_eq!(
        (&minute["accepted"], &minute["other_refused"]),
        (&json!(1), &json!(0))
    );
    let subscription = |hour: &Value| hour["subscriptions"][0].clone();
    assert_eq!(subscription(&first)["backing_off"], false);
    assert_eq!(bench.endpoint.exchange(&forged.wire()).status, 403);
    let second = hour();
    assert_eq!(second["minutes"][59]["other_refused"], 1);
    assert_eq!(subscription(&second)["backing_off"], true);
    let genuine = bench.draft().sign(&key(512)).wire();
    assert_eq!(bench.endpoint.exchange(&genuine).status, 201);
    assert_eq!(subscription(&hour())["backing_off"], false);
}

#[test]
fn a_secret_path_is_shown_in_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let secret = "0123456789abcdefghijklmnopqrstuvwxyz";
    let file = dir.path().join("path");
    std::fs::write(&file, secret).unwrap();
    let path = file.to_str().unwrap();
    let (bench, admin) = bench(|options| options.set("server.secret_path_file", path));
    let token = token(&bench);
    let referer = format!("http://x/n/{secret}");
    let draft = bench
        .draft()
        .to(&format!("/n/{secret}"))
        .set("Referer", referer);
    bench.accept(&draft.sign(&key(512)));
    let wrong = format!("GET /n/{secret} HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(bench.endpoint.exchange(wrong.as_bytes()).status, 405);
    let mut stream = Events::open(admin, &token, "?after=0");
    let rows = stream.next("rows");
    let shown = format!("Authorization: Bearer {token}\r\n");
    let mut all = vec![
        rows.to_string(),
        api(admin, &token, "/api/about").to_string(),
    ];
    for row in rows["rows"].as_array().unwrap() {
        assert_eq!(row["target"], "/n/***");
        let id = row["id"].as_str().unwrap();
        for part in ["", "/request", "/checks"] {
            let path = format!("/api/notifications/{id}{part}");
            all.push(get(admin, &path, &shown).body);
        }
    }
    all.push(api(admin, &token, "/api/notifications").to_string());
    all.push(api(admin, &token, &format!("/api/notifications?q={secret}")).to_string());
    assert!(all.iter().any(|text| text.contains("***")));
    for text in all {
        assert!(!text.contains(secret), "{text}");
    }
}

/// The files of a page by name, its own below `own` and those that the pages share.
pub fn page_files(own: &str) -> Vec<(String, String)> {
    let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for root in [src.join(own), src.join("page/shared")] {
        for dir in [root.clone(), root.join("i18n")] {
            for entry in std::fs::read_dir(dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let name = path.strip_prefix(&root).unwrap().display().to_string();
                    files.push((name, std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
    }
    files.sort();
    files
}

const OWN: &str = "admin/inspector/page";

/// Asserts that each file of a page is served as it is, guarded, and once to a browser that keeps
/// it.
#[track_caller]
pub fn assert_served(address: SocketAddr, prefix: &str, files: Vec<(String, String)>) {
    let mut total = 0;
    for (name, text) in files {
        let path = match name.as_str() {
            "index.html" => "/".to_owned(),
            name => format!("{prefix}{name}"),
        };
        let answer = get(address, &path, "");
        assert_eq!((answer.status, &answer.body), (200, &text), "{path}");
        let kind = match name.rsplit('.').next().unwrap() {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(answer.headers["content-type"], kind, "{path}");
        assert_eq!(answer.headers["cache-control"], "no-cache");
        assert_guarded(&answer);
        let tag = format!("If-None-Match: {}\r\n", answer.headers["etag"]);
        let again = get(address, &path, &tag);
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
        // A browser loads the texts of one language.
        if name != "i18n/zh.js" {
            total += text.len();
        }
    }
    assert!(total < 140 * 1024, "the page has {total} bytes");
}

#[test]
fn every_file_of_the_page_is_served_as_it_is_and_once() {
    let (_bench, admin) = bench(|options| options);
    let files = page_files(OWN);
    assert!(files.len() > 12);
    assert_served(admin, "/inspector/", files);
}

/// Asserts that a page makes its elements in `dom.js` alone, and asks nobody else for anything.
#[track_caller]
pub fn assert_never_parses_markup(files: &[(String, String)]) {
    let markup = "innerHTML|outerHTML|insertAdjacent|document\\.write|\\beval\\b|Function\\(|\
        srcdoc|javascript:|DOMParser|createContextualFragment|setHTML|new Worker|importScripts";
    let markup = regex::Regex::new(markup).unwrap();
    let makes = regex::Regex::new(r"createElement|createTextNode|setAttributeNS").unwrap();
    let address = regex::Regex::new(r"https?:").unwrap();
    let is_own = |line: &str| {
        // A namespace is no address, and these are shown, never asked.
        line.contains("http://www.w3.org/2000/svg") || line.contains("http://127.0.0.1:")
    };
    for (name, text) in files {
        for (number, line) in (1..).zip(text.lines()) {
            let place = format!("{name}:{number}: {line}");
            assert!(!markup.is_match(line), "{place}");
            assert!(name == "dom.js" || !makes.is_match(line), "{place}");
            assert!(!address.is_match(line) || is_own(line), "{place}");
            let is_style = line.contains(" style=") || line.contains(" style:");
            assert!(!is_style || name.ends_with(".css"), "{place}");
        }
    }
}

#[test]
fn the_page_makes_elements_in_one_module_and_never_parses_markup() {
    let files = page_files(OWN);
    let seen: usize = files.iter().map(|(_, text)| text.len()).sum();
    assert!(seen > 50_000, "this test is blind");
    assert_never_parses_markup(&files);
}

/// The keys of a file of texts: those of its objects behind their names.
fn text_keys(text: &str) -> Vec<String> {
    let key = regex::Regex::new(r"^( +)'?([\w-]+)'?:(.*)$").unwrap();
    let mut within = String::new();
    let mut keys = Vec::new();
    for line in text.lines() {
        let Some(found) = key.captures(line) else {
            continue;
        };
        let (indent, name) = (found[1].len(), &found[2]);
        assert!(indent == 2 || indent == 4, "{line}");
        if indent == 2 {
            name.clone_into(&mut within);
        }
        let is_function = found[3].contains("=>");
        let path = if indent == 2 {
            name.to_owned()
        } else {
            format!("{within}.{name}")
        };
        keys.push(format!("{path}{}", if is_function { "()" } else { "" }));
    }
    keys
}

/// Asserts that a page has the same texts in both languages: those that its modules say or look up
/// `by_name`, and no other. Returns their keys.
#[track_caller]
pub fn assert_same_texts(files: &[(String, String)], by_name: &[&str]) -> Vec<String> {
    let of = |name: &str| {
        let (_, text) = files.iter().find(|(file, _)| file == name).unwrap();
        text_keys(text)
    };
    let (english, chinese) = (of("i18n/en.js"), of("i18n/zh.js"));
    assert_eq!(english, chinese);
    let said = regex::Regex::new(r"\bsay\.(\w+)").unwrap();
    let mut used: Vec<String> = by_name.iter().map(|name| (*name).to_owned()).collect();
    for (name, text) in files {
        if name.ends_with(".js") && !name.starts_with("i18n/") {
            used.extend(said.captures_iter(text).map(|found| found[1].to_owned()));
        }
    }
    let top = |keys: &[String]| -> std::collections::BTreeSet<String> {
        keys.iter()
            .map(|key| {
                key.split('.')
                    .next()
                    .unwrap()
                    .trim_end_matches("()")
                    .to_owned()
            })
            .collect()
    };
    assert_eq!(top(&english), top(&used));
    english
}

#[test]
fn both_languages_have_the_same_texts_and_one_for_every_reason() {
    use strum::IntoEnumIterator as _;
    // Named where they are looked up by name.
    let by_name = [
        "copyCurl",
        "download",
        "replay",
        "copyLink",
        "pretty",
        "asPublished",
        "decoded",
        "hexView",
        "checkOk",
        "checkBad",
        "checkUnknown",
    ];
    let english = assert_same_texts(&page_files(OWN), &by_name);
    assert!(english.len() > 150, "{}", english.len());
    for reason in mns_endpoint::server::Reason::iter() {
        let key = format!("reasons.{}", reason.key());
        assert!(english.contains(&key), "{key}");
    }
    let others = [
        "panicked",
        "cursor_unreadable",
        "cursor_broken",
        "cursor_version",
        "cursor_of_another",
        "disk",
    ];
    let failures = mns_endpoint::forward::Reason::iter().map(|reason| reason.key());
    for key in failures.chain(others) {
        let key = format!("forwardReasons.{key}");
        assert!(english.contains(&key), "{key}");
    }
    for outcome in mns_endpoint::journal::Outcome::iter() {
        let name: &str = outcome.into();
        assert!(english.contains(&format!("outcomes.{name}")), "{name}");
    }
}

#[test]
fn the_checks_of_a_request_are_those_of_explain() {
    let (bench, admin) = bench(|options| options);
    let token = token(&bench);
    bench.accept(&bench.draft().sign(&key(512)));
    // A proxy has put a prefix in front of the path that was signed.
    let genuine = bench.draft().sign(&key(512));
    let moved = genuine.to("/notifications?x=1");
    assert_eq!(bench.endpoint.exchange(&moved.wire()).status, 403);
    // Nobody has recovered any: that is found in the log files only.
    let recovered = api(admin, &token, "/api/notifications?outcome=recovered");
    assert_eq!(recovered["items"], json!([]), "{recovered}");
    let rows = api(admin, &token, "/api/notifications?outcome=refused");
    let id = rows["items"][0]["id"].as_str().unwrap();
    let checks = api(admin, &token, &format!("/api/notifications/{id}/checks"));
    let verdict = json!({ "status": 403, "reason": "signature_wrong" });
    assert_eq!(checks["verdict"], verdict, "{checks}");
    let outcomes: Vec<(&str, &str)> = checks["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| {
            (
                check["name"].as_str().unwrap(),
                check["verdict"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("path", "ok"),
        ("headers", "ok"),
        ("date", "ok"),
        ("content-md5", "ok"),
        ("address", "ok"),
        ("signature", "refused"),
        ("notification", "ok"),
        ("admission", "ok"),
    ];
    assert_eq!(outcomes, expected);
    let text = checks["string_to_sign"].as_str().unwrap();
    assert!(text.ends_with("/notifications?x=1"), "{text}");
    // A page has a sentence for the key, in each language; the text is that of explain.
    let text = "the path was rewritten: /notifications was signed, /notifications?x=1 was \
        received; pass the original path on";
    let params = json!({ "signed": "/notifications", "came": "/notifications?x=1" });
    let cause = json!({ "key": "path_rewritten", "params": params, "text": text });
    assert_eq!(checks["causes"], json!([cause]), "{checks}");
}

fn ask_for_replay(admin: SocketAddr, token: &str, body: &str) -> Answer {
    let request = format!(
        "POST /api/replay HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(admin, request.as_bytes())
}

#[test]
fn two_replays_are_under_way_at_most_and_what_is_shown_of_an_answer_is_bounded() {
    let (bench, admin) = bench(|options| options);
    let token = token(&bench);
    bench.accept(&saying(&bench, "again").sign(&key(512)));
    let rows = api(admin, &token, "/api/notifications");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("http://{}/", listener.local_addr().unwrap());
    let asked = json!({ "id": rows["items"][0]["id"], "to": to, "as": "message" }).to_string();
    let replay = || ask_for_replay(admin, &token, &asked);
    std::thread::scope(|scope| {
        let under_way = [(); 2].map(|()| scope.spawn(replay));
        let mut held = [(); 2].map(|()| listener.accept().unwrap().0);
        let third = replay();
        assert_eq!(third.status, 503, "{third:?}");
        assert!(third.body.contains("busy"), "{third:?}");
        for stream in &mut held {
            use std::io::Write as _;
            crate::support::read_request(stream);
            let body = "x".repeat(20_000);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).unwrap();
        }
        for asked in under_way {
            let told: Value = serde_json::from_str(&asked.join().unwrap().body).unwrap();
            assert_eq!(told["body"].as_str().unwrap().len(), 16 * 1024);
        }
    });
}

#[test]
fn a_notification_is_sent_again_to_where_that_is_allowed_and_nowhere_else() {
    // A proxy of the environment would see the message, and reach what is checked by nobody.
    let proxy = ["HTTP_PROXY", "http_proxy", "ALL_PROXY"];
    let (bench, admin) = bench(|options| {
        proxy.iter().fold(options, |options, name| {
            options.env(name, "http://127.0.0.1:9")
        })
    });
    let token = token(&bench);
    bench.accept(&saying(&bench, "again").sign(&key(512)));
    let rows = api(admin, &token, "/api/notifications");
    let id = rows["items"][0]["id"].as_str().unwrap().to_owned();
    let ask = |body: &str| ask_for_replay(admin, &token, body);
    let to = |to: &str, what: &str| ask(&json!({ "id": id, "to": to, "as": what }).to_string());
    // The endpoint itself takes it for what it is: a duplicate.
    let own = format!("http://{}/notifications", bench.endpoint.address);
    let answer = to(&own, "request");
    let told: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (answer.status, &told["status"]),
        (200, &json!(201)),
        "{answer:?}"
    );
    assert_eq!(told["body"], "Notify Message Succeed!");
    let again = api(admin, &token, "/api/notifications");
    assert_eq!(again["items"][0]["outcome"], "duplicate");
    let detail = again["items"][0]["id"].as_str().unwrap();
    let detail = api(admin, &token, &format!("/api/notifications/{detail}"));
    let mark = json!(["mns-endpoint-replay", "1"]);
    assert!(
        detail["request"]["headers"]
            .as_array()
            .unwrap()
            .contains(&mark)
    );
    // The message alone, to something that answers with a redirect, which is not followed.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!(
        "http://localhost:{}/hook",
        listener.local_addr().unwrap().port()
    );
    let received = std::thread::spawn(move || {
        use std::io::Write as _;
        let (mut stream, _) = listener.accept().unwrap();
        let request = crate::support::read_request(&mut stream);
        let redirect = "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\
            Content-Length: 0\r\n\r\n";
        stream.write_all(redirect.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    let told: Value = serde_json::from_str(&to(&address, "message").body).unwrap();
    assert_eq!(told["status"], 302, "{told}");
    let received = received.join().unwrap();
    assert!(received.ends_with("\r\n\r\nagain"), "{received}");
    assert!(
        received.starts_with("POST /hook HTTP/1.1\r\n"),
        "{received}"
    );
    assert!(!received.contains("authorization"), "{received}");
    for (to_address, status, key) in [
        ("http://192.0.2.1/", 403, "not_allowed"),
        (
            "http://169.254.169.254/latest/meta-data",
            403,
            "not_allowed",
        ),
        ("http://user@127.0.0.1:1/", 400, "parameter_wrong"),
        ("file:///etc/passwd", 400, "parameter_wrong"),
        ("http://127.0.0.1:1/", 502, "no_answer"),
    ] {
        let answer = to(to_address, "request");
        assert_eq!(answer.status, status, "{to_address}: {answer:?}");
        assert!(answer.body.contains(key), "{to_address}: {answer:?}");
    }
    assert_eq!(to(&own, "other").status, 400);
    assert_eq!(ask("no JSON").status, 400);
    assert_eq!(ask(&"x".repeat(5000)).status, 413);
    let gone = json!({ "id": "1-1", "to": own, "as": "request" }).to_string();
    assert_eq!(ask(&gone).status, 410);
}
