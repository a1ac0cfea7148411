//! `Content-MD5`, the only link between the signature and the body.
//!
//! MNS has written it in three notations over the years (protocol.md 1.3). They differ in length,
//! so the notation is never ambiguous:
//!
//! | notation | length | seen |
//! |---|---|---|
//! | 32 hex digits | 32 | SIMPLIFIED pushes, 2023 and 2024 |
//! | base64 of the 32 hex digits | 44 | XML pushes, 2015 and 2016 |
//! | base64 of the 16 raw bytes (RFC 1864) | 24 | never, but it is what the name promises |
//!
//! Public receivers of JSON pushes, written from 2016 to 2019, require the second one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

/// A digest read from a `Content-MD5` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentMd5 {
    digest: [u8; 16],
}

/// A notation of `Content-MD5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// Plain upper-case hex.
    Hex,
    /// Base64 of the lower-case hex text.
    Base64Hex,
    /// Base64 of the raw digest.
    Base64,
}

impl ContentMd5 {
    /// Reads a header value. `None` if it has none of the three notations.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let digest = match value.len() {
            32 => from_hex(value)?,
            44 => from_hex(&STANDARD.decode(value).ok()?)?,
            24 => STANDARD.decode(value).ok()?.try_into().ok()?,
            _ => return None,
        };
        Some(Self { digest })
    }

    /// The digest of `body`.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Self {
            digest: Md5::digest(body).into(),
        }
    }

    /// The digest as upper-case hex, the form of `MessageMD5`.
    #[must_use]
    pub fn upper_hex(self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let digit =
            // A nibble is below 16, so the question mark is never written.
            |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?'));
        self.digest
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
            .collect()
    }

    /// The digest as a header value in one of the notations.
    #[must_use]
    pub fn written(self, notation: Notation) -> String {
        match notation {
            Notation::Hex => self.upper_hex(),
            Notation::Base64Hex => STANDARD.encode(self.upper_hex().to_ascii_lowercase()),
            Notation::Base64 => STANDARD.encode(self.digest),
        }
    }
}

fn from_hex(text: &[u8]) -> Option<[u8; 16]> {
    let mut digest = [0; 16];
    // 44 characters of base64 may also decode to 31 or 33 bytes.
    if text.len() != 32 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        // `u8::from_str_radix` would accept a sign.
        let nibble = |digit: u8| {
            char::from(digit)
                .to_digit(16)
                .and_then(|n| u8::try_from(n).ok())
        };
        *byte = nibble(high)? << 4 | nibble(low)?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_of_a_digest_reads_back_as_the_digest() {
        let digest = ContentMd5::of(b"I am test message 0.");
        for notation in [Notation::Hex, Notation::Base64Hex, Notation::Base64] {
            assert_eq!(
                ContentMd5::parse(digest.written(notation).as_bytes()),
                Some(digest),
                "{notation:?}"
            );
        }
        assert_eq!(
            ContentMd5::parse(digest.upper_hex().to_lowercase().as_bytes()),
            Some(digest)
        );
    }

    #[test]
    fn the_values_of_the_manual_and_of_real_pushes_are_read() {
        // protocol.md 1.3: the sample of the signature page, and two captures of SIMPLIFIED pushes.
        let manual = ContentMd5::parse(b"ZDgxNjY5ZjFlMDQ5MGM0YWMwMWE5ODlmZDVlYmQxYjI=");
        assert_eq!(
            manual.map(ContentMd5::upper_hex).as_deref(),
            Some("D81669F1E0490C4AC01A989FD5EBD1B2")
        );
        assert!(ContentMd5::parse(b"4CCBAD7AF2D23C2D00DDECCA59323A8C").is_some());
    }

    #[test]
    fn anything_else_is_not_a_content_md5() {
        for value in [
            "",
            "4CCBAD7AF2D23C2D00DDECCA59323A8",
            "4CCBAD7AF2D23C2D00DDECCA59323A8CC",
            "4CCBAD7AF2D23C2D00DDECCA59323A8G",
            "ZDgxNjY5ZjFlMDQ5MGM0YWMwMWE5ODlmZDVlYmQxYj==",
            "????????????????????????",
            "+CCBAD7AF2D23C2D00DDECCA59323A8C",
        ] {
            assert_eq!(ContentMd5::parse(value.as_bytes()), None, "{value}");
        }
    }
}
