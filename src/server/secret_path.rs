//! A path that only MNS and the operator know.
//!
//! The path is part of what MNS signs, and over TLS only MNS learns it, so someone who has stolen
//! the signing key still has no path to post to. The path is therefore compared in constant time
//! and hidden in every output.

use std::borrow::Cow;
use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use subtle::{Choice, ConstantTimeEq as _};

use crate::bounded;
use crate::disk::{NotReplaced, Replace, Unwritable, parent};

/// Precedes the secret segment of the path.
const PREFIX: &str = "/n/";
/// Replaces the segment in every output.
const HIDDEN: &str = "***";
/// Replaces the previous segment, so that the logs show when nothing uses it any more.
const HIDDEN_BEFORE: &str = "***2";
/// The shortest valid segment: at least 128 bits in any alphabet of 16 letters or more.
const SEGMENT_BYTES_MIN: usize = 32;
/// The longest valid segment.
const SEGMENT_BYTES_MAX: usize = 256;
/// The current segment and the previous one.
const SEGMENTS_MAX: usize = 2;
/// How many random bytes a generated segment has.
const RANDOM_BYTES: usize = 32;
/// The largest file, in bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// The segments that are served. The first is the one to give to a subscription.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretPath {
    segments: Vec<String>,
}

/// Why the file of the secret path cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SecretPathError {
    /// The file cannot be read, or it is missing and cannot be created.
    #[error("cannot {} {}, which server.secret_path_file names: {}; \
        {}", .0.doing, .0.path.display(), .0.cause, .0.fix)]
    Unusable(Unwritable),
    /// A line of the file is not a valid segment.
    #[error(
        "{}, which server.secret_path_file names: line {line} is not a segment of \
         {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX} letters, digits, - and _; if you delete the \
         file, the next start makes a new one", path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The file has no segment, or too many.
    #[error(
        "{}, which server.secret_path_file names, holds {count} segments: it needs the current \
         one, and may have the previous one below it", path.display()
    )]
    Miscounted {
        /// The file.
        path: PathBuf,
        /// The number of segments.
        count: usize,
    },
}

impl SecretPath {
    /// Reads the file. Returns `None` if it is missing.
    ///
    /// # Errors
    /// [`SecretPathError`] if the file cannot be read or is not valid.
    pub fn read(file: &Path) -> Result<Option<Self>, SecretPathError> {
        match bounded::read_text(file, FILE_BYTES_MAX) {
            Ok(text) => Self::parse(&text, file).map(Some),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(unusable("read", file, cause)),
        }
    }

    /// Reads the file, or creates it with 256 random bits. The file is synced before its path is
    /// served.
    ///
    /// # Errors
    /// [`SecretPathError`] if the file cannot be read or created, or is not valid.
    pub fn read_or_make(file: &Path) -> Result<Self, SecretPathError> {
        if let Some(found) = Self::read(file)? {
            return Ok(found);
        }
        let segment = URL_SAFE_NO_PAD.encode(rand::random::<[u8; RANDOM_BYTES]>());
        let made = match make(file, &segment) {
            // Another start created the file first: that file says what is served.
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Self::read(file)?,
            made => {
                made.map_err(|cause| unusable("make", file, cause))?;
                Some(Self {
                    segments: vec![segment],
                })
            }
        };
        made.ok_or_else(|| unusable("read", file, io::ErrorKind::NotFound.into()))
    }

    fn parse(text: &str, file: &Path) -> Result<Self, SecretPathError> {
        let mut segments = Vec::new();
        for (line, segment) in (1..)
            .zip(text.lines().map(str::trim))
            // An editor may leave blank lines.
            .filter(|(_, segment)| !segment.is_empty())
        {
            let is_one = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment.len())
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            if !is_one {
                return Err(SecretPathError::Malformed {
                    path: file.to_owned(),
                    line,
                });
            }
            segments.push(segment.to_owned());
        }
        match segments.len() {
            1..=SEGMENTS_MAX => Ok(Self { segments }),
            count => Err(SecretPathError::Miscounted {
                path: file.to_owned(),
                count,
            }),
        }
    }

    /// The path to give to a subscription, with its secret. Print it only on an explicit request.
    #[must_use]
    pub fn revealed(&self) -> String {
        format!(
            "{PREFIX}{}",
            self.segments.first().map_or(HIDDEN, String::as_str)
        )
    }

    /// The path with its secret hidden, for every other output.
    #[must_use]
    pub fn hidden() -> String {
        format!("{PREFIX}{HIDDEN}")
    }

    /// The number of segments that are served.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Whether a path is served. The time that this takes depends on the length of the path, but
    /// not on its content.
    pub(super) fn serves(&self, path: &str) -> bool {
        // The prefix is not secret, so it may be compared in variable time.
        let Some(asked) = path.strip_prefix(PREFIX) else {
            return false;
        };
        // Compare with every segment, without stopping at a match, so that the time does not show
        // which one matched.
        let equal = |segment: &String| segment.as_bytes().ct_eq(asked.as_bytes());
        self.segments
            .iter()
            .map(equal)
            .fold(Choice::from(0), |any, one| any | one)
            .into()
    }

    /// A text with the secret hidden.
    pub(super) fn hide<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let hidden = self.segments.iter().zip([HIDDEN, HIDDEN_BEFORE]);
        hidden.fold(
            Cow::Borrowed(text),
            |text, (segment, hidden)| match position(&text, segment.as_bytes()) {
                Some(_) => Cow::Owned(replace(&text, segment.as_bytes(), hidden.as_bytes())),
                None => text,
            },
        )
    }

    /// Headers with the secret hidden: a proxy may repeat the path in one of them.
    pub(super) fn hide_in<'a>(&self, headers: &'a HeaderMap) -> Cow<'a, HeaderMap> {
        let shows = |value: &HeaderValue| matches!(self.hide(value.as_bytes()), Cow::Owned(_));
        if !headers.values().any(shows) {
            return Cow::Borrowed(headers);
        }
        let mut hidden = headers.clone();
        for value in hidden.values_mut() {
            let Cow::Owned(text) = self.hide(value.as_bytes()) else {
                continue;
            };
            // The text was a header value, so the conversion cannot fail. If it does, hide the
            // whole text.
            *value = HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(HIDDEN));
        }
        Cow::Owned(hidden)
    }
}

impl fmt::Debug for SecretPath {
    // A derived `Debug` would print the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretPath")
            .field("segments", &self.segments.len())
            .finish()
    }
}

fn position(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn replace(text: &[u8], part: &[u8], with: &[u8]) -> Vec<u8> {
    let (mut shown, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((before, after)) = position(rest, part).and_then(|at| rest.split_at_checked(at))
    {
        shown.extend_from_slice(before);
        shown.extend_from_slice(with);
        rest = after.get(part.len()..).unwrap_or_default();
    }
    shown.extend_from_slice(rest);
    shown
}

/// Creates the file, readable by its owner only. Does not replace a file that another process
/// created meanwhile.
fn make(file: &Path, segment: &str) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent(file))?;
    // A random name: two processes may create the file at the same time, each from a draft.
    let draft = parent(file).join(format!(".{:016x}.new", rand::random::<u64>()));
    let replace = Replace {
        path: file,
        draft: &draft,
        mode: 0o600,
    };
    // The file is synced, because an address that was given to MNS must survive a power failure.
    replace
        .make_new(format!("{segment}\n").as_bytes())
        .map_err(|NotReplaced { cause, .. }| cause)
}

fn unusable(doing: &'static str, path: &Path, cause: io::Error) -> SecretPathError {
    let dir = path.parent().unwrap_or(path);
    SecretPathError::Unusable(Unwritable::new(doing, path, dir, cause))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ONE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1";
    const TWO: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb2";

    fn parse(text: &str) -> Result<SecretPath, SecretPathError> {
        SecretPath::parse(text, Path::new("f"))
    }

    #[test]
    fn a_path_is_served_byte_for_byte_and_two_at_once() {
        let both = parse(&format!("\n {ONE} \n\n{TWO}\n")).unwrap();
        assert_eq!((both.revealed(), both.segments()), (format!("/n/{ONE}"), 2));
        for served in [ONE, TWO] {
            assert!(both.serves(&format!("/n/{served}")));
        }
        let upper = ONE.to_uppercase();
        for other in [
            "",
            "***",
            "a",
            &format!("{ONE}/"),
            &format!("{ONE}x"),
            &format!("x{ONE}"),
            &upper,
        ] {
            assert!(!both.serves(&format!("/n/{other}")), "{other}");
        }
        for other in [
            ONE.to_owned(),
            format!("/{ONE}"),
            format!("/N/{ONE}"),
            format!("/n//{ONE}"),
            format!("//n/{ONE}"),
        ] {
            assert!(!both.serves(&other), "{other}");
        }
    }

    #[test]
    fn what_is_no_secret_is_not_taken() {
        for (text, problem) in [
            ("", "holds 0 segments"),
            (&format!("{ONE}\n{TWO}\n{ONE}"), "holds 3 segments"),
            ("short", "line 1 is not a segment"),
            (&format!("{ONE}\n{ONE}/x"), "line 2 is not a segment"),
            (&ONE.repeat(6), "line 1 is not a segment"),
        ] {
            assert!(
                parse(text).unwrap_err().to_string().contains(problem),
                "{text}"
            );
        }
    }

    #[test]
    fn no_text_shows_it() {
        let path = parse(&format!("{ONE}\n{TWO}")).unwrap();
        let text = format!("POST /n/{ONE}?x={TWO}{ONE}\n");
        assert_eq!(
            path.hide(text.as_bytes()).as_ref(),
            b"POST /n/***?x=***2***\n"
        );
        assert!(matches!(path.hide(b"POST /n/x"), Cow::Borrowed(_)));
        assert_eq!(format!("{path:?}"), "SecretPath { segments: 2 }");
        let mut headers = HeaderMap::new();
        headers.append(
            "x-original-uri",
            HeaderValue::try_from(format!("/n/{ONE}")).unwrap(),
        );
        headers.append("host", HeaderValue::from_static("x"));
        let hidden = path.hide_in(&headers);
        assert_eq!(
            (&hidden["x-original-uri"], &hidden["host"]),
            (&"/n/***".parse().unwrap(), &"x".parse().unwrap())
        );
        headers.remove("x-original-uri");
        assert!(matches!(path.hide_in(&headers), Cow::Borrowed(_)));
    }

    #[test]
    fn of_many_first_starts_each_serves_what_the_file_says() {
        let dir = tempfile::tempdir().unwrap();
        let (file, gate) = (dir.path().join("path"), std::sync::Barrier::new(8));
        let start = || {
            gate.wait();
            SecretPath::read_or_make(&file).unwrap()
        };
        let served: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap())
                .collect()
        });
        let said = SecretPath::read(&file).unwrap().unwrap();
        assert!(served.iter().all(|served| *served == said));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_first_start_makes_it_for_its_owner_alone_and_the_next_one_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/path");
        assert!(SecretPath::read(&file).unwrap().is_none());
        let made = SecretPath::read_or_make(&file).unwrap();
        assert_eq!(made.revealed().len(), "/n/".len() + 43);
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(dir.path().join("state")).unwrap().count(), 1);
        assert_eq!(SecretPath::read_or_make(&file).unwrap(), made);
        assert_ne!(
            SecretPath::read_or_make(&dir.path().join("other")).unwrap(),
            made
        );
        assert!(make(&file, ONE).is_err(), "what is there is never replaced");
        assert_eq!(SecretPath::read(&file).unwrap(), Some(made));
        fs::create_dir(dir.path().join("dir")).unwrap();
        assert!(
            SecretPath::read_or_make(&dir.path().join("dir"))
                .unwrap_err()
                .to_string()
                .contains("cannot read")
        );
    }
}
