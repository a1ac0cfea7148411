//! SIGHUP: what changes while requests are answered, and what does not.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use mns_endpoint::mns::ContentFormat;
use mns_endpoint::server::Reason;
use rustix::process::Signal;

use crate::support::{
    CertificateHost, Draft, Endpoint, Identity, Options, attribute, eventually, key, read_answer,
    read_request, records, secure, send, within,
};

const OWNER: &str = "1269128356620446";

fn write(dir: &Path, prefix: &str, owner: &str, more: &str) {
    let text = format!(
        "[signing]\ncertificate_prefixes = [{prefix:?}]\n[accept]\ntopic_owners = \
         [{owner:?}]\n{more}\n"
    );
    fs::create_dir_all(dir.join("config")).unwrap();
    fs::write(dir.join("config/endpoint.toml"), text).unwrap();
}

fn start(prefix: &str, owner: &str, more: &str) -> Endpoint {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), prefix, owner, more);
    Endpoint::start_in(dir, &Options::default())
}

/// Requests a reload and waits until it has been logged that often.
#[track_caller]
fn reload(endpoint: &Endpoint, told: &str) {
    let count = || endpoint.stderr().matches(told).count();
    let before = count();
    endpoint.signal(Signal::HUP);
    eventually(&format!("{told:?} is reported"), || {
        (count() > before).then_some(())
    });
}

/// Requests a reload, which must change nothing and log why.
#[track_caller]
fn assert_kept(endpoint: &Endpoint, named: &str) {
    reload(endpoint, KEPT);
    let told = endpoint.stderr();
    let line = told.lines().rfind(|line| line.contains(KEPT)).unwrap();
    assert!(line.contains("ERROR") && line.contains(named), "{line}");
}

const READ: &str = "Reloaded the configuration";
const KEPT: &str = "Could not reload the configuration: the current one stays in use";

fn push(endpoint: &Endpoint, host: &CertificateHost) -> u16 {
    endpoint
        .exchange(
            &Draft::new(ContentFormat::Xml, "m", &host.url("a.pem"))
                .sign(&key(512))
                .wire(),
        )
        .status
}

#[track_caller]
fn last_reason(endpoint: &Endpoint, reason: Reason) {
    eventually("the refusal is logged", || {
        let log = endpoint.endpoint_log();
        let last = records(&log).pop()?;
        (attribute(&last, "Reason")? == reason.key().as_bytes()).then_some(())
    });
}

#[test]
fn accept_and_signing_take_effect_and_a_bad_file_does_not() {
    let (host, other) = (
        CertificateHost::serving(&key(512)),
        CertificateHost::serving(&key(512)),
    );
    let endpoint = start(&host.prefix(), "1", "");
    assert_eq!(push(&endpoint, &host), 403);
    last_reason(&endpoint, Reason::OwnerNotAccepted);
    write(endpoint.path(), &host.prefix(), OWNER, "");
    assert_eq!(
        push(&endpoint, &host),
        403,
        "nothing is read before it is asked for"
    );
    reload(&endpoint, READ);
    assert_eq!(push(&endpoint, &host), 201);
    // The certificate is still cached: it was not fetched again.
    assert_eq!(host.requests(), 1);
    write(endpoint.path(), &other.prefix(), OWNER, "");
    reload(&endpoint, READ);
    assert_eq!(
        (push(&endpoint, &host), push(&endpoint, &other)),
        (403, 201)
    );
    for (bad, named) in [
        (
            "topic_owner = \"x\"",
            "accept.topic_owner: there is no such key",
        ),
        ("sources = [\"300.0.0.0/8\"]", "accept.sources"),
        ("[signing]", "duplicate key"),
    ] {
        write(endpoint.path(), &host.prefix(), "1", bad);
        assert_kept(&endpoint, named);
        assert_eq!(
            (push(&endpoint, &host), push(&endpoint, &other)),
            (403, 201)
        );
    }
    // The defaults, which accept every owner, do not replace a missing file.
    fs::remove_file(endpoint.path().join("config/endpoint.toml")).unwrap();
    assert_kept(&endpoint, "config/endpoint.toml");
    assert_eq!(
        (push(&endpoint, &host), push(&endpoint, &other)),
        (403, 201)
    );
    write(endpoint.path(), &host.prefix(), OWNER, "");
    reload(&endpoint, READ);
    assert_eq!(
        (push(&endpoint, &host), push(&endpoint, &other)),
        (201, 403)
    );
}

#[test]
fn a_file_that_is_found_at_a_reload_must_exist_at_the_next() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
    assert!(
        endpoint.start_lines[1].starts_with("Configuration: built-in defaults, "),
        "{:?}",
        endpoint.start_lines
    );
    assert_eq!(push(&endpoint, &host), 201);
    write(endpoint.path(), &host.prefix(), "1", "");
    reload(&endpoint, READ);
    assert_eq!(push(&endpoint, &host), 403);
    fs::remove_file(endpoint.path().join("config/endpoint.toml")).unwrap();
    assert_kept(&endpoint, "config/endpoint.toml");
    assert_eq!(push(&endpoint, &host), 403);
}

#[test]
fn unusual_settings_cause_warnings_again() {
    const OWNERS: &str = "accept.topic_owners is empty";
    const PLAIN: &str = "Signing certificates are fetched without TLS from here";
    const TRUST: &str = "TRUSTING every signing certificate under this address";
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "https://a.example/", OWNER, "");
    let endpoint = Endpoint::start_in(dir, &Options::trusting("https://b.example/"));
    let count = |told: &str, warning| {
        told.lines()
            .filter(|line| line.contains(" WARN ") && line.contains(warning))
            .count()
    };
    let text = "[signing]\ncertificate_prefixes = [\"http://a.example/\"]\n";
    fs::write(endpoint.path().join("config/endpoint.toml"), text).unwrap();
    reload(&endpoint, READ);
    let told = endpoint.told();
    assert_eq!(
        [OWNERS, PLAIN, TRUST].map(|warning| count(&told, warning)),
        [1, 1, 2],
        "{told}"
    );
}

#[test]
fn keys_that_are_read_at_the_start_only_are_named() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = start(&host.prefix(), OWNER, "");
    let more = "duplicates = \"drop\"\n[logs]\nformat = \"json\"\n[server]\nmax_body = \"1KiB\"";
    write(endpoint.path(), &host.prefix(), OWNER, more);
    reload(&endpoint, READ);
    endpoint.assert_tells(
        "These keys have changed and need a restart keys=\"accept.duplicates, logs.format, \
         server.max_body\"",
    );
    assert_eq!(push(&endpoint, &host), 201);
    assert!(
        endpoint.endpoint_log().starts_with('['),
        "the format has changed"
    );
    write(endpoint.path(), &host.prefix(), OWNER, "");
    reload(&endpoint, READ);
    assert_eq!(endpoint.told().matches("need a restart").count(), 1);
}

#[test]
fn a_request_in_progress_ends_with_the_settings_that_it_began_with() {
    // The time for a fetch.
    within(Duration::from_secs(2), request_during_a_reload);
}

fn request_during_a_reload() {
    // A certificate host that answers on command.
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = host.local_addr().unwrap();
    let endpoint = start(&format!("http://{address}/"), OWNER, "");
    let draft =
        Draft::new(ContentFormat::Xml, "m", &format!("http://{address}/a.pem")).sign(&key(512));
    let mut pushed = send(endpoint.address, &draft.wire());
    let (mut fetch, _) = host.accept().unwrap();
    write(endpoint.path(), &format!("http://{address}/"), "1", "");
    reload(&endpoint, READ);
    read_request(&mut fetch);
    let pem = key(512).certificate_pem().to_owned();
    write!(
        fetch,
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{pem}",
        pem.len()
    )
    .unwrap();
    assert_eq!(read_answer(&mut pushed).status, 201);
    let next =
        Draft::new(ContentFormat::Xml, "m", &format!("http://{address}/a.pem")).sign(&key(512));
    assert_eq!(endpoint.exchange(&next.wire()).status, 403);
}

#[test]
fn the_files_of_tls_are_read_again_and_may_have_other_names() {
    let (dir, old, new) = (
        tempfile::tempdir().unwrap(),
        Identity::new(),
        Identity::new(),
    );
    let tls = |pem: &str, key: &str| {
        format!("[server.tls]\ncertificate = {pem:?}\nprivate_key = {key:?}")
    };
    old.write(dir.path());
    fs::write(dir.path().join("new.pem"), &new.certificate_pem).unwrap();
    fs::write(dir.path().join("new.key"), &new.key_pem).unwrap();
    let host = CertificateHost::serving(&key(512));
    write(
        dir.path(),
        &host.prefix(),
        OWNER,
        &tls("server.pem", "server.key"),
    );
    let endpoint = Endpoint::start_in(dir, &Options::default());
    assert!(secure(endpoint.address, &old).is_ok());
    for bad in [tls("new.pem", "server.key"), tls("none.pem", "new.key")] {
        write(endpoint.path(), &host.prefix(), "1", &bad);
        reload(&endpoint, KEPT);
        // Nothing of that file has taken effect.
        let mut stream = secure(endpoint.address, &old).unwrap();
        stream
            .write_all(
                &Draft::new(ContentFormat::Xml, "m", &host.url("a.pem"))
                    .sign(&key(512))
                    .wire(),
            )
            .unwrap();
        assert_eq!(read_answer(&mut stream).status, 201);
    }
    write(
        endpoint.path(),
        "https://a.example/",
        OWNER,
        &tls("new.pem", "new.key"),
    );
    reload(&endpoint, READ);
    assert!(secure(endpoint.address, &new).is_ok());
    assert!(secure(endpoint.address, &old).is_err());
}
