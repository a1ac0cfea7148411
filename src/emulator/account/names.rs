//! The names and tags that the service accepts, and the pages of its lists of names.

use crate::emulator::refusal::Refusal;

/// The longest name, in bytes. The sources say 120, 255 and 256 (`docs/emulator.md`).
const NAME_BYTES_MAX: usize = 255;
/// The most entries of a page.
pub(in crate::emulator) const PAGE_ENTRIES_MAX: usize = 1000;

/// The longest tag, in characters.
const TAG_CHARACTERS_MAX: usize = 16;

/// The name of a subscription and of its topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::emulator) struct Key {
    /// The topic's name.
    pub(in crate::emulator) topic: String,
    /// The subscription's name.
    pub(in crate::emulator) name: String,
}

/// What a name belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Topic,
    Subscription,
}

/// The requested part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emulator) struct Page {
    /// Only names with this prefix.
    pub(in crate::emulator) prefix: String,
    /// Only names after this one, which is the last of the previous page.
    pub(in crate::emulator) marker: String,
    /// The maximum number of entries.
    pub(in crate::emulator) entries_max: usize,
}

/// A page of a list, and the marker of the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emulator) struct Pages<T> {
    /// The entries, in the order of their names.
    pub(in crate::emulator) entries: Vec<T>,
    /// The marker of the next page, if there is one.
    pub(in crate::emulator) next_marker: Option<String>,
}

/// Checks a name: letters, digits and hyphens, beginning with a letter or a digit.
pub(super) fn check(name: &str, of: Of) -> Result<(), Refusal> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    // Before the characters, because the service has a separate code for the length.
    if name.len() > NAME_BYTES_MAX {
        return Err(match of {
            Of::Topic => Refusal::TopicNameLengthError,
            Of::Subscription => Refusal::SubscriptionNameLengthError,
        });
    }
    if name.bytes().all(is_allowed) && name.bytes().next().is_some_and(|byte| byte != b'-') {
        return Ok(());
    }
    Err(match of {
        Of::Topic => Refusal::TopicNameInvalid,
        Of::Subscription => Refusal::SubscriptionNameInvalid,
    })
}

/// Checks that a tag is short, and that a header can carry it unchanged.
pub(super) fn check_tag(tag: &str) -> Result<(), Refusal> {
    // Characters, not bytes: a tag may be Chinese (protocol.md 1.2).
    if tag.chars().count() > TAG_CHARACTERS_MAX {
        return Err(Refusal::InvalidArgument(format!(
            "A tag has at most {TAG_CHARACTERS_MAX} characters."
        )));
    }
    if tag.trim() != tag || tag.chars().any(char::is_control) {
        return Err(Refusal::InvalidArgument(
            "A tag has no blanks at its ends and no control characters.".to_owned(),
        ));
    }
    Ok(())
}

impl Page {
    /// Makes a page of `entries`, which must be in the order of their names.
    pub(super) fn of<T>(&self, entries: impl Iterator<Item = (String, T)>) -> Pages<T> {
        let mut wanted = entries.filter(|(name, _)| {
            // Strictly after the marker, which is the last name of the page before.
            name.starts_with(&self.prefix) && name.as_str() > self.marker.as_str()
        });
        let mut pages = Pages {
            entries: Vec::new(),
            next_marker: None,
        };
        let mut last = None;
        for (name, entry) in wanted.by_ref().take(self.entries_max) {
            pages.entries.push(entry);
            last = Some(name);
        }
        // One more entry shows that another page follows.
        pages.next_marker = wanted.next().and(last);
        pages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(prefix: &str, marker: &str, entries_max: usize) -> (String, Option<String>) {
        let page = Page {
            prefix: prefix.to_owned(),
            marker: marker.to_owned(),
            entries_max,
        };
        let names = ["a1", "a2", "a3", "b1"].map(|name| (name.to_owned(), name));
        let pages = page.of(names.into_iter());
        (pages.entries.join(" "), pages.next_marker)
    }

    #[test]
    fn pages_follow_each_other_and_the_last_one_has_no_marker() {
        assert_eq!(page("", "", 1000), ("a1 a2 a3 b1".to_owned(), None));
        assert_eq!(page("", "", 2), ("a1 a2".to_owned(), Some("a2".to_owned())));
        assert_eq!(page("", "a2", 2), ("a3 b1".to_owned(), None));
        assert_eq!(page("a", "a1", 1), ("a2".to_owned(), Some("a2".to_owned())));
        assert_eq!(page("a", "a2", 1), ("a3".to_owned(), None));
        assert_eq!(page("c", "", 10), (String::new(), None));
    }

    #[test]
    fn names_are_letters_digits_and_hyphens() {
        for name in ["a", "0", "My-Topic-1", &"x".repeat(255)] {
            assert_eq!(check(name, Of::Topic), Ok(()), "{name}");
        }
        for name in ["", "-a", "a_b", "a b", "a.b", "\u{4e2d}", "a%2f"] {
            assert_eq!(
                check(name, Of::Topic),
                Err(Refusal::TopicNameInvalid),
                "{name}"
            );
            assert_eq!(
                check(name, Of::Subscription),
                Err(Refusal::SubscriptionNameInvalid),
                "{name}"
            );
        }
        assert_eq!(
            check(&"x".repeat(256), Of::Topic),
            Err(Refusal::TopicNameLengthError)
        );
        assert_eq!(
            check(&"x".repeat(256), Of::Subscription),
            Err(Refusal::SubscriptionNameLengthError)
        );
    }

    #[test]
    fn tags_are_short_and_fit_a_header() {
        for tag in [
            "",
            "important",
            "\u{91cd}\u{8981}",
            "1234567890123456",
            "a b",
        ] {
            assert_eq!(check_tag(tag), Ok(()), "{tag}");
        }
        for tag in ["12345678901234567", " a", "a ", "a\nb", "\u{7f}"] {
            assert!(check_tag(tag).is_err(), "{tag:?}");
        }
    }
}
