//! How long the commit log is, by what the configuration asks for and how much space is free.

/// The smallest commit log that a configuration may ask for, in bytes.
pub const COMMIT_LOG_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// The commit log takes at most this part of the free space.
const SPACE_PART: u64 = 16;

/// The length of a new commit log if one of `bytes_max` is asked for and `free_bytes` are free: at
/// most a sixteenth of them. `None` if there is no room for one.
#[must_use]
pub fn commit_log_bytes(bytes_max: u64, free_bytes: u64) -> Option<u64> {
    let wanted = bytes_max.min(free_bytes / SPACE_PART);
    let least = bytes_max.min(COMMIT_LOG_BYTES_MIN);
    (wanted >= least).then_some(wanted)
}
