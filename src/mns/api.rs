//! The nouns of the REST API, version 2015-06-06 (protocol.md 4.3): what goes over the wire as XML.

use std::fmt;
use std::str::FromStr;

use crate::mns::{ContentFormat, Element};

/// What a topic is given when it is made or changed. `None` leaves it to the service.
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
    /// For how long messages are kept, in seconds.
    pub message_retention_period: u64,
    /// Messages that are kept now.
    pub message_count: u64,
    /// Whether the service logs its operations.
    pub logging_enabled: bool,
    /// Unix time, in seconds.
    pub create_time: u64,
    /// Unix time, in seconds.
    pub last_modify_time: u64,
}

/// What is asked of a subscription when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionAttributes {
    /// Where messages are pushed to.
    pub endpoint: String,
    /// Only messages with this tag; empty for all.
    pub filter_tag: String,
    /// What happens when a push fails.
    pub notify_strategy: NotifyStrategy,
    /// How notifications are written.
    pub notify_content_format: ContentFormat,
    /// The queue that takes what could not be delivered.
    pub dead_letter_queue: Option<String>,
}

/// What can be changed of a subscription. `None` leaves it as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubscriptionChange {
    /// What happens when a push fails.
    pub notify_strategy: Option<NotifyStrategy>,
    /// The queue that takes what could not be delivered; empty for none.
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
    /// What was asked of it.
    pub attributes: SubscriptionAttributes,
    /// Unix time, in seconds.
    pub create_time: u64,
    /// Unix time, in seconds.
    pub last_modify_time: u64,
}

/// What happens when a push fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyStrategy {
    /// Three more tries, each 10 to 20 s after the one before; then the message is gone.
    BackoffRetry,
    /// 176 more tries, after 1, 2, 4, ... 512 s and then each 512 s: a day in all.
    ExponentialDecayRetry,
}

/// An error document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The stable word, as in `TopicNotExist`.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// The id under which the service's owners find the request.
    pub request_id: String,
    /// The host that answered.
    pub host_id: String,
}

/// A document that lacks something, or holds a value that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnexpectedDocument {
    /// Another root element.
    #[error("the document is a {found}, not a {wanted}")]
    Root {
        /// What stands there.
        found: String,
        /// What should.
        wanted: &'static str,
    },
    /// A needed element is absent.
    #[error("the element {0} is missing")]
    Missing(&'static str),
    /// A value that is none of its kind.
    #[error("{value:?} is no {name}")]
    Value {
        /// The element.
        name: &'static str,
        /// Its text.
        value: String,
    },
}

impl TopicAttributes {
    /// As the body of `CreateTopic` or `SetTopicAttributes`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let size = self.maximum_message_size.map(|size| Element::of_text("MaximumMessageSize", size.to_string()));
        let logging = self.logging_enabled.map(|enabled| Element::of_text("LoggingEnabled", boolean(enabled)));
        Element::of_children("Topic", size.into_iter().chain(logging).collect())
    }

    /// Reads that body. Unknown elements are ignored.
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
    /// As the answer to `GetTopicAttributes`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let texts = [
            ("TopicName", self.name.clone()),
            ("CreateTime", self.create_time.to_string()),
            ("LastModifyTime", self.last_modify_time.to_string()),
            ("MaximumMessageSize", self.maximum_message_size.to_string()),
            ("MessageRetentionPeriod", self.message_retention_period.to_string()),
            ("MessageCount", self.message_count.to_string()),
            ("LoggingEnabled", boolean(self.logging_enabled).to_owned()),
        ];
        of_texts("Topic", texts)
    }

    /// Reads that answer.
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

impl SubscriptionAttributes {
    /// As the body of Subscribe.
    #[must_use]
    pub fn to_element(&self) -> Element {
        Element::of_children("Subscription", self.elements())
    }

    /// Reads that body: what is absent has the service's default.
    ///
    /// # Errors
    /// [`UnexpectedDocument`]
    pub fn of_element(element: &Element) -> Result<Self, UnexpectedDocument> {
        root(element, "Subscription")?;
        Ok(Self {
            endpoint: needed(element, "Endpoint")?,
            filter_tag: optional(element, "FilterTag")?.unwrap_or_default(),
            notify_strategy: optional(element, "NotifyStrategy")?.unwrap_or(NotifyStrategy::BackoffRetry),
            notify_content_format: optional(element, "NotifyContentFormat")?.unwrap_or(ContentFormat::Xml),
            dead_letter_queue: dead_letter_queue(element).filter(|queue| !queue.is_empty()),
        })
    }

    fn elements(&self) -> Vec<Element> {
        let mut elements = vec![
            Element::of_text("Endpoint", self.endpoint.as_str()),
            Element::of_text("FilterTag", self.filter_tag.as_str()),
            Element::of_text("NotifyStrategy", self.notify_strategy.to_string()),
            Element::of_text("NotifyContentFormat", self.notify_content_format.to_string()),
        ];
        elements.extend(self.dead_letter_queue.as_deref().map(dead_letter_policy));
        elements
    }
}

impl SubscriptionChange {
    /// As the body of `SetSubscriptionAttributes`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let strategy = self.notify_strategy.map(|strategy| Element::of_text("NotifyStrategy", strategy.to_string()));
        let policy = self.dead_letter_queue.as_deref().map(dead_letter_policy);
        Element::of_children("Subscription", strategy.into_iter().chain(policy).collect())
    }

    /// Reads that body.
    ///
    /// # Errors
    /// [`UnexpectedDocument`]
    pub fn of_element(element: &Element) -> Result<Self, UnexpectedDocument> {
        root(element, "Subscription")?;
        Ok(Self {
            notify_strategy: optional(element, "NotifyStrategy")?,
            dead_letter_queue: dead_letter_queue(element),
        })
    }
}

impl Subscription {
    /// As the answer to `GetSubscriptionAttributes`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let names = [
            ("SubscriptionName", &self.name),
            ("Subscriber", &self.subscriber),
            ("TopicOwner", &self.topic_owner),
            ("TopicName", &self.topic_name),
        ];
        let times = [("CreateTime", self.create_time), ("LastModifyTime", self.last_modify_time)];
        let names = names.map(|(name, text)| Element::of_text(name, text.as_str()));
        let times = times.map(|(name, time)| Element::of_text(name, time.to_string()));
        let all = names.into_iter().chain(self.attributes.elements()).chain(times);
        Element::of_children("Subscription", all.collect())
    }

    /// Reads that answer.
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

impl ApiError {
    /// As the body of an answer that is no success.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let texts = [
            ("Code", self.code.clone()),
            ("Message", self.message.clone()),
            ("RequestId", self.request_id.clone()),
            ("HostId", self.host_id.clone()),
        ];
        of_texts("Error", texts)
    }

    /// Reads that body; what is absent is empty.
    ///
    /// # Errors
    /// [`UnexpectedDocument`]: no error document.
    pub fn of_element(element: &Element) -> Result<Self, UnexpectedDocument> {
        root(element, "Error")?;
        let text = |name| element.text_of(name).unwrap_or_default().to_owned();
        Ok(Self {
            code: needed(element, "Code")?,
            message: text("Message"),
            request_id: text("RequestId"),
            host_id: text("HostId"),
        })
    }
}

impl fmt::Display for NotifyStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BackoffRetry => "BACKOFF_RETRY",
            Self::ExponentialDecayRetry => "EXPONENTIAL_DECAY_RETRY",
        })
    }
}

impl FromStr for NotifyStrategy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "BACKOFF_RETRY" => Ok(Self::BackoffRetry),
            "EXPONENTIAL_DECAY_RETRY" => Ok(Self::ExponentialDecayRetry),
            _ => Err(()),
        }
    }
}

impl FromStr for ContentFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "XML" => Ok(Self::Xml),
            "JSON" => Ok(Self::Json),
            "SIMPLIFIED" => Ok(Self::Simplified),
            _ => Err(()),
        }
    }
}

fn of_texts<const N: usize>(name: &str, texts: [(&str, String); N]) -> Element {
    Element::of_children(name, texts.map(|(name, text)| Element::of_text(name, text)).into())
}

fn dead_letter_policy(queue: &str) -> Element {
    let enabled = if queue.is_empty() { "false" } else { "true" };
    of_texts("DlqPolicy", [("Enabled", enabled.to_owned()), ("DeadLetterTargetQueue", queue.to_owned())])
}

/// The queue of a policy: empty where it is switched off, `None` where there is no policy.
fn dead_letter_queue(element: &Element) -> Option<String> {
    let policy = element.child("DlqPolicy")?;
    let is_off = policy.text_of("Enabled").is_some_and(|enabled| enabled.trim().eq_ignore_ascii_case("false"));
    let queue = policy.text_of("DeadLetterTargetQueue").unwrap_or_default();
    Some(if is_off { String::new() } else { queue.to_owned() })
}

fn root(element: &Element, wanted: &'static str) -> Result<(), UnexpectedDocument> {
    if element.name == wanted {
        return Ok(());
    }
    Err(UnexpectedDocument::Root { found: element.name.clone(), wanted })
}

fn needed<T: FromStr>(element: &Element, name: &'static str) -> Result<T, UnexpectedDocument> {
    optional(element, name)?.ok_or(UnexpectedDocument::Missing(name))
}

/// The value of a child; `None` where it is absent. An empty text is a value only of a text.
fn optional<T: FromStr>(element: &Element, name: &'static str) -> Result<Option<T>, UnexpectedDocument> {
    let Some(text) = element.text_of(name) else { return Ok(None) };
    match text.trim().parse() {
        Ok(value) => Ok(Some(value)),
        Err(_) if text.trim().is_empty() => Ok(None),
        Err(_) => Err(UnexpectedDocument::Value { name, value: text.to_owned() }),
    }
}

fn optional_boolean(element: &Element, name: &'static str) -> Result<Option<bool>, UnexpectedDocument> {
    match element.text_of(name).map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(text) => Err(UnexpectedDocument::Value { name, value: text.to_owned() }),
    }
}

/// As the service and the SDKs write it.
fn boolean(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(dead_letter_queue: Option<&str>) -> SubscriptionAttributes {
        SubscriptionAttributes {
            endpoint: "http://127.0.0.1:8080/a?b&c".to_owned(),
            filter_tag: "important".to_owned(),
            notify_strategy: NotifyStrategy::ExponentialDecayRetry,
            notify_content_format: ContentFormat::Simplified,
            dead_letter_queue: dead_letter_queue.map(str::to_owned),
        }
    }

    fn again(element: &Element) -> Element {
        Element::parse(element.document().as_bytes()).unwrap()
    }

    #[test]
    fn every_document_reads_back_as_it_was_written() {
        let topic = Topic {
            name: "MyTopic1".to_owned(),
            maximum_message_size: 65_536,
            message_retention_period: 86_400,
            message_count: 3,
            logging_enabled: true,
            create_time: 1_463_476_256,
            last_modify_time: 1_463_476_257,
        };
        assert_eq!(Topic::of_element(&again(&topic.to_element())).unwrap(), topic);
        for queue in [None, Some("dead")] {
            let subscription = Subscription {
                name: "MyTopic1-Sub1".to_owned(),
                topic_name: "MyTopic1".to_owned(),
                topic_owner: "1269128356620446".to_owned(),
                subscriber: "1269128356620446".to_owned(),
                attributes: attributes(queue),
                create_time: 1,
                last_modify_time: 2,
            };
            assert_eq!(Subscription::of_element(&again(&subscription.to_element())).unwrap(), subscription);
            let change = SubscriptionChange {
                notify_strategy: Some(NotifyStrategy::BackoffRetry),
                dead_letter_queue: queue.map(str::to_owned),
            };
            assert_eq!(SubscriptionChange::of_element(&again(&change.to_element())).unwrap(), change);
            let asked = attributes(queue);
            assert_eq!(SubscriptionAttributes::of_element(&again(&asked.to_element())).unwrap(), asked);
        }
        let error = ApiError {
            code: "TopicNotExist".to_owned(),
            message: "The topic you provided does not exist.".to_owned(),
            request_id: "573AE020B2B71CFC6801A6EF".to_owned(),
            host_id: "http://1888287682739631.mns.cn-hangzhou.aliyuncs.com".to_owned(),
        };
        assert_eq!(ApiError::of_element(&again(&error.to_element())).unwrap(), error);
    }

    #[test]
    fn what_a_request_leaves_out_has_the_services_default() {
        let empty = Element::parse(b"<Topic xmlns=\"http://mns.aliyuncs.com/doc/v1/\"></Topic>").unwrap();
        assert_eq!(TopicAttributes::of_element(&empty).unwrap(), TopicAttributes::default());
        let bare = Element::parse(b"<Subscription><Endpoint>http://a/</Endpoint><FilterTag/></Subscription>").unwrap();
        let bare = SubscriptionAttributes::of_element(&bare).unwrap();
        assert_eq!(
            (bare.notify_strategy, bare.notify_content_format),
            (NotifyStrategy::BackoffRetry, ContentFormat::Xml)
        );
    }

    #[test]
    fn a_dead_letter_queue_is_none_while_it_is_switched_off() {
        for (enabled, of_change, of_attributes) in
            [("true", Some("q"), Some("q")), ("", Some("q"), Some("q")), ("False", Some(""), None)]
        {
            let policy = format!(
                "<DlqPolicy><Enabled>{enabled}</Enabled><DeadLetterTargetQueue>q</DeadLetterTargetQueue></DlqPolicy>"
            );
            let text = format!("<Subscription><Endpoint>http://a/</Endpoint>{policy}</Subscription>");
            let element = Element::parse(text.as_bytes()).unwrap();
            let change = SubscriptionChange::of_element(&element).unwrap();
            assert_eq!(change.dead_letter_queue.as_deref(), of_change);
            let attributes = SubscriptionAttributes::of_element(&element).unwrap();
            assert_eq!(attributes.dead_letter_queue.as_deref(), of_attributes);
        }
    }

    #[test]
    fn values_that_are_none_are_named() {
        let of = |text: &str| SubscriptionAttributes::of_element(&Element::parse(text.as_bytes()).unwrap());
        assert_eq!(of("<Subscription/>"), Err(UnexpectedDocument::Missing("Endpoint")));
        let strategy = "<Subscription><Endpoint>e</Endpoint><NotifyStrategy>NEVER</NotifyStrategy></Subscription>";
        let value = || "NEVER".to_owned();
        assert_eq!(of(strategy), Err(UnexpectedDocument::Value { name: "NotifyStrategy", value: value() }));
        let size = Element::parse(b"<Topic><MaximumMessageSize>big</MaximumMessageSize></Topic>").unwrap();
        assert!(matches!(
            TopicAttributes::of_element(&size),
            Err(UnexpectedDocument::Value { name: "MaximumMessageSize", .. })
        ));
        assert!(matches!(of("<Topic/>"), Err(UnexpectedDocument::Root { .. })));
    }
}
