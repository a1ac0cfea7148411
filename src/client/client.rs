//! The operations of the API, each as a method.

use std::sync::Arc;

use http::Method;

use crate::client::base::Base;
use crate::client::connection::{Connection, Reply};
use crate::client::error::ClientError;
use crate::client::list::list;
use crate::client::retry::Retries;
use crate::clock::Clock;
use crate::mns::api::{
    Subscription, SubscriptionAttributes, SubscriptionChange, Topic, TopicAttributes,
    UnexpectedDocument,
};
use crate::mns::{AccessKey, Element};
use crate::traces::TraceContext;

/// A client of one account's endpoint, with one access key.
pub struct Client {
    connection: Connection,
}

/// What a request to create something did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It was created.
    New,
    /// It already existed, with the same attributes.
    Unchanged,
}

/// A message that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its id. All notifications of the message have it.
    pub message_id: String,
    /// Upper-case hex MD5 of the message, as computed by the service.
    pub body_md5: String,
}

impl Client {
    /// Makes a client. Sends nothing yet.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Tls`]: this machine cannot provide an HTTP
    /// client.
    pub fn new(
        base: Base,
        key: AccessKey,
        security_token: Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ClientError> {
        let connection = Connection::new(base, key, security_token, clock)?;
        Ok(Self { connection })
    }

    /// The same client, but it signs with version 4 for `region`.
    #[must_use]
    pub fn signing_v4(self, region: String) -> Self {
        Self {
            connection: self.connection.signing_v4(region),
        }
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// [`ClientError`]; `TopicAlreadyExist` if it exists with other attributes.
    pub async fn create_topic(
        &self,
        topic: &str,
        attributes: &TopicAttributes,
    ) -> Result<Created, ClientError> {
        let body = attributes.to_element().document();
        Ok(created(
            &self
                .connection
                .call(
                    Method::PUT,
                    &format!("/topics/{topic}"),
                    &[],
                    body,
                    // Safe to repeat: the service answers 204 if the topic has these attributes
                    // already.
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
        self.connection
            .call(Method::PUT, &target, &[], body, Retries::Some)
            .await
            .map(drop)
    }

    /// Describes a topic.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn topic(&self, topic: &str) -> Result<Topic, ClientError> {
        let answer = self
            .connection
            .get(&format!("/topics/{topic}"), &[])
            .await?;
        Ok(Topic::of_element(&answer)?)
    }

    /// Deletes a topic with its messages and subscriptions. A missing one counts as deleted.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn delete_topic(&self, topic: &str) -> Result<(), ClientError> {
        let target = format!("/topics/{topic}");
        self.connection
            // Safe to repeat: deleting something that is gone succeeds too.
            .call(Method::DELETE, &target, &[], String::new(), Retries::Some)
            .await
            .map(drop)
    }

    /// The names of all topics, read page by page.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn topics(&self, prefix: &str) -> Result<Vec<String>, ClientError> {
        list(&self.connection, "/topics", prefix, "Topic", "TopicURL").await
    }

    /// Creates a subscription.
    ///
    /// # Errors
    /// [`ClientError`]; `SubscriptionAlreadyExist` if it exists with other attributes.
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
                .connection
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
        self.connection
            .call(
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
            .connection
            .get(
                &format!("/topics/{topic}/subscriptions/{subscription}"),
                &[],
            )
            .await?;
        Ok(Subscription::of_element(&answer)?)
    }

    /// Deletes a subscription. A missing one counts as deleted.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn unsubscribe(&self, topic: &str, subscription: &str) -> Result<(), ClientError> {
        let target = format!("/topics/{topic}/subscriptions/{subscription}");
        self.connection
            .call(Method::DELETE, &target, &[], String::new(), Retries::Some)
            .await
            .map(drop)
    }

    /// The names of all subscriptions of a topic, read page by page.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn subscriptions(
        &self,
        topic: &str,
        prefix: &str,
    ) -> Result<Vec<String>, ClientError> {
        list(
            &self.connection,
            &format!("/topics/{topic}/subscriptions"),
            prefix,
            "Subscription",
            "SubscriptionURL",
        )
        .await
    }

    /// Publishes a message. Not retried: a second attempt could publish it twice.
    ///
    /// # Errors
    /// [`ClientError`]. After [`ClientError::Unreachable`] the message may still have been
    /// published.
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
            .connection
            .call(
                Method::POST,
                &target,
                // Not signed: a signature covers only Content-MD5, Content-Type, Date and x-mns-*.
                &[("traceparent", &TraceContext::outgoing().to_string())],
                body,
                Retries::None,
            )
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
}

fn created(answer: &Reply) -> Created {
    if answer.status == http::StatusCode::CREATED {
        Created::New
    } else {
        Created::Unchanged
    }
}
