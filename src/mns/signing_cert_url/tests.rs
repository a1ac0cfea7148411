//! Tests of which addresses are admitted.

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
        include_str!("../../../tests/vectors/xml-2017/body.xml").contains(WELL_KNOWN_CERTIFICATE)
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
fn copies_from_plain_http_and_from_tls_have_different_names() {
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
    fn nothing_on_another_host_is_admitted(
        address in concat!(
            "(https?://)?[a-z.@:/%?#\\\\-]{0,40}",
            "(mnstest\\.oss-cn-hangzhou\\.aliyuncs\\.com",
            "|mns-cert\\.oss-[a-z0-9-]{1,20}\\.aliyuncs\\.com)?",
            "[ -~]{0,30}(/[a-z.]{1,8}(\\.pem|\\.crt|))?",
        ),
    ) {
        if let Ok(url) = defaults().admit(address.as_bytes()) {
            // Parses the address independently: scheme, host up to the first slash, file.
            let rest = address.split_once("://").unwrap().1;
            let (host, file) = rest.split_once('/').unwrap();
            let cert_host = |region: &&str| host == format!("mns-cert.oss-{region}.aliyuncs.com");
            let is_regional = REGIONS.iter().any(cert_host);
            let is_known = is_regional || host == "mnstest.oss-cn-hangzhou.aliyuncs.com";
            prop_assert!(is_known, "{}", host);
            prop_assert!(!file.contains(['/', '?', '#', '%', '@', '\\']));
            prop_assert_eq!(url.to_string(), format!("https://{host}/{file}"));
        }
    }
}
