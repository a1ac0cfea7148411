//! Reading the logs back: record by record, whose notification it was, and whether all is whole.

mod accepted;
mod parsed;
mod records;
mod verdict;
mod verify;

pub use accepted::{NotificationKey, accepted};
pub use records::{Damage, Found, Records};
pub use verdict::{Verdict, goes_back};
pub use verify::verify;
