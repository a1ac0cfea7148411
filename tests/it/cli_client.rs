//! The client commands as a terminal shows them, against a service with scripted answers.

use std::fs;
use std::process::Command;

use mns_endpoint::mns::api::{NotifyStrategy, SubscriptionAttributes};
use mns_endpoint::mns::{AccessKey, Authorization, Element};

use crate::support::{ApiHost, Ended, finish, program};

const CREATED: (&str, &str) = ("201 Created", "");
const DONE: (&str, &str) = ("204 No Content", "");

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

fn command(host: &ApiHost, args: &[&str]) -> Command {
    let mut command = program();
    command
        .args(args)
        .env("MNS_ACCOUNT_ENDPOINT", format!("http://{}", host.address));
    command
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret");
    command
}

fn run(host: &ApiHost, args: &[&str]) -> Ended {
    finish(&mut command(host, args), b"")
}

fn targets(host: &ApiHost) -> Vec<String> {
    host.requests()
        .iter()
        .map(|request| format!("{} {}", request.method(), request.uri()))
        .collect()
}

#[test]
fn the_lines_of_the_manual_are_printed() {
    let message = Element::of_children(
        "Message",
        vec![
            Element::of_text("MessageId", "ID"),
            Element::of_text("MessageBodyMD5", "MD5"),
        ],
    );
    let published = ("201 Created", message.document());
    let published = (published.0, published.1.as_str());
    let host = ApiHost::start(&[
        CREATED, CREATED, published, published, published, DONE, DONE, DONE,
    ]);
    for (args, told) in [
        (
            vec!["topic", "create", "MyTopic1"],
            "Create Topic Succeed! TopicName:MyTopic1\n\n",
        ),
        (
            vec![
                "subscription",
                "create",
                "http://127.0.0.1:80",
                "MyTopic1",
                "Sub1",
            ],
            "Create Subscription Succeed! TopicName:MyTopic1 SubName:Sub1 \
             Endpoint:http://127.0.0.1:80\n\n",
        ),
        (
            vec!["publish", "MyTopic1"],
            "==========Publish Message To Topic==========\nTopicName:MyTopic1\nMessageCount:3\n\n\
             Publish Message Succeed. MessageBody:I am test message 0. MessageID:ID\n\
             Publish Message Succeed. MessageBody:I am test message 1. MessageID:ID\n\
             Publish Message Succeed. MessageBody:I am test message 2. MessageID:ID\n",
        ),
        (
            vec![
                "subscription",
                "update",
                "MyTopic1",
                "Sub1",
                "--strategy",
                "backoff_retry",
                "--dlq",
                "dead",
            ],
            "Update Subscription Succeed! TopicName:MyTopic1 SubName:Sub1\n\n",
        ),
        (
            vec!["subscription", "delete"],
            "Delete Subscription Succeed! TopicName:MySampleTopic SubName:MySampleTopic-Sub\n\n",
        ),
        (
            vec!["topic", "delete"],
            "Delete Topic Succeed! TopicName:MySampleTopic\n\n",
        ),
    ] {
        let ended = run(&host, &args);
        assert_eq!((ended.code, ended.stdout.as_str()), (0, told), "{ended:?}");
    }
    assert_eq!(
        targets(&host),
        [
            "PUT /topics/MyTopic1",
            "PUT /topics/MyTopic1/subscriptions/Sub1",
            "POST /topics/MyTopic1/messages",
            "POST /topics/MyTopic1/messages",
            "POST /topics/MyTopic1/messages",
            "PUT /topics/MyTopic1/subscriptions/Sub1?metaoverride=true",
            "DELETE /topics/MySampleTopic/subscriptions/MySampleTopic-Sub",
            "DELETE /topics/MySampleTopic"
        ]
    );
    let asked =
        SubscriptionAttributes::of_element(&Element::parse(host.requests()[1].body()).unwrap())
            .unwrap();
    assert_eq!(
        asked.notify_strategy,
        NotifyStrategy::ExponentialDecayRetry,
        "the one that does not give up"
    );
}

#[test]
fn refusals_end_with_1_and_say_what_to_do() {
    for (args, code, exit, told) in [
        (
            vec!["topic", "create"],
            "TopicAlreadyExist",
            1,
            "Topic already exist, please delete it before creating or use it directly.",
        ),
        (
            vec!["topic", "delete"],
            "AccessDenied",
            1,
            "Delete Topic Fail! Exception:409 AccessDenied: No. (request 573A); the key's owner",
        ),
        (
            vec!["topic", "show", "T"],
            "TopicNotExist",
            1,
            "create it first: mns-endpoint topic create",
        ),
        (
            vec!["subscription", "create", "http://192.0.2.1"],
            "TopicNotExist",
            1,
            "Topic not exist, please create topic.",
        ),
        (
            vec!["subscription", "create", "http://a.example"],
            "SubscriptionAlreadyExist",
            1,
            "please unsubscribe or use it directly.",
        ),
        (
            vec!["publish"],
            "TopicNotExist",
            1,
            "Topic not exist, please create it.",
        ),
        (
            vec!["publish"],
            "SignatureDoesNotMatch",
            1,
            "check ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        ),
    ] {
        let host = ApiHost::start(&[("409 Conflict", &error(code))]);
        run(&host, &args).assert(exit, told);
    }
}

#[test]
fn what_is_listed_and_shown_is_lines_or_json() {
    let topics = "<Topics><Topic><TopicURL>http://a/topics/T1</TopicURL></Topic>\
        <Topic><TopicURL>http://a/topics/T2</TopicURL></Topic></Topics>";
    let topic = "<Topic><TopicName>T1</TopicName><CreateTime>1</CreateTime>\
        <LastModifyTime>2</LastModifyTime><MaximumMessageSize>65536</MaximumMessageSize>\
        <MessageRetentionPeriod>86400</MessageRetentionPeriod>\
        <MessageCount>0</MessageCount><LoggingEnabled>True</LoggingEnabled></Topic>";
    let subscriptions = "<Subscriptions><Subscription>\
        <SubscriptionURL>http://a/topics/T1/subscriptions/S1</SubscriptionURL>\
        </Subscription></Subscriptions>";
    let list = || ApiHost::start(&[("200 OK", topics)]);
    assert_eq!(run(&list(), &["topic", "list"]).stdout, "T1\nT2\n");
    assert_eq!(
        run(&list(), &["topic", "list", "--output", "json"]).stdout,
        "{\"Topics\":[\"T1\",\"T2\"]}\n"
    );
    let show = || ApiHost::start(&[("200 OK", topic), ("200 OK", subscriptions)]);
    let shown = run(&show(), &["topic", "show", "T1"]).stdout;
    assert!(
        shown.starts_with("TopicName                     : T1\n")
            && shown.ends_with("Subscriptions                 : S1\n"),
        "{shown}"
    );
    assert!(
        shown.contains("\nCreateTime                    : 1970-01-01T00:00:01Z\n"),
        "{shown}"
    );
    assert!(
        shown.contains("\nLastModifyTime                : 1970-01-01T00:00:02Z\n"),
        "{shown}"
    );
    assert!(
        shown.contains("\nMessageRetentionPeriod        : 86400\n"),
        "{shown}"
    );
    let shown: serde_json::Value =
        serde_json::from_str(&run(&show(), &["topic", "show", "T1", "--output", "json"]).stdout)
            .unwrap();
    assert_eq!(
        (
            shown["CreateTime"].as_u64(),
            shown["LastModifyTime"].as_u64()
        ),
        (Some(1), Some(2))
    );
    assert_eq!(
        (
            shown["MaximumMessageSize"].as_u64(),
            shown["Subscriptions"][0].as_str()
        ),
        (Some(65536), Some("S1"))
    );
}

#[test]
fn version_4_signs_for_the_region_of_the_endpoint_or_the_one_that_is_given() {
    let key = AccessKey {
        id: "id".to_owned(),
        secret: "secret".to_owned(),
    };
    let elsewhere = "http://1.mns.cn-shanghai-internal.aliyuncs.com";
    let day = regex::Regex::new("id/20[0-9]{6}/").unwrap();
    for (more, start) in [
        (vec![], "MNS id:"),
        (vec!["--sign-version", "2"], "MNS id:"),
        (
            vec!["--sign-version", "4"],
            "MNS4-HMAC-SHA256 Credential=id/20DAY/cn-hangzhou/mns/aliyun_v4_request,Signature=",
        ),
        (
            vec!["--sign-version", "4", "--region", "eu-west-1"],
            "MNS4-HMAC-SHA256 Credential=id/20DAY/eu-west-1/mns/",
        ),
        (
            vec!["--sign-version", "4", "--endpoint", elsewhere],
            "MNS4-HMAC-SHA256 Credential=id/20DAY/cn-shanghai/mns/aliyun_v4_request,Signature=",
        ),
    ] {
        // Three commands: one sends a body, one a query, one neither.
        for args in [
            vec!["topic", "create", "T"],
            vec!["subscription", "update", "--dlq", "Q"],
            vec!["topic", "delete"],
        ] {
            let host = ApiHost::start(&[DONE]);
            let mut command = command(&host, &[&args[..], &more].concat());
            finish(
                command.env("http_proxy", format!("http://{}", host.address)),
                b"",
            )
            .assert(0, "Succeed!");
            let request = host.requests().pop().unwrap();
            let value = request.headers()["authorization"].to_str().unwrap();
            assert!(
                day.replace(value, "id/20DAY/").starts_with(start),
                "{value}"
            );
            assert!(
                key.authorized(&request, &Authorization::parse(value.as_bytes()).unwrap()),
                "{request:?}"
            );
        }
    }
    let host = ApiHost::start(&[]);
    run(&host, &["topic", "list", "--region", "eu-west-1"])
        .assert(1, "--region is a part of signatures of version 4");
    run(&host, &["topic", "list", "--sign-version", "3"]).assert(2, "[possible values: 2, 4]");
}

#[test]
fn an_endpoint_that_mns_cannot_reach_is_refused_unless_allowed_explicitly() {
    // A proxy simulates the remote service, so that nothing leaves this machine.
    let remote = |host: &ApiHost, args: &[&str]| {
        let mut command = command(host, &["subscription", "create"]);
        command.args(args).args([
            "T",
            "S",
            "--endpoint",
            "http://1.mns.cn-hangzhou.aliyuncs.com",
        ]);
        finish(
            command.env("http_proxy", format!("http://{}", host.address)),
            b"",
        )
    };
    let host = ApiHost::start(&[CREATED, CREATED]);
    for endpoint in [
        "http://127.0.0.1:8080",
        "http://10.1.2.3/x",
        "http://[::1]:8080",
        "http://localhost",
        "https://192.168.1.1",
        "http://receiver:8080",
        "https://mns.corp.internal",
    ] {
        remote(&host, &[endpoint]).assert(1, "is an address that MNS cannot reach");
    }
    remote(&host, &["127.0.0.1:8080"]).assert(1, "");
    assert_eq!(host.requests().len(), 0);
    remote(&host, &["http://127.0.0.1:8080", "--force"]).assert(0, "Create Subscription Succeed!");
    remote(&host, &["http://mns.example.com:8080"]).assert(0, "Create Subscription Succeed!");
}

#[test]
fn a_message_may_come_from_a_file_or_from_stdin() {
    let answer = "<Message><MessageId>ID</MessageId><MessageBodyMD5>MD5</MessageBodyMD5></Message>";
    let host = ApiHost::start(&[("201 Created", answer); 2]);
    let told = finish(
        &mut command(
            &host,
            &[
                "publish",
                "T",
                "--body-file",
                "-",
                "--tag",
                "t",
                "--output",
                "json",
            ],
        ),
        b"from\nstdin",
    );
    assert_eq!(
        told.stdout,
        "{\"TopicName\":\"T\",\"MessageId\":\"ID\",\"MessageBodyMD5\":\"MD5\"}\n"
    );
    run(&host, &["publish", "T", "--body", "\u{1b}[2J"])
        .assert(0, "MessageBody:\\x1b[2J MessageID:ID");
    let messages: Vec<Element> = host
        .requests()
        .iter()
        .map(|request| Element::parse(request.body()).unwrap())
        .collect();
    assert_eq!(
        (
            messages[0].text_of("MessageBody"),
            messages[0].text_of("MessageTag")
        ),
        (Some("from\nstdin"), Some("t"))
    );
    finish(
        &mut command(&host, &["publish", "T", "--body-file", "-"]),
        b"\xff",
    )
    .assert(1, "stdin is not UTF-8");
    finish(&mut command(&host, &["publish", "a/b"]), b"")
        .assert(2, "a name has letters, digits and hyphens");
}

#[test]
fn the_line_end_of_echo_is_not_part_of_a_message_and_no_line_end_breaks_the_output() {
    let answer = "<Message><MessageId>ID</MessageId><MessageBodyMD5>MD5</MessageBodyMD5></Message>";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("message");
    let head = "==========Publish Message To Topic==========\nTopicName:T\nMessageCount:1\n\n";
    for (input, of_stdin, printed) in [
        ("hello\n", "hello", "hello"),
        ("hello", "hello", "hello"),
        ("hello\r\n", "hello", "hello"),
        ("two\n\n", "two\n", "two\\x0a"),
        ("\n", "", ""),
        ("", "", ""),
        (
            "a\n\n  b\nMessageID:forged\n",
            "a\n\n  b\nMessageID:forged",
            "a\\x0a\\x0a  b\\x0aMessageID:forged",
        ),
        ("a\\x0ab\n", "a\\x0ab", "a\\x5cx0ab"),
    ] {
        fs::write(&file, input).unwrap();
        for (from, published) in [("-", of_stdin), (file.to_str().unwrap(), input)] {
            let host = ApiHost::start(&[("201 Created", answer)]);
            let ended = finish(
                &mut command(&host, &["publish", "T", "--body-file", from]),
                input.as_bytes(),
            );
            let message = Element::parse(host.requests()[0].body()).unwrap();
            assert_eq!(message.text_of("MessageBody"), Some(published), "{from}");
            if from == "-" {
                let line = format!("Publish Message Succeed. MessageBody:{printed} MessageID:ID\n");
                assert_eq!(ended.stdout, format!("{head}{line}"), "{ended:#?}");
            }
            assert_eq!(ended.stdout.lines().count(), 5, "{ended:#?}");
        }
    }
}

#[test]
fn help_names_every_variable_and_every_exit_code_and_json_as_it_comes() {
    let help = |args: &[&str]| {
        let ended = finish(program().args(args).arg("--help"), b"");
        // Lines are wrapped to the width of the terminal.
        ended
            .stdout
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    for args in [
        &["topic", "create"][..],
        &["topic", "show"],
        &["topic", "list"],
        &["topic", "delete"],
        &["subscription", "create"],
        &["subscription", "show"],
        &["subscription", "list"],
        &["subscription", "update"],
        &["subscription", "delete"],
        &["publish"],
    ] {
        let help = help(args);
        for name in [
            "MNS_ENDPOINT_SDK_CONFIG",
            "MNS_ACCOUNT_ENDPOINT",
            "ALIBABA_CLOUD_ACCESS_KEY_ID",
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
            "ALIBABA_CLOUD_SECURITY_TOKEN",
            "ALIBABA_CLOUD_ACCESS_SECURITY_TOKEN",
            "one object per line",
            "lines of the manual",
        ] {
            assert!(help.contains(name), "{args:?} does not say {name}: {help}");
        }
        assert_eq!(
            help.contains("exits with 3"),
            args[1..] == ["create"],
            "{args:?}: {help}"
        );
    }
    assert!(
        help(&["publish"]).contains("--output json, prints one object per line for each message")
    );
    assert!(
        !help(&["check"]).contains("manual"),
        "check has no lines of the manual"
    );
}
