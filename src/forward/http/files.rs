//! The files that the table of a destination names, and their contents.

use std::path::{Path, PathBuf};

use crate::bounded;
use crate::disk::regular;
use crate::forward::HttpOptions;

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The files of a destination.
#[derive(Clone)]
pub(super) struct Files {
    /// The name of the destination.
    pub(super) destination: String,
    pub(super) options: HttpOptions,
}

/// The contents of the files. Equal contents lead to equal signatures and connections.
#[derive(PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) secrets: Vec<Vec<u8>>,
    pub(super) ca: Option<Vec<u8>>,
    /// The client certificate and its private key.
    pub(super) identity: Option<[Vec<u8>; 2]>,
}

/// A file of a destination that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("forward.{destination}.{key} = {path:?}: {problem}")]
pub struct InvalidFile {
    /// The name of the destination.
    pub destination: String,
    /// The key that names the file, as in its table.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with the file.
    pub problem: String,
}

impl Files {
    /// Reads the files. May block on the disk.
    pub(super) fn read(&self) -> Result<Contents, InvalidFile> {
        let HttpOptions {
            secret_files, tls, ..
        } = &self.options;
        let secrets = secret_files.iter();
        let secrets = secrets.map(|path| self.read_one("secret_files", path));
        let ca = tls.ca.as_ref().map(|path| self.read_one("ca", path));
        let identity = match &tls.identity {
            Some((certificate, private_key)) => Some([
                self.read_one("certificate", certificate)?,
                self.read_one("private_key", private_key)?,
            ]),
            None => None,
        };
        Ok(Contents {
            secrets: secrets.collect::<Result<_, _>>()?,
            ca: ca.transpose()?,
            identity,
        })
    }

    /// Reads one file. A pipe is rejected, because it can be read only once.
    fn read_one(&self, key: &'static str, path: &Path) -> Result<Vec<u8>, InvalidFile> {
        let read = regular::open_to_read(path);
        let read = read.and_then(|file| bounded::read_all(file, FILE_BYTES_MAX));
        read.map_err(|error| self.invalid(key, path, &format!("the file cannot be read: {error}")))
    }

    pub(super) fn invalid(&self, key: &'static str, path: &Path, problem: &str) -> InvalidFile {
        InvalidFile {
            destination: self.destination.clone(),
            key,
            path: path.to_owned(),
            problem: problem.to_owned(),
        }
    }
}
