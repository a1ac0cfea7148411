//! What this program is called in the commands that it prints: they are pasted into a shell.

use std::ffi::OsStr;
use std::path::Path;

use crate::disk::word;

const NAME: &str = "mns-endpoint";

/// Its name if a shell finds it by that, else the path of its file, quoted if need be.
pub(crate) fn program() -> String {
    let own = std::env::current_exe().ok();
    let path = std::env::var_os("PATH");
    called(own.as_deref(), path.as_deref())
}

fn called(own: Option<&Path>, path: Option<&OsStr>) -> String {
    let Some(own) = own else {
        return NAME.to_owned();
    };
    // `current_exe` has its links resolved on Linux, and the path that a shell finds has not.
    let is_own = |found: &Path| found.canonicalize().is_ok_and(|found| found == own);
    let first = path.and_then(|path| {
        std::env::split_paths(path)
            .map(|dir| dir.join(NAME))
            .find(|file| file.is_file())
    });
    match (first, own.to_str()) {
        (Some(first), _) if is_own(&first) => NAME.to_owned(),
        // A path that is not UTF-8 could not be pasted.
        (_, None) => NAME.to_owned(),
        (_, Some(own)) => word(own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_called_by_its_name_only_if_a_shell_finds_it_by_that() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (bin, odd) = (dir.join("bin"), dir.join("it's here"));
        for dir in [&bin, &odd] {
            std::fs::create_dir(dir).unwrap();
            std::fs::write(dir.join(NAME), "").unwrap();
        }
        let own = bin.join(NAME);
        let check = |own: &Path, path: &[&Path], expected: &str| {
            let path = std::env::join_paths(path).unwrap();
            assert_eq!(called(Some(own), Some(&path)), expected);
        };
        check(&own, &[&dir, &bin], NAME);
        let whole = own.to_str().unwrap();
        check(&own, &[&dir], whole);
        // Another one comes first.
        check(&own, &[&odd, &bin], whole);
        assert_eq!(called(Some(&own), None), whole);
        assert_eq!(called(None, None), NAME);
        let quoted = format!(r"'{}/it'\''s here/mns-endpoint'", dir.display());
        check(&odd.join(NAME), &[&dir], &quoted);
    }
}
