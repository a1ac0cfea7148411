//! The values in a document: texts, numbers and words of the service, needed or not.

use std::str::FromStr;

use crate::mns::Element;

/// A document that lacks an element, or has an element with an invalid value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnexpectedDocument {
    /// Another root element.
    #[error("the document is a {found}, not a {wanted}")]
    Root {
        /// What it is.
        found: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A needed element is absent.
    #[error("the element {0} is missing")]
    Missing(&'static str),
    /// An element that holds a text has elements inside.
    #[error("the element {0} has further elements inside")]
    Nested(&'static str),
    /// A value that is not of its kind.
    #[error("{value:?} is no {name}")]
    Value {
        /// The element.
        name: &'static str,
        /// Its text.
        value: String,
    },
}

pub(super) fn of_texts<const N: usize>(name: &str, texts: [(&str, String); N]) -> Element {
    Element::of_children(
        name,
        texts
            .map(|(name, text)| Element::of_text(name, text))
            .into(),
    )
}

pub(super) fn root(element: &Element, wanted: &'static str) -> Result<(), UnexpectedDocument> {
    if element.name == wanted {
        return Ok(());
    }
    Err(UnexpectedDocument::Root {
        found: element.name.clone(),
        wanted,
    })
}

pub(super) fn needed<T: FromStr>(
    element: &Element,
    name: &'static str,
) -> Result<T, UnexpectedDocument> {
    optional(element, name)?.ok_or(UnexpectedDocument::Missing(name))
}

/// The text of a child; `None` if it is absent.
///
/// # Errors
/// [`UnexpectedDocument::Nested`]: its text is only a part of it.
pub fn text<'a>(
    element: &'a Element,
    name: &'static str,
) -> Result<Option<&'a str>, UnexpectedDocument> {
    match element.child(name) {
        None => Ok(None),
        Some(child) if child.children.is_empty() => Ok(Some(&child.text)),
        Some(_) => Err(UnexpectedDocument::Nested(name)),
    }
}

/// The value of a child; `None` if it is absent. An empty text is a value only of a text.
pub(super) fn optional<T: FromStr>(
    element: &Element,
    name: &'static str,
) -> Result<Option<T>, UnexpectedDocument> {
    let Some(text) = text(element, name)? else {
        return Ok(None);
    };
    match text.trim().parse() {
        Ok(value) => Ok(Some(value)),
        Err(_) if text.trim().is_empty() => Ok(None),
        Err(_) => Err(UnexpectedDocument::Value {
            name,
            value: text.to_owned(),
        }),
    }
}

pub(super) fn optional_boolean(
    element: &Element,
    name: &'static str,
) -> Result<Option<bool>, UnexpectedDocument> {
    match text(element, name)?.map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(text) => Err(UnexpectedDocument::Value {
            name,
            value: text.to_owned(),
        }),
    }
}

/// As the service and the SDKs write it.
pub(super) fn boolean(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
