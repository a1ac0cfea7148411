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

use crate::command::explain::verdicts::Verdicts;
use crate::command::stdout::printer;
use crate::command::{Configuration, capture, input};
use crate::config::Config;
use crate::explain::cause::{self, Search};
use crate::journal::escaped;
use crate::mns::{ContentMd5, SignedRequest, SigningCertUrl};
use crate::quarantine::Note;
use crate::report::Report;
use crate::server::{Paths, Rejection};
use crate::trust::{
    CertificateSource as _, CertificateStore, Check, Checks, HttpsSource, SignatureCheck,
    SigningCertificate, Untrusted,
};

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

    async fn explain<W: Write>(
        &self,
        config: &Config,
        request: &Request<Bytes>,
        note: Option<&Note>,
        out: &mut W,
    ) -> anyhow::Result<ExitCode> {
        self.introduce(request, note, out)?;
        let mut verdicts = Verdicts::new(out);
        verdicts.check_head(config, request)?;
        let signed = match SignedRequest::of(request) {
            Ok(signed) => signed,
            Err(defect) => {
                verdicts.add("headers", Err(Rejection::Untrusted(defect.into())))?;
                return verdicts.conclude(note);
            }
        };
        verdicts.add("headers", Ok(String::new()))?;
        let now = self
            .at
            .or(note.map(|note| note.came))
            .unwrap_or_else(|| SystemClock.now());
        for (name, check) in Checks::new(&config.policy, &config.prefixes, &signed, now) {
            let name = name.into();
            match check {
                Check::Date(date) => verdicts.date(name, date, signed.date(), now)?,
                Check::ContentMd5(body) => {
                    verdicts.content_md5(name, body, request.body().len())?
                }
                Check::Address(address) => {
                    let shown = escaped(signed.certificate_address());
                    let address = address.map(|()| shown).map_err(Rejection::from);
                    verdicts.add(name, address)?;
                }
                Check::Signature(signature) => {
                    self.check_signature(config, &signed, name, &signature, &mut verdicts)
                        .await?;
                }
            }
        }
        verdicts.check_notification(config, request, note)?;
        writeln!(verdicts.out, "\nString to sign:")?;
        for line in signed.string_to_sign().split(|byte| *byte == b'\n') {
            writeln!(verdicts.out, "    {}", escaped(line))?;
        }
        writeln!(verdicts.out)?;
        verdicts.conclude(note)
    }

    /// Shows what is judged, and by what.
    fn introduce<W: Write>(
        &self,
        request: &Request<Bytes>,
        note: Option<&Note>,
        out: &mut W,
    ) -> anyhow::Result<()> {
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
        Ok(())
    }

    /// Compares the signature. If it is wrong, looks for the change under which it would be right.
    async fn check_signature<W: Write>(
        &self,
        config: &Config,
        signed: &SignedRequest<'_>,
        name: &str,
        check: &SignatureCheck<'_, '_>,
        verdicts: &mut Verdicts<'_, W>,
    ) -> anyhow::Result<()> {
        let url = check.address.as_ref().ok();
        let (certificate, origin) = match self.certificate(config, url).await? {
            Ok(found) => found,
            Err(why) => return verdicts.unknown(name, &why),
        };
        let fits = format!(
            "under a key of {} bits from {}",
            certificate.key_bits(),
            escaped(origin.as_bytes())
        );
        if check.matches(&certificate) {
            let has_digest = signed.content_md5() == Some(ContentMd5::of(signed.request().body()));
            verdicts.is_proved = has_digest;
            let key = check.check_key(&certificate);
            return verdicts.add(name, key.map(|()| fits).map_err(Rejection::from));
        }
        let served = match &config.server.paths {
            Paths::These(paths) => paths.as_slice(),
            Paths::Any | Paths::Secret(_) => &[],
        };
        verdicts.causes.push(
            match cause::find(signed, &certificate, &self.path_prefix, served) {
                Search::Found(sentence) => sentence,
                Search::Nothing => format!(
                    "none of the usual changes explains the signature: forged, or not signed {fits}"
                ),
                Search::LeftOut => format!(
                    "no usual change that was tried explains the signature: forged, or not signed \
                     {fits}; not every one was tried, because the request is far larger than one \
                     of MNS"
                ),
            },
        );
        verdicts.add(name, Err(Untrusted::SignatureWrong.into()))
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
