//! What a request to the API asks for, told from its method and target (protocol.md 4.3).

use http::Method;

use crate::emulator::account::Key;
use crate::emulator::refusal::Refusal;

/// An operation of the topic half of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    CreateTopic(String),
    SetTopicAttributes(String),
    GetTopicAttributes(String),
    DeleteTopic(String),
    ListTopic,
    Subscribe(Key),
    SetSubscriptionAttributes(Key),
    GetSubscriptionAttributes(Key),
    Unsubscribe(Key),
    ListSubscriptionByTopic(String),
    PublishMessage(String),
}

impl Operation {
    /// The operation of a request.
    pub(super) fn of(method: &Method, path: &str, query: Option<&str>) -> Result<Self, Refusal> {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let topic = |name: &&str| (*name).to_owned();
        let key = |topic: &&str, name: &&str| Key { topic: (*topic).to_owned(), name: (*name).to_owned() };
        let changes = query == Some("metaoverride=true");
        match (method.as_str(), parts.as_slice(), changes) {
            ("GET", ["topics"], _) => Ok(Self::ListTopic),
            ("PUT", ["topics", name], false) => Ok(Self::CreateTopic(topic(name))),
            ("PUT", ["topics", name], true) => Ok(Self::SetTopicAttributes(topic(name))),
            ("GET", ["topics", name], _) => Ok(Self::GetTopicAttributes(topic(name))),
            ("DELETE", ["topics", name], _) => Ok(Self::DeleteTopic(topic(name))),
            ("POST", ["topics", name, "messages"], _) => Ok(Self::PublishMessage(topic(name))),
            ("GET", ["topics", name, "subscriptions"], _) => Ok(Self::ListSubscriptionByTopic(topic(name))),
            ("PUT", ["topics", of, "subscriptions", name], false) => Ok(Self::Subscribe(key(of, name))),
            ("PUT", ["topics", of, "subscriptions", name], true) => Ok(Self::SetSubscriptionAttributes(key(of, name))),
            ("GET", ["topics", of, "subscriptions", name], _) => Ok(Self::GetSubscriptionAttributes(key(of, name))),
            ("DELETE", ["topics", of, "subscriptions", name], _) => Ok(Self::Unsubscribe(key(of, name))),
            (_, ["queues", ..], _) => {
                Err(Refusal::InvalidRequestURL("The emulator has topics only, no queues.".to_owned()))
            }
            _ => Err(Refusal::InvalidRequestURL(format!("{method} {path} is no operation on topics."))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, target: &str) -> Result<Operation, Refusal> {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        Operation::of(&method.parse().unwrap(), path, query)
    }

    #[test]
    fn every_operation_has_its_method_and_target() {
        let (topic, key) = (|| "T".to_owned(), || Key { topic: "T".to_owned(), name: "S".to_owned() });
        for (method, target, operation) in [
            ("GET", "/topics", Operation::ListTopic),
            ("PUT", "/topics/T", Operation::CreateTopic(topic())),
            ("PUT", "/topics/T?metaoverride=true", Operation::SetTopicAttributes(topic())),
            ("GET", "/topics/T", Operation::GetTopicAttributes(topic())),
            ("DELETE", "/topics/T", Operation::DeleteTopic(topic())),
            ("POST", "/topics/T/messages", Operation::PublishMessage(topic())),
            ("GET", "/topics/T/subscriptions", Operation::ListSubscriptionByTopic(topic())),
            ("PUT", "/topics/T/subscriptions/S", Operation::Subscribe(key())),
            ("PUT", "/topics/T/subscriptions/S?metaoverride=true", Operation::SetSubscriptionAttributes(key())),
            ("GET", "/topics/T/subscriptions/S", Operation::GetSubscriptionAttributes(key())),
            ("DELETE", "/topics/T/subscriptions/S", Operation::Unsubscribe(key())),
        ] {
            assert_eq!(of(method, target), Ok(operation));
        }
    }

    #[test]
    fn everything_else_is_none() {
        for (method, target) in [
            ("GET", "/"),
            ("POST", "/topics"),
            ("PATCH", "/topics/T"),
            ("GET", "/topics/T/"),
            ("GET", "/topics/T/messages"),
            ("GET", "/topics/T/subscriptions/S/x"),
            ("POST", "/queues/Q/messages"),
            ("GET", "//topics"),
        ] {
            assert!(matches!(of(method, target), Err(Refusal::InvalidRequestURL(_))), "{method} {target}");
        }
    }
}
