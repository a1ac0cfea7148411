use crate::config::tests::{load, sources};
use crate::config::{Config, Sources};

#[test]
fn the_certificate_of_mns_is_fetched_ahead_only_for_pushes_of_mns() {
    let ahead = |flags: &[(&str, &str)]| {
        load(&[], flags)
            .unwrap()
            .prefetch
            .map(|url| url.to_string())
    };
    assert_eq!(
        ahead(&[]).as_deref(),
        Some(crate::mns::WELL_KNOWN_CERTIFICATE)
    );
    assert_eq!(ahead(&[("signing.prefetch", "false")]), None);
    assert_eq!(
        ahead(&[(
            "signing.certificate_prefixes",
            "https://mns-cert.oss-cn-hangzhou.aliyuncs.com/"
        )]),
        None
    );
    let trusting = Sources {
        trust: vec!["http://127.0.0.1:9001/".to_owned()],
        ..sources(&[], &[])
    };
    assert_eq!(Config::load(&trusting).unwrap().prefetch, None);
}
