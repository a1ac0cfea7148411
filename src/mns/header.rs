//! The names of the headers of a push, in lower case as HTTP libraries store them.

use http::HeaderName;

/// The prefix of the headers that MNS signs, whatever their name.
pub const MNS_PREFIX: &str = "x-mns-";

/// Base64 of the signature, without a scheme word before it.
pub const AUTHORIZATION: HeaderName = http::header::AUTHORIZATION;
/// The digest of the body, in one of three notations: see [`crate::mns::ContentMd5`].
pub const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
/// Signed verbatim; signed as empty if it is absent.
pub const CONTENT_TYPE: HeaderName = http::header::CONTENT_TYPE;
/// When the push was signed.
pub const DATE: HeaderName = http::header::DATE;
/// Replaces `Date`, if present.
pub const MNS_DATE: HeaderName = HeaderName::from_static("x-mns-date");
/// Base64 of the address of the signing certificate.
pub const SIGNING_CERT_URL: HeaderName = HeaderName::from_static("x-mns-signing-cert-url");
/// 24 hex digits, the first eight of which are the unix time of the push.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-mns-request-id");
/// `2015-06-06`.
pub const VERSION: HeaderName = HeaderName::from_static("x-mns-version");
/// The message id of a SIMPLIFIED push.
pub const MESSAGE_ID: HeaderName = HeaderName::from_static("x-mns-message-id");
/// The tag of a SIMPLIFIED push, if the message has one.
pub const MESSAGE_TAG: HeaderName = HeaderName::from_static("x-mns-message-tag");
/// When the message of a SIMPLIFIED push was published, in milliseconds since 1970.
pub const PUBLISH_TIME: HeaderName = HeaderName::from_static("x-mns-publish-time");
/// The account id of the topic's owner.
pub const TOPIC_OWNER: HeaderName = HeaderName::from_static("x-mns-topic-owner");
/// The topic's name.
pub const TOPIC_NAME: HeaderName = HeaderName::from_static("x-mns-topic-name");
/// The account id of the subscription's owner.
pub const SUBSCRIBER: HeaderName = HeaderName::from_static("x-mns-subscriber");
/// The subscription's name.
pub const SUBSCRIPTION_NAME: HeaderName = HeaderName::from_static("x-mns-subscription-name");
