//! The REST API over HTTP: who asks, what for, and the answer in the service's layout
//! (`docs/emulator.md`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::emulator::account::{AccountError, Key, NewMessage, Page};
use crate::emulator::answer::Answer;
use crate::emulator::authentication::authenticate;
use crate::emulator::operation::Operation;
use crate::emulator::refusal::Refusal;
use crate::emulator::{Emulator, account, new_request_id};
use crate::mns::api::{
    self, ApiError, SubscriptionAttributes, SubscriptionChange, TopicAttributes, UnexpectedDocument,
};
use crate::mns::{ContentMd5, Element};
use crate::report::Report;

/// The largest request, in bytes: 64 KiB of ampersands are 320 KiB of XML.
const BODY_BYTES_MAX: usize = 512 * 1024;
/// How long a request's body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const SCHEME: &str = "http://";
const PREFIX: HeaderName = HeaderName::from_static("x-mns-prefix");
const MARKER: HeaderName = HeaderName::from_static("x-mns-marker");
const RET_NUMBER: HeaderName = HeaderName::from_static("x-mns-ret-number");
const WITH_META: HeaderName = HeaderName::from_static("x-mns-with-meta");

/// The names that the service writes in title case, in recordings of 2026. It writes those that
/// begin with `x-mns-` in lower case.
pub(super) const TITLE_CASE_NAMES: [&str; 6] = [
    "Server",
    "Date",
    "Content-Type",
    "Content-Length",
    "Location",
    "Connection",
];

/// Whether the entries of a list have the attributes of what is listed.
#[derive(Clone, Copy)]
enum Attributes {
    LeftOut,
    Listed,
}

/// The API, and before it what no client of MNS asks for: the status document and the certificates.
pub(super) fn router(emulator: Arc<Emulator>) -> Router {
    let known_hosts_only = from_fn_with_state(emulator.clone(), known_hosts_only);
    let header_case = emulator.header_case.clone();
    let in_case = map_response(move |mut answer: Response| {
        header_case.apply(&mut answer);
        std::future::ready(answer)
    });
    let router = Router::new().route("/status", get(status)).fallback(answer);
    router
        .layer(known_hosts_only)
        .layer(in_case)
        .with_state(emulator)
}

/// Keeps the page of a stranger, whose name points here, from using the API with a key that
/// everyone knows.
async fn known_hosts_only(
    State(emulator): State<Arc<Emulator>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    if emulator.knows_host(request.headers()) {
        return next.run(request).await;
    }
    warn!("Refused a request whose Host is no name of this emulator: add it with --host");
    let told =
        "The emulator does not answer to the name in Host: start it with --host NAME\n".to_owned();
    plain(StatusCode::MISDIRECTED_REQUEST, "text/plain", told)
}

async fn status(State(emulator): State<Arc<Emulator>>) -> Response {
    match emulator
        .status()
        .await
        .map(|status| serde_json::to_string_pretty(&status))
    {
        Ok(Ok(text)) => plain(StatusCode::OK, "application/json", text),
        Ok(Err(_)) | Err(_) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain",
            "the account failed".to_owned(),
        ),
    }
}

fn plain(status: StatusCode, content_type: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

async fn answer(State(emulator): State<Arc<Emulator>>, request: Request<Body>) -> Response {
    if let Some(pem) = emulator.sender.keyring.certificate(request.uri().path()) {
        return plain(StatusCode::OK, "application/x-pem-file", pem);
    }
    let begun = Instant::now();
    let request_id = new_request_id(emulator.clock.now());
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let base = format!("{SCHEME}{host}");
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = perform(&emulator, &base, request)
        .await
        .unwrap_or_else(|refusal| {
            let (code, message) = (refusal.code().to_owned(), refusal.to_string());
            let error = ApiError {
                code,
                message,
                request_id: request_id.clone(),
                host_id: base.clone(),
            };
            Answer::of(refusal.status(), error.to_element())
        });
    info!(%method, path, status = answer.status.as_u16(), request_id, "Answered");
    answer.into_response(&request_id, begun.elapsed())
}

async fn perform(
    emulator: &Emulator,
    base: &str,
    request: Request<Body>,
) -> Result<Answer, Refusal> {
    let request = whole(request).await?;
    // Before the signature: clients disagree on how to sign a name that has to be percent-encoded.
    let operation = Operation::of(
        request.method(),
        request.uri().path(),
        request.uri().query(),
    )?;
    authenticate(&request, emulator.access_key.as_ref(), emulator.clock.now())?;
    match carry_out(emulator, base, operation, &request).await {
        Ok(answer) => Ok(answer),
        Err(AccountError::Refused(refusal)) => Err(refusal),
        Err(failure @ (AccountError::Database(_) | AccountError::Closed)) => {
            error!(error = %Report(&failure), "A request failed");
            Err(Refusal::InternalError)
        }
    }
}

async fn whole(request: Request<Body>) -> Result<Request<Bytes>, Refusal> {
    let (head, body) = request.into_parts();
    let body = timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES_MAX)).await;
    let told = |_| {
        Refusal::InvalidArgument(format!(
            "The body has more than {BODY_BYTES_MAX} bytes, or broke off."
        ))
    };
    let late =
        |_| Refusal::InvalidArgument(format!("The body did not come within {BODY_TIMEOUT:?}."));
    Ok(Request::from_parts(
        head,
        body.map_err(late)?.map_err(told)?,
    ))
}

async fn carry_out(
    emulator: &Emulator,
    base: &str,
    operation: Operation,
    request: &Request<Bytes>,
) -> Result<Answer, AccountError> {
    let account = &emulator.account;
    match operation {
        Operation::CreateTopic(topic) => {
            let attributes = read(request, TopicAttributes::of_element)?;
            let location = format!("{base}/topics/{topic}");
            Ok(Answer::created(
                account.create_topic(topic, attributes).await?,
                location,
            ))
        }
        Operation::SetTopicAttributes(topic) => {
            account
                .set_topic(topic, read(request, TopicAttributes::of_element)?)
                .await?;
            Ok(Answer::done())
        }
        Operation::GetTopicAttributes(topic) => {
            Ok(Answer::found(account.topic(topic).await?.to_element()))
        }
        Operation::DeleteTopic(topic) => {
            account.delete_topic(topic.clone()).await?;
            emulator.pusher.wake_all_of(&topic);
            Ok(Answer::done())
        }
        Operation::ListTopic => {
            let topics = account.topics(page(request)?).await?;
            let entry = |topic: api::Topic| {
                let url = Element::of_text("TopicURL", format!("{base}/topics/{}", topic.name));
                entry(url, topic.to_element(), wants_attributes(request))
            };
            Ok(Answer::list("Topics", topics, entry))
        }
        Operation::Subscribe(key) => {
            let attributes = read(request, SubscriptionAttributes::of_element)?;
            // Without a scheme, unlike that of a topic.
            let host = base.strip_prefix(SCHEME).unwrap_or(base);
            let location = format!("{host}/topics/{}/subscriptions/{}", key.topic, key.name);
            let owner = emulator.account_of(base).to_owned();
            let made = account.subscribe(key.clone(), owner, attributes).await?;
            emulator.pusher.wake(key);
            Ok(Answer::created(made, location))
        }
        Operation::SetSubscriptionAttributes(key) => {
            account
                .set_subscription(key, read(request, SubscriptionChange::of_element)?)
                .await?;
            Ok(Answer::done())
        }
        Operation::GetSubscriptionAttributes(key) => {
            Ok(Answer::found(account.subscription(key).await?.to_element()))
        }
        Operation::Unsubscribe(key) => {
            account.unsubscribe(key.clone()).await?;
            emulator.pusher.wake(key);
            Ok(Answer::done())
        }
        Operation::ListSubscriptionByTopic(topic) => {
            let subscriptions = account.subscriptions(topic.clone(), page(request)?).await?;
            let entry = |subscription: api::Subscription| {
                let url = format!("{base}/topics/{topic}/subscriptions/{}", subscription.name);
                let url = Element::of_text("SubscriptionURL", url);
                entry(url, subscription.to_element(), wants_attributes(request))
            };
            Ok(Answer::list("Subscriptions", subscriptions, entry))
        }
        Operation::PublishMessage(topic) => publish(emulator, topic, request).await,
    }
}

async fn publish(
    emulator: &Emulator,
    topic: String,
    request: &Request<Bytes>,
) -> Result<Answer, AccountError> {
    let new = read(request, |message| {
        if message.name != "Message" {
            return Err(UnexpectedDocument::Root {
                found: message.name.clone(),
                wanted: "Message",
            });
        }
        let body = api::text(message, "MessageBody")?
            .ok_or(UnexpectedDocument::Missing("MessageBody"))?
            .to_owned();
        Ok(NewMessage {
            body,
            tag: api::text(message, "MessageTag")?
                .unwrap_or_default()
                .to_owned(),
        })
    })?;
    let md5 = ContentMd5::of(new.body.as_bytes()).upper_hex();
    let queued = emulator.account.publish(topic.clone(), new).await?;
    for name in queued.subscriptions {
        emulator.pusher.wake(Key {
            topic: topic.clone(),
            name,
        });
    }
    let texts = [("MessageId", queued.message_id), ("MessageBodyMD5", md5)];
    let children = texts
        .map(|(name, text)| Element::of_text(name, text))
        .into();
    Ok(Answer::of(
        StatusCode::CREATED,
        Element::of_children("Message", children),
    ))
}

fn read<T>(
    request: &Request<Bytes>,
    read: impl FnOnce(&Element) -> Result<T, UnexpectedDocument>,
) -> Result<T, Refusal> {
    let element =
        Element::parse(request.body()).map_err(|error| Refusal::MalformedXML(error.to_string()))?;
    // The service's table of errors: MalformedXML is not well-formed, InvalidArgument is against
    // the schema.
    read(&element).map_err(|error| match &error {
        UnexpectedDocument::Nested(_) => Refusal::MalformedXML(error.to_string()),
        UnexpectedDocument::Value {
            name: "NotifyContentFormat",
            value,
        } if value.trim() == "STREAM" => {
            Refusal::NotSupported("no format STREAM: give XML, JSON or SIMPLIFIED")
        }
        UnexpectedDocument::Root { .. }
        | UnexpectedDocument::Missing(_)
        | UnexpectedDocument::Value { .. } => {
            Refusal::InvalidArgument(format!("The XML you provided is not valid: {error}."))
        }
    })
}

/// An entry of a list: its address, and what a description of it has.
fn entry(address: Element, description: Element, attributes: Attributes) -> Element {
    let attributes = match attributes {
        Attributes::LeftOut => Vec::new(),
        Attributes::Listed => description.children,
    };
    Element::of_children(
        &description.name,
        std::iter::once(address).chain(attributes).collect(),
    )
}

fn wants_attributes(request: &Request<Bytes>) -> Attributes {
    match text(request, &WITH_META) {
        Some(value) if value.eq_ignore_ascii_case("true") => Attributes::Listed,
        Some(_) | None => Attributes::LeftOut,
    }
}

fn page(request: &Request<Bytes>) -> Result<Page, Refusal> {
    let entries_max = match text(request, &RET_NUMBER) {
        None => account::PAGE_ENTRIES_MAX,
        Some(number) => {
            let number = number
                .parse()
                .ok()
                .filter(|number| (1..=account::PAGE_ENTRIES_MAX).contains(number));
            number.ok_or_else(|| {
                Refusal::InvalidArgument("x-mns-ret-number is from 1 to 1000.".to_owned())
            })?
        }
    };
    let own = |name| text(request, name).unwrap_or_default().to_owned();
    Ok(Page {
        prefix: own(&PREFIX),
        marker: own(&MARKER),
        entries_max,
    })
}

fn text<'a>(request: &'a Request<Bytes>, name: &HeaderName) -> Option<&'a str> {
    request
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
}
