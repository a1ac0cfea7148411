//! A client of the REST API: topics, subscriptions and publishing, for MNS and for whatever speaks
//! like it.

mod base;
mod error;
mod list;
mod retry;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST};
use http::{HeaderName, Method, Request};

use crate::client::retry::{Retries, is_worth_another_try};
use crate::clock::Clock;
use crate::mns::api::{
    ApiError, Subscription, SubscriptionAttributes, SubscriptionChange, Topic, TopicAttributes,
    UnexpectedDocument,
};
use crate::mns::{AccessKey, Element, header};
use crate::roots;

pub use base::{Base, BaseError};
pub use error::{ClientError, EndlessList};

/// For one request, name look-up to last byte.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer, in bytes: a list of 1000 addresses is far below it.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("security-token");

/// Speaks to one account's endpoint with one access key.
pub struct Client {
    http: reqwest::Client,
    base: Base,
    key: AccessKey,
    /// The region that requests are signed for with version 4; `None` signs them with version 2.
    region: Option<String>,
    security_token: Option<String>,
    clock: Arc<dyn Clock>,
}

/// What a request to make something did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It was made.
    New,
    /// It was there already, with the same attributes.
    Unchanged,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its id, the same in every notification of it.
    pub message_id: String,
    /// Upper-case hex MD5 of the message, as the service counts it.
    pub body_md5: String,
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Client {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Tls`]: no HTTP client can be made on this
    /// machine.
    pub fn new(
        base: Base,
        key: AccessKey,
        security_token: Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(roots::tls_client()?)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| ClientError::unreachable(&base.text, &error))?;
        Ok(Self {
            http,
            base,
            key,
            region: None,
            security_token,
            clock,
        })
    }

    /// The same client, which signs with version 4 for `region`.
    #[must_use]
    pub fn signing_v4(self, region: String) -> Self {
        Self {
            region: Some(region),
            ..self
        }
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// [`ClientError`]; `TopicAlreadyExist` where it is there with other attributes.
    pub async fn create_topic(
        &self,
        topic: &str,
        attributes: &TopicAttributes,
    ) -> Result<Created, ClientError> {
        let body = attributes.to_element().document();
        Ok(created(
            &self
                .call(
                    Method::PUT,
                    &format!("/topics/{topic}"),
                    &[],
                    body,
                    Retries::Some,
                )
                .await?,
        ))
    }

    /// Changes a topic.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn set_topic(
        &self,
        topic: &str,
        attributes: &TopicAttributes,
    ) -> Result<(), ClientError> {
        let body = attributes.to_element().document();
        let target = format!("/topics/{topic}?metaoverride=true");
        self.call(Method::PUT, &target, &[], body, Retries::Some)
            .await
            .map(drop)
    }

    /// Describes a topic.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn topic(&self, topic: &str) -> Result<Topic, ClientError> {
        let answer = self.get(&format!("/topics/{topic}"), &[]).await?;
        Ok(Topic::of_element(&answer)?)
    }

    /// Deletes a topic with its messages and subscriptions. One that is not there counts as
    /// deleted.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn delete_topic(&self, topic: &str) -> Result<(), ClientError> {
        let target = format!("/topics/{topic}");
        self.call(Method::DELETE, &target, &[], String::new(), Retries::Some)
            .await
            .map(drop)
    }

    /// The names of all topics, page after page.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn topics(&self, prefix: &str) -> Result<Vec<String>, ClientError> {
        self.list("/topics", prefix, "Topic", "TopicURL").await
    }

    /// Makes a subscription.
    ///
    /// # Errors
    /// [`ClientError`]; `SubscriptionAlreadyExist` where it is there with other attributes.
    pub async fn subscribe(
        &self,
        topic: &str,
        subscription: &str,
        attributes: &SubscriptionAttributes,
    ) -> Result<Created, ClientError> {
        let target = format!("/topics/{topic}/subscriptions/{subscription}");
        let body = attributes.to_element().document();
        Ok(created(
            &self
                .call(Method::PUT, &target, &[], body, Retries::Some)
                .await?,
        ))
    }

    /// Changes a subscription.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn set_subscription(
        &self,
        topic: &str,
        subscription: &str,
        change: &SubscriptionChange,
    ) -> Result<(), ClientError> {
        let target = format!("/topics/{topic}/subscriptions/{subscription}?metaoverride=true");
        self.call(
            Method::PUT,
            &target,
            &[],
            change.to_element().document(),
            Retries::Some,
        )
        .await
        .map(drop)
    }

    /// Describes a subscription.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn subscription(
        &self,
        topic: &str,
        subscription: &str,
    ) -> Result<Subscription, ClientError> {
        let answer = self
            .get(
                &format!("/topics/{topic}/subscriptions/{subscription}"),
                &[],
            )
            .await?;
        Ok(Subscription::of_element(&answer)?)
    }

    /// Deletes a subscription. One that is not there counts as deleted.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn unsubscribe(&self, topic: &str, subscription: &str) -> Result<(), ClientError> {
        let target = format!("/topics/{topic}/subscriptions/{subscription}");
        self.call(Method::DELETE, &target, &[], String::new(), Retries::Some)
            .await
            .map(drop)
    }

    /// The names of all subscriptions of a topic, page after page.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn subscriptions(
        &self,
        topic: &str,
        prefix: &str,
    ) -> Result<Vec<String>, ClientError> {
        self.list(
            &format!("/topics/{topic}/subscriptions"),
            prefix,
            "Subscription",
            "SubscriptionURL",
        )
        .await
    }

    /// Publishes a message. It is sent once: a second try could double it.
    ///
    /// # Errors
    /// [`ClientError`]. After [`ClientError::Unreachable`] the message may have arrived all the
    /// same.
    pub async fn publish(
        &self,
        topic: &str,
        message: &str,
        tag: &str,
    ) -> Result<Published, ClientError> {
        let mut elements = vec![Element::of_text("MessageBody", message)];
        elements.extend((!tag.is_empty()).then(|| Element::of_text("MessageTag", tag)));
        let body = Element::of_children("Message", elements).document();
        let target = format!("/topics/{topic}/messages");
        let answer = self
            .call(Method::POST, &target, &[], body, Retries::None)
            .await?;
        let answer = Element::parse(&answer.body)?;
        let text = |name| {
            answer
                .text_of(name)
                .map(str::to_owned)
                .ok_or(UnexpectedDocument::Missing(name))
        };
        Ok(Published {
            message_id: text("MessageId")?,
            body_md5: text("MessageBodyMD5")?,
        })
    }

    async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Result<Element, ClientError> {
        let answer = self
            .call(Method::GET, target, headers, String::new(), Retries::Some)
            .await?;
        Ok(Element::parse(&answer.body)?)
    }

    /// One call: signed anew for each try.
    async fn call(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: String,
        retries: Retries,
    ) -> Result<Answer, ClientError> {
        let body = Bytes::from(body);
        let mut tries = retries.start();
        loop {
            let outcome = self
                .send(self.signed(&method, target, headers, &body)?)
                .await;
            match outcome {
                Err(error) if is_worth_another_try(&error) && tries.wait().await => {}
                outcome => return outcome,
            }
        }
    }

    fn signed(
        &self,
        method: &Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &Bytes,
    ) -> Result<Request<Bytes>, ClientError> {
        let now = self.clock.now();
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, &self.base.authority)
            .header(DATE, httpdate::fmt_http_date(now))
            .header(header::VERSION, "2015-06-06")
            .header(CONTENT_LENGTH, body.len());
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "text/xml;charset=UTF-8");
        }
        if let Some(token) = &self.security_token {
            request = request.header(SECURITY_TOKEN, token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.clone())?;
        let authorization = match &self.region {
            None => self.key.authorize(&request),
            Some(region) => self.key.authorize_v4(&request, region, now),
        };
        let authorization = authorization.to_string();
        request.headers_mut().insert(
            AUTHORIZATION,
            authorization.try_into().map_err(http::Error::from)?,
        );
        *request.uri_mut() = format!("{}{target}", self.base.text)
            .try_into()
            .map_err(http::Error::from)?;
        Ok(request)
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Answer, ClientError> {
        let unreachable = |error| ClientError::unreachable(&self.base.text, &error);
        let request = reqwest::Request::try_from(request).map_err(unreachable)?;
        let mut response = self.http.execute(request).await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(ClientError::TooLarge);
            }
        }
        if (200..300).contains(&status) {
            return Ok(Answer { status, body });
        }
        match Element::parse(&body).map(|document| ApiError::of_element(&document)) {
            Ok(Ok(error)) => Err(ClientError::Refused { status, error }),
            Ok(Err(_)) | Err(_) => Err(ClientError::Foreign(status)),
        }
    }
}

fn created(answer: &Answer) -> Created {
    if answer.status == http::StatusCode::CREATED {
        Created::New
    } else {
        Created::Unchanged
    }
}
