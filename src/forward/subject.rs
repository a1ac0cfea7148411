//! The subject of a notification: a template whose fields are filled in so that a value is never
//! more than one token, and never a wildcard.
//!
//! The longest subject that a template can produce is checked with the template, so that no value
//! fails later.

use std::fmt::Write as _;

use crate::forward::Outgoing;
use crate::forward::identity::{ENCODED, ID_BYTES_MAX, digest, encoded, shortened};

/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 255;
/// The longest subject, in bytes.
const SUBJECT_BYTES_MAX: usize = 1024;
/// A digest with its tilde.
const DIGEST_BYTES: usize = 33;
/// Replaces an empty token, which a subject cannot have.
const EMPTY: &str = "_";

/// A template for subjects, as in `mns.{owner}.{topic}.{tag}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectTemplate {
    tokens: Vec<Vec<Part>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames,
)]
#[strum(serialize_all = "lowercase")]
enum Field {
    Owner,
    Topic,
    Subscription,
    Tag,
    Shard,
    Id,
}

/// Why a template is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// Two dots in a row, or one at an end.
    #[error("a token is empty")]
    TokenEmpty,
    /// A brace that is not closed or not opened.
    #[error("a brace has no counterpart")]
    Brace,
    /// Something else in braces.
    #[error("{{{0}}} is no field: use {all}", all = fields())]
    UnknownField(String),
    /// Blanks, wildcards, control characters, characters outside ASCII.
    #[error("{0:?} cannot be in a subject")]
    Character(char),
    /// A subject of the server itself.
    #[error("subjects that begin with $ or _INBOX are the server's own")]
    Reserved,
    /// A token that may become too long for some values.
    #[error("the token {token} may become {bytes} bytes long, and {TOKEN_BYTES_MAX} is the most")]
    TokenTooLong {
        /// As in the template.
        token: String,
        /// With the longest values.
        bytes: usize,
    },
    /// A subject that may become too long for some values.
    #[error("a subject may become {0} bytes long, and {SUBJECT_BYTES_MAX} is the most")]
    TooLong(usize),
}

fn fields() -> String {
    let names = <Field as strum::VariantNames>::VARIANTS;
    names
        .iter()
        .map(|name| format!("{{{name}}}"))
        .collect::<Vec<_>>()
        .join(", ")
}

impl Field {
    /// The longest value, in bytes. Names of topics and subscriptions have 255 characters at most,
    /// a tag has 16 of up to four bytes, an account id is a number. A longer one is shortened.
    fn bytes_max(self) -> usize {
        match self {
            Self::Owner => 40,
            Self::Topic | Self::Subscription => 255,
            Self::Tag => 192,
            Self::Shard => 10,
            Self::Id => ID_BYTES_MAX,
        }
    }

    fn write(self, token: &mut String, outgoing: &Outgoing, id: &str, shards: u32) {
        let notification = &outgoing.notification;
        let [owner, topic, subscription, _message_id] = notification.key.parts();
        let value = match self {
            Self::Owner => owner,
            Self::Topic => topic,
            Self::Subscription => subscription,
            Self::Tag => &notification.message_tag,
            Self::Shard => {
                let _always_fits = write!(token, "{}", shard(id, shards));
                return;
            }
            // Not encoded again: an id has no character with a meaning in subjects, and a consumer
            // can compare it with the header.
            Self::Id => {
                token.push_str(id);
                return;
            }
        };
        let max = self.bytes_max();
        let value = encoded(value, ENCODED).into_owned();
        token.push_str(&shortened(value, max, max.saturating_sub(DIGEST_BYTES)));
    }
}

/// Which of `shards` an id belongs to.
pub(super) fn shard(id: &str, shards: u32) -> u32 {
    // The same digest on every endpoint and in every version, so that a repeat goes to the same
    // shard.
    let shard = digest(id.as_bytes()).checked_rem(u128::from(shards));
    shard
        .and_then(|shard| u32::try_from(shard).ok())
        .unwrap_or_default()
}

impl SubjectTemplate {
    /// # Errors
    /// An [`InvalidTemplate`].
    pub fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        if text.starts_with('$') || text.starts_with("_INBOX") {
            return Err(InvalidTemplate::Reserved);
        }
        let mut bytes: usize = 0;
        let mut tokens = Vec::new();
        for token in text.split('.') {
            let parts = parse_token(token)?;
            let length = parts.iter().map(Part::bytes_max).sum();
            if length > TOKEN_BYTES_MAX {
                return Err(InvalidTemplate::TokenTooLong {
                    token: token.to_owned(),
                    bytes: length,
                });
            }
            bytes = bytes.saturating_add(length).saturating_add(".".len());
            tokens.push(parts);
        }
        let bytes = bytes.saturating_sub(".".len());
        if bytes > SUBJECT_BYTES_MAX {
            return Err(InvalidTemplate::TooLong(bytes));
        }
        Ok(Self { tokens })
    }

    /// Whether each notification has a subject of its own.
    #[must_use]
    pub fn has_id(&self) -> bool {
        self.has(Field::Id)
    }

    /// Whether `{shard}` is in it.
    #[must_use]
    pub fn has_shard(&self) -> bool {
        self.has(Field::Shard)
    }

    fn has(&self, field: Field) -> bool {
        self.tokens
            .iter()
            .flatten()
            .any(|part| *part == Part::Field(field))
    }

    /// The subject of a notification whose id is `id`.
    pub(super) fn subject(&self, outgoing: &Outgoing, id: &str, shards: u32) -> String {
        let mut subject = String::new();
        for parts in &self.tokens {
            if !subject.is_empty() {
                subject.push('.');
            }
            let start = subject.len();
            for part in parts {
                match part {
                    Part::Text(text) => subject.push_str(text),
                    Part::Field(field) => field.write(&mut subject, outgoing, id, shards),
                }
            }
            if subject.len() == start {
                subject.push_str(EMPTY);
            }
        }
        subject
    }

    /// The pattern that matches all its subjects, or those of one shard: a `*` for each token with
    /// another field.
    #[must_use]
    pub fn pattern(&self, shard: Option<u32>) -> String {
        let fixed = |part: &Part| match (part, shard) {
            (Part::Text(text), _) => Some(text.clone()),
            (Part::Field(Field::Shard), Some(shard)) => Some(shard.to_string()),
            (Part::Field(_), _) => None,
        };
        let pattern = |parts: &Vec<Part>| {
            let fixed: Option<String> = parts.iter().map(fixed).collect();
            fixed.unwrap_or_else(|| "*".to_owned())
        };
        self.tokens
            .iter()
            .map(pattern)
            .collect::<Vec<_>>()
            .join(".")
    }
}

impl Part {
    fn bytes_max(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Field(field) => field.bytes_max(),
        }
    }
}

fn parse_token(mut rest: &str) -> Result<Vec<Part>, InvalidTemplate> {
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (text, field) = match rest.split_once('{') {
            Some((text, behind)) => {
                let (name, behind) = behind.split_once('}').ok_or(InvalidTemplate::Brace)?;
                rest = behind;
                let unknown = |_unknown| InvalidTemplate::UnknownField(name.to_owned());
                (text, Some(name.parse::<Field>().map_err(unknown)?))
            }
            None => (std::mem::take(&mut rest), None),
        };
        if let Some(wrong) = text.chars().find(|letter| !may_be_in_subject(*letter)) {
            return Err(match wrong {
                '}' => InvalidTemplate::Brace,
                wrong => InvalidTemplate::Character(wrong),
            });
        }
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        parts.extend(field.map(Part::Field));
    }
    if parts.is_empty() {
        return Err(InvalidTemplate::TokenEmpty);
    }
    Ok(parts)
}

fn may_be_in_subject(letter: char) -> bool {
    // The last two would be escaped in an error of the server, from which the subject is read.
    letter.is_ascii_graphic() && !['*', '>', '{', '}', '"', '\\'].contains(&letter)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::forward::identity::identity;
    use crate::forward::identity::samples::{changed, outgoing, usual};

    fn subject(template: &str, outgoing: &Outgoing) -> String {
        let template = SubjectTemplate::parse(template).unwrap();
        template.subject(outgoing, &identity(outgoing), 16)
    }

    #[test]
    fn fields_are_filled_in() {
        #[track_caller]
        fn check(template: &str, expected: &str) {
            assert_eq!(subject(template, &usual()), expected);
        }
        check(
            "mns.{owner}.{topic}.{tag}",
            "mns.1269128356620446.MyTopic1.blue",
        );
        check("mns.{subscription}.x-{tag}-y", "mns.MyTopic1-Sub1.x-blue-y");
        check("{shard}", "5");
        check(
            "m.{id}",
            "m.1269128356620446/MyTopic1/MyTopic1-Sub1/F6EA56633844DBFC-1-154BDFB8059-200000004",
        );
        check("orders", "orders");
    }

    #[test]
    fn a_value_is_one_token_and_never_a_wildcard() {
        let odd = changed(outgoing([b"1", b"a.b *", b"", b"M"]), |it| {
            it.message_tag = Bytes::from_static(b">");
        });
        assert_eq!(
            subject("{topic}.{tag}.{subscription}.-", &odd),
            "a%2Eb%20%2A.%3E._.-"
        );
    }

    #[test]
    fn a_longer_value_than_names_can_be_is_shortened() {
        let long = [b'1'; 41];
        let shortened = subject("{owner}", &outgoing([&long, b"T", b"S", b"M"]));
        assert_eq!(shortened, "1111111~7f67ec6536b731190cfff2023600868a");
        let fits = subject("{owner}", &outgoing([&long[..40], b"T", b"S", b"M"]));
        assert_eq!(fits, "1".repeat(40));
    }

    #[test]
    fn a_template_that_makes_no_subjects_is_refused() {
        #[track_caller]
        fn check(template: &str, expected: &str) {
            let error = SubjectTemplate::parse(template).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        for empty in ["", ".", "a..b", "a.", ".a"] {
            check(empty, "a token is empty");
        }
        for brace in ["{", "a}", "{topic", "{a}}", "topic}.x"] {
            assert!(SubjectTemplate::parse(brace).is_err(), "{brace}");
        }
        check("{topic", "a brace has no counterpart");
        check(
            "{name}",
            "{name} is no field: use {owner}, {topic}, {subscription}, {tag}, {shard}, {id}",
        );
        check("mns.>", "'>' cannot be in a subject");
        check("mns.*.x", "'*' cannot be in a subject");
        check("mns.a b", "' ' cannot be in a subject");
        check("mns.\u{e9}", "'\u{e9}' cannot be in a subject");
        check(
            "$JS.API",
            "subjects that begin with $ or _INBOX are the server's own",
        );
        check(
            "_INBOX.x",
            "subjects that begin with $ or _INBOX are the server's own",
        );
        check(
            "{topic}-{tag}",
            "the token {topic}-{tag} may become 448 bytes long, and 255 is the most",
        );
        check(
            "{topic}.{topic}.{topic}.{topic}.x",
            "a subject may become 1025 bytes long, and 1024 is the most",
        );
    }

    #[test]
    fn a_template_may_have_every_field_once() {
        let all = "mns.{owner}.{topic}.{subscription}.{tag}.{shard}.{id}";
        let template = SubjectTemplate::parse(all).unwrap();
        assert_eq!(template.pattern(None), "mns.*.*.*.*.*.*");
        assert_eq!(template.pattern(Some(3)), "mns.*.*.*.*.3.*");
        assert!(template.has_id() && template.has_shard());
        let usual = SubjectTemplate::parse("mns.a{tag}.x").unwrap();
        assert_eq!(usual.pattern(Some(3)), "mns.*.x");
        assert!(!usual.has_id() && !usual.has_shard());
    }

    fn any_part() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..400)
    }

    proptest! {
        #[test]
        fn no_value_makes_a_wrong_subject(
            [a, b, c, d, tag] in [any_part(), any_part(), any_part(), any_part(), any_part()],
            shards in any::<u32>(),
        ) {
            let outgoing = changed(outgoing([&a, &b, &c, &d]), |it| it.message_tag = tag.into());
            let all = "mns.{owner}.{topic}.{subscription}.{tag}.{shard}.{id}";
            let template = SubjectTemplate::parse(all).unwrap();
            let subject = template.subject(&outgoing, &identity(&outgoing), shards);
            prop_assert!(subject.len() <= SUBJECT_BYTES_MAX);
            let tokens: Vec<&str> = subject.split('.').collect();
            prop_assert_eq!(tokens.len(), 7);
            for token in tokens {
                prop_assert!((1..=TOKEN_BYTES_MAX).contains(&token.len()));
                prop_assert!(token.chars().all(may_be_in_subject));
            }
        }
    }
}
