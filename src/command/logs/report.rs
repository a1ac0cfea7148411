//! What `logs verify` says of each file, as lines or as one JSON object.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::command::client::service::Output;
use crate::command::counted::counted;
use crate::command::logs::compare::Comparison;
use crate::journal::{Log, Verdict, escaped, json_text};

/// Takes findings: lines are written at once, JSON at the end.
pub(super) struct Report<'o, W> {
    output: Output,
    out: &'o mut W,
    is_sound: bool,
    files: Vec<Value>,
    left_out: Vec<Value>,
    aside: Vec<Value>,
}

impl<'o, W: Write> Report<'o, W> {
    pub(super) fn new(output: Output, out: &'o mut W) -> Self {
        Self {
            output,
            out,
            is_sound: true,
            files: Vec::new(),
            left_out: Vec::new(),
            aside: Vec::new(),
        }
    }

    /// A file that was read. `is_written`: its end may be a record on its way.
    #[expect(clippy::too_many_lines, reason = "until it is split")]
    pub(super) fn file(
        &mut self,
        path: &Path,
        log: Log,
        verdict: &Verdict,
        is_written: bool,
    ) -> io::Result<()> {
        self.is_sound &= verdict.problems_count == 0;
        let Verdict {
            records,
            accepted,
            duplicates,
            recovered,
            problems_count,
            without_outcome,
            ..
        } = verdict;
        let Verdict {
            set_back,
            torn_bytes,
            ..
        } = verdict;
        let problems = verdict
            .problems
            .iter()
            .map(|(offset, problem)| json!({ "offset": offset, "problem": problem }));
        self.files.push(json!({
            "file": path.to_string_lossy(),
            "log": log.name(),
            "records": records,
            "accepted": accepted,
            "duplicates": duplicates,
            "recovered": recovered,
            "broken": problems_count,
            "problems": problems.collect::<Vec<_>>(),
            "requests_without_outcome": without_outcome,
            "time_set_back": set_back,
            "torn_bytes": if is_written { *torn_bytes } else { 0 },
        }));
        let sound = if *problems_count == 0 {
            "all whole"
        } else {
            "NOT all whole"
        };
        let recovered = if *recovered > 0 {
            format!("{recovered} recovered, ")
        } else {
            String::new()
        };
        self.line(
            path,
            &format!(
                "{}, {accepted} accepted, {}, {recovered}{sound}",
                counted(*records, "record"),
                counted(*duplicates, "duplicate")
            ),
        )?;
        for (offset, problem) in &verdict.problems {
            self.line(
                path,
                &format!("the record at byte {offset} is broken: {problem}"),
            )?;
        }
        if *problems_count > 0 {
            self.line(
                path,
                &format!("{} in all", counted(*problems_count, "broken record")),
            )?;
        }
        if *without_outcome > 0 {
            self.line(
                path,
                &format!(
                    "{} without an outcome, not acknowledged",
                    counted(*without_outcome, "request")
                ),
            )?;
        }
        if *set_back > 0 {
            self.line(
                path,
                &format!("the time goes back {}", counted(*set_back, "time")),
            )?;
        }
        if *torn_bytes > 0 && is_written {
            let what = "of a record that is being written, or that a crash left: the next start \
                cuts it off";
            self.line(path, &format!("{torn_bytes} bytes {what}"))?;
        }
        Ok(())
    }

    /// A file that was not read, and why. `is_fault`: it should have been.
    pub(super) fn left_out(&mut self, path: &Path, why: &str, is_fault: bool) -> io::Result<()> {
        self.is_sound &= !is_fault;
        self.left_out
            .push(json!({ "file": path.to_string_lossy(), "reason": why }));
        let line = if is_fault {
            why.to_owned()
        } else {
            format!("left out: {why}")
        };
        self.line(path, &line)
    }

    /// A file that holds what was never acknowledged.
    pub(super) fn aside(&mut self, path: &Path, bytes: u64, what: &str) -> io::Result<()> {
        self.aside
            .push(json!({ "file": path.to_string_lossy(), "bytes": bytes }));
        self.line(path, what)
    }

    /// The sum of all. Gives whether all is sound.
    pub(super) fn end(mut self, comparison: &Comparison) -> io::Result<bool> {
        self.is_sound &= comparison.is_sound();
        match self.output {
            Output::Text => {
                for line in comparison.lines() {
                    writeln!(self.out, "{line}")?;
                }
                let (read, left_out) = (self.files.len(), self.left_out.len());
                writeln!(self.out, "{read} files read, {left_out} left out")?;
            }
            Output::Json => {
                let told = json!({
                    "sound": self.is_sound,
                    "files": self.files,
                    "left_out": self.left_out,
                    "aside": self.aside,
                    "both": comparison.to_json(),
                });
                writeln!(self.out, "{}", json_text(&told))?;
            }
        }
        Ok(self.is_sound)
    }

    fn line(&mut self, path: &Path, text: &str) -> io::Result<()> {
        match self.output {
            Output::Text => {
                let path = escaped(path.as_os_str().as_encoded_bytes());
                writeln!(self.out, "{path}: {}", escaped(text.as_bytes()))
            }
            Output::Json => Ok(()),
        }
    }
}
