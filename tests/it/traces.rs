//! Traces: what a collector gets of a push, and that no push waits for it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use mns_endpoint::clock::{Clock as _, SystemClock};
use mns_endpoint::traces::TraceContext;
use prost::Message;

use crate::admin::{bench, get, metric};
use crate::support::{ApiHost, Bench, eventually, finish, foreign_key, key, program};

/// What is read of a request, declared by itself: `opentelemetry/proto/trace/v1/trace.proto`.
#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<Resources>,
}

#[derive(Clone, PartialEq, Message)]
struct Resources {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<Scope>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start: u64,
    #[prost(fixed64, tag = "8")]
    end: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<Attribute>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
    #[prost(int64, optional, tag = "3")]
    number: Option<i64>,
}

fn attribute(attributes: &[Attribute], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    let value = found.value.clone().unwrap();
    value.text.or(value.number.map(|number| number.to_string()))
}

/// Head and body of a request.
type Request = (String, Vec<u8>);

/// A collector that keeps what it is sent, and answers with a status that a test may change.
struct Collector {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    got: Arc<Mutex<Vec<Request>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let collector = Self {
            address: listener.local_addr().unwrap(),
            status: Arc::new(AtomicU16::new(200)),
            got: Arc::default(),
        };
        let (status, got) = (collector.status.clone(), collector.got.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (status, got) = (status.clone(), got.clone());
                std::thread::spawn(move || serve(stream, &status, &got));
            }
        });
        collector
    }

    fn url(&self) -> String {
        format!("http://{}/v1/traces", self.address)
    }

    fn requests(&self) -> Vec<Request> {
        self.got.lock().unwrap().clone()
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.requests();
        let exports = requests
            .iter()
            .map(|(_, body)| Export::decode(&body[..]).unwrap());
        exports
            .flat_map(|export| export.resources)
            .inspect(|resources| {
                let resource = resources.resource.as_ref().unwrap();
                let name = attribute(&resource.attributes, "service.name");
                assert_eq!(name.as_deref(), Some("mns-endpoint"));
            })
            .flat_map(|resources| resources.scopes)
            .flat_map(|scope| scope.spans)
            .collect()
    }
}

/// Answers the requests of one connection.
fn serve(mut stream: TcpStream, status: &AtomicU16, got: &Mutex<Vec<Request>>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8(bytes[..end].to_vec())
                .unwrap()
                .to_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if bytes.len() >= end + 4 + length {
                let rest = bytes.split_off(end + 4 + length);
                let body = bytes.split_off(end + 4);
                bytes = rest;
                got.lock().unwrap().push((head, body));
                let status = status.load(Ordering::Relaxed);
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
                continue;
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const PARENT_TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

#[test]
fn a_collector_gets_a_span_for_each_push_and_one_for_each_of_its_stages() {
    let collector = Collector::start();
    let bench = Bench::with(|options| options.set("telemetry.otlp", &collector.url()));
    let begun = SystemClock.now();
    let known = bench.draft().add("traceparent", PARENT).sign(&key(512));
    let unsampled = bench
        .draft()
        .add("traceparent", PARENT.replace("-01", "-00"));
    let unsigned = bench.draft();
    let elsewhere = bench.draft().to("/wp-login.php");
    for (draft, status) in [
        (&known, 201),
        (&unsampled.sign(&key(512)), 201),
        (&unsigned, 403),
        (&elsewhere, 404),
    ] {
        assert_eq!(bench.endpoint.exchange(&draft.wire()).status, status);
    }
    // The stop does not wait for a collector that is slow.
    eventually("the last span has come", || {
        let spans = collector.spans();
        (spans.iter().filter(|span| span.kind == 2).count() >= 2).then_some(())
    });
    bench.endpoint.stop();
    let spans = collector.spans();
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    let [push, verify, commit, refused] = &spans[..] else {
        panic!("{names:?}");
    };
    let topic = attribute(&push.attributes, "messaging.destination.name").unwrap();
    assert_eq!(
        names,
        [&format!("receive {topic}"), "verify", "commit", "receive"]
    );
    assert_eq!(push.trace, PARENT_TRACE.to_be_bytes());
    assert_eq!(push.parent, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    for (name, value) in [
        ("messaging.system", "aliyun_mns"),
        ("messaging.message.id", known.message_id.as_str()),
        ("http.response.status_code", "201"),
    ] {
        assert_eq!(
            attribute(&push.attributes, name).as_deref(),
            Some(value),
            "{name}"
        );
    }
    assert_eq!(attribute(&push.attributes, "error.type"), None);
    assert_eq!((push.kind, verify.kind, commit.kind), (2, 1, 1));
    for stage in [verify, commit] {
        assert_eq!((&stage.trace, &stage.parent), (&push.trace, &push.id));
        assert!(push.start <= stage.start && stage.end <= push.end);
    }
    assert!(push.start <= verify.start && verify.end <= commit.start);
    let since_1970 = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        u64::try_from(since.as_nanos()).unwrap()
    };
    let second = 1_000_000_000;
    assert!(
        push.start + second > since_1970(begun)
            && push.end < since_1970(SystemClock.now()) + second
    );
    let ids: std::collections::BTreeSet<_> = spans.iter().map(|span| &span.id).collect();
    assert_eq!(ids.len(), spans.len());
    // An unsigned one is named by nothing that it claims, and its failure is not ours.
    let reason = attribute(&refused.attributes, "error.type");
    assert_eq!(reason.as_deref(), Some("header_missing"));
    assert_eq!((&refused.parent, &refused.status), (&Vec::new(), &None));
    assert_eq!(
        attribute(&refused.attributes, "messaging.destination.name"),
        None
    );
}

#[test]
fn only_a_verified_push_decides_whether_and_in_which_trace_it_is_recorded() {
    let collector = Collector::start();
    let start = |sample: &str| {
        Bench::with(|options| {
            options
                .set("telemetry.otlp", &collector.url())
                .set("telemetry.sample", sample)
        })
    };
    let unsampled = PARENT.replace("-01", "-00");
    let parents = [PARENT, unsampled.as_str()];
    let pushes = || {
        let spans = collector.spans().into_iter();
        spans.filter(|span| span.kind == 2).collect::<Vec<_>>()
    };
    for (sample, recorded) in [("0", 1), ("1", 4)] {
        let bench = start(sample);
        for parent in parents {
            let draft = bench.draft().add("traceparent", parent);
            // The second signature is that of another key.
            for (signer, status) in [(key(512), 201), (foreign_key(512), 403)] {
                let signed = draft.clone().sign(&signer);
                assert_eq!(bench.endpoint.exchange(&signed.wire()).status, status);
            }
        }
        // The stop does not wait for a collector that is slow.
        eventually("its spans have come", || {
            (pushes().len() >= recorded).then_some(())
        });
        bench.endpoint.stop();
    }
    let found: Vec<(bool, bool, String)> = pushes()
        .iter()
        .map(|span| {
            let status = attribute(&span.attributes, "http.response.status_code");
            let is_of_parent = span.trace == PARENT_TRACE.to_be_bytes();
            (is_of_parent, span.parent.is_empty(), status.unwrap())
        })
        .collect();
    let verified = || (true, false, "201".to_owned());
    let stranger = || (false, true, "403".to_owned());
    let expected = [verified(), verified(), stranger(), stranger()];
    assert_eq!(found, expected);
}

#[test]
fn the_environment_names_the_collector_and_its_headers_and_off_is_off() {
    let collector = Collector::start();
    let environment = format!("http://{}/", collector.address);
    let start = |otlp: &str| {
        Bench::with(|options| {
            options
                .set("telemetry.otlp", otlp)
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", &environment)
                .env(
                    "OTEL_EXPORTER_OTLP_HEADERS",
                    "authorization=Bearer%20abc, x-tenant=7",
                )
        })
    };
    let push_and_stop = |otlp: &str| {
        let bench = start(otlp);
        bench.accept(&bench.draft().sign(&key(512)));
        bench.endpoint.stop();
    };
    push_and_stop("off");
    assert!(collector.requests().is_empty());
    // A stop sends what waits, but only for a short time.
    eventually("a stop has sent it", || {
        push_and_stop("");
        (!collector.requests().is_empty()).then_some(())
    });
    let requests = collector.requests();
    let (head, _) = &requests[0];
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    for header in [
        "authorization: bearer abc",
        "x-tenant: 7",
        "content-type: application/x-protobuf",
    ] {
        assert!(head.contains(&format!("\r\n{header}")), "{head}");
    }
}

#[test]
fn a_collector_that_takes_nothing_delays_no_push_and_what_is_lost_is_counted() {
    let collector = Collector::start();
    collector.status.store(503, Ordering::Relaxed);
    let (bench, admin) = bench(|options| options.set("telemetry.otlp", &collector.url()));
    let scrape = || get(admin, "/metrics", "").body;
    let not_taken = "mns_endpoint_traces_dropped_total{cause=\"not_taken\"}";
    bench.accept(&bench.draft().sign(&key(512)));
    eventually("a trace is dropped", || {
        (metric(&scrape(), not_taken) == 1.0).then_some(())
    });
    // Twice, and the second time was the last.
    let bodies: Vec<_> = collector
        .requests()
        .into_iter()
        .map(|(_, body)| body)
        .collect();
    assert!(bodies.len() == 2 && bodies[0] == bodies[1]);
    assert_eq!(metric(&scrape(), "mns_endpoint_traces_sent_total"), 0.0);
    bench.endpoint.assert_tells("does not take traces");
    collector.status.store(200, Ordering::Relaxed);
    bench.accept(&bench.draft().sign(&key(512)));
    eventually("the next one is taken", || {
        (metric(&scrape(), "mns_endpoint_traces_sent_total") == 1.0).then_some(())
    });
}

#[test]
fn a_collector_that_never_answers_keeps_neither_a_push_nor_the_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let bench = Bench::with(|options| options.set("telemetry.otlp", &url));
    for _ in 0..20 {
        bench.accept(&bench.draft().sign(&key(512)));
    }
    let begun = std::time::Instant::now();
    bench.endpoint.stop();
    // A request may take 5 s, and each is sent twice.
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn push_and_publish_send_a_traceparent_of_the_trace_that_the_environment_names() {
    let document = "<Message xmlns=\"http://mns.aliyuncs.com/doc/v1/\"><MessageId>ID</MessageId>\
        <MessageBodyMD5>MD5</MessageBodyMD5></Message>";
    for environment in [Some(PARENT), None, Some("00-none")] {
        let host = ApiHost::start(&[("201 Created", ""), ("201 Created", document)]);
        let url = format!("http://{}/notifications", host.address);
        let push = ["push", &url, "--cert-url", "http://127.0.0.1:1/x.pem"];
        for args in [&push[..], &["publish", "T", "--body", "m"]] {
            let mut command = program();
            command
                .args(args)
                .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id")
                .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret")
                .env("MNS_ACCOUNT_ENDPOINT", format!("http://{}", host.address));
            command.envs(environment.map(|value| ("TRACEPARENT", value)));
            let ended = finish(&mut command, b"");
            assert_eq!(ended.code, 0, "{ended:?}");
        }
        let requests = host.requests();
        assert_eq!(requests.len(), 2);
        for request in &requests {
            let sent = request.headers()["traceparent"].to_str().unwrap();
            assert!(TraceContext::parse(sent.as_bytes()).unwrap().is_sampled);
            assert_eq!(
                sent[..35] == PARENT[..35],
                environment == Some(PARENT),
                "{sent}"
            );
            assert_ne!(sent, PARENT, "each request is a span of its own");
        }
    }
}
