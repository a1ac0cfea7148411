//! What an answer, and a list of many answers, may take: size, number and time.

use std::time::Duration;

/// For one request, name look-up to last byte.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer, in bytes: a list of 1000 addresses is far below it.
pub(super) const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most pages of a list: a million names, a thousand times what an account may have.
pub(super) const PAGES_MAX: usize = 1000;
/// The longest that a list may take with all its pages.
pub(super) const LIST_TIMEOUT: Duration = Duration::from_secs(120);
/// The names of a list, in bytes together.
pub(super) const NAMES_BYTES_MAX: usize = 64 * 1024 * 1024;
