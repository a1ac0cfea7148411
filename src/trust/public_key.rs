//! An RSA key that verifies RSASSA-PKCS1-v1_5 signatures with SHA-1, by the fastest implementation
//! for its size.
//!
//! The key of MNS has 512 bits, fewer than any fast library accepts, so this file has fixed-width
//! arithmetic for that size. For 1024 bits and more it uses aws-lc-rs, which is a dependency of TLS
//! anyway. The generic code of `rsa` handles all other keys. All three compare the whole encoded
//! message, so none accepts what another refuses.

use std::ops::RangeInclusive;

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY};
use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U512};
use rsa::pkcs1::RsaPublicKeyRef;
use rsa::pkcs1v15::{Signature, VerifyingKey};
use rsa::signature::hazmat::PrehashVerifier;
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, PublicKey as GenericKey};
use sha1::{Digest, Sha1};
use x509_cert::der::Decode as _;

/// The supported key sizes, in bits.
pub const KEY_BITS: RangeInclusive<usize> = 512..=8192;
/// The number of limbs of a [`U512`].
const LIMBS: usize = U512::LIMBS;
/// The length of a signature by a key of 512 bits, in bytes.
const SHORT_BYTES: usize = U512::BYTES;
/// DER of the `DigestInfo` of SHA-1, up to the digest: RFC 8017, 9.2, note 1.
const DIGEST_INFO: [u8; 15] = [
    0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14,
];

/// A key that signatures are checked with.
#[derive(Debug)]
pub(super) struct PublicKey {
    bits: usize,
    implementation: Implementation,
}

#[derive(Debug)]
enum Implementation {
    Short(ShortKey),
    Long(ParsedPublicKey),
    Generic(VerifyingKey<Sha1>),
}

/// An RSA key that is outside [`KEY_BITS`] or malformed, and why.
#[derive(Debug)]
pub(super) struct UnusableKey(pub(super) String);

/// A key of exactly 512 bits.
#[derive(Debug)]
struct ShortKey {
    modulus: Box<FixedMontyParams<LIMBS>>,
    exponent: u64,
}

impl PublicKey {
    /// Reads an `RSAPublicKey` of PKCS #1 in DER.
    ///
    /// # Errors
    /// [`UnusableKey`]
    pub(super) fn parse(der: &[u8]) -> Result<Self, UnusableKey> {
        let unusable = |error: &dyn ToString| UnusableKey(error.to_string());
        let parts = RsaPublicKeyRef::from_der(der).map_err(|error| unusable(&error))?;
        let (modulus, exponent) = (parts.modulus.as_bytes(), parts.public_exponent.as_bytes());
        let generic = GenericKey::new_with_size_limits(
            BoxedUint::from_be_slice_vartime(modulus),
            BoxedUint::from_be_slice_vartime(exponent),
            KEY_BITS,
        )
        .map_err(|error| unusable(&error))?;
        let bits = usize::try_from(generic.n().bit_width_vartime()).unwrap_or(usize::MAX);
        let implementation = match ShortKey::new(modulus, exponent) {
            Some(short) => Implementation::Short(short),
            None => {
                match ParsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, der) {
                    // Parsing accepts shorter keys too, but a shorter key then refuses every
                    // signature.
                    Ok(long) if bits >= 1024 => Implementation::Long(long),
                    Ok(_) | Err(_) => Implementation::Generic(VerifyingKey::new(generic)),
                }
            }
        };
        Ok(Self {
            bits,
            implementation,
        })
    }

    /// The size of the modulus, in bits.
    pub(super) fn bits(&self) -> usize {
        self.bits
    }

    /// Whether `signature` is a signature of `text` by this key.
    pub(super) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        match &self.implementation {
            Implementation::Short(key) => key.verifies(text, signature),
            Implementation::Long(key) => key.verify_sig(text, signature).is_ok(),
            Implementation::Generic(key) => Signature::try_from(signature)
                .is_ok_and(|signature| key.verify_prehash(&Sha1::digest(text), &signature).is_ok()),
        }
    }
}

impl ShortKey {
    /// `None` if the key has another size.
    fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        // A modulus whose highest bit is clear has fewer than 512 bits.
        // A longer exponent does not fit a `u64`; the generic code takes such a key.
        if modulus.len() != SHORT_BYTES || modulus.first()? >> 7 == 0 || exponent.len() > 8 {
            return None;
        }
        let odd = Option::from(Odd::new(U512::from_be_slice(modulus)))?;
        let exponent = exponent
            .iter()
            .fold(0, |value: u64, byte| (value << 8) | u64::from(*byte));
        Some(Self {
            modulus: Box::new(FixedMontyParams::new_vartime(odd)),
            exponent,
        })
    }

    fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        // RFC 8017, 8.2.2: a signature has exactly the length of the modulus.
        if signature.len() != SHORT_BYTES {
            return false;
        }
        let signature = U512::from_be_slice(signature);
        // RFC 8017, 8.2.2: a larger number with the same residue is not a second signature.
        signature < *self.modulus.modulus().as_ref()
            && self.power(&signature) == U512::from_be_slice(&encoded(text))
    }

    /// The signature to the power of the exponent. Both are public, so the time that this takes may
    /// depend on them.
    fn power(&self, signature: &U512) -> U512 {
        let base = FixedMontyForm::new(signature, &self.modulus);
        // Square and multiply. `base` accounts for the highest bit, so the loop begins with the
        // next one.
        let below_the_first = 63_u32.saturating_sub(self.exponent.leading_zeros());
        let power = (0..below_the_first).rev().fold(base, |power, bit| {
            let square = power.square();
            if (self.exponent >> bit) & 1 == 1 {
                square.mul(&base)
            } else {
                square
            }
        });
        power.retrieve()
    }
}

/// The encoded message for a 512-bit key: EMSA-PKCS1-v1_5 of RFC 8017, 9.2.
fn encoded(text: &[u8]) -> [u8; SHORT_BYTES] {
    let digest = Sha1::digest(text);
    // 00 01, then ff as padding, then 00, the DigestInfo and the digest.
    let tail = [0].iter().chain(&DIGEST_INFO).chain(&digest);
    let mut encoded = [0xff; SHORT_BYTES];
    encoded
        .iter_mut()
        .zip([0, 1])
        .for_each(|(byte, head)| *byte = head);
    encoded
        .iter_mut()
        .rev()
        .zip(tail.rev())
        .for_each(|(byte, tail)| *byte = *tail);
    encoded
}

#[cfg(test)]
mod tests {
    use crypto_bigint::CheckedAdd as _;

    use super::*;
    use crate::emulator::Signer;
    use crate::trust::SigningCertificate;

    /// The verdict of the generic code.
    fn generic(key: &GenericKey, text: &[u8], signature: &[u8]) -> bool {
        let key: VerifyingKey<Sha1> = VerifyingKey::new(key.clone());
        Signature::try_from(signature)
            .is_ok_and(|it| key.verify_prehash(&Sha1::digest(text), &it).is_ok())
    }

    #[test]
    fn each_size_uses_its_implementation_and_agrees_with_the_generic_code() {
        for (bits, is_short, is_long) in [
            (512, true, false),
            (768, false, false),
            (1024, false, true),
            (2048, false, true),
        ] {
            let signer = Signer::generate(bits).unwrap();
            let certificate =
                SigningCertificate::parse(signer.certificate_pem().as_bytes()).unwrap();
            let der = certificate.public_key_der();
            let key = PublicKey::parse(&der).unwrap();
            assert_eq!(key.bits(), bits);
            let road = (
                matches!(key.implementation, Implementation::Short(_)),
                matches!(key.implementation, Implementation::Long(_)),
            );
            assert_eq!(road, (is_short, is_long), "{bits}");
            let parts = RsaPublicKeyRef::from_der(&der).unwrap();
            let modulus = BoxedUint::from_be_slice_vartime(parts.modulus.as_bytes());
            let exponent = BoxedUint::from_be_slice_vartime(parts.public_exponent.as_bytes());
            let other = GenericKey::new_with_size_limits(modulus, exponent, KEY_BITS).unwrap();
            let signature = signer.sign(b"text").unwrap();
            assert!(
                key.verifies(b"text", &signature) && generic(&other, b"text", &signature),
                "{bits}"
            );
            let mut wrong: Vec<Vec<u8>> = (0..signature.len())
                .map(|place| {
                    let mut changed = signature.clone();
                    changed[place] ^= 0x80;
                    changed
                })
                .collect();
            wrong.extend([
                Vec::new(),
                vec![0; bits / 8],
                vec![0xff; bits / 8],
                [&[0], &signature[..]].concat(),
            ]);
            wrong.extend([signature[1..].to_vec(), parts.modulus.as_bytes().to_vec()]);
            for changed in wrong {
                assert!(
                    !key.verifies(b"text", &changed) && !generic(&other, b"text", &changed),
                    "{bits}: {changed:?}"
                );
            }
            assert!(!key.verifies(b"text\n", &signature));
        }
    }

    #[test]
    fn a_signature_with_the_modulus_added_is_rejected() {
        // The same residue written as a larger number, if that still fits into the bytes.
        let found = (0..200).find_map(|_| {
            let signer = Signer::generate(512).unwrap();
            let certificate =
                SigningCertificate::parse(signer.certificate_pem().as_bytes()).unwrap();
            let der = certificate.public_key_der();
            let modulus =
                U512::from_be_slice(RsaPublicKeyRef::from_der(&der).unwrap().modulus.as_bytes());
            let signature = signer.sign(b"text").unwrap();
            let sum = U512::from_be_slice(&signature)
                .checked_add(&modulus)
                .into_option()?;
            Some((
                PublicKey::parse(&der).unwrap(),
                signature,
                sum.to_be_bytes(),
            ))
        });
        let (key, signature, sum) = found.expect("a key with room above its modulus");
        assert!(key.verifies(b"text", &signature) && !key.verifies(b"text", sum.as_ref()));
    }
}
