//! The format of a log: text or JSON.

/// The format of the records of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text. The endpoint log and the access log then have the form of the manual.
    Text,
    /// One JSON object per line.
    Json,
}
