//! The command `explain`, and the order of its output.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use http::Request;

use crate::clock::{Clock as _, SystemClock};

use crate::command::counted::counted;
use crate::command::explain::print::{conclude, print_checks};
use crate::command::stdout::printer;
use crate::command::{Configuration, capture, input};
use crate::config::Config;
use crate::explain::{Certificate, Judge, Judgement};
use crate::journal::escaped;
use crate::mns::SigningCertUrl;
use crate::quarantine::Note;
use crate::report::Report;
use crate::trust::{CertificateSource as _, CertificateStore, HttpsSource, SigningCertificate};

const NO_CERTIFICATE: &str =
    "no cached certificate: give one with --certificate, or fetch it with --fetch";
const GIVE_ONE: &str = "give the certificate with --certificate";

/// Explain why a captured request is accepted or refused.
///
/// Reads the raw bytes of one HTTP request, shows the computed string to sign, makes the checks of
/// serve, and names the most likely cause if a check fails. Sends nothing unless --fetch is given.
/// Exits with 0 if every check passes.
///
/// serve keeps refused requests as files in logs.dir/quarantine.PORT. Such a file also contains the
/// sender's address, and the time at which the request arrived. The date of the request is compared
/// with that time. Other captures contain no sender's address, so accept.sources is not checked for
/// them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint explain request.http
  mns-endpoint explain request.http --certificate mns.pem --at '2023-03-29T08:41:30Z'
  mns-endpoint explain request.http --path-prefix /hooks")]
pub(in crate::command) struct Explain {
    #[command(flatten)]
    configuration: Configuration,
    /// The file with the captured request: head, empty line, body.
    file: PathBuf,
    /// The signing certificate, PEM or DER [default: the one cached in signing.certificate_dir].
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Fetch the certificate from its address, if that address is allowed.
    #[arg(long)]
    fetch: bool,
    /// Compare the request's date with this time instead of now, as in 2023-03-29T08:41:30Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<SystemTime>,
    /// A path prefix that a proxy may have removed; may be repeated.
    #[arg(long, value_name = "PATH", value_parser = path)]
    path_prefix: Vec<String>,
    /// Trust every signing certificate whose address begins with URL, as with serve --trust.
    #[arg(long, value_name = "URL")]
    trust: Vec<String>,
}

impl Explain {
    pub(in crate::command) async fn run(&self) -> anyhow::Result<ExitCode> {
        let config = self.configuration.load_revealed(&self.trust)?;
        let bytes = input::read(&self.file)?;
        let read = capture::read(&bytes)
            .with_context(|| format!("{} is not an HTTP request", self.file.display()));
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
        let now = self
            .at
            .or(note.map(|note| note.came))
            .unwrap_or_else(|| SystemClock.now());
        // Takes a proxy into account that was configured later.
        let client = note.map(|note| config.trusted_proxies.client(note.peer, request.headers()));
        let judge = Judge {
            settings: &config.server,
            policy: &config.policy,
            prefixes: &config.prefixes,
            admission: &config.admission,
            now,
            client: client.map(|client| client.ip()),
            cut_off: &self.path_prefix,
        };
        let mut judgement = Judgement::default();
        let certificate = async |url: Option<&SigningCertUrl>| self.certificate(config, url).await;
        let judged = judgement.judge(judge, request, certificate).await;
        // Printed before an error is returned, because the checks made so far may explain it.
        print_checks(&judgement, out)?;
        judged?;
        Ok(conclude(judgement, note, out)?)
    }

    /// Prints the request to be judged and the configuration that judges it.
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
            "Request: {} {target}, {}, {} of body",
            request.method(),
            counted(headers, "header"),
            counted(body, "byte")
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

    /// The certificate for the check and its origin, or the reason why none was found.
    async fn certificate(
        &self,
        config: &Config,
        url: Option<&SigningCertUrl>,
    ) -> anyhow::Result<Certificate> {
        if let Some(file) = &self.certificate {
            let bytes = input::read_small(file)?;
            let certificate = SigningCertificate::parse(&bytes);
            let certificate =
                certificate.with_context(|| format!("cannot use {}", file.display()))?;
            return Ok(Ok((Arc::new(certificate), file.display().to_string())));
        }
        let Some(url) = url else {
            return Ok(Err(NO_CERTIFICATE.to_owned()));
        };
        let mut why = NO_CERTIFICATE.to_owned();
        // Tried before the cached copy, which may be out of date.
        if self.fetch {
            match HttpsSource::new(config.fetch.clone())?.fetch(url).await {
                Ok(bytes) => {
                    let certificate = Arc::new(SigningCertificate::parse(&bytes)?);
                    return Ok(Ok((certificate, url.to_string())));
                }
                Err(error) => why = format!("cannot fetch {url}: {}; {GIVE_ONE}", Report(&error)),
            }
        }
        let store = CertificateStore::new(config.certificate_dir.clone());
        let kept = store
            .load(url)?
            .map(|certificate| (Arc::new(certificate), store.path(url).display().to_string()));
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
