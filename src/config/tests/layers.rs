use std::path::PathBuf;

use figment::Figment;
use figment::providers::{Format as _, Toml};

use crate::config::Config;
use crate::config::Sources;
use crate::config::layers::read;
use crate::config::raw::RawConfig;
use crate::config::tests::{load, sources};

#[test]
fn the_defaults_are_those_of_the_shipped_file() {
    let (shipped, _) = read(&sources(&[], &[])).unwrap();
    let (without_file, _) = read(&Sources {
        file: Some(PathBuf::from("/dev/null")),
        ..Sources::default()
    })
    .unwrap();
    assert_eq!(shipped.raw, without_file.raw);
    assert_eq!(shipped.origin, "config/endpoint.toml");
}

#[test]
fn a_key_that_the_defaults_lack_stops_every_start_with_its_name() {
    let defaults = std::fs::read_to_string("config/endpoint.toml").unwrap();
    let is_key = |line: &&str| line.starts_with(|letter: char| letter.is_ascii_lowercase());
    let keys: Vec<&str> = defaults.lines().filter(is_key).collect();
    // Guards against a pattern that finds no keys, with which the loop would prove nothing.
    assert!(keys.len() > 45, "{keys:?}");
    for line in keys {
        let error = raw_of(&defaults.replace(&format!("\n{line}\n"), "\n")).unwrap_err();
        let (key, _) = line.split_once(" = ").unwrap();
        let expected = format!("missing field `{key}`");
        // `listen` is a key of two sections: without both, the first is named.
        assert!(error.contains(&expected), "{key}: {error}");
    }
    assert!(raw_of(&defaults).is_ok());
}

/// The keys of a single file, without the defaults.
fn raw_of(toml: &str) -> Result<RawConfig, String> {
    Figment::new()
        .merge(Toml::string(toml))
        .extract()
        .map_err(|error| error.to_string())
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
