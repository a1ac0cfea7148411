//! What a destination said, for a log line: escaped, and bounded in length.

use crate::journal::escaped;

/// How much is kept of what a destination said, in characters.
pub(super) const DETAIL_MAX: usize = 400;

/// What a destination said, for a log line.
pub(super) fn detail(text: &str) -> String {
    let text: String = text.chars().take(DETAIL_MAX).collect();
    escaped(text.as_bytes())
}
