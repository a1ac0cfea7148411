//! Prints rows: as lines, as JSON, as the bytes of the log, or only their messages.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;

use crate::command::logs::decode::Decode;
use crate::command::logs::line::Look;
use crate::command::logs::object::object;
use crate::command::stdout::Printer;
use crate::journal::{Row, json_text};

/// How rows are printed.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Printing {
    /// The format of the rows.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    pub(super) output: Form,
    /// Print only the messages, byte for byte as they were published, each followed by a line feed.
    #[arg(long, conflicts_with = "output")]
    pub(super) message: bool,
    /// Decode the messages.
    #[arg(long, value_enum, value_name = "ENCODING")]
    pub(super) decode: Option<Decode>,
    /// When to use colours; auto: on a terminal, unless NO_COLOR is set.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    pub(super) color: When,
    /// The width to truncate lines to, in columns; 0 does not truncate [default: the width of the
    /// terminal].
    #[arg(long, value_name = "COLUMNS")]
    pub(super) width: Option<usize>,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// One line of text for each row.
    Text,
    /// One JSON object per line.
    Json,
    /// The bytes of the log.
    Raw,
}

/// When lines have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Printing {
    pub(super) fn look(&self, out: &Printer) -> Look {
        // By the convention of no-color.org an empty value does not count.
        let has_no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let has_color = match self.color {
            When::Auto => out.is_terminal() && !has_no_color,
            When::Always => true,
            When::Never => false,
        };
        let width = match self.width {
            Some(0) => None,
            Some(width) => Some(width),
            None => out.columns(),
        };
        Look {
            has_color,
            width,
            decode: self.decode,
        }
    }

    /// Prints a row. `line` formats it as a line.
    pub(super) fn write(
        &self,
        out: &mut impl Write,
        row: &Row,
        zone: &TimeZone,
        may_repeat: bool,
        line: impl FnOnce() -> String,
    ) -> io::Result<()> {
        if self.message {
            let Some(message) = row.message() else {
                return Ok(());
            };
            out.write_all(&Decode::apply(self.decode, message))?;
            return out.write_all(b"\n");
        }
        match self.output {
            Form::Text => writeln!(out, "{}", line()),
            Form::Json => {
                let object = object(row, zone, may_repeat, self.decode);
                writeln!(out, "{}", json_text(&object))
            }
            Form::Raw => out.write_all(&row.raw),
        }
    }
}
