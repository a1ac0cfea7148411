//! The length of the commit log, from the configured maximum and the free space.

/// The smallest commit log that a configuration may ask for, in bytes.
pub const COMMIT_LOG_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// The commit log takes at most the free space divided by this number.
const SPACE_PART: u64 = 16;

/// The length of a new commit log: `bytes_max`, but at most a sixteenth of `free_bytes`. `None` if
/// that is less than the minimum.
#[must_use]
pub fn commit_log_bytes(bytes_max: u64, free_bytes: u64) -> Option<u64> {
    let wanted = bytes_max.min(free_bytes / SPACE_PART);
    // `bytes_max` is less than the minimum only in tests: the configuration does not allow that.
    let least = bytes_max.min(COMMIT_LOG_BYTES_MIN);
    (wanted >= least).then_some(wanted)
}
