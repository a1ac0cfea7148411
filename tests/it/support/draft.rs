//! A push made by hand, so that every part of it can be wrong.
//!
//! The string to sign is deliberately implemented a second time here, as an oracle for the
//! program's own.

use std::borrow::Cow;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mns_endpoint::emulator::{Signer, new_message_id, new_request_id};
use mns_endpoint::mns::{ContentFormat, ContentMd5, Notation, Notification};

/// A request before it is signed.
#[derive(Clone)]
pub struct Draft {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    pub message_id: String,
}

impl Draft {
    /// A valid push of `message` whose certificate is at `certificate_url`.
    pub fn new(format: ContentFormat, message: impl AsRef<[u8]>, certificate_url: &str) -> Self {
        Self::of(&new_message_id(), format, message.as_ref(), certificate_url)
    }

    /// The same with a message id that the caller chooses.
    pub fn of(id: &str, format: ContentFormat, message: &[u8], certificate_url: &str) -> Self {
        let text = |text: &str| Cow::Owned(text.as_bytes().to_vec());
        let notification = Notification {
            format,
            message_md5: text(&ContentMd5::of(message).upper_hex()),
            topic_owner: text("1269128356620446"),
            publish_time: text("1463476256857"),
            subscriber: text("1269128356620446"),
            message_tag: text(""),
            subscription_name: text("MyTopic1-Sub1"),
            message_id: text(id),
            message: Cow::Owned(message.to_vec()),
            topic_name: text("MyTopic1"),
        };
        let mut draft = Self::with_body(notification.encode(), certificate_url);
        id.clone_into(&mut draft.message_id);
        match format {
            ContentFormat::Xml => draft.set("Content-Type", "text/xml;charset=utf-8"),
            ContentFormat::Json => draft.set("Content-Type", "application/json;charset=utf-8"),
            ContentFormat::Simplified => draft
                .set("Content-Type", "text/plain;charset=utf-8")
                .set("x-mns-message-id", id)
                .set("x-mns-topic-owner", "1269128356620446")
                .set("x-mns-topic-name", "MyTopic1")
                .set("x-mns-subscriber", "1269128356620446")
                .set("x-mns-subscription-name", "MyTopic1-Sub1")
                .set("x-mns-publish-time", "1463476256857"),
        }
    }

    /// A push with this body unchanged, and the headers that every push has.
    pub fn with_body(body: impl Into<Vec<u8>>, certificate_url: &str) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the endpoint under test has the same clock"
        )]
        let now = SystemTime::now();
        let body = body.into();
        let draft = Self {
            method: "POST".to_owned(),
            target: "/notifications".to_owned(),
            headers: Vec::new(),
            message_id: String::new(),
            body: body.clone(),
        };
        draft
            .set("Host", "endpoint.test")
            .set("User-Agent", "Aliyun Notification Service Agent")
            .set("Content-length", body.len().to_string())
            .set("Content-md5", ContentMd5::of(&body).written(Notation::Hex))
            .set("Date", httpdate::fmt_http_date(now))
            .set("x-mns-request-id", new_request_id(now))
            .set("x-mns-version", "2015-06-06")
            .set("x-mns-signing-cert-url", STANDARD.encode(certificate_url))
    }

    /// Parses a request as it was received.
    pub fn read(wire: &[u8]) -> Self {
        let end = wire
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
            .unwrap();
        let head = std::str::from_utf8(&wire[..end]).unwrap();
        let (first, rest) = head.split_once("\r\n").unwrap();
        let mut words = first.split(' ').map(str::to_owned);
        let headers = rest
            .split("\r\n")
            .map(|line| line.split_once(": ").unwrap());
        Self {
            method: words.next().unwrap(),
            target: words.next().unwrap(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
                .collect(),
            body: wire[end + 4..].to_vec(),
            message_id: String::new(),
        }
    }

    /// The address of its certificate.
    pub fn certificate_url(&self) -> String {
        String::from_utf8(
            STANDARD
                .decode(self.header("x-mns-signing-cert-url").unwrap())
                .unwrap(),
        )
        .unwrap()
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }

    /// Sets a header, replacing those with its name.
    pub fn set(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self = self.without(name);
        self.add(name, value)
    }

    /// Adds a header, even if there is one with its name.
    pub fn add(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub fn to(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    pub fn notation(self, notation: Notation) -> Self {
        let value = ContentMd5::of(&self.body).written(notation);
        self.set("Content-md5", value)
    }

    /// Another body with the same headers, except for the updated length.
    pub fn swap_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.set("Content-length", length)
    }

    /// The text that MNS would sign.
    pub fn string_to_sign(&self) -> Vec<u8> {
        let value = |name: &str| self.header(name).unwrap_or_default().to_vec();
        let mut lines = vec![
            self.method.clone().into_bytes(),
            value("content-md5"),
            value("content-type"),
            value("date"),
        ];
        let mut mns: Vec<(String, &Vec<u8>)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value))
            .filter(|(name, _)| name.starts_with("x-mns-"))
            .collect();
        mns.sort();
        lines.extend(
            mns.into_iter()
                .map(|(name, value)| [name.as_bytes(), b":", value].concat()),
        );
        lines.push(self.target.clone().into_bytes());
        lines.join(&b'\n')
    }

    /// Adds the signature.
    pub fn sign(self, signer: &Signer) -> Self {
        let signature = signer.sign(&self.string_to_sign()).unwrap();
        self.set("Authorization", STANDARD.encode(signature))
    }

    /// The bytes on the wire.
    pub fn wire(&self) -> Vec<u8> {
        [self.head(), self.body.clone()].concat()
    }

    /// Only the head, with its empty line.
    pub fn head(&self) -> Vec<u8> {
        let mut wire = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            wire.extend_from_slice(name.as_bytes());
            wire.extend_from_slice(b": ");
            wire.extend_from_slice(value);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"\r\n");
        wire
    }
}
