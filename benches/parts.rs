//! What the parts of the path of a push cost, each alone: `cargo bench --features criterion`.
//! `scripts/bench` measures the whole.

#![expect(
    clippy::unwrap_used,
    reason = "without what it measures it has nothing to do"
)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use http::Request;
use jiff::tz::TimeZone;
use mimalloc::MiMalloc;
use mns_endpoint::clock::{Clock as _, SystemClock};
use mns_endpoint::emulator::{Push, Signer, new_message_id, new_request_id};
use mns_endpoint::journal::{
    Entry, FileOptions, Format, Journal, Level, LogFiles, Place, Record, RecordOrigin,
    RecordRequest, SUCCEED, Settings, Stamps,
};
use mns_endpoint::mns::{
    ContentFormat, ContentMd5, Form, Notification, SignedRequest, string_to_sign,
};
use mns_endpoint::trust::SigningCertificate;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const MESSAGE_BYTES: [usize; 2] = [200, 32 * 1024];

/// A push as it comes.
fn push(signer: &Signer, format: ContentFormat, message_bytes: usize) -> Request<Bytes> {
    let message = vec![b'm'; message_bytes];
    let (now, message_id) = (SystemClock.now(), new_message_id());
    let text = |text: &'static str| std::borrow::Cow::Borrowed(text.as_bytes());
    let notification = Notification {
        format,
        message_md5: ContentMd5::of(&message).upper_hex().into_bytes().into(),
        topic_owner: text("1269128356620446"),
        publish_time: text("1463476256857"),
        subscriber: text("1269128356620446"),
        message_tag: text(""),
        subscription_name: text("MySampleTopic-Sub"),
        message_id: message_id.as_bytes().into(),
        message: message.as_slice().into(),
        topic_name: text("MySampleTopic"),
    };
    let push = Push {
        notification: &notification,
        target: "/notifications",
        host: "127.0.0.1",
        certificate_url: "https://certificates.test/x.pem",
        date: now,
        request_id: &new_request_id(now),
        notation: Push::usual_notation(format),
    };
    parsed(&push.signed(signer).unwrap().to_wire())
}

/// What the HTTP library makes of the bytes of a request.
fn parsed(wire: &[u8]) -> Request<Bytes> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Request::new(&mut headers);
    let end = head.parse(wire).unwrap().unwrap();
    let builder = Request::builder()
        .method(head.method.unwrap())
        .uri(head.path.unwrap());
    let builder = head.headers.iter().fold(builder, |builder, header| {
        builder.header(header.name, header.value)
    });
    builder
        .body(Bytes::copy_from_slice(wire.get(end..).unwrap()))
        .unwrap()
}

fn reading(criterion: &mut Criterion) {
    let signer = Signer::generate(512).unwrap();
    let small = push(&signer, ContentFormat::Xml, 200);
    criterion.bench_function("signed_request", |bench| {
        bench.iter(|| SignedRequest::of(black_box(&small)).unwrap())
    });
    criterion.bench_function("string_to_sign", |bench| {
        bench.iter(|| string_to_sign(black_box(&small), Form::Documented));
    });
    let mut group = criterion.benchmark_group("content_md5");
    for bytes in MESSAGE_BYTES {
        let body = vec![b'm'; bytes];
        group.throughput(Throughput::Bytes(bytes.try_into().unwrap()));
        group.bench_function(BenchmarkId::from_parameter(bytes), |bench| {
            bench.iter(|| ContentMd5::of(black_box(&body)))
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("decode");
    for format in [
        ContentFormat::Xml,
        ContentFormat::Json,
        ContentFormat::Simplified,
    ] {
        for bytes in MESSAGE_BYTES {
            let request = push(&signer, format, bytes);
            group.bench_function(BenchmarkId::new(format!("{format:?}"), bytes), |bench| {
                bench.iter(|| Notification::decode(black_box(&request)).unwrap());
            });
        }
    }
    group.finish();
}

fn verifying(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify");
    for bits in [512, 1024, 2048, 4096] {
        let signer = Signer::generate(bits).unwrap();
        let certificate = SigningCertificate::parse(signer.certificate_pem().as_bytes()).unwrap();
        let request = push(&signer, ContentFormat::Xml, 200);
        let text = string_to_sign(&request, Form::Documented);
        let signature = SignedRequest::of(&request).unwrap().signature().to_vec();
        assert!(certificate.verifies(&text, &signature));
        group.bench_function(BenchmarkId::from_parameter(bits), |bench| {
            bench.iter(|| certificate.verifies(black_box(&text), black_box(&signature)));
        });
    }
    group.finish();
}

/// The two records of an accepted push.
fn records(stamps: &Stamps, request: &Request<Bytes>, format: Format) -> Vec<u8> {
    let notification = Notification::decode(request).unwrap();
    let stamp = stamps.at(SystemClock.now());
    let (level, attributes) = (Level::Info, notification.attributes());
    let shown = RecordRequest {
        headers: request.headers(),
        origin: Some(RecordOrigin {
            peer: "127.0.0.1:1",
            target: b"POST /notifications",
            request_id: Some(b"573AE020B2B71CFC6801A6EF"),
        }),
        body: Some(request.body()),
    };
    let mut out = Vec::with_capacity(4096);
    let (place, title) = (Place::Request, None);
    Record {
        stamp: &stamp,
        level,
        place,
        title,
        attributes: &[],
        request: Some(shown),
    }
    .write(&mut out, format);
    let (place, title) = (Place::Succeed, Some(SUCCEED));
    Record {
        stamp: &stamp,
        level,
        place,
        title,
        attributes: &attributes,
        request: None,
    }
    .write(&mut out, format);
    out
}

fn recording(criterion: &mut Criterion) {
    let stamps = Stamps::new(TimeZone::UTC);
    let request = push(&Signer::generate(512).unwrap(), ContentFormat::Xml, 200);
    let mut group = criterion.benchmark_group("records");
    for format in [Format::Text, Format::Json] {
        group.bench_function(
            BenchmarkId::from_parameter(format!("{format:?}")),
            |bench| {
                bench.iter(|| records(&stamps, black_box(&request), format));
            },
        );
    }
    group.finish();
}

/// On the disk that `target` is on: from the hand-over of many entries at once to the last
/// receipt.
fn committing(criterion: &mut Criterion) {
    let request = push(&Signer::generate(512).unwrap(), ContentFormat::Xml, 200);
    let endpoint = records(&Stamps::new(TimeZone::UTC), &request, Format::Text);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let files = LogFiles::open(FileOptions {
        dir: dir.path().to_owned(),
        port: 1,
        mode: 0o640,
    })
    .unwrap();
    let journal = Journal::start(files, Settings::default(), None).unwrap().0;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("commit");
    for waiting in [1_u64, 64, 1024] {
        group.throughput(Throughput::Elements(waiting));
        group.bench_function(BenchmarkId::from_parameter(waiting), |bench| {
            bench.iter(|| {
                let entry = |_| Entry {
                    endpoint: endpoint.clone(),
                    access: vec![b'a'; 170],
                    ..Entry::default()
                };
                let appends = join_all((0..waiting).map(|number| journal.append(entry(number))));
                assert!(runtime.block_on(appends).iter().all(Result::is_ok));
            });
        });
    }
    group.finish();
    runtime.block_on(journal.close()).unwrap();
}

criterion_group!(parts, reading, verifying, recording, committing);
criterion_main!(parts);
