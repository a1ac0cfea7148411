//! The files of a certificate and its key, and why they cannot be used.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::PathBuf;

use crate::bounded;
use crate::disk::regular;
use crate::net::limits::TLS_FILE_BYTES_MAX;

/// The files of certificate and key, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those between it and a root.
    pub certificate: PathBuf,
    /// The private key.
    pub private_key: PathBuf,
}

/// Why a pair cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{key} = {path:?}: the file cannot be read")]
    Unreadable {
        /// The path of the configuration key.
        key: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file contains something else.
    #[error("{key} = {path:?}: there is no {wanted} in PEM in it")]
    Empty {
        /// The path of the configuration key.
        key: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// What should be in it.
        wanted: &'static str,
    },
    /// The two do not belong together, or their kind is not supported.
    #[error(
        "server.tls.certificate = {certificate:?} cannot be used with server.tls.private_key = \
         {private_key:?}: {problem}"
    )]
    Unfit {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        private_key: PathBuf,
        /// What is wrong and how to fix it.
        problem: String,
    },
}

/// The content of both files.
pub(super) struct Bytes {
    pub(super) certificate: Vec<u8>,
    pub(super) private_key: Vec<u8>,
}

impl Bytes {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let read = |key, path: &PathBuf| {
            regular::open_to_read(path)
                .and_then(|file| bounded::read_all(file, TLS_FILE_BYTES_MAX))
                .map_err(|source| TlsError::Unreadable {
                    key,
                    path: path.clone(),
                    source,
                })
        };
        Ok(Self {
            certificate: read("server.tls.certificate", &files.certificate)?,
            private_key: read("server.tls.private_key", &files.private_key)?,
        })
    }

    /// Distinguishes one content from another within this process.
    pub(super) fn digest(&self) -> u64 {
        // It only has to notice a change: whoever can write these files needs no collision.
        let mut hasher = DefaultHasher::new();
        (&self.certificate, &self.private_key).hash(&mut hasher);
        hasher.finish()
    }
}
