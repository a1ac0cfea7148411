//! The checks that several sections share.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::ConfigError;
use crate::config::error::impossible;

pub(super) fn positive(key: &'static str, span: Duration) -> Result<Duration, ConfigError> {
    if span.is_zero() {
        Err(impossible(key, "0s", "must be greater than zero"))
    } else {
        Ok(span)
    }
}

pub(super) fn at_least_one(key: &'static str, number: usize) -> Result<usize, ConfigError> {
    if number == 0 {
        Err(impossible(key, "0", "must be at least 1"))
    } else {
        Ok(number)
    }
}

/// Whether a text can be the name of a topic or of a host.
pub(super) fn is_name(text: &str) -> bool {
    // Hosts have dots. Topics have none today, but names that MNS may allow later are accepted.
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.bytes().all(is_allowed)
}

pub(super) fn check_dir(key: &'static str, dir: PathBuf) -> Result<PathBuf, ConfigError> {
    if dir.as_os_str().is_empty() {
        return Err(impossible(
            key,
            "",
            "a directory is needed; \".\" is the working directory",
        ));
    }
    Ok(dir)
}

pub(super) fn check_networks(
    key: &'static str,
    list: &[String],
) -> Result<Vec<ipnet::IpNet>, ConfigError> {
    let parse = |text: &String| {
        // A bare address is a network with one address.
        let address = text.parse::<IpAddr>().map(ipnet::IpNet::from);
        address.or_else(|_| text.parse()).map_err(|_not_a_network| {
            impossible(
                key,
                text,
                "write an address or a network, as in 100.64.0.0/10",
            )
        })
    };
    list.iter().map(parse).collect()
}
