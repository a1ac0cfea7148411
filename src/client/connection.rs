//! Calls to the API: signed, bounded, and retried if that is safe.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST};
use http::{HeaderName, Method, Request};

use crate::client::base::Base;
use crate::client::bounds::{ANSWER_BYTES_MAX, TIMEOUT};
use crate::client::error::ClientError;
use crate::client::retry::{Retries, is_worth_another_try};
use crate::clock::Clock;
use crate::mns::api::ApiError;
use crate::mns::{AccessKey, Element, header};
use crate::roots;

const SECURITY_TOKEN: HeaderName = HeaderName::from_static("security-token");

/// An HTTP client for one endpoint that signs with one access key.
pub(super) struct Connection {
    http: reqwest::Client,
    base: Base,
    key: AccessKey,
    /// The region for signatures of version 4. `None` signs with version 2.
    region: Option<String>,
    security_token: Option<String>,
    clock: Arc<dyn Clock>,
}

/// A successful answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Connection {
    /// Prepares the HTTP client. Sends nothing.
    pub(super) fn new(
        base: Base,
        key: AccessKey,
        security_token: Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(roots::tls_client()?)
            .timeout(TIMEOUT)
            // The signature is meant for this endpoint and must not be sent to another host.
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

    /// The same connection, but it signs with version 4 for `region`.
    #[must_use]
    pub(super) fn signing_v4(self, region: String) -> Self {
        Self {
            region: Some(region),
            ..self
        }
    }

    /// Reads one resource.
    pub(super) async fn get(
        &self,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Element, ClientError> {
        let answer = self
            // Reading changes nothing, so it may be repeated.
            .call(Method::GET, target, headers, String::new(), Retries::Some)
            .await?;
        Ok(Element::parse(&answer.body)?)
    }

    /// Makes one call. Each attempt is signed separately, because a signature contains a date.
    pub(super) async fn call(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: String,
        retries: Retries,
    ) -> Result<Reply, ClientError> {
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
        // Only after signing: the signature covers the path and the query, not the scheme and the
        // host.
        *request.uri_mut() = format!("{}{target}", self.base.text)
            .try_into()
            .map_err(http::Error::from)?;
        Ok(request)
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Reply, ClientError> {
        let unreachable = |error| ClientError::unreachable(&self.base.text, &error);
        let request = reqwest::Request::try_from(request).map_err(unreachable)?;
        let mut response = self.http.execute(request).await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            // Counted while it arrives, because Content-Length may be absent.
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(ClientError::TooLarge);
            }
        }
        if (200..300).contains(&status) {
            return Ok(Reply { status, body });
        }
        match Element::parse(&body).map(|document| ApiError::of_element(&document)) {
            Ok(Ok(error)) => Err(ClientError::Refused { status, error }),
            // A proxy answers with HTML, or with XML of its own.
            Ok(Err(_)) | Err(_) => Err(ClientError::Foreign(status)),
        }
    }
}
