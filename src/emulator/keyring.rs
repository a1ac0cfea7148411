//! The keys that the emulator has signed with, and the certificates that it serves for them.
//!
//! As with MNS, a new key has a new certificate address, and the old addresses stay valid: a push
//! may be in flight while the key changes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::emulator::signer::{Signer, SignerError};

/// How many certificates are served. Older ones are evicted.
// With a new key every 30 s they cover 32 minutes. A push in flight ends within 5 s.
const CERTIFICATES_MAX: usize = 64;
/// The directory of certificates that no endpoint may trust: below the trusted address, but not
/// directly in it.
const FOREIGN_DIR: &str = "foreign";

/// The current key and its certificate, and the certificates of earlier keys.
pub(super) struct Keyring {
    base: String,
    // Without a lock, because every push reads it and only a change of key replaces it.
    current: ArcSwap<Issued>,
    foreign: Issued,
    certificates: Mutex<VecDeque<(String, String)>>,
}

/// A key, and the address of its certificate.
pub(super) struct Issued {
    pub(super) signer: Signer,
    pub(super) certificate_url: String,
}

impl Keyring {
    /// A keyring with one key, and with the key of a stranger. `base` is the address, without a
    /// path, under which certificates are served.
    pub(super) fn new(base: &str, signer: Signer) -> Result<Self, SignerError> {
        // Of the same size, so that a verifier cannot refuse it for its size.
        let stranger = Signer::generate(usize::try_from(signer.bits()).unwrap_or_default())?;
        let certificate_url = format!("{base}/{FOREIGN_DIR}/{}", stranger.certificate_file());
        let foreign = Issued {
            signer: stranger,
            certificate_url,
        };
        let certificates = Mutex::new(VecDeque::from([file_of(&signer)]));
        let current = ArcSwap::from_pointee(issued(base, signer));
        Ok(Self {
            base: base.to_owned(),
            current,
            foreign,
            certificates,
        })
    }

    /// The signing key.
    pub(super) fn current(&self) -> Arc<Issued> {
        self.current.load_full()
    }

    /// A key that no endpoint trusts.
    pub(super) fn foreign(&self) -> &Issued {
        &self.foreign
    }

    /// Switches to another signing key.
    pub(super) fn change(&self, signer: Signer) {
        // Served before it is used: a push must not name a certificate that is not served yet.
        let mut certificates = self
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        certificates.push_front(file_of(&signer));
        certificates.truncate(CERTIFICATES_MAX);
        drop(certificates);
        self.current.store(Arc::new(issued(&self.base, signer)));
    }

    /// The certificate at a path.
    pub(super) fn certificate(&self, path: &str) -> Option<String> {
        let file = path.strip_prefix('/')?;
        // The file name of a trusted certificate has no slash, so this branch cannot hide one.
        if let Some(file) = file
            .strip_prefix(FOREIGN_DIR)
            .and_then(|file| file.strip_prefix('/'))
        {
            let is_its = file == self.foreign.signer.certificate_file();
            return is_its.then(|| self.foreign.signer.certificate_pem().to_owned());
        }
        let certificates = self
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        certificates
            .iter()
            .find(|(name, _)| name == file)
            .map(|(_, pem)| pem.clone())
    }
}

fn issued(base: &str, signer: Signer) -> Issued {
    let certificate_url = format!("{base}/{}", signer.certificate_file());
    Issued {
        signer,
        certificate_url,
    }
}

fn file_of(signer: &Signer) -> (String, String) {
    (
        signer.certificate_file(),
        signer.certificate_pem().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_certificate_is_served_until_64_newer_ones_exist() {
        let ring = Keyring::new("http://127.0.0.1:9000", Signer::generate(512).unwrap()).unwrap();
        let path = |issued: &Issued| {
            issued
                .certificate_url
                .strip_prefix("http://127.0.0.1:9000")
                .unwrap()
                .to_owned()
        };
        let first = path(&ring.current());
        ring.change(Signer::generate(512).unwrap());
        let second = path(&ring.current());
        assert_ne!(first, second);
        for (path, of) in [
            (&second, ring.current().signer.certificate_pem()),
            (
                &path(ring.foreign()),
                ring.foreign().signer.certificate_pem(),
            ),
        ] {
            assert_eq!(ring.certificate(path).as_deref(), Some(of), "{path}");
        }
        assert!(
            ring.certificate(&first)
                .is_some_and(|pem| pem != ring.current().signer.certificate_pem())
        );
        // One change was made above. With these the first certificate is evicted, and the second is
        // the oldest one that is served.
        for _ in 1..CERTIFICATES_MAX {
            ring.change(Signer::generate(512).unwrap());
        }
        assert_eq!(ring.certificate(&first), None);
        assert!(ring.certificate(&second).is_some());
        assert_eq!(ring.certificate("/foreign"), None);
        assert_eq!(ring.certificate("/"), None);
    }
}
