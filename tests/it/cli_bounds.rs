//! The input of commands is bounded: devices, pipes, and servers whose answer does not end.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{CertificateHost, Ended, Mode, finish, program, read};

/// The address space of a command in KiB: unbounded reads fail instead of exhausting the machine's
/// memory.
const MEMORY_KIB: usize = 4 * 1024 * 1024;

fn limited(dir: &Path, args: &[&str]) -> Ended {
    let program = program();
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            &format!("ulimit -v {MEMORY_KIB} && exec \"$0\" \"$@\""),
        ])
        .arg(program.get_program());
    command.envs(
        program
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    finish(command.args(args).current_dir(dir), b"")
}

#[test]
fn a_device_without_an_end_is_refused_wherever_a_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let service = ["--endpoint", "http://127.0.0.1:1"];
    let url = "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem";
    std::fs::write(dir.path().join("request.http"), "POST / HTTP/1.1\r\n\r\n").unwrap();
    for (args, code) in [
        (vec!["check", "--config", "/dev/zero"], 78),
        (vec!["serve", "--config", "/dev/zero"], 78),
        (vec!["health", "--config", "/dev/zero"], 78),
        (
            vec![
                "check",
                "--set",
                "admin.listen=127.0.0.1:0",
                "--set",
                "admin.token_file=/dev/zero",
            ],
            78,
        ),
        (
            vec![
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--set",
                "server.secret_path_file=/dev/zero",
            ],
            78,
        ),
        (vec!["explain", "/dev/zero"], 1),
        (
            vec!["push", "http://127.0.0.1:1", "--capture", "/dev/zero"],
            1,
        ),
        (
            vec![
                "push",
                "http://127.0.0.1:1",
                "--body-file",
                "/dev/zero",
                "--cert-listen",
                "127.0.0.1:0",
            ],
            1,
        ),
        (vec!["push", "http://127.0.0.1:1", "--key", "/dev/zero"], 1),
        (vec!["certificate", "add", url, "/dev/zero"], 1),
        (
            [
                &["topic", "list", "--sdk-config", "/dev/zero"][..],
                &service,
            ]
            .concat(),
            1,
        ),
    ] {
        let ended = limited(dir.path(), &args);
        assert_eq!(ended.code, code, "{args:?} {ended:#?}");
        let told = [&ended.stdout, &ended.stderr]
            .into_iter()
            .any(|text| text.contains(" bytes, the most that are read"));
        assert!(told, "{args:?} {ended:#?}");
    }
}

#[test]
fn a_pipe_without_a_writer_is_not_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new("mkfifo")
        .arg(dir.path().join("fifo"))
        .status()
        .unwrap();
    assert!(made.success());
    limited(dir.path(), &["check", "--config", "fifo"]).assert(78, "did not end within 10s");
}

#[test]
fn a_pipe_of_the_shell_is_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("bash");
    let script = "\"$0\" check --config <(echo 'accept.topic_owners = [\"42\"]')";
    command
        .args(["-c", script])
        .arg(program().get_program())
        .current_dir(dir.path());
    finish(&mut command, b"").assert(0, "/dev/fd/");
}

/// Answers with a head, and then with `part` for as long as the client reads. Counts the bytes that
/// were read.
fn endless(part: Option<Vec<u8>>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if read(&mut stream).is_none() {
                continue;
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n")
                .ok();
            match &part {
                Some(part) => {
                    while stream.write_all(part).is_ok() {
                        count.fetch_add(part.len(), Ordering::SeqCst);
                    }
                }
                // Silent until the client leaves.
                None => drop(std::io::copy(&mut stream, &mut std::io::sink())),
            }
        }
    });
    (address, sent)
}

#[test]
fn an_endless_answer_is_not_read_completely() {
    let dir = tempfile::tempdir().unwrap();
    let (address, sent) = endless(Some(vec![b' '; 64 * 1024]));
    let admin = format!("admin.listen={address}");
    limited(dir.path(), &["check", "--set", &admin]).assert(0, "0 errors");
    // The buffers of the sockets add to the limit of 1 MiB.
    let taken = sent.load(Ordering::SeqCst);
    assert!(taken < 32 * 1024 * 1024, "{taken} bytes");
    limited(dir.path(), &["health", "--set", &admin]).assert(0, "healthy");
}

#[test]
fn the_wait_for_a_missing_answer_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let (address, _) = endless(None);
    // Both end before the limit on a test's command.
    limited(
        dir.path(),
        &["check", "--set", &format!("admin.listen={address}")],
    )
    .assert(0, "0 errors");
    limited(
        dir.path(),
        &["health", "--set", &format!("admin.listen={address}")],
    )
    .assert(0, "healthy");
}

#[test]
fn no_answer_redirects_a_command_to_another_address() {
    let dir = tempfile::tempdir().unwrap();
    let (elsewhere, _) = endless(None);
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n");
    let asked = CertificateHost::start(Mode::Raw(redirect.into_bytes()));
    limited(
        dir.path(),
        &[
            "health",
            "--set",
            &format!("admin.listen={}", asked.address),
        ],
    )
    .assert(1, "answered 302");
}
