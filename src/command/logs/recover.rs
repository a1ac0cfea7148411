//! `logs recover`: what was refused by mistake goes into the endpoint log after all.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io::{self, BufReader, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use jiff::tz::TimeZone;

use crate::clock::{Clock as _, SystemClock};
use crate::command::Configuration;
use crate::command::logs::review::{Capture, Reading, Review, Verdict};
use crate::command::stdout::printer;
use crate::config::{self, Config};
use crate::disk::regular;
use crate::journal::{
    self, Duplicates, Entry, FileOptions, FileStorage, Format, Journal, Level, Log, Names,
    NotificationKey, OpenError, Place, RECOVERED, Record, Records, Settings, Stamp, SyncMode,
    escaped,
};
use crate::mns::Notification;
use crate::quarantine::{self, Note};
use crate::report::Report;
use crate::server::Rejection;

/// Take back what was refused by mistake.
///
/// Judges every request in quarantine again, as serve would with the configuration of today, but
/// its date as of when it came. What passes is appended to the endpoint log as "Notify Message
/// Recovered!", unless the log has it already, and leaves the quarantine once that is on disk; what
/// does not pass stays there. Writes to the logs of the port of server.listen, so serve must not
/// run: stop it, run this as its user, and start it again. Ends with 0 where all files were judged.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint logs recover --dry-run    (changes no file of logs.dir, and may run beside serve)
  mns-endpoint logs recover --config /etc/mns-endpoint/endpoint.toml
  mns-endpoint logs recover --as-raw     (bodies that cannot be read go into the log as they are)")]
pub(super) struct Recover {
    #[command(flatten)]
    configuration: Configuration,
    /// Show what would be recovered; leave logs and quarantine as they are.
    #[arg(long)]
    dry_run: bool,
    /// Also take back bodies that MNS signed and that cannot be read: Message is then the whole
    /// body, and Reason says so.
    #[arg(long)]
    as_raw: bool,
    /// Trust certificates under URL, as with serve --trust.
    #[arg(long, value_name = "URL")]
    trust: Vec<String>,
}

/// The remark on a record whose message is the whole body, because that could not be read.
const AS_RAW: &str = "body_as_message";

/// What came of one file.
enum Outcome {
    Recovered(String),
    /// With --dry-run.
    Passes(String),
    Known(String),
    Refused(Rejection),
    NotWhole,
}

type Judged<'r> = (&'r Capture, Verdict<'r>);

/// How many came to what.
#[derive(Default)]
struct Tally {
    recovered: usize,
    known: usize,
    refused: usize,
    not_whole: usize,
}

/// The logs, open for writing.
struct Target {
    journal: Journal,
    format: Format,
    zone: TimeZone,
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
        // This may ask for certificates and takes its time, so the logs are not held meanwhile.
        let judged = review.judge(&captures).await;
        let mut out = printer();
        let is_any_taken = judged
            .iter()
            .any(|(_, verdict)| matches!(verdict, Verdict::Passes(..)));
        let tally = if self.dry_run || !is_any_taken {
            show(judged, &names, &mut out)?
        } else {
            let target = Target::open(&config, port, zone)?;
            let taken = target.take_all(judged, &mut out).await;
            let closed = target.journal.close().await;
            let tally = taken?;
            closed.context("the last records are not on disk for sure")?;
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
             again, {not_whole} not whole",
            escaped(dir.as_os_str().as_encoded_bytes())
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Target {
    fn open(config: &Config, port: u16, zone: TimeZone) -> anyhow::Result<Self> {
        let options = FileOptions {
            dir: config.log_dir.clone(),
            port,
            mode: config.log_mode,
        };
        options.demand_files()?;
        let storage = FileStorage::open(options).map_err(|error| match error {
            OpenError::Locked { .. } => anyhow!(
                "serve writes to the logs of port {port}: stop it, run this again, and start it; \
                 MNS sends again what comes meanwhile"
            ),
            error @ (OpenError::Unwritable { .. }
            | OpenError::NotAFile { .. }
            | OpenError::NotADirectory { .. }) => error.into(),
        })?;
        // Whatever serve is told: what leaves the quarantine is on disk, and nothing is there
        // twice.
        let settings = Settings {
            sync: SyncMode::Always,
            duplicates: Duplicates::Drop,
            ..config.journal.clone()
        };
        let started = Journal::start(Box::new(storage), settings, None);
        let (journal, _torn) = started
            .with_context(|| format!("cannot recover the logs in {}", config.log_dir.display()))?;
        Ok(Self {
            journal,
            format: config.server.format,
            zone,
        })
    }

    async fn take_all(
        &self,
        judged: Vec<Judged<'_>>,
        out: &mut impl Write,
    ) -> anyhow::Result<Tally> {
        let mut tally = Tally::default();
        for (capture, verdict) in judged {
            let outcome = match verdict {
                Verdict::Passes(notification, note, reading) => {
                    self.take(&notification, note, reading).await?
                }
                Verdict::Refused(rejection) => Outcome::Refused(rejection),
                Verdict::NotWhole => Outcome::NotWhole,
            };
            if matches!(outcome, Outcome::Recovered(_) | Outcome::Known(_)) {
                remove(&capture.path)
                    .with_context(|| format!("cannot remove {}", capture.path.display()))?;
            }
            tally.tell(&capture.path, &outcome, out)?;
        }
        Ok(tally)
    }

    /// Appends a notification, unless the log has it; it is on disk when this returns.
    async fn take(
        &self,
        notification: &Notification<'_>,
        note: &Note,
        reading: Reading,
    ) -> anyhow::Result<Outcome> {
        let before = self.journal.duplicates();
        let appended = self
            .journal
            .append(self.entry(notification, note, reading))
            .await;
        appended.context("nothing more can be appended; what was told as recovered is on disk")?;
        let shown = shown(notification);
        let is_new = self.journal.duplicates() == before;
        Ok(if is_new {
            Outcome::Recovered(shown)
        } else {
            Outcome::Known(shown)
        })
    }

    /// A record and no access line: nobody was answered.
    fn entry(&self, notification: &Notification<'_>, note: &Note, reading: Reading) -> Entry {
        let (reason, level) = match reading {
            Reading::Whole => (note.reason.clone(), Level::Info),
            Reading::Raw => (format!("{},{AS_RAW}", note.reason), Level::Warning),
        };
        let came = humantime::format_rfc3339_millis(note.came).to_string();
        let peer = note.peer.to_string();
        let mut attributes = notification.attributes().to_vec();
        attributes.extend([
            ("Reason", reason.as_bytes()),
            ("Came", came.as_bytes()),
            ("Peer", peer.as_bytes()),
        ]);
        let record = Record {
            stamp: &Stamp::new(SystemClock.now(), &self.zone),
            level,
            place: Place::Recovered,
            title: Some(RECOVERED),
            attributes: &attributes,
            request: None,
        };
        let identity = has_identity(notification)
            .then(|| self.journal.identify(notification.identity(), 0))
            .flatten();
        let mut entry = Entry {
            identity,
            ..Entry::default()
        };
        record.write(&mut entry.endpoint, self.format);
        entry
    }
}

/// The same without a change: what passes is looked up in the logs as they are.
fn show(judged: Vec<Judged<'_>>, names: &Names, out: &mut impl Write) -> anyhow::Result<Tally> {
    let identified = |notification: &Notification<'_>| {
        has_identity(notification).then(|| NotificationKey::of(notification.identity()))
    };
    let key = |verdict: &Verdict<'_>| match verdict {
        Verdict::Passes(notification, ..) => identified(notification),
        Verdict::Refused(_) | Verdict::NotWhole => None,
    };
    let wanted = judged
        .iter()
        .filter_map(|(_, verdict)| key(verdict))
        .collect();
    let mut known = in_the_logs(names, &wanted)
        .with_context(|| format!("cannot read {}", names.dir.display()))?;
    let mut tally = Tally::default();
    for (capture, verdict) in judged {
        let is_known = key(&verdict).is_some_and(|key| !known.insert(key));
        let outcome = match verdict {
            Verdict::Passes(notification, ..) if is_known => Outcome::Known(shown(&notification)),
            Verdict::Passes(notification, ..) => Outcome::Passes(shown(&notification)),
            Verdict::Refused(rejection) => Outcome::Refused(rejection),
            Verdict::NotWhole => Outcome::NotWhole,
        };
        tally.tell(&capture.path, &outcome, out)?;
    }
    Ok(tally)
}

/// What another user appends and makes, `serve` could not open after.
fn refuse_other_than_owner(dir: &Path) -> anyhow::Result<()> {
    let owner = match fs::metadata(dir) {
        Ok(found) => found.uid(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot look at {}", dir.display()));
        }
    };
    let user = rustix::process::geteuid().as_raw();
    if user != owner {
        bail!(
            "{} belongs to the user {owner}, and this is {user}, whose files serve could not open: \
             run it with sudo -u '#{owner}'",
            dir.display()
        );
    }
    Ok(())
}

/// Takes a file out of the quarantine, unless a `serve` did so since it was read.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Which of these notifications the endpoint log tells of, rotated files included.
fn in_the_logs(
    names: &Names,
    wanted: &HashSet<NotificationKey>,
) -> io::Result<HashSet<NotificationKey>> {
    let rotated = names
        .rotated_numbers(Log::Endpoint)?
        .into_iter()
        .map(|number| names.rotated(Log::Endpoint, number));
    let mut known = HashSet::new();
    for path in rotated.chain([names.live(Log::Endpoint)]) {
        let file = match regular::open_to_read(&path) {
            // Somebody has moved it away, as logrotate does.
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

/// Whether it has the id that tells it from others. A body that cannot be read may name none.
fn has_identity(notification: &Notification<'_>) -> bool {
    !notification.message_id.is_empty()
}

fn shown(notification: &Notification<'_>) -> String {
    if !has_identity(notification) {
        let bytes = notification.message.len();
        return format!("a body of {bytes} bytes that names no message");
    }
    let [topic, subscription, message] = [
        &notification.topic_name,
        &notification.subscription_name,
        &notification.message_id,
    ]
    .map(|text| escaped(text));
    format!("message {message} of topic {topic} for {subscription}")
}

impl Tally {
    fn tell(&mut self, path: &Path, outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
        let count = match outcome {
            Outcome::Recovered(_) | Outcome::Passes(_) => &mut self.recovered,
            Outcome::Known(_) => &mut self.known,
            Outcome::Refused(_) => &mut self.refused,
            Outcome::NotWhole => &mut self.not_whole,
        };
        *count = count.saturating_add(1);
        writeln!(
            out,
            "{}: {outcome}",
            escaped(path.as_os_str().as_encoded_bytes())
        )
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recovered(shown) => write!(f, "recovered: {shown}"),
            Self::Passes(shown) => write!(f, "would be recovered: {shown}"),
            Self::Known(shown) => write!(f, "in the log already: {shown}"),
            Self::Refused(rejection) => {
                let report = escaped(Report(rejection).to_string().as_bytes());
                write!(f, "refused again, {}: {report}", rejection.reason().key())?;
                let is_unreadable = matches!(rejection, Rejection::Invalid(_));
                f.write_str(if is_unreadable {
                    "; take it back as it is with logs recover --as-raw"
                } else {
                    ""
                })
            }
            Self::NotWhole => f.write_str("not whole: left as it is"),
        }
    }
}
