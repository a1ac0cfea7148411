//! `logs show`: the story of a message, its request, and a command that sends it again.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use mns_endpoint::mns::ContentFormat;
use mns_endpoint::quarantine;

use crate::support::{Bench, Draft, Ended, eventually, finish, key, program, read_request, run};

fn show(bench: &Bench, args: &[&str]) -> Ended {
    let address = bench.endpoint.address.to_string();
    let mut command = program();
    command
        .current_dir(bench.endpoint.path())
        .args(["logs", "show", "--log-dir", "logs", "--listen", &address])
        .args(args);
    finish(&mut command, b"")
}

/// The same, for bytes that are no text.
fn bytes(bench: &Bench, args: &[&str]) -> Vec<u8> {
    let address = bench.endpoint.address.to_string();
    let output = program()
        .current_dir(bench.endpoint.path())
        .args(["logs", "show", "--log-dir", "logs", "--listen", &address])
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// Waits until the refused request is in quarantine: it is saved in the background.
fn await_quarantine(bench: &Bench) {
    let port = bench.endpoint.address.port();
    let dir = bench
        .endpoint
        .path()
        .join(format!("logs/quarantine.{port}"));
    eventually("it is in quarantine", || {
        let is_kept = quarantine::list(&dir).is_ok_and(|kept| kept.len() == 1);
        is_kept.then_some(())
    });
}

fn request_id(draft: &Draft) -> String {
    String::from_utf8(draft.header("x-mns-request-id").unwrap().to_vec()).unwrap()
}

#[test]
fn the_story_of_a_message_has_every_arrival_and_ends_with_the_message() {
    let bench = Bench::with(|options| options);
    let message = "{\"orderId\":900719925474099312,\"note\":\"\u{202e}\"}";
    let url = bench.host.url("a.pem");
    let draft =
        Draft::new(ContentFormat::Simplified, message, &url).set("x-mns-message-tag", "vip");
    let unsigned = draft
        .clone()
        .without("x-mns-request-id")
        .set("x-mns-request-id", "REFUSED1");
    bench.ask(&unsigned);
    await_quarantine(&bench);
    let signed = draft.sign(&key(512));
    bench.accept(&signed);
    bench.accept(&signed);
    let id = signed.message_id.as_str();
    let story = show(&bench, &[id]);
    story.assert(0, "");
    let lines: Vec<&str> = story.stdout.lines().collect();
    let port = bench.endpoint.address.port();
    for (number, pattern) in [
        (0, format!("MessageId     {id}")),
        (
            1,
            "Topic         MyTopic1 \\(owner 1269128356620446\\)".to_owned(),
        ),
        (2, "Subscription  MyTopic1-Sub1".to_owned()),
        (3, "Tag           vip".to_owned()),
        (
            4,
            r"Published     2016-05-17 09:10:56\.857, \d+ y \d+ d before the first arrival"
                .to_owned(),
        ),
        (
            5,
            format!(r"Deliveries    .{{19}}  403  header_missing +endpoint_log\.{port} at \d+"),
        ),
        (
            6,
            format!(r"              .{{19}}  201  accepted +endpoint_log\.{port} at \d+"),
        ),
        (
            7,
            format!(r"              .{{19}}  201  duplicate +endpoint_log\.{port} at \d+"),
        ),
        (
            8,
            format!(r"Quarantine    logs/quarantine\.{port}/\d+\.\w+\.http"),
        ),
        (9, "Message       JSON, 43 bytes".to_owned()),
        (10, r"  \{".to_owned()),
        (11, "    \"orderId\": 900719925474099312,".to_owned()),
        (12, r#"    "note": "\\xe2\\x80\\xae""#.to_owned()),
        (13, r"  \}".to_owned()),
    ] {
        let whole = regex::Regex::new(&format!("^{pattern}$")).unwrap();
        assert!(
            whole.is_match(lines[number]),
            "{} is not {pattern}",
            lines[number]
        );
    }
    assert_eq!(lines.len(), 14);
    // By the id of one of its requests, and by the position of a row.
    assert_eq!(show(&bench, &["REFUSED1"]).stdout, story.stdout);
    let listed = run(
        bench.endpoint.path(),
        &[
            "logs",
            "tail",
            "--no-follow",
            "-n",
            "1",
            "--output",
            "json",
            "--log-dir",
            "logs",
            "--listen",
            &bench.endpoint.address.to_string(),
        ],
    );
    let row: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let position = row["position"].as_str().unwrap();
    assert_eq!(show(&bench, &[position]).stdout, story.stdout);
    assert_eq!(show(&bench, &[id, "--message"]).stdout, message);
    assert_eq!(show(&bench, &[id, "--body"]).stdout, message);
    show(&bench, &["no-such-id"]).assert(1, "no-such-id is in none of the log files");
    show(&bench, &[id, "--message", "--request"]).assert(2, "cannot be used with");
}

#[test]
fn a_request_is_put_together_as_it_was_signed() {
    let bench = Bench::with(|options| options.set("server.paths", "/a,/b"));
    for format in [
        ContentFormat::Xml,
        ContentFormat::Json,
        ContentFormat::Simplified,
    ] {
        let url = bench.host.url("a.pem");
        let draft = Draft::new(format, "line\nline\r\n\t\\x41", &url)
            .to("/b")
            .sign(&key(512));
        bench.accept(&draft);
        let request = bytes(&bench, &[&request_id(&draft), "--request"]);
        assert!(request.starts_with(b"POST /b HTTP/1.1\r\n"), "{request:?}");
        let mut explain = program();
        explain.current_dir(bench.endpoint.path()).args([
            "explain",
            "/dev/stdin",
            "--fetch",
            "--trust",
            &bench.host.prefix(),
            "--set",
            "server.paths=/a,/b",
        ]);
        finish(&mut explain, &request).assert(0, "");
    }
    // One that was refused is the file in quarantine, byte for byte.
    let forged = bench
        .draft()
        .to("/b")
        .set("x-mns-note", "forged")
        .sign(&key(512))
        .set("x-mns-note", "x");
    bench.ask(&forged);
    await_quarantine(&bench);
    let request = bytes(&bench, &[&request_id(&forged), "--request"]);
    let text = String::from_utf8_lossy(&request);
    assert!(text.contains("\r\nx-mns-note: x\r\n") && text.contains("\nReason: signature_wrong\n"));
}

#[test]
fn what_was_not_logged_is_named_with_its_key() {
    for (setting, missing) in [
        (
            "off",
            "its request was not logged: logs.request was \"off\"",
        ),
        (
            "headers",
            "the body of its request was not logged: logs.request was \"headers\"",
        ),
    ] {
        let bench = Bench::with(|options| options.set("logs.request", setting));
        let draft = bench.draft_in(ContentFormat::Simplified).sign(&key(512));
        bench.accept(&draft);
        let id = draft.message_id.as_str();
        let story = show(&bench, &[id]);
        story.assert(0, missing);
        assert!(
            story.stdout.contains("Message       text, 1 byte\n"),
            "{story:?}"
        );
        for part in [&["--request"][..], &["--body"], &["--curl", "http://x"]] {
            let refused = show(&bench, &[&[id], part].concat());
            refused.assert(1, missing);
            refused.assert(
                1,
                "and is \"full\" by default; --message prints its message",
            );
            assert_eq!(refused.stdout, "");
        }
        assert_eq!(show(&bench, &[id, "--message"]).stdout, "m");
        let by_request = show(
            &bench,
            &[
                &request_id(&draft),
                "--set",
                &format!("logs.request={setting}"),
            ],
        );
        if setting == "off" {
            by_request.assert(1, "is found by the id of its message alone");
        } else {
            by_request.assert(0, missing);
        }
    }
    // All of it is there if there is nothing to log.
    let bench = Bench::with(|options| options.set("logs.request", "full"));
    let url = bench.host.url("a.pem");
    let empty = Draft::new(ContentFormat::Simplified, "", &url).sign(&key(512));
    bench.accept(&empty);
    assert_eq!(show(&bench, &[&empty.message_id, "--body"]).stdout, "");
}

#[expect(
    clippy::print_stdout,
    reason = "a test that tests nothing has to say so"
)]
fn has(program: &str) -> bool {
    let is_there = Path::new("/usr/bin").join(program).exists();
    if !is_there {
        println!("SKIPPED: {program} is missing, so a pasted command is NOT tested");
    }
    is_there
}

/// A request as it came, the names of its headers in lower case.
struct Received {
    line: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

fn parse(request: &[u8]) -> Received {
    let end = request
        .windows(4)
        .position(|part| part == b"\r\n\r\n")
        .unwrap();
    let (head, body) = (&request[..end], request[end + 4..].to_vec());
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end);
    let line = String::from_utf8(lines.next().unwrap().to_vec()).unwrap();
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':').unwrap();
        let name = String::from_utf8(line[..colon].to_ascii_lowercase()).unwrap();
        (name, line[colon + 1..].trim_ascii_start().to_vec())
    };
    Received {
        line,
        headers: lines.map(header).collect(),
        body,
    }
}

/// Runs a command in bash; returns the request that came of it.
fn paste(dir: &Path, command: &str, listener: TcpListener) -> Vec<u8> {
    let (sender, received) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_request(&mut stream);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer).unwrap();
        sender.send(request)
    });
    let pasted = Command::new("bash")
        .current_dir(dir)
        .args(["-c", command])
        .output()
        .unwrap();
    assert!(pasted.status.success(), "{command}: {pasted:?}");
    // curl has ended, so what it sent is on its way.
    let request = received.recv_timeout(Duration::from_secs(20));
    request.unwrap_or_else(|_| panic!("nothing came of {command}"))
}

#[test]
fn a_hostile_header_and_body_pasted_into_bash_arrive_byte_for_byte() {
    if !has("curl") || !has("bash") {
        return;
    }
    let bench = Bench::with(|options| options);
    let headers: [(&str, &[u8]); 6] = [
        ("x-a", b"'; touch pwned; echo '"),
        ("x-b", b"$(touch pwned) `touch pwned` \"${HOME}\" !! \\"),
        ("x-c", b"tab\there \xff\xfe0af"),
        ("x-d", b""),
        ("x-e", "\u{738b} \u{202e}x".as_bytes()),
        ("x-f", b"@/etc/hostname"),
    ];
    let bodies: [&[u8]; 4] = [
        b"@/etc/hostname",
        b"'; touch pwned; echo '\n$(touch pwned) `id` \"\\ !! [1-2] {a,b}\n\n",
        b"\x1b[2J\r\n\ttab \xff\xfe0af \x7f '!?",
        "\u{738b}\u{5c0f}\u{660e}\u{202e}\u{200b}".as_bytes(),
    ];
    for body in bodies {
        let mut draft = Draft::new(ContentFormat::Simplified, body, &bench.host.url("a.pem"));
        for (name, value) in headers {
            draft = draft.set(name, value);
        }
        let draft = draft.sign(&key(512));
        bench.accept(&draft);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!(
            "http://{}/hook?a=[1-2]&b={{x,y}}",
            listener.local_addr().unwrap()
        );
        let command = show(&bench, &[&draft.message_id, "--curl", &url]);
        command.assert(0, "curl --globoff --path-as-is -X 'POST' ");
        let sent = parse(&paste(bench.endpoint.path(), &command.stdout, listener));
        assert_eq!(sent.line, "POST /hook?a=[1-2]&b={x,y} HTTP/1.1");
        assert_eq!(sent.body, body, "{}", command.stdout);
        let header = |name: &str| {
            let mut values = sent.headers.iter().filter(|(known, _)| known == name);
            values.next().map(|(_, value)| value.as_slice())
        };
        for (name, value) in headers {
            assert_eq!(header(name), Some(value), "{name}: {}", command.stdout);
        }
        let own = |name: &str| draft.header(name);
        for name in [
            "authorization",
            "content-type",
            "x-mns-request-id",
            "user-agent",
        ] {
            assert_eq!(header(name), own(name), "{name}");
        }
        assert_eq!(header("accept"), None);
    }
    assert!(!bench.endpoint.path().join("pwned").exists());
}

/// The command that the page copies, made by its own script.
fn copied_from_page(dir: &Path, method: &str, url: &str) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in ["admin/inspector/page/curl.js", "page/shared/format.js"] {
        let name = Path::new(file).file_name().unwrap();
        fs::copy(source.join(file), dir.join(name)).unwrap();
    }
    fs::write(dir.join("package.json"), r#"{"type":"module"}"#).unwrap();
    let request = serde_json::json!({ "method": method, "headers": [], "body": "" });
    let script = format!(
        "import {{ curl }} from './curl.js'; console.log(curl({request}, process.argv[1]));"
    );
    let made = Command::new("node")
        .current_dir(dir)
        .args(["--input-type=module", "-e", &script, url])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap()
}

#[test]
fn a_hostile_method_of_a_copied_command_is_one_word_of_bash() {
    if !has("curl") || !has("bash") || !has("node") {
        return;
    }
    let bench = Bench::with(|options| options);
    let dir = bench.endpoint.path();
    // HTTP allows these, and neither blanks nor brackets.
    for method in [
        "X&touch$IFS.pwned&",
        "'&touch$IFS.pwned&'",
        "`touch$IFS.pwned`",
        "'`touch$IFS.pwned`'",
        "|~*^!#%+-_",
    ] {
        let url = bench.host.url("a.pem");
        let draft = Draft::new(ContentFormat::Simplified, "", &url);
        let id = request_id(&draft);
        let wire = String::from_utf8(draft.wire()).unwrap();
        let wire = wire.replacen("POST", method, 1);
        assert_eq!(bench.endpoint.exchange(wire.as_bytes()).status, 405);
        eventually("it is logged", || {
            bench.endpoint.endpoint_log().contains(&id).then_some(())
        });
        let url = |listener: &TcpListener| {
            let address = listener.local_addr().unwrap();
            format!("http://{address}/hook")
        };
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = listen();
        let shown = show(&bench, &[&id, "--curl", &url(&listener)]);
        shown.assert(0, "curl ");
        let request = paste(dir, &shown.stdout, listener);
        assert_eq!(parse(&request).line, format!("{method} /hook HTTP/1.1"));
        let listener = listen();
        let copied = copied_from_page(dir, method, &url(&listener));
        let request = paste(dir, &copied, listener);
        assert_eq!(parse(&request).line, format!("{method} /hook HTTP/1.1"));
    }
    assert!(!dir.join(".pwned").exists() && !dir.join("pwned").exists());
}
