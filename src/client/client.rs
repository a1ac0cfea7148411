//! What the API can do: each of its operations as a method.

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

/// Speaks to one account's endpoint with one access key.
pub struct Client {
    connection: Connection,
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
        let connection = Connection::new(base, key, security_token, clock)?;
        Ok(Self { connection })
    }

    /// The same client, which signs with version 4 for `region`.
    #[must_use]
    pub fn signing_v4(self, region: String) -> Self {
        Self {
            connection: self.connection.signing_v4(region),
        }
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// [`ClientError`]; `TopicAlreadyExist` if it is there with other attributes.
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

    /// Deletes a topic with its messages and subscriptions. One that is not there counts as
    /// deleted.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn delete_topic(&self, topic: &str) -> Result<(), ClientError> {
        let target = format!("/topics/{topic}");
        self.connection
            .call(Method::DELETE, &target, &[], String::new(), Retries::Some)
            .await
            .map(drop)
    }

    /// The names of all topics, page after page.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn topics(&self, prefix: &str) -> Result<Vec<String>, ClientError> {
        list(&self.connection, "/topics", prefix, "Topic", "TopicURL").await
    }

    /// Makes a subscription.
    ///
    /// # Errors
    /// [`ClientError`]; `SubscriptionAlreadyExist` if it is there with other attributes.
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

    /// Deletes a subscription. One that is not there counts as deleted.
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

    /// The names of all subscriptions of a topic, page after page.
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
            .connection
            .call(
                Method::POST,
                &target,
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
