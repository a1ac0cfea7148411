//! The token of the inspector if `admin.token_file` names none: whoever may read the logs may open
//! the page.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tracing::warn;

use crate::bounded;
use crate::config::Config;
use crate::disk::{RealDisk, Replace};

/// The number of random bytes in a token.
// 192 bits. A multiple of 3, so that its base64 needs no padding.
const RANDOM_BYTES: usize = 24;
/// The length of such a token.
const TOKEN_BYTES: usize = 32;
/// The maximum size of the file, in bytes.
const FILE_BYTES_MAX: u64 = 256;

/// The path of the file with the token.
pub(crate) fn path(log_dir: &Path, port: u16) -> PathBuf {
    log_dir.join(format!(".inspector.{port}.token"))
}

/// Reads the token that a `serve` has generated.
///
/// # Errors
/// The system's. [`io::ErrorKind::InvalidData`] if the file does not contain such a token.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let text = bounded::read_text(path, FILE_BYTES_MAX)?;
    let token = text.trim();
    let is_one = token.len() == TOKEN_BYTES
        && token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_one {
        Ok(token.to_owned())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "no token"))
    }
}

/// Adds a token unless the configuration has one: that of the last start, so that an open page
/// survives a restart, or else a new one. If that fails the page shows nothing, but pushes are
/// served.
pub(crate) fn add(config: &mut Config, port: u16) {
    let path = path(&config.log_dir, port);
    let mode = config.log_mode;
    let Some(admin) = config
        .admin
        .as_mut()
        .filter(|admin| admin.access.inspector_token.is_none())
    else {
        return;
    };
    let kept = is_kept_well(&path, mode)
        .then(|| read(&path).ok())
        .flatten();
    admin.access.inspector_token = kept.or_else(|| {
        make(&path, mode)
            .inspect_err(|error| {
                let path = path.display();
                warn!(%error, %path, "The token of the inspector cannot be kept: its page shows \
                    nothing");
            })
            .ok()
    });
}

/// Whether the file is readable only for those who may read the logs.
fn is_kept_well(path: &Path, mode: u32) -> bool {
    // Does not follow a link, which somebody else may have put there to a token of their choice.
    let metadata = std::fs::symlink_metadata(path);
    metadata.is_ok_and(|metadata| {
        // No permission beyond those of the logs, because the token shows what is in them.
        metadata.is_file() && metadata.permissions().mode() & 0o777 & !mode == 0
    })
}

fn make(path: &Path, mode: u32) -> io::Result<String> {
    let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; RANDOM_BYTES]>());
    let draft = path.with_extension("token.new");
    // A draft that a crash left may have other permissions.
    if let Err(error) = std::fs::remove_file(&draft)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let replace = Replace {
        path,
        draft: &draft,
        mode,
    };
    // Not synced: if a power failure loses it, the next start makes another one.
    replace
        .unsynced_with(&RealDisk, format!("{token}\n").as_bytes())
        .map_err(|failed| failed.cause)?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_token_is_reused_unless_too_many_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path(), 8080);
        let token = make(&path, 0o640).unwrap();
        assert_eq!(read(&path).unwrap(), token);
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        // The umask of the test may remove more.
        assert_eq!(mode() & !0o640, 0);
        assert!(is_kept_well(&path, 0o640));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(!is_kept_well(&path, 0o640));
        // A draft that a crash left must not stop the next start.
        fs::write(path.with_extension("token.new"), "of a crash").unwrap();
        let again = make(&path, 0o600).unwrap();
        assert_ne!(token, again);
        assert_eq!((read(&path).unwrap(), mode()), (again, 0o600));
        fs::write(&path, "short").unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
