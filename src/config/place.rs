//! Places in a TOML text: the line of a key, and of a syntax error.

use toml_edit::ImDocument;

/// A place in a text. Line and column count from 1, as in editors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    /// Counts characters, not bytes.
    pub(super) column: usize,
}

impl Place {
    fn at(text: &str, offset: usize) -> Self {
        // A span starts between two characters or at the end of the text, so `get` never returns
        // `None` here.
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

/// The place where a text sets a key. `None` if the text does not set it.
pub(super) fn place_in(toml: &str, key: &[&str]) -> Option<Place> {
    let document = ImDocument::parse(toml).ok()?;
    let mut item = document.as_item();
    let mut span = None;
    for part in key {
        let (name, value) = item.as_table_like()?.get_key_value(part)?;
        // In a dotted key or a section header, not every part has a span. Use the last one that
        // has.
        span = name.span().or_else(|| value.span()).or(span);
        item = value;
    }
    Some(Place::at(toml, span?.start))
}

/// Checks the syntax of a text. Returns the problem and its place if it is wrong.
pub(super) fn check_syntax(toml: &str) -> Result<(), (String, Place)> {
    ImDocument::parse(toml).map(drop).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        // On one line, because several would look like several messages.
        let problem = error.message().trim().replace('\n', ", ");
        (problem, Place::at(toml, offset))
    })
}
