//! Real NATS servers: one, or three that are a cluster, on loopback, each with a store that
//! outlives a kill.
//!
//! Without nats-server the tests that need it print a note and pass, unless `REQUIRE_NATS` is set,
//! as in `.ci/run`. `tests/nats/install` installs it at the expected path; `NATS_SERVER` names
//! another path.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{eventually, free_port};

/// How servers are set up.
#[derive(Default, Clone)]
pub struct NatsSetup {
    /// Whether a server syncs a write before it acknowledges it. Otherwise it syncs every two
    /// minutes.
    pub is_synced: bool,
    /// Lines of the configuration of each server: `authorization`, `tls`, `max_payload`.
    pub lines: String,
}

/// Servers, ended when this is dropped.
pub struct Nats {
    setup: NatsSetup,
    servers: Vec<Server>,
    dir: TempDir,
}

struct Server {
    child: Option<Child>,
    clients: u16,
    routes: u16,
    monitor: u16,
}

/// The path of the program. Prints a note if it is not installed.
#[expect(
    clippy::print_stdout,
    reason = "a test that tests nothing has to say so"
)]
fn program() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let usual = target.join("nats/bin/nats-server");
    let program = std::env::var_os("NATS_SERVER").map_or(usual, PathBuf::from);
    if program.exists() {
        return Some(program);
    }
    assert!(
        std::env::var_os("REQUIRE_NATS").is_none(),
        "{} is missing: tests/nats/install",
        program.display()
    );
    println!("SKIPPED: nats-server is missing, so forwarding to NATS is NOT tested");
    None
}

impl Nats {
    /// Starts one server. Prints a note and returns `None` if nats-server is missing.
    pub fn one(setup: &NatsSetup) -> Option<Self> {
        Self::start_all(setup, 1)
    }

    /// Starts a cluster of three servers. Prints a note and returns `None` if nats-server is
    /// missing.
    pub fn cluster(setup: &NatsSetup) -> Option<Self> {
        Self::start_all(setup, 3)
    }

    fn start_all(setup: &NatsSetup, count: usize) -> Option<Self> {
        program()?;
        let server = |_| Server {
            child: None,
            clients: free_port(),
            routes: free_port(),
            monitor: free_port(),
        };
        let mut nats = Self {
            setup: setup.clone(),
            servers: (0..count).map(server).collect(),
            dir: tempfile::tempdir().unwrap(),
        };
        for place in 0..count {
            nats.configure(place);
            nats.start(place);
        }
        for place in 0..count {
            nats.ready(place);
        }
        Some(nats)
    }

    fn configure(&self, place: usize) {
        let server = &self.servers[place];
        let NatsSetup { is_synced, lines } = &self.setup;
        // Left out otherwise, because old servers do not know the key.
        let sync = if *is_synced {
            ", sync_interval: always"
        } else {
            ""
        };
        let routes: Vec<String> = self
            .servers
            .iter()
            .map(|server| format!("\"nats://127.0.0.1:{}\"", server.routes))
            .collect();
        let cluster = match self.servers.len() {
            1 => String::new(),
            _ => format!(
                "cluster {{ name: test, listen: \"127.0.0.1:{}\", routes: [{}] }}\n",
                server.routes,
                routes.join(", ")
            ),
        };
        let text = format!(
            "server_name: n{place}\nlisten: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:{}\"\n\
             jetstream {{ store_dir: \"n{place}\"{sync} }}\n{cluster}{lines}\n",
            server.clients, server.monitor
        );
        std::fs::write(self.dir.path().join(format!("n{place}.conf")), text).unwrap();
    }

    /// Starts a server with its old store.
    pub fn start(&mut self, place: usize) {
        let log = self.dir.path().join(format!("n{place}.log"));
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(log)
            .unwrap();
        let mut command = Command::new(program().unwrap());
        command
            .current_dir(self.dir.path())
            .args(["-c", &format!("n{place}.conf")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.servers[place].child = Some(command.spawn().unwrap());
    }

    /// Waits until a server reports that it and its streams are healthy.
    pub fn ready(&self, place: usize) {
        eventually(&format!("n{place} is ready"), || {
            let (status, _body) = self.monitor(place, "/healthz")?;
            (status == 200).then_some(())
        });
    }

    /// Replaces the lines of the configuration, and has all servers read it.
    pub fn reload(&mut self, lines: &str) {
        lines.clone_into(&mut self.setup.lines);
        for place in 0..self.servers.len() {
            // SIGHUP has no answer, so the time of the last load shows that it took effect.
            let loaded = |nats: &Self| nats.json(place, "/varz")["config_load_time"].clone();
            let before = loaded(self);
            self.configure(place);
            self.signal(place, Signal::HUP);
            eventually("the configuration is loaded", || {
                (loaded(self) != before).then_some(())
            });
        }
    }

    /// Ends a server as a crash does.
    pub fn kill(&mut self, place: usize) {
        let mut child = self.servers[place].child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Stops a server, so that it hangs, and waits until each of its threads is stopped.
    pub fn pause(&self, place: usize) {
        self.signal(place, Signal::STOP);
        let id = self.servers[place].child.as_ref().unwrap().id();
        // SIGSTOP is asynchronous: a thread that still runs could acknowledge one more message.
        eventually("every thread is stopped", || {
            let threads = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
            let is_stopped = |thread: std::io::Result<std::fs::DirEntry>| {
                let stat = std::fs::read_to_string(thread.unwrap().path().join("stat"));
                stat.is_ok_and(|stat| stat.contains(") T "))
            };
            threads.into_iter().all(is_stopped).then_some(())
        });
    }

    /// Continues a server after [`Self::pause`].
    pub fn resume(&self, place: usize) {
        self.signal(place, Signal::CONT);
    }

    fn signal(&self, place: usize, signal: Signal) {
        let child = self.servers[place].child.as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// The addresses of all servers, for `servers` and for a client.
    pub fn urls(&self) -> Vec<String> {
        let url = |server: &Server| format!("nats://127.0.0.1:{}", server.clients);
        self.servers.iter().map(url).collect()
    }

    /// The address of the monitoring port of a server.
    pub fn monitor_url(&self, place: usize) -> String {
        format!("http://127.0.0.1:{}", self.servers[place].monitor)
    }

    /// The port of a server for clients.
    pub fn port(&self, place: usize) -> u16 {
        self.servers[place].clients
    }

    /// The answer of the monitoring port of a server for a path.
    pub fn json(&self, place: usize, path: &str) -> Value {
        let answer = || self.monitor(place, path);
        let (_status, body) = eventually(&format!("n{place} answers {path}"), answer);
        serde_json::from_str(&body).unwrap()
    }

    /// `None` if nobody answers.
    fn monitor(&self, place: usize, path: &str) -> Option<(u16, String)> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.servers[place].monitor));
        let mut stream = TcpStream::connect(address).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    /// What a server has logged.
    pub fn log(&self, place: usize) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("n{place}.log"))).unwrap()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        for child in self
            .servers
            .iter_mut()
            .filter_map(|server| server.child.as_mut())
        {
            // SIGKILL also ends a stopped process.
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            for place in 0..self.servers.len() {
                eprint_tail(place, &self.log(place));
            }
        }
    }
}

/// Prints the end of a log, to explain a failed test.
#[expect(clippy::print_stderr, reason = "the harness shows it with the failure")]
fn eprint_tail(place: usize, log: &str) {
    let lines: Vec<&str> = log.lines().rev().take(20).collect();
    let lines: Vec<&str> = lines.into_iter().rev().collect();
    eprintln!("n{place}:\n{}", lines.join("\n"));
}
