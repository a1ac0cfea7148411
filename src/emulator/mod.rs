//! The part of MNS: signing notifications and pushing them.
//!
//! A [`Signer`] has a key and its certificate, a [`Push`] lays a notification out as MNS does and
//! signs it, a [`Connection`] delivers it, and [`certificate_host()`] serves the certificate.

mod certificate_host;
mod delivery;
mod push;
mod signer;

pub use certificate_host::certificate_host;
pub use delivery::{ANSWER_TIMEOUT, Answer, Connection, DeliveryError, Target, TargetError};
pub use push::{Push, new_message_id, new_request_id};
pub use signer::{Signer, SignerError};
