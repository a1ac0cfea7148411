//! Opens the endpoint log that a command reads, with the zone of its times.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::{Clock as _, SystemClock};
use crate::command::Configuration;
use crate::command::logs::selection::Selection;
use crate::config::{self, Config};
use crate::disk::RealDisk;
use crate::journal::{Chain, Filter, Names, escaped};
use crate::server::{Paths, RequestDetail};

/// The endpoint log of the port of server.listen in logs.dir.
pub(in crate::command) struct Source {
    pub(in crate::command) names: Names,
    pub(in crate::command) chain: Chain,
    pub(in crate::command) zone: TimeZone,
    /// A served path, for requests whose path is not logged.
    pub(super) first_path: String,
    /// How much of an accepted request is logged at present.
    pub(super) request_detail: RequestDetail,
}

impl Source {
    pub(in crate::command) fn open(configuration: &Configuration) -> anyhow::Result<Self> {
        let config = configuration.load(&[])?;
        let Some(port) = config.listen.first().map(std::net::SocketAddr::port) else {
            bail!("server.listen names no port")
        };
        Self::of(&config, port)
    }

    /// The endpoint log of a port.
    pub(in crate::command) fn of(config: &Config, port: u16) -> anyhow::Result<Self> {
        let (zone, _name) = config::local_zone(std::env::var("TZ").ok().as_deref())?;
        let names = Names {
            dir: config.log_dir.clone(),
            port,
        };
        let numbering = config.journal.numbering();
        let first_path = match &config.server.paths {
            Paths::These(paths) => paths.first().cloned(),
            Paths::Any | Paths::Secret(_) => None,
        };
        Ok(Self {
            request_detail: config.server.request_detail,
            first_path: first_path.unwrap_or_else(|| "/".to_owned()),
            chain: Chain::new(Arc::new(RealDisk), names.clone(), numbering),
            names,
            zone,
        })
    }

    /// Builds the filter, with relative times as of now.
    pub(super) fn filter(&self, selection: &Selection) -> anyhow::Result<Filter> {
        let now = Timestamp::try_from(SystemClock.now()).unwrap_or(Timestamp::UNIX_EPOCH);
        selection.filter(&self.zone, now)
    }

    /// Reports which files are not read, and why.
    pub(in crate::command) fn report_left_out(&self) -> anyhow::Result<()> {
        let left_out = self.chain.left_out();
        for (path, why) in left_out.with_context(|| self.cannot_read())? {
            say(&format!("{}: left out: {why}", path.display()));
        }
        Ok(())
    }

    /// The name of the log, which a state file refers to.
    pub(super) fn log_name(&self) -> String {
        let live = self.chain.live();
        let name = live.file_name().unwrap_or(live.as_os_str());
        name.to_string_lossy().into_owned()
    }

    pub(in crate::command) fn cannot_read(&self) -> String {
        format!("cannot read the logs in {}", self.names.dir.display())
    }
}

/// Prints a line for people on stderr; stdout has the data. A failure to print it is ignored.
pub(in crate::command) fn say(line: &str) {
    writeln!(std::io::stderr(), "{}", escaped(line.as_bytes())).ok();
}
