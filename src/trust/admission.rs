//! Which genuine pushes are meant for us.
//!
//! The signing key is MNS's and serves all of its customers: anyone with an account can subscribe
//! our address to a topic of theirs. So a valid signature says "MNS", and this says "ours".

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

/// A genuine push that is not for us, with the value that is not configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// Its topic belongs to an account that is not configured.
    #[error("the topic's owner {0:?} is not one of accept.topic_owners")]
    Owner(String),
    /// Its topic is not configured.
    #[error("the topic {0:?} is not one of accept.topics")]
    Topic(String),
    /// It came from an address that is not configured.
    #[error("the peer's address {0} is not in accept.sources")]
    Source(IpAddr),
}

impl Admission {
    /// Accepts these.
    #[must_use]
    pub fn new(owners: Vec<String>, topics: Vec<String>, sources: Vec<IpNet>) -> Self {
        let bytes = |names: Vec<String>| names.into_iter().map(String::into_bytes).collect();
        Self {
            owners: bytes(owners),
            topics: bytes(topics),
            sources,
        }
    }

    /// Whether every account's pushes are taken.
    #[must_use]
    pub fn takes_every_owner(&self) -> bool {
        self.owners.is_empty()
    }

    /// Whether pushes are taken wherever they come from.
    #[must_use]
    pub fn takes_every_source(&self) -> bool {
        self.sources.is_empty()
    }

    /// Lets a notification through that is meant for us.
    ///
    /// # Errors
    /// [`NotAdmitted`]
    pub fn admit<'a>(
        &self,
        notification: Notification<'a>,
        peer: IpAddr,
    ) -> Result<Notification<'a>, NotAdmitted> {
        // On a socket of both families an IPv4 peer has an IPv6 address, which is in no IPv4
        // network.
        let peer = peer.to_canonical();
        if !self.sources.is_empty() && !self.sources.iter().any(|net| net.contains(&peer)) {
            return Err(NotAdmitted::Source(peer));
        }
        self.admit_from_anywhere(notification)
    }

    /// The same for pushes from every source.
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
