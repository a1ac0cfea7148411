//! The command that makes a directory writable for this process, depending on why it is not.

use std::io::{self, ErrorKind};
use std::path::Path;

use rustix::io::Errno;

/// What to do about an unusable directory, as the end of a sentence. If a shell command fixes it:
/// "mend it with: mkdir ...".
pub(crate) fn fix_command(dir: &Path, cause: &io::Error) -> String {
    let quoted = quoted(dir);
    let in_the_way = dir
        .ancestors()
        .find(|path| path.exists())
        .filter(|path| !path.is_dir());
    let errno = Errno::from_io_error(cause);
    match (cause.kind(), in_the_way) {
        (ErrorKind::ReadOnlyFilesystem, _) => format!("mount a writable volume at {quoted}"),
        (ErrorKind::IsADirectory, _) => "name a file: this is a directory".to_owned(),
        // Moving /dev/null away would break other programs.
        (_, Some(file)) if !file.is_file() => {
            format!("name another directory: {} is not one", file.display())
        }
        (_, Some(file)) => format!("mend it with: {} && {}", move_away(file), own(dir)),
        (ErrorKind::PermissionDenied | ErrorKind::NotFound | ErrorKind::NotADirectory, None) => {
            format!("mend it with: {}", own(dir))
        }
        (ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge, None) => {
            format!("make room on the file system of {quoted}, or raise the quota or limit on it")
        }
        _ if matches!(errno, Some(Errno::NAMETOOLONG | Errno::LOOP)) => {
            "name another directory".to_owned()
        }
        _ if matches!(errno, Some(Errno::MFILE | Errno::NFILE)) => {
            "raise the limit on open files: ulimit -n, or LimitNOFILE=".to_owned()
        }
        // ENOLCK is the answer of NFS without its lock service. The other errors are those of file
        // systems that do not support locks at all.
        _ if matches!(errno, Some(Errno::NOLCK)) => {
            format!(
                "the file system of {quoted} does not support locks: start its lock service, or \
                 name a directory on a local disk"
            )
        }
        _ if matches!(errno, Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)) => {
            format!("the file system of {quoted} cannot do that: name a directory on a local disk")
        }
        _ => format!(
            "see the system log for errors of the file system of {quoted}, or name another \
             directory"
        ),
    }
}

/// The command that moves away what is at the path of a file.
pub(crate) fn move_away(path: &Path) -> String {
    let (sudo, path) = (sudo(), quoted(path));
    format!("{sudo}mv {path} {path}.moved")
}

/// A word of a command line, in quotes if a shell would interpret it.
pub(crate) fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        quoted(Path::new(text))
    }
}

/// The command that creates a directory and makes this process its owner.
fn own(dir: &Path) -> String {
    let (user, group) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let (sudo, dir) = (sudo(), quoted(dir));
    format!("{sudo}mkdir -p {dir} && {sudo}chown -R {user}:{group} {dir}")
}

fn sudo() -> &'static str {
    if rustix::process::geteuid().is_root() {
        ""
    } else {
        "sudo "
    }
}

fn quoted(path: &Path) -> String {
    // Nothing is an escape between single quotes of a shell, so a quote ends them first.
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_for_the_shell() {
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
        for (text, expected) in [
            ("[::]:8080", "'[::]:8080'"),
            ("a=b/c.toml", "a=b/c.toml"),
            ("$HOME", "'$HOME'"),
            ("a b", "'a b'"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
            ("~", "'~'"),
            ("a\nb", "'a\nb'"),
        ] {
            assert_eq!(word(text), expected);
        }
    }

    #[test]
    fn the_command_fits_the_cause() {
        let dir = tempfile::tempdir().unwrap();
        for (errno, expected, is_owner) in [
            (Errno::ACCESS, "mend it with: ", true),
            (Errno::PERM, "mend it with: ", true),
            (Errno::NOENT, "mend it with: ", true),
            (Errno::ROFS, "mount a writable volume", false),
            (Errno::NOLCK, "does not support locks", false),
            (Errno::INVAL, "cannot do that", false),
            (Errno::OPNOTSUPP, "cannot do that", false),
            (Errno::NOSYS, "cannot do that", false),
            (Errno::NOSPC, "make room", false),
            (Errno::DQUOT, "make room", false),
            (Errno::MFILE, "open files", false),
            (Errno::NAMETOOLONG, "name another directory", false),
            (Errno::LOOP, "name another directory", false),
            (Errno::IO, "the system log", false),
            (Errno::ISDIR, "name a file", false),
            (Errno::STALE, "the system log", false),
        ] {
            let text = fix_command(dir.path(), &errno.into());
            assert!(text.contains(expected), "{errno}: {text}");
            assert_eq!(text.contains("chown"), is_owner, "{errno}: {text}");
            assert_eq!(text.contains("mend it with: "), is_owner, "{errno}: {text}");
        }
        for device in ["/dev/null", "/dev/null/logs"] {
            let text = fix_command(Path::new(device), &Errno::NOTDIR.into());
            assert_eq!(text, "name another directory: /dev/null is not one");
        }
    }
}
