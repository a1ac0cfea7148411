//! The logs of a running endpoint are rotated, renamed, truncated and deleted, and nothing
//! acknowledged is lost.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mns_endpoint::journal::{FileOptions, LogFiles, OpenError};
use mns_endpoint::mns::ContentFormat;
use rustix::process::Signal;

use crate::support::{
    CertificateHost, Draft, Endpoint, Options, attribute, eventually, exchange, exchange_all,
    foreign_key, free_port, key, read_answer, records, run, send,
};

fn push(host: &CertificateHost) -> Draft {
    Draft::new(ContentFormat::Xml, "m", &host.url("x.pem")).sign(&key(512))
}

fn accepted(log: &str) -> Vec<String> {
    let succeeded = records(log)
        .into_iter()
        .filter(|entry| entry.text.starts_with("Notify Message Succeed!"));
    succeeded
        .map(|entry| String::from_utf8(attribute(&entry, "MessageId").unwrap()).unwrap())
        .collect()
}

/// The files of a log, the oldest first: those with numbers, then the live one.
fn files(endpoint: &Endpoint, log: &str) -> Vec<PathBuf> {
    let live = endpoint.log_path(log);
    let numbered = (1..).map(|number| PathBuf::from(format!("{}.{number}", live.display())));
    numbered
        .take_while(|path| path.exists())
        .chain([live.clone()])
        .collect()
}

/// Prints even if the test passes, whose output is captured.
fn tell(text: &str) {
    std::io::stderr()
        .write_all(format!("{text}\n").as_bytes())
        .unwrap();
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_log_is_rotated_at_its_size_and_no_record_is_split_lost_or_repeated() {
    let host = CertificateHost::serving(&key(512));
    let options = Options::trusting(host.prefix())
        .set("logs.rotate_size", "8KiB")
        .set("logs.keep", "off");
    let endpoint = Endpoint::start(&options);
    let drafts: Vec<Draft> = (0..60).map(|_| push(&host)).collect();
    for draft in &drafts {
        assert_eq!(endpoint.exchange(&draft.wire()).status, 201);
    }
    let paths = files(&endpoint, "endpoint_log");
    assert!(paths.len() > 5, "{paths:?}");
    // Each file has only complete records: `records` checks that.
    let found: Vec<String> = paths
        .iter()
        .flat_map(|path| accepted(&text(path)))
        .collect();
    let sent: Vec<String> = drafts.into_iter().map(|draft| draft.message_id).collect();
    assert_eq!(found, sent);
    for path in paths.iter().chain(&files(&endpoint, "access_log")) {
        assert!(
            fs::metadata(path).unwrap().len() <= 8 * 1024,
            "{}",
            path.display()
        );
    }
    let lines: usize = files(&endpoint, "access_log")
        .iter()
        .map(|path| text(path).lines().count())
        .sum();
    assert_eq!(lines, 60);
    // A restart continues with the numbers.
    let count = files(&endpoint, "endpoint_log").len();
    let port = endpoint.address.port();
    let (_printed, dir) = endpoint.stop();
    let again = Endpoint::start_in(
        dir,
        &options.set("server.listen", &format!("127.0.0.1:{port}")),
    );
    for _ in 0..10 {
        assert_eq!(again.exchange(&push(&host).wire()).status, 201);
    }
    let found: Vec<String> = files(&again, "endpoint_log")
        .iter()
        .flat_map(|path| accepted(&text(path)))
        .collect();
    assert_eq!((found.len(), &found[..60]), (70, sent.as_slice()));
    assert!(files(&again, "endpoint_log").len() > count);
}

#[test]
fn renames_and_signals_under_load_lose_split_and_repeat_nothing() {
    let seconds = std::env::var("ROTATE_SECONDS")
        .ok()
        .map_or(3, |seconds| seconds.parse().unwrap());
    let host = CertificateHost::serving(&key(512));
    let endpoint =
        Endpoint::start(&Options::trusting(host.prefix()).set("logs.rotate_size", "off"));
    let (address, stop) = (endpoint.address, Arc::new(AtomicBool::new(false)));
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let url = host.url("x.pem");
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let (stop, acknowledged, url) = (stop.clone(), acknowledged.clone(), url.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let drafts: Vec<Draft> = (0..20)
                        .map(|_| Draft::new(ContentFormat::Xml, "m", &url).sign(&key(512)))
                        .collect();
                    let wires: Vec<Vec<u8>> = drafts.iter().map(Draft::wire).collect();
                    for (answer, draft) in exchange_all(address, &wires).iter().zip(drafts) {
                        assert_eq!(answer.status, 201);
                        acknowledged.lock().unwrap().push(draft.message_id);
                    }
                }
            })
        })
        .collect();
    let (started, mut renames) = (Instant::now(), 0);
    let has_few = |renames: u32| {
        let is_over = senders.iter().any(JoinHandle::is_finished);
        !is_over && (renames <= 10 || acknowledged.lock().unwrap().len() <= 100)
    };
    while started.elapsed() < Duration::from_secs(seconds) || has_few(renames) {
        renames += 1;
        for log in ["endpoint_log", "access_log"] {
            let live = endpoint.log_path(log);
            fs::rename(&live, format!("{}.{renames}", live.display())).unwrap();
        }
        endpoint.signal(Signal::HUP);
        let next = started + Duration::from_millis(50) * renames;
        eventually("both are reopened", || {
            let are_there = ["endpoint_log", "access_log"]
                .iter()
                .all(|log| endpoint.log_path(log).exists());
            (are_there && Instant::now() >= next).then_some(())
        });
    }
    stop.store(true, Ordering::SeqCst);
    for sender in senders {
        sender.join().unwrap();
    }
    let mut found: Vec<String> = files(&endpoint, "endpoint_log")
        .iter()
        .flat_map(|path| accepted(&text(path)))
        .collect();
    let mut sent = acknowledged.lock().unwrap().clone();
    let lines: usize = files(&endpoint, "access_log")
        .iter()
        .map(|path| text(path).lines().count())
        .sum();
    tell(&format!("{} pushes over {renames} renames", sent.len()));
    assert!(sent.len() > 100 && renames > 10, "{} {renames}", sent.len());
    found.sort();
    sent.sort();
    assert!(found == sent, "{} found, {} sent", found.len(), sent.len());
    assert_eq!(lines, sent.len());
}

#[test]
fn a_log_that_is_deleted_comes_back_with_the_next_push() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
    assert_eq!(endpoint.exchange(&push(&host).wire()).status, 201);
    fs::remove_file(endpoint.log_path("endpoint_log")).unwrap();
    let second = push(&host);
    assert_eq!(endpoint.exchange(&second.wire()).status, 201);
    assert_eq!(accepted(&endpoint.endpoint_log()), [second.message_id]);
}

#[test]
fn logs_whose_directory_is_replaced_continue_in_the_new_one() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
    let drafts = [push(&host), push(&host)];
    let (live, old) = (endpoint.path().join("logs"), endpoint.path().join("old"));
    fs::rename(&live, &old).unwrap();
    // A file that nobody else can find is still written while it has a name.
    assert_eq!(endpoint.exchange(&drafts[0].wire()).status, 201);
    let moved = old.join(endpoint.log_path("endpoint_log").file_name().unwrap());
    assert_eq!(accepted(&text(&moved)), [drafts[0].message_id.as_str()]);
    fs::create_dir(&live).unwrap();
    endpoint.signal(Signal::HUP);
    eventually("new logs are opened", || {
        ["endpoint_log", "access_log"]
            .iter()
            .all(|log| endpoint.log_path(log).is_file())
            .then_some(())
    });
    assert_eq!(endpoint.exchange(&drafts[1].wire()).status, 201);
    assert_eq!(
        accepted(&endpoint.endpoint_log()),
        [drafts[1].message_id.as_str()]
    );
    // The new directory is the one that is locked.
    let port = endpoint.address.port();
    let locked = FileOptions {
        dir: live.clone(),
        port,
        mode: 0o640,
    };
    assert!(matches!(
        LogFiles::open(locked),
        Err(OpenError::Locked { .. })
    ));
    // The endpoint may create a file in it at the same time.
    eventually("the directory is removed", || {
        fs::remove_dir_all(&live).ok()
    });
    assert_eq!(
        endpoint.exchange(&push(&host).wire()).status,
        503,
        "a directory that is gone keeps nothing"
    );
    fs::create_dir(&live).unwrap();
    endpoint.signal(Signal::HUP);
    eventually("new logs are opened", || {
        endpoint.log_path("endpoint_log").is_file().then_some(())
    });
}

#[test]
fn the_old_log_stays_in_use_if_no_new_one_can_be_opened() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
    let drafts = [push(&host), push(&host), push(&host)];
    assert_eq!(endpoint.exchange(&drafts[0].wire()).status, 201);
    let (live, old) = (
        endpoint.log_path("endpoint_log"),
        endpoint.path().join("old"),
    );
    fs::rename(&live, &old).unwrap();
    // Even root cannot open a directory for writing.
    fs::create_dir(&live).unwrap();
    assert_eq!(endpoint.exchange(&drafts[1].wire()).status, 201);
    assert_eq!(
        accepted(&text(&old)),
        [drafts[0].message_id.as_str(), &drafts[1].message_id]
    );
    endpoint.assert_tells("Cannot open a new log");
    fs::remove_dir(&live).unwrap();
    endpoint.signal(Signal::HUP);
    eventually("a new log is opened", || live.is_file().then_some(()));
    assert_eq!(endpoint.exchange(&drafts[2].wire()).status, 201);
    assert_eq!(
        accepted(&endpoint.endpoint_log()),
        [drafts[2].message_id.as_str()]
    );
}

#[test]
fn a_copytruncate_is_survived_without_zeros() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
    let drafts = [push(&host), push(&host)];
    assert_eq!(endpoint.exchange(&drafts[0].wire()).status, 201);
    let (live, copy) = (
        endpoint.log_path("endpoint_log"),
        endpoint.path().join("copy"),
    );
    fs::copy(&live, &copy).unwrap();
    fs::File::options()
        .write(true)
        .open(&live)
        .unwrap()
        .set_len(0)
        .unwrap();
    assert_eq!(endpoint.exchange(&drafts[1].wire()).status, 201);
    assert_eq!(accepted(&text(&copy)), [drafts[0].message_id.as_str()]);
    assert_eq!(
        accepted(&endpoint.endpoint_log()),
        [drafts[1].message_id.as_str()]
    );
    endpoint.assert_tells("Somebody else changed the length of a log");
}

#[test]
fn health_is_503_while_space_is_low_and_pushes_are_accepted() {
    let host = CertificateHost::serving(&key(512));
    let dir = tempfile::tempdir().unwrap();
    let free = rustix::fs::statvfs(dir.path())
        .map(|found| found.f_bavail * found.f_frsize)
        .unwrap();
    let low = Options::trusting(host.prefix()).set("logs.low_water", &(free * 2).to_string());
    let endpoint = Endpoint::start_in(dir, &low);
    let health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(endpoint.exchange(health).status, 503);
    assert_eq!(endpoint.exchange(&push(&host).wire()).status, 201);
    endpoint.assert_tells("Free space is below logs.low_water");
    // A refusal leaves its line and no details, except for the record that says so.
    assert_eq!(
        endpoint
            .exchange(&push(&host).without("Authorization").wire())
            .status,
        403
    );
    let left_out = eventually("what was left out is reported", || {
        Some(records(&endpoint.endpoint_log()))
            .filter(|log| log.last().is_some_and(|last| last.place == "receive.rs:8"))
    });
    assert!(left_out.iter().all(|record| record.place != "receive.rs:3"));
    assert_eq!(attribute(left_out.last().unwrap(), "Count").unwrap(), b"1");
    assert_eq!(endpoint.access_log().matches("\"POST\" \"403\"").count(), 1);
}

#[test]
fn if_space_is_scarce_refusals_leave_nothing_and_pushes_are_accepted() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::trusting(host.prefix()).set("logs.low_water", "1EiB"));
    for _ in 0..3 {
        assert_eq!(
            endpoint
                .exchange(&push(&host).without("Authorization").wire())
                .status,
            403
        );
    }
    assert_eq!(endpoint.exchange(&push(&host).wire()).status, 201);
    // The refusals were before it in the same queue.
    assert_eq!(endpoint.access_log().lines().count(), 1);
    assert!(
        records(&endpoint.endpoint_log())
            .iter()
            .all(|record| record.place != "receive.rs:3")
    );
}

#[test]
fn a_stranger_fills_no_more_of_the_log_than_it_took_to_send() {
    let endpoint = Endpoint::start(&Options::default().set("logs.refused_rate", "10/s"));
    // Each of these bytes becomes four in the log.
    let huge = [
        &[b'X'; 8192][..],
        b" /notifications HTTP/1.1\r\nContent-Length: 0\r\nUser-Agent: ",
        &[0xff; 20_000],
        b"\r\n\r\n",
    ];
    let (wire, started) = (huge.concat(), Instant::now());
    for _ in 0..100 {
        assert_eq!(endpoint.exchange(&wire).status, 405);
    }
    let lines = eventually("all are logged", || {
        let log = endpoint.access_log();
        (log.lines().count() == 100).then_some(log)
    });
    let longest = lines.lines().map(str::len).max().unwrap();
    assert!((1000..1400).contains(&longest), "{longest}");
    // A record that begins within the limit is written completely. There is one such record in a
    // second.
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap() + 2;
    let bytes = endpoint.endpoint_log().len();
    assert!(
        bytes > 20_000 && bytes < seconds * (10 * (4096 + 16 * 1024) + 5 * 20_000),
        "{bytes} in {seconds} s"
    );
}

#[test]
fn a_flood_of_refusals_is_logged_up_to_its_rate_and_counted_beyond() {
    let endpoint = Endpoint::start(&Options::default().set("logs.refused_rate", "5/s"));
    let wire = b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    let started = Instant::now();
    for _ in 0..200 {
        assert_eq!(endpoint.exchange(&wire).status, 404);
    }
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap() + 2;
    let address = endpoint.address;
    let (_printed, dir) = endpoint.stop();
    let log = |name: &str| {
        fs::read_to_string(dir.path().join(format!("logs/{name}.{}", address.port()))).unwrap()
    };
    assert_eq!(log("access_log").lines().count(), 200, "each has its line");
    let records = records(&log("endpoint_log"));
    let full = records
        .iter()
        .filter(|record| record.place == "receive.rs:7")
        .count();
    assert!((5..=5 * seconds).contains(&full), "{full} in {seconds} s");
    let summaries = records
        .iter()
        .filter(|record| record.place == "receive.rs:8");
    let counts =
        summaries.map(|record| String::from_utf8(attribute(record, "Count").unwrap()).unwrap());
    let counts: Vec<usize> = counts.map(|count| count.parse().unwrap()).collect();
    assert!(counts.len() <= seconds, "more than one summary a second");
    assert_eq!(counts.iter().sum::<usize>() + full, 200);
}

#[test]
fn access_lines_of_strangers_have_a_budget_and_one_line_a_second_counts_the_rest() {
    const BUDGET: usize = 256 * 1024;
    const REQUESTS: usize = 2000;
    const AT_ONCE: usize = 50;
    let endpoint = Endpoint::start(&Options::default().set("logs.refused_rate", "0/s"));
    // Each line has more than a kilobyte, so all of them have eight times the bytes allowed in a
    // second.
    let agent = "x".repeat(1000);
    let wire = format!(
        "POST /{} HTTP/1.1\r\nContent-Length: 0\r\nUser-Agent: {agent}\r\n\r\n",
        "x".repeat(1000)
    );
    let started = Instant::now();
    // Sent ahead of the answers, so that the rate is exceeded also on a busy machine.
    for _ in 0..REQUESTS / AT_ONCE {
        let streams = [(); AT_ONCE].map(|()| send(endpoint.address, wire.as_bytes()));
        for mut stream in streams {
            assert_eq!(read_answer(&mut stream).status, 404);
        }
    }
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap() + 2;
    let port = endpoint.address.port();
    let (printed, dir) = endpoint.stop();
    let log = text(&dir.path().join(format!("logs/access_log.{port}")));
    let bytes_max = seconds * (BUDGET + 2048);
    assert!(
        (BUDGET..=bytes_max).contains(&log.len()),
        "{} bytes in {seconds} s",
        log.len()
    );
    assert!(
        printed.len() <= bytes_max,
        "stdout has no more than the file"
    );
    let left_out = |line: &str| {
        line.split("\"refusals-left-out=")
            .nth(1)?
            .split('"')
            .next()?
            .parse::<usize>()
            .ok()
    };
    let summaries: Vec<usize> = log.lines().filter_map(left_out).collect();
    assert!((1..=seconds).contains(&summaries.len()), "{summaries:?}");
    let whole = log.lines().count() - summaries.len();
    assert_eq!(whole + summaries.iter().sum::<usize>(), REQUESTS);
    let verified = run(
        dir.path(),
        &[
            "logs",
            "verify",
            "--log-dir",
            "logs",
            "--listen",
            &format!("127.0.0.1:{port}"),
        ],
    );
    assert_eq!(verified.code, 0, "{verified:?}");
}

/// A separate file system, as small as a test needs it. Unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Result<Self, String> {
        let dir = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .output();
        match mount {
            Ok(output) if output.status.success() => Ok(Self(dir)),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status()
            .ok();
    }
}

#[test]
fn on_a_full_disk_a_push_gets_the_room_of_what_strangers_have_in_quarantine() {
    let disk = match SmallDisk::mount("4m") {
        Ok(disk) => disk,
        Err(error) => {
            return tell(&format!(
                "SKIPPED: a full disk could not be tested, no tmpfs can be mounted: {error}"
            ));
        }
    };
    let host = CertificateHost::serving(&key(512));
    let options = Options::trusting(host.prefix())
        .set("logs.low_water", "0")
        .set("logs.refused_rate", "off")
        .set("logs.dir", disk.0.path().to_str().unwrap());
    let endpoint = Endpoint::start(&options);
    let quarantine = disk
        .0
        .path()
        .join(format!("quarantine.{}", endpoint.address.port()));
    for _ in 0..100 {
        let forged = Draft::new(ContentFormat::Simplified, [b'x'; 8192], &host.url("x.pem"))
            .sign(&foreign_key(512));
        assert_eq!(endpoint.exchange(&forged.wire()).status, 403);
    }
    let kept = || fs::read_dir(&quarantine).map_or(0, Iterator::count);
    eventually("all are in quarantine", || (kept() == 100).then_some(()));
    let mut filler = fs::File::create(disk.0.path().join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    // The first push may find no room, and MNS retries it. Shortly afterwards there is room.
    eventually("there is room", || {
        let mut statuses = (0..20).map(|_| endpoint.exchange(&push(&host).wire()).status);
        statuses.all(|status| status == 201).then_some(())
    });
    eventually("quarantine is empty", || (kept() == 0).then_some(()));
    endpoint.assert_tells(
        "Space is scarce: deleted requests from quarantine that were not proved genuine",
    );
}

#[test]
fn a_full_disk_gets_no_201_and_heals_without_a_restart() {
    let disk = match SmallDisk::mount("256k") {
        Ok(disk) => disk,
        Err(error) => {
            return tell(&format!(
                "SKIPPED: a full disk could not be tested, no tmpfs can be mounted: {error}"
            ));
        }
    };
    let host = CertificateHost::serving(&key(512));
    let options = Options::trusting(host.prefix())
        .set("logs.low_water", "0")
        .set("logs.dir", disk.0.path().to_str().unwrap());
    let endpoint = Endpoint::start(&options);
    let log = disk
        .0
        .path()
        .join(format!("endpoint_log.{}", endpoint.address.port()));
    let filler = disk.0.path().join("filler");
    let mut acknowledged = Vec::new();
    let mut send = || {
        let draft = push(&host);
        let status = exchange(endpoint.address, &draft.wire()).status;
        if status == 201 {
            acknowledged.push(draft.message_id);
        }
        status
    };
    assert_eq!(send(), 201);
    // The rest of the disk except for some pages, which the next pushes use.
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    file.set_len(file.metadata().unwrap().len() - 16 * 1024)
        .unwrap();
    drop(file);
    let first_refused = eventually("the disk is full", || {
        let status = send();
        (status != 201).then_some(status)
    });
    assert_eq!(first_refused, 503);
    for _ in 0..20 {
        assert_eq!(send(), 503, "while the disk is full");
    }
    let health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(endpoint.exchange(health).status, 503);
    fs::remove_file(&filler).unwrap();
    for _ in 0..5 {
        assert_eq!(send(), 201, "with room again");
    }
    assert_eq!(accepted(&text(&log)), acknowledged);
    drop(endpoint);
}

/// What can be at the path of a file: its description, and a function that creates it.
type Obstacle = (&'static str, fn(&Path));

fn obstacles() -> Vec<Obstacle> {
    fn fifo(path: &Path) {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
    }
    fn socket(path: &Path) {
        drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    }
    fn device(path: &Path) {
        std::os::unix::fs::symlink("/dev/null", path).unwrap();
    }
    fn nowhere(path: &Path) {
        std::os::unix::fs::symlink("/nowhere/at/all", path).unwrap();
    }
    vec![
        ("a FIFO", fifo),
        ("a socket", socket),
        ("a device", device),
        ("a directory", |path| fs::create_dir(path).unwrap()),
        ("a symbolic link that leads to no file", nowhere),
    ]
}

#[test]
fn an_obstacle_at_the_path_of_a_log_does_not_end_the_process() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
    for (number, (kind, make)) in obstacles().into_iter().enumerate() {
        for log in ["endpoint_log", "access_log"] {
            let (live, old) = (
                endpoint.log_path(log),
                endpoint.path().join(format!("old{number}.{log}")),
            );
            fs::rename(&live, &old).unwrap();
            make(&live);
            endpoint.signal(Signal::HUP);
            let draft = push(&host);
            assert_eq!(
                endpoint.exchange(&draft.wire()).status,
                201,
                "{kind} as {log}"
            );
            let endpoint_log = if log == "endpoint_log" {
                &old
            } else {
                &endpoint.log_path("endpoint_log")
            };
            assert_eq!(
                accepted(&text(endpoint_log)).last(),
                Some(&draft.message_id),
                "{kind}"
            );
            if kind == "a directory" {
                fs::remove_dir(&live)
            } else {
                fs::remove_file(&live)
            }
            .unwrap();
            endpoint.signal(Signal::HUP);
            eventually("a new log is opened", || live.is_file().then_some(()));
        }
    }
    endpoint.assert_tells("it is a FIFO, not a regular file");
    endpoint.stop();
}

#[test]
fn a_start_names_an_obstacle_at_the_path_of_a_file_and_verify_does_not_wait_for_it() {
    for (kind, make) in obstacles() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("logs");
        fs::create_dir(&logs).unwrap();
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let log = format!("endpoint_log.{port}");
        fs::write(logs.join(format!("access_log.{port}")), "").unwrap();
        make(&logs.join(&log));
        let told = run(
            dir.path(),
            &["serve", "--log-dir", "logs", "--listen", &listen],
        );
        told.assert(
            78,
            &format!("cannot open logs/{log}: it is {kind}, not a regular file. "),
        );
        told.assert(78, "; mend it with: ");
        told.assert(78, &format!("mv 'logs/{log}' 'logs/{log}'.moved"));
        told.assert(78, "logs.stdout");
        let verify = ["logs", "verify", "--log-dir", "logs", "--listen", &listen];
        run(dir.path(), &verify).assert(1, &format!("{log}: it is {kind}, not a regular file"));
        // In rotated files and beside the logs: neither a start nor a stop waits for it.
        fs::rename(logs.join(&log), logs.join(format!("{log}.1"))).unwrap();
        run(dir.path(), &verify).assert(1, &format!("{log}.1: it is {kind}, not a regular file"));
        let endpoint = Endpoint::start_in(dir, &Options::default());
        let port = endpoint.address.port();
        let (_printed, dir) = endpoint.stop();
        for name in ["seen", "seen.new"] {
            fs::remove_file(dir.path().join(format!("logs/.endpoint_log.{port}.{name}"))).ok();
            make(&dir.path().join(format!("logs/.endpoint_log.{port}.{name}")));
        }
        make(&dir.path().join(format!("logs/endpoint_log.{port}.torn")));
        let live = dir.path().join(format!("logs/endpoint_log.{port}"));
        fs::write(&live, [text(&live).as_bytes(), b"[torn"].concat()).unwrap();
        let listen = format!("127.0.0.1:{port}");
        Endpoint::start_in(dir, &Options::default().set("server.listen", &listen)).stop();
    }
}

/// Sets the time of the last write of a file to this long ago.
fn age(path: &Path, span: Duration) {
    let file = fs::File::options().append(true).open(path).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    file.set_modified(modified - span).unwrap();
}

#[test]
fn a_clock_that_is_ahead_deletes_nothing_until_a_verified_push_proves_the_time() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let host = CertificateHost::serving(&key(512));
    let options = Options::trusting(host.prefix()).set("logs.rotate_size", "4KiB");
    let endpoint = Endpoint::start(&options);
    for _ in 0..20 {
        assert_eq!(endpoint.exchange(&push(&host).wire()).status, 201);
    }
    let mut rotated = files(&endpoint, "endpoint_log");
    rotated.extend(files(&endpoint, "access_log"));
    rotated.retain(|path| {
        path != &endpoint.log_path("endpoint_log") && path != &endpoint.log_path("access_log")
    });
    assert!(rotated.len() > 5, "{rotated:?}");
    let rotated: Vec<PathBuf> = rotated
        .into_iter()
        .map(|path| path.strip_prefix(endpoint.path()).unwrap().to_owned())
        .collect();
    let listen = endpoint.address.to_string();
    let (_printed, dir) = endpoint.stop();
    for entry in fs::read_dir(dir.path().join("logs")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            age(&path, DAY * 30);
        }
    }
    fs::write(dir.path().join("logs/diagnostics.2020-01-01"), "").unwrap();
    fs::write(dir.path().join("logs/diagnostics.2020-01-02"), "").unwrap();
    age(&dir.path().join("logs/diagnostics.2020-01-01"), DAY * 30);
    age(&dir.path().join("logs/diagnostics.2020-01-02"), DAY * 30);
    // By the clock everything is a month old. The clock may be right or a month ahead, and files
    // written by this start prove nothing.
    let options = options.set("logs.keep", "7d").set("server.listen", &listen);
    let mut endpoint = Endpoint::start_in(dir, &options);
    for _ in 0..2 {
        // Idle work that happens after the search for old files.
        let access = endpoint.log_path("access_log");
        fs::rename(&access, endpoint.path().join("moved")).unwrap();
        eventually("a round is over", || access.exists().then_some(()));
        rotated
            .iter()
            .for_each(|name| assert!(endpoint.path().join(name).exists(), "{}", name.display()));
        endpoint = Endpoint::start_in(endpoint.stop().1, &options);
    }
    assert_eq!(endpoint.exchange(&push(&host).wire()).status, 201);
    eventually("the old files are deleted", || {
        rotated
            .iter()
            .all(|name| !endpoint.path().join(name).exists())
            .then_some(())
    });
    let diagnostics = |day: &str| {
        endpoint
            .path()
            .join(format!("logs/diagnostics.{day}"))
            .exists()
    };
    eventually("the old diagnostic logs are deleted", || {
        (!diagnostics("2020-01-01")).then_some(())
    });
    assert!(diagnostics("2020-01-02"), "the newest is kept");
}
