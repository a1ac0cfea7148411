//! Both logs together, above the disk: names, rotation, torn ends, retention.

mod age;
mod file;
mod files;
mod follow;
mod high_water;
mod holds;
mod log_tail;
mod logs;
mod names;
mod open;
mod per_log;
mod recovered;
mod retention;
mod sync;
pub(crate) mod torn;

pub use age::{is_old, old_before};
pub use files::LogFiles;
pub(super) use high_water::HighWater;
pub use high_water::HighWaterMark;
pub use holds::Hold;
pub(super) use holds::Holds;
pub use log_tail::LogTail;
pub(super) use logs::{Fault, Logs};
pub use names::{DIAGNOSTICS, Names, Numbering};
pub use open::{FileOptions, OpenError};
pub use per_log::Log;
pub(super) use per_log::PerLog;
pub use recovered::{DamagedLog, Recovered, Replayed, TornTail};
pub(super) use retention::Retention;
pub use sync::LogsSynced;
pub(super) use sync::{PendingSync, WriteBack};
pub use torn::torn_ends;
