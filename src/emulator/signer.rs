//! A key that signs like MNS's, and its certificate.

use std::time::Duration;

use rsa::PrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use rsa::signature::{SignatureEncoding, Signer as _};
use rsa::traits::PublicKeyParts;
use sha1::{Digest, Sha1};
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder, Result as BuilderResult};
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::{Decode, EncodePem};
use x509_cert::ext::pkix::{BasicConstraints, SubjectKeyIdentifier};
use x509_cert::ext::{Extension, ToExtension as _};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use x509_cert::time::Validity;

use crate::trust::KEY_BITS;

/// How long a generated certificate claims to be valid. Nobody checks it.
const VALIDITY: Duration = Duration::from_secs(365 * 24 * 3600);
/// How many hex digits of the key's digest are in the name of the certificate's file.
// 64 bits, enough that no two keys get the same address.
const FINGERPRINT_DIGITS: usize = 16;

/// A private key with its self-signed certificate.
pub struct Signer {
    key: SigningKey<Sha1>,
    bits: u32,
    certificate_pem: String,
    fingerprint: String,
}

/// Why a key cannot be made, or cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The size is not allowed for a signing key.
    #[error(
        "a key of {0} bits is not supported: use {min} to {max} bits",
        min = KEY_BITS.start(),
        max = KEY_BITS.end()
    )]
    Size(usize),
    /// The key cannot be generated or used.
    #[error("the key cannot be generated or used: {0}")]
    Key(String),
    /// A value of the push that no header can carry unchanged.
    #[error("the header {name} cannot hold {value:?}")]
    Header {
        /// The header.
        name: &'static str,
        /// The value.
        value: String,
    },
    /// The key's certificate cannot be generated.
    #[error("the certificate cannot be generated: {0}")]
    Certificate(String),
}

impl Signer {
    /// Generates a key of `bits` bits and its certificate. Large keys take seconds.
    ///
    /// # Errors
    /// [`SignerError`]
    pub fn generate(bits: usize) -> Result<Self, SignerError> {
        if !KEY_BITS.contains(&bits) {
            return Err(SignerError::Size(bits));
        }
        // The checked constructor rejects 512 bits, the size of the real key.
        let key = PrivateKey::new_unchecked(&mut rand::rng(), bits);
        Self::certify(key.map_err(|error| SignerError::Key(error.to_string()))?)
    }

    /// Reads a private key in PEM, either PKCS#8 or PKCS#1.
    ///
    /// # Errors
    /// [`SignerError`]
    pub fn from_pem(pem: &str) -> Result<Self, SignerError> {
        let key = PrivateKey::from_pkcs8_pem(pem);
        // The error for PKCS#8 is reported, because that is the usual form.
        let key = key.or_else(|error| PrivateKey::from_pkcs1_pem(pem).map_err(|_not_pkcs1| error));
        Self::certify(key.map_err(|error| SignerError::Key(error.to_string()))?)
    }

    fn certify(key: PrivateKey) -> Result<Self, SignerError> {
        // Variable time is harmless, because the modulus is public.
        let bits = key.n().bit_width_vartime();
        let public_key = key.to_public_key();
        let key = SigningKey::new(key);
        let failed =
            |error: Box<dyn std::error::Error>| SignerError::Certificate(error.to_string());
        let certificate_pem = self_signed(&key, &public_key).map_err(failed)?;
        let fingerprint = fingerprint(&public_key)
            .map_err(|error| SignerError::Certificate(error.to_string()))?;
        Ok(Self {
            key,
            bits,
            certificate_pem,
            fingerprint,
        })
    }

    /// Signs a text with RSASSA-PKCS1-v1_5 and SHA-1.
    ///
    /// # Errors
    /// [`SignerError::Key`] if the key cannot sign, for example because it is malformed.
    pub fn sign(&self, text: &[u8]) -> Result<Vec<u8>, SignerError> {
        match self.key.try_sign(text) {
            Ok(signature) => Ok(signature.to_vec()),
            Err(error) => Err(SignerError::Key(error.to_string())),
        }
    }

    /// The size of the key, in bits.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// The certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The name of the certificate's file. It changes with the key, as MNS's does.
    #[must_use]
    pub fn certificate_file(&self) -> String {
        format!("x509_{}.pem", self.fingerprint)
    }

    /// The private key as PKCS#8 PEM.
    ///
    /// # Errors
    /// [`SignerError::Key`]
    pub fn to_key_pem(&self) -> Result<String, SignerError> {
        let pem = self
            .key
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| SignerError::Key(error.to_string()))?;
        Ok(pem.as_str().to_owned())
    }
}

/// A certificate like MNS's: self-signed, `CA:TRUE`, with the identifier of its key.
///
/// The extensions make it X.509 version 3. The vendor's Python samples take the key from element 6
/// of the certificate's body, which is only right if the version precedes the other elements, as it
/// does from version 2 on.
struct LikeThatOfMns(Name);

impl BuilderProfile for LikeThatOfMns {
    fn get_issuer(&self, subject: &Name) -> Name {
        subject.clone()
    }

    fn get_subject(&self) -> Name {
        self.0.clone()
    }

    fn build_extensions(
        &self,
        subject_key: SubjectPublicKeyInfoRef<'_>,
        _issuer_key: SubjectPublicKeyInfoRef<'_>,
        certificate: &TbsCertificate,
    ) -> BuilderResult<Vec<Extension>> {
        let subject = certificate.subject();
        let key_identifier =
            SubjectKeyIdentifier::try_from(subject_key)?.to_extension(subject, &[])?;
        // Not critical, as in the certificate of 2015.
        let constraints = (
            false,
            &BasicConstraints {
                ca: true,
                path_len_constraint: None,
            },
        )
            .to_extension(subject, &[])?;
        Ok(vec![key_identifier, constraints])
    }
}

fn fingerprint(public_key: &rsa::PublicKey) -> rsa::pkcs8::spki::Result<String> {
    // Of the key and not of the certificate, which each start issues again: the address must stay
    // the same as long as the key does.
    let digest = Sha1::digest(public_key.to_public_key_der()?.as_bytes());
    let hex = digest
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    Ok(hex.chars().take(FINGERPRINT_DIGITS).collect())
}

fn self_signed(
    key: &SigningKey<Sha1>,
    public_key: &rsa::PublicKey,
) -> Result<String, Box<dyn std::error::Error>> {
    let name: Name = "CN=notify,OU=emulator,O=mns-endpoint".parse()?;
    let info = public_key.to_public_key_der()?;
    let info = SubjectPublicKeyInfo::from_der(info.as_bytes())?;
    let serial = SerialNumber::generate(&mut rand::rng());
    let builder = CertificateBuilder::new(
        LikeThatOfMns(name),
        serial,
        Validity::from_now(VALIDITY)?,
        info,
    )?;
    // With SHA-1, like the certificate of 2015 (protocol.md 2.2).
    let certificate = builder.build::<_, rsa::pkcs1v15::Signature>(key)?;
    Ok(certificate.to_pem(LineEnding::LF)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::SigningCertificate;

    #[test]
    fn a_signature_verifies_with_the_certificate_for_every_key_size() {
        for bits in [512, 1024, 2048, 4096] {
            let signer = Signer::generate(bits).unwrap();
            let certificate =
                SigningCertificate::parse(signer.certificate_pem().as_bytes()).unwrap();
            assert_eq!(certificate.key_bits(), bits);
            let signature = signer.sign(b"text").unwrap();
            assert!(certificate.verifies(b"text", &signature));
            assert!(!certificate.verifies(b"test", &signature));
        }
    }

    /// The elements of a DER value: tag, content, and all of its bytes. Parses only as much DER as
    /// the vendor's samples do.
    fn elements(value: &[u8]) -> Vec<(u8, &[u8], &[u8])> {
        let (mut found, mut rest) = (Vec::new(), value);
        while let [tag, length, behind @ ..] = rest {
            let (long, short) = (usize::from(length & 0x7f), usize::from(*length));
            let (digits, behind) = behind.split_at(if *length < 0x80 { 0 } else { long });
            let length = digits
                .iter()
                .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            let (content, behind) = behind.split_at(if digits.is_empty() { short } else { length });
            let (whole, _) = rest.split_at(rest.len().abs_diff(behind.len()));
            found.push((*tag, content, whole));
            rest = behind;
        }
        found
    }

    fn has_extension(extensions: &[u8], oid: &[u8], value: impl Fn(&[u8]) -> bool) -> bool {
        elements(elements(extensions)[0].1)
            .iter()
            .any(|(_, extension, _)| {
                let parts = elements(extension);
                // There is no BOOLEAN in between, so it is not critical.
                parts[0].2 == oid && parts.len() == 2 && value(parts[1].1)
            })
    }

    #[test]
    fn the_key_is_where_the_vendors_samples_expect_it() {
        use base64::Engine as _;

        for bits in [512, 2048] {
            let signer = Signer::generate(bits).unwrap();
            // As in the samples: the lines between the first and the last, without blanks.
            let lines: Vec<&str> = signer
                .certificate_pem()
                .split_whitespace()
                .skip(2)
                .collect();
            let der = lines[..lines.len() - 2].concat();
            let der = base64::engine::general_purpose::STANDARD
                .decode(der)
                .unwrap();
            let certificate = elements(elements(&der)[0].1);
            let body = elements(certificate[0].1);
            assert_eq!(body[0].2, [0xa0, 3, 2, 1, 2], "X.509 version 3");
            let key = signer
                .key
                .as_ref()
                .to_public_key()
                .to_public_key_der()
                .unwrap();
            assert_eq!(body[6].2, key.as_bytes());
            let (serial_tag, serial, _) = body[1];
            assert!(
                // RFC 5280, 4.1.2.2: a serial number is positive and has at most 20 bytes.
                serial_tag == 2 && (8..=20).contains(&serial.len()) && serial[0] < 0x80,
                "{serial:?}"
            );
            assert_eq!(body[3].2, body[5].2, "issuer and subject");
            let (tag, extensions, _) = body[7];
            assert_eq!(tag, 0xa3);
            assert!(
                has_extension(extensions, &[6, 3, 0x55, 0x1d, 0x13], |value| value
                    == [0x30, 3, 1, 1, 0xff]),
                "CA:TRUE"
            );
            assert!(
                has_extension(extensions, &[6, 3, 0x55, 0x1d, 0x0e], |value| value.len()
                    == 22
                    && value[..2] == [4, 20]),
                "subjectKeyIdentifier"
            );
            assert_eq!(
                certificate[1].2, body[2].2,
                "the algorithm inside is that of the signature"
            );
        }
    }

    #[test]
    fn a_key_of_512_bits_is_written_and_read() {
        let signer = Signer::generate(512).unwrap();
        let again = Signer::from_pem(&signer.to_key_pem().unwrap()).unwrap();
        assert_eq!(again.bits(), 512);
        assert_eq!(
            again.certificate_file(),
            signer.certificate_file(),
            "the address stays with the key"
        );
        assert_eq!(again.sign(b"text").unwrap(), signer.sign(b"text").unwrap());
    }

    #[test]
    fn sizes_that_no_certificate_may_have_are_refused() {
        for bits in [0, 256, 511, 16384] {
            assert!(matches!(Signer::generate(bits), Err(SignerError::Size(_))));
        }
    }
}
