//! Certificate addresses that are malformed or only look allowed. Each is sent with a push that is
//! otherwise valid, and no certificate may be fetched for it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use bytes::Bytes;
use mns_endpoint::clock::SystemClock;
use mns_endpoint::mns::{ContentFormat, Prefix, Prefixes, SignedRequest, SigningCertUrl};
use mns_endpoint::server::{Reason, Rejection};
use mns_endpoint::trust::{
    CertificateCache, CertificateSource, CertificateStore, Fetching, Policy, Verifier,
};

use crate::support::{Draft, key};

/// The prefixes of a configuration without any, and four unusual ones.
const PREFIXES: [&str; 6] = [
    "https://mnstest.oss-cn-hangzhou.aliyuncs.com/",
    "https://mns-cert.oss-{region}.aliyuncs.com/",
    "https://certs.example:8443/v1/mns/",
    "http://127.0.0.1:9001/",
    "http://[::1]:9001/",
    "https://xn--80ak6aa92e.example/",
];
const GOOD: &str = "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem";

/// Addresses of strangers, and what makes each one look allowed.
const HOSTILE: [(&str, &str); 110] = [
    // Incomplete addresses.
    ("nothing but a slash", "/"),
    ("a blank", " "),
    ("a file alone", "x.pem"),
    ("a rooted file alone", "/x.pem"),
    ("a scheme alone", "https://"),
    ("an empty host", "https:///x.pem"),
    (
        "an empty path",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com",
    ),
    (
        "a prefix without a file",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com/",
    ),
    ("no scheme", "mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem"),
    (
        "the scheme of whoever asks",
        "//mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    // Schemes.
    ("ftp", "ftp://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem"),
    ("a file of this machine", "file:///etc/passwd.pem"),
    (
        "a file of a host",
        "file://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "the certificate itself",
        "data:application/x-pem-file;base64,LS0tLS1CRUdJTg==/x.pem",
    ),
    (
        "javascript",
        "javascript://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "another scheme in front",
        "view-source:https://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "an upper-case scheme",
        "HTTPS://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "a mixed scheme",
        "hTTps://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "one slash",
        "https:/mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "no slashes",
        "https:mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "three slashes",
        "https:///mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "no colon",
        "https//mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "a scheme twice",
        "https://https://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "a scheme with one more letter",
        "httpss://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "https where http is allowed",
        "https://127.0.0.1:9001/x.pem",
    ),
    // User-info.
    (
        "a user",
        "https://user@mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "a user and a password",
        "https://user:password@mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "an empty user",
        "https://@mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "the good host as user",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com@evil.example/x.pem",
    ),
    (
        "the good host as user and port as password",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com:443@evil.example/x.pem",
    ),
    (
        "an encoded at",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com%40evil.example/x.pem",
    ),
    (
        "an at behind a backslash",
        "https://evil.example\\@mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "an at behind a fragment",
        "https://evil.example#@mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "an at behind a query",
        "https://evil.example?@mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    // Ports.
    (
        "the usual port",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com:443/x.pem",
    ),
    (
        "another port",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com:8443/x.pem",
    ),
    (
        "an empty port",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com:/x.pem",
    ),
    (
        "port 0",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com:0/x.pem",
    ),
    (
        "an invalid port",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com:evil.example/x.pem",
    ),
    (
        "an allowed port with a zero",
        "https://certs.example:08443/v1/mns/x.pem",
    ),
    (
        "an allowed port that runs over",
        "https://certs.example:73979/v1/mns/x.pem",
    ),
    (
        "an allowed host without its port",
        "https://certs.example/v1/mns/x.pem",
    ),
    // Suffixes, prefixes and neighbours of the host.
    (
        "a host behind it",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com.evil.example/x.pem",
    ),
    (
        "a top-level domain behind it",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com.evil/x.pem",
    ),
    (
        "letters behind it",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.comevil/x.pem",
    ),
    (
        "a final dot",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com./x.pem",
    ),
    (
        "two final dots",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com../x.pem",
    ),
    (
        "a host in front",
        "https://evil.mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "letters in front",
        "https://evilmnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "the good host as a path",
        "https://evil.example/mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "the good address as a query",
        "https://evil.example/?https://mnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    ("the domain alone", "https://aliyuncs.com/x.pem"),
    (
        "the region alone",
        "https://oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "the bucket as a path",
        "https://oss-cn-hangzhou.aliyuncs.com/mnstest/x.pem",
    ),
    // Buckets that anybody can own.
    (
        "another bucket",
        "https://evil.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "a plural",
        "https://mns-certs.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "a missing hyphen",
        "https://mnscert.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "a hyphen too many",
        "https://mns-test.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "a digit",
        "https://mnstest1.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "an underscore",
        "https://mns_cert.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "rn for m",
        "https://rnnstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "another product",
        "https://mnstest.fc-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "the internal endpoint",
        "https://mnstest.oss-cn-hangzhou-internal.aliyuncs.com/x.pem",
    ),
    (
        "the accelerated endpoint",
        "https://mnstest.oss-accelerate.aliyuncs.com/x.pem",
    ),
    (
        "a dot for the hyphen",
        "https://mnstest.oss.cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "another cloud",
        "https://mnstest.oss-cn-hangzhou.amazonaws.com/x.pem",
    ),
    (
        "another domain of the vendor",
        "https://mnstest.oss-cn-hangzhou.alicdn.com/x.pem",
    ),
    // Regions.
    (
        "another region for a bucket of one",
        "https://mnstest.oss-cn-shanghai.aliyuncs.com/x.pem",
    ),
    (
        "an invalid region",
        "https://mns-cert.oss-cn-nowhere.aliyuncs.com/x.pem",
    ),
    (
        "an empty region",
        "https://mns-cert.oss-.aliyuncs.com/x.pem",
    ),
    (
        "a bucket as a region",
        "https://mns-cert.oss-evil.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "the placeholder itself",
        "https://mns-cert.oss-{region}.aliyuncs.com/x.pem",
    ),
    ("a wildcard", "https://mns-cert.oss-*.aliyuncs.com/x.pem"),
    (
        "a region that climbs",
        "https://mns-cert.oss-cn-hangzhou/../x.aliyuncs.com/x.pem",
    ),
    // Case and writing systems.
    (
        "an upper-case bucket",
        "https://MNSTEST.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "an upper-case domain",
        "https://mnstest.oss-cn-hangzhou.Aliyuncs.com/x.pem",
    ),
    (
        "a Cyrillic letter",
        "https://mnst\u{435}st.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "its Punycode",
        "https://xn--mnstst-9of.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "an allowed IDN in its own letters",
        "https://\u{430}\u{440}\u{440}\u{4cf}\u{435}.example/x.pem",
    ),
    (
        "full-width letters",
        "https://\u{ff4d}nstest.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "an ideographic full stop",
        "https://mnstest\u{3002}oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "a soft hyphen",
        "https://mns\u{ad}test.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "a letter without width",
        "https://mns\u{200b}test.oss-cn-hangzhou.aliyuncs.com/x.pem",
    ),
    (
        "a fraction slash",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com\u{2044}x.pem",
    ),
    (
        "a mark that turns the text",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com/\u{202e}mep.x.pem",
    ),
    // Numbers for hosts.
    (
        "an address that leaves out zeros",
        "http://127.1:9001/x.pem",
    ),
    ("one number", "http://2130706433:9001/x.pem"),
    ("hexadecimal", "http://0x7f000001:9001/x.pem"),
    ("octal", "http://0177.0.0.1:9001/x.pem"),
    ("a zero in front", "http://127.0.0.01:9001/x.pem"),
    ("its name", "http://localhost:9001/x.pem"),
    ("all addresses", "http://0.0.0.0:9001/x.pem"),
    ("metadata of a cloud", "http://100.100.100.200/latest/x.pem"),
    ("IPv6 that is IPv4", "http://[::ffff:127.0.0.1]:9001/x.pem"),
    (
        "the same in hexadecimal",
        "http://[::ffff:7f00:1]:9001/x.pem",
    ),
    ("IPv6 that was IPv4", "http://[::127.0.0.1]:9001/x.pem"),
    ("IPv6 written out", "http://[0:0:0:0:0:0:0:1]:9001/x.pem"),
    ("IPv6 with a zone", "http://[::1%25lo]:9001/x.pem"),
    ("IPv6 without brackets", "http://::1:9001/x.pem"),
    ("IPv6 in a bracket too few", "http://[::1:9001/x.pem"),
    // Further paths.
    (
        "a double slash",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com//x.pem",
    ),
    (
        "a directory",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com/a/x.pem",
    ),
    (
        "a way up",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com/../x.pem",
    ),
    (
        "a way up and down again",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com/a/../x.pem",
    ),
    (
        "a way up from an allowed directory",
        "https://certs.example:8443/v1/mns/../evil/x.pem",
    ),
    (
        "the same directory",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com/./x.pem",
    ),
    (
        "half of an allowed directory",
        "https://certs.example:8443/v1/x.pem",
    ),
    (
        "an allowed directory in other case",
        "https://certs.example:8443/V1/mns/x.pem",
    ),
    (
        "backslashes for slashes",
        "https:\\\\mnstest.oss-cn-hangzhou.aliyuncs.com\\x.pem",
    ),
    (
        "parameters in a path",
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com/;a=b/x.pem",
    ),
];

/// Invalid replacements for `x.pem`, and invalid parts of a file name.
const FILES: [&str; 43] = [
    "",
    ".",
    "..",
    ".pem",
    ".x.pem",
    "..pem",
    "x.txt",
    "x.pem.p7b",
    "x.CER",
    "x.PEM",
    "x.pem~",
    "x.pem/",
    "x.pem.",
    "x.pem?",
    "x.pem?y",
    "x.pem?y=/x.pem",
    "x.pem#",
    "x.pem#y",
    "#/x.pem",
    "?/x.pem",
    "x.pem%00",
    "x.pem%20",
    "x.pem%0d%0a",
    "x%2epem",
    "x%252epem",
    "%78.pem",
    "%2e%2e%2fx.pem",
    "..%2fx.pem",
    "a%2fx.pem",
    "a%5cx.pem",
    "a%c0%afx.pem",
    "..\\x.pem",
    "a\\x.pem",
    "x.pem\0",
    "x\0.pem",
    "x.pem\n",
    "x.pem\r\nHost: evil.example",
    "x\r\n.pem",
    "\tx.pem",
    "x .pem",
    "x+y.pem",
    "x~.pem",
    "\u{435}.pem",
];

/// Serves our certificate and counts the requests.
#[derive(Default)]
struct Source {
    asked: AtomicUsize,
}

impl CertificateSource for Source {
    fn fetch<'a>(&'a self, _url: &'a SigningCertUrl) -> Fetching<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(key(512).certificate_pem().as_bytes().to_vec()) })
    }
}

/// A verifier with an empty cache.
struct Bench {
    verifier: Verifier,
    source: Arc<Source>,
    runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let (dir, source) = (tempfile::tempdir().unwrap(), Arc::new(Source::default()));
        let store = CertificateStore::new(dir.path().to_owned());
        let cache = CertificateCache::new(source.clone(), store, Duration::from_secs(2));
        let prefixes = PREFIXES
            .into_iter()
            .flat_map(|text| Prefix::expand(text, std::iter::empty()).unwrap());
        let policy = Policy {
            max_clock_skew: Some(Duration::from_secs(900)),
            max_age: Some(Duration::from_secs(900)),
            require_content_md5: true,
            min_key_bits: 512,
        };
        let verifier = Verifier::new(
            policy,
            Prefixes::new(prefixes),
            cache,
            Arc::new(SystemClock),
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            verifier,
            source,
            runtime,
            _dir: dir,
        }
    }

    /// The result of a push with this address header. The push is signed with the header as it is.
    fn verify(&self, header: &[u8]) -> Result<(), Reason> {
        let draft = Draft::new(ContentFormat::Xml, "m", GOOD)
            .set("x-mns-signing-cert-url", header)
            .sign(&key(512));
        let mut request = http::Request::post(&draft.target)
            .body(Bytes::from(draft.body.clone()))
            .unwrap();
        for (name, value) in &draft.headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request
                .headers_mut()
                .append(name, http::HeaderValue::from_bytes(value).unwrap());
        }
        let peer = IpAddr::from(Ipv4Addr::LOCALHOST);
        let verified = self.runtime.block_on(async {
            let signed = SignedRequest::of(&request)
                .map_err(|defect| Rejection::Untrusted(defect.into()))?;
            Ok(self.verifier.verify(&signed, peer).await.map(drop)?)
        });
        verified.map_err(|rejection: Rejection| rejection.reason())
    }

    #[track_caller]
    fn refuse(&self, what: &str, header: impl AsRef<[u8]>, reason: Reason) {
        assert_eq!(self.verify(header.as_ref()), Err(reason), "{what}");
        assert_eq!(
            self.source.asked.load(Ordering::SeqCst),
            0,
            "{what}: the source was asked"
        );
    }
}

#[test]
fn an_address_that_only_looks_allowed_is_never_fetched() {
    let bench = Bench::new();
    for (what, address) in HOSTILE {
        bench.refuse(
            &format!("{what}: {address:?}"),
            STANDARD.encode(address),
            Reason::CertificateAddressRefused,
        );
    }
    for file in FILES {
        for prefix in [
            "https://mnstest.oss-cn-hangzhou.aliyuncs.com/",
            "http://127.0.0.1:9001/",
        ] {
            let address = format!("{prefix}{file}");
            bench.refuse(
                &format!("{address:?}"),
                STANDARD.encode(&address),
                Reason::CertificateAddressRefused,
            );
        }
    }
    let long = format!(
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com/{}.pem",
        "x".repeat(125)
    );
    bench.refuse(
        "a name of 129 bytes",
        STANDARD.encode(long),
        Reason::CertificateAddressRefused,
    );
    bench.refuse(
        "64 KiB",
        STANDARD.encode(GOOD.repeat(1300)),
        Reason::CertificateAddressRefused,
    );
}

#[test]
fn characters_around_an_address_are_part_of_it() {
    let bench = Bench::new();
    for around in [
        "\0", "\t", "\n", "\r", "\r\n", " ", "\u{a0}", "\u{feff}", "\"", "'", "<", ">", ",", ";",
        "\\",
    ] {
        for address in [
            format!("{around}{GOOD}"),
            format!("{GOOD}{around}"),
            format!("{around}{GOOD}{around}"),
        ] {
            bench.refuse(
                &format!("{address:?}"),
                STANDARD.encode(&address),
                Reason::CertificateAddressRefused,
            );
        }
        let within = GOOD.replace("oss-cn", &format!("oss{around}-cn"));
        bench.refuse(
            &format!("{within:?}"),
            STANDARD.encode(&within),
            Reason::CertificateAddressRefused,
        );
    }
    let bytes = [GOOD.as_bytes(), b"\xff"].concat();
    bench.refuse(
        "no text",
        STANDARD.encode(bytes),
        Reason::CertificateAddressRefused,
    );
    let wide: Vec<u8> = GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect();
    bench.refuse(
        "UTF-16",
        STANDARD.encode(wide),
        Reason::CertificateAddressRefused,
    );
    bench.refuse(
        "two addresses",
        STANDARD.encode(format!("{GOOD},{GOOD}")),
        Reason::CertificateAddressRefused,
    );
    bench.refuse(
        "base64 twice",
        STANDARD.encode(STANDARD.encode(GOOD)),
        Reason::CertificateAddressRefused,
    );
}

#[test]
fn a_header_that_is_not_base64_yields_no_address() {
    let bench = Bench::new();
    // The last letter before the padding has bits that no encoder sets.
    let padded = STANDARD.encode(format!("{GOOD}x.pem"));
    let (body, padding) = padded.split_at(padded.trim_end_matches('=').len());
    assert_ne!(padding, "");
    let stray = format!(
        "{}{}{padding}",
        &body[..body.len() - 1],
        if body.ends_with('Q') { 'R' } else { '/' }
    );
    let whole = STANDARD.encode(GOOD);
    let (first, rest) = whole.split_at(8);
    for (what, header) in [
        ("the address as it is", GOOD.to_owned()),
        ("nothing", String::new()),
        ("padding alone", "====".to_owned()),
        ("stray bits", stray),
        ("padding within", format!("{first}={rest}")),
        ("padding too much", format!("{padded}=")),
        ("a letter too much", format!("{padded}A")),
        ("a blank within", format!("{first} {rest}")),
        ("a tab within", format!("{first}\t{rest}")),
        ("a comma and another", format!("{whole},{whole}")),
        ("quotes", format!("\"{whole}\"")),
        ("percent signs", padded.replace('=', "%3D")),
        (
            "the alphabet of addresses",
            URL_SAFE.encode("https://evil.example/???>>>~~~.pem"),
        ),
        (
            "hexadecimal behind a mark",
            "0x68747470733a2f2f".to_owned() + "!",
        ),
    ] {
        bench.refuse(what, header, Reason::HeaderUndecodable);
    }
    bench.refuse(
        "a byte that is no ASCII",
        [whole.as_bytes(), b"\xe9"].concat(),
        Reason::HeaderUndecodable,
    );
}

#[test]
fn allowed_addresses_are_fetched_and_the_push_is_accepted() {
    let bench = Bench::new();
    for (number, address) in [
        GOOD,
        "https://mns-cert.oss-cn-shanghai.aliyuncs.com/x509-2.pem",
        "https://certs.example:8443/v1/mns/x.pem",
        "http://127.0.0.1:9001/x.pem",
        "http://[::1]:9001/x.pem",
        "https://xn--80ak6aa92e.example/A-Z_0.9..pem",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(
            bench.verify(STANDARD.encode(address).as_bytes()),
            Ok(()),
            "{address}"
        );
        assert_eq!(
            bench.source.asked.load(Ordering::SeqCst),
            number + 1,
            "{address}"
        );
    }
    let longest = format!(
        "https://mnstest.oss-cn-hangzhou.aliyuncs.com/{}.pem",
        "x".repeat(124)
    );
    assert_eq!(bench.verify(STANDARD.encode(longest).as_bytes()), Ok(()));
    let asked = bench.source.asked.load(Ordering::SeqCst);
    // The same address in other spellings: MNS's own of 2016, and without padding.
    for header in [
        STANDARD.encode(GOOD.replace("https", "http")),
        STANDARD_NO_PAD.encode(GOOD),
    ] {
        assert_eq!(bench.verify(header.as_bytes()), Ok(()));
    }
    assert_eq!(bench.source.asked.load(Ordering::SeqCst), asked);
}
