//! Round trips of every document, and values that are rejected.

use crate::mns::api::{
    ApiError, NotifyStrategy, Subscription, SubscriptionAttributes, SubscriptionChange, Topic,
    TopicAttributes, UnexpectedDocument,
};
use crate::mns::{ContentFormat, Element};

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
    assert_eq!(
        Topic::of_element(&again(&topic.to_element())).unwrap(),
        topic
    );
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
        assert_eq!(
            Subscription::of_element(&again(&subscription.to_element())).unwrap(),
            subscription
        );
        let change = SubscriptionChange {
            notify_strategy: Some(NotifyStrategy::BackoffRetry),
            dead_letter_queue: queue.map(str::to_owned),
        };
        assert_eq!(
            SubscriptionChange::of_element(&again(&change.to_element())).unwrap(),
            change
        );
        let asked = attributes(queue);
        assert_eq!(
            SubscriptionAttributes::of_element(&again(&asked.to_element())).unwrap(),
            asked
        );
    }
    let error = ApiError {
        code: "TopicNotExist".to_owned(),
        message: "The topic you provided does not exist.".to_owned(),
        request_id: "573AE020B2B71CFC6801A6EF".to_owned(),
        host_id: "http://1888287682739631.mns.cn-hangzhou.aliyuncs.com".to_owned(),
    };
    assert_eq!(
        ApiError::of_element(&again(&error.to_element())).unwrap(),
        error
    );
}

#[test]
fn what_a_request_leaves_out_has_the_services_default() {
    let empty =
        Element::parse(b"<Topic xmlns=\"http://mns.aliyuncs.com/doc/v1/\"></Topic>").unwrap();
    assert_eq!(
        TopicAttributes::of_element(&empty).unwrap(),
        TopicAttributes::default()
    );
    let bare =
        Element::parse(b"<Subscription><Endpoint>http://a/</Endpoint><FilterTag/></Subscription>")
            .unwrap();
    let bare = SubscriptionAttributes::of_element(&bare).unwrap();
    assert_eq!(
        (bare.notify_strategy, bare.notify_content_format),
        (NotifyStrategy::BackoffRetry, ContentFormat::Xml)
    );
}

#[test]
fn a_disabled_dead_letter_policy_names_no_queue() {
    for (enabled, of_change, of_attributes) in [
        ("true", Some("q"), Some("q")),
        ("", Some("q"), Some("q")),
        ("False", Some(""), None),
    ] {
        let queue = "<DeadLetterTargetQueue>q</DeadLetterTargetQueue>";
        let policy = format!("<DlqPolicy><Enabled>{enabled}</Enabled>{queue}</DlqPolicy>");
        let text = format!("<Subscription><Endpoint>http://a/</Endpoint>{policy}</Subscription>");
        let element = Element::parse(text.as_bytes()).unwrap();
        let change = SubscriptionChange::of_element(&element).unwrap();
        assert_eq!(change.dead_letter_queue.as_deref(), of_change);
        let attributes = SubscriptionAttributes::of_element(&element).unwrap();
        assert_eq!(attributes.dead_letter_queue.as_deref(), of_attributes);
    }
}

#[test]
fn a_subscription_without_a_tag_is_requested_without_the_element() {
    let names = |filter_tag: &str| {
        let asked = SubscriptionAttributes {
            filter_tag: filter_tag.to_owned(),
            ..attributes(None)
        };
        asked
            .to_element()
            .children
            .into_iter()
            .map(|child| child.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names("a"),
        [
            "Endpoint",
            "FilterTag",
            "NotifyStrategy",
            "NotifyContentFormat"
        ]
    );
    assert_eq!(
        names(""),
        ["Endpoint", "NotifyStrategy", "NotifyContentFormat"]
    );
}

#[test]
fn a_text_with_elements_inside_is_rejected() {
    for (name, text) in [
        (
            "FilterTag",
            "<Endpoint>http://a/</Endpoint><FilterTag>a<b/></FilterTag>",
        ),
        ("Endpoint", "<Endpoint><b>http://a/</b></Endpoint>"),
        (
            "NotifyStrategy",
            "<Endpoint>e</Endpoint><NotifyStrategy><b/></NotifyStrategy>",
        ),
        (
            "Enabled",
            "<Endpoint>e</Endpoint><DlqPolicy><Enabled><b/></Enabled></DlqPolicy>",
        ),
        (
            "DeadLetterTargetQueue",
            concat!(
                "<Endpoint>e</Endpoint><DlqPolicy>",
                "<DeadLetterTargetQueue>q<b/></DeadLetterTargetQueue></DlqPolicy>",
            ),
        ),
    ] {
        let element =
            Element::parse(format!("<Subscription>{text}</Subscription>").as_bytes()).unwrap();
        assert_eq!(
            SubscriptionAttributes::of_element(&element),
            Err(UnexpectedDocument::Nested(name))
        );
    }
    let topic =
        Element::parse(b"<Topic><LoggingEnabled>true<b/></LoggingEnabled></Topic>").unwrap();
    assert_eq!(
        TopicAttributes::of_element(&topic),
        Err(UnexpectedDocument::Nested("LoggingEnabled"))
    );
}

#[test]
fn invalid_values_are_named() {
    let of =
        |text: &str| SubscriptionAttributes::of_element(&Element::parse(text.as_bytes()).unwrap());
    assert_eq!(
        of("<Subscription/>"),
        Err(UnexpectedDocument::Missing("Endpoint"))
    );
    let strategy =
        "<Subscription><Endpoint>e</Endpoint><NotifyStrategy>NEVER</NotifyStrategy></Subscription>";
    let value = || "NEVER".to_owned();
    assert_eq!(
        of(strategy),
        Err(UnexpectedDocument::Value {
            name: "NotifyStrategy",
            value: value()
        })
    );
    let size =
        Element::parse(b"<Topic><MaximumMessageSize>big</MaximumMessageSize></Topic>").unwrap();
    assert!(matches!(
        TopicAttributes::of_element(&size),
        Err(UnexpectedDocument::Value {
            name: "MaximumMessageSize",
            ..
        })
    ));
    assert!(matches!(
        of("<Topic/>"),
        Err(UnexpectedDocument::Root { .. })
    ));
}
