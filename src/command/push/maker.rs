//! Makes the requests of a run: repeats a recorded one, or signs new ones with different ids.

use std::borrow::Cow;

use anyhow::bail;

use crate::clock::{Clock as _, SystemClock};
use crate::emulator::{self, Signer};
use crate::mns::{ContentFormat, ContentMd5, Notation, Notification};
use crate::traces::TraceContext;

/// Makes the requests.
pub(super) enum Maker {
    Recorded(Vec<u8>),
    Signed {
        signer: Box<Signer>,
        certificate_url: String,
        message: Option<Vec<u8>>,
    },
}

/// What all notifications of a run have in common.
pub(super) struct Plan {
    pub(super) format: ContentFormat,
    /// The notation of Content-MD5. `None`: that of MNS for the format.
    pub(super) content_md5: Option<Notation>,
    pub(super) path: String,
    pub(super) host: String,
    pub(super) owner: String,
    pub(super) topic: String,
    pub(super) subscription: String,
    pub(super) tag: String,
}

impl Maker {
    /// The next request, and the id of its message.
    pub(super) fn make(&self, plan: &Plan, number: usize) -> anyhow::Result<(Vec<u8>, String)> {
        let (signer, certificate_url, message) = match self {
            Self::Recorded(bytes) => return Ok((bytes.clone(), "recorded".to_owned())),
            Self::Signed {
                signer,
                certificate_url,
                message,
            } => (signer, certificate_url, message),
        };
        let message = message
            .clone()
            .unwrap_or_else(|| format!("I am test message {number}.").into_bytes());
        // A body in XML or JSON is text. In SIMPLIFIED the body is the message itself.
        if plan.format != ContentFormat::Simplified && std::str::from_utf8(&message).is_err() {
            bail!("the message is not UTF-8: only --format simplified can carry it");
        }
        let now = SystemClock.now();
        let message_id = emulator::new_message_id();
        let publish_time = now
            .duration_since(std::time::SystemTime::UNIX_EPOCH)?
            .as_millis()
            .to_string();
        let bytes = |text: &'_ str| Cow::Owned(text.as_bytes().to_vec());
        let notification = Notification {
            format: plan.format,
            message_md5: bytes(&ContentMd5::of(&message).upper_hex()),
            topic_owner: bytes(&plan.owner),
            publish_time: bytes(&publish_time),
            subscriber: bytes(&plan.owner),
            message_tag: bytes(&plan.tag),
            subscription_name: bytes(&plan.subscription),
            message_id: bytes(&message_id),
            message: Cow::Owned(message),
            topic_name: bytes(&plan.topic),
        };
        let push = emulator::Push {
            notification: &notification,
            target: &plan.path,
            host: &plan.host,
            certificate_url,
            date: now,
            request_id: &emulator::new_request_id(now),
            notation: plan
                .content_md5
                .unwrap_or_else(|| emulator::Push::usual_notation(plan.format)),
        };
        let signed = push.signed(signer)?.traced(&TraceContext::outgoing());
        Ok((signed.to_wire(), message_id))
    }

    /// The prefix under which the endpoint must trust certificates.
    pub(super) fn trust(&self) -> Option<String> {
        match self {
            Self::Recorded(_) => None,
            Self::Signed {
                certificate_url, ..
            } => certificate_url
                .rsplit_once('/')
                .map(|(prefix, _)| format!("{prefix}/")),
        }
    }
}
