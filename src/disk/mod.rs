//! The disk: the interface to it, how files become durable, and what to do if it fails.

mod blank;
mod directory;
pub(crate) mod fix_command;
#[cfg(test)]
mod hooked;
mod latched;
mod medium;
mod real;
pub(crate) mod regular;
mod replace;
mod seam;
mod unwritable;

pub(crate) use blank::Blank;
pub use directory::{parent, sync_dir};
pub(crate) use fix_command::{fix_command, move_away, word};
#[cfg(test)]
pub(crate) use hooked::{Call, Hooked};
pub use latched::Latched;
pub use medium::Medium;
pub use real::RealDisk;
pub(crate) use replace::{NotReplaced, Replace};
pub use seam::{Disk, DiskFile, FileId, FileReader, Open, read_exact_at};
pub use unwritable::Unwritable;
