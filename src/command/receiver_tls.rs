//! `--ca` and `--insecure`: which https endpoints `push` and `emulator` trust.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::command::input;
use crate::roots::{self, Trust};

/// Whose certificates are accepted.
#[derive(Debug, Clone, Args)]
pub(super) struct ReceiverTls {
    /// Trust the certificates in this PEM file, and those that they issued, in addition to this
    /// machine's CAs. The certificate of an https receiver, and the name in it, are verified. MNS
    /// itself may verify less or more: that is not documented.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Do not verify the certificate of an https receiver.
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
}

impl ReceiverTls {
    /// Whether a flag was given, which means that https endpoints are intended.
    pub(super) fn is_given(&self) -> bool {
        self.insecure || self.ca.is_some()
    }

    /// The TLS client configuration.
    pub(super) fn client(&self) -> anyhow::Result<Arc<ClientConfig>> {
        let trust = match &self.ca {
            None if self.insecure => Trust::Anyone,
            None => Trust::Roots,
            Some(file) => {
                let pem = input::read_small(file)?;
                let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
                match found {
                    Ok(certificates) if !certificates.is_empty() => Trust::RootsAnd(certificates),
                    Ok(_) | Err(_) => bail!(
                        "--ca {}: the file contains no PEM certificate",
                        file.display()
                    ),
                }
            }
        };
        let client = roots::tls_client_trusting(trust);
        Ok(Arc::new(client.context(
            "cannot prepare TLS: is a certificate in the file of --ca damaged?",
        )?))
    }
}
