//! A certificate with the key by which signatures of MNS are checked.
//!
//! The certificate that MNS really uses is a self-signed RSA certificate of 512 bits that expired
//! in 2016 (protocol.md 2.2). So only its key is used, and trust comes from the address from which
//! it was fetched. RSA with SHA-1 is computed only in `public_key` and in the signer of the
//! emulator.

use std::borrow::Cow;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest as _, Sha256};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode, EncodePem, SliceReader};
use x509_cert::spki::ObjectIdentifier;

use crate::trust::public_key::{PublicKey, UnusableKey};

/// The PEM labels that older tools, and `openssl x509 -trustout`, write instead of `CERTIFICATE`.
const OTHER_LABELS: [&str; 2] = ["TRUSTED CERTIFICATE", "X509 CERTIFICATE"];

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// An X.509 certificate with an RSA key, parsed once.
#[derive(Debug)]
pub struct SigningCertificate {
    key: PublicKey,
    fingerprint: String,
    certificate: Certificate,
}

/// Bytes that are not a certificate for checking signatures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCertificate {
    /// Neither PEM nor DER of an X.509 certificate.
    #[error("it is not an X.509 certificate in PEM or DER: {0}")]
    Malformed(String),
    /// The key is of another kind.
    #[error("its key is not RSA")]
    NotRsa,
    /// The RSA key is outside [`KEY_BITS`](crate::trust::KEY_BITS) or malformed.
    #[error("its RSA key cannot be used: {0}")]
    Key(String),
}

impl SigningCertificate {
    /// Reads a certificate in PEM or DER. In PEM, a byte order mark and text around it are skipped.
    ///
    /// A `TRUSTED CERTIFICATE` of openssl has settings after the certificate. They are ignored.
    ///
    /// # Errors
    /// An [`InvalidCertificate`]. Expiry, issuer and extensions are not checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidCertificate> {
        let malformed = |error: &dyn ToString| InvalidCertificate::Malformed(error.to_string());
        let text = with_usual_label(bytes);
        // Bytes that are not PEM may be DER, so a failure to read PEM is not the error to report.
        let from_pem = CertificateDer::from_pem_slice(&text);
        let der = from_pem.as_deref().unwrap_or(bytes);
        let certificate = match text {
            Cow::Borrowed(_) => Certificate::from_der(der),
            // openssl's settings follow the certificate, and `from_der` rejects trailing
            // bytes.
            Cow::Owned(_) => {
                SliceReader::new(der).and_then(|mut reader| Certificate::decode(&mut reader))
            }
        };
        let certificate = certificate.map_err(|error| malformed(&error))?;
        let info = certificate.tbs_certificate().subject_public_key_info();
        // A key with the OID of RSASSA-PSS must not be used with PKCS #1 v1.5 (RFC 4055, 1.2).
        if info.algorithm.oid != RSA_ENCRYPTION {
            return Err(InvalidCertificate::NotRsa);
        }
        let key = PublicKey::parse(info.subject_public_key.raw_bytes())
            .map_err(|UnusableKey(why)| InvalidCertificate::Key(why))?;
        let info = info.to_der().map_err(|error| malformed(&error))?;
        // Take the fingerprint of the key and not of the certificate: a new certificate for the
        // same key is no change.
        let fingerprint = Sha256::digest(&info)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self {
            key,
            fingerprint,
            certificate,
        })
    }

    /// Whether `signature` is a signature of `text` by this key: RSASSA-PKCS1-v1_5 with SHA-1.
    #[must_use]
    pub fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        self.key.verifies(text, signature)
    }

    /// The size of the key, in bits.
    #[must_use]
    pub fn key_bits(&self) -> usize {
        self.key.bits()
    }

    /// The end of the validity that the certificate claims. It is displayed and never checked.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.certificate
            .tbs_certificate()
            .validity()
            .not_after
            .to_system_time()
    }

    /// The identity of the key: the SHA-256 of its `SubjectPublicKeyInfo`, in hex.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    #[cfg(test)]
    pub(super) fn public_key_der(&self) -> Vec<u8> {
        self.certificate
            .tbs_certificate()
            .subject_public_key_info()
            .subject_public_key
            .raw_bytes()
            .to_vec()
    }

    /// The certificate as PEM text.
    ///
    /// # Errors
    /// [`InvalidCertificate::Malformed`] if it cannot be encoded, which does not happen to a parsed
    /// certificate.
    pub fn to_pem(&self) -> Result<String, InvalidCertificate> {
        self.certificate
            .to_pem(x509_cert::der::pem::LineEnding::LF)
            .map_err(|error| InvalidCertificate::Malformed(error.to_string()))
    }
}

/// Removes a byte order mark, and replaces the labels of other tools in PEM text. Changes nothing
/// else.
fn with_usual_label(bytes: &[u8]) -> Cow<'_, [u8]> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    // DER is not text.
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Cow::Borrowed(bytes);
    };
    match OTHER_LABELS
        .iter()
        .find(|label| text.contains(&format!("-----BEGIN {label}-----")))
    {
        Some(label) => Cow::Owned(
            text.replace(&format!(" {label}-----"), " CERTIFICATE-----")
                .into_bytes(),
        ),
        None => Cow::Borrowed(bytes),
    }
}

/// Certificates that the tests of this layer share.
#[cfg(test)]
pub(super) mod samples {
    pub(crate) const OLD: &[u8] = include_bytes!("../../certs/mns-2015.pem");
    pub(crate) const OTHER: &[u8] =
        include_bytes!("../../tests/vectors/keys/test-512-certificate.pem");
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const REAL: &[u8] = samples::OLD;
    const TEXT: &[u8] = include_bytes!("../../tests/vectors/simplified-2023/string-to-sign.txt");
    const SIGNATURE: &str = include_str!("../../tests/vectors/simplified-2023/signature.b64");

    #[test]
    fn the_real_certificate_loads_and_verifies_a_real_push() {
        let certificate = SigningCertificate::parse(REAL).unwrap();
        let signature = STANDARD.decode(SIGNATURE.trim()).unwrap();
        assert_eq!(certificate.key_bits(), 512);
        assert!(certificate.verifies(TEXT, &signature));
    }

    #[test]
    fn a_changed_byte_anywhere_does_not_verify() {
        let certificate = SigningCertificate::parse(REAL).unwrap();
        let signature = STANDARD.decode(SIGNATURE.trim()).unwrap();
        for place in 0..TEXT.len() {
            let mut text = TEXT.to_vec();
            text[place] ^= 1;
            assert!(
                !certificate.verifies(&text, &signature),
                "byte {place} of the text"
            );
        }
        for place in 0..signature.len() {
            let mut signature = signature.clone();
            signature[place] ^= 1;
            assert!(
                !certificate.verifies(TEXT, &signature),
                "byte {place} of the signature"
            );
        }
        for text in [
            [TEXT, b"\n"].concat(),
            [TEXT, b"/"].concat(),
            [TEXT, b"?x=1"].concat(),
        ] {
            assert!(!certificate.verifies(&text, &signature));
        }
        for signature in [
            &[][..],
            &signature[1..],
            &[&[0], &signature[..]].concat(),
            &[0; 64],
            &[0xff; 2000],
        ] {
            assert!(!certificate.verifies(TEXT, signature));
        }
    }

    #[test]
    fn pem_with_text_around_it_and_der_are_read() {
        let noisy = [b"subject: notify\r\n", REAL, b"\nmore"].concat();
        let certificate = SigningCertificate::parse(&noisy).unwrap();
        let der = CertificateDer::from_pem_slice(REAL).unwrap();
        // openssl x509 -in certs/mns-2015.pem -noout -pubkey | openssl pkey -pubin -outform der |
        // sha256sum
        assert_eq!(
            certificate.fingerprint(),
            "9526635d2a5b881f7eb04b36f5e49ae3616b5b67147d284b587c914df0b0dd0b"
        );
        let again = SigningCertificate::parse(certificate.to_pem().unwrap().as_bytes()).unwrap();
        for same in [SigningCertificate::parse(&der).unwrap(), again] {
            assert_eq!(certificate.fingerprint(), same.fingerprint());
        }
        assert_ne!(
            certificate.fingerprint(),
            SigningCertificate::parse(samples::OTHER)
                .unwrap()
                .fingerprint()
        );
    }

    #[test]
    fn a_byte_order_mark_and_the_labels_of_other_tools_are_read() {
        let real = SigningCertificate::parse(REAL).unwrap();
        // openssl x509 -in certs/mns-2015.pem -trustout -addtrust serverAuth -setalias mns
        let trusted = include_bytes!("../../tests/vectors/keys/mns-2015-trusted.pem");
        let text = std::str::from_utf8(REAL).unwrap();
        for other in [
            trusted.to_vec(),
            [b"\xef\xbb\xbf", &trusted[..]].concat(),
            format!("\u{feff}{text}").into_bytes(),
            text.replace(" CERTIFICATE-----", " X509 CERTIFICATE-----")
                .into_bytes(),
        ] {
            let read = SigningCertificate::parse(&other).unwrap();
            assert_eq!(read.fingerprint(), real.fingerprint());
            assert_eq!(
                read.to_pem().unwrap(),
                real.to_pem().unwrap(),
                "what is kept is the certificate alone"
            );
        }
        let der = CertificateDer::from_pem_slice(REAL).unwrap();
        assert!(
            SigningCertificate::parse(&[&der[..], b"more"].concat()).is_err(),
            "a certificate is the whole of its DER"
        );
    }

    #[test]
    fn each_kind_of_invalid_certificate_has_its_own_error() {
        for bytes in [&b""[..], b"<html>", &REAL[..100]] {
            assert!(matches!(
                SigningCertificate::parse(bytes),
                Err(InvalidCertificate::Malformed(_))
            ));
        }
        let elliptic = rcgen::generate_simple_self_signed(["localhost".to_owned()])
            .unwrap()
            .cert
            .pem();
        assert_eq!(
            SigningCertificate::parse(elliptic.as_bytes()).err(),
            Some(InvalidCertificate::NotRsa)
        );
    }
}
