//! The values in a document: texts, numbers and keywords of the service, required or optional.

use std::str::FromStr;

use crate::mns::Element;

/// A document that lacks an element, or has an element with an invalid value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnexpectedDocument {
    /// The root element is another one.
    #[error("the document is a {found}, not a {wanted}")]
    Root {
        /// The name that it has.
        found: String,
        /// The name that it should have.
        wanted: &'static str,
    },
    /// A required element is missing.
    #[error("the element {0} is missing")]
    Missing(&'static str),
    /// An element that should contain only text contains elements.
    #[error("the element {0} has further elements inside")]
    Nested(&'static str),
    /// A value is not of its type.
    #[error("{value:?} is not a valid {name}")]
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

/// The text of a child. `None` if the child is absent.
///
/// # Errors
/// [`UnexpectedDocument::Nested`]: the child also contains elements.
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

/// The value of a child. `None` if the child is absent. Only a text may be empty.
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

/// The form that the service and the SDKs write.
pub(super) fn boolean(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
