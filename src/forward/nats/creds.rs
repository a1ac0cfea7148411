//! A file with credentials as the tools of NATS write it: a JWT and the seed of an nkey, or the
//! seed alone.
//!
//! Signing needs the feature `nats-nkeys`, which brings the cryptography of nkeys: dozens of crates
//! that nothing else here needs.

/// Whether this program can sign with an nkey.
pub(crate) const CAN_SIGN: bool = cfg!(feature = "nats-nkeys");
const BEGIN: &str = "-----BEGIN ";

/// The identity in a file of credentials, and the secret that proves it.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) jwt: Option<String>,
    seed: String,
}

impl Credentials {
    /// `None` if there is no seed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let block = |name: &str| {
            let lines = text.lines().map(str::trim);
            // The tools of NATS end a block with six hyphens and begin it with five, so only its
            // beginning is looked for.
            let is_title = |line: &&str| {
                line.strip_prefix(BEGIN)
                    .is_some_and(|it| it.starts_with(name))
            };
            lines
                .skip_while(|line| !is_title(line))
                .nth(1)
                .map(str::to_owned)
        };
        let alone = || {
            Some(text.trim())
                .filter(|text| is_seed(text))
                .map(str::to_owned)
        };
        Some(Self {
            jwt: block("NATS USER JWT"),
            seed: block("USER NKEY SEED")
                .filter(|seed| is_seed(seed))
                .or_else(alone)?,
        })
    }

    /// The public key and a signature.
    ///
    /// # Errors
    /// The seed is not valid, or this program cannot sign.
    #[cfg(feature = "nats-nkeys")]
    pub(super) fn sign(&self, nonce: &[u8]) -> Result<(String, Vec<u8>), String> {
        let key = nkeys::KeyPair::from_seed(&self.seed).map_err(|error| error.to_string())?;
        let signature = key.sign(nonce).map_err(|error| error.to_string())?;
        Ok((key.public_key(), signature))
    }

    /// The public key and a signature.
    ///
    /// # Errors
    /// This program cannot sign.
    #[cfg(not(feature = "nats-nkeys"))]
    pub(super) fn sign(&self, _nonce: &[u8]) -> Result<(String, Vec<u8>), String> {
        // Only the length, because an error must not show the seed.
        let of = self.seed.len();
        Err(format!(
            "this program was built without nats-nkeys; the seed has {of} characters"
        ))
    }
}

/// A seed is one word of base32 that begins with S.
fn is_seed(text: &str) -> bool {
    let is_base32 = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
    text.starts_with('S') && text.bytes().all(is_base32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_both_blocks_or_a_seed_alone() {
        let both = "-----BEGIN NATS USER JWT-----\r\neyJ0.a-b_c.d\r\n\
            ------END NATS USER JWT------\n\n*** IMPORTANT ***\n\n\
            -----BEGIN USER NKEY SEED-----\nSUAIO3\n------END USER NKEY SEED------\n";
        let parse = |text| Credentials::parse(text).map(|it| (it.jwt, it.seed));
        let seed = || "SUAIO3".to_owned();
        assert_eq!(parse(both), Some((Some("eyJ0.a-b_c.d".to_owned()), seed())));
        assert_eq!(parse("SUAIO3\n"), Some((None, seed())));
        for none in [
            "",
            "password",
            "-----BEGIN USER NKEY SEED-----",
            "SUAIO3 x",
            "suaio3",
        ] {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
