//! `explain`: what is wrong with a captured request.

mod capture;
mod cause;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use http::Request;

use crate::clock::{Clock as _, SystemClock};
use crate::command::Configuration;
use crate::config::Config;
use crate::mns::{Notification, SignedRequest, SigningCertUrl};
use crate::report::Report;
use crate::server::{Paths, Rejection};
use crate::trust::{CertificateSource as _, CertificateStore, HttpsSource, SigningCertificate, Timeliness};

/// Say what is wrong with a captured request.
///
/// Reads the raw bytes of one HTTP request, shows the string to sign that was computed, makes each check that
/// serve makes, and says what most likely broke. Nothing is sent unless --fetch is given. Ends with 0 if
/// serve would accept the request.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint explain request.http
  mns-endpoint explain request.http --certificate mns.pem --at '2023-03-29T08:41:30Z'
  mns-endpoint explain request.http --path-prefix /hooks")]
pub(super) struct Explain {
    #[command(flatten)]
    configuration: Configuration,
    /// The captured request: head, empty line, body.
    file: PathBuf,
    /// The signing certificate, PEM or DER [default: the one kept in signing.certificate_dir].
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Fetch the certificate from its address, if that is allowed.
    #[arg(long)]
    fetch: bool,
    /// Judge the Date as of this time (RFC 3339) instead of now.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak)]
    at: Option<SystemTime>,
    /// A path that a proxy may have cut off; may be repeated.
    #[arg(long, value_name = "PATH", value_parser = path)]
    path_prefix: Vec<String>,
    /// Trust certificates under URL, as with serve --trust.
    #[arg(long, value_name = "URL")]
    trust: Vec<String>,
}

/// The first refusal decides, as in serve; the others are shown all the same.
struct Checks<'o, W> {
    out: &'o mut W,
    decisive: Option<(&'static str, u16)>,
}

impl Explain {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let config = self.configuration.load(&self.trust)?;
        let bytes = std::fs::read(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        let request = capture::read(&bytes).with_context(|| format!("{} is no HTTP request", self.file.display()))?;
        let mut out = std::io::stdout().lock();
        self.explain(&config, &request, &mut out).await
    }

    async fn explain<W: Write>(
        &self,
        config: &Config,
        request: &Request<Bytes>,
        out: &mut W,
    ) -> anyhow::Result<ExitCode> {
        let (headers, body) = (request.headers().len(), request.body().len());
        writeln!(out, "Request: {} {}, {headers} headers, {body} bytes of body\n", request.method(), request.uri())?;
        let mut checks = Checks { out, decisive: None };
        let path_is_served = match &config.server.paths {
            Paths::Any => true,
            Paths::These(paths) => paths.iter().any(|path| path == request.uri().path()),
        };
        checks.verdict("path", if path_is_served { Ok(String::new()) } else { Err(Rejection::PathNotServed) })?;
        let signed = match SignedRequest::of(request) {
            Ok(signed) => signed,
            Err(defect) => {
                checks.verdict("headers", Err(Rejection::Untrusted(defect.into())))?;
                return checks.conclude(None);
            }
        };
        checks.verdict("headers", Ok(String::new()))?;
        let now = self.at.unwrap_or_else(|| SystemClock.now());
        let date = config.policy.check_date(signed.date(), now);
        checks.verdict("date", date.map(|timeliness| told(timeliness, signed.date())).map_err(Rejection::from))?;
        let md5 = config.policy.check_content_md5(&signed);
        checks.verdict("content-md5", md5.map(|()| String::new()).map_err(Rejection::from))?;
        let address = config.prefixes.admit(signed.certificate_address());
        let shown = String::from_utf8_lossy(signed.certificate_address()).into_owned();
        let url = address.as_ref().ok().cloned();
        checks.verdict("address", address.map(|_| shown).map_err(|error| Rejection::Untrusted(error.into())))?;
        let cause = self.check_signature(config, &signed, url.as_ref(), &mut checks).await?;
        checks.check_notification(request)?;
        writeln!(checks.out, "\nString to sign:")?;
        for line in String::from_utf8_lossy(&signed.string_to_sign()).split('\n') {
            writeln!(checks.out, "    {line}")?;
        }
        writeln!(checks.out)?;
        checks.conclude(cause)
    }

    /// Looks at the signature; where it is wrong, gives the change under which it would be right.
    async fn check_signature<W: Write>(
        &self,
        config: &Config,
        signed: &SignedRequest<'_>,
        url: Option<&SigningCertUrl>,
        checks: &mut Checks<'_, W>,
    ) -> anyhow::Result<Option<String>> {
        let Some((certificate, origin)) = self.certificate(config, url).await? else {
            checks.unknown(
                "signature",
                "no certificate at hand: give one with --certificate, or let it be fetched with --fetch",
            )?;
            return Ok(None);
        };
        let fits = format!("under a key of {} bits from {origin}", certificate.key_bits());
        let other = signed.other_string_to_sign();
        if certificate.verifies(&signed.string_to_sign(), signed.signature())
            || other.is_some_and(|text| certificate.verifies(&text, signed.signature()))
        {
            checks.verdict("signature", Ok(fits))?;
            return Ok(None);
        }
        checks.verdict("signature", Err(Rejection::Untrusted(crate::trust::Untrusted::SignatureWrong)))?;
        let found = cause::find(signed, &certificate, &self.path_prefix);
        Ok(Some(
            found.unwrap_or_else(|| format!("none of the usual changes explains it: forged, or not signed {fits}")),
        ))
    }

    async fn certificate(
        &self,
        config: &Config,
        url: Option<&SigningCertUrl>,
    ) -> anyhow::Result<Option<(SigningCertificate, String)>> {
        if let Some(file) = &self.certificate {
            let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            let certificate = SigningCertificate::parse(&bytes);
            let certificate = certificate.with_context(|| format!("cannot use {}", file.display()))?;
            return Ok(Some((certificate, file.display().to_string())));
        }
        let Some(url) = url else { return Ok(None) };
        if self.fetch {
            let bytes = HttpsSource::new(config.fetch.clone())?
                .fetch(url)
                .await
                .with_context(|| format!("cannot fetch {url}"))?;
            return Ok(Some((SigningCertificate::parse(&bytes)?, url.to_string())));
        }
        let store = CertificateStore::new(config.certificate_dir.clone());
        Ok(store.load(url)?.map(|certificate| (certificate, store.path(url).display().to_string())))
    }
}

impl<W: Write> Checks<'_, W> {
    fn verdict(&mut self, name: &str, outcome: Result<String, Rejection>) -> anyhow::Result<()> {
        match outcome {
            Ok(detail) => writeln!(self.out, "{name:<13} ok       {detail}")?,
            Err(rejection) => {
                let reason = rejection.reason();
                writeln!(self.out, "{name:<13} REFUSED  {}: {}", reason.key(), Report(&rejection))?;
                writeln!(self.out, "{:<13}          {}", "", reason.hint())?;
                self.decisive.get_or_insert((reason.key(), rejection.status()));
            }
        }
        Ok(())
    }

    fn unknown(&mut self, name: &str, why: &str) -> anyhow::Result<()> {
        writeln!(self.out, "{name:<13} UNKNOWN  {why}")?;
        self.decisive.get_or_insert(("certificate_unavailable", 503));
        Ok(())
    }

    fn check_notification(&mut self, request: &Request<Bytes>) -> anyhow::Result<()> {
        let decoded = Notification::decode(request);
        let told = decoded.map(|notification| {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let (topic, owner) = (text(&notification.topic_name), text(&notification.topic_owner));
            let md5 = if notification.message_md5_holds() { "" } else { ", MessageMD5 is not that of the message" };
            format!(
                "{}, topic {topic} of {owner}, message {}{md5}",
                notification.format,
                text(&notification.message_id)
            )
        });
        self.verdict("notification", told.map_err(Rejection::from))
    }

    fn conclude(self, cause: Option<String>) -> anyhow::Result<ExitCode> {
        let Some((key, status)) = self.decisive else {
            writeln!(self.out, "Verdict: serve would accept it, as far as the request itself goes.")?;
            return Ok(ExitCode::SUCCESS);
        };
        writeln!(self.out, "Verdict: serve would answer {status} ({key}).")?;
        if let Some(cause) = cause {
            writeln!(self.out, "Most likely:  {cause}.")?;
        }
        Ok(ExitCode::FAILURE)
    }
}

fn told(timeliness: Timeliness, date: SystemTime) -> String {
    let date = httpdate::fmt_http_date(date);
    match timeliness {
        Timeliness::Prompt => date,
        Timeliness::Late => format!("{date}, late"),
    }
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err("a path begins with /".to_owned()) }
}
