//! `demo`: the first command of a newcomer.

use crate::support::{Ended, run};

fn demo(args: &[&str]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &[&["demo"], args].concat())
}

/// The line that begins with `start`.
fn line<'e>(ended: &'e Ended, start: &str) -> &'e str {
    ended
        .stdout
        .lines()
        .find(|line| line.starts_with(start))
        .unwrap_or_else(|| panic!("no {start:?} in {ended:#?}"))
}

#[test]
fn the_seven_steps_of_the_manual_are_shown_with_their_lines() {
    let ended = demo(&[]);
    ended.assert(
        0,
        "3 of 3 messages: signed, pushed, verified, on disk in both logs, answered 201.",
    );
    let steps: Vec<&str> = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with("==> "))
        .collect();
    // The numbers of the manual.
    let manual = [
        "==> 1. Prepare",
        "==> 2. Create a topic",
        "==> 3. Start the endpoint",
        "==> 4. Subscribe",
        "==> 5. Publish",
        "==> 6. Look",
        "==> 7. Delete the topic",
    ];
    assert_eq!(steps, manual);
    for told in [
        "Start Endpoint! Address: http://127.0.0.1:",
        "Create Topic Succeed! TopicName:MySampleTopic",
        "Create Subscription Succeed! TopicName:MySampleTopic SubName:MySampleTopic-Sub \
         Endpoint:http://127.0.0.1:",
        "Delete Topic Succeed! TopicName:MySampleTopic",
    ] {
        assert!(
            ended.stdout.contains(told),
            "{told:?} is not in {}",
            ended.stdout
        );
    }
    for number in 0..3 {
        line(
            &ended,
            &format!("Publish Message Succeed. MessageBody:I am test message {number}. MessageID:"),
        );
        line(
            &ended,
            &format!("{:<30}: I am test message {number}.", "Message"),
        );
    }
    assert_eq!(
        ended
            .stdout
            .lines()
            .filter(|line| line.contains("\"POST\" \"201\" \"/notifications\""))
            .count(),
        3
    );
    assert_eq!(ended.stdout.matches("Notify Message Succeed!").count(), 3);
}

#[test]
fn the_demo_over_https_shows_the_same_with_addresses_of_https() {
    let ended = demo(&["--tls"]);
    ended.assert(
        0,
        "3 of 3 messages: signed, pushed, verified, on disk in both logs, answered 201.",
    );
    for told in [
        " --self-signed\n",
        "Start Endpoint! Address: https://127.0.0.1:",
        "SubName:MySampleTopic-Sub Endpoint:https://127.0.0.1:",
    ] {
        assert!(
            ended.stdout.contains(told),
            "{told:?} is not in {}",
            ended.stdout
        );
    }
    demo(&["--tls", "--chaos", "--count", "60", "--seed", "7"]).assert(0, "Nothing is lost");
}

#[test]
fn the_logs_stay_in_the_requested_directory() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &["demo", "--count", "1", "--dir", "kept"]).assert(0, "1 of 1 messages");
    let mut names: Vec<String> = std::fs::read_dir(dir.path().join("kept"))
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .into_string()
                .unwrap()
                .split('.')
                .next()
                .unwrap()
                .to_owned()
        })
        .filter(|name| name.ends_with("log"))
        .collect();
    names.sort();
    assert_eq!(names, ["access_log", "endpoint_log"]);
}

#[test]
fn the_same_seed_gives_the_same_chaos_and_nothing_is_lost() {
    let args = |seed| ["--chaos", "--count", "250", "--seed", seed];
    let (first, again, other) = (demo(&args("7")), demo(&args("7")), demo(&args("8")));
    for ended in [&first, &again, &other] {
        ended.assert(0, "Nothing is lost");
        assert!(line(ended, "Endpoint log: 250 of 250 messages").ends_with("nothing forged."));
        let refused = line(ended, "Forgeries: believed 0, refused ");
        assert!(
            refused.ends_with(", unanswered 0") && !refused.contains("refused 0"),
            "{refused}"
        );
    }
    assert_eq!(line(&first, "Chaos: "), line(&again, "Chaos: "));
    assert_eq!(
        line(&first, "Endpoint log: "),
        line(&again, "Endpoint log: ")
    );
    assert_ne!(line(&first, "Chaos: "), line(&other, "Chaos: "));
}

#[test]
fn an_invalid_list_is_reported_with_the_valid_form() {
    demo(&["--chaos", "fast=0.1"]).assert(2, "kinds are duplicate, reorder, slow");
    demo(&["--seed", "7"]).assert(2, "--chaos");
}

#[test]
fn with_stay_the_page_is_served_until_demo_is_stopped() {
    use std::io::{BufRead as _, BufReader, Read as _};
    let mut demo = crate::support::program();
    demo.args(["demo", "--stay"])
        .stdout(std::process::Stdio::piped());
    let mut demo = demo.spawn().unwrap();
    let mut out = BufReader::new(demo.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("Inspector: ") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it has ended");
    }
    let (address, token) = line.trim().split_once("/#token=").unwrap();
    let address = address.rsplit('/').next().unwrap().parse().unwrap();
    let shown = format!("Authorization: Bearer {token}\r\n");
    let page = crate::admin::get(address, "/", "");
    assert!(
        page.body.contains("<title>mns-endpoint</title>"),
        "{page:?}"
    );
    let list = crate::admin::get(address, "/api/notifications", &shown);
    let list: serde_json::Value = serde_json::from_str(&list.body).unwrap();
    assert_eq!(
        list["counts"],
        serde_json::json!({ "accepted": 3 }),
        "{list}"
    );
    let id = rustix::process::Pid::from_child(&demo);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(demo.wait().unwrap().success(), "{rest}");
    // The page of the local MNS, and a command that a shell finds.
    let told = rest.split_once("Emulator: http://").unwrap().1;
    let emulator = told.split('/').next().unwrap();
    assert!(emulator.parse::<std::net::SocketAddr>().is_ok(), "{rest}");
    let command = rest.lines().find(|line| line.contains(" --body ")).unwrap();
    let program = env!("CARGO_BIN_EXE_mns-endpoint");
    assert_eq!(command.trim(), format!("{program} publish --body hello"));
}
