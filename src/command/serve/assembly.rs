//! The parts of an endpoint, made from the configuration.

use std::sync::Arc;

use anyhow::Context as _;
use jiff::tz::TimeZone;
use tracing::warn;

use crate::clock::{Clock, SystemClock};
use crate::command::serve::running::Certificates;
use crate::config::Config;
use crate::journal::{FileOptions, Hold, Journal, LogFiles, Names, Recovered, Tee};
use crate::quarantine::{self, Quarantine};
use crate::server::{self, Endpoint};

pub(super) fn open_files(config: &Config, port: u16) -> anyhow::Result<LogFiles> {
    let options = FileOptions {
        dir: config.log_dir.clone(),
        port,
        mode: config.log_mode,
    };
    options.demand_files()?;
    Ok(LogFiles::open(options)?)
}

/// Starts the journal. All logs are kept until the hold is dropped.
pub(super) fn start_journal(
    files: LogFiles,
    config: &Config,
    tee: Option<Tee>,
) -> anyhow::Result<(Journal, Recovered, Hold)> {
    Journal::start_held(files, config.journal.clone(), tee)
        .with_context(|| format!("cannot recover the logs in {}", config.log_dir.display()))
}

/// The quarantine. If it cannot be used, pushes are served nevertheless.
pub(super) fn quarantine(config: &Config, port: u16) -> Quarantine {
    let dir = Names {
        dir: config.log_dir.clone(),
        port,
    }
    .quarantine();
    let options = quarantine::Options {
        dir,
        mode: config.log_mode,
        bytes_max: config.quarantine_bytes,
    };
    // Pushes are accepted without a quarantine too, so this does not stop the start.
    Quarantine::start(options).unwrap_or_else(|error| {
        warn!(%error, "Refused requests cannot be kept: see logs.quarantine_bytes");
        Quarantine::off()
    })
}

pub(crate) fn assemble(
    config: &Config,
    certificates: &Certificates,
    journal: Journal,
    quarantine: Quarantine,
    zone: TimeZone,
) -> Endpoint {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Endpoint::new(server::Parts {
        gate: certificates.gate(config, clock.clone()),
        journal,
        settings: config.server.clone(),
        quarantine,
        clock,
        zone,
    })
}
