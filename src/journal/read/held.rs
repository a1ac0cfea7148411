//! The old files of an endpoint log that are kept only because a reader has not finished them.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::journal::is_old;
use crate::journal::read::chain::Chain;
use crate::journal::read::position::Position;

impl Chain {
    /// The rotated files that were last written before a time, and that a reader at `position`
    /// still needs: those from its own file on, the oldest first. A reader without a position needs
    /// all files. So does one whose position is in none of them, because which of them it needs is
    /// not known: the journal keeps all for it too.
    ///
    /// # Errors
    /// A file cannot be opened or read.
    pub fn held(
        &self,
        position: Option<&Position>,
        before: SystemTime,
    ) -> io::Result<Vec<PathBuf>> {
        let first = match position {
            Some(position) => self.file_of(position)?,
            None => None,
        };
        let links = self.links()?;
        let needed = links.iter().position(|link| Some(link.id) == first);
        let needed = links.into_iter().skip(needed.unwrap_or(0));
        let rotated = needed.filter(|link| !link.is_live).map(|link| link.path);
        let old = rotated.filter(|path| is_old(self.disk.as_ref(), path, before));
        Ok(old.collect())
    }
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "helpers of tests fail by panicking"
)]
mod tests {
    use std::fs::{self, File};
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::disk::{Disk as _, Open, RealDisk};
    use crate::journal::{Log, Names, Numbering};

    /// A time before which a file is old, and one at which it was written.
    fn old() -> (SystemTime, SystemTime) {
        let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        (before, before - Duration::from_secs(1))
    }

    struct Dir {
        dir: tempfile::TempDir,
        names: Names,
    }

    impl Dir {
        /// The live file, and rotated ones with these numbers. All are old, except as many of the
        /// last as `young`.
        fn with(numbers: &[u64], young: usize) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let names = Names {
                dir: dir.path().to_owned(),
                port: 80,
            };
            let (before, written) = old();
            let paths = numbers.iter().map(|it| names.rotated(Log::Endpoint, *it));
            for (place, path) in paths.chain([names.live(Log::Endpoint)]).enumerate() {
                fs::write(&path, format!("{place}\n")).unwrap();
                let is_young = (numbers.len() - young..numbers.len()).contains(&place);
                let file = File::options().append(true).open(&path).unwrap();
                let modified = if is_young { before } else { written };
                file.set_modified(modified).unwrap();
            }
            Self { dir, names }
        }

        fn place(&self, name: &str, number: u64) -> Position {
            let path = self.dir.path().join(name);
            let file = RealDisk.open(&path, Open::Read).unwrap();
            Position::of(file.as_ref(), number, 2).unwrap()
        }

        fn held(&self, position: Option<&Position>, numbering: Numbering) -> Vec<String> {
            let chain = Chain::new(Arc::new(RealDisk), self.names.clone(), numbering);
            let held = chain.held(position, old().0).unwrap();
            let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            held.iter().map(name).collect()
        }
    }

    #[test]
    fn the_old_files_from_that_of_the_reader_on_are_held_but_not_the_live_one() {
        use Numbering::{Ascending, Descending};
        let dir = Dir::with(&[7, 8, 9, 10], 1);
        let eighth = dir.place("endpoint_log.80.8", 8);
        let [seven, eight, nine] = [7, 8, 9].map(|it| format!("endpoint_log.80.{it}"));
        assert_eq!(dir.held(Some(&eighth), Ascending), [&*eight, &*nine]);
        assert_eq!(dir.held(Some(&eighth), Descending), [&*eight, &*seven]);
        let youngest = dir.place("endpoint_log.80.10", 10);
        assert!(dir.held(Some(&youngest), Ascending).is_empty());
        let live = dir.place("endpoint_log.80", 11);
        assert!(dir.held(Some(&live), Ascending).is_empty());
        // A reader that has passed nothing, and one whose file is gone.
        let all = [&*seven, &*eight, &*nine];
        assert_eq!(dir.held(None, Ascending), all);
        fs::write(dir.dir.path().join("endpoint_log.80.8"), "x\n").unwrap();
        assert_eq!(dir.held(Some(&eighth), Ascending), [&*seven, &*nine]);
    }
}
