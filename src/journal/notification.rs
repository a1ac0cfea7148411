//! A notification as its row in the endpoint log reports it. A follower in this process gets it
//! from memory, and need not read it back.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::journal::read::{NotificationKey, RecordTime};

/// An accepted notification. All values are as they were published, and equal to those that a
/// reader of the row gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedNotification {
    /// Owner, topic, subscription and message id.
    pub key: NotificationKey,
    /// The message. Base64 stays base64.
    pub message: Bytes,
    /// Upper-case hex MD5 of the message, as MNS states it.
    pub message_md5: Bytes,
    /// The tag that the publisher gave, or nothing.
    pub message_tag: Bytes,
    /// Milliseconds since 1970, as text.
    pub publish_time: Bytes,
    /// Account id of the subscription's owner.
    pub subscriber: Bytes,
    /// The `x-mns-request-id` of the push. `None` if it is not logged.
    pub request_id: Option<Bytes>,
    /// The time of the record. `None` if it cannot be read.
    pub time: Option<RecordTime>,
}

impl LoggedNotification {
    /// Copies the values out of the attributes of a record, all into the same memory.
    #[must_use]
    pub fn copied(
        attributes: &[(&str, &[u8])],
        request_id: Option<&[u8]>,
        time: RecordTime,
    ) -> Option<Self> {
        let values = || attributes.iter().map(|(_, value)| *value).chain(request_id);
        let bytes = values().map(<[u8]>::len).fold(0, usize::saturating_add);
        let mut copy = BytesMut::with_capacity(bytes);
        values().for_each(|value| copy.extend_from_slice(value));
        let mut rest = copy.freeze();
        let mut copies: Vec<(&str, Bytes)> = Vec::with_capacity(attributes.len());
        for (name, value) in attributes {
            copies.push((name, rest.split_to(value.len())));
        }
        let take = |name: &str| {
            let found = copies.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        Self::of(take, request_id.map(|_| rest.clone()), Some(time))
    }

    /// Takes the values out of the attributes of a record: `take` returns that of a name. Returns
    /// `None` for an incomplete record, which has no message id.
    #[must_use]
    pub fn of(
        mut take: impl FnMut(&str) -> Option<Bytes>,
        request_id: Option<Bytes>,
        time: Option<RecordTime>,
    ) -> Option<Self> {
        let message_id = take("MessageId")?;
        let [owner, topic, subscription] = ["TopicOwner", "TopicName", "SubscriptionName"]
            .map(|name| take(name).unwrap_or_default());
        Some(Self {
            key: NotificationKey::of([&owner, &topic, &subscription, &message_id]),
            message: take("Message").unwrap_or_default(),
            message_md5: take("MessageMD5").unwrap_or_default(),
            message_tag: take("MessageTag").unwrap_or_default(),
            publish_time: take("PublishTime").unwrap_or_default(),
            subscriber: take("Subscriber").unwrap_or_default(),
            request_id,
            time,
        })
    }
}

/// The rows of an entry or of a batch that accept a notification.
#[derive(Debug, Clone, Default)]
pub struct AcceptedRows {
    rows: Vec<AcceptedRow>,
    /// Whether rows are missing here, so that followers have to read the file.
    is_partial: bool,
}

/// A row that accepts a notification.
#[derive(Debug, Clone)]
pub(super) struct AcceptedRow {
    /// Its place in the bytes for the endpoint log.
    pub(super) place: Range<usize>,
    /// What it accepts.
    pub(super) notification: Arc<LoggedNotification>,
    /// Whether the log has had the notification before.
    pub(super) is_duplicate: bool,
}

impl AcceptedRows {
    /// Those of an entry whose first `bytes` bytes are one row.
    #[must_use]
    pub fn one(bytes: usize, notification: LoggedNotification) -> Self {
        let row = AcceptedRow {
            place: 0..bytes,
            notification: Arc::new(notification),
            is_duplicate: false,
        };
        Self {
            rows: vec![row],
            is_partial: false,
        }
    }

    /// Adds the row of an accepted entry, which became the bytes at `place`. Followers have to read
    /// the file if the entry does not say what it accepts.
    pub(super) fn add(&mut self, entry: &Self, place: Range<usize>, is_duplicate: bool) {
        match entry.rows.first() {
            Some(row) => self.rows.push(AcceptedRow {
                place,
                notification: row.notification.clone(),
                is_duplicate,
            }),
            None => self.is_partial = true,
        }
    }

    /// All rows in their order, unless some are missing.
    pub(super) fn all(&self) -> Option<&[AcceptedRow]> {
        (!self.is_partial).then_some(&self.rows)
    }

    /// The bytes that the messages occupy.
    pub(super) fn bytes(&self) -> usize {
        let messages = self.rows.iter().map(|row| row.notification.message.len());
        messages.fold(0, usize::saturating_add)
    }

    /// Removes all, and keeps the memory for the next ones.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.is_partial = false;
    }
}
