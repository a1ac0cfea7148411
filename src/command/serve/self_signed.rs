//! A self-signed certificate and its key, created once so that https can be tried.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use tempfile::NamedTempFile;

use crate::command::Configuration;
use crate::command::serve::address::reachable_ip;
use crate::config::{Config, ConfigError};
use crate::disk::fix_command;
use crate::net::TlsFiles;

/// The directory of both files, relative to the working directory.
const DIR: &str = "certs";
/// The names of both files. No other command and no recipe writes to them.
const CERTIFICATE: &str = "self-signed.pem";
const PRIVATE_KEY: &str = "self-signed.key";
/// The permissions of the certificate, which is public. Only the owner can read the key, because it
/// is created as a temporary file.
const CERTIFICATE_MODE: u32 = 0o644;
/// The names by which a machine reaches itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The pair on disk.
pub(crate) struct SelfSigned {
    pub(crate) files: TlsFiles,
    /// Whether it was created now.
    is_new: bool,
    /// The requested names that it is valid for.
    names: Vec<String>,
    /// The requested names that it is not valid for.
    missing: Vec<String>,
}

impl SelfSigned {
    /// Reads the pair of `serve --self-signed`, creates it if it does not exist, and puts it into
    /// the configuration.
    ///
    /// # Errors
    /// [`ConfigError`]: the configuration already has a pair, or the files cannot be written.
    pub(crate) fn configure(
        configuration: &mut Configuration,
        trust: &[String],
    ) -> anyhow::Result<Self> {
        let config = configuration.load(trust)?;
        if let Some(files) = &config.tls {
            let problem = "serve --self-signed generates a certificate: leave out either \
                --self-signed or server.tls";
            let value = files.certificate.display().to_string();
            return Err(impossible("server.tls.certificate", value, problem.to_owned()).into());
        }
        let pair = Self::read_or_make(Path::new(DIR), names(&config))?;
        for (key, file) in [
            ("server.tls.certificate", &pair.files.certificate),
            ("server.tls.private_key", &pair.files.private_key),
        ] {
            configuration
                .set
                .push((key.to_owned(), file.display().to_string()));
        }
        Ok(pair)
    }

    /// Reads the pair in `dir`. If either file is missing, creates a pair for `names`, because one
    /// file is useless without the other.
    ///
    /// # Errors
    /// [`ConfigError`]: the files cannot be read or written.
    pub(crate) fn read_or_make(dir: &Path, names: Vec<String>) -> anyhow::Result<Self> {
        let files = TlsFiles {
            certificate: dir.join(CERTIFICATE),
            private_key: dir.join(PRIVATE_KEY),
        };
        // If two processes start at once, only one creates a pair. The key of one would not match
        // the certificate of the other.
        let _lock = locked(dir).ok();
        let is_new = !(files.certificate.exists() && files.private_key.exists());
        if is_new {
            let (certificate, private_key) =
                made_for(&names).context("cannot generate a certificate")?;
            write(dir, &files, &certificate, &private_key).map_err(|cause| {
                let problem = format!("cannot be written: {cause}; {}", fix_command(dir, &cause));
                impossible(
                    "--self-signed",
                    files.certificate.display().to_string(),
                    problem,
                )
            })?;
        }
        let mut pair = Self {
            files,
            is_new,
            names: Vec::new(),
            missing: Vec::new(),
        };
        let certificate = pair.certificate()?;
        let parsed = ParsedCertificate::try_from(&certificate).ok();
        let is_for = |name: &String| match (&parsed, ServerName::try_from(name.as_str())) {
            (Some(parsed), Ok(name)) => verify_server_name(parsed, &name).is_ok(),
            (None, _) | (_, Err(_)) => false,
        };
        (pair.names, pair.missing) = names.into_iter().partition(is_for);
        Ok(pair)
    }

    /// The certificate.
    ///
    /// # Errors
    /// [`ConfigError`]: the file contains something else.
    pub(crate) fn certificate(&self) -> anyhow::Result<CertificateDer<'static>> {
        let path = &self.files.certificate;
        CertificateDer::from_pem_file(path).map_err(|error| {
            let problem =
                format!("cannot be used: {error}; delete it, and the next start makes another one");
            impossible("--self-signed", path.display().to_string(), problem).into()
        })
    }

    /// The output of `serve`: the file, its names, and how to give it to a sender.
    pub(crate) fn lines(&self, address: &str) -> String {
        let file = self.files.certificate.display();
        let new = if self.is_new { "new, " } else { "" };
        let mut lines = format!(
            "Certificate: {file}, {new}self-signed, for {}\n",
            self.names.join(", ")
        );
        if !self.missing.is_empty() {
            lines += &format!(
                "It is not for {}: delete {file} and {}, and the next start makes a pair that \
                 is.\n",
                self.missing.join(", "),
                self.files.private_key.display()
            );
        }
        lines += &format!(
            "Senders need --ca {file}, as in: mns-endpoint push {address} --ca {file}\n\
             Whether MNS accepts such a certificate is not documented: for MNS set server.tls to \
             one of a public CA.\n"
        );
        lines
    }
}

/// The names that senders may use: those of this machine, the addresses listened on, and the public
/// one.
fn names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = LOOPBACK.map(str::to_owned).to_vec();
    names.push(
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
    );
    names.extend(
        config
            .listen
            .iter()
            .map(|listen| reachable_ip(listen.ip()).to_canonical().to_string()),
    );
    let public = config
        .public_url
        .as_ref()
        .and_then(|url| url.parse::<http::Uri>().ok());
    names.extend(public.and_then(|url| Some(url.host()?.trim_matches(['[', ']']).to_owned())));
    let mut found = Vec::new();
    for name in names {
        // The name of a machine need not be a valid DNS name.
        if !found.contains(&name) && ServerName::try_from(name.as_str()).is_ok() {
            found.push(name);
        }
    }
    found
}

/// Generates the certificate and the key, both in PEM. The certificate never expires: senders have
/// a copy, and nobody else trusts it.
fn made_for(names: &[String]) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "mns-endpoint serve --self-signed");
    // Some TLS libraries reject a CA certificate from a server.
    params.is_ca = IsCa::ExplicitNoCa;
    params
        .extended_key_usages
        .push(ExtendedKeyUsagePurpose::ServerAuth);
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Waits until no other process creates a pair in `dir`. Fails on a file system without locks.
fn locked(dir: &Path) -> io::Result<File> {
    fs::create_dir_all(dir)?;
    let dir = File::open(dir)?;
    dir.lock()?;
    Ok(dir)
}

/// The key first: a start that is interrupted between the two leaves no certificate that somebody
/// could give to senders.
fn write(dir: &Path, files: &TlsFiles, certificate: &str, private_key: &str) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let put = |path: &PathBuf, text: &str, mode: Option<u32>| {
        // In the same directory, because a rename cannot cross file systems.
        let mut draft = NamedTempFile::new_in(dir)?;
        draft.write_all(text.as_bytes())?;
        if let Some(mode) = mode {
            draft
                .as_file()
                .set_permissions(Permissions::from_mode(mode))?;
        }
        draft.persist(path).map(drop).map_err(io::Error::from)
    };
    put(&files.private_key, private_key, None)?;
    put(&files.certificate, certificate, Some(CERTIFICATE_MODE))
}

fn impossible(key: &'static str, value: String, problem: String) -> ConfigError {
    ConfigError::Impossible {
        key: key.into(),
        value,
        problem,
        place: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn if_many_start_at_once_only_one_creates_the_pair() {
        // A single round may miss the race.
        for _ in 0..5 {
            let dir = tempfile::tempdir().unwrap();
            let make = || {
                SelfSigned::read_or_make(&dir.path().join("certs"), vec!["localhost".to_owned()])
                    .unwrap()
            };
            let pairs: Vec<SelfSigned> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect()
            });
            assert_eq!(pairs.iter().filter(|pair| pair.is_new).count(), 1);
        }
    }

    #[test]
    fn the_names_are_those_by_which_senders_reach_this_machine() {
        let config = |listen: &str, public_url: &str| {
            let flag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
            Config::load(&Sources {
                file: Some("/dev/null".into()),
                flags: vec![
                    flag("server.listen", listen),
                    flag("server.public_url", public_url),
                ],
                ..Sources::default()
            })
        };
        let found = |listen, public_url| names(&config(listen, public_url).unwrap());
        // The name of the machine follows, and differs from one machine to the next.
        assert_eq!(found("127.0.0.1:8080", "")[..3], LOOPBACK);
        for (listen, public_url, name) in [
            ("10.1.2.3:8080", "", "10.1.2.3"),
            (
                "127.0.0.1:8080",
                "https://mns.example.com/notifications",
                "mns.example.com",
            ),
            (
                "127.0.0.1:8080",
                "https://[2001:db8::1]:8443/notifications",
                "2001:db8::1",
            ),
        ] {
            let names = found(listen, public_url);
            assert!(
                names.iter().any(|found| found == name),
                "{name} is not in {names:?}"
            );
            let (certificate, _key) = made_for(&names).unwrap();
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
            let parsed = ParsedCertificate::try_from(&certificate).unwrap();
            for name in names {
                verify_server_name(&parsed, &ServerName::try_from(name).unwrap()).unwrap();
            }
        }
    }
}
