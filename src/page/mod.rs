//! The parts that the pages share: the inspector's on the admin listener, and the emulator's.

mod answer;
mod file;
mod origin;

pub(crate) use answer::{ApiError, guarded, json, text};
pub(crate) use file::{File, Files, HTML, SCRIPT, STYLE, file};
pub(crate) use origin::is_of_no_other_site;
