//! The result for each file in the quarantine, and their totals.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use crate::command::counted::counted;
use crate::journal::escaped;
use crate::mns::Notification;
use crate::report::Report;
use crate::server::Rejection;

/// The result for one file.
pub(super) enum FileOutcome {
    Recovered(String),
    /// With `--dry-run`.
    Passes(String),
    Known(String),
    Refused(Rejection),
    NotWhole,
}

/// The number of files with each result.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) recovered: usize,
    pub(super) known: usize,
    pub(super) refused: usize,
    pub(super) not_whole: usize,
}

impl Tally {
    /// Counts the result of a file, and prints it.
    pub(super) fn add(
        &mut self,
        path: &Path,
        outcome: &FileOutcome,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let count = match outcome {
            FileOutcome::Recovered(_) | FileOutcome::Passes(_) => &mut self.recovered,
            FileOutcome::Known(_) => &mut self.known,
            FileOutcome::Refused(_) => &mut self.refused,
            FileOutcome::NotWhole => &mut self.not_whole,
        };
        *count = count.saturating_add(1);
        writeln!(
            out,
            "{}: {outcome}",
            escaped(path.as_os_str().as_encoded_bytes())
        )
    }
}

impl fmt::Display for FileOutcome {
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
                    "; to append it unparsed: mns-endpoint logs recover --as-raw"
                } else {
                    ""
                })
            }
            Self::NotWhole => f.write_str("incomplete: left unchanged"),
        }
    }
}

/// Whether it has the id that distinguishes it from other notifications. A body that could not be
/// parsed may have none.
pub(super) fn has_identity(notification: &Notification<'_>) -> bool {
    !notification.message_id.is_empty()
}

/// Describes a notification in a few words.
pub(super) fn describe(notification: &Notification<'_>) -> String {
    if !has_identity(notification) {
        let bytes = counted(notification.message.len(), "byte");
        return format!("a body of {bytes} that names no message");
    }
    let [topic, subscription, message] = [
        &notification.topic_name,
        &notification.subscription_name,
        &notification.message_id,
    ]
    .map(|text| escaped(text));
    format!("message {message} of topic {topic} for {subscription}")
}
