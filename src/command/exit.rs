//! The exit codes besides success and failure.

/// A wrong configuration, as in `sysexits.h`.
pub(super) const EXIT_CONFIG: u8 = 78;
/// `create` found an object that differs from the requested one.
pub(super) const EXIT_DIFFERS: u8 = 3;
