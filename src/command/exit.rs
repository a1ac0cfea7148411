//! The exit codes that mean more than success or failure.

/// A wrong configuration, as in `sysexits.h`.
pub(super) const EXIT_CONFIG: u8 = 78;
/// What `create` found differs from what was asked for.
pub(super) const EXIT_DIFFERS: u8 = 3;
