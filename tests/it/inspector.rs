//! The inspector: who may see it, what it gives, and that every answer of the admin listener is
//! guarded.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use crate::admin::{bench, get};
use crate::support::{Answer, Bench, eventually, exchange, run};

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
const PATHS: [(&str, bool, &[&str]); 4] = [
    ("/healthz", false, &["GET", "HEAD"]),
    ("/readyz", false, &["GET", "HEAD"]),
    ("/metrics", false, &["GET", "HEAD"]),
    ("/api/about", true, &["GET", "HEAD"]),
];
/// Paths that are others to a program that decodes or cleans them.
const LOOKALIKES: [&str; 12] = [
    "/%61pi/about",
    "/%61pi/stream",
    "//api/about",
    "//api/stream",
    "/api//about",
    "/api/about/",
    "/api/./about",
    "/x/../api/about",
    "/API/about",
    "/api",
    "/api/",
    "/api/about%00",
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
                            () => 200,
                        };
                        // Of wrong tokens there are five a second.
                        let answer = eventually("another second", || {
                            let answer = ask_bodyless(admin, method, path, &headers);
                            (answer.status != 429).then_some(answer)
                        });
                        assert_eq!(answer.status, expected, "{method} {path} {headers}");
                        assert_guarded(&answer);
                        let gives_data = answer.body.contains("version");
                        let may = expected == 200 && (path == "/api/about" || path == "/metrics");
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
    use std::io::Read as _;
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
fn assert_guarded(answer: &Answer) {
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
    // Neither is the right one told apart, nor is anybody without a token kept out.
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
    let about: serde_json::Value = serde_json::from_str(&about.body).unwrap();
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
