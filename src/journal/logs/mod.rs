//! Both logs in step, above the disk: names, rotation, torn ends, age.

mod logs;
mod names;
mod retention;
pub(crate) mod torn;

pub use logs::Committed;
pub(super) use logs::{Fault, Logs};
pub use names::{DIAGNOSTICS, Names};
pub(super) use retention::Retention;
pub use torn::{DamagedLog, Recovered, TornTail};
