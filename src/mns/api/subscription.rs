//! Subscriptions: their attributes, which of them can change, and the service's description.

use crate::mns::api::value::{needed, of_texts, optional, root, text};
use crate::mns::api::{NotifyStrategy, UnexpectedDocument};
use crate::mns::{ContentFormat, Element};

/// The attributes with which a subscription is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionAttributes {
    /// The address to which messages are pushed.
    pub endpoint: String,
    /// Only messages with this tag are pushed. Empty for all messages.
    pub filter_tag: String,
    /// The retry strategy after a push fails.
    pub notify_strategy: NotifyStrategy,
    /// The format of the notifications.
    pub notify_content_format: ContentFormat,
    /// The queue that receives messages which could not be delivered.
    pub dead_letter_queue: Option<String>,
}

/// The changeable attributes of a subscription. `None` leaves one unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubscriptionChange {
    /// The retry strategy after a push fails.
    pub notify_strategy: Option<NotifyStrategy>,
    /// The queue that receives messages which could not be delivered. Empty to disable it.
    pub dead_letter_queue: Option<String>,
}

/// A subscription as the service describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its name.
    pub name: String,
    /// The topic's name.
    pub topic_name: String,
    /// Account id of the topic's owner.
    pub topic_owner: String,
    /// Account id of the subscription's owner.
    pub subscriber: String,
    /// The attributes with which it was created.
    pub attributes: SubscriptionAttributes,
    /// Unix time, in seconds.
    pub create_time: u64,
    /// Unix time, in seconds.
    pub last_modify_time: u64,
}

impl SubscriptionAttributes {
    /// Converts to the body of Subscribe. Without a tag there is no `FilterTag`: no SDK of the
    /// vendor sends an empty one.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let mut elements = self.elements();
        elements.retain(|element| element.name != "FilterTag" || !element.text.is_empty());
        Element::of_children("Subscription", elements)
    }

    /// Reads such a body. Absent values get the service's default.
    ///
    /// # Errors
    /// [`UnexpectedDocument`]
    pub fn of_element(element: &Element) -> Result<Self, UnexpectedDocument> {
        root(element, "Subscription")?;
        Ok(Self {
            endpoint: needed(element, "Endpoint")?,
            filter_tag: optional(element, "FilterTag")?.unwrap_or_default(),
            notify_strategy: optional(element, "NotifyStrategy")?
                .unwrap_or(NotifyStrategy::BackoffRetry),
            notify_content_format: optional(element, "NotifyContentFormat")?
                .unwrap_or(ContentFormat::Xml),
            dead_letter_queue: dead_letter_queue(element)?.filter(|queue| !queue.is_empty()),
        })
    }

    fn elements(&self) -> Vec<Element> {
        let mut elements = vec![
            Element::of_text("Endpoint", self.endpoint.as_str()),
            Element::of_text("FilterTag", self.filter_tag.as_str()),
            Element::of_text("NotifyStrategy", self.notify_strategy.to_string()),
            Element::of_text(
                "NotifyContentFormat",
                self.notify_content_format.to_string(),
            ),
        ];
        elements.extend(self.dead_letter_queue.as_deref().map(dead_letter_policy));
        elements
    }
}

impl SubscriptionChange {
    /// Converts to the body of `SetSubscriptionAttributes`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let strategy = self
            .notify_strategy
            .map(|strategy| Element::of_text("NotifyStrategy", strategy.to_string()));
        let policy = self.dead_letter_queue.as_deref().map(dead_letter_policy);
        Element::of_children("Subscription", strategy.into_iter().chain(policy).collect())
    }

    /// Reads such a body.
    ///
    /// # Errors
    /// [`UnexpectedDocument`]
    pub fn of_element(element: &Element) -> Result<Self, UnexpectedDocument> {
        root(element, "Subscription")?;
        Ok(Self {
            notify_strategy: optional(element, "NotifyStrategy")?,
            dead_letter_queue: dead_letter_queue(element)?,
        })
    }
}

impl Subscription {
    /// Converts to the answer to `GetSubscriptionAttributes`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let names = [
            ("SubscriptionName", &self.name),
            ("Subscriber", &self.subscriber),
            ("TopicOwner", &self.topic_owner),
            ("TopicName", &self.topic_name),
        ];
        let times = [
            ("CreateTime", self.create_time),
            ("LastModifyTime", self.last_modify_time),
        ];
        let names = names.map(|(name, text)| Element::of_text(name, text.as_str()));
        let times = times.map(|(name, time)| Element::of_text(name, time.to_string()));
        let all = names
            .into_iter()
            .chain(self.attributes.elements())
            .chain(times);
        Element::of_children("Subscription", all.collect())
    }

    /// Reads such an answer.
    ///
    /// # Errors
    /// [`UnexpectedDocument`]
    pub fn of_element(element: &Element) -> Result<Self, UnexpectedDocument> {
        let attributes = SubscriptionAttributes::of_element(element)?;
        Ok(Self {
            name: needed(element, "SubscriptionName")?,
            topic_name: needed(element, "TopicName")?,
            topic_owner: needed(element, "TopicOwner")?,
            subscriber: optional(element, "Subscriber")?.unwrap_or_default(),
            attributes,
            create_time: needed(element, "CreateTime")?,
            last_modify_time: needed(element, "LastModifyTime")?,
        })
    }
}

fn dead_letter_policy(queue: &str) -> Element {
    let enabled = if queue.is_empty() { "false" } else { "true" };
    of_texts(
        "DlqPolicy",
        [
            ("Enabled", enabled.to_owned()),
            ("DeadLetterTargetQueue", queue.to_owned()),
        ],
    )
}

/// The queue of a policy. Empty if the policy is disabled, `None` if there is no policy.
fn dead_letter_queue(element: &Element) -> Result<Option<String>, UnexpectedDocument> {
    let Some(policy) = element.child("DlqPolicy") else {
        return Ok(None);
    };
    // Only `false` disables the policy: an absent or empty Enabled does not.
    let is_off = text(policy, "Enabled")?
        .is_some_and(|enabled| enabled.trim().eq_ignore_ascii_case("false"));
    let queue = text(policy, "DeadLetterTargetQueue")?.unwrap_or_default();
    Ok(Some(if is_off {
        String::new()
    } else {
        queue.to_owned()
    }))
}
