//! The command that makes a directory one that this process can write.

use std::io::{self, ErrorKind};
use std::path::Path;

/// What makes a directory one that this process can write: a command for the shell where there is one.
pub(crate) fn remedy(dir: &Path, cause: &io::Error) -> String {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid().as_raw());
    let sudo = if user.is_root() { "" } else { "sudo " };
    let quoted = quoted(dir);
    let own = format!("{sudo}mkdir -p {quoted} && {sudo}chown -R {}:{group} {quoted}", user.as_raw());
    let in_the_way = dir.ancestors().find(|path| path.exists()).filter(|path| !path.is_dir());
    match (cause.kind(), in_the_way) {
        (ErrorKind::ReadOnlyFilesystem, _) => format!("a writable volume mounted at {quoted}"),
        (_, Some(file)) => {
            let file = self::quoted(file);
            format!("{sudo}mv {file} {file}.moved && {own}")
        }
        (_, None) => own,
    }
}

/// The command that puts away what is in the place of a file.
pub(crate) fn move_away(path: &Path) -> String {
    let sudo = if rustix::process::geteuid().is_root() { "" } else { "sudo " };
    let path = quoted(path);
    format!("{sudo}mv {path} {path}.moved")
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_for_the_shell() {
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
