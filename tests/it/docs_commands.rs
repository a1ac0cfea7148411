//! Every block of commands in the English pages is run by a test, or is listed here with the reason
//! why it is not. `docs_zh.rs` compares the Chinese pages with the English ones.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};

use regex::Regex;

use crate::docs_commands::Proof::{NotRun, RunBy};
use crate::support::{OFF, Running, eventually, finish};

/// Why a command of a page can be believed.
#[derive(Clone, Copy)]
enum Proof {
    /// A test of this folder by its function, or a script by its path: it runs the command itself,
    /// or one that differs only in names and addresses.
    RunBy(&'static str),
    /// Why no test runs it.
    NotRun(&'static str),
}

/// A block is one of commands if its first line begins with one of these words.
const PROGRAMS: [&str; 17] = [
    ".ci/run",
    "awk",
    "cargo",
    "curl",
    "docker",
    "export",
    "helm",
    "HTTP_PROXY=http://127.0.0.1:9000",
    "kubectl",
    "mns-endpoint",
    "printf",
    "python3",
    "recover()",
    "sudo",
    "systemctl",
    "timeout",
    "while",
];

const README: &str = "the_steps_of_the_readme_work_when_they_are_pasted";
const DOCKER: &str = "needs Docker; deploy/check runs what the compose file starts, as processes";
const CLUSTER: &str = "needs a cluster; deploy/check validates the manifests and the chart";

/// The beginning of each block of commands, and its proof.
const BLOCKS: [(&str, Proof); 30] = [
    (
        "cargo run --locked -- demo",
        RunBy("the_seven_steps_of_the_manual_are_shown_with_their_lines"),
    ),
    ("cargo test --locked", NotRun("it runs this test")),
    (".ci/run", NotRun("it runs this test")),
    ("export PATH=", RunBy(README)),
    ("mns-endpoint emulator\n", RunBy(README)),
    ("printf '%s\\n' '[Base]'", RunBy(README)),
    (
        "mns-endpoint serve --listen 127.0.0.1:8080 --trust",
        RunBy(README),
    ),
    (
        "mns-endpoint subscription create http://127.0.0.1:8080 MyTopic1",
        RunBy(README),
    ),
    ("mns-endpoint logs tail --output json", RunBy(README)),
    (
        "python3 examples/consumer.py",
        RunBy("every_consumer_works_off_each_row_and_does_not_get_it_again"),
    ),
    ("docker build", NotRun(DOCKER)),
    ("docker compose", NotRun(DOCKER)),
    ("docker exec", NotRun(DOCKER)),
    ("docker run --read-only", NotRun(DOCKER)),
    ("helm install", NotRun(CLUSTER)),
    ("kubectl create secret", NotRun(CLUSTER)),
    (
        "sudo useradd",
        NotRun("it changes the users and services of the machine"),
    ),
    (
        "mns-endpoint serve --self-signed",
        RunBy("serve_self_signed_makes_a_pair_once_and_prints_what_senders_need"),
    ),
    (
        "mns-endpoint subscription create http://mns.example.com:8080",
        NotRun("needs an address that MNS reaches; else as in the README"),
    ),
    (
        "awk -v RS=",
        RunBy("the_command_of_the_docs_prints_one_whole_record"),
    ),
    (
        "mns-endpoint explain request.http",
        RunBy("a_valid_request_ends_with_0"),
    ),
    (
        "timeout 60 tcpdump",
        NotRun("needs root, tcpdump and tshark"),
    ),
    (
        "mns-endpoint explain logs/quarantine",
        RunBy("a_refused_request_is_saved_unchanged_and_explain_says_what_is_wrong"),
    ),
    (
        "recover()",
        NotRun("needs the units of systemd; recover.rs tests logs recover itself"),
    ),
    (
        "mns-endpoint logs repair",
        RunBy("repair_brings_back_what_a_power_cut_takes"),
    ),
    (
        "mns-endpoint inspect",
        RunBy("the_token_is_kept_as_the_logs_are_and_printed_by_inspect_alone"),
    ),
    (
        "mns-endpoint logs replay --since",
        RunBy("accepted_messages_are_posted_once_and_in_order_and_the_state_goes_on"),
    ),
    (
        "while curl",
        NotRun("a loop over /status, whose JSON emulator_page.rs checks"),
    ),
    (
        "HTTP_PROXY=http://127.0.0.1:9000 node",
        RunBy("tests/sdk/test_node.py"),
    ),
    (
        "mns-endpoint emulator --chaos bad-signature=1",
        RunBy("an_endpoint_that_accepts_forgeries_is_reported"),
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of each block of code without a language, or with that of a console, without its
/// indentation and prompts.
fn blocks(page: &str) -> Vec<String> {
    Regex::new(r"(?ms)^( *)```(\w*)\n(.*?)^ *```$")
        .unwrap()
        .captures_iter(page)
        .filter(|found| ["", "console"].contains(&&found[2]))
        .map(|found| {
            let lines = found[3].lines().map(|line| {
                let line = line.strip_prefix(&found[1]).unwrap_or(line);
                line.strip_prefix("$ ").unwrap_or(line)
            });
            lines.map(|line| format!("{line}\n")).collect()
        })
        .collect()
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    pages.extend(
        ["README.md", "CONTRIBUTING.md", "examples/README.md"].map(|name| root().join(name)),
    );
    pages.sort();
    pages
}

#[test]
fn every_block_of_commands_has_its_proof() {
    let mut without = Vec::new();
    let mut used = BTreeSet::new();
    for page in pages() {
        for block in blocks(&read(&page)) {
            let first = block.split_whitespace().next().unwrap_or_default();
            if !PROGRAMS.contains(&first) {
                continue;
            }
            let rows = BLOCKS.iter().filter(|(start, _)| block.starts_with(start));
            let rows: Vec<&str> = rows.map(|(start, _)| *start).collect();
            match rows[..] {
                [row] => {
                    used.insert(row);
                }
                _ => without.push(format!("{}: {rows:?}: {block}", page.display())),
            }
        }
    }
    assert!(without.is_empty(), "no row, or several: {without:#?}");
    for (start, proof) in BLOCKS {
        assert!(used.contains(start), "no page has {start:?} any more");
        match proof {
            NotRun(reason) => assert!(!reason.is_empty(), "{start}"),
            RunBy(script) if script.contains('/') => assert!(root().join(script).is_file()),
            RunBy(test) => assert!(is_a_test(test), "{start:?}: there is no test {test}"),
        }
    }
}

fn is_a_test(name: &str) -> bool {
    let files = fs::read_dir(root().join("tests/it")).unwrap();
    files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .any(|path| read(&path).contains(&format!("fn {name}() {{")))
}

/// A terminal in which the first block of the section was pasted.
struct Terminal<'a> {
    dir: &'a Path,
    /// What was exported in it.
    exports: String,
    env: Vec<(&'static str, String)>,
}

impl Terminal<'_> {
    fn command(&self, pasted: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .current_dir(self.dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TZ", "UTC")
            .envs(OFF)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .args(["-ec", &format!("{}{pasted}", self.exports)]);
        command
    }

    /// Pastes a command that does not end by itself. Returns it, and its output from here on.
    fn start(&self, pasted: &str) -> (Running, BufReader<ChildStdout>) {
        let stderr = fs::File::create(self.dir.join("stderr")).unwrap();
        let mut command = self.command(&format!("exec {pasted}"));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        (Running(child), stdout)
    }
}

/// The next line of the output.
fn line(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.ends_with('\n'), "it ended after {line:?}");
    line
}

/// The address in a line such as `Start Emulator! Address: http://127.0.0.1:9000`.
fn address(line: &str) -> String {
    let (_, address) = line.trim_end().split_once("http://").unwrap();
    address.to_owned()
}

#[test]
fn the_steps_of_the_readme_work_when_they_are_pasted() {
    let readme = read(&root().join("README.md"));
    let section = |heading: &str| {
        let (_, rest) = readme.split_once(&format!("\n{heading}\n")).unwrap();
        blocks(rest.split("\n## ").next().unwrap())
    };
    let steps = section("## The manual's seven steps");
    let [path, emulator, prepare, serve, rest] = &steps[..] else {
        panic!("{steps:#?}")
    };
    let bin = Path::new(env!("CARGO_BIN_EXE_mns-endpoint"))
        .parent()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut terminal = Terminal {
        dir: dir.path(),
        exports: path.replace("$PWD/target/debug", bin.to_str().unwrap()),
        env: Vec::new(),
    };

    // Free ports take the place of 9000 and 8080, which may be in use on this machine.
    let listen = " --listen 127.0.0.1:0";
    let (_emulator, mut output) = terminal.start(&format!("{}{listen}", emulator.trim_end()));
    let mns = address(&line(&mut output));
    let serve = serve.replace("127.0.0.1:8080", "127.0.0.1:0");
    let (_serve, mut started) = terminal.start(&serve.replace("127.0.0.1:9000", &mns));
    let endpoint = address(&line(&mut started));
    let port = endpoint.rsplit(':').next().unwrap();

    // The second terminal.
    let prepare = prepare.replace("127.0.0.1:9000", &mns);
    let created = "Create Topic Succeed! TopicName:MyTopic1";
    finish(&mut terminal.command(&prepare), b"").assert(0, created);
    for export in prepare.lines().filter(|line| line.starts_with("export ")) {
        terminal.exports += &format!("{export}\n");
    }
    let rest = rest.replace("8080", port);
    let [subscribe, publish, look, delete] = rest.lines().collect::<Vec<_>>()[..] else {
        panic!("{rest}")
    };
    let run =
        |pasted: &str, printed: &str| finish(&mut terminal.command(pasted), b"").assert(0, printed);
    run(
        subscribe,
        "Create Subscription Succeed! TopicName:MyTopic1 SubName:MyTopic1-Sub1",
    );
    run(
        publish,
        "Publish Message Succeed. MessageBody:I am test message 2.",
    );
    let log = dir.path().join(format!("logs/access_log.{port}"));
    eventually("three pushes were answered 201", || {
        let answered = read(&log).matches("\"POST\" \"201\"").count();
        (answered == 3).then_some(())
    });
    run(look, "I am test message 2.");
    run(delete, "Delete Topic Succeed! TopicName:MyTopic1");

    // The port of a configuration that has none is 8080.
    let listen = ("MNS_ENDPOINT_SERVER__LISTEN", format!("127.0.0.1:{port}"));
    terminal.env.push(listen);
    let consume = section("### Consume them").swap_remove(0);
    let (_tail, mut rows) = terminal.start(&consume);
    let mut messages: Vec<String> = (0..3)
        .map(|_| {
            let row: serde_json::Value = serde_json::from_str(&line(&mut rows)).unwrap();
            row["Message"].as_str().unwrap().to_owned()
        })
        .collect();
    messages.sort();
    let published = [0, 1, 2].map(|number| format!("I am test message {number}."));
    assert_eq!(messages, published);
}
