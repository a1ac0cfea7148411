//! Places in a TOML text: the line of a key, and of a mistake in its syntax.

use toml_edit::ImDocument;

/// A place in a text, both counted from 1 as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    /// In characters.
    pub(super) column: usize,
}

impl Place {
    fn at(text: &str, offset: usize) -> Self {
        // A span ends on a boundary of characters, and may lie at the very end.
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end.saturating_add(1));
        let line = before.matches('\n').count();
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        Self {
            line: line.saturating_add(1),
            column: column.saturating_add(1),
        }
    }
}

/// The place where a text sets a key; `None` if it does not.
pub(super) fn place_in(toml: &str, key: &[&str]) -> Option<Place> {
    let document = ImDocument::parse(toml).ok()?;
    let mut item = document.as_item();
    let mut span = None;
    for part in key {
        let (name, value) = item.as_table_like()?.get_key_value(part)?;
        // Of a dotted key and of a section the last part that has a span of its own.
        span = name.span().or_else(|| value.span()).or(span);
        item = value;
    }
    Some(Place::at(toml, span?.start))
}

/// What is wrong with the syntax of a text, and where.
pub(super) fn check_syntax(toml: &str) -> Result<(), (String, Place)> {
    ImDocument::parse(toml).map(drop).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let problem = error.message().trim().replace('\n', ", ");
        (problem, Place::at(toml, offset))
    })
}
