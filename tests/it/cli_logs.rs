//! `logs verify` as a terminal shows it.

use std::fs;

use mns_endpoint::mns::ContentFormat;

use crate::support::{CertificateHost, Draft, Endpoint, Options, key, run};

#[test]
fn verify_reads_all_files_of_a_port_and_tells_what_is_broken_and_what_a_crash_cut_off() {
    let host = CertificateHost::serving(&key(512));
    let options = Options::trusting(host.prefix()).set("logs.rotate_size", "8KiB");
    let endpoint = Endpoint::start(&options);
    let (address, live) = (endpoint.address.to_string(), endpoint.log_path("endpoint_log"));
    let draft = Draft::new(ContentFormat::Xml, "two\n\nlines", &host.url("x.pem")).sign(&key(512));
    for _ in 0..20 {
        assert_eq!(endpoint.exchange(&draft.wire()).status, 201);
    }
    assert_eq!(endpoint.exchange(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n").status, 404);
    let verify = |dir: &std::path::Path| run(dir, &["logs", "verify", "--log-dir", "logs", "--listen", &address]);
    // Beside a running one.
    let told = verify(endpoint.path());
    told.assert(0, ", all whole");
    assert!(!told.stdout.contains("broken") && told.stdout.matches("all whole").count() >= 5, "{}", told.stdout);
    let counted = |what: &str| -> usize {
        let files = told.stdout.lines().filter(|line| line.contains("/endpoint_log."));
        let counts = files.filter_map(|line| line.split(", ").find_map(|part| part.strip_suffix(what)));
        counts.map(|count| count.parse::<usize>().unwrap()).sum()
    };
    assert_eq!((counted(" accepted"), counted(" duplicates")), (1, 19));
    // A crash's end is told before the start that cuts it off, and after.
    let dir = endpoint.kill();
    let whole = fs::read(&live).unwrap();
    fs::write(&live, [&whole[..], b"[2026-11"].concat()).unwrap();
    verify(dir.path()).assert(0, "8 bytes of a record that is being written, or that a crash left");
    let again = Endpoint::start_in(dir, &options.set("server.listen", &address));
    let dir = again.stop().1;
    verify(dir.path()).assert(0, ".torn: 8 bytes that crashes cut off");
    // One byte.
    let first = dir.path().join(format!("logs/endpoint_log.{}.1", address.split(':').nth(1).unwrap()));
    let mut bytes = fs::read(&first).unwrap();
    let place = bytes.len() / 2;
    bytes[place] = 0;
    fs::write(&first, bytes).unwrap();
    let told = verify(dir.path());
    told.assert(1, "NOT all whole");
    told.assert(1, "is broken: it holds control characters");
    // A rotated file is finished: what its end lacks is damage, at a record's end too.
    let second = fs::read(first.with_extension("2")).unwrap();
    let whole = second.strip_suffix(b"\n").unwrap();
    let outcome = whole.windows(2).rposition(|pair| pair == b"\n\n").unwrap() + 2;
    for (end, problem) in [(whole.len(), "its end is missing"), (outcome, "its outcome is missing behind it")] {
        fs::write(&first, &whole[..end]).unwrap();
        verify(dir.path()).assert(1, problem);
    }
    verify(tempfile::tempdir().unwrap().path()).assert(1, "cannot read logs");
}
