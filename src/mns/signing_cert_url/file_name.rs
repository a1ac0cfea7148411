//! The file name of a certificate, and the rules for it.

/// The longest file name of a certificate, in bytes.
const FILE_BYTES_MAX: usize = 128;
/// How the file name of a certificate ends, unless it has no ending. The vendor's rule is the
/// prefix alone, and the file is renamed from time to time (protocol.md 2.3).
const ENDINGS: [&[u8]; 3] = [b"pem", b"crt", b"cer"];

/// What the file name of a certificate must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileNameRule {
    /// There is one.
    #[error("it names no file")]
    Present,
    /// It is one segment of a path.
    #[error("there is more than a file name behind the prefix")]
    OneSegment,
    /// It has 128 bytes at most.
    #[error("its file name has more than {FILE_BYTES_MAX} bytes")]
    Length,
    /// No name climbs, or is hidden.
    #[error("its file name begins with a dot")]
    FirstDot,
    /// Nothing has to be decoded.
    #[error(
        "its file name has other characters than letters, digits, dots, underscores and hyphens"
    )]
    Characters,
    /// It ends in `.pem`, `.crt` or `.cer`, or has no dot.
    #[error("its file name has another ending than .pem, .crt or .cer")]
    Ending,
}

/// Letters, digits, `.`, `_`, `-`; never first a dot, so that no name climbs.
fn check_file_name(name: &[u8]) -> Result<(), FileNameRule> {
    let allowed =
        |byte: &u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    match name.first() {
        None => Err(FileNameRule::Present),
        Some(_) if name.len() > FILE_BYTES_MAX => Err(FileNameRule::Length),
        Some(_) if !name.iter().all(allowed) => Err(FileNameRule::Characters),
        Some(b'.') => Err(FileNameRule::FirstDot),
        Some(_) => Ok(()),
    }
}

pub(super) fn is_file_name(name: &[u8]) -> bool {
    check_file_name(name).is_ok()
}

pub(super) fn check_certificate_file(name: &[u8]) -> Result<(), FileNameRule> {
    check_file_name(name)?;
    let ending = name.rsplit(|byte| *byte == b'.').next();
    let has_ending = ending.is_some_and(|ending| ENDINGS.contains(&ending));
    if has_ending || !name.contains(&b'.') {
        Ok(())
    } else {
        Err(FileNameRule::Ending)
    }
}

/// Whether a file of [`SigningCertUrl::kept_as`](crate::mns::SigningCertUrl::kept_as) may have
/// this name, whose path is joined to it with `+`.
#[must_use]
pub fn is_certificate_file(name: &[u8]) -> bool {
    name.rsplit(|byte| *byte == b'+')
        .next()
        .is_some_and(|file| check_certificate_file(file).is_ok())
}
