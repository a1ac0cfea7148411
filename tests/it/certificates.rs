//! Certificates over the network: one fetch, no trust in unusual answers of the source, and a copy
//! on disk for when it fails.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mns_endpoint::emulator::Signer;
use mns_endpoint::mns::{ContentFormat, WELL_KNOWN_CERTIFICATE};
use mns_endpoint::server::Reason;
use mns_endpoint::trust::SigningCertificate;
use rustix::fs::{CWD, FileType, mknodat};
use tempfile::TempDir;

use crate::support::{
    Bench, CertificateHost, Draft, Endpoint, Entry, Mode, Options, attribute, cheap, eventually,
    exchange, foreign_key, key, records, run,
};

const OFFICIAL_HOST: &str = "mnstest.oss-cn-hangzhou.aliyuncs.com";

/// A host that replaces MNS's, and the options with which an endpoint uses it and fetches the
/// certificate before the first push.
fn official(mode: Mode) -> (CertificateHost, TempDir, Options) {
    let (host, root) = CertificateHost::start_tls(mode);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("root.pem"), root).unwrap();
    let via = format!(
        "{{ \"{OFFICIAL_HOST}\" = \"localhost:{}\" }}",
        host.address.port()
    );
    let options = Options::default()
        .set("signing.fetch_via", &via)
        .set("signing.prefetch", "true");
    (host, dir, options.env("SSL_CERT_FILE", "root.pem"))
}

fn kept(endpoint: &Endpoint) -> PathBuf {
    endpoint
        .path()
        .join("certs/signing")
        .join(OFFICIAL_HOST)
        .join("x509_public_certificate.pem")
}

fn push(url: &str) -> Draft {
    Draft::new(ContentFormat::Xml, "m", url)
}

fn certificate(bits: usize) -> Mode {
    Mode::Serve(key(bits).certificate_pem().as_bytes().to_vec())
}

#[test]
fn a_hundred_first_requests_at_once_cause_one_fetch() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
    let address = endpoint.address;
    let barrier = Arc::new(std::sync::Barrier::new(100));
    let senders: Vec<_> = (0..100)
        .map(|_| {
            let (barrier, wire) = (
                barrier.clone(),
                push(&host.url("x.pem")).sign(&key(512)).wire(),
            );
            thread::spawn(move || {
                barrier.wait();
                exchange(address, &wire).status
            })
        })
        .collect();
    let statuses: Vec<u16> = senders
        .into_iter()
        .map(|sender| sender.join().unwrap())
        .collect();
    assert_eq!(statuses, [201; 100]);
    assert_eq!(host.requests(), 1);
}

#[test]
fn a_certificate_may_have_any_usual_ending_or_none_and_each_has_its_own_copy() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = Endpoint::start(&Options::listing(&host.prefix()));
    let names = [
        "x509.pem",
        "x509.crt",
        "x509.cer",
        "x509",
        "x509.crt.pem",
        "X.509-2.cer",
    ];
    for name in names {
        assert_eq!(
            endpoint
                .exchange(&push(&host.url(name)).sign(&key(512)).wire())
                .status,
            201,
            "{name}"
        );
    }
    assert_eq!(host.requests(), names.len());
    let kept = endpoint.path().join(format!(
        "certs/signing/{}:{}",
        host.address.ip(),
        host.address.port()
    ));
    for name in names {
        eventually("it is kept", || kept.join(name).is_file().then_some(()));
    }
    let prefix = host.prefix();
    // From disk, because the source fails.
    host.set(Mode::Hang);
    let dir = endpoint.stop().1;
    let listed = run(dir.path(), &["certificate", "list"]);
    for name in names {
        listed.assert(0, &format!("/{name}  RSA 512 bits"));
    }
    let endpoint = Endpoint::start_in(dir, &Options::listing(&prefix));
    for name in names {
        assert_eq!(
            endpoint
                .exchange(&push(&host.url(name)).sign(&key(512)).wire())
                .status,
            201,
            "{name}"
        );
    }
}

#[test]
fn a_refusal_of_an_address_names_the_violated_rule() {
    let bench = Bench::new();
    let long = "x".repeat(129);
    for (file, rule) in [
        (
            "x.txt",
            "its file name has another ending than .pem, .crt or .cer",
        ),
        (
            "x.PEM",
            "its file name has another ending than .pem, .crt or .cer",
        ),
        (
            "a/x.pem",
            "there is more than a file name behind the prefix",
        ),
        (
            "../x.pem",
            "there is more than a file name behind the prefix",
        ),
        ("", "it names no file"),
        (&long, "its file name has more than 128 bytes"),
        (".x.pem", "its file name begins with a dot"),
        (
            "x.pem?y",
            "its file name has other characters than letters, digits, dots, underscores and \
             hyphens",
        ),
        (
            "x%2epem",
            "its file name has other characters than letters, digits, dots, underscores and \
             hyphens",
        ),
    ] {
        let draft = push(&bench.host.url(file)).sign(&key(512));
        let entry = bench.check(&draft, cheap(403, Reason::CertificateAddressRefused));
        let hint = String::from_utf8(attribute(&entry, "Hint").unwrap()).unwrap();
        assert!(
            hint.starts_with(&format!(
                "the certificate address is below an allowed prefix, but {rule}; "
            )),
            "{hint}"
        );
    }
    let entry = bench.check(
        &push("https://evil.example/x.pem").sign(&key(512)),
        cheap(403, Reason::CertificateAddressRefused),
    );
    let hint = String::from_utf8(attribute(&entry, "Hint").unwrap()).unwrap();
    assert!(
        hint.starts_with("the certificate address is not below an allowed prefix; "),
        "{hint}"
    );
}

#[test]
fn a_certificate_behind_a_byte_order_mark_or_with_the_header_of_another_tool_is_read() {
    let pem = key(512).certificate_pem().to_owned();
    for text in [
        format!("\u{feff}{pem}"),
        pem.replace(" CERTIFICATE-", " TRUSTED CERTIFICATE-"),
        pem.replace(" CERTIFICATE-", " X509 CERTIFICATE-"),
    ] {
        let host = CertificateHost::start(Mode::Serve(text.clone().into_bytes()));
        let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
        assert_eq!(
            endpoint
                .exchange(&push(&host.url("x.pem")).sign(&key(512)).wire())
                .status,
            201,
            "{text}"
        );
    }
}

#[test]
fn a_key_changed_at_its_address_is_picked_up_without_a_restart() {
    let host = CertificateHost::serving(&foreign_key(512));
    let endpoint = Endpoint::start(&Options::listing(&host.prefix()));
    let url = host.url("x.pem");
    assert_eq!(
        endpoint
            .exchange(&push(&url).sign(&foreign_key(512)).wire())
            .status,
        201
    );
    host.set(certificate(512));
    assert_eq!(
        endpoint.exchange(&push(&url).sign(&key(512)).wire()).status,
        201
    );
    endpoint.assert_tells(
        "The signing key has changed: a push was verified with a key not seen before",
    );
    let changes = || -> Vec<Entry> {
        records(&endpoint.endpoint_log())
            .into_iter()
            .filter(|entry| entry.place == "receive.rs:9")
            .collect()
    };
    let change = &eventually("the change is in the log", || changes().into_iter().next());
    assert_eq!(
        (change.level.as_str(), change.text.lines().next()),
        ("WARNING", Some("Signing Key Changed!"))
    );
    let fingerprint = |signer: &Signer| {
        let certificate = SigningCertificate::parse(signer.certificate_pem().as_bytes()).unwrap();
        certificate.fingerprint().as_bytes().to_vec()
    };
    for (name, value) in [
        ("CertificateAddress", url.clone().into_bytes()),
        ("KeyBits", b"512".to_vec()),
        ("OldKey", fingerprint(&foreign_key(512))),
        ("NewKey", fingerprint(&key(512))),
    ] {
        assert_eq!(attribute(change, name), Some(value), "{name}");
    }
    // The old key is rejected, and fetches are limited: one fetch, one renewal.
    assert_eq!(
        endpoint
            .exchange(&push(&url).sign(&foreign_key(512)).wire())
            .status,
        403
    );
    assert_eq!(
        endpoint
            .exchange(&push(&url).sign(&foreign_key(512)).wire())
            .status,
        403
    );
    assert_eq!(host.requests(), 2);
    // The same key at another address is not reported; another key there is.
    assert_eq!(
        endpoint
            .exchange(&push(&host.url("y.pem")).sign(&key(512)).wire())
            .status,
        201
    );
    host.set(certificate(1024));
    assert_eq!(
        endpoint
            .exchange(&push(&host.url("z.pem")).sign(&key(1024)).wire())
            .status,
        201
    );
    eventually("two changes are reported", || {
        (changes().len() == 2).then_some(())
    });
    assert_eq!(attribute(&changes()[1], "KeyBits").unwrap(), b"1024");
}

#[test]
fn a_source_that_stalls_gives_503_in_time_for_mns() {
    let (host, endpoint) = eventually("both answers came in time", || {
        let host = CertificateHost::start(Mode::Stall);
        let endpoint = Endpoint::start(&Options::trusting(host.prefix()));
        let wires = [(); 2].map(|()| push(&host.url("x.pem")).sign(&key(512)).wire());
        let [first, second] = wires.map(|wire| {
            let started = Instant::now();
            let answer = endpoint.exchange(&wire);
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (503, "Service Unavailable")
            );
            assert!(answer.headers.contains_key("retry-after"));
            started.elapsed()
        });
        // Later pushes do not wait for the same timeout again. The source is only asked again after
        // a while.
        let are_in_time = first < Duration::from_secs(4) && second < Duration::from_secs(1);
        are_in_time.then_some((host, endpoint))
    });
    host.set(certificate(512));
    eventually("the source is asked again and the push accepted", || {
        (endpoint
            .exchange(&push(&host.url("x.pem")).sign(&key(512)).wire())
            .status
            == 201)
            .then_some(())
    });
}

#[test]
fn a_restarted_endpoint_accepts_pushes_while_the_source_is_gone() {
    let host = CertificateHost::serving(&key(512));
    let options = Options::listing(&host.prefix());
    let wire = || push(&host.url("x.pem")).sign(&key(512)).wire();
    let endpoint = Endpoint::start(&options);
    assert_eq!(endpoint.exchange(&wire()).status, 201);
    let kept = endpoint
        .path()
        .join("certs/signing")
        .join(host.address.to_string())
        .join("x.pem");
    eventually("the certificate is kept", || kept.exists().then_some(()));
    let (_printed, dir) = endpoint.stop();
    host.set(Mode::Hang);
    let restarted = Endpoint::start_in(dir, &options);
    assert_eq!(restarted.exchange(&wire()).status, 201);
    assert_eq!(
        restarted
            .exchange(&push(&host.url("y.pem")).sign(&key(512)).wire())
            .status,
        503
    );
    // The same if the source does not answer at all.
    let (_printed, dir) = restarted.stop();
    host.set(Mode::Stall);
    let restarted = Endpoint::start_in(dir, &options);
    assert_eq!(restarted.exchange(&wire()).status, 201);
}

#[test]
fn the_first_push_after_a_start_does_not_wait_for_the_source_if_its_certificate_is_on_disk() {
    let host = CertificateHost::start(Mode::Stall);
    let options = Options::listing(&host.prefix());
    let pem = key(512).certificate_pem().to_owned();
    let wire = push(&host.url("59.pem")).sign(&key(512)).wire();
    eventually("they are read within the second that a start waits", || {
        let dir = tempfile::tempdir().unwrap();
        let kept = host.kept_in(dir.path());
        // Reading this many takes longer than a push needs to arrive.
        for number in 0..60 {
            std::fs::write(kept.join(format!("{number:02}.pem")), &pem).unwrap();
        }
        let fetched = host.requests();
        let endpoint = Endpoint::start_in(dir, &options);
        let answer = endpoint.exchange(&wire);
        let told = endpoint.stderr();
        (!told.contains("Reading the certificates on disk takes long"))
            .then(|| assert_eq!((answer.status, host.requests() - fetched), (201, 0)))
    });
}

#[test]
fn a_fifo_or_a_device_at_the_path_of_a_certificate_blocks_nothing() {
    let host = CertificateHost::serving(&key(512));
    let dir = tempfile::tempdir().unwrap();
    let kept = host.kept_in(dir.path());
    mknodat(CWD, kept.join("x.pem"), FileType::Fifo, 0o600.into(), 0).unwrap();
    mknodat(CWD, kept.join("../.probe"), FileType::Fifo, 0o600.into(), 0).unwrap();
    symlink("/dev/zero", kept.join("y.pem")).unwrap();
    std::fs::File::create(kept.join("z.pem"))
        .unwrap()
        .set_len(1024 * 1024 + 1)
        .unwrap();
    let listed = run(dir.path(), &["certificate", "list"]);
    for told in [
        "it is a FIFO, not a regular file",
        "it is a device, not a regular file",
        "more than 1048576 bytes",
    ] {
        listed.assert(1, told);
    }
    // A start that waits for the other end of a FIFO never returns.
    let (sender, started) = mpsc::channel();
    let options = Options::listing(&host.prefix());
    thread::spawn(move || sender.send(Endpoint::start_in(dir, &options)).is_ok());
    let endpoint = started
        .recv_timeout(Duration::from_secs(20))
        .expect("it serves");
    endpoint.assert_tells(".probe: it is a FIFO, not a regular file");
    for file in ["x.pem", "y.pem", "z.pem"] {
        assert_eq!(
            endpoint
                .exchange(&push(&host.url(file)).sign(&key(512)).wire())
                .status,
            201
        );
        eventually("the certificate takes its place", || {
            kept.join(file).is_file().then_some(())
        });
    }
}

#[test]
fn an_official_address_is_fetched_with_tls_even_if_the_push_says_http() {
    let (host, root) = CertificateHost::start_tls(certificate(512));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("root.pem"), root).unwrap();
    let via = format!(
        "{{ \"{OFFICIAL_HOST}\" = \"localhost:{}\" }}",
        host.address.port()
    );
    let options = Options::default()
        .set("signing.fetch_via", &via)
        .env("SSL_CERT_FILE", "root.pem");
    let endpoint = Endpoint::start_in(dir, &options);
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://{OFFICIAL_HOST}/x509_public_certificate.pem");
        assert_eq!(
            endpoint.exchange(&push(&url).sign(&key(512)).wire()).status,
            201,
            "{scheme}"
        );
    }
    assert_eq!(host.requests(), 1, "both are one address");
    let kept = endpoint
        .path()
        .join("certs/signing")
        .join(OFFICIAL_HOST)
        .join("x509_public_certificate.pem");
    eventually("the certificate is kept", || kept.exists().then_some(()));
}

#[test]
fn a_source_whose_tls_certificate_is_not_trusted_is_rejected() {
    let (host, _root) = CertificateHost::start_tls(certificate(512));
    let via = format!(
        "{{ \"{OFFICIAL_HOST}\" = \"localhost:{}\" }}",
        host.address.port()
    );
    let endpoint = Endpoint::start(&Options::default().set("signing.fetch_via", &via));
    let url = format!("https://{OFFICIAL_HOST}/x509_public_certificate.pem");
    assert_eq!(
        endpoint.exchange(&push(&url).sign(&key(512)).wire()).status,
        503
    );
    assert_eq!(host.requests(), 0);
}

#[test]
fn a_certificate_directory_that_cannot_be_written_is_only_a_warning() {
    let host = CertificateHost::serving(&key(512));
    let options =
        Options::trusting(host.prefix()).set("signing.certificate_dir", "/dev/null/certificates");
    let endpoint = Endpoint::start(&options);
    endpoint.assert_tells("Certificates cannot be cached on disk");
    assert_eq!(
        endpoint
            .exchange(&push(&host.url("x.pem")).sign(&key(512)).wire())
            .status,
        201
    );
}

#[test]
fn a_configured_proxy_is_used() {
    // An HTTP proxy gets the complete address in the request line. This one answers in place of the
    // source.
    let pem = key(512).certificate_pem().as_bytes().to_vec();
    let proxy = CertificateHost::start(Mode::Serve(pem));
    let options = Options::trusting("http://certificates.test/")
        .set("signing.proxy", &format!("http://{}", proxy.address));
    let endpoint = Endpoint::start(&options);
    let url = "http://certificates.test/x.pem";
    assert_eq!(
        endpoint.exchange(&push(url).sign(&key(512)).wire()).status,
        201
    );
    assert_eq!(proxy.requests(), 1);
    // The proxy of the environment is used as well, but never for this machine.
    let host = CertificateHost::serving(&key(512));
    let options = Options::trusting(host.prefix())
        .env("http_proxy", &format!("http://{}", proxy.address))
        .set("signing.certificate_prefixes", "http://certificates.test/");
    let endpoint = Endpoint::start(&options);
    assert_eq!(
        endpoint.exchange(&push(url).sign(&key(512)).wire()).status,
        201
    );
    assert_eq!(
        endpoint
            .exchange(&push(&host.url("x.pem")).sign(&key(512)).wire())
            .status,
        201
    );
    assert_eq!((proxy.requests(), host.requests()), (2, 1));
}

#[test]
fn the_certificate_of_mns_is_fetched_once_before_the_first_push_and_kept_with_it() {
    let (host, dir, options) = official(certificate(512));
    let endpoint = Endpoint::start_in(dir, &options);
    endpoint.assert_tells("Fetched a signing certificate");
    assert_eq!(
        (host.requests(), kept(&endpoint).exists()),
        (1, false),
        "it has verified nothing yet"
    );
    for _ in 0..3 {
        assert_eq!(
            endpoint
                .exchange(&push(WELL_KNOWN_CERTIFICATE).sign(&key(512)).wire())
                .status,
            201
        );
    }
    eventually("the certificate is kept", || {
        kept(&endpoint).exists().then_some(())
    });
    let (_printed, dir) = endpoint.stop();
    assert_eq!(host.requests(), 1);
    // From now on it is on disk: it is neither fetched at a start nor replaced.
    host.set(certificate(1024));
    let endpoint = Endpoint::start_in(dir, &options);
    let before = std::fs::read(kept(&endpoint)).unwrap();
    let refused = push("https://evil.example/x.pem").sign(&key(512));
    assert_eq!(endpoint.exchange(&refused.wire()).status, 403);
    let (_printed, dir) = endpoint.stop();
    let after = std::fs::read(
        dir.path()
            .join("certs/signing")
            .join(OFFICIAL_HOST)
            .join("x509_public_certificate.pem"),
    );
    assert_eq!((host.requests(), after.unwrap()), (1, before));
}

#[test]
fn a_key_that_changes_after_the_fetch_before_the_first_push_is_picked_up_at_once() {
    let (host, dir, options) = official(Mode::Serve(
        foreign_key(512).certificate_pem().as_bytes().to_vec(),
    ));
    let endpoint = Endpoint::start_in(dir, &options);
    endpoint.assert_tells("Fetched a signing certificate");
    host.set(certificate(512));
    assert_eq!(
        endpoint
            .exchange(&push(WELL_KNOWN_CERTIFICATE).sign(&key(512)).wire())
            .status,
        201
    );
    assert_eq!(host.requests(), 2);
    // Nothing was verified with the first key, so there is no change to report.
    assert!(!endpoint.told().contains("The signing key has changed"));
}

#[test]
fn a_source_that_is_down_at_the_start_delays_nothing_and_is_one_warning() {
    /// The time for a fetch.
    const FETCH: Duration = Duration::from_secs(2);
    let (host, endpoint) = eventually("it did not wait for the fetch", || {
        let (host, dir, options) = official(Mode::Stall);
        let begun = Instant::now();
        let endpoint = Endpoint::start_in(dir, &options);
        assert_eq!(
            endpoint
                .exchange(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                .status,
            200
        );
        (begun.elapsed() < FETCH).then_some((host, endpoint))
    });
    let warning = "Could not fetch the signing certificate of MNS ahead of the first push";
    endpoint.assert_tells(warning);
    host.set(certificate(512));
    eventually("it is fetched again", || {
        (host.requests() == 2).then_some(())
    });
    endpoint.assert_tells("Fetched a signing certificate");
    let told = endpoint.told();
    assert_eq!(told.matches("WARN Could not fetch").count(), 1, "{told}");
}

#[test]
fn nothing_is_fetched_at_a_start_if_it_is_off_or_the_address_is_not_that_of_mns() {
    let changes: [fn(Options) -> Options; 3] = [
        |options| options.set("signing.prefetch", "false"),
        |options| {
            options.set(
                "signing.certificate_prefixes",
                "https://mns-cert.oss-cn-hangzhou.aliyuncs.com/",
            )
        },
        |options| Options {
            trust: vec!["http://127.0.0.1:1/".to_owned()],
            ..options
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let (host, dir, options) = official(certificate(512));
        let endpoint = Endpoint::start_in(dir, &change(options));
        assert_eq!(
            endpoint
                .exchange(&push("https://evil.example/x.pem").sign(&key(512)).wire())
                .status,
            403
        );
        let told = endpoint.told();
        assert!(
            !told.contains("Fetched") && !told.contains("Could not fetch"),
            "case {number}: {told}"
        );
        assert_eq!(host.requests(), 0, "case {number}");
    }
}

#[test]
fn the_old_key_is_accepted_until_the_new_one_at_its_address_has_verified_a_push() {
    let bench = Bench::new();
    let push = |signer: &Signer| {
        Draft::new(ContentFormat::Xml, "m", &bench.host.url("one.pem")).sign(signer)
    };
    let status = |draft: &Draft| bench.endpoint.exchange(&draft.wire()).status;
    let (old, new) = (key(512), foreign_key(512));
    assert_eq!(status(&push(&old)), 201);
    bench
        .host
        .set(Mode::Serve(new.certificate_pem().as_bytes().to_vec()));
    // A forged push causes a renewal.
    let fetches = bench.host.requests();
    let forged = push(&old).set("Authorization", STANDARD.encode([7; 64]));
    assert_eq!((status(&forged), bench.host.requests()), (403, fetches + 1));
    assert_eq!(
        [&old, &old, &new, &new].map(|signer| status(&push(signer))),
        [201; 4]
    );
    assert_eq!(status(&push(&old)), 403, "MNS signs with the new one");
}
