//! The status document: what the emulator stores, what it has done, and the faults that it
//! injected.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde::Serialize;

use crate::emulator::account::{AccountError, Key};
use crate::emulator::emulator::{Emulator, EmulatorError};
use crate::mns::api::Subscription;

/// A snapshot of the emulator's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The address of the current certificate.
    pub certificate_url: String,
    /// The size of its key, in bits.
    pub key_bits: u32,
    /// Each subscription.
    pub subscriptions: Vec<SubscriptionStatus>,
    /// How often each fault was injected.
    pub chaos: BTreeMap<String, u64>,
    /// The outcome of the forgeries: refused, believed, unanswered.
    pub forgeries: BTreeMap<&'static str, u64>,
}

/// A snapshot of a subscription's status. Counts begin at the start of the emulator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubscriptionStatus {
    /// The topic's name.
    pub topic: String,
    /// Its name.
    pub subscription: String,
    /// The endpoint that it is pushed to.
    pub endpoint: String,
    /// Messages that the endpoint has not accepted yet.
    pub undelivered: u64,
    /// Messages that it has accepted.
    pub delivered: u64,
    /// Pushes that failed.
    pub failed_pushes: u64,
    /// Messages that were given up.
    pub given_up: u64,
    /// The gap between two pushes while the endpoint fails, in milliseconds, before any time warp.
    pub gap_ms: u64,
    /// The reason of the last failed push.
    pub last_failure: Option<String>,
}

impl Emulator {
    /// Reads the status.
    ///
    /// # Errors
    /// [`EmulatorError::Unreadable`]
    pub async fn status(&self) -> Result<Status, EmulatorError> {
        self.read_status()
            .await
            .map_err(|error| EmulatorError::Unreadable(error.to_string()))
    }

    async fn read_status(&self) -> Result<Status, AccountError> {
        let mut subscriptions = Vec::new();
        for subscription in self.account.all_subscriptions().await? {
            subscriptions.push(self.status_of(subscription).await?);
        }
        let key = self.sender.keyring.current();
        let forgeries = &self.sender.forgeries;
        Ok(Status {
            certificate_url: key.certificate_url.clone(),
            key_bits: key.signer.bits(),
            subscriptions,
            chaos: self
                .sender
                .chaos_counts
                .counts()
                .into_iter()
                .map(|(trouble, n)| (trouble.to_string(), n))
                .collect(),
            forgeries: BTreeMap::from([
                ("refused", forgeries.refused.load(Ordering::Relaxed)),
                ("believed", forgeries.believed.load(Ordering::Relaxed)),
                ("unanswered", forgeries.unanswered.load(Ordering::Relaxed)),
            ]),
        })
    }

    async fn status_of(
        &self,
        subscription: Subscription,
    ) -> Result<SubscriptionStatus, AccountError> {
        let key = Key {
            topic: subscription.topic_name,
            name: subscription.name,
        };
        let progress = self.pusher.progress(&key).unwrap_or_default();
        let last_failure = progress
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Ok(SubscriptionStatus {
            undelivered: self.account.undelivered(key.clone()).await?,
            topic: key.topic,
            subscription: key.name,
            endpoint: subscription.attributes.endpoint,
            delivered: progress.delivered.load(Ordering::Relaxed),
            failed_pushes: progress.failed.load(Ordering::Relaxed),
            given_up: progress.given_up.load(Ordering::Relaxed),
            gap_ms: progress.gap_ms.load(Ordering::Relaxed),
            last_failure,
        })
    }
}
