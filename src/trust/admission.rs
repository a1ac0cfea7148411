//! Admission: which genuine pushes are meant for us.
//!
//! MNS signs for all of its customers with the same key, and anyone with an account can subscribe
//! our address to a topic. A valid signature proves that MNS sent a push; admission decides whether
//! the push is meant for us.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::mns::Notification;

/// The owners, topics and sources whose pushes are accepted. An empty set accepts everyone.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    owners: HashSet<Vec<u8>>,
    topics: HashSet<Vec<u8>>,
    sources: Vec<IpNet>,
}

/// A genuine push that is not meant for us, with the value that is not configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The topic belongs to an account that is not configured.
    #[error("the topic's owner {0:?} is not one of accept.topic_owners")]
    Owner(String),
    /// The topic is not configured.
    #[error("the topic {0:?} is not one of accept.topics")]
    Topic(String),
    /// The push came from an address that is not configured.
    #[error("the peer's address {0} is not in accept.sources")]
    Source(IpAddr),
}

impl Admission {
    /// Accepts the given owners, topics and sources.
    #[must_use]
    pub fn new(owners: Vec<String>, topics: Vec<String>, sources: Vec<IpNet>) -> Self {
        // Keep bytes, because the names in a push are compared as they were signed, and need not be
        // UTF-8.
        let bytes = |names: Vec<String>| names.into_iter().map(String::into_bytes).collect();
        Self {
            owners: bytes(owners),
            topics: bytes(topics),
            sources,
        }
    }

    /// Whether pushes of every account are accepted.
    #[must_use]
    pub fn takes_every_owner(&self) -> bool {
        self.owners.is_empty()
    }

    /// Whether pushes from every source are accepted.
    #[must_use]
    pub fn takes_every_source(&self) -> bool {
        self.sources.is_empty()
    }

    /// Returns a notification that is meant for us.
    ///
    /// # Errors
    /// [`NotAdmitted`]
    pub fn admit<'a>(
        &self,
        notification: Notification<'a>,
        peer: IpAddr,
    ) -> Result<Notification<'a>, NotAdmitted> {
        // On a dual-stack socket an IPv4 peer has an IPv6 address, which is in no IPv4 network.
        let peer = peer.to_canonical();
        if !self.sources.is_empty() && !self.sources.iter().any(|net| net.contains(&peer)) {
            return Err(NotAdmitted::Source(peer));
        }
        self.admit_from_anywhere(notification)
    }

    /// Like [`admit`](Self::admit), but does not check the source.
    ///
    /// # Errors
    /// [`NotAdmitted::Owner`], [`NotAdmitted::Topic`]
    pub fn admit_from_anywhere<'a>(
        &self,
        notification: Notification<'a>,
    ) -> Result<Notification<'a>, NotAdmitted> {
        if !self.owners.is_empty() && !self.owners.contains(notification.topic_owner.as_ref()) {
            return Err(NotAdmitted::Owner(text(&notification.topic_owner)));
        }
        if !self.topics.is_empty() && !self.topics.contains(notification.topic_name.as_ref()) {
            return Err(NotAdmitted::Topic(text(&notification.topic_name)));
        }
        Ok(notification)
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}
