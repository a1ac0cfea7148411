//! Why the API refuses a request: the service's codes, each with a status and a sentence
//! (`docs/emulator.md`).
//!
//! The sentences are those of the vendor's table of error codes, if it has one; a real
//! `InvalidDigest` of 2017 has exactly that sentence. The text after a colon is ours.

use http::StatusCode;

/// A refusal. The name of a variant is the service's code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub(super) enum Refusal {
    #[error("{0}")]
    InvalidArgument(String),
    #[error("The Authorization header format is invalid.")]
    InvalidAuthorizationHeader,
    #[error("The Date header format is invalid.")]
    InvalidDateHeader,
    #[error("The Content-MD5 you specified is invalid.")]
    InvalidDigest,
    #[error("Http request URL format invalid: {0}.")]
    InvalidRequestURL(String),
    #[error("x-mns-version is not 2015-06-06.")]
    InvalidVersionHeader,
    #[error("The XML you provided was not well-formed: {0}.")]
    MalformedXML(String),
    #[error("Authorization header is required.")]
    MissingAuthorizationHeader,
    #[error("Date header is required.")]
    MissingDateHeader,
    #[error("The x-mns-version header is missing.")]
    MissingVersionHeader,
    /// The service supports this and the emulator does not. The code is ours.
    #[error("The emulator has {0}.")]
    NotSupported(&'static str),
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
    // The vendor's own grammar.
    #[error("The AccessKey Id you provided is not exist.")]
    InvalidAccessKeyId,
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your \
         key and signing method."
    )]
    SignatureDoesNotMatch,
    #[error("The topic you provided does not exist.")]
    TopicNotExist,
    #[error("The subscription you provided does not exist.")]
    SubscriptionNotExist,
    #[error("The http request you sent is expired.")]
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

    /// The status for this code.
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
            | Self::NotSupported(_)
            | Self::TopicNameInvalid
            | Self::TopicNameLengthError
            | Self::SubscriptionNameInvalid
            | Self::SubscriptionNameLengthError
            | Self::EndpointInvalid(_) => StatusCode::BAD_REQUEST,
            Self::InvalidAccessKeyId | Self::SignatureDoesNotMatch => StatusCode::FORBIDDEN,
            Self::TopicNotExist | Self::SubscriptionNotExist => StatusCode::NOT_FOUND,
            // The sources say 408 or 400 (`docs/emulator.md`).
            Self::TimeExpired => StatusCode::REQUEST_TIMEOUT,
            Self::TopicAlreadyExist | Self::SubscriptionAlreadyExist => StatusCode::CONFLICT,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
