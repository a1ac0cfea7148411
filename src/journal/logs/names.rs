//! The names of a port's files: live, rotated, torn, suspect, refused, and the hidden ones beside
//! them.

use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use strum::IntoEnumIterator as _;

use crate::disk::Disk;
use crate::journal::logs::per_log::Log;

/// The endings of the names of compressed files.
const PACKED: [&str; 5] = [".gz", ".bz2", ".xz", ".zst", ".lz4"];
/// The beginning of the names of the daily diagnostic logs.
pub const DIAGNOSTICS: &str = "diagnostics";

/// Whether the newest rotated file has the highest number or the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// As `serve` numbers files: a larger number is a younger file.
    Ascending,
    /// As logrotate numbers files (with `logs.rotate_size = "off"`): it renames all of them at each
    /// rotation, and `.1` is the youngest.
    Descending,
}

/// The names of the files of one port.
#[derive(Debug, Clone)]
pub struct Names {
    /// The directory of the files.
    pub dir: PathBuf,
    /// The port in their names.
    pub port: u16,
}

impl Names {
    /// The ports whose endpoint log or commit log is in a directory, in order.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn ports(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u16>> {
        let mut ports = Vec::new();
        for name in disk.list(dir)? {
            let name = name.to_str().unwrap_or_default();
            let digits = ["endpoint_log.", ".commit_log."]
                .iter()
                .find_map(|start| name.strip_prefix(start));
            // "080" and "+80" parse as numbers, but they are not names of ports.
            ports.extend(digits.and_then(|digits| {
                let port: u16 = digits.parse().ok()?;
                (port.to_string() == digits).then_some(port)
            }));
        }
        ports.sort_unstable();
        ports.dedup();
        Ok(ports)
    }

    /// The live file: `endpoint_log.PORT`.
    #[must_use]
    pub fn live(&self, log: Log) -> PathBuf {
        self.beside(log, "")
    }

    /// A rotated file: `endpoint_log.PORT.N`. A smaller number is an older file, unless logrotate
    /// numbers the files.
    #[must_use]
    pub fn rotated(&self, log: Log, number: u64) -> PathBuf {
        self.beside(log, &format!(".{number}"))
    }

    /// The file of torn ends: `endpoint_log.PORT.torn`.
    #[must_use]
    pub fn torn(&self, log: Log) -> PathBuf {
        self.beside(log, ".torn")
    }

    /// A file that may contain records that were never acknowledged: `endpoint_log.PORT.suspect`,
    /// followed by a number if there are several.
    #[must_use]
    pub fn suspect(&self, log: Log, number: u64) -> PathBuf {
        match number {
            0 => self.beside(log, ".suspect"),
            number => self.beside(log, &format!(".suspect.{number}")),
        }
    }

    /// The directory of refused requests.
    #[must_use]
    pub fn quarantine(&self) -> PathBuf {
        self.dir.join(format!("quarantine.{}", self.port))
    }

    /// The lock file, which excludes a second process.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.dir.join(format!(".endpoint_log.{}.lock", self.port))
    }

    /// The commit log, with the batches that may not be durable in both logs yet.
    #[must_use]
    pub fn commit_log(&self) -> PathBuf {
        self.dir.join(format!(".commit_log.{}", self.port))
    }

    /// The commit log while it is being made.
    #[must_use]
    pub fn commit_log_draft(&self) -> PathBuf {
        self.dir.join(format!(".commit_log.{}.new", self.port))
    }

    /// The snapshot of the fingerprints by which duplicates are recognised.
    #[must_use]
    pub fn snapshot(&self) -> PathBuf {
        self.dir.join(format!(".endpoint_log.{}.seen", self.port))
    }

    /// The file with the cursor of a destination of forwarding.
    #[must_use]
    pub fn cursor(&self, name: &str) -> PathBuf {
        self.dir
            .join(format!(".forward.{name}.{}.cursor", self.port))
    }

    /// The file with the condition of a forwarder: whether it delivers, and why not.
    #[must_use]
    pub fn condition(&self, name: &str) -> PathBuf {
        self.dir
            .join(format!(".forward.{name}.{}.condition", self.port))
    }

    /// The file with the dead letters of a destination: what it rejected or did not store in time.
    #[must_use]
    pub fn dead_letters(&self, name: &str) -> PathBuf {
        self.dir.join(format!("forward_{name}.{}.dead", self.port))
    }

    /// The numbers of the rotated files, the oldest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn rotated_numbers(&self, disk: &dyn Disk, log: Log) -> io::Result<Vec<u64>> {
        Ok(self
            .numbers(disk, log)?
            .into_iter()
            .filter_map(|(number, rest)| rest.is_empty().then_some(number))
            .collect())
    }

    /// Whether, for some number above `first`, there is a file whose name has a further ending
    /// (`.7.gz`, as compressed files have), but none whose name ends in the number (`.7`).
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn has_packed_after(
        &self,
        disk: &dyn Disk,
        log: Log,
        first: Option<u64>,
    ) -> io::Result<bool> {
        let Some(first) = first else { return Ok(false) };
        let numbers = self.numbers(disk, log)?;
        let is_whole = |wanted: u64| {
            numbers
                .iter()
                .any(|(number, rest)| *number == wanted && rest.is_empty())
        };
        Ok(numbers
            .iter()
            .any(|(number, _)| *number > first && !is_whole(*number)))
    }

    /// Moved, copied or compressed files (none that is `.torn` or `.suspect`), each with the reason
    /// why its records are not read: it is compressed, or its name does not end in `.PORT.N`.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn others(&self, disk: &dyn Disk, log: Log) -> io::Result<Vec<(PathBuf, &'static str)>> {
        let live = format!("{}.{}", log.name(), self.port);
        let mut found = Vec::new();
        for name in disk.list(&self.dir)? {
            // Another port may begin with the digits of this one, as 8080 does with those of 80.
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&live)) else {
                continue;
            };
            let number = rest
                .strip_prefix('.')
                .is_some_and(|rest| rest.parse::<u64>().is_ok());
            let is_ours =
                rest.is_empty() || number || rest == ".torn" || rest.starts_with(".suspect");
            if is_ours || rest.starts_with(|character: char| character.is_ascii_digit()) {
                continue;
            }
            let is_packed = Self::is_packed(rest);
            let why = if is_packed {
                "it is compressed: decompress it to have it read"
            } else {
                "its name does not end in .PORT.N"
            };
            found.push((self.dir.join(&name), why));
        }
        found.sort();
        Ok(found)
    }

    /// Whether a name is that of a compressed file.
    #[must_use]
    pub fn is_packed(name: &str) -> bool {
        PACKED.iter().any(|end| name.ends_with(end))
    }

    /// The rotated files of both logs.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn all_rotated(&self, disk: &dyn Disk) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for log in Log::iter() {
            paths.extend(
                self.rotated_numbers(disk, log)?
                    .into_iter()
                    .map(|number| self.rotated(log, number)),
            );
        }
        Ok(paths)
    }

    /// The daily diagnostic logs, `diagnostics.YYYY-MM-DD`, but not the newest, which is being
    /// written.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn diagnostics(&self, disk: &dyn Disk) -> io::Result<Vec<PathBuf>> {
        let mut days = Vec::new();
        for name in disk.list(&self.dir)? {
            let day = name
                .to_str()
                .and_then(|name| name.strip_prefix(DIAGNOSTICS)?.strip_prefix('.'));
            // Other forms of a date parse too, but no file of ours has such a name.
            days.extend(day.and_then(|day| {
                day.parse::<Date>()
                    .ok()
                    .filter(|date| date.to_string() == day)
            }));
        }
        days.sort();
        days.pop();
        Ok(days
            .into_iter()
            .map(|day| self.dir.join(format!("{DIAGNOSTICS}.{day}")))
            .collect())
    }

    /// The next free number. No rotated file has it, not even a compressed one (`.7.gz`).
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn next_number(&self, disk: &dyn Disk, log: Log) -> io::Result<u64> {
        // One more than the largest, unless the largest possible number is taken.
        let numbers: Vec<u64> = self
            .numbers(disk, log)?
            .into_iter()
            .map(|(number, _)| number)
            .collect();
        let nexts = numbers
            .iter()
            .rev()
            .filter_map(|number| number.checked_add(1));
        let mut free = nexts
            .chain([1])
            .filter(|next| numbers.binary_search(next).is_err());
        free.next()
            .ok_or_else(|| io::Error::other("no number is left for a rotated file"))
    }

    /// The numbers after the log's name, each with the rest of the name, in order.
    fn numbers(&self, disk: &dyn Disk, log: Log) -> io::Result<Vec<(u64, String)>> {
        let start = format!("{}.{}.", log.name(), self.port);
        let mut found = Vec::new();
        for name in disk.list(&self.dir)? {
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&start)) else {
                continue;
            };
            let digits = rest
                .find(|character: char| !character.is_ascii_digit())
                .unwrap_or(rest.len());
            let (digits, rest) = rest.split_at(digits);
            if let Ok(number) = digits.parse() {
                found.push((number, rest.to_owned()));
            }
        }
        found.sort();
        Ok(found)
    }

    fn beside(&self, log: Log, end: &str) -> PathBuf {
        self.dir.join(format!("{}.{}{end}", log.name(), self.port))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn the_ports_of_a_directory_are_those_of_its_endpoint_and_commit_logs() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "endpoint_log.80",
            ".commit_log.80",
            ".commit_log.9",
            "endpoint_log.65535",
            "endpoint_log.65536",
            "endpoint_log.081",
            "endpoint_log.+82",
            "endpoint_log.83.1",
            ".commit_log.84.new",
            ".endpoint_log.85.lock",
            "access_log.86",
        ] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(Names::ports(&RealDisk, dir.path()).unwrap(), [9, 80, 65535]);
    }

    #[test]
    fn rotated_files_are_recognised_and_no_number_is_used_twice() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names {
            dir: dir.path().to_owned(),
            port: 80,
        };
        assert_eq!(names.next_number(&RealDisk, Log::Endpoint).unwrap(), 1);
        for name in [
            "",
            ".10",
            ".9",
            ".torn",
            ".suspect",
            ".suspect.77",
            ".12.gz",
            ".x",
            ".007x",
            "80.44",
        ] {
            fs::write(dir.path().join(format!("endpoint_log.80{name}")), "").unwrap();
        }
        fs::write(names.rotated(Log::Access, 99), "").unwrap();
        assert_eq!(
            names.rotated_numbers(&RealDisk, Log::Endpoint).unwrap(),
            [9, 10]
        );
        assert_eq!(names.next_number(&RealDisk, Log::Endpoint).unwrap(), 13);
        let others = names
            .others(&RealDisk, Log::Endpoint)
            .unwrap()
            .into_iter()
            .map(|(path, why)| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, why.split(':').next().unwrap())
            });
        let named = |name: &str, why| (format!("endpoint_log.80{name}"), why);
        assert_eq!(
            others.collect::<Vec<_>>(),
            [
                named(".007x", "its name does not end in .PORT.N"),
                named(".12.gz", "it is compressed"),
                named(".x", "its name does not end in .PORT.N")
            ]
        );
        // The largest possible numbers, created by somebody else: each rotation still finds a free
        // name.
        for (number, next) in [(u64::MAX, 13), (u64::MAX - 1, 13), (13, 14), (1, 14)] {
            fs::write(names.rotated(Log::Endpoint, number), "").unwrap();
            assert_eq!(names.next_number(&RealDisk, Log::Endpoint).unwrap(), next);
        }
        fs::write(names.rotated(Log::Access, u64::MAX), "").unwrap();
        for next in [100, 101, 102] {
            assert_eq!(names.next_number(&RealDisk, Log::Access).unwrap(), next);
            fs::write(names.rotated(Log::Access, next), "").unwrap();
        }
    }
}
