//! The endpoint log whose notifications are forwarded, and the files of each destination beside it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;

use crate::command::Configuration;
use crate::config::Config;
use crate::disk::RealDisk;
use crate::forward::{ConditionFile, CursorFile, DeadLetters, Progress, Settings};
use crate::journal::{self, Chain, FileOptions, Horizon, LogFiles, Names, OpenError, Position};

/// Which log.
#[derive(Debug, Clone, Args)]
pub(super) struct LogArguments {
    #[command(flatten)]
    configuration: Configuration,
    /// The port in the names of the logs [default: that of server.listen].
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

/// The log of one port, under a configuration.
pub(super) struct ForwardedLog {
    pub(super) config: Config,
    pub(super) names: Names,
}

impl LogArguments {
    pub(super) fn open(&self) -> anyhow::Result<ForwardedLog> {
        let config = self.configuration.load(&[])?;
        let listen = config.listen.first().map(std::net::SocketAddr::port);
        let Some(port) = self.port.or(listen) else {
            bail!("server.listen names no port")
        };
        let names = Names {
            dir: config.log_dir.clone(),
            port,
        };
        Ok(ForwardedLog { config, names })
    }
}

impl ForwardedLog {
    /// The destination of this name, or all destinations without a name.
    pub(super) fn destinations(&self, name: Option<&str>) -> anyhow::Result<Vec<&Settings>> {
        let all = self.config.forward.iter();
        let is_wanted = |settings: &&Settings| name.is_none_or(|name| name == settings.name);
        let wanted: Vec<&Settings> = all.filter(is_wanted).collect();
        if wanted.is_empty() {
            let name = name.unwrap_or("NAME");
            bail!("the configuration has no table [forward.{name}]");
        }
        Ok(wanted)
    }

    /// The destination of this name.
    pub(super) fn destination(&self, name: &str) -> anyhow::Result<&Settings> {
        let wanted = self.destinations(Some(name))?;
        wanted.first().copied().context("no destination was found")
    }

    /// Fails if there is no log of this port, because a command must not create one.
    pub(super) fn demand_files(&self) -> anyhow::Result<()> {
        let (dir, port) = (self.names.dir.display(), self.names.port);
        let found = Names::ports(&RealDisk, &self.names.dir).with_context(|| {
            format!("cannot read {dir}: name the directory of the logs with --log-dir")
        })?;
        if found.contains(&port) {
            return Ok(());
        }
        let found: Vec<String> = found.iter().map(u16::to_string).collect();
        match found.is_empty() {
            true => bail!("no logs are in {dir}: name the directory of the logs with --log-dir"),
            false => bail!(
                "no logs of port {port} are in {dir}, but of {}: name one with --port",
                found.join(", ")
            ),
        }
    }

    /// Locks the log against other processes, and completes it from the commit log as a start does.
    /// Dropping the result unlocks it.
    pub(super) fn lock(&self) -> anyhow::Result<LogFiles> {
        let (dir, port) = (&self.names.dir, self.names.port);
        let options = || FileOptions {
            dir: dir.clone(),
            port,
            mode: self.config.log_mode,
        };
        // Refuse anything but a regular file first: to open a pipe would wait for its other end
        // (POSIX).
        options().demand_files()?;
        let open = || {
            LogFiles::open(options()).map_err(|error| match error {
                OpenError::Locked { .. } => anyhow!(
                    "serve writes to the logs of port {port}, and moves this cursor itself: stop \
                     it, run this again, and start it; MNS sends again what comes meanwhile"
                ),
                error => error.into(),
            })
        };
        // A new cursor at the end of the log must also be after the records that only the commit
        // log has so far.
        let repaired = journal::repair(open()?);
        repaired.with_context(|| format!("cannot complete the logs of port {port}"))?;
        open()
    }

    pub(super) fn chain(&self) -> Chain {
        let numbering = self.config.journal.numbering();
        Chain::new(Arc::new(RealDisk), self.names.clone(), numbering)
    }

    pub(super) fn cursor(&self, settings: &Settings) -> CursorFile {
        let destination = settings.destination.identity();
        let mode = self.config.log_mode;
        CursorFile::new(
            Arc::new(RealDisk),
            &self.names,
            &settings.name,
            destination,
            mode,
        )
    }

    pub(super) fn condition(&self, settings: &Settings) -> ConditionFile {
        let destination = settings.destination.identity();
        let path = self.names.condition(&settings.name);
        ConditionFile::new(Arc::new(RealDisk), path, destination, self.config.log_mode)
    }

    pub(super) fn dead_letters(&self, settings: &Settings) -> DeadLetters {
        let path = self.names.dead_letters(&settings.name);
        let bytes_max = settings.dead_letters_bytes_max;
        DeadLetters::new(Arc::new(RealDisk), path, self.config.log_mode, bytes_max)
    }
}

/// How many bytes of a log follow a cursor; `None` if its place is not in the log.
pub(super) fn bytes_behind(chain: &Chain, progress: &Progress) -> std::io::Result<Option<u64>> {
    match progress.saved.trail.first() {
        Some(place) => chain.bytes_after(place, &Horizon::FileEnd),
        // The cursor has passed nothing yet.
        None => chain.bytes(&Horizon::FileEnd).map(Some),
    }
}

/// A place as text: a file and an offset, in the form that `--to` and `--from` accept.
pub(super) fn place_text(chain: &Chain, place: &Position) -> String {
    match chain.file_name(place) {
        Ok(Some(name)) => format!("{name}:{}", place.offset()),
        Ok(None) | Err(_) => format!("byte {} of a file that is gone", place.offset()),
    }
}

/// The name of a file of the log, without its directory, and the offset after the colon.
pub(super) fn file_and_offset(text: &str) -> Option<(String, Option<u64>)> {
    let name = Path::new(text).file_name()?.to_str()?;
    let (file, offset) = match name.split_once(':') {
        Some((file, offset)) => (file, Some(offset.parse().ok()?)),
        None => (name, None),
    };
    let is_log = file.starts_with("endpoint_log.");
    is_log.then(|| (file.to_owned(), offset))
}
