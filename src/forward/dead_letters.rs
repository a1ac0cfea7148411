//! What a destination cannot take: `forward_NAME.PORT.dead`, one JSON object a line.
//!
//! A line is on disk before the cursor passes its notification, so nothing leaves the log that is
//! in neither place. It has all that the notification was made of, so that it can be sent again
//! after the log is gone.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::disk::{Disk, Open, parent, read_exact_at, sync_dir};
use crate::forward::{Outgoing, Reason};
use crate::journal::json_text;

/// The file of a destination.
#[derive(Clone)]
pub struct DeadLetters {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    mode: u32,
    bytes_max: u64,
}

/// Why a notification became a dead letter.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The reason that decided.
    pub reason: Reason,
    /// How often it was sent.
    pub attempts: u32,
    /// What the destination said last.
    pub detail: String,
    /// When that was decided.
    pub at: Timestamp,
}

/// A line that was not written.
#[derive(Debug, thiserror::Error)]
pub enum NotBuried {
    /// There is no room for it.
    #[error("{} would grow beyond dead_letters_max", .0.display())]
    Full(PathBuf),
    /// The disk's.
    #[error("cannot write {}: {cause}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl DeadLetters {
    /// The file at `path`, and how large it may become.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, path: PathBuf, mode: u32, bytes_max: u64) -> Self {
        Self {
            disk,
            path,
            mode,
            bytes_max,
        }
    }

    /// Appends a notification, durably.
    ///
    /// # Errors
    /// [`NotBuried`]. Nothing of it is in the file then.
    pub fn bury(&self, outgoing: &Outgoing, verdict: &Verdict) -> Result<(), NotBuried> {
        let mut text = json_text(&line(outgoing, verdict)) + "\n";
        let failed = |cause| NotBuried::Disk {
            path: self.path.clone(),
            cause,
        };
        let mode = self.mode;
        let opened = self.disk.open(&self.path, Open::Append { mode });
        let mut file = opened.map_err(failed)?;
        let len = file.len().map_err(failed)?;
        // A crash may have torn the last line: this one is not to be lost with it.
        if let Some(last) = len.checked_sub(1) {
            let mut byte = [0];
            read_exact_at(file.as_ref(), &mut byte, last).map_err(failed)?;
            if byte != *b"\n" {
                text.insert(0, '\n');
            }
        }
        let added = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if len.saturating_add(added) > self.bytes_max {
            return Err(NotBuried::Full(self.path.clone()));
        }
        let written = file.append(text.as_bytes()).and_then(|()| file.sync());
        if let Err(cause) = written {
            // A torn line would take the next one along.
            drop(file.set_len(len));
            return Err(failed(cause));
        }
        if len == 0 {
            sync_dir(self.disk.as_ref(), parent(&self.path)).map_err(failed)?;
        }
        Ok(())
    }
}

fn line(outgoing: &Outgoing, verdict: &Verdict) -> Value {
    let [owner, topic, subscription, message_id] = outgoing.key.parts();
    let mut object = Map::new();
    object.insert("time".to_owned(), json!(verdict.at.to_string()));
    object.insert("reason".to_owned(), json!(verdict.reason.key()));
    object.insert("attempts".to_owned(), json!(verdict.attempts));
    object.insert("detail".to_owned(), json!(verdict.detail));
    object.insert("position".to_owned(), json!(outgoing.position.to_string()));
    object.insert("sequence".to_owned(), json!(outgoing.sequence));
    let received = outgoing.received.map(|received| received.to_string());
    object.insert("received".to_owned(), json!(received));
    let request_id = outgoing.request_id.as_deref();
    for (name, value) in [
        ("RequestId", request_id),
        ("MessageMD5", Some(&*outgoing.message_md5)),
        ("TopicOwner", Some(owner)),
        ("PublishTime", Some(&*outgoing.publish_time)),
        ("Subscriber", Some(&*outgoing.subscriber)),
        ("MessageTag", Some(&*outgoing.message_tag)),
        ("SubscriptionName", Some(subscription)),
        ("MessageId", Some(message_id)),
        ("Message", Some(&*outgoing.message)),
        ("TopicName", Some(topic)),
    ] {
        let Some(value) = value else { continue };
        // A value that is no text has another name, so that each name has one meaning.
        match std::str::from_utf8(value) {
            Ok(text) => object.insert(name.to_owned(), json!(text)),
            Err(_) => object.insert(
                format!("{name}Base64"),
                json!(BASE64_STANDARD.encode(value)),
            ),
        };
    }
    Value::Object(object)
}
