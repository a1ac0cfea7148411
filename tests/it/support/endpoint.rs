//! A real `mns-endpoint serve` in its own directory.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{Answer, eventually, exchange, free_port, whole};

/// What is off unless a test needs it: the admin listener, whose port all tests would share, and
/// the fetch of the known certificate, which would leave this machine. The commit log has the
/// minimum size.
pub const OFF: [(&str, &str); 3] = [
    ("MNS_ENDPOINT_ADMIN__LISTEN", "off"),
    ("MNS_ENDPOINT_SIGNING__PREFETCH", "false"),
    ("MNS_ENDPOINT_LOGS__COMMIT_LOG", "8MiB"),
];

/// The program without any external configuration, except for [`OFF`].
pub fn program() -> Command {
    let mut command = cleared(Path::new(env!("CARGO_BIN_EXE_mns-endpoint")));
    command.envs(OFF);
    command
}

/// The program of an older build, which rejects keys that it does not know.
fn older_program(path: &Path) -> Command {
    let mut command = cleared(path);
    command.envs(
        OFF.iter()
            .filter(|(name, _)| !name.ends_with("COMMIT_LOG"))
            .copied(),
    );
    command
}

fn cleared(path: &Path) -> Command {
    let mut command = Command::new(path);
    command
        .env_clear()
        .env("TZ", "UTC")
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null());
    command
}

/// The program with a socket that is already open, by systemd's protocol.
pub fn activated(socket: &TcpListener) -> Command {
    let mut command = Command::new("/bin/sh");
    // The process id is only known inside the process, and the socket has to be file descriptor 3.
    let hand_over = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\"";
    command.env_clear().env("TZ", "UTC").envs(OFF).args([
        "-c",
        hand_over,
        env!("CARGO_BIN_EXE_mns-endpoint"),
    ]);
    command.stdin(OwnedFd::from(socket.try_clone().unwrap()));
    command
}

/// The options for starting an endpoint.
#[derive(Default, Clone)]
pub struct Options {
    /// Keys and values for `--set`.
    pub set: Vec<(String, String)>,
    /// Prefixes for `--trust`.
    pub trust: Vec<String>,
    /// Further flags.
    pub flags: Vec<String>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// A socket to hand over as a service manager does.
    pub socket: Option<Arc<TcpListener>>,
    /// An older build to start instead of this one.
    pub older: Option<PathBuf>,
}

impl Options {
    pub fn trusting(prefix: impl Into<String>) -> Self {
        Self {
            trust: vec![prefix.into()],
            ..Self::default()
        }
    }

    /// A prefix that the configuration lists beside MNS's: certificates from there are saved, and a
    /// change of key is reported.
    pub fn listing(prefix: &str) -> Self {
        let of_mns = "https://mnstest.oss-cn-hangzhou.aliyuncs.com/,\
            https://mns-cert.oss-{region}.aliyuncs.com/";
        Self::default().set(
            "signing.certificate_prefixes",
            &format!("{of_mns},{prefix}"),
        )
    }

    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.set.push((key.to_owned(), value.to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A running endpoint. Killed when dropped.
pub struct Endpoint {
    pub address: SocketAddr,
    /// The lines that the start printed.
    pub start_lines: Vec<String>,
    child: Child,
    stdout: BufReader<ChildStdout>,
    dir: TempDir,
}

impl Endpoint {
    pub fn start(options: &Options) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), options)
    }

    /// Starts in a directory that another endpoint may have used.
    pub fn start_in(dir: TempDir, options: &Options) -> Self {
        let mut command = match (&options.older, &options.socket) {
            (Some(older), _) => older_program(older),
            (None, Some(socket)) => activated(socket),
            (None, None) => program(),
        };
        command.current_dir(dir.path()).arg("serve");
        if !options.set.iter().any(|(key, _)| key == "logs.dir") {
            command.args(["--log-dir", "logs"]);
        }
        if !options.set.iter().any(|(key, _)| key == "server.listen") {
            // A port that a restart can have again.
            command.args(["--listen", &format!("127.0.0.1:{}", free_port())]);
        }
        for (key, value) in &options.set {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        for prefix in &options.trust {
            command.arg("--trust").arg(prefix);
        }
        command.args(&options.flags);
        command.envs(
            options
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        );
        let stderr = std::fs::File::create(dir.path().join("stderr")).unwrap();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut start_lines = Vec::new();
        for _ in 0..2 {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            let told = std::fs::read_to_string(dir.path().join("stderr")).unwrap();
            assert!(line.ends_with('\n'), "no start line, but: {told}");
            start_lines.push(line.trim_end().to_owned());
        }
        let address = start_lines[0].split("://").nth(1).unwrap();
        let address = address.split('/').next().unwrap().parse().unwrap();
        Self {
            address,
            start_lines,
            child,
            stdout,
            dir,
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn log_path(&self, name: &str) -> PathBuf {
        self.path()
            .join("logs")
            .join(format!("{name}.{}", self.address.port()))
    }

    /// The complete records of the endpoint log, without one that is being written.
    pub fn endpoint_log(&self) -> String {
        let path = self.log_path("endpoint_log");
        let is_json = std::fs::read(&path).unwrap().starts_with(b"{");
        whole(&path, if is_json { "\n" } else { "\n\n" })
    }

    /// The complete lines of the access log, without one that is being written.
    pub fn access_log(&self) -> String {
        whole(&self.log_path("access_log"), "\n")
    }

    /// Waits until the diagnostic log contains a text. It is written in the background.
    #[track_caller]
    pub fn assert_tells(&self, text: &str) {
        eventually(&format!("{text:?} is reported"), || {
            self.stderr().contains(text).then_some(())
        });
    }

    /// Ends it, and returns its complete diagnostic log.
    pub fn told(self) -> String {
        let (_printed, dir) = self.stop();
        std::fs::read_to_string(dir.path().join("stderr")).unwrap()
    }

    /// The complete lines of the diagnostic log so far.
    pub fn stderr(&self) -> String {
        whole(&self.path().join("stderr"), "\n")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has had so far, in KiB.
    pub fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let mut lines = status.lines();
        let peak = lines.find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    pub fn exchange(&self, bytes: &[u8]) -> Answer {
        exchange(self.address, bytes)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it as a supervisor does. It must end with 0. Returns the rest of stdout and the
    /// directory.
    pub fn stop(self) -> (String, TempDir) {
        self.signal(Signal::TERM);
        self.end()
    }

    /// Waits until it has ended. It must end with 0.
    pub fn end(mut self) -> (String, TempDir) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.stderr());
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        (rest, dir)
    }

    /// Its exit code, if it has ended.
    pub fn ended(&mut self) -> Option<i32> {
        self.child
            .try_wait()
            .unwrap()
            .map(|status| status.code().unwrap())
    }

    /// Kills it, to simulate a crash.
    pub fn kill(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
