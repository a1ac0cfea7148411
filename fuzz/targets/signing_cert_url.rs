//! The address of a signing certificate: what is admitted is below an allowed prefix, whoever
//! reads it; and a text as a prefix.
#![no_main]

use http::Uri;
use libfuzzer_sys::fuzz_target;
use mns_endpoint::mns::{Prefix, Prefixes, REGIONS};

/// Those of the default configuration.
const DEFAULTS: [&str; 2] = [
    "https://mnstest.oss-cn-hangzhou.aliyuncs.com/",
    "https://mns-cert.oss-{region}.aliyuncs.com/",
];

thread_local! {
    static ALLOWED: Prefixes = Prefixes::new(
        DEFAULTS.into_iter().flat_map(|text| Prefix::expand(text, std::iter::empty()).unwrap()),
    );
}

fuzz_target!(|bytes: &[u8]| {
    ALLOWED.with(|allowed| check_address(allowed, bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        check_prefix(text);
    }
});

fn check_address(allowed: &Prefixes, address: &[u8]) {
    let Ok(url) = allowed.admit(address) else {
        return;
    };
    // Another reader of addresses must see the same host and no more than a file on it.
    let text = url.to_string();
    let read: Uri = text.parse().unwrap();
    assert_eq!(read.scheme_str(), Some("https"));
    let host = read.authority().unwrap().as_str();
    let is_of_a_region = REGIONS
        .iter()
        .any(|region| host == format!("mns-cert.oss-{region}.aliyuncs.com"));
    assert!(
        is_of_a_region || host == "mnstest.oss-cn-hangzhou.aliyuncs.com",
        "{host}"
    );
    let file = read
        .path_and_query()
        .unwrap()
        .as_str()
        .strip_prefix('/')
        .unwrap();
    assert!(
        is_usual(file) && !file.contains(['/', '?', '#', '%', '@', '\\']),
        "{file}"
    );
    assert_eq!(text, format!("https://{host}/{file}"));
    assert!(url.is_secure() && url.authority() == host);
    // It was asked for as it is, or by plain HTTP.
    let asked = std::str::from_utf8(address).unwrap();
    assert!(
        asked == text || asked.strip_prefix("http://") == text.strip_prefix("https://"),
        "{asked}"
    );
    check_kept_as(&url.kept_as());
}

fn check_prefix(text: &str) {
    let Ok(prefix) = Prefix::parse(text) else {
        return;
    };
    assert_eq!(prefix.to_string(), text);
    let twin = match text.split_once("://").unwrap() {
        ("https", rest) => format!("http://{rest}"),
        (_, rest) => format!("https://{rest}"),
    };
    let twin = Prefix::parse(&twin).unwrap();
    let address = |prefix: &Prefix| format!("{prefix}x.pem");
    let (own, other) = (address(&prefix), address(&twin));
    assert!(own.parse::<Uri>().is_ok(), "{own}");
    let both = Prefixes::new([prefix, twin]);
    let (own, other) = (
        both.admit(own.as_bytes()).unwrap(),
        both.admit(other.as_bytes()).unwrap(),
    );
    assert_ne!(own.kept_as(), other.kept_as());
    check_kept_as(&own.kept_as());
}

/// A copy is in a directory of its host, and nowhere else.
fn check_kept_as(path: &str) {
    let (directory, file) = path.split_once('/').unwrap();
    assert!(
        !directory.is_empty() && !directory.starts_with('.') && !file.starts_with('.'),
        "{path}"
    );
    assert!(
        is_usual(file) && !file.contains(['/', '\\', '\0']),
        "{path}"
    );
}

/// Whether a name ends as certificates do, or has no ending.
fn is_usual(file: &str) -> bool {
    let file = file.rsplit('+').next().unwrap();
    file.rsplit_once('.')
        .is_none_or(|(_, ending)| ["pem", "crt", "cer"].contains(&ending))
}
