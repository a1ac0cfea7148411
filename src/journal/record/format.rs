//! How both logs are written: as text, or as JSON.

/// How the records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The manual's text.
    Text,
    /// One JSON object a line.
    Json,
}
