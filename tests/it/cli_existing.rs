//! `create` for an existing topic or subscription: the attributes in force are read back and named.

use mns_endpoint::mns::Element;

use crate::support::{ApiHost, Ended, LocalMns, finish, program};

const EXIT_DIFFERS: i32 = 3;

/// Runs a command against a real emulator.
fn run(mns: &LocalMns, args: &[&str]) -> Ended {
    client(&format!("http://{}", mns.address), args)
}

fn client(endpoint: &str, args: &[&str]) -> Ended {
    let mut command = program();
    command.args(args).args(["--endpoint", endpoint]);
    command
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "emulator")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "emulator");
    finish(&mut command, b"")
}

fn json(ended: &Ended) -> serde_json::Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

const OLD: &str = "http://old.example.com";
const NEW: &str = "http://new.example.com/other";

/// A topic `T` whose subscription `S` goes to [`OLD`] with `BACKOFF_RETRY`.
fn with_subscription() -> LocalMns {
    let mns = LocalMns::start(&[]);
    run(&mns, &["topic", "create", "T"]).assert(0, "Create Topic Succeed! TopicName:T");
    let create = [
        "subscription",
        "create",
        OLD,
        "T",
        "S",
        "--strategy",
        "backoff_retry",
        "--force",
    ];
    run(&mns, &create).assert(0, "Create Subscription Succeed!");
    mns
}

#[test]
fn a_subscription_with_other_attributes_ends_with_3_and_names_each() {
    let mns = with_subscription();
    let create = [
        "subscription",
        "create",
        NEW,
        "T",
        "S",
        "--format",
        "json",
        "--filter-tag",
        "a",
        "--if-not-exists",
    ];
    let differs = run(&mns, &create);
    assert_eq!(
        (
            differs.code,
            differs.stdout.as_str(),
            differs.stderr.as_str()
        ),
        (
            EXIT_DIFFERS,
            "",
            "mns-endpoint: Subscription already there, but not as asked for. TopicName:T \
             SubName:S\n    \
             Endpoint: http://old.example.com is in force, http://new.example.com/other was asked \
             for\n    \
             FilterTag: none is in force, a was asked for\n    \
             NotifyContentFormat: XML is in force, JSON was asked for\n    \
             NotifyStrategy: BACKOFF_RETRY is in force, EXPONENTIAL_DECAY_RETRY was asked for\n    \
             To change NotifyStrategy: mns-endpoint subscription update T S --strategy \
             EXPONENTIAL_DECAY_RETRY, with the service and the key of this command, or --apply \
             with \
             this command\n    \
             Neither --apply nor subscription update can change Endpoint, FilterTag, \
             NotifyContentFormat: mns-endpoint \
             subscription delete T S, with the service and the key of this command, and create it \
             again. Messages that are published in between, or not delivered yet, are \
             lost\n"
        )
    );
    let told = json(&run(&mns, &[&create[..], &["--output", "json"]].concat()));
    assert_eq!(
        (&told["Endpoint"], &told["NotifyStrategy"]),
        (&OLD.into(), &"BACKOFF_RETRY".into()),
        "{told}"
    );
    assert_eq!(
        (&told["FilterTag"], &told["NotifyContentFormat"]),
        (&"".into(), &"XML".into()),
        "{told}"
    );
    assert_eq!(told["Created"], false, "{told}");
    assert_eq!(
        told["Differences"][0],
        serde_json::json!({ "Attribute": "Endpoint", "InForce": OLD, "Asked": NEW }),
        "{told}"
    );
    assert_eq!(told["Differences"].as_array().unwrap().len(), 4, "{told}");
    let refused = run(&mns, &["subscription", "create", NEW, "T", "S"]);
    refused.assert(
        1,
        "Subscription already exist, please unsubscribe or use it directly.",
    );
    refused.assert(
        1,
        "Endpoint: http://old.example.com is in force, http://new.example.com/other was asked for",
    );
    refused.assert(
        1,
        "NotifyStrategy: BACKOFF_RETRY is in force, EXPONENTIAL_DECAY_RETRY was asked for",
    );
    run(&mns, &["subscription", "show", "T", "S"]).assert(0, OLD);
}

#[test]
fn an_identical_subscription_already_exists() {
    let mns = with_subscription();
    let create = [
        "subscription",
        "create",
        OLD,
        "T",
        "S",
        "--strategy",
        "backoff_retry",
        "--if-not-exists",
        "--force",
    ];
    let same = run(&mns, &create);
    assert_eq!(
        (same.code, same.stdout.as_str()),
        (
            0,
            "Subscription already there. TopicName:T SubName:S Endpoint:http://old.example.com \
             NotifyStrategy:BACKOFF_RETRY NotifyContentFormat:XML\n\n"
        ),
        "{same:#?}"
    );
    let told = json(&run(&mns, &[&create[..], &["--output", "json"]].concat()));
    assert_eq!(
        (&told["Endpoint"], &told["Created"]),
        (&OLD.into(), &false.into()),
        "{told}"
    );
    assert_eq!(told["Differences"], serde_json::json!([]), "{told}");
    // The output of the manual's script if everything is identical.
    run(&mns, &create[..7]).assert(
        0,
        "Create Subscription Succeed! TopicName:T SubName:S Endpoint:http://old.example.com",
    );
    // A dead-letter queue is only compared if the command names one.
    run(&mns, &["subscription", "update", "T", "S", "--dlq", "dead"])
        .assert(0, "Update Subscription Succeed!");
    run(&mns, &create).assert(0, "Subscription already there.");
    run(&mns, &[&create[..], &["--dlq", "other"]].concat()).assert(
        EXIT_DIFFERS,
        "DeadLetterTargetQueue: dead is in force, other was asked for",
    );
}

#[test]
fn apply_changes_what_the_service_can_change() {
    let mns = with_subscription();
    let create = [
        "subscription",
        "create",
        OLD,
        "T",
        "S",
        "--dlq",
        "dead",
        "--if-not-exists",
        "--apply",
    ];
    let changed = run(&mns, &create);
    changed.assert(0, "Subscription already there, and changed.");
    changed.assert(
        0,
        "NotifyStrategy: changed from BACKOFF_RETRY to EXPONENTIAL_DECAY_RETRY\n",
    );
    changed.assert(0, "DeadLetterTargetQueue: changed from none to dead\n");
    let shown = json(&run(
        &mns,
        &["subscription", "show", "T", "S", "--output", "json"],
    ));
    assert_eq!(
        shown["NotifyStrategy"], "EXPONENTIAL_DECAY_RETRY",
        "{shown}"
    );
    assert_eq!(shown["DeadLetterTargetQueue"], "dead", "{shown}");
    run(&mns, &create).assert(0, "Subscription already there. ");
    run(&mns, &[&create[..8]].concat()).assert(0, "Subscription already there. ");

    let other = [
        "subscription",
        "create",
        NEW,
        "T",
        "S",
        "--strategy",
        "backoff_retry",
        "--if-not-exists",
        "--apply",
    ];
    let rest = run(&mns, &other);
    rest.assert(
        EXIT_DIFFERS,
        "NotifyStrategy: changed from EXPONENTIAL_DECAY_RETRY to BACKOFF_RETRY\n",
    );
    rest.assert(
        EXIT_DIFFERS,
        "Neither --apply nor subscription update can change Endpoint: ",
    );
    rest.assert(
        EXIT_DIFFERS,
        "Messages that are published in between, or not delivered yet, are lost",
    );
    assert!(!rest.stderr.contains("NotifyStrategy"), "{rest:#?}");
    let told = json(&run(&mns, &[&other[..], &["--output", "json"]].concat()));
    assert_eq!(
        (&told["Endpoint"], &told["NotifyStrategy"]),
        (&OLD.into(), &"BACKOFF_RETRY".into()),
        "{told}"
    );
    run(&mns, &["subscription", "create", NEW, "T", "S", "--apply"]).assert(2, "--if-not-exists");
}

#[test]
fn a_topic_is_compared_and_changed_in_the_same_way() {
    let mns = LocalMns::start(&[]);
    run(
        &mns,
        &["topic", "create", "T", "--maximum-message-size", "1024"],
    )
    .assert(0, "Create Topic Succeed!");
    let create = [
        "topic",
        "create",
        "T",
        "--maximum-message-size",
        "2048",
        "--logging",
    ];
    let refused = run(&mns, &create);
    refused.assert(
        1,
        "Topic already exist, please delete it before creating or use it directly.\n",
    );
    refused.assert(
        1,
        "MaximumMessageSize: 1024 is in force, 2048 was asked for\n",
    );
    let compare = [&create[..], &["--if-not-exists"]].concat();
    let differs = run(&mns, &compare);
    differs.assert(
        EXIT_DIFFERS,
        "MaximumMessageSize: 1024 is in force, 2048 was asked for\n",
    );
    differs.assert(
        EXIT_DIFFERS,
        "LoggingEnabled: false is in force, true was asked for\n",
    );
    differs.assert(EXIT_DIFFERS, "--apply");
    let told = json(&run(&mns, &[&compare[..], &["--output", "json"]].concat()));
    assert_eq!(
        (&told["MaximumMessageSize"], &told["LoggingEnabled"]),
        (&1024.into(), &false.into()),
        "{told}"
    );
    // Attributes that the command does not name are not compared.
    run(&mns, &["topic", "create", "T", "--if-not-exists"]).assert(
        0,
        "Topic already there. TopicName:T MaximumMessageSize:1024 LoggingEnabled:false\n",
    );
    run(
        &mns,
        &[
            "topic",
            "create",
            "T",
            "--logging",
            "--if-not-exists",
            "--apply",
        ],
    )
    .assert(0, "LoggingEnabled: changed from false to true\n");
    let changed = run(
        &mns,
        &[&compare[..], &["--apply", "--output", "json"]].concat(),
    );
    assert_eq!(
        (changed.code, json(&changed)["Changed"].clone()),
        (0, serde_json::json!(["MaximumMessageSize"]))
    );
    let shown = json(&run(&mns, &["topic", "show", "T", "--output", "json"]));
    assert_eq!(
        (&shown["MaximumMessageSize"], &shown["LoggingEnabled"]),
        (&2048.into(), &true.into()),
        "{shown}"
    );
}

const CONFLICT: &str = "409 Conflict";
const OK: &str = "200 OK";

fn error(code: &str) -> String {
    let texts = [
        ("Code", code),
        ("Message", "No."),
        ("RequestId", "573A"),
        ("HostId", "h"),
    ];
    Element::of_children(
        "Error",
        texts
            .map(|(name, text)| Element::of_text(name, text))
            .into(),
    )
    .document()
}

/// An answer to `GetSubscriptionAttributes`; `tag` replaces `FilterTag`.
fn attributes(endpoint: &str, tag: &str, strategy: &str) -> String {
    format!(
        "<Subscription><SubscriptionName>S</SubscriptionName><TopicName>T</TopicName>\
         <TopicOwner>1</TopicOwner>\
         <Endpoint>{endpoint}</Endpoint>{tag}<NotifyStrategy>{strategy}</NotifyStrategy>\
         <NotifyContentFormat>XML</NotifyContentFormat><CreateTime>1</CreateTime>\
         <LastModifyTime>2</LastModifyTime>\
         </Subscription>"
    )
}

#[test]
fn attributes_that_cannot_be_read_back_are_not_reported_as_in_force() {
    let exists = error("SubscriptionAlreadyExist");
    let topic_exists = error("TopicAlreadyExist");
    let forbidden = error("AccessDenied");
    let without_endpoint = "<Subscription><SubscriptionName>S</SubscriptionName></Subscription>";
    for (status, body, told) in [
        ("403 Forbidden", forbidden.as_str(), "403 AccessDenied"),
        (
            "404 Not Found",
            &error("SubscriptionNotExist"),
            "404 SubscriptionNotExist",
        ),
        (OK, "", "the answer cannot be read"),
        ("204 No Content", "", "the answer cannot be read"),
        (
            OK,
            "<html></html>",
            "the answer does not have the requested content",
        ),
        (OK, without_endpoint, "the element Endpoint is missing"),
    ] {
        for flags in [
            &["--if-not-exists"][..],
            &["--if-not-exists", "--apply"],
            &[],
        ] {
            let host = ApiHost::start(&[(CONFLICT, &exists), (status, body)]);
            let create = [&["subscription", "create", NEW, "T", "S"], flags].concat();
            let failed = client(&format!("http://{}", host.address), &create);
            failed.assert(1, "could not be read back. Exception:");
            failed.assert(1, told);
            assert_eq!(failed.stdout, "", "{failed:#?}");
            let manual = failed
                .stderr
                .contains("Subscription already exist, please unsubscribe or use it directly.");
            assert_eq!(manual, flags.is_empty(), "{failed:#?}");
        }
    }
    for (status, body) in [("403 Forbidden", forbidden.as_str()), (OK, "")] {
        let host = ApiHost::start(&[(CONFLICT, &topic_exists), (status, body)]);
        let failed = client(
            &format!("http://{}", host.address),
            &["topic", "create", "T", "--if-not-exists"],
        );
        failed.assert(
            1,
            "Topic already there. Its attributes could not be read back. Exception:",
        );
    }
    // The service's claim that nothing differs is not sufficient either.
    let host = ApiHost::start(&[("204 No Content", ""), (OK, "")]);
    client(
        &format!("http://{}", host.address),
        &["subscription", "create", NEW, "T", "S", "--if-not-exists"],
    )
    .assert(1, "could not be read back");
}

#[test]
fn no_tag_is_the_same_as_an_empty_one_and_an_endpoint_is_compared_exactly() {
    let exists = error("SubscriptionAlreadyExist");
    let strategy = "EXPONENTIAL_DECAY_RETRY";
    for (in_force, tag, code, told) in [
        (NEW, "", 0, "Subscription already there."),
        (NEW, "<FilterTag/>", 0, "Subscription already there."),
        (
            NEW,
            "<FilterTag></FilterTag>",
            0,
            "Subscription already there.",
        ),
        (
            NEW,
            "<FilterTag>a</FilterTag>",
            EXIT_DIFFERS,
            "FilterTag: a is in force, none was asked for",
        ),
        (
            "http://new.example.com/other/",
            "",
            EXIT_DIFFERS,
            "Endpoint: http://new.example.com/other/ is in force, ",
        ),
        (
            "http://New.example.com/other",
            "",
            EXIT_DIFFERS,
            "Endpoint: http://New.example.com/other is in force, ",
        ),
        (
            "http://a&#10;Forged: b&#27;",
            "",
            EXIT_DIFFERS,
            "    Endpoint: http://a\\nForged: b\\x1b is in force, ",
        ),
    ] {
        let body = attributes(in_force, tag, strategy);
        let host = ApiHost::start(&[(CONFLICT, &exists), (OK, &body)]);
        let create = ["subscription", "create", NEW, "T", "S", "--if-not-exists"];
        client(&format!("http://{}", host.address), &create).assert(code, told);
    }
}

#[test]
fn apply_reads_back_what_it_changed_and_says_so_if_that_is_not_in_force() {
    let exists = error("SubscriptionAlreadyExist");
    let old = attributes(NEW, "", "BACKOFF_RETRY");
    let create = [
        "subscription",
        "create",
        NEW,
        "T",
        "S",
        "--if-not-exists",
        "--apply",
    ];
    let host = ApiHost::start(&[
        (CONFLICT, &exists),
        (OK, &old),
        ("204 No Content", ""),
        (OK, &old),
    ]);
    let ignored = client(&format!("http://{}", host.address), &create);
    ignored.assert(
        EXIT_DIFFERS,
        "The service accepted the change of NotifyStrategy, but it is not in force",
    );
    assert_eq!(ignored.stdout, "", "{ignored:#?}");
    let requests = host.requests();
    assert_eq!(
        requests[2].uri(),
        "/topics/T/subscriptions/S?metaoverride=true"
    );
    let change = Element::parse(requests[2].body()).unwrap();
    assert_eq!(
        change.text_of("NotifyStrategy"),
        Some("EXPONENTIAL_DECAY_RETRY")
    );
    assert_eq!(change.children.len(), 1, "{change:?}");

    // The service does not document what happens to attributes that a request omits, so all of a
    // topic's are sent.
    let (topic_exists, topic) = (error("TopicAlreadyExist"), |size: u32| {
        format!(
            "<Topic><TopicName>T</TopicName><CreateTime>1</CreateTime>\
             <LastModifyTime>2</LastModifyTime><MaximumMessageSize>{size}</MaximumMessageSize>\
             <MessageRetentionPeriod>86400</MessageRetentionPeriod>\
             <MessageCount>0</MessageCount><LoggingEnabled>True</LoggingEnabled></Topic>"
        )
    });
    let (before, after) = (topic(1024), topic(2048));
    let host = ApiHost::start(&[
        (CONFLICT, &topic_exists),
        (OK, &before),
        ("204 No Content", ""),
        (OK, &after),
    ]);
    let create = [
        "topic",
        "create",
        "T",
        "--maximum-message-size",
        "2048",
        "--if-not-exists",
        "--apply",
    ];
    client(&format!("http://{}", host.address), &create)
        .assert(0, "Topic already there, and changed.");
    let change = Element::parse(host.requests()[2].body()).unwrap();
    assert_eq!(
        (
            change.text_of("MaximumMessageSize"),
            change.text_of("LoggingEnabled")
        ),
        (Some("2048"), Some("True"))
    );
}

#[test]
fn a_change_that_the_service_refuses_is_reported_with_the_differences() {
    let exists = error("SubscriptionAlreadyExist");
    let old = attributes(NEW, "", "BACKOFF_RETRY");
    let create = [
        "subscription",
        "create",
        NEW,
        "T",
        "S",
        "--if-not-exists",
        "--apply",
    ];
    let host = ApiHost::start(&[
        (CONFLICT, &exists),
        (OK, &old),
        ("403 Forbidden", &error("AccessDenied")),
    ]);
    let refused = client(&format!("http://{}", host.address), &create);
    refused.assert(
        1,
        "Subscription already there, but it could not be changed.",
    );
    refused.assert(
        1,
        "NotifyStrategy: BACKOFF_RETRY is in force, EXPONENTIAL_DECAY_RETRY was asked for",
    );
    refused.assert(1, "403 AccessDenied");
}
