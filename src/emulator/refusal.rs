//! Why the API says no: the codes of the service, each with its status and a sentence (protocol.md 4.4).

use http::StatusCode;

/// A refusal; the name of a variant is the service's code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub(super) enum Refusal {
    #[error("{0}")]
    InvalidArgument(String),
    #[error("The Authorization header is not \"MNS AccessKeyId:Signature\".")]
    InvalidAuthorizationHeader,
    #[error("The Date header is not a date of RFC 1123 in GMT.")]
    InvalidDateHeader,
    #[error("The Content-MD5 header is not the digest of the body.")]
    InvalidDigest,
    #[error("{0}")]
    InvalidRequestURL(String),
    #[error("x-mns-version is not 2015-06-06.")]
    InvalidVersionHeader,
    #[error("The XML you provided is not well-formed: {0}.")]
    MalformedXML(String),
    #[error("The Authorization header is missing.")]
    MissingAuthorizationHeader,
    #[error("Neither Date nor x-mns-date is there.")]
    MissingDateHeader,
    #[error("The x-mns-version header is missing.")]
    MissingVersionHeader,
    #[error("A topic's name has letters, digits and hyphens, first a letter or digit.")]
    TopicNameInvalid,
    #[error("The topic's name is too long.")]
    TopicNameLengthError,
    #[error("A subscription's name has letters, digits and hyphens, first a letter or digit.")]
    SubscriptionNameInvalid,
    #[error("The subscription's name is too long.")]
    SubscriptionNameLengthError,
    #[error("The endpoint you provided is invalid: {0}.")]
    EndpointInvalid(String),
    #[error("The AccessKeyId you provided does not exist.")]
    InvalidAccessKeyId,
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your key and signing method."
    )]
    SignatureDoesNotMatch,
    #[error("The topic you provided does not exist.")]
    TopicNotExist,
    #[error("The subscription you provided does not exist.")]
    SubscriptionNotExist,
    #[error("The Date of the request is more than 15 minutes away from the time of the service.")]
    TimeExpired,
    #[error("The topic you want to create exists, with other attributes.")]
    TopicAlreadyExist,
    #[error("The subscription you want to create exists, with other attributes.")]
    SubscriptionAlreadyExist,
    #[error("The emulator failed; its own log says why.")]
    InternalError,
}

impl Refusal {
    /// The service's code.
    pub(super) fn code(&self) -> &'static str {
        self.into()
    }

    /// The status that goes with it.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::InvalidArgument(_)
            | Self::InvalidAuthorizationHeader
            | Self::InvalidDateHeader
            | Self::InvalidDigest
            | Self::InvalidRequestURL(_)
            | Self::InvalidVersionHeader
            | Self::MalformedXML(_)
            | Self::MissingAuthorizationHeader
            | Self::MissingDateHeader
            | Self::MissingVersionHeader
            | Self::TopicNameInvalid
            | Self::TopicNameLengthError
            | Self::SubscriptionNameInvalid
            | Self::SubscriptionNameLengthError
            | Self::EndpointInvalid(_) => StatusCode::BAD_REQUEST,
            Self::InvalidAccessKeyId | Self::SignatureDoesNotMatch => StatusCode::FORBIDDEN,
            Self::TopicNotExist | Self::SubscriptionNotExist => StatusCode::NOT_FOUND,
            Self::TimeExpired => StatusCode::REQUEST_TIMEOUT,
            Self::TopicAlreadyExist | Self::SubscriptionAlreadyExist => StatusCode::CONFLICT,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
