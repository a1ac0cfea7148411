//! The command `explain` and the order of its checks.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use http::Request;

use crate::clock::{Clock as _, SystemClock};
use crate::command::explain::cause::{self, Search};
use crate::command::explain::story::{body_is_another, clock_is_off, differs, hint};
use crate::command::stdout::printer;
use crate::command::{Configuration, capture, input};
use crate::config::Config;
use crate::journal::escaped;
use crate::mns::{ContentMd5, Notification, SignedRequest, SigningCertUrl};
use crate::quarantine::Note;
use crate::report::Report;
use crate::server::{Paths, Rejection};
use crate::trust::{
    CertificateSource as _, CertificateStore, HttpsSource, SigningCertificate, Timeliness,
    Untrusted,
};

const NOT_THE_MD5: &str = ", MessageMD5 is not the MD5 of the message, which is normal if the \
    publisher set user properties";

const NO_CERTIFICATE: &str =
    "no certificate at hand: give one with --certificate, or let it be fetched with --fetch";
const GIVE_ONE: &str = "give the certificate with --certificate";

/// Say what is wrong with a captured request.
///
/// Reads the raw bytes of one HTTP request, shows the string to sign that was computed, makes each
/// check that serve makes, and says what most likely broke. Nothing is sent unless --fetch is
/// given. Ends with 0 if serve would accept the request. The date of a request in quarantine is
/// judged as of when it came.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint explain request.http
  mns-endpoint explain request.http --certificate mns.pem --at '2023-03-29T08:41:30Z'
  mns-endpoint explain request.http --path-prefix /hooks")]
pub(in crate::command) struct Explain {
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
    /// Judge the Date as of this time instead of now, as in 2023-03-29T08:41:30Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
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
    /// What most likely broke, as sentences without their full stop.
    causes: Vec<String>,
    /// Whether signature and digest match, so that MNS sent this body.
    is_proved: bool,
}

impl Explain {
    pub(in crate::command) async fn run(&self) -> anyhow::Result<ExitCode> {
        let config = self.configuration.load_revealed(&self.trust)?;
        let bytes = input::read(&self.file)?;
        let read = capture::read(&bytes)
            .with_context(|| format!("{} is no HTTP request", self.file.display()));
        let (request, behind) = read?;
        let mut out = printer();
        self.explain(&config, &request, Note::parse(behind).as_ref(), &mut out)
            .await
    }

    #[expect(clippy::too_many_lines, reason = "until it is split")]
    async fn explain<W: Write>(
        &self,
        config: &Config,
        request: &Request<Bytes>,
        note: Option<&Note>,
        out: &mut W,
    ) -> anyhow::Result<ExitCode> {
        let (headers, body) = (request.headers().len(), request.body().len());
        let target = escaped(request.uri().to_string().as_bytes());
        writeln!(
            out,
            "Request: {} {target}, {headers} headers, {body} bytes of body",
            request.method()
        )?;
        let judge = self.configuration.described(&self.trust);
        writeln!(out, "Configuration: {}", escaped(judge.as_bytes()))?;
        if let Some(Note { came, peer, reason }) = note {
            let came = humantime::format_rfc3339_seconds(*came);
            writeln!(
                out,
                "Refused: at {came}, from {peer}, {}",
                escaped(reason.as_bytes())
            )?;
        }
        writeln!(out)?;
        let mut checks = Checks {
            out,
            decisive: None,
            causes: Vec::new(),
            is_proved: false,
        };
        checks.check_head(config, request)?;
        let signed = match SignedRequest::of(request) {
            Ok(signed) => signed,
            Err(defect) => {
                checks.verdict("headers", Err(Rejection::Untrusted(defect.into())))?;
                return checks.conclude(note);
            }
        };
        checks.verdict("headers", Ok(String::new()))?;
        let now = self
            .at
            .or(note.map(|note| note.came))
            .unwrap_or_else(|| SystemClock.now());
        let date = config.policy.check_date(signed.date(), now);
        if date.is_err() {
            checks.causes.push(clock_is_off(signed.date(), now));
        }
        checks.verdict(
            "date",
            date.map(|timeliness| told(timeliness, signed.date()))
                .map_err(Rejection::from),
        )?;
        let md5 = config.policy.check_content_md5(&signed);
        if md5 == Err(Untrusted::ContentMd5Mismatch) {
            checks.causes.push(body_is_another(body));
        }
        checks.verdict(
            "content-md5",
            md5.map(|()| String::new()).map_err(Rejection::from),
        )?;
        let address = config.prefixes.admit(signed.certificate_address());
        let shown = escaped(signed.certificate_address());
        let url = address.as_ref().ok().cloned();
        checks.verdict(
            "address",
            address
                .map(|_| shown)
                .map_err(|error| Rejection::Untrusted(error.into())),
        )?;
        self.check_signature(config, &signed, url.as_ref(), &mut checks)
            .await?;
        checks.check_notification(config, request, note)?;
        writeln!(checks.out, "\nString to sign:")?;
        for line in signed.string_to_sign().split(|byte| *byte == b'\n') {
            writeln!(checks.out, "    {}", escaped(line))?;
        }
        writeln!(checks.out)?;
        checks.conclude(note)
    }

    /// Looks at the signature; where it is wrong, looks for the change under which it would be
    /// right.
    async fn check_signature<W: Write>(
        &self,
        config: &Config,
        signed: &SignedRequest<'_>,
        url: Option<&SigningCertUrl>,
        checks: &mut Checks<'_, W>,
    ) -> anyhow::Result<()> {
        let (certificate, origin) = match self.certificate(config, url).await? {
            Ok(found) => found,
            Err(why) => return checks.unknown("signature", &why),
        };
        let fits = format!(
            "under a key of {} bits from {}",
            certificate.key_bits(),
            escaped(origin.as_bytes())
        );
        let other = signed.other_string_to_sign();
        if certificate.verifies(&signed.string_to_sign(), signed.signature())
            || other.is_some_and(|text| certificate.verifies(&text, signed.signature()))
        {
            let bits = certificate.key_bits();
            let is_large_enough = bits >= config.policy.min_key_bits;
            let key = if is_large_enough {
                Ok(fits)
            } else {
                Err(Untrusted::KeyTooSmall(bits).into())
            };
            checks.is_proved =
                signed.content_md5() == Some(ContentMd5::of(signed.request().body()));
            return checks.verdict("signature", key);
        }
        let served = match &config.server.paths {
            Paths::These(paths) => paths.as_slice(),
            Paths::Any | Paths::Secret(_) => &[],
        };
        checks.causes.push(
            match cause::find(signed, &certificate, &self.path_prefix, served) {
                Search::Found(told) => told,
                Search::Nothing => {
                    format!(
                        "none of the usual changes explains the signature: forged, or not signed \
                    {fits}"
                    )
                }
                Search::LeftOut => format!(
                    "no usual change that was tried explains the signature: forged, or not signed \
                 {fits}; not every one \
                 was tried, because the request is far larger than one of MNS"
                ),
            },
        );
        checks.verdict(
            "signature",
            Err(Rejection::Untrusted(Untrusted::SignatureWrong)),
        )
    }

    /// The certificate to check under and where it comes from, or why there is none.
    async fn certificate(
        &self,
        config: &Config,
        url: Option<&SigningCertUrl>,
    ) -> anyhow::Result<Result<(SigningCertificate, String), String>> {
        if let Some(file) = &self.certificate {
            let bytes = input::read_small(file)?;
            let certificate = SigningCertificate::parse(&bytes);
            let certificate =
                certificate.with_context(|| format!("cannot use {}", file.display()))?;
            return Ok(Ok((certificate, file.display().to_string())));
        }
        let Some(url) = url else {
            return Ok(Err(NO_CERTIFICATE.to_owned()));
        };
        let mut why = NO_CERTIFICATE.to_owned();
        if self.fetch {
            match HttpsSource::new(config.fetch.clone())?.fetch(url).await {
                Ok(bytes) => return Ok(Ok((SigningCertificate::parse(&bytes)?, url.to_string()))),
                Err(error) => why = format!("cannot fetch {url}: {}; {GIVE_ONE}", Report(&error)),
            }
        }
        let store = CertificateStore::new(config.certificate_dir.clone());
        let kept = store
            .load(url)?
            .map(|certificate| (certificate, store.path(url).display().to_string()));
        Ok(kept.ok_or(why))
    }
}

impl<W: Write> Checks<'_, W> {
    fn verdict(&mut self, name: &str, outcome: Result<String, Rejection>) -> anyhow::Result<()> {
        match outcome {
            Ok(detail) => writeln!(
                self.out,
                "{}",
                format!("{name:<13} ok       {detail}").trim_end()
            )?,
            Err(rejection) => {
                let reason = rejection.reason();
                writeln!(
                    self.out,
                    "{name:<13} REFUSED  {}: {}",
                    reason.key(),
                    escaped(Report(&rejection).to_string().as_bytes())
                )?;
                writeln!(
                    self.out,
                    "{:<13}          {}",
                    "",
                    hint(reason, self.is_proved)
                )?;
                self.decisive
                    .get_or_insert((reason.key(), rejection.status()));
            }
        }
        Ok(())
    }

    fn unknown(&mut self, name: &str, why: &str) -> anyhow::Result<()> {
        writeln!(self.out, "{name:<13} UNKNOWN  {}", escaped(why.as_bytes()))?;
        self.decisive
            .get_or_insert(("certificate_unavailable", 503));
        Ok(())
    }

    fn check_head(&mut self, config: &Config, request: &Request<Bytes>) -> anyhow::Result<()> {
        let checked = config.server.check_head(request);
        let name = match &checked {
            Err(Rejection::MethodNotAllowed) => "method",
            Err(Rejection::ContentEncoding) => "encoding",
            Err(Rejection::BodyTooLarge) => "size",
            Ok(()) | Err(_) => "path",
        };
        self.verdict(name, checked.map(|()| String::new()))
    }

    fn check_notification(
        &mut self,
        config: &Config,
        request: &Request<Bytes>,
        note: Option<&Note>,
    ) -> anyhow::Result<()> {
        let notification = match Notification::decode(request) {
            Ok(notification) => notification,
            Err(error) => return self.verdict("notification", Err(error.into())),
        };
        let topic = format!(
            "topic {} of {}",
            escaped(&notification.topic_name),
            escaped(&notification.topic_owner)
        );
        let (format, message) = (notification.format, escaped(&notification.message_id));
        let md5 = if notification.message_md5_holds() {
            ""
        } else {
            NOT_THE_MD5
        };
        self.verdict(
            "notification",
            Ok(format!("{format}, {topic}, message {message}{md5}")),
        )?;
        let admitted = match note {
            Some(note) => {
                // A proxy that was named since is seen through.
                let client = config.trusted_proxies.client(note.peer, request.headers());
                config.admission.admit(notification, client.ip())
            }
            None => config.admission.admit_from_anywhere(notification),
        };
        self.verdict(
            "admission",
            admitted.map(|_| String::new()).map_err(Rejection::from),
        )
    }

    fn conclude(self, note: Option<&Note>) -> anyhow::Result<ExitCode> {
        match self.decisive {
            None => writeln!(
                self.out,
                "Verdict: serve would accept it, as far as the request itself goes."
            )?,
            Some((key @ "certificate_unavailable", status)) => {
                let unless = "unless it has the certificate or can fetch it";
                writeln!(
                    self.out,
                    "Verdict: serve would answer {status} ({key}), {unless}."
                )?;
            }
            Some((key, status)) => {
                writeln!(self.out, "Verdict: serve would answer {status} ({key}).")?
            }
        }
        if let Some(told) =
            note.and_then(|note| differs(&note.reason, self.decisive.map(|(key, _)| key)))
        {
            writeln!(self.out, "{}", escaped(told.as_bytes()))?;
        }
        if self.decisive.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
        for cause in self.causes {
            writeln!(self.out, "Most likely:  {}.", escaped(cause.as_bytes()))?;
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

fn time(text: &str) -> Result<SystemTime, &'static str> {
    humantime::parse_rfc3339_weak(text)
        .map_err(|_not_a_time| "write a time in UTC, as in 2023-03-29T08:41:30Z")
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err("a path begins with /".to_owned())
    }
}
