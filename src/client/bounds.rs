//! The limits of an answer and of a list: size, number and time.

use std::time::Duration;

/// The time limit of one request, from name look-up to last byte.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer, in bytes. A page of 1000 addresses is far below it.
pub(super) const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The largest number of pages of a list. They have a million names, a thousand times what an
/// account may have.
pub(super) const PAGES_MAX: usize = 1000;
/// The time limit of a list with all its pages.
// An account has at most 1000 topics, which fit on one page.
pub(super) const LIST_TIMEOUT: Duration = Duration::from_secs(120);
/// The size limit of all names of a list together, in bytes.
// Without it, 1000 pages of 4 MiB could fill 4 GB.
pub(super) const NAMES_BYTES_MAX: usize = 64 * 1024 * 1024;
