//! A local MNS: the topic half of the REST API, the pusher, and the certificate for its signatures.
//!
//! A [`Signer`] has a key and its certificate, a [`Push`] encodes a notification as MNS does and
//! signs it, and a [`Connection`] delivers it. That is all the `push` command needs. The
//! [`Emulator`] adds an account with topics, subscriptions and messages, the API that changes it,
//! and the pusher that delivers its messages. `docs/emulator.md` says what is faithful and what is
//! not.

mod account;
mod api;
mod attempt;
mod certificate_host;
mod chaos;
mod delivery;
mod emulator;
mod forgery;
mod keyring;
mod pace;
mod page;
mod progress;
mod push;
mod pusher;
mod recent;
mod refusal;
mod schedule;
mod sender;
mod signer;
mod status;
mod worker;

pub use account::OpenError;
pub use certificate_host::certificate_host;
pub use chaos::{CHAOS_DEFAULT, Chaos, ChaosError, Trouble};
pub use delivery::{ANSWER_TIMEOUT, Answer, Connection, DeliveryError, Target, TargetError};
pub use emulator::{Emulator, EmulatorError, KNOWN_KEY, Options};
pub use forgery::FORGED_MESSAGE;
pub use push::{Push, SignedPush, new_message_id, new_request_id};
pub use signer::{Signer, SignerError};
pub use status::{Status, SubscriptionStatus};
