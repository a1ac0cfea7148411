//! Reports what `logs verify` finds in each file, as lines or as one JSON object.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::command::client::service::Output;
use crate::command::counted::counted;
use crate::command::logs::compare::Comparison;
use crate::journal::{Log, Uncovered, Verdict, escaped, json_text};

/// Collects findings. Lines are printed at once, JSON at the end.
pub(super) struct Report<'o, W> {
    output: Output,
    out: &'o mut W,
    is_sound: bool,
    files: Vec<Value>,
    left_out: Vec<Value>,
    aside: Vec<Value>,
    uncovered: Uncovered,
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
            uncovered: Uncovered::default(),
        }
    }

    /// Reports a file that was read. `is_written` says that a record at its end may still be
    /// incomplete.
    pub(super) fn file(
        &mut self,
        path: &Path,
        log: Log,
        verdict: &Verdict,
        is_written: bool,
    ) -> io::Result<()> {
        self.is_sound &= verdict.problems_count == 0;
        self.files.push(to_json(path, log, verdict, is_written));
        self.records(path, verdict)?;
        self.problems(path, verdict)?;
        if verdict.torn_bytes > 0 && is_written {
            let what = "of a record that is being written, or that a crash left: the next start \
                cuts it off";
            self.line(
                path,
                &format!("{} {what}", counted(verdict.torn_bytes, "byte")),
            )?;
        }
        Ok(())
    }

    fn records(&mut self, path: &Path, verdict: &Verdict) -> io::Result<()> {
        let sound = if verdict.problems_count == 0 {
            "all whole"
        } else {
            "NOT all whole"
        };
        let recovered = if verdict.recovered > 0 {
            format!("{} recovered, ", verdict.recovered)
        } else {
            String::new()
        };
        self.line(
            path,
            &format!(
                "{}, {} accepted, {}, {recovered}{sound}",
                counted(verdict.records, "record"),
                verdict.accepted,
                counted(verdict.duplicates, "duplicate")
            ),
        )
    }

    fn problems(&mut self, path: &Path, verdict: &Verdict) -> io::Result<()> {
        for (offset, problem) in &verdict.problems {
            self.line(
                path,
                &format!("the record at byte {offset} is broken: {problem}"),
            )?;
        }
        let count = verdict.problems_count;
        if count > 0 {
            let text = format!("{} in all", counted(count, "broken record"));
            self.line(path, &text)?;
        }
        let count = verdict.without_outcome;
        if count > 0 {
            let requests = counted(count, "request");
            let text = format!("{requests} without an outcome, not acknowledged");
            self.line(path, &text)?;
        }
        if verdict.set_back > 0 {
            let text = format!("the time goes back {}", counted(verdict.set_back, "time"));
            self.line(path, &text)?;
        }
        Ok(())
    }

    /// Reports a file that was not read, and why. `is_fault` says that it should have been
    /// readable.
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

    /// Reports a file of bytes that were cut off and never acknowledged.
    pub(super) fn aside(&mut self, path: &Path, bytes: u64, what: &str) -> io::Result<()> {
        self.aside
            .push(json!({ "file": path.to_string_lossy(), "bytes": bytes }));
        self.line(path, what)
    }

    /// Reports what is in the commit log and may be missing in the logs.
    pub(super) fn commit_log(&mut self, path: &Path, uncovered: Uncovered) -> io::Result<()> {
        self.uncovered = uncovered;
        if uncovered == Uncovered::default() {
            return Ok(());
        }
        let frames = counted(uncovered.frames, "frame");
        let text = format!(
            "{frames} that the logs may lack, and no serve runs: mns-endpoint logs repair \
             completes the logs, as the next start does"
        );
        self.line(path, &text)
    }

    /// Prints the summary. Returns whether everything is sound.
    pub(super) fn end(mut self, comparison: &Comparison) -> io::Result<bool> {
        self.is_sound &= comparison.is_sound();
        match self.output {
            Output::Text => {
                for line in comparison.lines() {
                    writeln!(self.out, "{line}")?;
                }
                let (read, left_out) = (self.files.len(), self.left_out.len());
                let read = counted(read, "file");
                writeln!(self.out, "{read} read, {left_out} left out")?;
            }
            Output::Json => {
                let object = json!({
                    "sound": self.is_sound,
                    "files": self.files,
                    "left_out": self.left_out,
                    "aside": self.aside,
                    "uncovered_frames": self.uncovered.frames,
                    "both": comparison.to_json(),
                });
                writeln!(self.out, "{}", json_text(&object))?;
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

/// The object of a file. In a file that is no longer written, the check has already counted an
/// incomplete record at its end as broken, so only other files have torn bytes.
fn to_json(path: &Path, log: Log, verdict: &Verdict, is_written: bool) -> Value {
    let problems = verdict
        .problems
        .iter()
        .map(|(offset, problem)| json!({ "offset": offset, "problem": problem }));
    json!({
        "file": path.to_string_lossy(),
        "log": log.name(),
        "records": verdict.records,
        "accepted": verdict.accepted,
        "duplicates": verdict.duplicates,
        "recovered": verdict.recovered,
        "broken": verdict.problems_count,
        "problems": problems.collect::<Vec<_>>(),
        "requests_without_outcome": verdict.without_outcome,
        "time_set_back": verdict.set_back,
        "torn_bytes": if is_written { verdict.torn_bytes } else { 0 },
    })
}
