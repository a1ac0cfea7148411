//! The names in a request, verified or claimed, and the beginning of its message.

use crate::admin::inspector::logged::Logged;
use crate::admin::inspector::request::{claimed, judged};
use crate::mns::Notification;
use crate::server::Summary;

/// How many bytes of a message a row shows.
const PREVIEW_BYTES: usize = 240;

/// The names in a request, verified or claimed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) topic: Vec<u8>,
    pub(super) subscription: Vec<u8>,
    pub(super) tag: Vec<u8>,
    pub(super) message_id: Vec<u8>,
    pub(super) preview: Vec<u8>,
    pub(super) message_bytes: usize,
}

impl Names {
    /// The verified names, or those that the request claims if nothing was verified.
    pub(super) fn of(summary: &Summary) -> Self {
        if let Some(said) = &summary.said {
            return Self {
                topic: said.topic().to_vec(),
                subscription: said.subscription().to_vec(),
                tag: said.tag().to_vec(),
                message_id: said.message_id().to_vec(),
                preview: said.preview().to_vec(),
                message_bytes: said.message_bytes,
            };
        }
        let request = judged(summary.head(), summary.body().unwrap_or_default());
        let claims = request.as_ref().and_then(claimed);
        claims.map_or_else(Self::default, |claims| Self::claimed(&claims))
    }

    /// The names of a row of the log files.
    pub(super) fn logged(logged: &Logged) -> Self {
        let labels = &logged.row.labels;
        let names = Self {
            topic: labels.topic.clone(),
            subscription: labels.subscription.clone(),
            tag: labels.tag.clone(),
            message_id: labels.message_id.clone(),
            ..Self::default()
        };
        if let Some(message) = logged.row.message() {
            return names.with_message(message);
        }
        let request = judged(&logged.head(), logged.body().unwrap_or_default());
        match request.as_ref().and_then(claimed) {
            Some(claims) => names.with_message(&claims.message),
            None => names,
        }
    }

    fn claimed(claims: &Notification<'_>) -> Self {
        let names = Self {
            topic: claims.topic_name.to_vec(),
            subscription: claims.subscription_name.to_vec(),
            tag: claims.message_tag.to_vec(),
            message_id: claims.message_id.to_vec(),
            ..Self::default()
        };
        names.with_message(&claims.message)
    }

    fn with_message(self, message: &[u8]) -> Self {
        let cut = message.len().min(PREVIEW_BYTES);
        Self {
            preview: message.get(..cut).unwrap_or_default().to_vec(),
            message_bytes: message.len(),
            ..self
        }
    }
}
