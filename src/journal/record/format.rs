//! How a log is written: as text, or as JSON.

/// How the records of a log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text, in the manual's form if it is one of both logs.
    Text,
    /// One JSON object a line.
    Json,
}
