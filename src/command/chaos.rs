//! `--chaos`: what it does without a list, and how its counts are printed.

use std::io::{self, Write};

use crate::emulator::Status;

/// What `--chaos` without a list does.
pub(super) const CHAOS_DEFAULT: &str = "duplicate=0.05,reorder=0.1,slow=0.02,bad-signature=0.01,\
    bad-md5=0.01,foreign-cert=0.01,truncate=0.01,drop-answer=0.05";

/// The counts of chaos, in two lines.
pub(super) fn print_counts(out: &mut impl Write, status: &Status) -> io::Result<()> {
    let list = |counts: &mut dyn Iterator<Item = (String, u64)>| {
        counts
            .map(|(name, count)| format!("{name} {count}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let troubles = list(
        &mut status
            .chaos
            .iter()
            .map(|(name, count)| (name.clone(), *count)),
    );
    let forgeries = list(
        &mut status
            .forgeries
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count)),
    );
    writeln!(out, "Chaos: {troubles}")?;
    writeln!(out, "Forgeries: {forgeries}")
}
