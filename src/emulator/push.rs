//! A push as MNS sends it, including the spelling of its headers (protocol.md 1.2).

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request};

use crate::emulator::signer::{Signer, SignerError};
use crate::mns::{ContentFormat, ContentMd5, Form, Notation, Notification, string_to_sign};
use crate::traces::TraceContext;

/// A notification, and everything else that a push of it needs.
#[derive(Debug, Clone)]
pub struct Push<'a> {
    /// The notification to push.
    pub notification: &'a Notification<'a>,
    /// The path with its query.
    pub target: &'a str,
    /// The value of Host.
    pub host: &'a str,
    /// The address of the certificate.
    pub certificate_url: &'a str,
    /// The time of signing.
    pub date: SystemTime,
    /// 24 hex digits that begin with the time: see [`new_request_id`].
    pub request_id: &'a str,
    /// The notation of Content-MD5.
    pub notation: Notation,
}

impl<'a> Push<'a> {
    /// The notation that MNS uses for a format, as far as known (protocol.md 1.3).
    ///
    /// XML: from captures and the manual's samples. SIMPLIFIED: from captures. JSON: no capture
    /// with headers is public, but public receivers of real JSON pushes (2016 to 2019) reject every
    /// notation except base64 of the lower-case hex.
    #[must_use]
    pub fn usual_notation(format: ContentFormat) -> Notation {
        match format {
            ContentFormat::Xml | ContentFormat::Json => Notation::Base64Hex,
            ContentFormat::Simplified => Notation::Hex,
        }
    }

    /// The headers except Authorization, spelled and ordered as in the capture of 2024.
    fn headers(&self, body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
        let text = |text: &str| text.as_bytes().to_vec();
        let notification = self.notification;
        let mut headers = vec![("Connection", text("keep-alive"))];
        let simplified = notification.format == ContentFormat::Simplified;
        if simplified {
            headers.push(("x-mns-message-id", notification.message_id.to_vec()));
        }
        headers.push(("Content-Type", text(content_type(notification.format))));
        headers.push((
            "Content-md5",
            text(&ContentMd5::of(body).written(self.notation)),
        ));
        if simplified {
            headers.extend([
                ("x-mns-topic-owner", notification.topic_owner.to_vec()),
                ("x-mns-topic-name", notification.topic_name.to_vec()),
                ("x-mns-subscriber", notification.subscriber.to_vec()),
                (
                    "x-mns-subscription-name",
                    notification.subscription_name.to_vec(),
                ),
                ("x-mns-publish-time", notification.publish_time.to_vec()),
            ]);
            if !notification.message_tag.is_empty() {
                headers.push(("x-mns-message-tag", notification.message_tag.to_vec()));
            }
        }
        headers.extend([
            ("x-mns-request-id", text(self.request_id)),
            ("Date", text(&httpdate::fmt_http_date(self.date))),
            ("x-mns-version", text("2015-06-06")),
            ("User-Agent", text("Aliyun Notification Service Agent")),
            (
                "x-mns-signing-cert-url",
                text(&STANDARD.encode(self.certificate_url)),
            ),
        ]);
        headers
    }

    /// Signs the request.
    ///
    /// # Errors
    /// The key cannot sign, or a header cannot carry a value.
    pub fn signed(&self, signer: &Signer) -> Result<SignedPush, SignerError> {
        let body = self.notification.encode();
        let headers = self.headers(&body);
        let mut request = Request::post(self.target);
        for (name, value) in &headers {
            request = request.header(*name, header_value(name, value)?);
        }
        // The string to sign does not contain the body: Content-md5 covers it.
        let request = request
            .body(Bytes::new())
            .map_err(|error| SignerError::Key(error.to_string()))?;
        // Both forms are the same text: there is no x-mns-date, and no name is the beginning of
        // another.
        let signature = signer.sign(&string_to_sign(&request, Form::Documented))?;
        let (target, host) = (self.target.to_owned(), self.host.to_owned());
        Ok(SignedPush {
            target,
            host,
            headers,
            signature,
            body,
        })
    }
}

/// A push with its signature, as sent over the wire.
///
/// The fields are public, so that invalid pushes can be made too.
#[derive(Debug, Clone)]
pub struct SignedPush {
    target: String,
    host: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    /// The signature.
    pub signature: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

impl SignedPush {
    /// The same push as a part of a trace. MNS sends no such header and does not sign it.
    #[must_use]
    pub fn traced(mut self, context: &TraceContext) -> Self {
        let value = context.to_string().into_bytes();
        self.headers.push(("traceparent", value));
        self
    }

    /// The complete request.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        let mut wire = format!("POST {} HTTP/1.1\r\n", self.target).into_bytes();
        let last = [
            (
                "Authorization",
                STANDARD.encode(&self.signature).into_bytes(),
            ),
            ("Host", self.host.as_bytes().to_vec()),
            ("Content-length", self.body.len().to_string().into_bytes()),
            ("Accept", b"*/*".to_vec()),
        ];
        for (name, value) in self.headers.iter().chain(&last) {
            wire.extend_from_slice(name.as_bytes());
            wire.extend_from_slice(b": ");
            wire.extend_from_slice(value);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"\r\n");
        wire.extend_from_slice(&self.body);
        wire
    }
}

/// Rejects leading and trailing blanks: they would be lost in transit, and the signature would not
/// match.
fn header_value(name: &'static str, value: &[u8]) -> Result<HeaderValue, SignerError> {
    let wrong = || SignerError::Header {
        name,
        value: String::from_utf8_lossy(value).into_owned(),
    };
    // A header value loses blanks at its ends on the wire, and the signature would not match.
    if value.trim_ascii() != value {
        return Err(wrong());
    }
    HeaderValue::from_bytes(value).map_err(|_not_a_value| wrong())
}

fn content_type(format: ContentFormat) -> &'static str {
    match format {
        ContentFormat::Xml => "text/xml;charset=utf-8",
        // A guess: no capture of a JSON push over HTTP is public.
        ContentFormat::Json => "application/json;charset=utf-8",
        ContentFormat::Simplified => "text/plain;charset=utf-8",
    }
}

/// 24 hex digits, the first eight of which are the Unix time in seconds.
#[must_use]
pub fn new_request_id(now: SystemTime) -> String {
    let seconds = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    format!(
        "{:08X}{:016X}",
        // Like MNS: 8 hexadecimal digits of the time, then a random part.
        // From 2106 on the seconds need nine digits, and the mask drops the first.
        seconds & 0xffff_ffff,
        rand::random::<u64>()
    )
}

/// 32 hex digits, the form of message ids since 2019.
#[must_use]
pub fn new_message_id() -> String {
    format!("{:032X}", rand::random::<u128>())
}
