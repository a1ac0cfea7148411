//! The recipes of docs/operations.md under a real nginx.
//!
//! Without nginx these tests print that and pass, unless `REQUIRE_NGINX` is set, as it is in
//! `.ci/run`.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mns_endpoint::mns::ContentFormat;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::admin;
use crate::support::{Bench, Draft, Options, exchange, file, key};

const NGINX: &str = "/usr/sbin/nginx";
const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// An nginx in its own directory. Ended when dropped.
pub struct Nginx {
    pub address: SocketAddr,
    child: Child,
    _dir: TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It ends its worker too.
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

#[expect(
    clippy::print_stdout,
    reason = "a test that tests nothing has to say so"
)]
pub fn is_there() -> bool {
    let is_there = Path::new(NGINX).exists();
    assert!(
        is_there || std::env::var_os("REQUIRE_NGINX").is_none(),
        "{NGINX} is missing: apt-get install nginx-light"
    );
    if !is_there {
        println!("SKIPPED: {NGINX} is missing, so what runs behind it is NOT tested");
    }
    is_there
}

/// The recipe that contains `mark`, with the address of this endpoint.
fn recipe(mark: &str, nginx: SocketAddr, endpoint: SocketAddr) -> String {
    let blocks: Vec<&str> = OPERATIONS
        .split("```")
        .skip(1)
        .step_by(2)
        .filter(|block| block.contains(mark))
        .collect();
    let [block] = blocks[..] else {
        panic!("{} recipes hold {mark}", blocks.len())
    };
    let lines = block
        .lines()
        .skip(1)
        .filter(|line| !line.contains("ssl_certificate"));
    let text: Vec<&str> = lines.collect();
    let text = text.join("\n");
    assert!(
        text.contains("listen 443 ssl;") && text.contains("server 127.0.0.1:8080;"),
        "{text}"
    );
    text.replace("listen 443 ssl;", &format!("listen {nginx};"))
        .replace("127.0.0.1:8080", &endpoint.to_string())
}

impl Nginx {
    fn start(mark: &str, endpoint: SocketAddr) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = recipe(mark, socket.local_addr().unwrap(), endpoint);
        Self::run(socket, &server)
    }

    /// One whose block `http` has this in it, with a server that listens on `socket`.
    pub fn run(socket: TcpListener, server: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = socket.local_addr().unwrap();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary
            .map(|kind| format!("{kind}_temp_path {kind};\n"))
            .concat();
        let settings = format!(
            "daemon off; pid nginx.pid; error_log stderr;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}{server}\n}}\n"
        );
        std::fs::write(dir.path().join("nginx.conf"), settings).unwrap();
        // It inherits an open socket, as it does when it replaces itself.
        let script = format!("exec 3<&0 </dev/null; NGINX='3;' exec {NGINX} -p . -c nginx.conf");
        let mut command = Command::new("/bin/sh");
        command
            .current_dir(dir.path())
            .args(["-c", &script])
            .stdin(OwnedFd::from(socket));
        let stderr = std::fs::File::create(dir.path().join("stderr")).unwrap();
        let child = command
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        Self {
            address,
            child,
            _dir: dir,
        }
    }
}

/// An endpoint that trusts nginx, and its admin listener.
fn bench(set: &[(&str, &str)]) -> (Bench, SocketAddr) {
    admin::bench(|options: Options| {
        let options = options
            .set("server.trusted_proxies", "127.0.0.1")
            .set("logs.access_fields", "peer");
        set.iter()
            .fold(options, |options, (key, value)| options.set(key, value))
    })
}

#[test]
fn pushes_pass_through_and_their_sender_is_known() {
    if !is_there() {
        return;
    }
    let (bench, admin) = bench(&[("accept.sources", "203.0.113.7")]);
    let nginx = Nginx::start("location = /notifications", bench.endpoint.address);
    let large = vec![b'x'; 300 * 1024];
    let messages: [(ContentFormat, &[u8]); 4] = [
        (ContentFormat::Xml, b"m"),
        (ContentFormat::Json, "{\"a\":\"中文\"}".as_bytes()),
        (ContentFormat::Simplified, b"\x00\xff\r\n"),
        (ContentFormat::Xml, &large),
    ];
    for (format, message) in messages {
        // Another proxy in front of nginx has added the client's address.
        let draft = Draft::new(format, message, &bench.host.url(&file()))
            .set("X-Forwarded-For", "203.0.113.7");
        let lines = bench.endpoint.access_log().lines().count();
        let answer = exchange(nginx.address, &draft.sign(&key(512)).wire());
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (201, "Notify Message Succeed!"),
            "{format:?}"
        );
        let line = bench.next_line(lines);
        assert!(
            line.contains("\"endpoint.test\"") && line.ends_with("\"203.0.113.7:0\""),
            "{line}"
        );
    }
    let connections = admin::metric(
        &admin::get(admin, "/metrics", "").body,
        "mns_endpoint_connections_total",
    );
    assert_eq!(
        connections, 1.0,
        "nginx uses one connection for all of them"
    );
    // Without that header the sender is nginx's client: this machine, which is not accepted.
    let answer = exchange(nginx.address, &bench.draft().sign(&key(512)).wire());
    assert_eq!(answer.status, 403);
}

#[test]
fn a_prefix_that_nginx_removes_is_restored() {
    if !is_there() {
        return;
    }
    let (bench, _) = bench(&[
        ("server.public_path_prefix", "/mns"),
        ("server.paths", "/mns/notifications"),
    ]);
    let nginx = Nginx::start("location /mns/", bench.endpoint.address);
    for target in ["/mns/notifications", "/mns/notifications?a=b%2Fc"] {
        let answer = exchange(
            nginx.address,
            &bench.draft().to(target).sign(&key(512)).wire(),
        );
        assert_eq!(answer.status, 201, "{target}");
    }
    // Without the setting nothing is restored, and no signature matches.
    let (other, _) = self::bench(&[]);
    let nginx = Nginx::start("location /mns/", other.endpoint.address);
    assert_eq!(
        exchange(
            nginx.address,
            &other
                .draft()
                .to("/mns/notifications")
                .sign(&key(512))
                .wire()
        )
        .status,
        403
    );
}
