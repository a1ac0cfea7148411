//! Other spellings of a target, from which a proxy may have made the received one.
//!
//! Proxies decode and encode escapes, change their case or that of the path, and merge slashes.
//! Each change is reverted separately. The number of candidates is bounded, whatever the target
//! contains.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The maximum number of places of one kind, such as slashes, that are respelled one by one: one
/// more than the most segments that `undone` removes from a path.
const PLACES_MAX: usize = 65;
/// The maximum number of segments whose case is tried in every combination. With four variants of
/// each that is 256 paths.
const SEGMENTS_MAX: u32 = 4;

/// The unreserved characters of RFC 3986, and those that separate the parts of a target.
// With `%`: it begins an escape that must not be encoded twice.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/')
    .remove(b'?')
    .remove(b'&')
    .remove(b'=')
    .remove(b'%');
/// The same for a proxy that decodes escapes which are not necessary.
const UNUSUAL: &AsciiSet = &RESERVED.add(b'~').add(b'-').add(b'_').add(b'.');

/// A target as MNS may have signed it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spelling {
    pub(super) target: String,
    /// The change that a proxy made.
    pub(super) change: Respelling,
}

/// What a proxy did to a target. Displayed as what follows "a proxy".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, strum::Display, strum::EnumIter)]
pub(crate) enum Respelling {
    #[default]
    #[strum(to_string = "merged //")]
    MergedSlashes,
    #[strum(to_string = "decoded %2F")]
    DecodedSlash,
    #[strum(to_string = "decoded a percent-escape")]
    DecodedEscape,
    #[strum(to_string = "percent-encoded a character")]
    EncodedCharacter,
    #[strum(to_string = "changed the case of a percent-escape")]
    EscapeCase,
    #[strum(to_string = "changed the case of the path")]
    PathCase,
}

impl Respelling {
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::MergedSlashes => "merged_slashes",
            Self::DecodedSlash => "decoded_slash",
            Self::DecodedEscape => "decoded_escape",
            Self::EncodedCharacter => "encoded_character",
            Self::EscapeCase => "escape_case",
            Self::PathCase => "path_case",
        }
    }
}

/// Candidates for the signed target. `served` has the configured paths. Each candidate is created
/// when it is requested.
pub(super) fn spellings<'a>(
    target: &'a str,
    served: &'a [String],
) -> impl Iterator<Item = Spelling> + 'a {
    merged_slashes(target)
        .chain(decoded_slashes(target))
        .chain(decoded_escapes(target))
        .chain(encoded(target))
        .chain(recased(target, served))
        // The received target has been checked before the search.
        .filter(move |spelling| spelling.target != target)
}

/// Whether a target has more places than are respelled one by one.
pub(super) fn is_over_bound(target: &str) -> bool {
    let count =
        |is_place: &dyn Fn(char) -> bool| target.chars().filter(|letter| is_place(*letter)).count();
    count(&|letter| letter == '/') > PLACES_MAX
        || count(&|letter| letter == '%') > PLACES_MAX
        || count(&|letter| !letter.is_ascii_alphanumeric() && letter != '/' && letter != '%')
            > PLACES_MAX
}

fn split(target: &str) -> (&str, &str) {
    target
        .find('?')
        .and_then(|place| target.split_at_checked(place))
        .unwrap_or((target, ""))
}

/// The positions of the slashes in the path.
fn slashes(path: &str) -> impl Iterator<Item = usize> + '_ {
    path.match_indices('/')
        .map(|(place, _)| place)
        .take(PLACES_MAX)
}

/// The target with the `length` bytes at `place` replaced by `new`.
fn replaced(target: &str, place: usize, length: usize, new: &str) -> Option<String> {
    let (before, rest) = target.split_at_checked(place)?;
    Some([before, new, rest.get(length..)?].concat())
}

fn merged_slashes(target: &str) -> impl Iterator<Item = Spelling> + '_ {
    // Only in the path: proxies do not merge the slashes of a query.
    let (path, query) = split(target);
    let one = slashes(path).filter_map(move |place| replaced(target, place, 1, "//"));
    let all = std::iter::once_with(move || format!("{}{query}", path.replace('/', "//")));
    one.chain(all).map(|target| Spelling {
        target,
        change: Respelling::MergedSlashes,
    })
}

fn decoded_slashes(target: &str) -> impl Iterator<Item = Spelling> + '_ {
    let (path, query) = split(target);
    let escapes = ["%2F", "%2f"];
    // Not the first slash: every target begins with one.
    let one = slashes(path)
        .skip(1)
        .flat_map(move |place| escapes.map(|escape| replaced(target, place, 1, escape)));
    // All slashes from one on, for a value with several slashes at the end of the path.
    let from_one_on = slashes(path).skip(1).flat_map(move |place| {
        escapes.map(|escape| {
            let (before, rest) = path.split_at_checked(place)?;
            Some(format!("{before}{}{query}", rest.replace('/', escape)))
        })
    });
    one.chain(from_one_on).flatten().map(|target| Spelling {
        target,
        change: Respelling::DecodedSlash,
    })
}

fn decoded_escapes(target: &str) -> impl Iterator<Item = Spelling> + '_ {
    // A slash has candidates of its own, `?` ends the path, and `%` begins an escape.
    let places = target
        .char_indices()
        .filter(|(_, letter)| !letter.is_ascii_alphanumeric() && !"/?%".contains(*letter));
    let one = places.take(PLACES_MAX).flat_map(move |(place, letter)| {
        let escape: String = letter
            .encode_utf8(&mut [0; 4])
            .bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect();
        // Both cases are valid (RFC 3986, 2.1), but the signed bytes have only one of them.
        let lower = escape.to_ascii_lowercase();
        [escape, lower].map(|escape| replaced(target, place, letter.len_utf8(), &escape))
    });
    let all = [RESERVED, UNUSUAL]
        .into_iter()
        .map(move |set| Some(utf8_percent_encode(target, set).to_string()));
    // In the query of a form a blank is `+`, elsewhere `%20`.
    let blanks = std::iter::once_with(move || Some(target.replace('+', "%20")));
    one.chain(all)
        .chain(blanks)
        .flatten()
        .map(|target| Spelling {
            target,
            change: Respelling::DecodedEscape,
        })
}

fn encoded(target: &str) -> impl Iterator<Item = Spelling> + '_ {
    let one = target
        .match_indices('%')
        .take(PLACES_MAX)
        .filter_map(move |(place, _)| {
            // One escape of a longer character is not UTF-8 by itself. `all` decodes those.
            let character = percent_decode_str(target.get(place..place.checked_add(3)?)?)
                .decode_utf8()
                .ok()?;
            replaced(target, place, 3, &character)
        });
    let all =
        std::iter::once_with(move || percent_decode_str(target).decode_utf8_lossy().into_owned());
    let blanks = std::iter::once_with(move || target.replace("%20", "+"));
    one.chain(all).chain(blanks).map(|target| Spelling {
        target,
        change: Respelling::EncodedCharacter,
    })
}

fn recased<'a>(target: &'a str, served: &'a [String]) -> impl Iterator<Item = Spelling> + 'a {
    let (path, query) = split(target);
    let escapes = [str::to_ascii_uppercase, str::to_ascii_lowercase]
        .into_iter()
        .map(|case| respell_escapes(target, case));
    let escapes = escapes.map(|target| Spelling {
        target,
        change: Respelling::EscapeCase,
    });
    // A configured path may mix cases within a segment, which no combination below does.
    let known = served
        .iter()
        .filter(move |known| known.eq_ignore_ascii_case(path))
        .cloned();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let tried = u32::try_from(segments.len())
        .unwrap_or(u32::MAX)
        .min(SEGMENTS_MAX);
    let combinations =
        (0..4_u32.saturating_pow(tried)).map(move |combination| in_case(&segments, combination));
    let paths = known
        .chain(combinations)
        .map(move |path| format!("{path}{query}"));
    escapes.chain(paths.map(|target| Spelling {
        target,
        change: Respelling::PathCase,
    }))
}

/// The path with each segment unchanged, in lower case, in upper case or capitalised, as selected
/// by two bits of `combination` for each. Further segments stay unchanged.
fn in_case(segments: &[&str], combination: u32) -> String {
    let mut path = String::new();
    for (number, segment) in (0_u32..).zip(segments) {
        path.push('/');
        match combination
            .checked_shr(number.saturating_mul(2))
            .unwrap_or_default()
            & 3
        {
            0 => path.push_str(segment),
            1 => path.push_str(&segment.to_ascii_lowercase()),
            2 => path.push_str(&segment.to_ascii_uppercase()),
            _ => {
                let mut letters = segment.chars();
                path.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
                path.push_str(&letters.as_str().to_ascii_lowercase());
            }
        }
    }
    path
}

/// The target with the two digits of every escape in one case.
fn respell_escapes(target: &str, case: fn(&str) -> String) -> String {
    let mut parts = target.split('%');
    let mut respelled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        respelled.push('%');
        respelled.push_str(&case(digits));
        respelled.push_str(rest);
    }
    respelled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(signed: &str, received: &str, served: &[&str]) -> Option<String> {
        let served: Vec<String> = served.iter().map(|path| (*path).to_owned()).collect();
        spellings(received, &served)
            .find(|spelling| spelling.target == signed)
            .map(|spelling| spelling.change.to_string())
    }

    #[test]
    fn changes_of_a_target_by_a_proxy_are_reverted() {
        for (signed, received, expected) in [
            ("/hooks//mns", "/hooks/mns", "merged //"),
            ("//hooks/mns", "/hooks/mns", "merged //"),
            ("//hooks//mns?a=b", "/hooks/mns?a=b", "merged //"),
            ("/n/a%2Fb", "/n/a/b", "decoded %2F"),
            ("/n/a%2fb%2fc", "/n/a/b/c", "decoded %2F"),
            ("/n/a%3Ab", "/n/a:b", "decoded a percent-escape"),
            ("/n/%7Eb", "/n/~b", "decoded a percent-escape"),
            ("/n/%7eb?x=%7e", "/n/%7eb?x=~", "decoded a percent-escape"),
            ("/n/%40b%2C", "/n/@b,", "decoded a percent-escape"),
            ("/n?a=b%20c", "/n?a=b+c", "decoded a percent-escape"),
            ("/n/a:b", "/n/a%3Ab", "percent-encoded a character"),
            ("/n/a:b@c", "/n/a%3Ab%40c", "percent-encoded a character"),
            (
                "/n/a%2Fb",
                "/n/a%2fb",
                "changed the case of a percent-escape",
            ),
            ("/Hooks/MNS", "/hooks/mns", "changed the case of the path"),
            (
                "/hooks/mns/Notifications?A=b",
                "/HOOKS/MNS/NOTIFICATIONS?A=b",
                "changed the case of the path",
            ),
        ] {
            assert_eq!(
                change(signed, received, &[]).as_deref(),
                Some(expected),
                "{signed} {received}"
            );
        }
        assert_eq!(
            change("/hOOks", "/hooks", &["/x", "/hOOks"]).as_deref(),
            Some("changed the case of the path")
        );
        assert_eq!(change("/hOOks", "/hooks", &[]), None);
    }

    #[test]
    fn the_candidates_are_bounded_and_excluded_ones_are_reported() {
        for target in [
            "/".repeat(3000),
            "/%7E".repeat(1000),
            "/a:~b".repeat(1000),
            "*".repeat(3000),
        ] {
            let count = spellings(&target, &[]).count();
            assert!(count < 1100, "{count}");
            assert!(is_over_bound(&target));
        }
        assert!(!is_over_bound("/notifications?a=b&c=%20"));
        for target in [
            "",
            "*",
            "%",
            "/%",
            "/%2",
            "/a%zz",
            "/\u{e9}?\u{20ac}",
            "?",
            "//",
        ] {
            assert!(spellings(target, &[]).all(|spelling| spelling.target != target));
        }
    }
}
