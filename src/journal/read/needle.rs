//! A text to search for in the bytes of a log, before any record is parsed.
//!
//! Text and JSON logs escape values differently. A needle is the longest part of the text that
//! neither format escapes, so one search over raw bytes finds every record that may contain the
//! text. The parsed values of a record then decide whether it does contain the text.

use memchr::memchr2_iter;
use memchr::memmem::Finder;

use crate::journal::record::escaped;

/// How letters are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// Exactly.
    Kept,
    /// ASCII letters match in either case.
    Folded,
}

/// A text to search for.
#[derive(Debug, Clone)]
pub(super) struct Needle {
    text: Vec<u8>,
    case: Case,
    finder: Finder<'static>,
    /// The index in `text` of its rarest byte. A folded search looks for this byte first.
    rare: usize,
}

impl Needle {
    pub(super) fn new(text: &[u8], case: Case) -> Self {
        let text = match case {
            Case::Kept => text.to_vec(),
            Case::Folded => text.to_ascii_lowercase(),
        };
        // Prefer the last of equally rare bytes: in UTF-8 the first bytes of a character are shared
        // by its whole script.
        let rare = (0..text.len())
            .max_by_key(|place| text.get(*place).map(|byte| rarity(*byte)))
            .unwrap_or_default();
        Self {
            finder: Finder::new(&text).into_owned(),
            text,
            case,
            rare,
        }
    }

    /// The needle for values that contain this text. `None` if every character of it is escaped.
    pub(super) fn in_log(text: &str, case: Case) -> Option<Self> {
        let mut longest = "";
        let mut start = 0;
        let ends = text.char_indices().filter(|(_, it)| !is_verbatim(*it));
        let mut take = |from: usize, to: usize| {
            let part = text.get(from..to).unwrap_or_default();
            if part.len() > longest.len() {
                longest = part;
            }
        };
        for (place, character) in ends {
            take(start, place);
            start = place.saturating_add(character.len_utf8());
        }
        take(start, text.len());
        (!longest.is_empty()).then(|| Self::new(longest.as_bytes(), case))
    }

    /// Whether `bytes` contain the needle.
    pub(super) fn is_in(&self, bytes: &[u8]) -> bool {
        match self.case {
            Case::Kept => self.finder.find(bytes).is_some(),
            Case::Folded => self.is_in_folded(bytes),
        }
    }

    fn is_in_folded(&self, bytes: &[u8]) -> bool {
        // An empty text is in every value.
        let Some(rare) = self.text.get(self.rare) else {
            return true;
        };
        memchr2_iter(*rare, rare.to_ascii_uppercase(), bytes).any(|place| {
            let part = place.checked_sub(self.rare).and_then(|start| {
                let end = start.checked_add(self.text.len())?;
                bytes.get(start..end)
            });
            part.is_some_and(|part| part.eq_ignore_ascii_case(&self.text))
        })
    }
}

/// Whether text and JSON logs both write a character without escaping it.
fn is_verbatim(character: char) -> bool {
    let mut buffer = [0; 4];
    let text: &str = character.encode_utf8(&mut buffer);
    !matches!(character, '\\' | '"') && escaped(text.as_bytes()) == text
}

/// An estimate of how rare a byte is in logs.
fn rarity(byte: u8) -> u8 {
    match byte {
        b' ' | b'0'..=b'9' | b'-' | b':' | b'.' => 0,
        b'a'..=b'f' | b'i' | b'n' | b'o' | b'r' | b's' | b't' | b'm' => 1,
        b'a'..=b'z' | 0xe0..=0xef => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_needle_is_where_a_plain_search_finds_it(
            text in "[abCé王 ]{0,3}",
            before in "[abcABCÉé王 ]{0,12}",
            after in "[abcABCÉé王 ]{0,12}",
            has_it in any::<bool>(),
        ) {
            let hay = if has_it { [&before, &text, &after].map(String::as_str).concat() }
                else { before + &after };
            let kept = Needle::new(text.as_bytes(), Case::Kept);
            prop_assert_eq!(kept.is_in(hay.as_bytes()), hay.contains(&text));
            let folded = Needle::new(text.as_bytes(), Case::Folded);
            let expected = hay.to_ascii_lowercase().contains(&text.to_ascii_lowercase());
            prop_assert_eq!(folded.is_in(hay.as_bytes()), expected);
        }
    }

    #[test]
    fn a_needle_in_a_log_is_the_longest_part_that_both_forms_write_as_it_is() {
        for (text, expected) in [
            ("王小明", Some("王小明")),
            ("say \"hello\"", Some("hello")),
            ("a\\x41bc", Some("x41bc")),
            ("first\nsecond line", Some("second line")),
            ("abc\u{202e}d", Some("abc")),
            ("\"\\\n", None),
            ("", None),
        ] {
            let needle = Needle::in_log(text, Case::Kept);
            let found = needle.map(|needle| needle.text);
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{text:?}");
        }
    }
}
