//! `logs show`: shows everything about one message.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;

use crate::command::Configuration;
use crate::command::logs::curl::Curl;
use crate::command::logs::decode::Decode;
use crate::command::logs::meter::ProgressLine;
use crate::command::logs::request::{AsSent, raw_request};
use crate::command::logs::source::Source;
use crate::command::logs::stop::{Stop, until_stopped};
use crate::command::logs::story::Story;
use crate::command::stdout::printer;
use crate::journal::Row;
use crate::server::RequestDetail;

/// Show everything about one message.
///
/// Shows its arrivals, their outcomes, duplicates, and the request. ID is the id of a message or of
/// a request, or the position of a row. Searches rotated files too. Exits with 1 if nothing is
/// found.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  mns-endpoint logs show 7DD60EDA4B73B7823DD99C962F179006
  mns-endpoint logs show 7DD60EDA4B73B7823DD99C962F179006 --message > message
  mns-endpoint logs show 6B0569A6DD60AF61EFCE0E8F --request | mns-endpoint explain /dev/stdin
  mns-endpoint logs show 6B0569A6DD60AF61EFCE0E8F --curl http://127.0.0.1:3000/hook")]
pub(super) struct Show {
    /// The id of a message or of a request, or a position as in the JSON of logs find.
    id: String,
    #[command(flatten)]
    configuration: Configuration,
    /// Print only the message, byte for byte.
    #[arg(long, group = "part")]
    message: bool,
    /// Decode the message.
    #[arg(long, value_enum, value_name = "ENCODING", requires = "message")]
    decode: Option<Decode>,
    /// Print the request in the form that explain reads.
    #[arg(long, group = "part")]
    request: bool,
    /// Print only the body of the request, byte for byte.
    #[arg(long, group = "part")]
    body: bool,
    /// Print a curl command that sends the request to URL.
    #[arg(long, value_name = "URL", group = "part")]
    curl: Option<String>,
}

impl Show {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let show = self.clone();
        until_stopped(move |stop| show.show(stop)).await
    }

    fn show(&self, stop: &Arc<Stop>) -> anyhow::Result<ExitCode> {
        let source = Source::open(&self.configuration)?;
        source.report_left_out()?;
        let mut meter = ProgressLine::new();
        let story = Story::of(&self.id, &source, |progress| {
            meter.show(progress);
            stop.is_asked()
        });
        meter.clear();
        let Some(story) = story? else {
            let hint = if source.request_detail == RequestDetail::Off {
                ". With logs.request = \"off\" a push that was accepted is found by the id of its \
                 message alone"
            } else {
                ""
            };
            bail!("{} is in none of the log files{hint}", self.id)
        };
        let mut out = printer();
        if self.message {
            let Some(message) = story.main().and_then(Row::message) else {
                bail!("the message of {} was not logged", self.id)
            };
            out.write_all(&Decode::apply(self.decode, message))?;
        } else if self.request {
            out.write_all(&raw_request(self.row(&story)?, &source)?)?;
        } else if self.body {
            out.write_all(&AsSent::of(self.row(&story)?)?.body)?;
        } else if let Some(url) = &self.curl {
            let sent = AsSent::of(self.row(&story)?)?;
            let curl = Curl {
                method: &sent.method,
                url,
                headers: &sent.headers,
                body: &sent.body,
                body_command: &format!("mns-endpoint logs show {} --body", self.id),
            };
            writeln!(out, "{}", curl.command())?;
        } else {
            story.write(&source, &mut out)?;
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    /// The row whose request is meant: the one with this request id, otherwise the newest that has
    /// a request.
    fn row<'a>(&self, story: &'a Story) -> anyhow::Result<&'a Row> {
        let rows = story.rows();
        let is_meant = |row: &&Row| {
            row.request_id() == Some(self.id.as_bytes()) || row.position.to_string() == self.id
        };
        let with_request = |row: &&Row| !row.as_sent().headers.is_empty();
        let row = rows
            .iter()
            .rev()
            .find(is_meant)
            .or_else(|| rows.iter().rev().find(with_request))
            .or(rows.last());
        let Some(row) = row else {
            bail!("{} has no row", self.id)
        };
        Ok(row)
    }
}
