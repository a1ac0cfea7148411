//! `--chaos`: the output of its counts.

use std::io::{self, Write};

use crate::emulator::Status;

/// Prints the counts of chaos in two lines.
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
