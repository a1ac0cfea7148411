//! One table: its keys by their full names, and the checks that several kinds share.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;

use crate::config::error::impossible;
use crate::config::{ConfigError, raw};

/// Keys that only a NATS destination has.
pub(super) const NATS_KEYS: [&str; 16] = [
    "servers",
    "stream",
    "create",
    "replicas",
    "max_age",
    "max_bytes",
    "duplicate_window",
    "subject",
    "dedupe",
    "shards",
    "user",
    "password_file",
    "token_file",
    "creds_file",
    "ack_timeout",
    "monitors",
];
/// Keys that only an HTTP destination has.
pub(super) const HTTP_KEYS: [&str; 3] = ["url", "secret_files", "timeout"];

/// A table `[forward.NAME]`.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) name: &'a str,
    pub(super) raw: &'a raw::Forward,
    /// The keys that a layer above the defaults sets.
    pub(super) set: &'a BTreeSet<String>,
}

impl Table<'_> {
    fn key(&self, key: &str) -> Cow<'static, str> {
        format!("forward.{}.{key}", self.name).into()
    }

    pub(super) fn impossible(&self, key: &str, value: &str, problem: &str) -> ConfigError {
        impossible(self.key(key), value, problem)
    }

    pub(super) fn is_set(&self, key: &str) -> bool {
        self.set.contains(self.key(key).as_ref())
    }

    /// Refuses keys of the other kind. They would have no effect, so whoever wrote one meant
    /// something else.
    pub(super) fn refuse_others(&self, keys: &[&str]) -> Result<(), ConfigError> {
        match keys.iter().find(|key| self.is_set(key)) {
            Some(key) => Err(self.impossible(
                key,
                "",
                &format!("there is no such key for to = {:?}", self.raw.to),
            )),
            None => Ok(()),
        }
    }

    pub(super) fn demand_time(&self, key: &str, span: Duration) -> Result<(), ConfigError> {
        if span.is_zero() {
            return Err(self.impossible(key, "0s", "must be greater than zero"));
        }
        Ok(())
    }
}

pub(super) fn path(path: &Path) -> Option<PathBuf> {
    (!path.as_os_str().is_empty()).then(|| path.to_owned())
}

pub(super) fn bytes(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// Whether it is a URL with one of these schemes and a host. A user in it is not allowed, because
/// logs and messages show the URL.
pub(super) fn is_address(text: &str, schemes: &[&str]) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        uri.scheme_str().is_some_and(|it| schemes.contains(&it))
            && uri.host().is_some_and(|host| !host.is_empty())
            && !uri.authority().is_some_and(|it| it.as_str().contains('@'))
    })
}
