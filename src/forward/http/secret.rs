//! A secret with which requests are signed, in the form of Standard Webhooks: base64, with or
//! without `whsec_` before it.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Precedes the base64.
const PREFIX: &str = "whsec_";
/// The shortest key, in bytes. A key that can be guessed proves nothing, and without a minimum an
/// empty file would be a key.
const KEY_BYTES_MIN: usize = 16;
/// Accepts base64 without padding too, as receivers do.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A secret. It has no `Debug`, so that no log shows it.
pub(super) struct Secret {
    key: Vec<u8>,
}

/// Why a text is not a secret. The error does not contain the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidSecret {
    /// The text is not base64.
    #[error("it is not base64, with or without {PREFIX} before it")]
    NotBase64,
    /// The key is so short that it can be guessed.
    #[error("its key has {0} bytes, and at least {KEY_BYTES_MIN} are needed")]
    Short(usize),
}

impl Secret {
    /// Reads a secret. Ignores white space around it.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidSecret> {
        // A file that `echo` or an editor wrote ends in a line feed.
        let text = text.trim();
        let encoded = text.strip_prefix(PREFIX).unwrap_or(text);
        let key = ENGINE.decode(encoded);
        let key = key.map_err(|_invalid| InvalidSecret::NotBase64)?;
        if key.len() < KEY_BYTES_MIN {
            return Err(InvalidSecret::Short(key.len()));
        }
        Ok(Self { key })
    }

    /// The signature of a request, which covers its id, its time and its body.
    pub(super) fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length");
        // The concatenation is unambiguous, because neither the encoded id nor the time has a dot.
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected signature was made with the library of Standard Webhooks for Python.
    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        let sign = |text: &str| {
            let secret = Secret::parse(text).ok().unwrap();
            secret.sign("1/T/S/M", "1700000000", b"I am test message 0.")
        };
        let expected = "v1,Vn/oipg228nsTFqxvLw5QlCYwtuiifY7fATgNEvakNc=";
        assert_eq!(sign("whsec_bW5zbW5zbW5zbW5zbW5zbW5z"), expected);
        assert_eq!(sign(" bW5zbW5zbW5zbW5zbW5zbW5z\r\n"), expected);
    }

    #[test]
    fn padding_may_be_left_out() {
        let sign = |text: &str| Secret::parse(text).ok().unwrap().sign("id", "1", b"");
        assert_eq!(
            sign("whsec_bW5zbW5zbW5zbW5zbW5zbQ=="),
            sign("whsec_bW5zbW5zbW5zbW5zbW5zbQ")
        );
    }

    #[test]
    fn what_can_be_guessed_or_is_no_base64_is_no_secret() {
        let problem = |text: &str| Secret::parse(text).err();
        assert_eq!(problem(""), Some(InvalidSecret::Short(0)));
        assert_eq!(problem("whsec_"), Some(InvalidSecret::Short(0)));
        let short = problem("whsec_bW5zbW5zbW5zbW5zbW5z");
        assert_eq!(short, Some(InvalidSecret::Short(15)));
        for text in ["not a secret", "whsec_bW5zbW5zbW5zbW5zbW5z!", "a\nb"] {
            assert_eq!(problem(text), Some(InvalidSecret::NotBase64), "{text:?}");
        }
    }
}
