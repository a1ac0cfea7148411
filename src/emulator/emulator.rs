//! The emulator: an account, the pusher that delivers its messages, and the signing key.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, Uri};

use crate::clock::Clock;
use crate::emulator::account::{Account, AccountError, Key, NewMessage, OpenError, Queued};
use crate::emulator::api::answer::TITLE_CASE_NAMES;
use crate::emulator::chaos::{Chaos, ChaosCounts};
use crate::emulator::keyring::Keyring;
use crate::emulator::pusher::Pusher;
use crate::emulator::recent::Recent;
use crate::emulator::sender::{Forgeries, Sender};
use crate::emulator::signer::{Signer, SignerError};
use crate::host_name;
use crate::mns::{AccessKey, Notation};
use crate::net::HeaderCase;

/// The default access key. It is documented, so it protects nothing.
pub const KNOWN_KEY: &str = "emulator:emulator";

/// The settings of an emulator.
pub struct Options {
    /// The address under which clients and endpoints reach it, without a path:
    /// `http://127.0.0.1:9000`.
    pub base: String,
    /// Further names that a Host header may have, besides IP addresses, names without a dot, the
    /// name of `base`, and `ACCOUNT.mns.REGION.aliyuncs.com`.
    pub hosts: Vec<String>,
    /// Whoever has this key may use the API. Without a key, anyone may.
    pub access_key: Option<AccessKey>,
    /// The account id for requests whose host names none.
    pub owner: String,
    /// The signing key.
    pub signer: Signer,
    /// The notation of Content-MD5. `None`: that of
    /// [`Push::usual_notation`](crate::emulator::Push::usual_notation) for the format.
    pub content_md5: Option<Notation>,
    /// TLS towards https endpoints.
    pub tls: Arc<rustls::ClientConfig>,
    /// The faults to inject.
    pub chaos: Chaos,
    /// The pusher's waiting times are divided by this; at least 1.
    pub time_warp: u32,
    /// The directory of the account. Without one the account is in memory.
    pub data: Option<PathBuf>,
}

/// Why the emulator cannot start or answer.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// The account cannot be opened.
    #[error(transparent)]
    Account(#[from] OpenError),
    /// A key cannot be made.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The account cannot be read.
    #[error("cannot read the account: {0}")]
    Unreadable(String),
}

/// A running emulator.
pub struct Emulator {
    pub(super) account: Arc<Account>,
    pub(super) pusher: Arc<Pusher>,
    pub(super) sender: Arc<Sender>,
    pub(super) access_key: Option<AccessKey>,
    owner: String,
    hosts: Vec<String>,
    pub(super) header_case: HeaderCase,
    pub(super) clock: Arc<dyn Clock>,
}

impl Emulator {
    /// Opens the account and starts to push its undelivered messages.
    ///
    /// # Errors
    /// [`EmulatorError`]
    pub async fn start(
        options: Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, EmulatorError> {
        let account = Arc::new(Account::open(options.data.as_deref(), clock.clone())?);
        let sender = Arc::new(Sender {
            keyring: Keyring::new(&options.base, options.signer)?,
            clock: clock.clone(),
            content_md5: options.content_md5,
            chaos: Mutex::new(options.chaos),
            chaos_counts: ChaosCounts::default(),
            forgeries: Forgeries::default(),
            recent: Recent::default(),
            tls: options.tls,
            // It is a divisor.
            time_warp: options.time_warp.max(1),
        });
        let pusher = Arc::new(Pusher::new(account.clone(), sender.clone()));
        let kept = account
            .all_subscriptions()
            .await
            .map_err(|error| EmulatorError::Unreadable(error.to_string()))?;
        // Workers exist in memory only. Each subscription gets one, because it may have undelivered
        // messages.
        for subscription in kept {
            pusher.wake(Key {
                topic: subscription.topic_name,
                name: subscription.name,
            });
        }
        let Options {
            access_key,
            owner,
            mut hosts,
            base,
            ..
        } = options;
        // Clients that use the public URL send its name in Host.
        hosts.extend(
            base.parse::<Uri>()
                .ok()
                .and_then(|base| base.host().map(str::to_owned)),
        );
        // The HTTP library supplies spellings only with a request that it has read, so one is read
        // here.
        let header_case = HeaderCase::of(&TITLE_CASE_NAMES).await;
        Ok(Arc::new(Self {
            account,
            pusher,
            sender,
            access_key,
            owner,
            hosts,
            header_case,
            clock,
        }))
    }

    /// The address of the current certificate.
    #[must_use]
    pub fn certificate_url(&self) -> String {
        self.sender.keyring.current().certificate_url.clone()
    }

    /// The size of the current key, in bits.
    #[must_use]
    pub fn key_bits(&self) -> usize {
        usize::try_from(self.sender.keyring.current().signer.bits()).unwrap_or_default()
    }

    /// Switches to another key, whose certificate has another address.
    pub fn change_key(&self, signer: Signer) {
        self.sender.keyring.change(signer);
    }

    /// Stops pushing and closes the account.
    pub async fn close(&self) {
        // The pusher first: it still writes results to the account.
        self.pusher.close().await;
        self.account.close().await;
    }

    /// Stores a message for every subscription whose filter it passes, and starts to push it.
    pub(super) async fn publish(
        &self,
        topic: String,
        new: NewMessage,
    ) -> Result<Queued, AccountError> {
        let queued = self.account.publish(topic.clone(), new).await?;
        // After the message is stored: a task that is woken earlier would not find it.
        for name in &queued.subscriptions {
            self.pusher.wake(Key {
                topic: topic.clone(),
                name: name.clone(),
            });
        }
        Ok(queued)
    }

    /// Pushes now what a subscription would push later, at full speed as for a new endpoint.
    /// Returns the number of messages.
    pub(super) async fn deliver_now(&self, key: Key) -> Result<usize, AccountError> {
        // Before the task is woken, which would otherwise find nothing that is due.
        let hastened = self.account.hasten(key.clone()).await?;
        self.pusher.hurry(key);
        Ok(hastened)
    }

    /// Whether anyone may use the API: no key is required, or only the default one.
    pub(super) fn is_open(&self) -> bool {
        self.access_key
            .as_ref()
            // The default key is public, so the page without a key gives nothing away.
            .is_none_or(|key| format!("{}:{}", key.id, key.secret) == KNOWN_KEY)
    }

    /// Whether the name in Host is ours, or one that no stranger can point at this machine: an
    /// endpoint of the service, or a name without a dot, which only machines and containers of one
    /// network can resolve.
    pub(super) fn knows_host(&self, headers: &HeaderMap) -> bool {
        host_name::is_ours(headers, |name| {
            // Host names ignore case (RFC 9110, 4.2.3).
            let name = name.to_ascii_lowercase();
            // No public site has a name without a dot, but containers do.
            !name.contains('.')
                || self
                    .hosts
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(&name))
                || (name.contains(".mns.") && name.ends_with(".aliyuncs.com"))
        })
    }

    /// The account id in the host of `base`, as in `http://ACCOUNT.mns.REGION.aliyuncs.com`, or
    /// else the configured one.
    pub(super) fn account_of<'a>(&'a self, base: &'a str) -> &'a str {
        let host = base.strip_prefix("http://").unwrap_or(base);
        match host.split_once(".mns.") {
            // An account id is a number. Any other text before `.mns.` is just a host name.
            Some((account, _))
                if !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                account
            }
            Some(_) | None => &self.owner,
        }
    }
}
