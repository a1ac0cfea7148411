//! The file name of a certificate, and its rules.

/// The maximum length of the file name of a certificate, in bytes.
// A file system allows 255 bytes, and the path is joined in front (`SigningCertUrl::kept_as`).
const FILE_BYTES_MAX: usize = 128;
/// The allowed endings of a certificate's file name; it may also have none. The vendor's rule only
/// concerns the prefix, and the file is renamed from time to time (protocol.md 2.3).
const ENDINGS: [&[u8]; 3] = [b"pem", b"crt", b"cer"];

/// The rules for the file name of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileNameRule {
    /// It is not empty.
    #[error("it names no file")]
    Present,
    /// It is one segment of a path.
    #[error("there is more than a file name behind the prefix")]
    OneSegment,
    /// It has at most 128 bytes.
    #[error("its file name has more than {FILE_BYTES_MAX} bytes")]
    Length,
    /// It does not begin with a dot, so it cannot be `..` or hidden.
    #[error("its file name begins with a dot")]
    FirstDot,
    /// It needs no decoding.
    #[error(
        "its file name has other characters than letters, digits, dots, underscores and hyphens"
    )]
    Characters,
    /// It ends in `.pem`, `.crt` or `.cer`, or has no dot.
    #[error("its file name has another ending than .pem, .crt or .cer")]
    Ending,
}

/// Letters, digits, `.`, `_`, `-`, and no leading dot, so that no name can leave its directory.
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

/// Whether a file of [`SigningCertUrl::kept_as`](crate::mns::SigningCertUrl::kept_as) may have this
/// name, in which path and file name are joined with `+`.
#[must_use]
pub fn is_certificate_file(name: &[u8]) -> bool {
    name.rsplit(|byte| *byte == b'+')
        .next()
        .is_some_and(|file| check_certificate_file(file).is_ok())
}
