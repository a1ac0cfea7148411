//! A local MNS: the topic half of the REST API, the pusher, and the certificate that goes with its
//! signatures.
//!
//! A [`Signer`] has a key and its certificate, a [`Push`] lays a notification out as MNS does and
//! signs it, a [`Connection`] delivers it: `push` needs no more. The [`Emulator`] adds an account
//! that keeps topics, subscriptions and messages, the API that changes it, and the pusher that
//! delivers what it keeps. What is faithful and what is not stands in `docs/emulator.md`.

mod account;
mod answer;
mod api;
mod attempt;
mod authentication;
mod certificate_host;
mod chaos;
mod delivery;
mod keyring;
mod operation;
mod pace;
mod push;
mod pusher;
mod refusal;
mod schedule;
mod signer;
mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use http::{HeaderMap, Uri};

use crate::clock::Clock;
use crate::emulator::account::Account;
use crate::emulator::attempt::{Forgeries, Sender};
use crate::emulator::chaos::Struck;
use crate::emulator::keyring::Keyring;
use crate::emulator::pusher::Pusher;
use crate::host_name;
use crate::mns::{AccessKey, Notation};
use crate::net::HeaderCase;

pub use account::OpenError;
pub use attempt::FORGED_MESSAGE;
pub use certificate_host::certificate_host;
pub use chaos::{Chaos, ChaosError, Trouble};
pub use delivery::{ANSWER_TIMEOUT, Answer, Connection, DeliveryError, Target, TargetError};
pub use push::{Push, SignedPush, new_message_id, new_request_id};
pub use signer::{Signer, SignerError};
pub use status::{Status, SubscriptionStatus};

/// How an emulator behaves.
pub struct Options {
    /// The address under which clients and endpoints reach it, without a path:
    /// `http://127.0.0.1:9000`.
    pub base: String,
    /// Names that a Host header may carry, besides addresses, names without a dot, that of `base`,
    /// and `ACCOUNT.mns.REGION.aliyuncs.com`.
    pub hosts: Vec<String>,
    /// Whoever has it may use the API; everyone where it is absent.
    pub access_key: Option<AccessKey>,
    /// The account id, where the host of a request names none.
    pub owner: String,
    /// The key to sign with.
    pub signer: Signer,
    /// How pushes write Content-MD5; [`Push::usual_notation`] of the format where it is absent.
    pub content_md5: Option<Notation>,
    /// TLS towards https endpoints.
    pub tls: Arc<rustls::ClientConfig>,
    /// What goes wrong on purpose.
    pub chaos: Chaos,
    /// Every waiting time of the pusher is divided by it; at least 1.
    pub time_warp: u32,
    /// Where the account is kept; in memory where it is absent.
    pub data: Option<PathBuf>,
}

/// Why there is no emulator.
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

/// What a request to make something did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Creation {
    /// It was made.
    New,
    /// It was there already, with the same attributes.
    Unchanged,
}

/// A running emulator.
pub struct Emulator {
    account: Arc<Account>,
    pusher: Arc<Pusher>,
    sender: Arc<Sender>,
    access_key: Option<AccessKey>,
    owner: String,
    hosts: Vec<String>,
    header_case: HeaderCase,
    clock: Arc<dyn Clock>,
}

impl Emulator {
    /// Opens the account and begins to push what is undelivered in it.
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
            chaos: options.chaos,
            struck: Struck::default(),
            forgeries: Forgeries::default(),
            tls: options.tls,
            time_warp: options.time_warp.max(1),
        });
        let pusher = Arc::new(Pusher::new(account.clone(), sender.clone()));
        let kept = account
            .all_subscriptions()
            .await
            .map_err(|error| EmulatorError::Unreadable(error.to_string()))?;
        for subscription in kept {
            pusher.wake(account::Key {
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
        hosts.extend(
            base.parse::<Uri>()
                .ok()
                .and_then(|base| base.host().map(str::to_owned)),
        );
        let header_case = HeaderCase::of(&api::TITLE_CASE_NAMES).await;
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

    /// The API, the certificates and the status document.
    pub fn router(self: &Arc<Self>) -> Router {
        api::router(self.clone())
    }

    /// The address of the certificate at hand.
    #[must_use]
    pub fn certificate_url(&self) -> String {
        self.sender.keyring.current().certificate_url.clone()
    }

    /// The size of the key at hand, in bits.
    #[must_use]
    pub fn key_bits(&self) -> usize {
        usize::try_from(self.sender.keyring.current().signer.bits()).unwrap_or_default()
    }

    /// Signs with another key from now on, whose certificate has another address.
    pub fn change_key(&self, signer: Signer) {
        self.sender.keyring.change(signer);
    }

    /// Stops pushing and closes the account.
    pub async fn close(&self) {
        self.pusher.close().await;
        self.account.close().await;
    }

    /// Whether the name in Host is one of ours, or one that no stranger can make point here: that
    /// of an endpoint of the service, and a name without a dot, as containers and machines of one
    /// network have.
    fn knows_host(&self, headers: &HeaderMap) -> bool {
        host_name::is_ours(headers, |name| {
            let name = name.to_ascii_lowercase();
            !name.contains('.')
                || self
                    .hosts
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(&name))
                || (name.contains(".mns.") && name.ends_with(".aliyuncs.com"))
        })
    }

    /// The account id in the host of `base`, as in `http://ACCOUNT.mns.REGION.aliyuncs.com`, or our
    /// own.
    fn account_of<'a>(&'a self, base: &'a str) -> &'a str {
        let host = base.strip_prefix("http://").unwrap_or(base);
        match host.split_once(".mns.") {
            Some((account, _))
                if !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                account
            }
            Some(_) | None => &self.owner,
        }
    }
}

/// Since 1970; before that it is 1970.
fn unix_time(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}
