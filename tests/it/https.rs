//! https on one machine: the files for senders, and their error messages about a wrong certificate.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mns_endpoint::mns::ContentFormat;
use mns_endpoint::mns::api::{NotifyStrategy, SubscriptionAttributes};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};

use crate::support::{
    CertificateHost, Draft, Ended, Endpoint, Identity, LocalMns, Mode, Options, eventually, key,
    program, records, run, to,
};

/// Words of the TLS library that mean nothing to a user.
const LIBRARY_WORDS: [&str; 9] = [
    "UnknownIssuer",
    "CaUsedAsEndEntity",
    "KeyMismatch",
    "NotValid",
    "Expired",
    "invalid peer certificate",
    "InvalidContentType",
    "corrupt message",
    "OtherError",
];

#[track_caller]
fn assert_readable(told: &str) {
    for word in LIBRARY_WORDS {
        assert!(!told.contains(word), "{word:?} is in {told}");
    }
}

/// Makes a certificate for `localhost` wrong.
type Spoil = fn(&mut CertificateParams);

fn identity(spoil: Spoil) -> Identity {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    spoil(&mut params);
    Identity::of(&params)
}

/// An endpoint with that certificate, which trusts the key of `host`.
fn serving(identity: &Identity, host: &CertificateHost) -> Endpoint {
    let dir = tempfile::tempdir().unwrap();
    identity.write(dir.path());
    fs::write(
        dir.path().join("signer.pem"),
        key(512).to_key_pem().unwrap(),
    )
    .unwrap();
    let options = Options::trusting(host.prefix())
        .set("server.tls.certificate", "server.pem")
        .set("server.tls.private_key", "server.key");
    Endpoint::start_in(dir, &options)
}

fn url(endpoint: &Endpoint) -> String {
    format!("https://localhost:{}", endpoint.address.port())
}

fn push(dir: &Path, url: &str, host: &CertificateHost, flags: &[&str]) -> Ended {
    run(
        dir,
        &[
            &[
                "push",
                url,
                "--key",
                "signer.pem",
                "--cert-url",
                &host.url("x.pem"),
            ][..],
            flags,
        ]
        .concat(),
    )
}

#[test]
fn push_says_what_is_wrong_with_a_certificate_and_what_to_do() {
    let host = CertificateHost::serving(&key(512));
    let with_ca = &["--ca", "server.pem"][..];
    let cases: [(Spoil, &[&str], &str); 7] = [
        (
            |_| {},
            &[],
            " was issued by a CA that is not trusted here: name the file of its CA with --ca, or \
                skip verification with --insecure",
        ),
        (
            |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            with_ca,
            " is that of a CA (basicConstraints CA:TRUE), which a server must not present: create \
                one with CA:FALSE",
        ),
        (
            |params| params.not_after = date_time_ymd(2001, 2, 3),
            with_ca,
            " expired at 2001-02-03T00:00:00Z: renew it there",
        ),
        (
            |params| params.not_before = date_time_ymd(2101, 2, 3),
            with_ca,
            " is not valid before 2101-02-03T00:00:00Z: are both clocks right?",
        ),
        (
            |params| {
                params.subject_alt_names =
                    CertificateParams::new(["a.example".to_owned(), "10.0.0.1".to_owned()])
                        .unwrap()
                        .subject_alt_names;
            },
            with_ca,
            " is for a.example, 10.0.0.1 and not for localhost: use one of its names, or make one \
             for that name",
        ),
        (
            |params| params.subject_alt_names.clear(),
            with_ca,
            " has no subjectAltName: make one for localhost",
        ),
        (
            |params| {
                params
                    .extended_key_usages
                    .push(ExtendedKeyUsagePurpose::ClientAuth)
            },
            with_ca,
            " is not for servers: make one with the extended key usage serverAuth",
        ),
    ];
    for (spoil, flags, told) in cases {
        let endpoint = serving(&identity(spoil), &host);
        let refused = push(endpoint.path(), &url(&endpoint), &host, flags);
        refused.assert(
            1,
            &format!(
                "no answer: the certificate of localhost:{}{told}",
                endpoint.address.port()
            ),
        );
        assert_readable(&refused.stdout);
        assert_eq!(endpoint.access_log(), "", "nothing was sent");
        push(endpoint.path(), &url(&endpoint), &host, &["--insecure"]).assert(0, "accepted");
    }
}

#[test]
fn a_trusted_certificate_is_checked_and_the_push_is_accepted() {
    let host = CertificateHost::serving(&key(512));
    let endpoint = serving(&identity(|_| {}), &host);
    let push = |url: &str, flags: &[&str]| push(endpoint.path(), url, &host, flags);
    push(&url(&endpoint), &["--ca", "server.pem"]).assert(0, "accepted");
    // With another name it is somebody else's certificate.
    let other = push(
        &format!("https://{}", endpoint.address),
        &["--ca", "server.pem"],
    );
    other.assert(1, " is for localhost and not for 127.0.0.1: ");
    // Another key with the same issuer's name.
    fs::write(
        endpoint.path().join("other.pem"),
        identity(|_| {}).certificate_pem,
    )
    .unwrap();
    let other = push(&url(&endpoint), &["--ca", "other.pem"]);
    other.assert(
        1,
        " was not signed by the trusted CA of that name, which has another key: name the file",
    );
    for (file, told) in [
        ("none.pem", "cannot read none.pem: No such file"),
        (
            "server.key",
            "--ca server.key: the file contains no PEM certificate",
        ),
    ] {
        push(&url(&endpoint), &["--ca", file]).assert(1, told);
    }
    push(&url(&endpoint), &["--ca", "server.pem", "--insecure"]).assert(2, "cannot be used with");
    // The wrong scheme, in both directions.
    let plain = Endpoint::start(&Options::default());
    let without = push(&format!("https://{}", plain.address), &[]);
    without.assert(
        1,
        "does not answer with TLS: the address of a port without TLS begins with http://",
    );
    assert_readable(&without.stdout);
    push(&format!("http://{}", endpoint.address), &[]).assert(
        1,
        "no answer: the endpoint answers with TLS: its address begins with https://",
    );
}

/// The client's subscription of that endpoint, and a message to it.
fn publish(mns: &LocalMns, endpoint: &str) {
    let attributes = SubscriptionAttributes {
        notify_content_format: ContentFormat::Json,
        ..to(endpoint, NotifyStrategy::BackoffRetry)
    };
    let client = mns.client();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        client.create_topic("T", &Default::default()).await.unwrap();
        client.subscribe("T", "S", &attributes).await.unwrap();
        client.publish("T", "over https", "").await.unwrap();
    });
}

#[test]
fn the_emulator_pushes_over_https_to_a_certificate_that_it_is_given_or_does_not_check() {
    let identity = identity(|_| {});
    let dir = tempfile::tempdir().unwrap();
    identity.write(dir.path());
    let file = dir.path().join("server.pem").display().to_string();
    for (flags, is_delivered) in [
        (&["--ca", &file][..], true),
        (&["--insecure"], true),
        (&[], false),
    ] {
        let mns = LocalMns::start(flags);
        let options = Options::trusting(mns.prefix())
            .set("server.tls.certificate", &file)
            .set(
                "server.tls.private_key",
                &dir.path().join("server.key").display().to_string(),
            );
        let endpoint = Endpoint::start(&options);
        publish(&mns, &url(&endpoint));
        if is_delivered {
            mns.await_count("delivered", 1);
            assert!(endpoint.endpoint_log().contains(": over https\n"));
        } else {
            let told =
                "was issued by a CA that is not trusted here: name the file of its CA with --ca";
            eventually("the failure is logged", || {
                mns.stderr().contains(told).then_some(())
            });
            assert_readable(&mns.stderr());
        }
    }
}

#[test]
fn a_certificate_source_that_is_not_trusted_is_named_with_what_to_do() {
    let (host, _root) =
        CertificateHost::start_tls(Mode::Serve(key(512).certificate_pem().as_bytes().to_vec()));
    let prefix = format!("https://localhost:{}/", host.address.port());
    let endpoint = Endpoint::start(&Options::trusting(prefix.clone()));
    let draft = Draft::new(ContentFormat::Xml, "m", &format!("{prefix}x.pem")).sign(&key(512));
    assert_eq!(endpoint.exchange(&draft.wire()).status, 503);
    let told = format!(
        "the certificate of localhost:{} was issued by a CA that is not trusted here: add the \
         certificate of its CA to this machine's, or name the file that holds it in SSL_CERT_FILE",
        host.address.port()
    );
    eventually("the failure is logged", || {
        endpoint.stderr().contains(&told).then_some(())
    });
    assert_readable(&endpoint.stderr());
    let log = eventually("the refusal is logged", || {
        records(&endpoint.endpoint_log()).pop()
    });
    assert_readable(&log.text);
    // A client of the API reports the same.
    let identity = identity(|_| {});
    let endpoint = serving(&identity, &CertificateHost::serving(&key(512)));
    let mut command = program();
    command.env("MNS_ACCOUNT_ENDPOINT", url(&endpoint));
    command
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "a")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "b");
    let ended = crate::support::finish(command.args(["topic", "create"]), b"");
    ended.assert(
        1,
        "was issued by a CA that is not trusted here: add the certificate of its CA",
    );
    assert_readable(&format!("{ended:?}"));
}

#[test]
fn serve_self_signed_makes_a_pair_once_and_prints_what_senders_need() {
    let host = CertificateHost::serving(&key(512));
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("signer.pem"),
        key(512).to_key_pem().unwrap(),
    )
    .unwrap();
    let options = Options {
        flags: vec!["--self-signed".to_owned()],
        ..Options::trusting(host.prefix())
    };
    let endpoint = Endpoint::start_in(dir, &options);
    let address = format!("https://{}", endpoint.address);
    assert_eq!(
        endpoint.start_lines[0],
        format!("Start Endpoint! Address: {address}")
    );
    let certificate = endpoint.path().join("certs/self-signed.pem");
    let private_key = endpoint.path().join("certs/self-signed.key");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&certificate), mode(&private_key)), (0o644, 0o600));
    for name in ["localhost", "127.0.0.1"] {
        let url = format!("https://{name}:{}", endpoint.address.port());
        push(
            endpoint.path(),
            &url,
            &host,
            &["--ca", "certs/self-signed.pem"],
        )
        .assert(0, "accepted");
        push(endpoint.path(), &url, &host, &[])
            .assert(1, "was issued by a CA that is not trusted here");
    }
    let pem = fs::read(&certificate).unwrap();
    let (printed, dir) = endpoint.stop();
    let host_name = rustix::system::uname()
        .nodename()
        .to_str()
        .unwrap()
        .to_owned();
    let line =
        "Certificate: certs/self-signed.pem, new, self-signed, for localhost, 127.0.0.1, ::1";
    assert!(
        printed.contains(&format!("{line}, {host_name}\n")),
        "{printed}"
    );
    assert!(
        printed.contains(&format!(
            "mns-endpoint push {address} --ca certs/self-signed.pem\n"
        )),
        "{printed}"
    );
    assert!(!printed.contains("It is not for"), "{printed}");
    // The next start uses the same pair, because senders already have the file.
    let elsewhere = options.set("server.listen", "127.0.0.2:0");
    let (printed, dir) = Endpoint::start_in(dir, &elsewhere).stop();
    assert_eq!(fs::read(&certificate).unwrap(), pem);
    assert!(
        printed.contains("Certificate: certs/self-signed.pem, self-signed, for localhost, "),
        "{printed}"
    );
    let told = "It is not for 127.0.0.2: delete certs/self-signed.pem and certs/self-signed.key, \
        and the next start";
    assert!(printed.contains(told), "{printed}");
    // A certificate without its key cannot be used.
    fs::remove_file(&private_key).unwrap();
    let (printed, _dir) = Endpoint::start_in(dir, &elsewhere).stop();
    assert_ne!(fs::read(&certificate).unwrap(), pem);
    assert!(
        printed.contains(", 127.0.0.2\n") && !printed.contains("It is not for"),
        "{printed}"
    );
}

#[test]
fn self_signed_and_a_pair_of_the_configuration_exclude_each_other() {
    let dir = tempfile::tempdir().unwrap();
    Identity::new().write(dir.path());
    let tls = [
        "--set",
        "server.tls.certificate=server.pem",
        "--set",
        "server.tls.private_key=server.key",
    ];
    let serve = |more: &[&str]| {
        run(
            dir.path(),
            &[&["serve", "--listen", "127.0.0.1:0", "--self-signed"], more].concat(),
        )
    };
    serve(&tls).assert(
        78,
        "server.tls.certificate = \"server.pem\": serve --self-signed generates a certificate: \
            leave out either",
    );
    assert!(!dir.path().join("certs").exists());
    fs::write(dir.path().join("certs"), "in the way").unwrap();
    serve(&[]).assert(
        78,
        "--self-signed = \"certs/self-signed.pem\": cannot be written: ",
    );
    let ended = serve(&[]);
    assert_eq!(
        ended.stderr.matches("mend it with: ").count(),
        1,
        "{}",
        ended.stderr
    );
    fs::remove_file(dir.path().join("certs")).unwrap();
    fs::create_dir(dir.path().join("certs")).unwrap();
    fs::write(dir.path().join("certs/self-signed.pem"), "no certificate").unwrap();
    fs::write(dir.path().join("certs/self-signed.key"), "").unwrap();
    serve(&[]).assert(
        78,
        "--self-signed = \"certs/self-signed.pem\": cannot be used: ",
    );
}
