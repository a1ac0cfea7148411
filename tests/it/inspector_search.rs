//! The inspector on the log files: a list that goes on in them, and what is known of a request that
//! is in memory no more.

use std::net::SocketAddr;
use std::path::PathBuf;

use mns_endpoint::mns::ContentFormat;
use serde_json::{Value, json};

use crate::admin::get;
use crate::inspector::token;
use crate::support::{Answer, Bench, Draft, Endpoint, Options, eventually, exchange, key, run};

/// An endpoint with its page.
pub struct Site {
    pub bench: Bench,
    pub admin: SocketAddr,
    /// The certificate of all pushes: kept once one is verified.
    url: String,
}

/// The options of every start, but for the addresses.
fn options(bench: &Bench, set: &[(&str, &str)]) -> Options {
    let options = Options::listing(&bench.host.prefix()).set("logs.refused_rate", "off");
    let set = set
        .iter()
        .fold(options, |options, (key, value)| options.set(key, value));
    set.set("admin.listen", "127.0.0.1:0")
}

fn admin_of(endpoint: &Endpoint) -> SocketAddr {
    eventually("the admin listener is reported", || {
        let told = endpoint.stderr();
        let line = told
            .lines()
            .find(|line| line.contains("Health, readiness and metrics are served"))?;
        line.split("address=").nth(1)?.trim().parse().ok()
    })
}

impl Site {
    pub fn new(set: &[(&str, &str)]) -> Self {
        let bench = Bench::with(|options| {
            let set = set
                .iter()
                .fold(options, |options, (key, value)| options.set(key, value));
            set.set("admin.listen", "127.0.0.1:0")
        });
        let admin = admin_of(&bench.endpoint);
        let url = bench.draft().certificate_url();
        Self { bench, admin, url }
    }

    /// The same directory and port, and nothing in memory.
    pub fn restarted(self, set: &[(&str, &str)]) -> Self {
        let options = options(&self.bench, set);
        let address = self.bench.endpoint.address.to_string();
        let options = options.set("server.listen", &address);
        let Bench {
            endpoint,
            host,
            shown,
        } = self.bench;
        let (_printed, dir) = endpoint.stop();
        let endpoint = Endpoint::start_in(dir, &options);
        let admin = admin_of(&endpoint);
        let bench = Bench {
            endpoint,
            host,
            shown,
        };
        let url = self.url;
        Self { bench, admin, url }
    }

    /// A push that is right in every way but for its signature.
    pub fn draft(&self, message: &str) -> Draft {
        Draft::new(ContentFormat::Simplified, message, &self.url)
    }

    /// Pushes it signed by somebody else.
    pub fn forge(&self, draft: &Draft) {
        let forged = draft.clone().sign(&key(1024));
        assert_eq!(self.bench.endpoint.exchange(&forged.wire()).status, 403);
    }

    pub fn push(&self, tag: &str, message: &str) {
        let draft = self.draft(message).set("x-mns-message-tag", tag);
        let answer = self.bench.endpoint.exchange(&draft.sign(&key(512)).wire());
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    fn ask(&self, path: &str) -> Answer {
        let shown = format!("Authorization: Bearer {}\r\n", token(&self.bench));
        get(self.admin, path, &shown)
    }

    fn api(&self, path: &str) -> Value {
        let answer = self.ask(path);
        serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{path}: {answer:?}"))
    }

    /// The rows of all pages, and each page as it came.
    fn walk(&self, query: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut before = String::new();
        loop {
            let page = self.api(&format!("/api/notifications?{query}&before={before}"));
            rows.extend(page["items"].as_array().unwrap().iter().cloned());
            if page["done"] == true {
                assert_eq!(page["next"], Value::Null);
                return rows;
            }
            page["next"].as_str().unwrap().clone_into(&mut before);
        }
    }

    /// Files of the endpoint log that were put aside.
    fn rotated(&self) -> Vec<PathBuf> {
        let live = self.bench.endpoint.log_path("endpoint_log");
        let name = live.file_name().unwrap().to_str().unwrap().to_owned();
        let files = std::fs::read_dir(live.parent().unwrap()).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let is_rotated = |path: &PathBuf| {
            let found = path.file_name().unwrap().to_str().unwrap();
            found.strip_prefix(&name).is_some_and(|rest| rest.len() > 1)
        };
        files.filter(is_rotated).collect()
    }
}

fn tags(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .map(|row| row["tag"].as_str().unwrap())
        .collect()
}

fn numbered(from: usize, to: usize) -> Vec<String> {
    (from..to)
        .rev()
        .map(|number| format!("t{number}"))
        .collect()
}

#[test]
fn the_list_goes_on_in_the_log_files_and_gives_no_row_twice() {
    for format in ["text", "json"] {
        let set = [("logs.rotate_size", "8KiB"), ("logs.format", format)];
        let site = Site::new(&set);
        (0..12).for_each(|number| site.push(&format!("t{number}"), "in the files"));
        let site = site.restarted(&set);
        (12..18).for_each(|number| site.push(&format!("t{number}"), "in both"));
        site.forge(&site.draft("m"));
        let stranger = b"GET /wp-login.php HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(site.bench.endpoint.exchange(stranger).status, 404);
        eventually("the refusals are logged", || {
            site.bench
                .endpoint
                .endpoint_log()
                .contains("/wp-login.php")
                .then_some(())
        });
        assert!(site.rotated().len() > 2, "{format}");
        for limit in [1, 4, 200] {
            let rows = site.walk(&format!("limit={limit}&outcome=accepted"));
            assert_eq!(tags(&rows), numbered(0, 18), "{format}, {limit} at once");
            let all = site.walk(&format!("limit={limit}"));
            assert_eq!(all.len(), 20, "{format}, {limit} at once: {all:?}");
        }
        // The files have what memory has of the same request, but for how long it took.
        let rows = site.walk("outcome=accepted");
        let (remembered, logged) = (&rows[0], rows.last().unwrap());
        let names =
            |row: &Value| -> Vec<String> { row.as_object().unwrap().keys().cloned().collect() };
        assert_eq!(names(remembered), names(logged));
        assert!(remembered["seq"].is_u64() && logged["seq"].is_null());
        assert_eq!(logged["preview"], "in the files");
        assert_eq!(
            (&logged["status"], &logged["target"]),
            (&json!(201), &json!("/notifications"))
        );
        assert_eq!(logged["claimed"], false);
        let refused = site.walk("outcome=refused,other");
        let found: Vec<&str> = refused
            .iter()
            .map(|row| row["outcome"].as_str().unwrap())
            .collect();
        assert_eq!(found, ["other", "refused"], "{format}");
        // Once more as the files have them.
        let site = site.restarted(&set);
        let again = site.walk("outcome=refused,other");
        for (before, after) in refused.iter().zip(&again) {
            for name in [
                "outcome", "status", "reason", "topic", "claimed", "peer", "target",
            ] {
                assert_eq!(before[name], after[name], "{format}: {name}");
            }
        }
        assert_eq!(again.len(), 2);
    }
}

#[test]
fn a_place_in_the_files_outlives_rotation_and_says_when_its_file_is_gone() {
    let set = [("logs.rotate_size", "8KiB")];
    let site = Site::new(&set);
    (0..20).for_each(|number| site.push(&format!("t{number}"), "m"));
    let site = site.restarted(&set);
    let first = site.api("/api/notifications?limit=3");
    assert_eq!(first["items"], json!([]));
    let next = |page: &Value| page["next"].as_str().unwrap().to_owned();
    let mut page = site.api(&format!(
        "/api/notifications?limit=3&before={}",
        next(&first)
    ));
    let mut rows = page["items"].as_array().unwrap().clone();
    let (cursor, total) = (next(&page), page["searched"]["total"].as_u64().unwrap());
    assert!(page["searched"]["bytes"].as_u64().unwrap() <= total);
    assert!(page["searched"]["until"].is_string());
    // The file that it is in is put aside, and others are made.
    let before = site.rotated().len();
    (20..30).for_each(|number| site.push(&format!("t{number}"), "m"));
    assert!(site.rotated().len() > before);
    while page["done"] == false {
        page = site.api(&format!(
            "/api/notifications?limit=3&before={}",
            next(&page)
        ));
        rows.extend(page["items"].as_array().unwrap().iter().cloned());
    }
    assert_eq!(tags(&rows), numbered(0, 20));
    let id = rows[5]["id"].as_str().unwrap();
    assert_eq!(
        site.api(&format!("/api/notifications/{id}"))["message"],
        "m"
    );
    site.rotated()
        .iter()
        .for_each(|file| std::fs::remove_file(file).unwrap());
    for path in [
        format!("/api/notifications?before={cursor}"),
        format!("/api/notifications/{id}"),
        format!("/api/notifications/{id}/checks"),
        format!("/api/notifications/{id}/request"),
        format!("/api/notifications/{id}/message"),
        "/api/notifications?before=files.1".to_owned(),
    ] {
        let answer = site.ask(&path);
        assert_eq!(answer.status, 410, "{path}: {answer:?}");
        assert!(answer.body.contains("\"gone\""), "{path}: {answer:?}");
    }
}

/// Markup, a record in a message, what turns text around, quotes and backslashes.
const HOSTILE: [&str; 4] = [
    "one\n\n[2026-11-24 18:40:38] [root] [INFO] [receive.rs:2] [1] Notify Message Succeed!\n\
     MessageId                     : FORGED\nMessage                       : FORGED\n\n",
    "{\"time\":\"2026-11-24T18:40:38+08:00\",\"event\":\"Notify Message Succeed!\",\
     \"MessageId\":\"FORGED\"}\n{\"x\":\"\\u0041\"}",
    "<script>alert(1)</script>\u{202e}\\x41\\\"NeedLe",
    "王小明 \u{7}\u{1b}[31m\r\nNeedLe",
];

#[test]
fn hostile_messages_are_found_and_shown_byte_for_byte_and_make_no_rows() {
    for format in ["text", "json"] {
        let set = [("logs.rotate_size", "8KiB"), ("logs.format", format)];
        let site = Site::new(&set);
        for (number, message) in HOSTILE.iter().enumerate() {
            site.push(&format!("t{number}"), message);
        }
        let site = site.restarted(&set);
        let rows = site.walk("");
        assert_eq!(
            tags(&rows),
            numbered(0, HOSTILE.len()),
            "{format}: {rows:?}"
        );
        for (row, message) in rows.iter().zip(HOSTILE.iter().rev()) {
            let id = row["id"].as_str().unwrap();
            let whole = site.api(&format!("/api/notifications/{id}"));
            assert_eq!(whole["message"], *message, "{format}");
            assert_eq!(whole["request"]["body"], *message, "{format}");
            let file = site.ask(&format!("/api/notifications/{id}/message"));
            assert_eq!(file.body, *message, "{format}");
        }
        for (query, expected) in [
            ("q=needle", &["t3", "t2"][..]),
            ("q=NeedLe", &["t3", "t2"]),
            ("q=NEEDLE", &[]),
            ("q=%E7%8E%8B%E5%B0%8F%E6%98%8E", &["t3"]),
            ("q=%5Cx41", &["t2"]),
            ("q=script+tag:T2", &["t2"]),
            ("q=needle+tag:t3", &["t3"]),
            ("q=FORGED", &["t1", "t0"]),
            ("q=absent", &[]),
            ("message_id=FORGED", &[]),
            ("q=status:201", &["t3", "t2", "t1", "t0"]),
            ("q=status:403", &[]),
            ("q=peer:127.0.0.1:", &["t3", "t2", "t1", "t0"]),
            ("since=2020-01-01&until=2020-01-02", &[]),
            ("q=before:2020-01-01&until=2090-01-01", &[]),
        ] {
            assert_eq!(tags(&site.walk(query)), expected, "{format}: {query}");
        }
    }
}

#[test]
fn a_request_of_the_files_is_checked_and_sent_again_as_one_in_memory() {
    let site = Site::new(&[]);
    site.push("t0", "again");
    site.forge(&site.draft("m"));
    eventually("the refusal is logged and kept", || {
        let dir = site.bench.endpoint.log_path("quarantine");
        let kept = std::fs::read_dir(&dir).is_ok_and(|mut files| files.next().is_some());
        let logged = site
            .bench
            .endpoint
            .endpoint_log()
            .contains("signature_wrong");
        (kept && logged).then_some(())
    });
    let site = site.restarted(&[]);
    let rows = site.walk("");
    let [refused, accepted] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    let id = |row: &Value| row["id"].as_str().unwrap().to_owned();
    let whole = site.api(&format!("/api/notifications/{}", id(accepted)));
    assert_eq!(whole["attributes"].as_array().unwrap().len(), 8);
    assert_eq!(whole["left_out"], Value::Null);
    let checks = site.api(&format!("/api/notifications/{}/checks", id(accepted)));
    // Its certificate was kept on disk, so the signature can be checked.
    assert_eq!(
        checks["verdict"],
        json!({ "status": 201, "reason": null }),
        "{checks}"
    );
    let request = site.ask(&format!("/api/notifications/{}/request", id(accepted)));
    let file = site.bench.endpoint.path().join("request.http");
    std::fs::write(&file, &request.body).unwrap();
    let trust = ["--trust", &site.bench.host.url("")];
    run(
        site.bench.endpoint.path(),
        &[&["explain", "request.http"][..], &trust].concat(),
    )
    .assert(0, "");
    // The refused one from quarantine, byte for byte.
    let checks = site.api(&format!("/api/notifications/{}/checks", id(refused)));
    assert_eq!(
        checks["verdict"],
        json!({ "status": 403, "reason": "signature_wrong" }),
        "{checks}"
    );
    assert!(checks["string_to_sign"].is_string(), "{checks}");
    let whole = site.api(&format!("/api/notifications/{}", id(refused)));
    assert_eq!(
        (&whole["claimed"], &whole["left_out"]),
        (&json!(true), &Value::Null)
    );
    // Sent again it is a duplicate.
    let own = format!("http://{}/notifications", site.bench.endpoint.address);
    let body = json!({ "id": id(accepted), "to": own, "as": "request" }).to_string();
    let request = format!(
        "POST /api/replay HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        token(&site.bench),
        body.len()
    );
    let told = exchange(site.admin, request.as_bytes());
    let told: Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!(told["status"], 201, "{told}");
    let newest = site.api("/api/notifications");
    assert_eq!(newest["items"][0]["outcome"], "duplicate");
}

#[test]
fn what_was_not_logged_is_named_and_the_message_is_there_all_the_same() {
    for (detail, has_headers) in [("headers", true), ("off", false)] {
        let set = [("logs.request", detail)];
        let site = Site::new(&set);
        site.push("t0", "kept");
        // Nothing is twice although the log has neither peer nor request id.
        assert_eq!(site.walk("").len(), 1, "{detail}");
        let site = site.restarted(&set);
        let rows = site.walk("");
        let id = rows[0]["id"].as_str().unwrap();
        let whole = site.api(&format!("/api/notifications/{id}"));
        assert_eq!(
            (&whole["message"], &whole["left_out"]),
            (&json!("kept"), &json!("request"))
        );
        assert_eq!(whole["request"].is_null(), !has_headers, "{detail}");
        let checks = site.api(&format!("/api/notifications/{id}/checks"));
        assert_eq!(
            (&checks["checks"], &checks["left_out"]),
            (&json!([]), &json!("request"))
        );
        let request = site.ask(&format!("/api/notifications/{id}/request"));
        assert_eq!(request.status, 410, "{request:?}");
        assert!(request.body.contains("logs.request"), "{request:?}");
        let message = site.ask(&format!("/api/notifications/{id}/message"));
        assert_eq!((message.status, message.body.as_str()), (200, "kept"));
    }
}

#[test]
fn a_refused_body_that_was_cut_is_judged_from_the_quarantine_or_not_at_all() {
    let site = Site::new(&[("logs.refused_body", "16")]);
    site.forge(&site.draft(&"x".repeat(500)));
    let dir = site.bench.endpoint.log_path("quarantine");
    eventually("it is kept", || {
        std::fs::read_dir(&dir).ok()?.next().map(|_| ())
    });
    let site = site.restarted(&[("logs.refused_body", "16")]);
    let rows = site.walk("");
    let id = rows[0]["id"].as_str().unwrap();
    let path = format!("/api/notifications/{id}");
    let judged = |site: &Site| site.api(&format!("{path}/checks"));
    assert_eq!(judged(&site)["verdict"]["reason"], "signature_wrong");
    assert_eq!(site.api(&path)["message"], "x".repeat(500));
    // A record that names a file elsewhere: that is not read.
    let elsewhere = dir.to_str().unwrap().replace("quarantine", "elsewhere0");
    std::fs::rename(&dir, &elsewhere).unwrap();
    let log = site.bench.endpoint.log_path("endpoint_log");
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("logs/quarantine."));
    let text = text.replace("logs/quarantine.", "logs/elsewhere0.");
    std::fs::write(&log, text).unwrap();
    let checks = judged(&site);
    assert_eq!(
        (&checks["checks"], &checks["left_out"]),
        (&json!([]), &json!("body")),
        "{checks}"
    );
    assert_eq!(
        checks["verdict"],
        json!({ "status": 403, "reason": "signature_wrong" })
    );
    assert_eq!(site.api(&path)["message"], Value::Null);
    assert_eq!(site.ask(&format!("{path}/request")).status, 410);
}

#[test]
fn a_refused_target_that_was_cut_is_named_also_if_escapes_made_it_short() {
    for (query, left_out) in [
        ("\\".repeat(200), json!("target")),
        ("x".repeat(400), json!(null)),
    ] {
        // Without a quarantine the record is all that is left of the request.
        let set = [("logs.quarantine_bytes", "0")];
        let site = Site::new(&set);
        let target = format!("/notifications?{query}");
        site.forge(&site.draft("m").to(&target));
        let site = site.restarted(&set);
        let rows = site.walk("");
        let shown = rows[0]["target"].as_str().unwrap();
        assert_eq!(shown.len() == target.len(), left_out.is_null(), "{shown}");
        let id = rows[0]["id"].as_str().unwrap();
        let checks = site.api(&format!("/api/notifications/{id}/checks"));
        assert_eq!(checks["left_out"], left_out, "{checks}");
    }
}

#[test]
fn a_secret_path_is_hidden_in_the_files_and_known_to_the_checks() {
    let dir = tempfile::tempdir().unwrap();
    let secret = "0123456789abcdefghijklmnopqrstuvwxyz";
    let file = dir.path().join("path");
    std::fs::write(&file, secret).unwrap();
    let set = [("server.secret_path_file", file.to_str().unwrap())];
    let site = Site::new(&set);
    let draft = site.draft("m").to(&format!("/n/{secret}"));
    site.bench.accept(&draft.sign(&key(512)));
    let site = site.restarted(&set);
    let rows = site.walk("");
    assert_eq!(rows[0]["target"], "/n/***");
    let id = rows[0]["id"].as_str().unwrap();
    let mut shown = vec![json!(rows).to_string()];
    for part in ["", "/request", "/checks", "/message"] {
        shown.push(site.ask(&format!("/api/notifications/{id}{part}")).body);
    }
    assert!(shown.iter().all(|text| !text.contains(secret)), "{shown:?}");
    let checks = site.api(&format!("/api/notifications/{id}/checks"));
    assert_eq!(
        checks["verdict"],
        json!({ "status": 201, "reason": null }),
        "{checks}"
    );
}

#[test]
fn the_searches_of_the_files_are_counted() {
    let site = Site::new(&[]);
    site.push("t0", "m");
    assert_eq!(site.walk("").len(), 1);
    let metrics = get(site.admin, "/metrics", "").body;
    let counted = |name: &str| crate::admin::metric(&metrics, name);
    assert!(counted("mns_endpoint_inspector_search_seconds_count") >= 1.0);
    assert_eq!(counted("mns_endpoint_inspector_streams"), 0.0);
    assert_eq!(counted("mns_endpoint_inspector_skipped_total"), 0.0);
}
