//! The address of a signing certificate, and which addresses may be asked at all.
//!
//! The address comes from an unauthenticated sender. It is compared as raw bytes with prefixes that
//! the operator allows, before any URL library sees it: one exact scheme, host and port, then one
//! file name. Nothing is decoded, folded or resolved, so there is nothing to be smuggled past.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The regions that `{region}` stands for: the names that Alibaba Cloud's OSS uses in its hosts.
///
/// A closed list, since anybody may own a bucket in a region that MNS does not use.
pub const REGIONS: [&str; 45] = [
    "cn-hangzhou",
    "cn-shanghai",
    "cn-nanjing",
    "cn-fuzhou",
    "cn-wuhan-lr",
    "cn-qingdao",
    "cn-beijing",
    "cn-zhangjiakou",
    "cn-huhehaote",
    "cn-wulanchabu",
    "cn-shenzhen",
    "cn-heyuan",
    "cn-guangzhou",
    "cn-chengdu",
    "cn-hongkong",
    "cn-zhengzhou-jva",
    "cn-zhongwei",
    "us-west-1",
    "us-east-1",
    "us-southeast-1",
    "na-south-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ap-south-1",
    "eu-central-1",
    "eu-west-1",
    "me-east-1",
    "me-central-1",
    "cn-hangzhou-finance",
    "cn-shanghai-finance-1",
    "cn-shenzhen-finance-1",
    "cn-beijing-finance-1",
    "cn-hzfinance",
    "cn-szfinance",
    "cn-hzjbp",
    "cn-north-2-gov-1",
    "cn-shanghai-finance-1-pub",
    "cn-hzfinance-pub",
    "cn-beijing-finance-1-pub",
];

/// The certificate's address in every real push that is known: `x-mns-signing-cert-url` of 2023 and
/// `SigningCertURL` of 2017 (`tests/vectors/simplified-2023`, `tests/vectors/xml-2017`, protocol.md
/// 2.3).
pub const WELL_KNOWN_CERTIFICATE: &str =
    "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem";

/// The longest file name of a certificate, in bytes.
const FILE_BYTES_MAX: usize = 128;
/// How the file name of a certificate ends, unless it has no ending. The vendor's rule is the
/// prefix alone, and the file is renamed from time to time (protocol.md 2.3).
const ENDINGS: [&[u8]; 3] = [b"pem", b"crt", b"cer"];

/// The address of a certificate that may be fetched. Made by [`Prefixes::admit`] and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SigningCertUrl {
    prefix: Arc<Prefix>,
    file: String,
}

/// Where certificates may lie: `https://HOST[:PORT]/[PATH/]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prefix {
    secure: bool,
    authority: String,
    path: String,
    /// Whether only this run trusts it.
    is_temporary: bool,
}

/// An address that may not be fetched, and the rule that it broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// Another scheme, host, port or path.
    #[error("the certificate address is not below an allowed prefix")]
    Prefix,
    /// An allowed prefix, and behind it something else than the name of a certificate.
    #[error("the certificate address is below an allowed prefix, but {0}")]
    FileName(FileNameRule),
}

/// What the file name of a certificate must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileNameRule {
    /// There is one.
    #[error("it names no file")]
    Present,
    /// It is one segment of a path.
    #[error("there is more than a file name behind the prefix")]
    OneSegment,
    /// It has 128 bytes at most.
    #[error("its file name has more than {FILE_BYTES_MAX} bytes")]
    Length,
    /// No name climbs, or is hidden.
    #[error("its file name begins with a dot")]
    FirstDot,
    /// Nothing has to be decoded.
    #[error(
        "its file name has other characters than letters, digits, dots, underscores and hyphens"
    )]
    Characters,
    /// It ends in `.pem`, `.crt` or `.cer`, or has no dot.
    #[error("its file name has another ending than .pem, .crt or .cer")]
    Ending,
}

/// A configured prefix that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no certificate prefix: write https://HOST/ or https://HOST:PORT/PATH/, with the \
     final slash"
)]
pub struct PrefixError(String);

/// All prefixes below which certificates may be fetched.
#[derive(Debug, Clone, Default)]
pub struct Prefixes {
    by_text: HashMap<Vec<u8>, Arc<Prefix>>,
}

impl Prefix {
    /// Reads a configured prefix; `{region}` in its host gives one prefix for each region.
    ///
    /// # Errors
    /// A [`PrefixError`] that quotes the text.
    pub fn expand<'a>(
        text: &str,
        extra_regions: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<Self>, PrefixError> {
        if !text.contains("{region}") {
            return Ok(vec![Self::parse(text)?]);
        }
        let regions = REGIONS.into_iter().chain(extra_regions);
        regions
            .map(|region| Self::parse(&text.replace("{region}", region)))
            .collect()
    }

    /// Reads one prefix.
    ///
    /// # Errors
    /// A [`PrefixError`] that quotes the text.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        let wrong = || PrefixError(text.to_owned());
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(wrong()),
        };
        let (authority, path) = rest.split_once('/').ok_or_else(wrong)?;
        if !is_authority(authority) || !(path.is_empty() || path.ends_with('/')) {
            return Err(wrong());
        }
        if !path
            .split_terminator('/')
            .all(|segment| is_file_name(segment.as_bytes()))
        {
            return Err(wrong());
        }
        Ok(Self {
            secure,
            authority: authority.to_owned(),
            path: path.to_owned(),
            is_temporary: false,
        })
    }

    /// The same, trusted by this run only.
    #[must_use]
    pub fn temporary(self) -> Self {
        Self {
            is_temporary: true,
            ..self
        }
    }

    /// Whether the fetch is protected by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}/{}", self.authority, self.path)
    }
}

impl Prefixes {
    /// Those prefixes and no others.
    pub fn new(prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        let by_text = prefixes
            .into_iter()
            .map(|prefix| (prefix.to_string().into_bytes(), Arc::new(prefix)));
        Self {
            by_text: by_text.collect(),
        }
    }

    /// The address whose certificate is kept under this name, if it is one of ours: the reverse of
    /// [`SigningCertUrl::kept_as`].
    #[must_use]
    pub fn admit_kept(&self, name: &str) -> Option<SigningCertUrl> {
        let (host, file) = name.split_once('/')?;
        let (scheme, authority) = match (host.strip_suffix("+tls"), host.strip_suffix(":80")) {
            (Some(authority), _) => ("https", authority),
            (None, Some(authority)) => ("http", authority),
            (None, None) => (if has_port(host) { "http" } else { "https" }, host),
        };
        let url = self
            .admit(format!("{scheme}://{authority}/{}", file.replace('+', "/")).as_bytes())
            .ok()?;
        (url.kept_as() == name).then_some(url)
    }

    /// Checks an address as it was sent.
    ///
    /// An `http://` address on a host whose `https://` prefix is allowed is taken as that https
    /// address: MNS wrote it so in 2016 (protocol.md 2.3), and plain HTTP is never asked for it.
    ///
    /// # Errors
    /// [`NotAllowed`]
    pub fn admit(&self, address: &[u8]) -> Result<SigningCertUrl, NotAllowed> {
        let slash = address
            .iter()
            .rposition(|byte| *byte == b'/')
            .ok_or(NotAllowed::Prefix)?;
        let (prefix, file) = address.split_at(slash.saturating_add(1));
        let prefix = match (self.by_text.get(prefix), prefix.strip_prefix(b"http://")) {
            (Some(prefix), _) => prefix,
            (None, Some(rest)) => self
                .by_text
                .get(&[b"https://", rest].concat())
                .ok_or_else(|| self.broken_rule(address))?,
            (None, None) => return Err(self.broken_rule(address)),
        };
        check_certificate_file(file).map_err(NotAllowed::FileName)?;
        let file = std::str::from_utf8(file)
            .map_err(|_not_ascii| NotAllowed::FileName(FileNameRule::Characters))?;
        Ok(SigningCertUrl {
            prefix: prefix.clone(),
            file: file.to_owned(),
        })
    }

    /// The rule that is broken by an address whose text up to its last slash is no prefix.
    fn broken_rule(&self, address: &[u8]) -> NotAllowed {
        let secure = address
            .strip_prefix(b"http://")
            .map(|rest| [b"https://", rest].concat());
        let is_below = |prefix: &Vec<u8>| {
            address.starts_with(prefix)
                || secure
                    .as_ref()
                    .is_some_and(|secure| secure.starts_with(prefix))
        };
        // A query or a fragment is no part of the path, and the last slash may be in it.
        match self.by_text.keys().any(is_below) {
            true if address.contains(&b'?') || address.contains(&b'#') => {
                NotAllowed::FileName(FileNameRule::Characters)
            }
            true => NotAllowed::FileName(FileNameRule::OneSegment),
            false => NotAllowed::Prefix,
        }
    }
}

impl SigningCertUrl {
    /// Whether the fetch is protected by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.prefix.secure
    }

    /// Whether only this run trusts it: it belongs to a sender of tests, which may have a new key
    /// each time it starts.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.prefix.is_temporary
    }

    /// Whether this is [`WELL_KNOWN_CERTIFICATE`]: no stranger has made it up.
    #[must_use]
    pub fn is_well_known(&self) -> bool {
        let prefix = WELL_KNOWN_CERTIFICATE.strip_suffix(self.file.as_str());
        prefix.is_some_and(|prefix| prefix == self.prefix.to_string())
    }

    /// Host, with the port where one is written.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.prefix.authority
    }

    /// The same file under another host: for networks that reach the source by another name.
    #[must_use]
    pub fn via(&self, authority: &str) -> String {
        let scheme = if self.prefix.secure { "https" } else { "http" };
        format!("{scheme}://{authority}/{}{}", self.prefix.path, self.file)
    }

    /// Where a copy is kept, relative to the certificate directory: `HOST/FILE`. The file keeps its
    /// ending, so that `x.crt` and `x.pem` are kept apart.
    ///
    /// A plain-HTTP address always has its port there and one with TLS never has just that, so that
    /// what came unprotected is not taken for what came over TLS. A path is part of the file's
    /// name.
    #[must_use]
    pub fn kept_as(&self) -> String {
        let Prefix {
            secure,
            authority,
            path,
            is_temporary: _,
        } = self.prefix.as_ref();
        let port = match (secure, has_port(authority)) {
            (true, false) | (false, true) => "",
            (true, true) => "+tls",
            (false, false) => ":80",
        };
        format!("{authority}{port}/{}{}", path.replace('/', "+"), self.file)
    }
}

impl fmt::Display for SigningCertUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.prefix, self.file)
    }
}

fn has_port(authority: &str) -> bool {
    // The colons of an IPv6 address stand in brackets.
    authority
        .rsplit(']')
        .next()
        .is_some_and(|rest| rest.contains(':'))
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let host_is_good = match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let labels = host.split('.').all(|label| !label.is_empty());
            labels
                && host
                    .bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        }
    };
    host_is_good && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Letters, digits, `.`, `_`, `-`; never first a dot, so that no name climbs.
fn check_file_name(name: &[u8]) -> Result<(), FileNameRule> {
    let allowed =
        |byte: &u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    match name.first() {
        None => Err(FileNameRule::Present),
        Some(_) if name.len() > FILE_BYTES_MAX => Err(FileNameRule::Length),
        Some(_) if !name.iter().all(allowed) => Err(FileNameRule::Characters),
        Some(b'.') => Err(FileNameRule::FirstDot),
        Some(_) => Ok(()),
    }
}

fn is_file_name(name: &[u8]) -> bool {
    check_file_name(name).is_ok()
}

fn check_certificate_file(name: &[u8]) -> Result<(), FileNameRule> {
    check_file_name(name)?;
    let ending = name.rsplit(|byte| *byte == b'.').next();
    let has_ending = ending.is_some_and(|ending| ENDINGS.contains(&ending));
    if has_ending || !name.contains(&b'.') {
        Ok(())
    } else {
        Err(FileNameRule::Ending)
    }
}

/// Whether a file of [`SigningCertUrl::kept_as`] may have this name, whose path is joined to it
/// with `+`.
#[must_use]
pub fn is_certificate_file(name: &[u8]) -> bool {
    name.rsplit(|byte| *byte == b'+')
        .next()
        .is_some_and(|file| check_certificate_file(file).is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn defaults() -> Prefixes {
        let templates = [
            "https://mnstest.oss-cn-hangzhou.aliyuncs.com/",
            "https://mns-cert.oss-{region}.aliyuncs.com/",
        ];
        Prefixes::new(
            templates
                .into_iter()
                .flat_map(|text| Prefix::expand(text, std::iter::empty()).unwrap()),
        )
    }

    #[test]
    fn the_addresses_of_the_manual_are_admitted_and_http_becomes_https() {
        for (sent, asked) in [
            (
                "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem",
                "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem",
            ),
            (
                "http://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem",
                "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem",
            ),
            (
                "https://mns-cert.oss-cn-shanghai.aliyuncs.com/x509-2.pem",
                "https://mns-cert.oss-cn-shanghai.aliyuncs.com/x509-2.pem",
            ),
        ] {
            assert_eq!(
                defaults().admit(sent.as_bytes()).unwrap().to_string(),
                asked
            );
        }
    }

    #[test]
    fn only_the_address_of_real_pushes_is_well_known() {
        let is_well_known = |address: &str| {
            defaults()
                .admit(address.as_bytes())
                .unwrap()
                .is_well_known()
        };
        assert!(
            include_str!("../../tests/vectors/xml-2017/body.xml").contains(WELL_KNOWN_CERTIFICATE)
        );
        assert!(is_well_known(WELL_KNOWN_CERTIFICATE));
        assert!(
            is_well_known(&WELL_KNOWN_CERTIFICATE.replace("https:", "http:")),
            "it is fetched with TLS all the same"
        );
        for (part, other) in [
            ("x509_", "x509"),
            ("x509_", ""),
            ("mnstest.oss", "mns-cert.oss"),
        ] {
            assert!(
                !is_well_known(&WELL_KNOWN_CERTIFICATE.replace(part, other)),
                "{other}"
            );
        }
        let plain = Prefix::parse("http://mnstest.oss-cn-hangzhou.aliyuncs.com/").unwrap();
        let address = WELL_KNOWN_CERTIFICATE.replace("https:", "http:");
        assert!(
            !Prefixes::new([plain])
                .admit(address.as_bytes())
                .unwrap()
                .is_well_known(),
            "without TLS"
        );
    }

    #[test]
    fn a_prefix_without_its_final_slash_or_with_anything_odd_is_an_error() {
        for text in [
            "https://a.example",
            "a.example/",
            "https:///",
            "https://a b/",
            "https://A.example/",
            "https://u@a/",
            "https://a.example:0/",
            "https://a.example:99999/",
            "https://a.example/x",
            "https://a.example/../",
            "https://a..example/",
            "https://[::g]/",
        ] {
            assert!(Prefix::parse(text).is_err(), "{text}");
        }
        for text in [
            "http://127.0.0.1:9001/",
            "https://[::1]:8443/",
            "https://a.example/certs/v1/",
            "http://[::1]/",
        ] {
            assert_eq!(Prefix::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_came_over_plain_http_is_kept_apart_from_what_came_over_tls() {
        let prefixes = Prefixes::new(
            [
                "http://a.example/",
                "http://a.example:81/",
                "https://a.example:81/",
                "https://b.example/",
                "https://b.example/c/",
            ]
            .map(|text| Prefix::parse(text).unwrap()),
        );
        let kept = |address: &str| prefixes.admit(address.as_bytes()).unwrap().kept_as();
        assert_eq!(kept("http://a.example/x.pem"), "a.example:80/x.pem");
        assert_eq!(kept("http://a.example:81/x.pem"), "a.example:81/x.pem");
        assert_eq!(kept("https://a.example:81/x.pem"), "a.example:81+tls/x.pem");
        assert_eq!(kept("https://b.example/x.pem"), "b.example/x.pem");
        assert_eq!(kept("https://b.example/c/x.pem"), "b.example/c+x.pem");
        for name in [
            "a.example:80/x.pem",
            "a.example:81/x.pem",
            "a.example:81+tls/x.pem",
            "b.example/x.pem",
            "b.example/c+x.pem",
        ] {
            assert_eq!(prefixes.admit_kept(name).unwrap().kept_as(), name);
        }
        for name in [
            "b.example/x",
            "b.example/x.crt",
            "b.example/c+x.crt.pem",
            "b.example/c+x",
        ] {
            assert_eq!(prefixes.admit_kept(name).unwrap().kept_as(), name);
            assert!(is_certificate_file(
                name.split('/').nth(1).unwrap().as_bytes()
            ));
        }
        for name in [
            "",
            "x.pem",
            "c.example/x.pem",
            "b.example/../x.pem",
            "b.example/x.txt",
            "b.example:81/x.pem",
        ] {
            assert_eq!(prefixes.admit_kept(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn nothing_on_another_host_is_admitted(address in "(https?://)?[a-z.@:/%?#\\\\-]{0,40}(mnstest\\.oss-cn-hangzhou\\.aliyuncs\\.com|mns-cert\\.oss-[a-z0-9-]{1,20}\\.aliyuncs\\.com)?[ -~]{0,30}(/[a-z.]{1,8}(\\.pem|\\.crt|))?") {
            if let Ok(url) = defaults().admit(address.as_bytes()) {
                // An independent reading of the address: scheme, host up to the first slash, file.
                let rest = address.split_once("://").unwrap().1;
                let (host, file) = rest.split_once('/').unwrap();
                let cert_host = |region: &&str| host == format!("mns-cert.oss-{region}.aliyuncs.com");
                let known = host == "mnstest.oss-cn-hangzhou.aliyuncs.com" || REGIONS.iter().any(cert_host);
                prop_assert!(known, "{}", host);
                prop_assert!(!file.contains(['/', '?', '#', '%', '@', '\\']));
                prop_assert_eq!(url.to_string(), format!("https://{host}/{file}"));
            }
        }
    }
}
