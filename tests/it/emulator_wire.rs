//! The emulator on the wire, byte for byte: its answers and its pushes, as third-party clients read
//! them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use mns_endpoint::clock::{Clock as _, SystemClock};
use mns_endpoint::mns::ContentFormat;
use mns_endpoint::mns::api::{NotifyStrategy, SubscriptionAttributes};

use crate::support::{LocalMns, read_request, send, to};

const HOST: &str = "1888287682739631.mns.cn-hangzhou.aliyuncs.com";

/// An answer as received.
struct Answer {
    status: u16,
    /// The lines of the head after the status: name and value.
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    /// The value of the header with exactly this spelling, as the vendor's Java SDK looks it up.
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Sends a request on a new connection. `request` is a method and a target, followed by further
/// lines of the head.
fn ask(mns: &LocalMns, request: &str, body: &str) -> Answer {
    let (line, more) = request
        .split_once("\r\n")
        .map_or((request, String::new()), |(line, more)| {
            (line, format!("{more}\r\n"))
        });
    let host = if more.contains("host: ") {
        String::new()
    } else {
        format!("host: {HOST}\r\n")
    };
    let head = format!(
        "{line} HTTP/1.1\r\n{host}{more}x-mns-version: 2015-06-06\r\nconnection: \
         close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut whole = String::new();
    send(mns.bound(), &[head.as_bytes(), body.as_bytes()].concat())
        .read_to_string(&mut whole)
        .unwrap();
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    let (status, lines) = head.split_once("\r\n").unwrap();
    let headers = lines
        .split("\r\n")
        .map(|line| line.split_once(':').unwrap());
    Answer {
        status: status.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect(),
        body: body.to_owned(),
    }
}

/// An answer of each kind: request, body, status.
const EACH_KIND: [(&str, &str, u16); 10] = [
    ("PUT /topics/T", "<Topic/>", 201),
    ("PUT /topics/T", "<Topic/>", 204),
    ("PUT /topics/T?metaoverride=true", "<Topic/>", 204),
    (
        "PUT /topics/T/subscriptions/S",
        "<Subscription><Endpoint>mail:directmail:a@b</Endpoint></Subscription>",
        201,
    ),
    (
        "PUT /topics/T/subscriptions/S",
        "<Subscription><Endpoint>mail:directmail:a@b</Endpoint></Subscription>",
        204,
    ),
    ("GET /topics/T", "", 200),
    (
        "POST /topics/T/messages",
        "<Message><MessageBody>m</MessageBody></Message>",
        201,
    ),
    ("DELETE /topics/X", "", 204),
    ("GET /topics/X", "", 404),
    ("PUT /topics/T", "<Topic", 400),
];

#[test]
fn header_names_of_answers_are_spelled_as_the_service_spells_them() {
    let mns = LocalMns::start(&["--no-auth"]);
    let others = [
        ("GET /status", "", 200),
        ("GET /topics\r\nhost: evil.example", "", 421),
    ];
    for (request, body, status) in EACH_KIND.into_iter().chain(others) {
        let answer = ask(&mns, request, body);
        assert_eq!(answer.status, status, "{request}");
        for (name, _) in &answer.headers {
            let known = [
                "Server",
                "Date",
                "Content-Type",
                "Content-Length",
                "Location",
                "Connection",
            ];
            let is_own = name.starts_with("x-mns-") && *name == name.to_lowercase();
            assert!(
                is_own || known.contains(&name.as_str()),
                "{request}: {name}"
            );
        }
        assert!(answer.header("Date").is_some(), "{request}");
        let is_api = !request.contains("/status") && status != 421;
        assert_eq!(
            answer.header("x-mns-request-id").is_some(),
            is_api,
            "{request}"
        );
        let makes = request.starts_with("PUT") && !request.contains('?') && status < 300;
        assert_eq!(answer.header("Location").is_some(), makes, "{request}");
    }
}

#[test]
fn the_answer_to_a_publish_has_208_bytes() {
    let mns = LocalMns::start(&["--no-auth"]);
    ask(&mns, "PUT /topics/T", "<Topic/>");
    let answer = ask(
        &mns,
        "POST /topics/T/messages",
        "<Message><MessageBody>m</MessageBody></Message>",
    );
    assert_eq!(
        (
            answer.status,
            answer.header("Content-Length"),
            answer.body.len()
        ),
        (201, Some("208"), 208)
    );
    assert!(
        answer
            .body
            .starts_with("<?xml version=\"1.0\" ?>\n<Message ")
            && answer.body.ends_with("\n</Message>")
    );
}

#[test]
fn a_wrong_content_md5_is_refused_in_the_words_of_the_service() {
    let mns = LocalMns::start(&["--no-auth"]);
    let answer = ask(
        &mns,
        "GET /topics\r\ncontent-md5: AAAAAAAAAAAAAAAAAAAAAA==",
        "",
    );
    assert_eq!(answer.status, 400);
    let told = "<Code>InvalidDigest</Code>\n  <Message>The Content-MD5 you specified is \
        invalid.</Message>\n  <RequestId>";
    assert!(answer.body.contains(told), "{}", answer.body);
}

#[test]
fn a_name_that_clients_encode_is_checked_before_the_signature() {
    let mns = LocalMns::start(&[]);
    for (target, code) in [
        ("/topics/My%20Topic", "TopicNameInvalid"),
        ("/topics/%E4%B8%AD%E6%96%87", "TopicNameInvalid"),
        ("/topics/\u{4e2d}\u{6587}", "TopicNameInvalid"),
        ("/topics/My%20Topic/messages", "TopicNameInvalid"),
        ("/topics/T/subscriptions/a%20b", "SubscriptionNameInvalid"),
        ("/topics/T", "SignatureDoesNotMatch"),
    ] {
        let signed = "date: DATE\r\nauthorization: MNS emulator:YTpi";
        let signed = signed.replace("DATE", &httpdate::fmt_http_date(SystemClock.now()));
        let answer = ask(&mns, &format!("PUT {target}\r\n{signed}"), "<Topic/>");
        assert!(
            answer.body.contains(&format!("<Code>{code}</Code>")),
            "{target}: {}",
            answer.body
        );
    }
}

#[test]
fn a_client_whose_host_is_fixed_reaches_it_through_http_proxy() {
    let mns = LocalMns::start(&["--no-auth"]);
    let answer = ask(&mns, &format!("PUT http://{HOST}/topics/T"), "<Topic/>");
    assert_eq!(
        (answer.status, answer.header("Location")),
        (201, Some(format!("http://{HOST}/topics/T").as_str()))
    );
    assert_eq!(
        ask(&mns, &format!("GET http://{HOST}/topics/T"), "").status,
        200
    );
    assert_eq!(
        ask(
            &mns,
            "GET http://evil.example/topics/T\r\nhost: evil.example",
            ""
        )
        .status,
        421
    );
}

#[tokio::test]
async fn header_names_of_pushes_are_spelled_as_in_the_capture_of_2024() {
    let mns = LocalMns::start(&[]);
    let client = mns.client();
    client.create_topic("T", &Default::default()).await.unwrap();
    for format in [
        ContentFormat::Xml,
        ContentFormat::Json,
        ContentFormat::Simplified,
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let attributes = SubscriptionAttributes {
            notify_content_format: format,
            ..to(&endpoint, NotifyStrategy::BackoffRetry)
        };
        client.subscribe("T", "S", &attributes).await.unwrap();
        client.publish("T", "m", "tag").await.unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let request = String::from_utf8(read_request(&mut stream)).unwrap();
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .unwrap();
        let names = request
            .split("\r\n\r\n")
            .next()
            .unwrap()
            .split("\r\n")
            .skip(1);
        let names: Vec<&str> = names.map(|line| line.split_once(':').unwrap().0).collect();
        let attributes = [
            "x-mns-topic-owner",
            "x-mns-topic-name",
            "x-mns-subscriber",
            "x-mns-subscription-name",
            "x-mns-publish-time",
            "x-mns-message-tag",
        ];
        let is_simplified = format == ContentFormat::Simplified;
        let mut expected = vec!["Connection"];
        expected.extend(is_simplified.then_some("x-mns-message-id"));
        expected.extend(["Content-Type", "Content-md5"]);
        expected.extend(attributes.into_iter().filter(|_| is_simplified));
        expected.extend([
            "x-mns-request-id",
            "Date",
            "x-mns-version",
            "User-Agent",
            "x-mns-signing-cert-url",
        ]);
        expected.extend(["Authorization", "Host", "Content-length", "Accept"]);
        assert_eq!(names, expected, "{format}");
        client.unsubscribe("T", "S").await.unwrap();
    }
}
