//! A request and its answer, as the inspector keeps them.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::journal::Outcome;
use crate::server::reason::Reason;

/// A request and its answer.
#[derive(Debug)]
pub struct Summary {
    /// When the first byte of the request arrived.
    pub came: SystemTime,
    /// The kind of outcome.
    pub outcome: Outcome,
    /// The status of the answer.
    pub status: u16,
    /// Why the request was refused, or what is unusual about it.
    pub reason: Option<Reason>,
    /// Whether MNS signed the request, as far as that was checked.
    pub is_signed: bool,
    /// The time from the first byte of the request to its answer.
    pub took: Duration,
    /// The address of the sender.
    pub peer: SocketAddr,
    /// The length of its body, in bytes; 0 if it was not read.
    pub body_bytes: usize,
    /// The contents of the notification, if the request was verified.
    pub said: Option<Said>,
    /// The request, with the path prefix put back that a proxy removed: request line, headers with
    /// names in lower case, an empty line, body. A body that is too large to keep is left out.
    pub request: Box<[u8]>,
    /// The offset of the body in `request`.
    pub body_at: usize,
}

/// The contents of a verified notification.
#[derive(Debug)]
pub struct Said {
    /// The topic, the subscription, the tag, the message id and the beginning of the message,
    /// concatenated.
    pub(super) text: Box<[u8]>,
    /// The end offsets of the five parts of `text`.
    pub(super) ends: [u32; 5],
    /// The length of the message, in bytes.
    pub message_bytes: usize,
}

impl Said {
    fn part(&self, number: usize) -> &[u8] {
        let end = |number: usize| {
            let end = self.ends.get(number).copied().unwrap_or_default();
            usize::try_from(end).unwrap_or_default()
        };
        let start = number.checked_sub(1).map_or(0, end);
        self.text.get(start..end(number)).unwrap_or_default()
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &[u8] {
        self.part(0)
    }

    /// The subscription.
    #[must_use]
    pub fn subscription(&self) -> &[u8] {
        self.part(1)
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> &[u8] {
        self.part(2)
    }

    /// The message id.
    #[must_use]
    pub fn message_id(&self) -> &[u8] {
        self.part(3)
    }

    /// The beginning of the message.
    #[must_use]
    pub fn preview(&self) -> &[u8] {
        self.part(4)
    }
}

impl Summary {
    /// The request line and the headers.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.request.get(..self.body_at).unwrap_or_default()
    }

    /// The body, if it is kept.
    #[must_use]
    pub fn body(&self) -> Option<&[u8]> {
        let body = self.request.get(self.body_at..).unwrap_or_default();
        // A body that is too large to keep is left out, and then the lengths differ.
        (body.len() == self.body_bytes).then_some(body)
    }

    /// The memory that the summary uses, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let said = self.said.as_ref().map_or(0, |said| said.text.len());
        size_of::<Self>()
            .saturating_add(self.request.len())
            .saturating_add(said)
    }
}
