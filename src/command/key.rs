//! The key that `push` and `emulator` sign with.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::command::input;
use crate::emulator::Signer;

/// A key of a file, or one that is made.
#[derive(Debug, Args)]
pub(super) struct Key {
    /// The size of the generated key, in bits. The key of MNS has 512.
    #[arg(
        long,
        default_value_t = 512,
        conflicts_with = "key",
        value_parser = clap::value_parser!(u16).range(512..=8192),
    )]
    bits: u16,
    /// A file with the private key to sign with, PEM.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Key {
    /// The requested key.
    pub(super) async fn signer(&self) -> anyhow::Result<Signer> {
        let Some(file) = &self.key else {
            return another(usize::from(self.bits)).await;
        };
        let pem = String::from_utf8(input::read_small(file)?);
        let pem = pem.with_context(|| format!("{} is not UTF-8", file.display()))?;
        Signer::from_pem(&pem).with_context(|| format!("cannot use {}", file.display()))
    }
}

/// Generates a key of this size. A large one takes seconds, so another thread does it.
pub(super) async fn another(bits: usize) -> anyhow::Result<Signer> {
    Ok(tokio::task::spawn_blocking(move || Signer::generate(bits)).await??)
}
