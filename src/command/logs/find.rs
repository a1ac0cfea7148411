//! `logs find`: searches the endpoint log and the rotated files, the newest row first.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use bytesize::ByteSize;
use clap::Args;

use crate::command::Configuration;
use crate::command::logs::meter::ProgressLine;
use crate::command::logs::printing::Printing;
use crate::command::logs::selection::Selection;
use crate::command::logs::source::{Source, say};
use crate::command::logs::stop::{Stop, until_stopped};
use crate::command::stdout::{Printer, printer};
use crate::journal::{Budget, Horizon, Progress, Row, Search, SearchStart};

/// How many rows are read before they are printed.
const PAGE_ROWS: usize = 100;

/// Search the endpoint log and its rotated files, newest rows first.
///
/// A row is one request with its outcome. Reads the files without an index, and may run beside
/// serve. Searching 1 GiB takes about a second if the files are in the page cache. Skips compressed
/// files, and rotated files whose names do not end in .PORT.N, and lists them. Exits with 1 if
/// nothing is found.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  mns-endpoint logs find 4711 --since 3d --topic orders
  mns-endpoint logs find --outcome refused --reason signature_wrong --limit 0 --output json")]
pub(super) struct Find {
    /// A text in any value of a row: the message, attributes, headers, the body. Ignores case
    /// unless the text has an upper-case letter.
    text: Option<String>,
    #[command(flatten)]
    configuration: Configuration,
    /// The most rows to print; 0 prints all.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    printing: Printing,
}

impl Find {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let find = self.clone();
        until_stopped(move |stop| find.search(stop)).await
    }

    fn search(&self, stop: &Arc<Stop>) -> anyhow::Result<ExitCode> {
        let begun = Instant::now();
        let source = Source::open(&self.configuration)?;
        source.report_left_out()?;
        let mut filter = source.filter(&self.selection)?;
        filter.text.extend(self.text.clone());
        let chain = source.chain.clone();
        let search = Search::new(chain, Horizon::FileEnd, filter, SearchStart::Newest);
        let search = search.with_context(|| source.cannot_read())?;
        let mut out = printer();
        let mut found = 0_usize;
        let mut meter = ProgressLine::new();
        let mut progress = Progress::default();
        if let Some(mut search) = search {
            let mut is_done = false;
            while !is_done && !stop.is_asked() && !out.is_left() {
                let left = match self.limit {
                    0 => PAGE_ROWS,
                    limit => limit.saturating_sub(found).min(PAGE_ROWS),
                };
                let budget = Budget {
                    rows: left,
                    ..Budget::UNBOUNDED
                };
                let page = search.page(&budget, |progress| {
                    meter.show(progress);
                    stop.is_asked()
                });
                meter.clear();
                let page = page.with_context(|| source.cannot_read())?;
                found = found.saturating_add(page.rows.len());
                is_done = page.next.is_none() || found == self.limit;
                // Page by page, so that the first rows appear while the search continues.
                self.print(&mut out, &page.rows, &source)?;
                progress = search.progress();
            }
        }
        let bytes = ByteSize::b(progress.bytes);
        let back_to = progress
            .back_to
            .map_or_else(String::new, |time| format!(", back to {time}"));
        let seconds = begun.elapsed().as_secs_f64();
        say(&format!(
            "Found {found} in {bytes} ({seconds:.1} s){back_to}"
        ));
        Ok(if found > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn print(&self, out: &mut Printer, rows: &[Row], source: &Source) -> anyhow::Result<()> {
        let look = self.printing.look(out);
        let wanted: Vec<String> = self
            .text
            .iter()
            .chain(&self.selection.contains)
            .cloned()
            .collect();
        for row in rows {
            let line = || look.find(row, &wanted);
            self.printing.write(out, row, &source.zone, false, line)?;
        }
        out.flush()?;
        Ok(())
    }
}
