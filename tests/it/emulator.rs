//! The emulator's API: its answers, its refusals, and its start.

use mns_endpoint::client::{ClientError, Created};
use mns_endpoint::mns::api::{
    NotifyStrategy, SubscriptionAttributes, SubscriptionChange, TopicAttributes,
};
use mns_endpoint::mns::{ContentFormat, ContentMd5, Element};

use crate::support::{Ended, LocalMns, data, exchange, run, to};

const BACKOFF: NotifyStrategy = NotifyStrategy::BackoffRetry;

fn code<T: std::fmt::Debug>(outcome: Result<T, ClientError>) -> (u16, String) {
    match outcome {
        Err(ClientError::Refused { status, error }) => {
            assert!(
                !error.message.is_empty() && error.host_id.starts_with("http://127.0.0.1:"),
                "{error:?}"
            );
            assert!(
                error.request_id.len() == 24
                    && error
                        .request_id
                        .bytes()
                        .all(|byte| byte.is_ascii_hexdigit())
            );
            (status, error.code)
        }
        other => panic!("not refused: {other:?}"),
    }
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn topics_are_made_changed_listed_and_deleted() {
    let mns = LocalMns::start(&[]);
    let client = mns.client();
    let (none, small) = (
        TopicAttributes::default(),
        TopicAttributes {
            maximum_message_size: Some(1024),
            logging_enabled: None,
        },
    );
    assert_eq!(client.create_topic("T", &none).await.unwrap(), Created::New);
    assert_eq!(
        client.create_topic("T", &none).await.unwrap(),
        Created::Unchanged
    );
    assert_eq!(
        code(client.create_topic("T", &small).await),
        refused(409, "TopicAlreadyExist")
    );
    client.set_topic("T", &small).await.unwrap();
    let topic = client.topic("T").await.unwrap();
    assert_eq!(
        (
            topic.maximum_message_size,
            topic.logging_enabled,
            topic.message_retention_period
        ),
        (1024, false, 86_400)
    );
    assert!(topic.create_time > 1_700_000_000 && topic.last_modify_time >= topic.create_time);
    client.publish("T", &"x".repeat(1024), "").await.unwrap();
    assert_eq!(
        code(client.publish("T", &"x".repeat(1025), "").await),
        refused(400, "InvalidArgument")
    );
    for name in ["A1", "A2", "B1"] {
        client.create_topic(name, &none).await.unwrap();
    }
    assert_eq!(client.topics("").await.unwrap(), ["A1", "A2", "B1", "T"]);
    assert_eq!(client.topics("A").await.unwrap(), ["A1", "A2"]);
    client.delete_topic("T").await.unwrap();
    client.delete_topic("T").await.unwrap();
    assert_eq!(code(client.topic("T").await), refused(404, "TopicNotExist"));
    assert_eq!(
        code(client.set_topic("T", &none).await),
        refused(404, "TopicNotExist")
    );
    assert_eq!(
        code(client.publish("T", "m", "").await),
        refused(404, "TopicNotExist")
    );
    assert_eq!(
        code(
            client
                .subscribe("T", "S", &to("http://a.example", BACKOFF))
                .await
        ),
        refused(404, "TopicNotExist")
    );
    for (size, status) in [(1023, 400), (65_537, 400)] {
        let attributes = TopicAttributes {
            maximum_message_size: Some(size),
            logging_enabled: None,
        };
        assert_eq!(
            code(client.create_topic("N", &attributes).await),
            refused(status, "InvalidArgument")
        );
    }
    assert_eq!(
        code(client.create_topic("a_b", &none).await),
        refused(400, "TopicNameInvalid")
    );
    assert_eq!(
        code(client.create_topic(&"x".repeat(256), &none).await),
        refused(400, "TopicNameLengthError")
    );
}

#[tokio::test]
async fn subscriptions_are_made_changed_listed_and_deleted() {
    let mns = LocalMns::start(&["--account-id", "42"]);
    let client = mns.client();
    client
        .create_topic("T", &TopicAttributes::default())
        .await
        .unwrap();
    let attributes = SubscriptionAttributes {
        filter_tag: "tag".to_owned(),
        notify_content_format: ContentFormat::Json,
        ..to("http://a.example/b?c=d&e", BACKOFF)
    };
    assert_eq!(
        client.subscribe("T", "S", &attributes).await.unwrap(),
        Created::New
    );
    assert_eq!(
        client.subscribe("T", "S", &attributes).await.unwrap(),
        Created::Unchanged
    );
    let other = SubscriptionAttributes {
        filter_tag: String::new(),
        ..attributes.clone()
    };
    assert_eq!(
        code(client.subscribe("T", "S", &other).await),
        refused(409, "SubscriptionAlreadyExist")
    );
    let change = SubscriptionChange {
        notify_strategy: Some(NotifyStrategy::ExponentialDecayRetry),
        dead_letter_queue: Some("dead".to_owned()),
    };
    client.set_subscription("T", "S", &change).await.unwrap();
    let found = client.subscription("T", "S").await.unwrap();
    assert_eq!(
        (found.topic_owner.as_str(), found.subscriber.as_str()),
        ("42", "42")
    );
    let changed = SubscriptionAttributes {
        notify_strategy: NotifyStrategy::ExponentialDecayRetry,
        dead_letter_queue: Some("dead".to_owned()),
        ..attributes
    };
    assert_eq!(found.attributes, changed);
    let off = SubscriptionChange {
        notify_strategy: None,
        dead_letter_queue: Some(String::new()),
    };
    client.set_subscription("T", "S", &off).await.unwrap();
    assert_eq!(
        client
            .subscription("T", "S")
            .await
            .unwrap()
            .attributes
            .dead_letter_queue,
        None
    );
    for name in ["S2", "S3"] {
        client
            .subscribe("T", name, &to("acs:mns:cn-hangzhou:42:queues/q", BACKOFF))
            .await
            .unwrap();
    }
    assert_eq!(
        client.subscriptions("T", "").await.unwrap(),
        ["S", "S2", "S3"]
    );
    client.unsubscribe("T", "S").await.unwrap();
    client.unsubscribe("T", "S").await.unwrap();
    assert_eq!(client.subscriptions("T", "").await.unwrap(), ["S2", "S3"]);
    assert_eq!(
        code(client.subscription("T", "S").await),
        refused(404, "SubscriptionNotExist")
    );
    assert_eq!(
        code(client.set_subscription("T", "S", &change).await),
        refused(404, "SubscriptionNotExist")
    );
    assert_eq!(
        code(client.subscribe("T", "X", &to("ftp://a", BACKOFF)).await),
        refused(400, "EndpointInvalid")
    );
    assert_eq!(
        code(client.subscribe("T", "a_b", &to("http://a", BACKOFF)).await),
        refused(400, "SubscriptionNameInvalid")
    );
    let long_tag = SubscriptionAttributes {
        filter_tag: "12345678901234567".to_owned(),
        ..to("http://a", BACKOFF)
    };
    assert_eq!(
        code(client.subscribe("T", "X", &long_tag).await),
        refused(400, "InvalidArgument")
    );
    // A message for a queue is not stored.
    client.publish("T", "m", "").await.unwrap();
    assert_eq!(client.topic("T").await.unwrap().message_count, 0);
    client.delete_topic("T").await.unwrap();
    client
        .create_topic("T", &TopicAttributes::default())
        .await
        .unwrap();
    assert_eq!(
        client.subscriptions("T", "").await.unwrap(),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn only_the_owner_of_the_key_is_served() {
    let mns = LocalMns::start(&["--access-key", "id:secret"]);
    assert_eq!(
        code(mns.client().topics("").await),
        refused(403, "InvalidAccessKeyId")
    );
    assert_eq!(
        code(mns.client_with("id", "other").topics("").await),
        refused(403, "SignatureDoesNotMatch")
    );
    assert_eq!(
        mns.client_with("id", "secret").topics("").await.unwrap(),
        Vec::<String>::new()
    );
    let open = LocalMns::start(&["--no-auth"]);
    assert_eq!(
        open.client_with("any", "thing").topics("").await.unwrap(),
        Vec::<String>::new()
    );
}

#[test]
fn a_client_that_signs_with_version_4_is_served_like_one_with_version_2() {
    let mns = LocalMns::start(&["--access-key", "id:secret"]);
    let run = |args: &[&str], secret: &str, host: Option<&str>| {
        let mut command = crate::support::program();
        command.args(args).args(["--sign-version", "4"]);
        command.env(
            "MNS_ACCOUNT_ENDPOINT",
            host.unwrap_or(&format!("http://{}", mns.address)),
        );
        command.env("http_proxy", format!("http://{}", mns.address));
        command
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret);
        crate::support::finish(&mut command, b"")
    };
    run(&["topic", "create", "T"], "secret", None).assert(0, "Create Topic Succeed!");
    run(
        &["subscription", "create", "http://127.0.0.1:9", "T", "S"],
        "secret",
        None,
    )
    .assert(0, "Succeed!");
    run(
        &["subscription", "update", "T", "S", "--dlq", "Q"],
        "secret",
        None,
    )
    .assert(0, "Succeed!");
    run(&["subscription", "show", "T", "S"], "secret", None)
        .assert(0, "DeadLetterTargetQueue         : Q");
    run(&["subscription", "show", "T", "S"], "secret", None)
        .assert(0, "\nCreateTime                    : 20");
    run(&["topic", "list", "--prefix", "T"], "secret", None).assert(0, "T\n");
    run(&["publish", "T"], "secret", None).assert(0, "Publish Message Succeed.");
    run(&["topic", "list"], "other", None).assert(1, "403 SignatureDoesNotMatch");
    // A host of the service names its region, and a signature for another region is invalid there.
    let hangzhou = Some("http://1.mns.cn-hangzhou.aliyuncs.com");
    run(&["topic", "list"], "secret", hangzhou).assert(0, "T\n");
    run(
        &["topic", "list", "--region", "cn-shanghai"],
        "secret",
        hangzhou,
    )
    .assert(1, "403 SignatureDoesNotMatch");
}

/// Sends an unsigned request to an emulator that requires no signature.
fn raw(mns: &LocalMns, request: &str, body: &str) -> (u16, String) {
    let head = format!(
        "{request}\r\nx-mns-version: 2015-06-06\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = exchange(
        mns.address.parse().unwrap(),
        &[head.as_bytes(), body.as_bytes()].concat(),
    );
    let document = Element::parse(answer.body.as_bytes());
    (
        answer.status,
        document
            .ok()
            .and_then(|document| document.text_of("Code").map(str::to_owned))
            .unwrap_or_default(),
    )
}

#[test]
fn broken_requests_are_refused_with_the_services_codes() {
    let mns = LocalMns::start(&["--no-auth"]);
    let topic = "PUT /topics/T HTTP/1.1\r\nhost: a";
    assert_eq!(raw(&mns, topic, "<Topic/>"), (201, String::new()));
    for (request, body, status, code) in [
        (topic, "", 400, "MalformedXML"),
        (topic, "<Topic>", 400, "MalformedXML"),
        (topic, "<!DOCTYPE a><Topic/>", 400, "MalformedXML"),
        (topic, "<Subscription/>", 400, "InvalidArgument"),
        (
            topic,
            "<Topic><MaximumMessageSize>big</MaximumMessageSize></Topic>",
            400,
            "InvalidArgument",
        ),
        (
            "POST /topics/T/messages HTTP/1.1\r\nhost: a",
            "<Message/>",
            400,
            "InvalidArgument",
        ),
        (
            "POST /topics/T/messages HTTP/1.1\r\nhost: a",
            "<Message><MessageBody>m</MessageBody><MessageTag> t</MessageTag></Message>",
            400,
            "InvalidArgument",
        ),
        (
            "PUT /topics/T/subscriptions/S HTTP/1.1\r\nhost: a",
            "<Subscription/>",
            400,
            "InvalidArgument",
        ),
        (
            "GET /topics HTTP/1.1\r\nhost: a\r\nx-mns-ret-number: 1001",
            "",
            400,
            "InvalidArgument",
        ),
        (
            "GET /topics HTTP/1.1\r\nhost: a\r\nx-mns-ret-number: 0",
            "",
            400,
            "InvalidArgument",
        ),
        (
            "GET /topics HTTP/1.1\r\nhost: a\r\ncontent-md5: AAAAAAAAAAAAAAAAAAAAAA==",
            "",
            400,
            "InvalidDigest",
        ),
        (
            "POST /topics/T/messages HTTP/1.1\r\nhost: a",
            "<Message><MessageBody><b>m</b></MessageBody></Message>",
            400,
            "MalformedXML",
        ),
        (
            "POST /topics/T/messages HTTP/1.1\r\nhost: a",
            "<Message><MessageBody>m</MessageBody><MessageTag>t<b/></MessageTag></Message>",
            400,
            "MalformedXML",
        ),
        (
            topic,
            "<Topic><LoggingEnabled><b/></LoggingEnabled></Topic>",
            400,
            "MalformedXML",
        ),
        (
            "PUT /topics/T/subscriptions/S HTTP/1.1\r\nhost: a",
            "<Subscription><Endpoint>http://a</Endpoint>\
             <NotifyContentFormat>STREAM</NotifyContentFormat></Subscription>",
            400,
            "NotSupported",
        ),
        (
            "PUT /topics/T/subscriptions/S HTTP/1.1\r\nhost: a",
            "<Subscription><Endpoint>http://a</Endpoint>\
             <NotifyContentFormat>x</NotifyContentFormat></Subscription>",
            400,
            "InvalidArgument",
        ),
        (
            "GET /?accountmeta=true HTTP/1.1\r\nhost: a",
            "",
            400,
            "NotSupported",
        ),
        (
            "PUT /?accountmeta=true HTTP/1.1\r\nhost: a",
            "<Account/>",
            400,
            "NotSupported",
        ),
        (
            "POST /commonbuy/openservice HTTP/1.1\r\nhost: a",
            "",
            400,
            "NotSupported",
        ),
        ("GET /queues/Q HTTP/1.1\r\nhost: a", "", 400, "NotSupported"),
        (
            "POST /topics HTTP/1.1\r\nhost: a",
            "",
            400,
            "InvalidRequestURL",
        ),
        (
            "GET /favicon.ico HTTP/1.1\r\nhost: a",
            "",
            400,
            "InvalidRequestURL",
        ),
    ] {
        assert_eq!(
            raw(&mns, request, body),
            refused(status, code),
            "{request:?} {body:?}"
        );
    }
    let huge = format!(
        "<Message><MessageBody>{}</MessageBody></Message>",
        "x".repeat(600_000)
    );
    assert_eq!(
        raw(&mns, "POST /topics/T/messages HTTP/1.1\r\nhost: a", &huge),
        refused(400, "InvalidArgument")
    );
}

#[test]
fn answers_have_the_headers_and_the_layout_of_the_service() {
    let mns = LocalMns::start(&["--no-auth"]);
    let send = |request: &str, body: &str| {
        let host = "1888287682739631.mns.cn-hangzhou.aliyuncs.com";
        let head = format!(
            "{request} HTTP/1.1\r\nhost: {host}\r\nx-mns-version: 2015-06-06\r\ncontent-length: \
             {}\r\n\r\n",
            body.len()
        );
        exchange(
            mns.address.parse().unwrap(),
            &[head.as_bytes(), body.as_bytes()].concat(),
        )
    };
    let base = "1888287682739631.mns.cn-hangzhou.aliyuncs.com";
    let subscription = "<Subscription><Endpoint>http://127.0.0.1:1</Endpoint></Subscription>";
    for (request, body, status, location) in [
        (
            "PUT /topics/T",
            "<Topic/>",
            201,
            Some(format!("http://{base}/topics/T")),
        ),
        (
            "PUT /topics/T",
            "<Topic/>",
            204,
            Some(format!("http://{base}/topics/T")),
        ),
        ("PUT /topics/T?metaoverride=true", "<Topic/>", 204, None),
        // The service omits the scheme in that of a subscription.
        (
            "PUT /topics/T/subscriptions/S",
            subscription,
            201,
            Some(format!("{base}/topics/T/subscriptions/S")),
        ),
        (
            "PUT /topics/T/subscriptions/S",
            subscription,
            204,
            Some(format!("{base}/topics/T/subscriptions/S")),
        ),
        ("GET /topics/T", "", 200, None),
        ("GET /topics/X", "", 404, None),
    ] {
        let answer = send(request, body);
        assert_eq!(answer.status, status, "{request}");
        assert_eq!(answer.headers["server"], "AliyunMQS");
        assert_eq!(answer.headers["x-mns-version"], "2015-06-06");
        assert_eq!(answer.headers["x-mns-request-id"].len(), 24);
        assert_eq!(
            answer.headers.get("location").cloned(),
            location,
            "{request}"
        );
        assert_eq!(
            answer.headers["content-type"], "text/xml;charset=utf-8",
            "{request}"
        );
        assert_eq!(answer.headers["x-mns-response-format"], "xml");
        assert_eq!(answer.headers["x-mns-account-type"], "", "there, and empty");
        for name in ["x-mns-threadpool-wait-time", "x-mns-netty-total-time"] {
            assert!(
                answer.headers[name]
                    .parse::<u32>()
                    .is_ok_and(|time| time < 20_000),
                "{name}: milliseconds"
            );
        }
        if !answer.body.is_empty() {
            let root = if status == 200 { "Topic" } else { "Error" };
            let start = format!(
                "<?xml version=\"1.0\" ?>\n<{root} xmlns=\"http://mns.aliyuncs.com/doc/v1\">\n  <"
            );
            assert!(
                answer.body.starts_with(&start) && answer.body.ends_with(&format!("\n</{root}>")),
                "{}",
                answer.body
            );
        }
    }
    // The account in the host owns what is created under it.
    let subscription =
        Element::parse(send("GET /topics/T/subscriptions/S", "").body.as_bytes()).unwrap();
    assert_eq!(subscription.text_of("TopicOwner"), Some("1888287682739631"));
    assert_eq!(
        subscription.text_of("NotifyStrategy"),
        Some("BACKOFF_RETRY")
    );
    let message = "<Message><MessageTag>t</MessageTag><New><Er>1</Er></New><MessageBody>a&lt;b \
        \u{4e2d}</MessageBody></Message>";
    let published =
        Element::parse(send("POST /topics/T/messages", message).body.as_bytes()).unwrap();
    assert_eq!(
        published.text_of("MessageBodyMD5"),
        Some(
            ContentMd5::of("a<b \u{4e2d}".as_bytes())
                .upper_hex()
                .as_str()
        )
    );
    assert_eq!(published.text_of("MessageId").map(str::len), Some(32));
    let page = send("GET /topics\r\nx-no: ", "");
    assert!(page.status == 400, "the target is as it is");
}

#[test]
fn a_list_has_pages_and_includes_attributes_on_demand() {
    let mns = LocalMns::start(&["--no-auth"]);
    for name in ["A", "B", "C"] {
        raw(
            &mns,
            &format!("PUT /topics/{name} HTTP/1.1\r\nhost: h"),
            "<Topic/>",
        );
    }
    let list = |headers: &str| {
        let head = format!(
            "GET /topics HTTP/1.1\r\nhost: h\r\nx-mns-version: 2015-06-06\r\n{headers}\r\n"
        );
        Element::parse(
            exchange(mns.address.parse().unwrap(), head.as_bytes())
                .body
                .as_bytes(),
        )
        .unwrap()
    };
    let first = list("x-mns-ret-number: 2\r\n");
    let urls: Vec<_> = first
        .children
        .iter()
        .filter_map(|topic| topic.text_of("TopicURL"))
        .collect();
    assert_eq!(urls, ["http://h/topics/A", "http://h/topics/B"]);
    let next = list(&format!(
        "x-mns-ret-number: 2\r\nx-mns-marker: {}\r\n",
        first.text_of("NextMarker").unwrap()
    ));
    assert_eq!(
        next.children[0].text_of("TopicURL"),
        Some("http://h/topics/C")
    );
    assert_eq!(
        (next.children.len(), next.text_of("NextMarker")),
        (1, None),
        "an empty marker breaks an SDK"
    );
    assert_eq!(
        list("x-mns-with-meta: true\r\n").children[0].text_of("MaximumMessageSize"),
        Some("65536")
    );
    assert_eq!(list("").children[0].text_of("MaximumMessageSize"), None);
}

#[test]
fn a_list_of_subscriptions_has_their_attributes_on_demand() {
    let mns = LocalMns::start(&["--no-auth"]);
    raw(&mns, "PUT /topics/T HTTP/1.1\r\nhost: h", "<Topic/>");
    for name in ["A", "B"] {
        let request = format!("PUT /topics/T/subscriptions/{name} HTTP/1.1\r\nhost: h");
        let document = "<Subscription><Endpoint>mail:directmail:a@b</Endpoint>\
            <FilterTag>t</FilterTag></Subscription>";
        assert_eq!(raw(&mns, &request, document).0, 201);
    }
    let list = |headers: &str| {
        let target = "/topics/T/subscriptions";
        let head = format!(
            "GET {target} HTTP/1.1\r\nhost: h\r\nx-mns-version: 2015-06-06\r\n{headers}\r\n"
        );
        Element::parse(
            exchange(mns.address.parse().unwrap(), head.as_bytes())
                .body
                .as_bytes(),
        )
        .unwrap()
    };
    let with = list("x-mns-with-meta: true\r\nx-mns-ret-number: 1\r\n");
    let [one] = &with.children[..1] else {
        panic!("{with:?}")
    };
    assert_eq!(
        one.text_of("SubscriptionURL"),
        Some("http://h/topics/T/subscriptions/A")
    );
    for (name, text) in [
        ("SubscriptionName", "A"),
        ("TopicName", "T"),
        ("TopicOwner", "1269128356620446"),
        ("Endpoint", "mail:directmail:a@b"),
        ("FilterTag", "t"),
        ("NotifyStrategy", "BACKOFF_RETRY"),
        ("NotifyContentFormat", "XML"),
    ] {
        assert_eq!(one.text_of(name), Some(text));
    }
    assert!(one.text_of("CreateTime").is_some() && one.text_of("LastModifyTime").is_some());
    assert_eq!(with.text_of("NextMarker"), Some("A"));
    for headers in ["", "x-mns-with-meta: false\r\n"] {
        let without = list(headers);
        assert_eq!(without.children.len(), 2);
        assert!(
            without.children.iter().all(|one| one.children.len() == 1),
            "{without:?}"
        );
    }
}

fn emulator(args: &[&str]) -> Ended {
    run(
        tempfile::tempdir().unwrap().path(),
        &[&["emulator"], args].concat(),
    )
}

#[test]
fn mistakes_of_the_start_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let first = LocalMns::start(&data(dir.path()));
    let taken = [
        "--listen",
        "127.0.0.1:0",
        "--data",
        dir.path().to_str().unwrap(),
    ];
    emulator(&taken).assert(
        1,
        "in use by another emulator: give this one another --data",
    );
    emulator(&["--listen", &first.address]).assert(1, "choose another --listen");
    emulator(&["--listen", "0.0.0.0:0"]).assert(1, "add --public-url URL");
    emulator(&["--listen", "127.0.0.1:0", "--data", "/proc/none"])
        .assert(1, "choose another --data");
    emulator(&["--access-key", "x"]).assert(2, "write ID:SECRET");
    emulator(&["--time-warp", "0"]).assert(2, "0 is not in 1..");
    emulator(&["--rotate-key", "0s"]).assert(2, "give a time, as in 30s");
    emulator(&["--bits", "100"]).assert(2, "100 is not in 512..=8192");
    let broken = tempfile::tempdir().unwrap();
    std::fs::write(broken.path().join("emulator.redb"), "no database").unwrap();
    let args = [
        "--listen",
        "127.0.0.1:0",
        "--data",
        broken.path().to_str().unwrap(),
    ];
    emulator(&args).assert(1, "or repair the file");
}

#[test]
fn a_web_page_whose_name_points_here_is_refused_and_a_known_name_is_not() {
    let mns = LocalMns::start(&[
        "--no-auth",
        "--host",
        "mns.test.example",
        "--public-url",
        "http://emulator.example:9",
    ]);
    let ask = |path: &str, host: &str| {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nx-mns-version: 2015-06-06\r\n\r\n");
        exchange(mns.bound(), request.as_bytes()).status
    };
    for path in ["/topics", "/status"] {
        for host in [
            "127.0.0.1:9000",
            "[::1]",
            "localhost:9000",
            "emulator:9000",
            "Emulator.example:9",
            "mns.test.example",
            "1888287682739631.mns.cn-hangzhou.aliyuncs.com",
        ] {
            assert_eq!(ask(path, host), 200, "{path} {host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:9000",
            "1.mns.evil.example",
            "aliyuncs.com.evil.example",
        ] {
            assert_eq!(ask(path, host), 421, "{path} {host}");
        }
    }
    mns.assert_tells("add it with --host");
}

#[test]
fn an_address_that_others_reach_gets_a_warning_about_the_known_key() {
    let start = |args: &[&str]| {
        let args = [&["--public-url", "http://emulator.example:9"], args].concat();
        let mns = LocalMns::listen("0.0.0.0:0", &args);
        mns.bound();
        mns
    };
    start(&[]).assert_tells("everyone knows the access key emulator:emulator");
    start(&["--no-auth"]).assert_tells("--no-auth lets them publish");
    let own = start(&["--access-key", "id:secret"]).stderr();
    assert!(!own.contains("Other machines reach"), "{own}");
    let local = LocalMns::start(&[]);
    local.bound();
    assert!(
        !local.stderr().contains("Other machines reach"),
        "{}",
        local.stderr()
    );
}
