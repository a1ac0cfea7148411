//! The client of the REST API, over real sockets, against a service with scripted answers.

use std::sync::Arc;

use mns_endpoint::client::{Base, Client, ClientError, Created, EndlessList};
use mns_endpoint::clock::SystemClock;
use mns_endpoint::mns::api::{NotifyStrategy, SubscriptionAttributes, TopicAttributes};
use mns_endpoint::mns::{AccessKey, Authorization, ContentFormat, Element};

use crate::support::ApiHost;

const ERROR: &str = "<?xml version=\"1.0\"?>\n<Error xmlns=\"http://mns.aliyuncs.com/doc/v1\">\n  \
    <Code>TopicNotExist</Code>\n  <Message>The topic you provided does not exist.</Message>\n  \
    <RequestId>573AE020B2B71CFC6801A6EF</RequestId>\n  \
    <HostId>http://1.mns.cn-hangzhou.aliyuncs.com</HostId>\n</Error>\n";

fn key() -> AccessKey {
    AccessKey {
        id: "emulator".to_owned(),
        secret: "hush".to_owned(),
    }
}

fn client(host: &ApiHost, token: Option<&str>) -> Client {
    let base = Base::parse(&format!("http://{}", host.address)).unwrap();
    Client::new(base, key(), token.map(str::to_owned), Arc::new(SystemClock)).unwrap()
}

/// The method and the target of each request. All must be signed and have the headers that every
/// request has.
#[track_caller]
fn asked(host: &ApiHost) -> Vec<String> {
    let told = host.requests().into_iter().map(|request| {
        let authorization =
            Authorization::parse(request.headers()["authorization"].as_bytes()).unwrap();
        assert!(key().authorized(&request, &authorization), "{request:?}");
        assert_eq!(request.headers()["x-mns-version"], "2015-06-06");
        assert_eq!(request.headers()["host"], host.address.to_string());
        assert_eq!(
            request.headers()["content-length"],
            request.body().len().to_string()
        );
        format!("{} {}", request.method(), request.uri())
    });
    told.collect()
}

#[tokio::test]
async fn topics_and_subscriptions_are_created_as_the_api_requires() {
    let host = ApiHost::start(&[
        ("201 Created", ""),
        ("204 No Content", ""),
        ("201 Created", ""),
        ("204 No Content", ""),
    ]);
    let client = client(&host, None);
    let topic = TopicAttributes {
        maximum_message_size: Some(1024),
        logging_enabled: Some(true),
    };
    assert_eq!(
        client.create_topic("MyTopic1", &topic).await.unwrap(),
        Created::New
    );
    assert_eq!(
        client.create_topic("MyTopic1", &topic).await.unwrap(),
        Created::Unchanged
    );
    let attributes = SubscriptionAttributes {
        endpoint: "http://example.test/notifications?a&b".to_owned(),
        filter_tag: String::new(),
        notify_strategy: NotifyStrategy::ExponentialDecayRetry,
        notify_content_format: ContentFormat::Json,
        dead_letter_queue: None,
    };
    assert_eq!(
        client
            .subscribe("MyTopic1", "Sub1", &attributes)
            .await
            .unwrap(),
        Created::New
    );
    client
        .set_topic("MyTopic1", &TopicAttributes::default())
        .await
        .unwrap();
    assert_eq!(
        asked(&host),
        [
            "PUT /topics/MyTopic1",
            "PUT /topics/MyTopic1",
            "PUT /topics/MyTopic1/subscriptions/Sub1",
            "PUT /topics/MyTopic1?metaoverride=true"
        ]
    );
    let bodies: Vec<Element> = host
        .requests()
        .iter()
        .map(|request| Element::parse(request.body()).unwrap())
        .collect();
    assert_eq!(TopicAttributes::of_element(&bodies[0]).unwrap(), topic);
    assert_eq!(
        SubscriptionAttributes::of_element(&bodies[2]).unwrap(),
        attributes
    );
}

#[tokio::test]
async fn lists_are_read_page_after_page() {
    let page = |names: [&str; 2], marker: &str| {
        let urls = names.map(|name| {
            let url = format!("http://1.mns.cn-hangzhou.aliyuncs.com/topics/{name}");
            Element::of_children("Topic", vec![Element::of_text("TopicURL", url)])
        });
        let marker = (!marker.is_empty()).then(|| Element::of_text("NextMarker", marker));
        Element::of_children("Topics", urls.into_iter().chain(marker).collect()).document()
    };
    let (first, second) = (page(["a1", "a2"], "mark=1"), page(["a3", "a4"], ""));
    let host = ApiHost::start(&[("200 OK", &first), ("200 OK", &second)]);
    assert_eq!(
        client(&host, None).topics("a").await.unwrap(),
        ["a1", "a2", "a3", "a4"]
    );
    assert_eq!(asked(&host), ["GET /topics", "GET /topics"]);
    let requests = host.requests();
    assert!(
        requests
            .iter()
            .all(|request| request.headers()["x-mns-prefix"] == "a")
    );
    assert!(!requests[0].headers().contains_key("x-mns-marker"));
    assert_eq!(requests[1].headers()["x-mns-marker"], "mark=1");
}

/// A page of a list with one name and the marker of the next.
fn page_with(marker: &str) -> String {
    let topic = Element::of_children(
        "Topic",
        vec![Element::of_text(
            "TopicURL",
            format!("http://h/topics/{marker}"),
        )],
    );
    let subscription = Element::of_text(
        "SubscriptionURL",
        format!("http://h/topics/T/subscriptions/{marker}"),
    );
    let subscription = Element::of_children("Subscription", vec![subscription]);
    Element::of_children(
        "Topics",
        vec![topic, subscription, Element::of_text("NextMarker", marker)],
    )
    .document()
}

#[tokio::test]
async fn a_list_whose_markers_repeat_ends() {
    for circle in [vec!["a"], vec!["a", "b"], vec!["a", "b", "c"]] {
        let pages: Vec<String> = circle
            .iter()
            .cycle()
            .take(50)
            .map(|marker| page_with(marker))
            .collect();
        let answers: Vec<(&str, &str)> =
            pages.iter().map(|page| ("200 OK", page.as_str())).collect();
        for is_topics in [true, false] {
            let host = ApiHost::start(&answers);
            let client = client(&host, None);
            let listed = if is_topics {
                client.topics("").await
            } else {
                client.subscriptions("T", "").await
            };
            let ended = listed.unwrap_err();
            assert!(
                matches!(ended, ClientError::Endless(EndlessList::SameMarker(_))),
                "{ended}"
            );
            assert_eq!(
                host.requests().len(),
                circle.len() + 1,
                "each page once, and the one that shows the circle"
            );
        }
    }
}

#[tokio::test]
async fn a_list_of_ever_new_markers_ends() {
    let pages: Vec<String> = (0..1100)
        .map(|number| page_with(&format!("m{number}")))
        .collect();
    let answers: Vec<(&str, &str)> = pages.iter().map(|page| ("200 OK", page.as_str())).collect();
    let host = ApiHost::start(&answers);
    let ended = client(&host, None).topics("").await.unwrap_err();
    assert!(
        matches!(ended, ClientError::Endless(EndlessList::TooManyPages)),
        "{ended}"
    );
    assert_eq!(host.requests().len(), 1000);
}

#[tokio::test]
async fn the_names_of_a_list_are_bounded() {
    let long = "n".repeat(3 * 1024 * 1024);
    let pages: Vec<String> = (0..30)
        .map(|number| {
            let url = Element::of_text("TopicURL", format!("http://h/topics/{long}"));
            let topic = Element::of_children("Topic", vec![url]);
            Element::of_children(
                "Topics",
                vec![topic, Element::of_text("NextMarker", format!("{number}"))],
            )
            .document()
        })
        .collect();
    let answers: Vec<(&str, &str)> = pages.iter().map(|page| ("200 OK", page.as_str())).collect();
    let host = ApiHost::start(&answers);
    let ended = client(&host, None).topics("").await.unwrap_err();
    assert!(
        matches!(ended, ClientError::Endless(EndlessList::TooManyNames)),
        "{ended}"
    );
    assert_eq!(host.requests().len(), 22, "64 MiB of names");
}

#[tokio::test]
async fn a_message_is_published_once_and_its_id_is_returned() {
    let answer = Element::of_children(
        "Message",
        vec![
            Element::of_text("MessageId", "ABC"),
            Element::of_text("MessageBodyMD5", "5EB63BBBE01EEED093CB22BB8F5ACDC3"),
        ],
    );
    let host = ApiHost::start(&[
        ("201 Created", &answer.document()),
        ("500 Internal Server Error", ""),
    ]);
    let client = client(&host, None);
    assert_eq!(
        client
            .publish("T", "a<b", "important")
            .await
            .unwrap()
            .message_id,
        "ABC"
    );
    assert!(matches!(
        client.publish("T", "again", "").await,
        Err(ClientError::Foreign(500))
    ));
    assert_eq!(
        asked(&host),
        ["POST /topics/T/messages", "POST /topics/T/messages"]
    );
    let message = Element::parse(host.requests()[0].body()).unwrap();
    assert_eq!(
        (
            message.text_of("MessageBody"),
            message.text_of("MessageTag")
        ),
        (Some("a<b"), Some("important"))
    );
}

#[tokio::test]
async fn transport_errors_are_retried_and_refusals_are_not() {
    let host = ApiHost::start(&[
        ("", ""),
        ("503 Service Unavailable", "<html>"),
        ("404 Not Found", ERROR),
    ]);
    let error = client(&host, None).topic("Gone").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "404 TopicNotExist: The topic you provided does not exist. (request \
         573AE020B2B71CFC6801A6EF)"
    );
    assert_eq!(asked(&host), ["GET /topics/Gone"; 3]);
    let host = ApiHost::start(&[("502 Bad Gateway", "<html>"); 4]);
    assert!(matches!(
        client(&host, None).delete_topic("T").await,
        Err(ClientError::Foreign(502))
    ));
    assert_eq!(asked(&host).len(), 4, "one try and three more");
}

#[tokio::test]
async fn a_security_token_is_sent_and_not_signed() {
    let host = ApiHost::start(&[("204 No Content", "")]);
    client(&host, Some("token"))
        .unsubscribe("T", "S")
        .await
        .unwrap();
    assert_eq!(asked(&host), ["DELETE /topics/T/subscriptions/S"]);
    assert_eq!(host.requests()[0].headers()["security-token"], "token");
}

#[test]
fn an_address_of_the_api_has_no_path() {
    for text in [
        "http://1.mns.cn-hangzhou.aliyuncs.com",
        "http://127.0.0.1:9000/",
        "https://a.example",
    ] {
        assert!(Base::parse(text).is_ok(), "{text}");
    }
    for text in [
        "",
        "a.example",
        "ftp://a.example",
        "http://a.example/topics",
        "http://u@a.example",
        "http://a.example/?x",
    ] {
        assert!(Base::parse(text).is_err(), "{text}");
    }
}
