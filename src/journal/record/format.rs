//! The format of a log: text or JSON.

/// The format of the records of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text, in the manual's form if it is one of both logs.
    Text,
    /// One JSON object per line.
    Json,
}
