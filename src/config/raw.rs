//! The configuration as it is written: the keys and their types.
//!
//! No key has a default here. `config/endpoint.toml` is compiled in as the lowest layer, so if a
//! key is missing from that file, every start fails and names it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::config::names::Names;
use crate::config::values::{ByteRate, Mode, OrOff, Rate, Share, Size, Span, SyncModeText};
use crate::forward;
use crate::journal::{self, Duplicates};
use crate::server::RequestDetail;

/// All keys.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) server: Server,
    pub(super) signing: Signing,
    pub(super) accept: Accept,
    pub(super) logs: Logs,
    pub(super) admin: Admin,
    pub(super) telemetry: Telemetry,
    /// The destinations by name. There is no default: a configuration without such a table forwards
    /// nothing.
    #[serde(default)]
    pub(super) forward: BTreeMap<String, Forward>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forward {
    pub(super) to: String,
    pub(super) ack: AckOf,
    pub(super) answer_timeout: Span,
    pub(super) start: forward::StartAt,
    pub(super) topics: Names,
    pub(super) in_flight: usize,
    pub(super) in_flight_bytes: Size,
    pub(super) max_backlog: OrOff<Size>,
    pub(super) max_backlog_age: OrOff<Duration>,
    pub(super) when_full: forward::WhenFull,
    pub(super) give_up: String,
    pub(super) dead_letters_max: Size,
    pub(super) body: forward::Body,
    pub(super) servers: Names,
    pub(super) stream: String,
    pub(super) create: Create,
    pub(super) replicas: usize,
    pub(super) max_age: OrOff<Duration>,
    pub(super) max_bytes: OrOff<Size>,
    pub(super) duplicate_window: Span,
    pub(super) subject: String,
    pub(super) dedupe: forward::Dedupe,
    pub(super) shards: u32,
    pub(super) user: String,
    pub(super) password_file: PathBuf,
    pub(super) token_file: PathBuf,
    pub(super) creds_file: PathBuf,
    pub(super) ack_timeout: Span,
    pub(super) monitors: Names,
    pub(super) url: String,
    pub(super) secret_files: Names,
    pub(super) timeout: Span,
    pub(super) ca: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) private_key: PathBuf,
}

/// What the 201 depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AckOf {
    Journal,
    Forward,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Create {
    Off,
    Missing,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Telemetry {
    pub(super) format: Format,
    pub(super) otlp: String,
    pub(super) sample: Share,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) listen: String,
    pub(super) token_file: PathBuf,
    pub(super) open: Names,
    pub(super) hosts: Names,
    pub(super) replay_to: Names,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
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

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) certificate: PathBuf,
    pub(super) private_key: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
pub(super) struct Accept {
    pub(super) topic_owners: Names,
    pub(super) topics: Names,
    pub(super) sources: Names,
    pub(super) require_owner: bool,
    pub(super) duplicates: Duplicates,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Logs {
    pub(super) dir: PathBuf,
    pub(super) mode: Mode,
    pub(super) format: Format,
    pub(super) request: RequestDetail,
    pub(super) access_fields: Names,
    pub(super) stdout: Stdout,
    pub(super) sync: SyncModeText,
    pub(super) commit_log: OrOff<Size>,
    pub(super) rotate_size: OrOff<Size>,
    pub(super) keep: OrOff<Duration>,
    pub(super) low_water: Size,
    pub(super) pending_bytes: Size,
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

impl From<Format> for journal::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stdout {
    Access,
    Messages,
    Off,
}
