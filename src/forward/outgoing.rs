//! A notification on its way to a destination, as the endpoint log has it.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::journal::{LoggedNotification, Position, Row};

/// A notification on its way to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The notification. Its key is what the id for de-duplication is made of.
    pub notification: Arc<LoggedNotification>,
    /// When it was received, to the second.
    pub received: Option<Timestamp>,
    /// The position of its row in the endpoint log.
    pub position: Position,
    /// Counts the notifications of this cursor from 1. A repeat after a restart has the same.
    pub sequence: u64,
    /// The number of the resend, if the user asked for one that the destination must not drop as a
    /// duplicate. It becomes part of the id.
    pub again: Option<u64>,
}

impl Outgoing {
    /// Takes what is sent of a row, without a sequence number. `None` for an incomplete record,
    /// which has no message id.
    #[must_use]
    pub fn of(mut row: Row, zone: &TimeZone) -> Option<Self> {
        let (position, request_id, time) = (row.position, row.request_id_only(), row.record.time);
        // Moves the values out of the row, because a message may be large.
        let take = |name: &str| {
            let attributes = &mut row.record.attributes;
            let found = attributes.iter_mut().find(|(known, _)| known == name);
            found.map(|(_, value)| Bytes::from(std::mem::take(value)))
        };
        let notification = LoggedNotification::of(take, request_id.map(Bytes::from), time)?;
        Some(Self::at(position, Arc::new(notification), zone))
    }

    /// Takes what is sent of a notification whose row begins at a position, without a sequence
    /// number.
    #[must_use]
    pub fn at(position: Position, notification: Arc<LoggedNotification>, zone: &TimeZone) -> Self {
        let moments = notification.time.and_then(|time| time.moments(zone));
        Self {
            notification,
            // When the clocks are set back, a local time has two readings. The first one is used.
            received: moments.map(|(first, _)| first),
            position,
            // The forwarder numbers it when it is sent. A replay leaves it at 0, since it has no
            // cursor.
            sequence: 0,
            again: None,
        }
    }

    /// The memory that it takes while it is in flight, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let notification = &self.notification;
        let parts = notification.key.parts().map(<[u8]>::len).into_iter();
        let values = [
            notification.message.len(),
            notification.message_md5.len(),
            notification.message_tag.len(),
            notification.publish_time.len(),
            notification.subscriber.len(),
            notification.request_id.as_ref().map_or(0, Bytes::len),
            size_of::<LoggedNotification>(),
            size_of::<Self>(),
        ];
        parts.chain(values).fold(0, usize::saturating_add)
    }
}
