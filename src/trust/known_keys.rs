//! The keys that have verified pushes, by address, so that a new key is noticed, even after a
//! restart.

use std::collections::VecDeque;

use crate::mns::SigningCertUrl;
use crate::trust::{CertificateStore, SigningCertificate};

/// How many keys are remembered. MNS renews a key once in years.
const KEYS_MAX: usize = 1024;

/// The keys, the earliest first.
#[derive(Debug, Default)]
pub(super) struct KnownKeys {
    keys: VecDeque<KnownKey>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct KnownKey {
    /// The name under which the store saves the certificate.
    address: String,
    fingerprint: String,
}

/// A push was verified with another key than its address had before. If both the address and the
/// key are new, the key that became known last is the one that was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// The certificate's address.
    pub address: String,
    /// The size of the new key, in bits.
    pub key_bits: usize,
    /// The previous key: that of the address, or else the most recent one of any address.
    pub old_key: String,
    /// The new key.
    pub new_key: String,
}

/// What a verified push shows about the key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Observation {
    /// The key was known at this address.
    Known,
    /// The key is new at this address, and no other key was expected.
    First,
    /// Another key was expected.
    Changed(KeyChange),
}

impl KnownKeys {
    /// The keys of the certificates on disk, the oldest first.
    pub(super) fn kept_in(store: &CertificateStore) -> Self {
        let mut known = Self::default();
        // The cache reports an unreadable file when it needs it. Here the only consequence is that
        // a change of that key goes unnoticed.
        let mut kept = store.list().unwrap_or_default();
        // Sort by time, because a new address is compared with the key that became known last.
        kept.sort_by_key(|kept| kept.kept_at);
        for kept in kept {
            if let (Some(address), Ok(certificate)) = (kept.path.to_str(), kept.certificate) {
                known.remember(address.to_owned(), certificate.fingerprint().to_owned());
            }
        }
        known
    }

    /// Records that a push was verified with a key.
    pub(super) fn observe(
        &mut self,
        url: &SigningCertUrl,
        certificate: &SigningCertificate,
    ) -> Observation {
        let (address, new_key) = (url.kept_as(), certificate.fingerprint().to_owned());
        let here = self.keys.iter().find(|known| known.address == address);
        let before = match here {
            Some(known) if known.fingerprint == new_key => return Observation::Known,
            Some(known) => Some(known),
            // A known key at a new address is not a change.
            None if self.keys.iter().any(|known| known.fingerprint == new_key) => None,
            // A new key at a new address is compared with the key that became known last, if any.
            None => self.keys.back(),
        };
        let old_key = before.map(|known| known.fingerprint.clone());
        self.remember(address, new_key.clone());
        let key_bits = certificate.key_bits();
        old_key.map_or(Observation::First, |old_key| {
            Observation::Changed(KeyChange {
                address: url.to_string(),
                key_bits,
                old_key,
                new_key,
            })
        })
    }

    fn remember(&mut self, address: String, fingerprint: String) {
        // One key for each address, the most recent one last.
        self.keys.retain(|known| known.address != address);
        self.keys.push_back(KnownKey {
            address,
            fingerprint,
        });
        if self.keys.len() > KEYS_MAX {
            self.keys.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::mns::{Prefix, Prefixes};
    use crate::trust::certificate::samples::{OLD, OTHER};

    fn url(file: &str) -> SigningCertUrl {
        let prefixes = Prefixes::new([Prefix::parse("https://a.example/").unwrap()]);
        prefixes
            .admit(format!("https://a.example/{file}.pem").as_bytes())
            .unwrap()
    }

    fn certificate(pem: &[u8]) -> SigningCertificate {
        SigningCertificate::parse(pem).unwrap()
    }

    fn change(file: &str, old: &[u8], new: &[u8]) -> Observation {
        Observation::Changed(KeyChange {
            address: url(file).to_string(),
            key_bits: 512,
            old_key: certificate(old).fingerprint().to_owned(),
            new_key: certificate(new).fingerprint().to_owned(),
        })
    }

    #[test]
    fn another_key_is_reported_once_at_its_address_or_at_a_new_one() {
        let (old, other) = (certificate(OLD), certificate(OTHER));
        let mut known = KnownKeys::default();
        assert_eq!(known.observe(&url("x"), &old), Observation::First);
        assert_eq!(known.observe(&url("x"), &old), Observation::Known);
        assert_eq!(
            known.observe(&url("y"), &old),
            Observation::First,
            "a known key at a new address"
        );
        assert_eq!(known.observe(&url("x"), &other), change("x", OLD, OTHER));
        assert_eq!(known.observe(&url("x"), &other), Observation::Known);
        assert_eq!(
            known.observe(&url("x"), &old),
            change("x", OTHER, OLD),
            "back again"
        );
        let mut known = KnownKeys::default();
        known.observe(&url("x"), &old);
        assert_eq!(known.observe(&url("y"), &other), change("y", OLD, OTHER));
        assert_eq!(known.observe(&url("z"), &old), Observation::First);
    }

    #[test]
    fn saved_certificates_are_known_in_the_order_in_which_they_were_saved() {
        let dir = tempfile::tempdir().unwrap();
        let store = CertificateStore::new(dir.path().to_owned());
        for (file, pem, age) in [("a", OTHER, 10), ("b", OLD, 20)] {
            let path = store
                .keep(&url(file), str::from_utf8(pem).unwrap())
                .unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - age);
            fs::File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_modified(time)
                .unwrap();
        }
        let mut known = KnownKeys::kept_in(&store);
        let order: Vec<&str> = known
            .keys
            .iter()
            .map(|known| known.address.as_str())
            .collect();
        assert_eq!(order, ["a.example/b.pem", "a.example/a.pem"]);
        assert_eq!(
            known.observe(&url("b"), &certificate(OTHER)),
            change("b", OLD, OTHER)
        );
        assert_eq!(
            known.observe(&url("a"), &certificate(OTHER)),
            Observation::Known
        );
    }

    #[test]
    fn at_most_1024_keys_are_remembered() {
        let mut known = KnownKeys::default();
        let old = certificate(OLD);
        for number in 0..KEYS_MAX * 2 {
            known.observe(&url(&number.to_string()), &old);
        }
        assert_eq!(known.keys.len(), KEYS_MAX);
    }
}
