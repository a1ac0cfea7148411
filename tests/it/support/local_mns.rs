//! A real `mns-endpoint emulator`.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;

use mns_endpoint::client::{Base, Client};
use mns_endpoint::clock::SystemClock;
use mns_endpoint::mns::AccessKey;
use mns_endpoint::mns::ContentFormat;
use mns_endpoint::mns::api::{NotifyStrategy, SubscriptionAttributes};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{eventually, exchange, free_port, program, whole};

/// A running emulator. Killed when dropped.
pub struct LocalMns {
    /// `127.0.0.1:PORT`
    pub address: String,
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: tempfile::NamedTempFile,
}

impl LocalMns {
    /// Starts on a free port.
    pub fn start(args: &[&str]) -> Self {
        Self::listen(&format!("127.0.0.1:{}", free_port()), args)
    }

    pub fn listen(address: &str, args: &[&str]) -> Self {
        let stderr = tempfile::NamedTempFile::new().unwrap();
        let mut command = program();
        command.args(["emulator", "--listen", address]).args(args);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(stderr.reopen().unwrap())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let told = || std::fs::read_to_string(stderr.path()).unwrap();
        let address = line
            .trim_end()
            .strip_prefix("Start Emulator! Address: http://");
        let address = address
            .unwrap_or_else(|| panic!("no start line, but {line:?} and {}", told()))
            .to_owned();
        Self {
            address,
            child,
            stdout,
            stderr,
        }
    }

    /// The address on which it listens, whatever address it announces. Once this is known,
    /// everything before it is in stderr.
    pub fn bound(&self) -> SocketAddr {
        let line = regex::Regex::new(r"Listening.* bound=\S+:(\d+)").unwrap();
        let port = eventually("it says where it listens", || {
            line.captures(&self.stderr())
                .map(|found| found[1].parse::<u16>().unwrap())
        });
        (Ipv4Addr::LOCALHOST, port).into()
    }

    /// The prefix that an endpoint has to trust.
    pub fn prefix(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn client(&self) -> Client {
        self.client_with("emulator", "emulator")
    }

    pub fn client_with(&self, id: &str, secret: &str) -> Client {
        let base = Base::parse(&format!("http://{}", self.address)).unwrap();
        let key = AccessKey {
            id: id.to_owned(),
            secret: secret.to_owned(),
        };
        Client::new(base, key, None, Arc::new(SystemClock)).unwrap()
    }

    /// A topic `T` with a subscription `S` of `endpoint`.
    pub async fn subscribe(&self, endpoint: &str, strategy: NotifyStrategy) -> Client {
        let client = self.client();
        client.create_topic("T", &Default::default()).await.unwrap();
        client
            .subscribe("T", "S", &to(endpoint, strategy))
            .await
            .unwrap();
        client
    }

    pub fn status(&self) -> Value {
        let answer = exchange(
            self.address.parse().unwrap(),
            b"GET /status HTTP/1.1\r\nhost: a\r\n\r\n",
        );
        serde_json::from_str(&answer.body).unwrap()
    }

    /// A number in the status of the subscription `S` of `T`.
    pub fn count(&self, name: &str) -> u64 {
        self.status()["subscriptions"][0][name].as_u64().unwrap()
    }

    pub fn await_count(&self, name: &str, count: u64) {
        eventually(&format!("{name} is {count}"), || {
            (self.count(name) == count).then_some(())
        });
    }

    pub fn stderr(&self) -> String {
        whole(self.stderr.path(), "\n")
    }

    /// Waits until stderr, which another thread reads, contains a text.
    #[track_caller]
    pub fn assert_tells(&self, text: &str) {
        eventually(&format!("{text:?} is reported"), || {
            self.stderr().contains(text).then_some(())
        });
    }

    /// Ends it as a user does. Returns what it printed at the end.
    pub fn stop(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.stderr());
        rest
    }

    /// Kills it, to simulate a crash.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for LocalMns {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub fn to(endpoint: &str, strategy: NotifyStrategy) -> SubscriptionAttributes {
    SubscriptionAttributes {
        endpoint: endpoint.to_owned(),
        filter_tag: String::new(),
        notify_strategy: strategy,
        notify_content_format: ContentFormat::Simplified,
        dead_letter_queue: None,
    }
}

/// `--data` of a directory.
pub fn data(dir: &Path) -> [&str; 2] {
    ["--data", dir.to_str().unwrap()]
}
