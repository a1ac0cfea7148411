//! The facts about an endpoint that do not change while it runs.

use serde_json::{Value, json};

/// The facts about an endpoint that do not change while it runs.
#[derive(Debug, Clone)]
pub struct About {
    /// When it started, RFC 3339 with its offset.
    pub started: String,
    /// The name of the zone of its times.
    pub zone: String,
    /// The address to give to a subscription. A secret path is hidden.
    pub address: String,
    /// The port, which is part of the names of its files.
    pub port: u16,
    /// The format of both logs: `text` or `json`.
    pub format: &'static str,
    /// `logs.request`: `full`, `headers` or `off`.
    pub request: &'static str,
    /// `logs.sync`.
    pub sync: String,
    /// `admin.replay_to`.
    pub replay_to: Vec<String>,
}

impl About {
    pub(super) fn json(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "started": self.started,
            "zone": self.zone,
            "address": self.address,
            "port": self.port,
            "format": self.format,
            "request": self.request,
            "sync": self.sync,
            "replay_to": self.replay_to,
        })
    }
}
