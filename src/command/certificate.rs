//! `certificate add` and `certificate list`: the certificates saved on disk.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::command::stdout::printer;
use crate::command::{Configuration, input};
use crate::journal::escaped;
use crate::mns::{Prefix, Prefixes, SigningCertUrl};
use crate::trust::{CertificateStore, Kept, SigningCertificate};

const NO_ADDRESS: &str = "write the address as https://HOST/FILE, and the file after it; FILE ends \
    in .pem, .crt or .cer, or has no dot";

/// Add signing certificates by hand, and list the cached ones.
///
/// Use this in networks that cannot reach the source of the certificates: fetch a certificate
/// elsewhere, and add it under its address, which is in x-mns-signing-cert-url of the pushes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint certificate add \\
    https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem mns.pem
  mns-endpoint certificate list")]
pub(super) struct Certificate {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Cache a certificate under its address, which each push carries.
    #[command(after_help = "Example:
  mns-endpoint certificate add \\
    https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem mns.pem")]
    Add {
        #[command(flatten)]
        configuration: Configuration,
        /// The address in x-mns-signing-cert-url of the pushes: https://HOST/FILE.
        #[arg(value_parser = address)]
        url: String,
        /// The file with the certificate, PEM or DER.
        file: PathBuf,
    },
    /// List the cached certificates.
    #[command(after_help = "Example:
  mns-endpoint certificate list")]
    List {
        #[command(flatten)]
        configuration: Configuration,
    },
}

impl Certificate {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.action {
            Action::Add {
                configuration,
                url,
                file,
            } => add(configuration, url, file),
            Action::List { configuration } => list(configuration),
        }
    }
}

fn add(configuration: &Configuration, url: &str, file: &Path) -> anyhow::Result<ExitCode> {
    let config = configuration.load(&[])?;
    let mut out = printer();
    let address = match config.prefixes.admit(url.as_bytes()) {
        Ok(address) => address,
        Err(_) => {
            // Not refused, because a certificate may be cached before its prefix is configured.
            let address = outside_of_prefixes(url).context(NO_ADDRESS)?;
            writeln!(
                out,
                "Note: serve does not accept this address; add its prefix to \
                 signing.certificate_prefixes."
            )?;
            address
        }
    };
    let bytes = input::read_small(file)?;
    let certificate = SigningCertificate::parse(&bytes)
        .with_context(|| format!("cannot use {}", file.display()))?;
    let kept = CertificateStore::new(config.certificate_dir).keep(&address, &certificate.to_pem()?);
    let path = kept.context("signing.certificate_dir")?;
    writeln!(
        out,
        "Cached a certificate of {} bits for {address} in {}",
        certificate.key_bits(),
        shown(&path)
    )?;
    Ok(ExitCode::SUCCESS)
}

/// A well-formed address that no prefix allows.
fn outside_of_prefixes(url: &str) -> Option<SigningCertUrl> {
    let (prefix, _file) = url.rsplit_once('/')?;
    let prefix = Prefix::parse(&format!("{prefix}/")).ok()?;
    Prefixes::new([prefix]).admit(url.as_bytes()).ok()
}

fn address(text: &str) -> Result<String, &'static str> {
    outside_of_prefixes(text)
        .map(|_well_formed| text.to_owned())
        .ok_or(NO_ADDRESS)
}

/// Escapes a path for a terminal: whoever can write to the directory chooses the names in it.
fn shown(path: &Path) -> String {
    escaped(path.as_os_str().as_encoded_bytes())
}

fn list(configuration: &Configuration) -> anyhow::Result<ExitCode> {
    let config = configuration.load(&[])?;
    let kept = CertificateStore::new(config.certificate_dir.clone())
        .list()
        .context("signing.certificate_dir")?;
    let mut out = printer();
    if kept.is_empty() {
        writeln!(
            out,
            "No certificates are cached in {}",
            shown(&config.certificate_dir)
        )?;
    }
    let mut code = ExitCode::SUCCESS;
    for Kept {
        path, certificate, ..
    } in kept
    {
        match certificate {
            Ok(certificate) => {
                let until = humantime::format_rfc3339_seconds(certificate.not_after());
                writeln!(
                    out,
                    "{}  RSA {} bits, valid until {until}",
                    shown(&path),
                    certificate.key_bits()
                )?;
            }
            Err(error) => {
                writeln!(
                    out,
                    "{}  UNUSABLE: {}",
                    shown(&path),
                    escaped(error.to_string().as_bytes())
                )?;
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}
