//! The store: good certificates on disk, so that a restart works while their source is down.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::bounded;
use crate::disk::{NotReplaced, RealDisk, Replace, Unwritable, regular};
use crate::mns::{SigningCertUrl, is_certificate_file};
use crate::trust::SigningCertificate;

/// The maximum size of a file, in bytes. A certificate has about 2 KiB, and a file may contain
/// several.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A certificate is not secret: the umask decides who may read it.
const FILE_MODE: u32 = 0o666;

/// A directory of certificates, each at `HOST/FILE`.
#[derive(Debug, Clone)]
pub struct CertificateStore {
    dir: PathBuf,
}

/// A file of the store.
#[derive(Debug)]
pub struct Kept {
    /// The path, relative to the directory.
    pub path: PathBuf,
    /// When it was written, if the system knows.
    pub kept_at: Option<SystemTime>,
    /// The certificate in the file, or why it cannot be used.
    pub certificate: Result<SigningCertificate, StoreError>,
}

/// Why the store cannot be used. This is never fatal, because the source has the certificates too.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be read, or is not a certificate.
    #[error("cannot {doing} {}: {cause}", path.display())]
    Unusable {
        /// The operation.
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
}

impl CertificateStore {
    /// A store in `dir`, which need not exist yet.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The path of the copy for an address, whether or not it exists.
    #[must_use]
    pub fn path(&self, url: &SigningCertUrl) -> PathBuf {
        self.dir.join(url.kept_as())
    }

    /// Creates the directory and checks that it is writable.
    ///
    /// # Errors
    /// The directory cannot be created or written.
    pub fn probe(&self) -> Result<(), StoreError> {
        // Write a file, because permissions do not show that a file system is read-only.
        let probe = self.dir.join(".probe");
        fs::create_dir_all(&self.dir)
            .map_err(|cause| self.unwritable("make the directory", &self.dir, cause))?;
        let mut options = OpenOptions::new();
        let opened = regular::open(&probe, options.write(true).create(true).truncate(true));
        opened.map_err(|cause| self.unwritable("write", &probe, cause))?;
        fs::remove_file(&probe).map_err(|cause| self.unwritable("remove", &probe, cause))
    }

    /// The saved certificate of an address, if there is one.
    ///
    /// # Errors
    /// The file cannot be read or is not a certificate.
    pub fn load(&self, url: &SigningCertUrl) -> Result<Option<SigningCertificate>, StoreError> {
        let path = self.path(url);
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(unusable("read", &path, cause)),
        };
        match SigningCertificate::parse(&bytes) {
            Ok(certificate) => Ok(Some(certificate)),
            Err(error) => Err(unusable("use", &path, io::Error::other(error))),
        }
    }

    /// Saves the PEM text of a certificate, completely or not at all.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn keep(&self, url: &SigningCertUrl, pem: &str) -> Result<PathBuf, StoreError> {
        let path = self.path(url);
        // The directory of the host, which is missing before its first certificate.
        let parent = path.parent().unwrap_or(&self.dir);
        // A unique name, because two copies for one address may be written at the same time.
        let draft = path.with_extension(format!("{:016x}.new", rand::random::<u64>()));
        fs::create_dir_all(parent)
            .map_err(|cause| self.unwritable("make the directory", parent, cause))?;
        let replace = Replace {
            path: &path,
            draft: &draft,
            mode: FILE_MODE,
        };
        replace
            .with(&RealDisk, pem.as_bytes())
            .map_err(|NotReplaced { doing, path, cause }| self.unwritable(doing, &path, cause))?;
        Ok(path)
    }

    /// All saved certificates.
    ///
    /// # Errors
    /// A directory cannot be read. A missing one counts as empty.
    pub fn list(&self) -> Result<Vec<Kept>, StoreError> {
        let mut found = Vec::new();
        for host in entries(&self.dir)? {
            if !host.is_dir() {
                continue;
            }
            for path in entries(&host)? {
                let name = path.file_name().unwrap_or_default().as_encoded_bytes();
                if is_certificate_file(name) && !path.is_dir() {
                    let certificate = read(&path)
                        .and_then(|bytes| {
                            SigningCertificate::parse(&bytes).map_err(io::Error::other)
                        })
                        .map_err(|cause| unusable("use", &path, cause));
                    let below = path.strip_prefix(&self.dir).unwrap_or(&path).to_owned();
                    // A file whose time is unknown still counts, as the oldest.
                    let kept_at = fs::metadata(&path)
                        .and_then(|metadata| metadata.modified())
                        .ok();
                    found.push(Kept {
                        path: below,
                        kept_at,
                        certificate,
                    });
                }
            }
        }
        Ok(found)
    }

    fn unwritable(&self, doing: &'static str, path: &Path, cause: io::Error) -> StoreError {
        Unwritable::new(doing, path, &self.dir, cause).into()
    }
}

fn unusable(doing: &'static str, path: &Path, cause: io::Error) -> StoreError {
    StoreError::Unusable {
        doing,
        path: path.to_owned(),
        cause,
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    bounded::read_all(regular::open_to_read(path)?, FILE_BYTES_MAX)
}

/// The paths in a directory, sorted. A missing directory is empty.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(unusable("read", dir, cause)),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|cause| unusable("read", dir, cause))?;
    // `read_dir` returns them in no particular order.
    paths.sort();
    Ok(paths)
}
