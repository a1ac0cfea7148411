//! The configuration as it is written: the keys, their kinds and their defaults.
//!
//! `config/endpoint.toml` shows the same with a comment each; a test keeps the two alike.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::config::values::{ByteRate, Mode, Names, OrOff, Rate, Size, Span, SyncModeText};
use crate::journal::{Duplicates, SyncMode};
use crate::mns::DEFAULT_PATH;
use crate::server::RequestDetail;

/// All keys.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawConfig {
    pub(super) server: Server,
    pub(super) signing: Signing,
    pub(super) accept: Accept,
    pub(super) logs: Logs,
    pub(super) admin: Admin,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admin {
    pub(super) listen: String,
    pub(super) token_file: PathBuf,
    pub(super) open: Names,
    pub(super) hosts: Names,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Server {
    pub(super) listen: Names,
    pub(super) paths: Names,
    pub(super) secret_path_file: PathBuf,
    pub(super) health_path: String,
    pub(super) public_url: String,
    pub(super) public_path_prefix: String,
    pub(super) trusted_proxies: Names,
    pub(super) max_connections: usize,
    pub(super) head_timeout: Span,
    pub(super) body_timeout: Span,
    pub(super) idle_timeout: Span,
    pub(super) heads_max: Size,
    pub(super) max_body: Size,
    pub(super) drain_delay: Span,
    pub(super) drain: Span,
    pub(super) tls: Tls,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tls {
    pub(super) certificate: PathBuf,
    pub(super) private_key: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Signing {
    pub(super) certificate_prefixes: Names,
    pub(super) extra_regions: Names,
    pub(super) certificate_dir: PathBuf,
    pub(super) fetch_timeout: Span,
    pub(super) fetch_via: BTreeMap<String, String>,
    pub(super) proxy: String,
    pub(super) prefetch: bool,
    pub(super) max_clock_skew: OrOff<Duration>,
    pub(super) max_age: OrOff<Duration>,
    pub(super) require_content_md5: bool,
    pub(super) min_key_bits: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Accept {
    pub(super) topic_owners: Names,
    pub(super) topics: Names,
    pub(super) sources: Names,
    pub(super) require_owner: bool,
    pub(super) duplicates: Duplicates,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Logs {
    pub(super) dir: PathBuf,
    pub(super) mode: Mode,
    pub(super) format: Format,
    pub(super) request: RequestDetail,
    pub(super) access_fields: Names,
    pub(super) stdout: Stdout,
    pub(super) sync: SyncModeText,
    pub(super) rotate_size: OrOff<Size>,
    pub(super) keep: OrOff<Duration>,
    pub(super) low_water: Size,
    pub(super) refused_body: Size,
    pub(super) refused_rate: OrOff<Rate>,
    pub(super) refused_bytes: OrOff<ByteRate>,
    pub(super) quarantine_bytes: Size,
    pub(super) diagnostics: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stdout {
    Access,
    Off,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: Names::of(["0.0.0.0:8080"]),
            paths: Names::of([DEFAULT_PATH]),
            secret_path_file: PathBuf::new(),
            health_path: "/healthz".to_owned(),
            public_url: String::new(),
            public_path_prefix: String::new(),
            trusted_proxies: Names::default(),
            max_connections: 10_000,
            head_timeout: Span(Duration::from_secs(5)),
            body_timeout: Span(Duration::from_secs(3)),
            idle_timeout: Span(Duration::from_secs(75)),
            heads_max: Size(64 * 1024 * 1024),
            max_body: Size(512 * 1024),
            drain_delay: Span(Duration::ZERO),
            drain: Span(Duration::from_secs(8)),
            tls: Tls::default(),
        }
    }
}

impl Default for Signing {
    fn default() -> Self {
        Self {
            certificate_prefixes: Names::of([
                "https://mnstest.oss-cn-hangzhou.aliyuncs.com/",
                "https://mns-cert.oss-{region}.aliyuncs.com/",
            ]),
            extra_regions: Names::default(),
            certificate_dir: PathBuf::from("certs/signing"),
            fetch_timeout: Span(Duration::from_secs(2)),
            fetch_via: BTreeMap::new(),
            proxy: String::new(),
            prefetch: true,
            max_clock_skew: OrOff(Some(Duration::from_secs(15 * 60))),
            max_age: OrOff(Some(Duration::from_secs(25 * 3600))),
            require_content_md5: true,
            min_key_bits: 512,
        }
    }
}

impl Default for Accept {
    fn default() -> Self {
        Self {
            topic_owners: Names::default(),
            topics: Names::default(),
            sources: Names::default(),
            require_owner: false,
            duplicates: Duplicates::Mark,
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9080".to_owned(),
            token_file: PathBuf::new(),
            open: Names::of(["/healthz", "/readyz"]),
            hosts: Names::default(),
        }
    }
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("logs"),
            mode: Mode(0o640),
            format: Format::Text,
            request: RequestDetail::Full,
            access_fields: Names::default(),
            stdout: Stdout::Access,
            sync: SyncModeText(SyncMode::Always),
            rotate_size: OrOff(Some(Size(100 * 1024 * 1024))),
            keep: OrOff(Some(Duration::from_secs(7 * 24 * 3600))),
            low_water: Size(512 * 1024 * 1024),
            refused_body: Size(4 * 1024),
            refused_rate: OrOff(Some(Rate(50))),
            refused_bytes: OrOff(Some(ByteRate(256 * 1024))),
            quarantine_bytes: Size(64 * 1024 * 1024),
            diagnostics: false,
        }
    }
}
