//! The operation that a request to the API selects, by its method and target (`docs/emulator.md`).

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
        // A path begins with a slash, so the first part is always empty.
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match parts.as_slice() {
            ["topics", topic, ..] if !is_sent_as_signed(topic) => {
                return Err(Refusal::TopicNameInvalid);
            }
            ["topics", _, "subscriptions", name, ..] if !is_sent_as_signed(name) => {
                return Err(Refusal::SubscriptionNameInvalid);
            }
            _ => {}
        }
        let topic = |name: &&str| (*name).to_owned();
        let key = |topic: &&str, name: &&str| Key {
            topic: (*topic).to_owned(),
            name: (*name).to_owned(),
        };
        // Any other query is ignored (`docs/emulator.md`).
        let changes = query == Some("metaoverride=true");
        match (method.as_str(), parts.as_slice(), changes) {
            ("GET", ["topics"], _) => Ok(Self::ListTopic),
            ("PUT", ["topics", name], false) => Ok(Self::CreateTopic(topic(name))),
            ("PUT", ["topics", name], true) => Ok(Self::SetTopicAttributes(topic(name))),
            ("GET", ["topics", name], _) => Ok(Self::GetTopicAttributes(topic(name))),
            ("DELETE", ["topics", name], _) => Ok(Self::DeleteTopic(topic(name))),
            ("POST", ["topics", name, "messages"], _) => Ok(Self::PublishMessage(topic(name))),
            ("GET", ["topics", name, "subscriptions"], _) => {
                Ok(Self::ListSubscriptionByTopic(topic(name)))
            }
            ("PUT", ["topics", of, "subscriptions", name], false) => {
                Ok(Self::Subscribe(key(of, name)))
            }
            ("PUT", ["topics", of, "subscriptions", name], true) => {
                Ok(Self::SetSubscriptionAttributes(key(of, name)))
            }
            ("GET", ["topics", of, "subscriptions", name], _) => {
                Ok(Self::GetSubscriptionAttributes(key(of, name)))
            }
            ("DELETE", ["topics", of, "subscriptions", name], _) => {
                Ok(Self::Unsubscribe(key(of, name)))
            }
            // Named one by one, so that a user of an SDK learns what the emulator lacks.
            ("GET" | "PUT", [""], _) if query == Some("accountmeta=true") => {
                Err(Refusal::NotSupported(
                    "no attributes of the account: it delivers no logs to a bucket",
                ))
            }
            ("POST", ["commonbuy", "openservice"], _) => Err(Refusal::NotSupported(
                "no service to open: it can be used at once",
            )),
            (_, ["queues", ..], _) => Err(Refusal::NotSupported("topics only, no queues")),
            _ => Err(Refusal::InvalidRequestURL(format!(
                "{method} {path} is not an operation on topics"
            ))),
        }
    }
}

/// Whether every client writes this name identically in the request line and in the string to sign.
/// If a name has a blank, a percent sign or a non-ASCII character, some clients sign the encoded
/// form and others the decoded one, so it is refused before the signature is checked.
fn is_sent_as_signed(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, target: &str) -> Result<Operation, Refusal> {
        let (path, query) = target
            .split_once('?')
            .map_or((target, None), |(path, query)| (path, Some(query)));
        Operation::of(&method.parse().unwrap(), path, query)
    }

    #[test]
    fn every_operation_has_its_method_and_target() {
        let (topic, key) = (
            || "T".to_owned(),
            || Key {
                topic: "T".to_owned(),
                name: "S".to_owned(),
            },
        );
        for (method, target, operation) in [
            ("GET", "/topics", Operation::ListTopic),
            ("PUT", "/topics/T", Operation::CreateTopic(topic())),
            (
                "PUT",
                "/topics/T?metaoverride=true",
                Operation::SetTopicAttributes(topic()),
            ),
            ("GET", "/topics/T", Operation::GetTopicAttributes(topic())),
            ("DELETE", "/topics/T", Operation::DeleteTopic(topic())),
            (
                "POST",
                "/topics/T/messages",
                Operation::PublishMessage(topic()),
            ),
            (
                "GET",
                "/topics/T/subscriptions",
                Operation::ListSubscriptionByTopic(topic()),
            ),
            (
                "PUT",
                "/topics/T/subscriptions/S",
                Operation::Subscribe(key()),
            ),
            (
                "PUT",
                "/topics/T/subscriptions/S?metaoverride=true",
                Operation::SetSubscriptionAttributes(key()),
            ),
            (
                "GET",
                "/topics/T/subscriptions/S",
                Operation::GetSubscriptionAttributes(key()),
            ),
            (
                "DELETE",
                "/topics/T/subscriptions/S",
                Operation::Unsubscribe(key()),
            ),
        ] {
            assert_eq!(of(method, target), Ok(operation));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (method, target) in [
            ("GET", "/"),
            ("POST", "/topics"),
            ("PATCH", "/topics/T"),
            ("GET", "/topics/T/"),
            ("GET", "/topics/T/messages"),
            ("GET", "/topics/T/subscriptions/S/x"),
            ("GET", "//topics"),
            ("GET", "/?accountmeta=false"),
            ("DELETE", "/?accountmeta=true"),
            ("GET", "/commonbuy/openservice"),
        ] {
            assert!(
                matches!(of(method, target), Err(Refusal::InvalidRequestURL(_))),
                "{method} {target}"
            );
        }
    }

    #[test]
    fn operations_that_only_the_service_has_are_named() {
        for (method, target) in [
            ("POST", "/queues/Q/messages"),
            ("GET", "/queues"),
            ("GET", "/?accountmeta=true"),
            ("PUT", "/?accountmeta=true"),
            ("POST", "/commonbuy/openservice"),
        ] {
            assert!(
                matches!(of(method, target), Err(Refusal::NotSupported(_))),
                "{method} {target}"
            );
        }
    }

    #[test]
    fn names_that_clients_sign_differently_are_refused() {
        for name in ["My%20Topic", "%E4%B8%AD", "\u{4e2d}", "a%2Fb", "a b"] {
            for rest in ["", "/messages", "/subscriptions", "/subscriptions/S"] {
                for method in ["GET", "PUT", "POST", "DELETE"] {
                    let target = format!("/topics/{name}{rest}");
                    assert_eq!(
                        of(method, &target),
                        Err(Refusal::TopicNameInvalid),
                        "{method} {target}"
                    );
                }
            }
            let target = format!("/topics/T/subscriptions/{name}");
            assert_eq!(
                of("PUT", &target),
                Err(Refusal::SubscriptionNameInvalid),
                "{target}"
            );
        }
    }
}
