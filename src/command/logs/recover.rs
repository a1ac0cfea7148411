//! `logs recover`: appends notifications that were refused by mistake to the endpoint log.

use std::collections::HashSet;
use std::io::{self, BufReader, Write};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::command::Configuration;
use crate::command::logs::open_logs::OpenLogs;
use crate::command::logs::outcome::{FileOutcome, Tally, describe, has_identity};
use crate::command::logs::owner::refuse_other_than_owner;
use crate::command::logs::review::{Judged, Judgement, Reading, Review};
use crate::command::stdout::printer;
use crate::config;
use crate::disk::{RealDisk, regular};
use crate::journal::{self, Log, Names, NotificationKey, Records, escaped};
use crate::mns::Notification;
use crate::quarantine;

/// Append notifications that were refused by mistake.
///
/// serve keeps refused requests in the quarantine, the directory logs.dir/quarantine.PORT. This
/// command checks every one of them again, as serve would with the current configuration, but
/// compares the date of a request with the time at which the request arrived. If a request passes,
/// its notification is appended to the endpoint log as "Notify Message Recovered!", unless the log
/// has it already. The request is deleted from the quarantine once the record is on disk. Requests
/// that do not pass stay in the quarantine. PORT is the port of server.listen. The command writes
/// to the logs of that port, so serve must not run: stop serve, run this command as the user of
/// serve, and start serve again. Exits with 0 if all files were judged, whatever the verdicts.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint logs recover --dry-run    # changes no file of logs.dir, and may run beside serve
  mns-endpoint logs recover --config /etc/mns-endpoint/endpoint.toml
  mns-endpoint logs recover --as-raw     # bodies that cannot be parsed are appended as they are")]
pub(super) struct Recover {
    #[command(flatten)]
    configuration: Configuration,
    /// Show what would be recovered, without changing logs or quarantine.
    #[arg(long)]
    dry_run: bool,
    /// Also recover signed bodies that cannot be parsed: in the record, Message is then the whole
    /// body, and Reason has the remark body_as_message.
    #[arg(long)]
    as_raw: bool,
    /// Trust every signing certificate whose address begins with URL, as with serve --trust.
    #[arg(long, value_name = "URL")]
    trust: Vec<String>,
}

impl Recover {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let config = self.configuration.load_revealed(&self.trust)?;
        let (zone, _name) = config::local_zone(std::env::var("TZ").ok().as_deref())?;
        let Some(port) = config.listen.first().map(std::net::SocketAddr::port) else {
            bail!("server.listen names no port")
        };
        let names = Names {
            dir: config.log_dir.clone(),
            port,
        };
        if !self.dry_run {
            refuse_other_than_owner(&names.dir)?;
        }
        let dir = names.quarantine();
        let paths =
            quarantine::list(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        if paths.is_empty() && !dir.exists() {
            writeln!(
                printer(),
                "{}: there is no such directory; nothing was refused here, or server.listen and \
                 logs.dir are not those of serve",
                escaped(dir.as_os_str().as_encoded_bytes())
            )?;
            return Ok(ExitCode::SUCCESS);
        }
        let reading = if self.as_raw {
            Reading::Raw
        } else {
            Reading::Whole
        };
        let review = Review::new(config.clone(), reading)?;
        let captures = review.read(paths)?;
        // Judging may fetch certificates and take time, so the logs are not opened (and locked)
        // before it ends.
        let judged = review.judge(&captures).await;
        let mut out = printer();
        let is_any_taken = judged
            .iter()
            .any(|(_, judgement)| matches!(judgement, Judgement::Passes(..)));
        // With nothing to recover, the logs need not be opened for writing.
        let tally = if self.dry_run || !is_any_taken {
            show(judged, &names, &mut out)?
        } else {
            let logs = OpenLogs::open(&config, port, zone)?;
            let taken = logs.take_all(judged, &mut out).await;
            // Close them even after a failure, so that what was appended is synced.
            let closed = logs.journal.close().await;
            let tally = taken?;
            closed.context("the last records may not be on disk")?;
            tally
        };
        let would = if self.dry_run { "would be " } else { "" };
        let Tally {
            recovered,
            known,
            refused,
            not_whole,
        } = tally;
        writeln!(
            out,
            "{}: {recovered} {would}recovered, {known} in the log already, {refused} refused \
             again, {not_whole} incomplete",
            escaped(dir.as_os_str().as_encoded_bytes())
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Shows the same results without changing anything, by reading the logs.
fn show(judged: Vec<Judged<'_>>, names: &Names, out: &mut impl Write) -> anyhow::Result<Tally> {
    let identified = |notification: &Notification<'_>| {
        has_identity(notification).then(|| NotificationKey::of(notification.identity()))
    };
    let key = |judgement: &Judgement<'_>| match judgement {
        Judgement::Passes(notification, ..) => identified(notification),
        Judgement::Refused(_) | Judgement::NotWhole => None,
    };
    let wanted = judged
        .iter()
        .filter_map(|(_, judgement)| key(judgement))
        .collect();
    let mut known = in_the_logs(names, &wanted)
        .with_context(|| format!("cannot read {}", names.dir.display()))?;
    let mut tally = Tally::default();
    for (capture, judgement) in judged {
        // `insert` returns `false` also for a second file with the same notification.
        let is_known = key(&judgement).is_some_and(|key| !known.insert(key));
        let outcome = match judgement {
            Judgement::Passes(notification, ..) if is_known => {
                FileOutcome::Known(describe(&notification))
            }
            Judgement::Passes(notification, ..) => FileOutcome::Passes(describe(&notification)),
            Judgement::Refused(rejection) => FileOutcome::Refused(rejection),
            Judgement::NotWhole => FileOutcome::NotWhole,
        };
        tally.add(&capture.path, &outcome, out)?;
    }
    Ok(tally)
}

/// Which of these notifications are in the endpoint log, including its rotated files.
fn in_the_logs(
    names: &Names,
    wanted: &HashSet<NotificationKey>,
) -> io::Result<HashSet<NotificationKey>> {
    let rotated = names
        .rotated_numbers(&RealDisk, Log::Endpoint)?
        .into_iter()
        .map(|number| names.rotated(Log::Endpoint, number));
    let mut known = HashSet::new();
    for path in rotated.chain([names.live(Log::Endpoint)]) {
        let file = match regular::open_to_read(&path) {
            // Another program, such as logrotate, has moved it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        let mut records = Records::new(Log::Endpoint, BufReader::new(file));
        while let Some(record) = records.next_whole()? {
            known.extend(journal::accepted(record).filter(|key| wanted.contains(key)));
        }
    }
    Ok(known)
}
