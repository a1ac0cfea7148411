//! `logs repair`, and a start: after a kill and after a simulated power cut, every record that was
//! answered 201 is in the logs again. After a clean stop the commit log contains no messages.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use mns_endpoint::mns::ContentFormat;
use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

use crate::support::{
    CertificateHost, Draft, Ended, Endpoint, Options, eventually, finish, key, program, run,
};

const MIB: u64 = 1024 * 1024;
/// The number of concurrent pushes.
const SENDERS: usize = 4;
/// The kill comes after this many answers.
const ANSWERS: usize = 60;
/// With fewer frames in the commit log the test is not meaningful: the load had a pause, after
/// which the logs were synced.
const FRAMES_MIN: usize = 12;

/// The directory of an endpoint, and the pushes that were answered 201.
struct Site {
    host: CertificateHost,
    port: u16,
    dir: Option<TempDir>,
    answered: Vec<String>,
}

impl Site {
    /// An endpoint that has ended and left a commit log, so that the next one has it from the
    /// start.
    fn new() -> Self {
        let host = CertificateHost::serving(&key(512));
        let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
        let port = endpoint.address.port();
        let commit_log = endpoint.path().join(format!("logs/.commit_log.{port}"));
        eventually("a commit log is made", || commit_log.exists().then_some(()));
        let dir = Some(endpoint.stop().1);
        Self {
            host,
            port,
            dir,
            answered: Vec::new(),
        }
    }

    fn serve(&mut self, set: &[(&str, &str)]) -> Endpoint {
        let listen = format!("127.0.0.1:{}", self.port);
        let options = Options::trusting(self.host.prefix()).set("server.listen", &listen);
        let options = set
            .iter()
            .fold(options, |options, (key, value)| options.set(key, value));
        Endpoint::start_in(self.dir.take().unwrap(), &options)
    }

    fn push(&mut self, endpoint: &Endpoint, message: &str) {
        let wire = wire(&self.host, message);
        assert!(is_answered_201(endpoint.address, &wire));
        self.answered.push(message.to_owned());
    }

    /// Kills an endpoint under load. Returns how many frames the commit log has.
    fn kill_under_load(&mut self) -> usize {
        for round in 0..10 {
            let endpoint = self.serve(&[]);
            let (address, host) = (endpoint.address, &self.host);
            let answered = Mutex::new(Vec::new());
            let enough = || (answered.lock().unwrap().len() >= ANSWERS).then_some(());
            let dir = std::thread::scope(|scope| {
                for sender in 0..SENDERS {
                    let answered = &answered;
                    scope.spawn(move || {
                        for number in 0.. {
                            let message = format!("push {round}.{sender}.{number};");
                            if !is_answered_201(address, &wire(host, &message)) {
                                break;
                            }
                            answered.lock().unwrap().push(message);
                        }
                    });
                }
                eventually("enough is answered", enough);
                endpoint.kill()
            });
            self.dir = Some(dir);
            self.answered.extend(answered.into_inner().unwrap());
            let frames = self.frames();
            if frames >= FRAMES_MIN {
                return frames;
            }
        }
        panic!("the load always has a pause before the kill");
    }

    fn path(&self) -> &Path {
        self.dir.as_ref().unwrap().path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(format!("logs/{name}.{}", self.port))
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).unwrap()
    }

    fn logs(&self, command: &str, more: &[&str]) -> Ended {
        let args = [&["logs", command, "--log-dir", "logs"], more].concat();
        run(self.path(), &args)
    }

    fn verify(&self) -> Ended {
        let listen = format!("127.0.0.1:{}", self.port);
        self.logs("verify", &["--listen", &listen])
    }

    /// What `--dry-run` counts.
    fn frames(&self) -> usize {
        let told = self.logs("repair", &["--dry-run"]);
        assert_eq!(told.code, 0, "{told:?}");
        let said = format!("port {}: ", self.port);
        let rest = told
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix(&said));
        rest.unwrap()
            .split_once(" frame")
            .map_or(0, |(frames, _)| frames.parse().unwrap())
    }

    /// Removes from the last `frames` pushes of both logs what a power cut may remove: the end, and
    /// parts of the rest.
    fn damage(&self, frames: usize) {
        for (name, start) in [("endpoint_log", "] Headers:"), ("access_log", "]\"POST\"")] {
            let mut log = self.read(name);
            let text = String::from_utf8_lossy(&log).into_owned();
            assert_eq!(text.len(), log.len());
            let starts: Vec<usize> = text.match_indices(start).map(|found| found.0).collect();
            let found = starts[starts.len() - frames];
            let begin = text[..found].rfind('\n').map_or(0, |end| end + 1);
            let part = |part: usize| begin + (log.len() - begin) * part / 6;
            let (zeros, end) = (part(2)..part(3), part(4));
            log[zeros].fill(0);
            log.truncate(end);
            fs::write(self.file(name), log).unwrap();
        }
    }

    /// Every record that was answered 201 must be there, byte for byte as before.
    #[track_caller]
    fn assert_complete(&self, [endpoint, access]: [&[u8]; 2]) {
        let before = String::from_utf8(endpoint.to_vec()).unwrap();
        let end = |message: &String| {
            let place = before.rfind(message.as_str()).unwrap();
            place + before[place..].find("\n\n").unwrap() + 2
        };
        let end = self.answered.iter().map(end).max().unwrap();
        let after = self.read("endpoint_log");
        assert!(after.starts_with(&endpoint[..end]), "records were lost");
        let after = self.read("access_log");
        assert!(access.starts_with(&after), "lines were changed");
        let lines = String::from_utf8(after).unwrap();
        let lines = lines.matches("\"POST\" \"201\"").count();
        assert!(lines >= self.answered.len(), "lines were lost");
    }

    /// The commit log must contain no message.
    #[track_caller]
    fn assert_erased(&self) {
        let commit_log = self.read(".commit_log");
        assert!(!has(&commit_log, b"push "), "the text of a message is left");
    }
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

fn wire(host: &CertificateHost, message: &str) -> Vec<u8> {
    let draft = Draft::new(ContentFormat::Xml, message, &host.url("0.pem"));
    draft.sign(&key(512)).wire()
}

/// Whether the answer is 201. `false` if the endpoint ends before it answers.
fn is_answered_201(address: SocketAddr, wire: &[u8]) -> bool {
    let answer = || -> std::io::Result<[u8; 12]> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(wire)?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status)
    };
    answer().is_ok_and(|status| status == *b"HTTP/1.1 201")
}

/// The files of a directory and their contents.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let all = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    all.filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn repair_brings_back_what_a_power_cut_takes() {
    let mut site = Site::new();
    let frames = site.kill_under_load();
    let before = [site.read("endpoint_log"), site.read("access_log")];
    // The logs are complete as long as the machine runs.
    let told = site.verify();
    told.assert(
        0,
        &format!("logs/.commit_log.{}: {frames} frames", site.port),
    );
    told.assert(
        0,
        "no serve runs: mns-endpoint logs repair completes the logs",
    );
    site.damage(frames);
    let logs = site.path().join("logs");
    let damaged = files(&logs);
    let would = format!("port {}: {frames} frames would be written", site.port);
    site.logs("repair", &["--dry-run"]).assert(0, &would);
    assert_eq!(files(&logs), damaged, "--dry-run changes nothing");
    let done = format!("port {}: {frames} frames written to the logs", site.port);
    site.logs("repair", &[]).assert(0, &done);
    site.assert_complete(before.each_ref().map(Vec::as_slice));
    site.assert_erased();
    let nothing = format!("port {}: nothing to do\n", site.port);
    for more in [&["--dry-run"][..], &[]] {
        let told = site.logs("repair", more);
        assert_eq!((told.code, &told.stdout), (0, &nothing), "{told:?}");
    }
    let told = site.verify();
    told.assert(0, "");
    assert!(!told.stdout.contains("commit_log"), "{}", told.stdout);
    let endpoint = site.serve(&[]);
    assert!(!endpoint.told().contains("The last stop was not clean"));
}

#[test]
fn a_start_brings_back_what_a_power_cut_takes() {
    let mut site = Site::new();
    let frames = site.kill_under_load();
    let before = [site.read("endpoint_log"), site.read("access_log")];
    site.damage(frames);
    let endpoint = site.serve(&[]);
    endpoint.assert_tells("the logs were completed from the commit log");
    site.dir = Some(endpoint.stop().1);
    site.assert_complete(before.each_ref().map(Vec::as_slice));
    site.assert_erased();
}

#[test]
fn after_a_clean_stop_no_message_is_in_the_commit_log() {
    let mut site = Site::new();
    let endpoint = site.serve(&[]);
    site.push(&endpoint, "push 1;");
    let path = endpoint
        .path()
        .join(format!("logs/.commit_log.{}", site.port));
    assert!(has(&fs::read(&path).unwrap(), b"push 1;"), "a blind test");
    site.dir = Some(endpoint.stop().1);
    site.assert_erased();
    assert_eq!(site.frames(), 0);
}

#[test]
fn a_commit_log_that_is_off_or_has_another_length_completes_the_logs_first() {
    for (length, is_left, expected) in [("off", false, 0), ("32MiB", true, 32), ("8MiB", true, 8)] {
        let mut site = Site::new();
        let frames = site.kill_under_load();
        let before = [site.read("endpoint_log"), site.read("access_log")];
        site.damage(frames);
        let endpoint = site.serve(&[("logs.commit_log", length)]);
        site.push(&endpoint, "push last;");
        let path = endpoint
            .path()
            .join(format!("logs/.commit_log.{}", site.port));
        eventually("the commit log has its length", || {
            let len = fs::metadata(&path).map(|found| found.len());
            (len.ok() == is_left.then_some(expected * MIB)).then_some(())
        });
        site.answered.pop();
        site.dir = Some(endpoint.stop().1);
        let end = site.read("endpoint_log");
        assert!(has(&end, b"push last;"), "{length}");
        // The line of the last push is after all others.
        let lines = site.read("access_log");
        let last = lines[..lines.len() - 1]
            .iter()
            .rposition(|byte| *byte == b'\n');
        fs::write(site.file("access_log"), &lines[..=last.unwrap()]).unwrap();
        site.assert_complete(before.each_ref().map(Vec::as_slice));
    }
}

#[test]
fn a_commit_log_that_somebody_deletes_is_created_again_and_nothing_is_lost() {
    let mut site = Site::new();
    let endpoint = site.serve(&[]);
    site.push(&endpoint, "push before;");
    let path = endpoint
        .path()
        .join(format!("logs/.commit_log.{}", site.port));
    // Open, so that the new one does not get its inode.
    let held = fs::File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    site.push(&endpoint, "push behind;");
    let old = held.metadata().unwrap().ino();
    eventually("there is a new one", || {
        let found = fs::metadata(&path).ok()?;
        (found.ino() != old && found.len() == 8 * MIB).then_some(())
    });
    site.push(&endpoint, "push again;");
    site.dir = Some(endpoint.kill());
    site.logs("repair", &[]).assert(0, "");
    let log = site.read("endpoint_log");
    for message in &site.answered {
        assert!(has(&log, message.as_bytes()), "{message}");
    }
}

#[test]
fn beside_a_running_serve_nothing_is_done() {
    let mut site = Site::new();
    let endpoint = site.serve(&[]);
    site.push(&endpoint, "push 1;");
    let listen = endpoint.address.to_string();
    for more in [&["--dry-run"][..], &[]] {
        let args = [&["logs", "repair", "--log-dir", "logs"], more].concat();
        run(endpoint.path(), &args).assert(
            1,
            ": serve writes to these logs, and completes them itself at its start",
        );
    }
    let args = ["logs", "verify", "--log-dir", "logs", "--listen", &listen];
    let told = run(endpoint.path(), &args);
    told.assert(0, "");
    assert!(!told.stdout.contains("commit_log"), "{}", told.stdout);
    site.push(&endpoint, "push 2;");
    endpoint.stop();
}

#[test]
fn every_port_is_completed_unless_one_is_named() {
    let mut site = Site::new();
    let frames = site.kill_under_load();
    let other = site.path().join("logs/endpoint_log.7");
    fs::write(&other, "[torn").unwrap();
    site.logs("repair", &["--port", "9"])
        .assert(1, "no logs of port 9 are in logs, but of 7, ");
    let told = site.logs("repair", &["--dry-run"]);
    let torn = "port 7: 5 torn bytes at the end of endpoint_log would be cut off\n";
    told.assert(0, torn);
    told.assert(0, &format!("{frames} frames would be written"));
    assert_eq!(told.stdout.lines().count(), 2);
    let told = site.logs("repair", &["--port", "7"]);
    told.assert(
        0,
        "port 7: 5 torn bytes at the end of endpoint_log cut off into",
    );
    assert_eq!((told.stdout.lines().count(), site.frames()), (1, frames));
    assert_eq!(fs::read(&other).unwrap(), b"");
}

#[test]
fn a_frame_that_does_not_fit_and_a_damaged_one_are_reported() {
    let mut site = Site::new();
    let frames = site.kill_under_load();
    let commit_log = site.file(".commit_log");
    let whole = fs::read(&commit_log).unwrap();
    // Somebody has emptied the log, so the records are appended.
    fs::write(site.file("endpoint_log"), "[2026-11-29 00:00:00] other\n\n").unwrap();
    let told = site.logs("repair", &[]);
    told.assert(0, "of them appended, because their places were taken");
    let log = site.read("endpoint_log");
    assert!(log.starts_with(b"[2026-11-29 00:00:00] other\n\n"));
    // A frame in the middle is damaged: its records are missing, and that is reported once.
    let mut broken = whole.clone();
    let place = whole
        .windows(7)
        .enumerate()
        .filter(|(_, window)| *window == b"] Heade")
        .map(|(place, _)| place)
        .nth(frames / 2)
        .unwrap();
    broken[place] ^= 1;
    fs::write(&commit_log, broken).unwrap();
    for more in [&["--dry-run"][..], &[]] {
        let told = site.logs("repair", more);
        told.assert(
            1,
            "ERROR: 1 frame of the commit log had been synced and cannot be read",
        );
    }
    site.logs("repair", &[]).assert(0, "nothing to do");
}

#[test]
fn failures_of_a_repair_are_reported_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("logs")).unwrap();
    let repair = |more: &[&str]| {
        let args = [&["logs", "repair", "--log-dir"], more].concat();
        run(dir.path(), &args)
    };
    let no_logs = "no logs are in logs: name the directory of the logs with --log-dir";
    repair(&["logs"]).assert(1, no_logs);
    repair(&["none"]).assert(1, "cannot read none: name the directory of the logs with");
    repair(&["/dev/null"]).assert(78, "/dev/null is a device");
    assert_eq!(fs::read_dir(dir.path().join("logs")).unwrap().count(), 0);
    let fifo = dir.path().join("logs/.commit_log.80");
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
    for more in [&["logs"][..], &["logs", "--dry-run"]] {
        repair(more).assert(78, ".commit_log.80: it is a FIFO, not a regular file");
    }
    fs::remove_file(&fifo).unwrap();
    // Too short for a frame: removed, as by a start.
    fs::write(&fifo, "x").unwrap();
    repair(&["logs"]).assert(0, "port 80: nothing to do\n");
    assert!(!fifo.exists());
}

#[test]
fn a_volume_that_is_mounted_read_only_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    fs::write(logs.join("endpoint_log.80"), "[torn").unwrap();
    let mount = "mount -o bind,ro logs logs && exec \"$0\" logs repair --log-dir logs \"$@\"";
    let repair = |more: &[&str]| {
        let mut command = std::process::Command::new("unshare");
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
        let shell = ["--mount", "--user", "--map-root-user", "sh", "-c", mount];
        command.args(shell).arg(program().get_program()).args(more);
        finish(command.current_dir(dir.path()), b"")
    };
    let told = repair(&["--dry-run"]);
    if told.stdout.is_empty() {
        // If a process may not mount, only root can test this.
        return;
    }
    told.assert(
        0,
        "port 80: 5 torn bytes at the end of endpoint_log would be cut off",
    );
    repair(&[]).assert(
        78,
        "Read-only file system (os error 30); mount a writable volume at",
    );
}
