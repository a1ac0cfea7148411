//! Runs the program as a command that ends by itself.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::program;

/// No command of the tests takes longer, however busy the machine is.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

/// The exit code of a command and its output.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A command that runs until it is asked to end, or until its test fails.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Runs the program in `dir` with those arguments.
pub fn run(dir: &Path, args: &[&str]) -> Ended {
    finish(program().current_dir(dir).args(args), b"")
}

/// Runs a command with `input` as its stdin until it ends, for a bounded time.
pub fn finish(command: &mut Command, input: &[u8]) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    let mut stdin = child.stdin.take().unwrap();
    // Most commands end without reading it.
    stdin.write_all(input).ok();
    drop(stdin);
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let in_time = ended.recv_timeout(RUN_TIMEOUT).ok();
    let is_late = in_time.is_none();
    if is_late {
        kill_process(pid, Signal::KILL).unwrap();
    }
    let output = in_time.unwrap_or_else(|| ended.recv().unwrap()).unwrap();
    assert!(
        !is_late,
        "{command:?} did not end within {RUN_TIMEOUT:?}: {output:?}"
    );
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended {
        code: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

impl Ended {
    /// It must have ended with `code` and printed `told` on either stream.
    #[track_caller]
    pub fn assert(&self, code: i32, told: &str) {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(
            self.stdout.contains(told) || self.stderr.contains(told),
            "{told:?} is not in {self:#?}"
        );
    }
}
