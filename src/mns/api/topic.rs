//! Topics: their attributes, and the service's description.

use crate::mns::Element;
use crate::mns::api::UnexpectedDocument;
use crate::mns::api::value::{boolean, needed, of_texts, optional, optional_boolean, root};

/// The attributes with which a topic is created or changed. `None` leaves one to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TopicAttributes {
    /// The largest message, in bytes.
    pub maximum_message_size: Option<u32>,
    /// Whether the service logs its operations.
    pub logging_enabled: Option<bool>,
}

/// A topic as the service describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// The largest message, in bytes.
    pub maximum_message_size: u32,
    /// How long messages are stored, in seconds.
    pub message_retention_period: u64,
    /// How many messages are stored now.
    pub message_count: u64,
    /// Whether the service logs its operations.
    pub logging_enabled: bool,
    /// Unix time, in seconds.
    pub create_time: u64,
    /// Unix time, in seconds.
    pub last_modify_time: u64,
}

impl TopicAttributes {
    /// Converts to the body of `CreateTopic` or `SetTopicAttributes`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let size = self
            .maximum_message_size
            .map(|size| Element::of_text("MaximumMessageSize", size.to_string()));
        let logging = self
            .logging_enabled
            .map(|enabled| Element::of_text("LoggingEnabled", boolean(enabled)));
        Element::of_children("Topic", size.into_iter().chain(logging).collect())
    }

    /// Reads such a body. Unknown elements are ignored.
    ///
    /// # Errors
    /// [`UnexpectedDocument`]
    pub fn of_element(element: &Element) -> Result<Self, UnexpectedDocument> {
        root(element, "Topic")?;
        Ok(Self {
            maximum_message_size: optional(element, "MaximumMessageSize")?,
            logging_enabled: optional_boolean(element, "LoggingEnabled")?,
        })
    }
}

impl Topic {
    /// Converts to the answer to `GetTopicAttributes`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let texts = [
            ("TopicName", self.name.clone()),
            ("CreateTime", self.create_time.to_string()),
            ("LastModifyTime", self.last_modify_time.to_string()),
            ("MaximumMessageSize", self.maximum_message_size.to_string()),
            (
                "MessageRetentionPeriod",
                self.message_retention_period.to_string(),
            ),
            ("MessageCount", self.message_count.to_string()),
            ("LoggingEnabled", boolean(self.logging_enabled).to_owned()),
        ];
        of_texts("Topic", texts)
    }

    /// Reads such an answer.
    ///
    /// # Errors
    /// [`UnexpectedDocument`]
    pub fn of_element(element: &Element) -> Result<Self, UnexpectedDocument> {
        root(element, "Topic")?;
        Ok(Self {
            name: needed(element, "TopicName")?,
            create_time: needed(element, "CreateTime")?,
            last_modify_time: needed(element, "LastModifyTime")?,
            maximum_message_size: needed(element, "MaximumMessageSize")?,
            message_retention_period: needed(element, "MessageRetentionPeriod")?,
            message_count: needed(element, "MessageCount")?,
            logging_enabled: optional_boolean(element, "LoggingEnabled")?.unwrap_or_default(),
        })
    }
}
