//! Lists of names of topics, of addresses and of paths.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// A list, or a text whose entries are separated by commas, blanks or line feeds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names(pub(super) Vec<String>);

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts, or one text with commas")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Names, E> {
        refuse_full_width(text)?;
        // Refused and not split, because otherwise the whole text would be one name that never
        // matches.
        if text.contains(';') {
            return Err(E::custom(format!(
                "{text:?}: ';' separates nothing in a list; write ','"
            )));
        }
        let names = text.split(|letter: char| letter == ',' || letter.is_whitespace());
        Ok(Names(
            names
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        ))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Names, E> {
        Err(float(number))
    }

    // A topic may be named `true` or `12`, which TOML reads as values of other kinds.
    fn visit_bool<E>(self, word: bool) -> Result<Names, E> {
        Ok(Names(vec![word.to_string()]))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Names, E> {
        Ok(Names(vec![number.to_string()]))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Names, E> {
        Ok(Names(vec![number.to_string()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = list.next_element::<Name>()? {
            names.push(name.0);
        }
        Ok(Names(names))
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

/// Refuses full-width punctuation, which an input method for Chinese inserts in place of a comma or
/// a semicolon.
fn refuse_full_width<E: Error>(text: &str) -> Result<(), E> {
    let found = text.chars().find_map(|letter| match letter {
        '\u{ff0c}' | '\u{3001}' | '\u{fe50}' => Some((letter, "comma")),
        '\u{ff1b}' => Some((letter, "semicolon")),
        _ => None,
    });
    found.map_or(Ok(()), |(letter, name)| {
        Err(E::custom(format!(
            "{text:?}: '{letter}' is a full-width {name} and separates nothing; write ','"
        )))
    })
}

fn float<E: Error>(number: f64) -> E {
    E::custom(format!(
        "{number:e} is a number in float notation: write its digits in quotes, as a text"
    ))
}

/// An element of a list. An account id may be written without quotes.
struct Name(String);

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
        refuse_full_width(text)?;
        Ok(Name(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Name, E> {
        Ok(Name(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Name, E> {
        Ok(Name(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Name, E> {
        Err(float(number))
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameVisitor)
    }
}
