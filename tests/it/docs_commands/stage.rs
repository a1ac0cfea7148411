//! A directory like a fresh clone, in which commands of the pages run as they are printed.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use regex::{Captures, Regex};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tempfile::TempDir;

use super::pages::root;
use crate::support::{eventually, free_port, program};

/// The ports that pages name. Each run has others.
const PORTS: [&str; 7] = ["3000", "8080", "8081", "8082", "9000", "9001", "9080"];

/// The program, with free ports for the commands that have a port by default.
const PROGRAM: &str = r#"#!/bin/sh
command=$1
shift
case $command in
    emulator) set -- --listen 127.0.0.1:9000 "$@" ;;
    push) set -- --cert-listen 127.0.0.1:9001 "$@" ;;
esac
exec "$BINARY" "$command" "$@"
"#;
/// Runs as the present user what a page runs as another one.
const SUDO: &str = "#!/bin/sh\n[ \"$1\" = -u ] && shift 2\nexec \"$@\"\n";

pub struct Stage {
    dir: TempDir,
    ports: BTreeMap<&'static str, u16>,
    /// What later commands take over from earlier ones: variables and functions.
    kept: Vec<String>,
    running: Vec<Background>,
    started: usize,
}

/// A command that runs until it is stopped, with the processes that it has started.
struct Background {
    child: Child,
    output: PathBuf,
}

impl Drop for Background {
    fn drop(&mut self) {
        // They may have ended.
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }
}

impl Stage {
    pub fn new() -> Self {
        let stage = Self {
            dir: tempfile::tempdir().unwrap(),
            ports: PORTS.map(|port| (port, free_port())).into(),
            kept: Vec::new(),
            running: Vec::new(),
            started: 0,
        };
        let dir = stage.dir.path();
        for name in ["config", "deploy", "examples"] {
            symlink(root().join(name), dir.join(name)).unwrap();
        }
        fs::create_dir(dir.join("certs")).unwrap();
        fs::copy(
            root().join("certs/mns-2015.pem"),
            dir.join("certs/mns-2015.pem"),
        )
        .unwrap();
        let bin = dir.join("target/debug");
        fs::create_dir_all(&bin).unwrap();
        for (name, script) in [("mns-endpoint", PROGRAM), ("sudo", SUDO)] {
            fs::write(bin.join(name), stage.adapted(script)).unwrap();
            fs::set_permissions(bin.join(name), Permissions::from_mode(0o755)).unwrap();
        }
        stage
    }

    /// A text of a page with the ports, the directories and the names of this run.
    pub fn adapted(&self, text: &str) -> String {
        let port = Regex::new(r"([:._])(\d{4})\b").unwrap();
        let text = port.replace_all(text, |found: &Captures<'_>| {
            let port = self.ports.get(&found[2]);
            let port = port.map_or(found[2].to_owned(), u16::to_string);
            format!("{}{port}", &found[1])
        });
        let text = text.replace("0.0.0.0:", "127.0.0.1:");
        let text = text.replace("mns.example.com:", "127.0.0.1:");
        let name = Regex::new(r"\[?\bNAME\b\]?").unwrap();
        let text = name.replace_all(&text, "orders");
        let system =
            Regex::new(r"(/var/log|/var/lib|/etc|/usr/local/bin)/(mns-endpoint|systemd)").unwrap();
        let dir = self.dir.path().display();
        let moved = |found: &Captures<'_>| format!("{dir}{}", &found[0]);
        system.replace_all(&text, moved).into_owned()
    }

    /// Starts a command, with its output in a file.
    fn spawn(&mut self, text: &str) -> Background {
        let text = self.adapted(text);
        self.started += 1;
        let output = self.dir.path().join(format!("output.{}", self.started));
        let file = File::create(&output).unwrap();
        let mut shell = Command::new(if text.contains("pipefail") {
            "bash"
        } else {
            "sh"
        });
        let of_program = program();
        let variables = of_program.get_envs();
        shell.envs(variables.filter_map(|(name, value)| Some((name, value?))));
        let child = shell
            .env("BINARY", env!("CARGO_BIN_EXE_mns-endpoint"))
            .env(
                "MNS_ENDPOINT_SERVER__LISTEN",
                self.adapted("127.0.0.1:8080"),
            )
            .env("MNS_ENDPOINT_ADMIN__LISTEN", self.adapted("127.0.0.1:9080"))
            .current_dir(self.dir.path())
            .args([
                "-c",
                &[&self.kept.join("\n"), &text]
                    .map(String::as_str)
                    .join("\n"),
            ])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        if text.starts_with("export ") || text.contains("() {\n") {
            self.kept.push(text);
        }
        Background { child, output }
    }

    /// Runs a command to its end, with this exit code.
    pub fn run(&mut self, text: &str, code: i32, expected: &str) {
        let mut running = self.spawn(text);
        let status = eventually(&format!("{text:?} ends"), || {
            running.child.try_wait().unwrap()
        });
        let printed = running.printed();
        assert_eq!(status.code(), Some(code), "{text:?} printed {printed}");
        let expected = self.adapted(expected);
        assert!(
            has_lines(&printed, &expected),
            "{text:?} printed {printed} and not {expected}"
        );
    }

    /// Runs a command again and again, until it prints this.
    pub fn await_output(&mut self, text: &str, expected: &str) {
        let expected = self.adapted(expected);
        eventually(&format!("{text:?} prints {expected:?}"), || {
            let mut running = self.spawn(text);
            running.child.wait().unwrap();
            has_lines(&running.printed(), &expected).then_some(())
        });
    }

    /// Starts a command, and waits until it has printed this.
    pub fn start(&mut self, text: &str, expected: &str) {
        let mut started = self.spawn(text);
        let expected = self.adapted(expected);
        eventually(&format!("{text:?} prints {expected:?}"), || {
            let printed = started.printed();
            let ended = started.child.try_wait().unwrap();
            assert!(ended.is_none(), "{text:?} ended with {ended:?}: {printed}");
            has_lines(&printed, &expected).then_some(())
        });
        self.running.push(started);
    }

    /// Ends the command that was started last, as Ctrl-C does. It must have printed this.
    pub fn stop(&mut self, expected: &str) {
        let mut last = self.running.pop().unwrap();
        let group = Pid::from_child(&last.child);
        kill_process_group(group, Signal::INT).unwrap();
        last.child.wait().unwrap();
        // The shell may end before the program that it runs, which still has the lock of its logs.
        eventually("its processes have ended", || {
            (test_kill_process_group(group) == Err(Errno::SRCH)).then_some(())
        });
        let (expected, printed) = (self.adapted(expected), last.printed());
        assert!(
            has_lines(&printed, &expected),
            "not {expected}, but {printed}"
        );
    }
}

/// Whether each of the expected lines is a part of what was printed.
fn has_lines(printed: &str, expected: &str) -> bool {
    expected.lines().all(|line| printed.contains(line))
}

impl Background {
    /// What it has printed so far, on either stream.
    fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }
}
