//! The output of `explain`: a judgement and the verdict that follows from it.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::explain::{Checked, Judgement, Outcome, differs};
use crate::journal::escaped;
use crate::quarantine::Note;

/// Prints each check, in order, and the string to sign.
pub(super) fn print_checks<W: Write>(judgement: &Judgement, out: &mut W) -> io::Result<()> {
    for Checked { name, outcome } in &judgement.checks {
        match outcome {
            Outcome::Ok(detail) => writeln!(
                out,
                "{}",
                format!("{name:<13} ok       {detail}").trim_end()
            )?,
            Outcome::Refused { reason, text, hint } => {
                let text = escaped(text.as_bytes());
                writeln!(out, "{name:<13} REFUSED  {}: {text}", reason.key())?;
                writeln!(out, "{:<13}          {hint}", "")?;
            }
            Outcome::Unknown(why) => {
                writeln!(out, "{name:<13} UNKNOWN  {}", escaped(why.as_bytes()))?;
            }
        }
    }
    let Some(text) = &judgement.string_to_sign else {
        return Ok(());
    };
    writeln!(out, "\nString to sign:")?;
    for line in text.split(|byte| *byte == b'\n') {
        writeln!(out, "    {}", escaped(line))?;
    }
    writeln!(out)
}

/// Prints what serve would answer, and the most likely reason.
pub(super) fn conclude<W: Write>(
    judgement: Judgement,
    note: Option<&Note>,
    out: &mut W,
) -> io::Result<ExitCode> {
    match judgement.decisive {
        None => writeln!(
            out,
            "Verdict: serve would accept it, as far as the request itself goes."
        )?,
        // The only verdict that also depends on the network and the cache of serve.
        Some((key @ "certificate_unavailable", status)) => {
            let unless = "unless it has the certificate or can fetch it";
            writeln!(
                out,
                "Verdict: serve would answer {status} ({key}), {unless}."
            )?;
        }
        Some((key, status)) => writeln!(out, "Verdict: serve would answer {status} ({key}).")?,
    }
    let found = judgement.decisive.map(|(key, _)| key);
    if let Some(sentence) = note.and_then(|note| differs(&note.reason, found)) {
        writeln!(out, "{}", escaped(sentence.as_bytes()))?;
    }
    if judgement.decisive.is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    for cause in judgement.causes {
        writeln!(
            out,
            "Most likely:  {}.",
            escaped(cause.to_string().as_bytes())
        )?;
    }
    Ok(ExitCode::FAILURE)
}
