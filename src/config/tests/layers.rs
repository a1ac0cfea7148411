use std::path::PathBuf;

use crate::config::Config;
use crate::config::Sources;
use crate::config::layers::read;
use crate::config::raw::RawConfig;
use crate::config::tests::{load, sources};

#[test]
fn the_shipped_file_holds_the_defaults() {
    let shipped = read(&sources(&[], &[])).unwrap();
    assert_eq!(shipped.raw, RawConfig::default());
    assert_eq!(shipped.origin, "config/endpoint.toml");
}

#[test]
fn the_shipped_file_shows_every_key() {
    let shipped = std::fs::read_to_string("config/endpoint.toml").unwrap();
    let debug = format!("{:?}", RawConfig::default());
    let keys = debug
        .split([' ', '{', '('])
        .filter_map(|word| word.strip_suffix(':'));
    let keys: Vec<&str> = keys
        .filter(|key| {
            key.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
        })
        .collect();
    assert!(keys.len() > 25, "{keys:?}");
    for key in keys {
        let is_section =
            |line: &str| line == format!("[{key}]") || line.ends_with(&format!(".{key}]"));
        assert!(
            shipped
                .lines()
                .any(|line| line.starts_with(&format!("{key} = ")) || is_section(line)),
            "{key}"
        );
    }
}

#[test]
fn the_environment_overrides_the_file_and_flags_override_both() {
    let config = load(&[("MNS_ENDPOINT_SERVER__LISTEN", "127.0.0.1:1")], &[]).unwrap();
    assert_eq!(config.listen, ["127.0.0.1:1".parse().unwrap()]);
    let config = load(
        &[("MNS_ENDPOINT_SERVER__LISTEN", "127.0.0.1:1")],
        &[("server.listen", "127.0.0.1:2")],
    )
    .unwrap();
    assert_eq!(config.listen, ["127.0.0.1:2".parse().unwrap()]);
}

#[test]
fn what_kubernetes_injects_is_not_configuration() {
    let injected = [
        ("MNS_ENDPOINT_PORT", "tcp://10.0.0.1:8080"),
        ("MNS_ENDPOINT_SERVICE_HOST", "10.0.0.1"),
        ("MNS_ENDPOINT_SERVICE_PORT", "8080"),
        ("MNS_ENDPOINT_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("MNS_ENDPOINT_PORT_8080_TCP_PROTO", "tcp"),
    ];
    assert!(load(&injected, &[]).is_ok());
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let missing = Sources {
        file: Some(PathBuf::from("config/none.toml")),
        ..Sources::default()
    };
    assert!(
        Config::load(&missing)
            .unwrap_err()
            .to_string()
            .contains("config/none.toml")
    );
}
