//! The formats of the logs: the records of the endpoint log and the lines of the access log.

mod access;
mod escape;
mod format;
mod message;
mod record;
mod stamp;

pub use access::{AccessField, AccessLine};
pub use escape::{escaped, json_text, unescape, unescape_bytes};
pub use format::Format;
pub use message::MessageLine;
pub(super) use message::write_duplicate;
pub(super) use record::{DUPLICATE, NAME_WIDTH};
pub use record::{Head, Level, Place, RECOVERED, Record, RecordOrigin, RecordRequest, SUCCEED};
pub use stamp::{Stamp, Stamps};
