//! `logs recover`: messages that were refused by mistake are added to the endpoint log, once, and
//! nothing else is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mns_endpoint::mns::{ATTRIBUTES, ContentFormat};
use mns_endpoint::quarantine;
use rustix::fs::{CWD, FileType, mknodat};

use crate::support::{
    CertificateHost, Draft, Ended, Endpoint, Entry, Mode, Options, attribute, date, eventually,
    finish, foreign_key, key, records, run,
};

const RECOVERED: &str = "Notify Message Recovered!";
const MESSAGES: [(ContentFormat, &[u8]); 3] = [
    (ContentFormat::Xml, b"two\n\nlines & more"),
    (ContentFormat::Json, b"\\x41 [2026-11-24 10:00:00] [root]"),
    (ContentFormat::Simplified, b"\x00\xff\r\nany bytes"),
];

/// An endpoint that has ended, with its directory and the files that it saved.
struct Site {
    host: CertificateHost,
    dir: tempfile::TempDir,
    address: String,
}

impl Site {
    /// Sends drafts to an endpoint with these settings. Each must be refused. Then the endpoint
    /// ends.
    #[track_caller]
    fn after(set: &[(&str, &str)], drafts: impl FnOnce(&CertificateHost) -> Vec<Draft>) -> Self {
        Self::after_all(set, drafts, |_| {})
    }

    /// The same, but it ends only after `then` has returned.
    fn after_all(
        set: &[(&str, &str)],
        drafts: impl FnOnce(&CertificateHost) -> Vec<Draft>,
        then: impl FnOnce(&Endpoint),
    ) -> Self {
        let host = CertificateHost::serving(&key(512));
        let endpoint = Endpoint::start(&options(&host, set));
        for draft in drafts(&host) {
            assert_eq!(endpoint.exchange(&draft.wire()).status, 403);
        }
        then(&endpoint);
        let address = endpoint.address.to_string();
        Self {
            host,
            dir: endpoint.stop().1,
            address,
        }
    }

    fn port(&self) -> &str {
        self.address.split(':').nth(1).unwrap()
    }

    fn quarantine(&self) -> PathBuf {
        self.dir
            .path()
            .join(format!("logs/quarantine.{}", self.port()))
    }

    fn kept(&self) -> Vec<PathBuf> {
        quarantine::list(&self.quarantine()).unwrap()
    }

    fn recover(&self, more: &[&str]) -> Ended {
        recover(self.dir.path(), &self.address, &self.host, more)
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(format!("logs/{name}.{}", self.port()))).unwrap()
    }

    fn recovered(&self) -> Vec<Entry> {
        let all = records(&self.log("endpoint_log")).into_iter();
        all.filter(|entry| entry.text.starts_with(RECOVERED))
            .collect()
    }

    #[track_caller]
    fn assert_recovers(&self, more: &[&str], [recovered, known, refused, not_whole]: [usize; 4]) {
        let summary = format!(
            ": {recovered} recovered, {known} in the log already, {refused} refused again, \
             {not_whole} incomplete\n"
        );
        self.recover(more).assert(0, &summary);
    }
}

fn options(host: &CertificateHost, set: &[(&str, &str)]) -> Options {
    let options = Options::listing(&host.prefix()).set("logs.refused_rate", "off");
    set.iter()
        .fold(options, |options, (key, value)| options.set(key, value))
}

fn recover(dir: &Path, address: &str, host: &CertificateHost, more: &[&str]) -> Ended {
    run(
        dir,
        &[
            &[
                "logs",
                "recover",
                "--listen",
                address,
                "--trust",
                &host.prefix(),
            ],
            more,
        ]
        .concat(),
    )
}

const WRONG: (&str, &str) = ("accept.topic_owners", "1");

fn push(host: &CertificateHost, format: ContentFormat, message: &[u8]) -> Draft {
    Draft::new(format, message, &host.url("x.pem")).sign(&key(512))
}

fn forged(host: &CertificateHost) -> Draft {
    Draft::new(ContentFormat::Xml, "forged", &host.url("x.pem")).sign(&foreign_key(512))
}

#[test]
fn an_hour_of_wrong_refusals_is_recovered_once() {
    let mut drafts = Vec::new();
    let site = Site::after(&[WRONG], |host| {
        drafts = MESSAGES
            .map(|(format, message)| push(host, format, message))
            .to_vec();
        // MNS retries each push with a new signature, and a stranger sends something too.
        let again = drafts
            .iter()
            .map(|draft| draft.clone().set("Date", date(-30)).sign(&key(512)))
            .collect();
        [drafts.clone(), again, vec![forged(host)]].concat()
    });
    let (before, access_log) = (site.log("endpoint_log"), site.log("access_log"));
    let dry = site.recover(&["--dry-run"]);
    dry.assert(
        0,
        ": 3 would be recovered, 3 in the log already, 1 refused again, 0 incomplete\n",
    );
    assert_eq!(
        (site.kept().len(), site.log("endpoint_log")),
        (7, before.clone()),
        "nothing has changed"
    );
    site.assert_recovers(&["--set", "accept.topic_owners=1"], [0, 0, 7, 0]);
    let told = site.recover(&[]);
    told.assert(
        0,
        ": 3 recovered, 3 in the log already, 1 refused again, 0 incomplete\n",
    );
    told.assert(
        0,
        "0000000007.unproved.http: refused again, signature_wrong: ",
    );
    let recovered = site.recovered();
    assert_eq!(recovered.len(), 3);
    for ((entry, draft), (_, message)) in recovered.iter().zip(&drafts).zip(MESSAGES) {
        told.assert(
            0,
            &format!(
                "recovered: message {} of topic MyTopic1 for MyTopic1-Sub1\n",
                draft.message_id
            ),
        );
        assert_eq!(
            (entry.level.as_str(), entry.place.as_str()),
            ("INFO", "recover.rs:1")
        );
        let margin = entry
            .text
            .lines()
            .filter(|line| line.get(30..32) == Some(": ") && !line.starts_with(' '));
        let names: Vec<&str> = margin.map(|line| line[..30].trim_end()).collect();
        assert_eq!(
            names,
            [&ATTRIBUTES[..], &["Reason", "Came", "Peer"]].concat()
        );
        let is =
            |name: &str, value: &[u8]| assert_eq!(attribute(entry, name).unwrap(), value, "{name}");
        is("Message", message);
        is("MessageId", draft.message_id.as_bytes());
        is("TopicOwner", b"1269128356620446");
        is("Reason", b"owner_not_accepted");
        assert!(attribute(entry, "Peer").unwrap().starts_with(b"127.0.0.1:"));
    }
    assert!(site.log("endpoint_log").starts_with(&before));
    assert_eq!(site.log("access_log"), access_log, "nobody was answered");
    assert_eq!(site.kept().len(), 1);
    site.assert_recovers(&[], [0, 0, 1, 0]);
    run(
        site.dir.path(),
        &["logs", "verify", "--listen", &site.address],
    )
    .assert(0, ", 3 recovered, all whole");
    // When MNS retries after that, the push is a duplicate.
    let options = options(&site.host, &[("server.listen", &site.address)]);
    let endpoint = Endpoint::start_in(site.dir, &options);
    for draft in &drafts {
        assert_eq!(endpoint.exchange(&draft.wire()).status, 201);
    }
    assert_eq!(endpoint.exchange(&forged(&site.host).wire()).status, 403);
    let log = endpoint.endpoint_log();
    assert_eq!(
        (
            log.matches("Notify Message Duplicate!").count(),
            log.matches("Succeed!").count()
        ),
        (3, 0)
    );
}

#[test]
fn recovered_messages_are_duplicates_even_if_the_logs_are_read_again() {
    for format in ["text", "json"] {
        let mut draft = None;
        let site = Site::after(&[WRONG, ("logs.format", format)], |host| {
            vec![draft.insert(push(host, ContentFormat::Json, b"m")).clone()]
        });
        site.assert_recovers(&["--set", &format!("logs.format={format}")], [1, 0, 0, 0]);
        assert_eq!(site.log("endpoint_log").matches(RECOVERED).count(), 1);
        fs::remove_file(
            site.dir
                .path()
                .join(format!("logs/.endpoint_log.{}.seen", site.port())),
        )
        .unwrap();
        let options = options(&site.host, &[("server.listen", &site.address)]);
        let endpoint = Endpoint::start_in(site.dir, &options);
        assert_eq!(endpoint.exchange(&draft.unwrap().wire()).status, 201);
        assert_eq!(
            endpoint
                .endpoint_log()
                .matches("Notify Message Duplicate!")
                .count(),
            1,
            "{format}"
        );
    }
}

#[test]
fn a_message_that_a_retry_delivered_is_not_appended_again() {
    let mut draft = None;
    let site = Site::after(&[WRONG], |host| {
        vec![draft.insert(push(host, ContentFormat::Xml, b"m")).clone()]
    });
    let listen = ("server.listen", site.address.as_str());
    let endpoint = Endpoint::start_in(site.dir, &options(&site.host, &[listen]));
    assert_eq!(endpoint.exchange(&draft.unwrap().wire()).status, 201);
    // While serve is running: the files can be read, and nothing is written.
    let dry = recover(endpoint.path(), &site.address, &site.host, &["--dry-run"]);
    dry.assert(
        0,
        ": 0 would be recovered, 1 in the log already, 0 refused again, 0 incomplete\n",
    );
    let log = endpoint.endpoint_log();
    let beside = recover(endpoint.path(), &site.address, &site.host, &[]);
    beside.assert(
        1,
        &format!(
            "serve writes to the logs of port {}: stop it, run this again",
            endpoint.address.port()
        ),
    );
    assert_eq!(endpoint.endpoint_log(), log);
    let site = Site {
        dir: endpoint.stop().1,
        ..site
    };
    assert_eq!(site.kept().len(), 1);
    // Even if serve does not mark duplicates.
    site.assert_recovers(&["--set", "accept.duplicates=off"], [0, 1, 0, 0]);
    assert_eq!((site.recovered().len(), site.kept().len()), (0, 0));
    site.assert_recovers(&[], [0, 0, 0, 0]);
}

#[test]
fn the_date_is_checked_against_the_arrival_of_the_request() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the endpoint under test has the same clock"
    )]
    let then = std::time::SystemTime::now() - Duration::from_secs(10 * 3600);
    let site = Site::after(&[("signing.max_age", "1h")], |host| {
        let draft = Draft::new(ContentFormat::Xml, "m", &host.url("x.pem"));
        vec![
            draft
                .set("Date", httpdate::fmt_http_date(then))
                .sign(&key(512)),
        ]
    });
    let max_age = ["--set", "signing.max_age=1h"];
    site.assert_recovers(&max_age, [0, 0, 1, 0]);
    // As if this machine had been off since then.
    let path = &site.kept()[0];
    let text = fs::read_to_string(path).unwrap();
    let (request, note) = text.split_once("\n\nCame: ").unwrap();
    let came = humantime::format_rfc3339(then + Duration::from_secs(60));
    let (_, rest) = note.split_once('\n').unwrap();
    fs::write(path, format!("{request}\n\nCame: {came}\n{rest}")).unwrap();
    site.assert_recovers(&max_age, [1, 0, 0, 0]);
}

#[test]
fn each_mistake_is_fixed_by_its_setting_and_by_no_other() {
    let below = |host: &CertificateHost| {
        let draft = Draft::new(ContentFormat::Xml, "m", &host.url("x.pem"));
        draft
            .to("/mns/notifications?a=1")
            .sign(&key(512))
            .to("/notifications?a=1")
    };
    let prefix = [
        "--set",
        "server.public_path_prefix=/mns",
        "--set",
        "server.paths=/mns/notifications",
    ];
    let plain = |host: &CertificateHost| push(host, ContentFormat::Xml, b"m");
    type Make<'a> = &'a dyn Fn(&CertificateHost) -> Draft;
    let cases: [((&str, &str), Make<'_>, &[&str]); 5] = [
        (
            ("accept.sources", "10.0.0.0/8"),
            &plain,
            &["--set", "accept.sources=127.0.0.0/8"],
        ),
        (
            ("accept.topics", "Other"),
            &plain,
            &["--set", "accept.topics=MyTopic1"],
        ),
        (
            ("signing.min_key_bits", "1024"),
            &plain,
            &["--set", "signing.min_key_bits=512"],
        ),
        (("signing.max_age", "25h"), &below, &prefix),
        (("server.paths", "/notifications"), &below, &prefix),
    ];
    for (wrong, make, right) in cases {
        let site = Site::after(&[wrong], |host| vec![make(host)]);
        site.assert_recovers(
            &["--set", &format!("{}={}", wrong.0, wrong.1)],
            [0, 0, 1, 0],
        );
        site.assert_recovers(right, [1, 0, 0, 0]);
    }
}

#[test]
fn a_proxy_that_is_configured_later_is_taken_into_account() {
    let set = ["--set", "accept.sources=10.0.0.0/8"];
    let named = [&set[..], &["--set", "server.trusted_proxies=127.0.0.0/8"]].concat();
    for (client, is_ours) in [
        ("192.0.2.1, 10.1.2.3", true),
        ("10.1.2.3, 192.0.2.1", false),
    ] {
        let drafts = |host: &CertificateHost| {
            vec![push(host, ContentFormat::Xml, b"m").add("X-Forwarded-For", client)]
        };
        // Neither an answer nor a stop waits for the copy of the certificate, which explain needs.
        let site = Site::after_all(&[("accept.sources", "10.0.0.0/8")], drafts, |endpoint| {
            endpoint.assert_tells("Cached a signing certificate on disk");
        });
        let kept = site.kept()[0].display().to_string();
        let explain = |more: &[&str]| {
            run(
                site.dir.path(),
                &[&["explain", &kept, "--trust", &site.host.prefix()], more].concat(),
            )
        };
        explain(&set).assert(1, "serve would answer 403 (source_not_accepted)");
        explain(&named).assert(i32::from(!is_ours), "\nVerdict: ");
        site.assert_recovers(&set, [0, 0, 1, 0]);
        site.assert_recovers(&named, [usize::from(is_ours), 0, usize::from(!is_ours), 0]);
    }
}

#[test]
fn only_the_owner_of_the_logs_may_append_to_them() {
    let site = Site::after(&[WRONG], |host| vec![push(host, ContentFormat::Xml, b"m")]);
    let logs = site.dir.path().join("logs");
    // As root the test can give away any directory. Otherwise it uses directories of root.
    let is_root = rustix::process::geteuid().is_root();
    let (foreign, owner) = if is_root {
        (logs.as_path(), 65_534)
    } else {
        (Path::new("/etc"), 0)
    };
    if is_root {
        std::os::unix::fs::chown(&logs, Some(owner), None).unwrap();
    }
    let before = site.log("endpoint_log");
    let in_foreign = ["--log-dir", foreign.to_str().unwrap()];
    site.recover(&in_foreign)
        .assert(1, &format!("run it with sudo -u '#{owner}'"));
    assert_eq!((site.log("endpoint_log"), site.kept().len()), (before, 1));
    site.recover(&[&in_foreign[..], &["--dry-run"]].concat())
        .assert(0, &foreign.display().to_string());
    if is_root {
        std::os::unix::fs::chown(&logs, Some(0), None).unwrap();
    }
    site.assert_recovers(&[], [1, 0, 0, 0]);
}

#[test]
fn a_missing_quarantine_is_named() {
    let site = Site::after(&[], |_| Vec::new());
    let told = site.recover(&["--log-dir", "elsewhere"]);
    told.assert(
        0,
        &format!(
            "elsewhere/quarantine.{}: there is no such directory",
            site.port()
        ),
    );
    assert!(!site.dir.path().join("elsewhere").exists());
}

#[test]
fn a_torn_file_is_skipped_and_a_full_disk_removes_nothing_from_quarantine() {
    let site = Site::after(&[WRONG], |host| {
        (0..3)
            .map(|_| push(host, ContentFormat::Xml, b"m"))
            .collect()
    });
    let torn = &site.kept()[1];
    let whole = fs::read(torn).unwrap();
    let full = format!(
        "trap '' XFSZ; ulimit -f 0; exec \"$0\" logs recover --listen {} --trust {}",
        site.address,
        site.host.prefix()
    );
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &full, env!("CARGO_BIN_EXE_mns-endpoint")])
        .current_dir(site.dir.path());
    finish(&mut command, b"").assert(
        1,
        "nothing more can be appended; everything reported as recovered is on disk",
    );
    assert_eq!(site.kept().len(), 3);
    for cut in [1, 10, 200, whole.len() - 30, whole.len()] {
        fs::write(torn, &whole[..whole.len() - cut]).unwrap();
        site.recover(&["--dry-run"]).assert(
            0,
            ": 2 would be recovered, 0 in the log already, 0 refused again, 1 incomplete",
        );
    }
    site.assert_recovers(&[], [2, 0, 0, 1]);
    assert_eq!(site.kept(), std::slice::from_ref(torn));
    site.recover(&["--set", "logs.quarantine_bytes=much"])
        .assert(78, "logs.quarantine_bytes");
}

#[test]
fn a_fifo_and_a_device_in_quarantine_are_skipped_and_block_nothing() {
    let site = Site::after(&[WRONG], |host| vec![push(host, ContentFormat::Xml, b"m")]);
    let strange = ["0000000097.genuine.http", "0000000098.unproved.http"]
        .map(|name| site.quarantine().join(name));
    mknodat(CWD, &strange[0], FileType::Fifo, 0o600.into(), 0).unwrap();
    symlink("/dev/zero", &strange[1]).unwrap();
    site.recover(&["--dry-run"]).assert(
        0,
        ": 1 would be recovered, 0 in the log already, 0 refused again, 2 incomplete",
    );
    site.assert_recovers(&[], [1, 0, 0, 2]);
    assert_eq!(site.kept(), strange);
}

#[test]
fn a_running_endpoint_continues_to_save_what_it_refuses() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&options(&host, &[WRONG]));
    let quarantine = endpoint
        .path()
        .join(format!("logs/quarantine.{}", endpoint.address.port()));
    for number in 1..=2 {
        assert_eq!(
            endpoint
                .exchange(&push(&host, ContentFormat::Xml, b"m").wire())
                .status,
            403
        );
        eventually("it is kept", || {
            (quarantine::list(&quarantine).unwrap().len() == 1).then_some(())
        });
        fs::remove_file(quarantine.join(format!("{number:010}.genuine.http"))).unwrap();
    }
}

/// Adds this many forged requests before the first of the others, each with an unknown address.
fn forge(site: &Site, count: usize) {
    let (last, rest) = site
        .kept()
        .split_last()
        .map(|(last, rest)| (last.clone(), rest.to_vec()))
        .unwrap();
    let text = fs::read_to_string(&last).unwrap();
    fs::remove_file(last).unwrap();
    for path in rest {
        let name = path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .replacen('0', "9", 1);
        fs::rename(&path, path.with_file_name(name)).unwrap();
    }
    let old = STANDARD.encode(site.host.url("forged.pem"));
    assert!(text.contains(&old));
    for number in 1..=count {
        let text = text.replace(
            &old,
            &STANDARD.encode(site.host.url(&format!("{number}.pem"))),
        );
        fs::write(
            site.quarantine()
                .join(format!("{number:010}.unproved.http")),
            text,
        )
        .unwrap();
    }
}

fn forged_elsewhere(host: &CertificateHost) -> Draft {
    Draft::new(ContentFormat::Xml, "forged", &host.url("forged.pem")).sign(&foreign_key(512))
}

#[test]
fn no_number_of_forged_addresses_prevents_the_fetch_of_a_genuine_one() {
    // More than serve fetches for one peer.
    const FORGED: usize = 40;
    let site = Site::after(&[], |host| {
        let below = Draft::new(ContentFormat::Xml, "m", &host.url("x.pem"))
            .to("/mns/notifications")
            .sign(&key(512));
        vec![below.to("/notifications"), forged_elsewhere(host)]
    });
    forge(&site, FORGED);
    let prefix = [
        "--set",
        "server.public_path_prefix=/mns",
        "--set",
        "server.paths=/mns/notifications",
    ];
    site.assert_recovers(&prefix, [1, 0, FORGED, 0]);
}

#[test]
fn a_silent_certificate_host_is_given_up_and_the_copy_on_disk_is_used() {
    let site = Site::after_all(
        &[WRONG],
        |host| vec![push(host, ContentFormat::Xml, b"m"), forged_elsewhere(host)],
        // It is written in the background, and a stop does not wait for it.
        |endpoint| endpoint.assert_tells("Cached a signing certificate on disk"),
    );
    forge(&site, 40);
    site.host.set(Mode::Stall);
    let before = site.host.requests();
    let told = site.recover(&["--set", "signing.fetch_timeout=200ms"]);
    told.assert(
        0,
        ": 1 recovered, 0 in the log already, 40 refused again, 0 incomplete\n",
    );
    told.assert(
        0,
        "0000000040.unproved.http: refused again, certificate_unavailable: ",
    );
    told.assert(0, "its host failed too often in this run");
    assert_eq!(
        site.host.requests() - before,
        3,
        "of the genuine one first, and of two forged ones"
    );
    assert_eq!(site.kept().len(), 40, "what could not be judged stays");
}
