//! Formats a row as one line of text: its cells, truncated to the width of the terminal, and
//! coloured at the end.

use crate::command::logs::decode::Decode;
use crate::journal::{Outcome, Row, escaped};

/// The width of topic and subscription together. Most names fit, so that the columns after them
/// line up.
const NAMES_WIDTH: usize = 27;

/// The appearance of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) has_color: bool,
    /// In columns. `None` for no limit.
    pub(super) width: Option<usize>,
    pub(super) decode: Option<Decode>,
}

/// A colour of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Color {
    Plain,
    Faint,
    Green,
    Blue,
    Yellow,
    Red,
    Orange,
    Violet,
}

/// A line under construction.
#[derive(Debug, Default)]
pub(super) struct Line {
    cells: Vec<(String, Option<Color>)>,
}

impl Look {
    /// The line for `logs tail`, with the time of day.
    pub(super) fn tail(&self, row: &Row, may_repeat: bool) -> String {
        let time = row
            .time()
            .map(|time| time.local().strftime("%H:%M:%S").to_string());
        let mut line = Line::default();
        line.push(&pad(&time.unwrap_or_default(), 8), Color::Faint);
        line.push("  ", Color::Plain);
        line.push_status(row);
        line.push("  ", Color::Plain);
        line.push(&pad(&names(row), NAMES_WIDTH), Color::Plain);
        line.push("  ", Color::Plain);
        if may_repeat {
            line.push("(perhaps again) ", Color::Faint);
        }
        line.push(&self.describe(row), Color::Plain);
        line.finish(self)
    }

    /// The line for `logs find`, with date and id, and the text around what was searched for.
    pub(super) fn find(&self, row: &Row, wanted: &[String]) -> String {
        let time = row.time().map(ToString::to_string).unwrap_or_default();
        let mut line = Line::default();
        // As wide as `2026-11-24 18:40:00`, and below as the 32 digits of a message id.
        line.push(&pad(&time, 19), Color::Faint);
        line.push("  ", Color::Plain);
        line.push_status(row);
        line.push("  ", Color::Plain);
        line.push(&pad(&names(row), NAMES_WIDTH), Color::Plain);
        line.push("  ", Color::Plain);
        line.push(&pad(&one_line(&row.labels.message_id), 32), Color::Faint);
        line.push("  ", Color::Plain);
        let text = self.describe(row);
        line.push(&around(&text, wanted).unwrap_or(text), Color::Plain);
        line.finish(self)
    }

    /// Describes a row in one line.
    fn describe(&self, row: &Row) -> String {
        let tag = match row.labels.tag.as_slice() {
            [] => String::new(),
            tag => format!("[{}] ", one_line(tag)),
        };
        let message = || {
            one_line(&Decode::apply(
                self.decode,
                row.message().unwrap_or_default(),
            ))
        };
        let reason = || one_line(row.reason().unwrap_or_default());
        match row.outcome() {
            Outcome::Accepted => tag + &message(),
            Outcome::Remark => format!("{tag}({}) {}", reason(), message()),
            Outcome::Duplicate => {
                format!("{tag}duplicate of {}", one_line(&row.labels.message_id))
            }
            Outcome::Recovered => format!("{tag}recovered: {}", message()),
            Outcome::Refused | Outcome::Deferred => {
                let claimed = if row.labels.is_claimed && !row.labels.topic.is_empty() {
                    " (claimed)"
                } else {
                    ""
                };
                let peer = one_line(row.peer().unwrap_or_default());
                let target = row.target().map(|target| one_line(target) + " ");
                let target = target.unwrap_or_default();
                format!("{}: {}{claimed} {target}{peer}", reason(), cause(row))
            }
            Outcome::Other => one_line(row.record.event.as_bytes()),
        }
    }
}

impl Line {
    fn push(&mut self, text: &str, color: Color) {
        let color = (color != Color::Plain).then_some(color);
        self.cells.push((text.to_owned(), color));
    }

    fn push_status(&mut self, row: &Row) {
        let status = row.status().map(|status| status.as_u16().to_string());
        let color = match row.outcome() {
            Outcome::Accepted => Color::Green,
            Outcome::Duplicate => Color::Blue,
            Outcome::Remark => Color::Yellow,
            Outcome::Refused => Color::Red,
            Outcome::Deferred => Color::Orange,
            Outcome::Recovered => Color::Violet,
            Outcome::Other => Color::Faint,
        };
        self.push(&status.unwrap_or_else(|| "---".to_owned()), color);
    }

    fn finish(self, look: &Look) -> String {
        let mut left = look.width.unwrap_or(usize::MAX);
        let mut out = String::new();
        for (text, color) in self.cells {
            let (shown, is_cut) = cut(&text, left);
            left = left.saturating_sub(columns(&shown));
            match color.filter(|_| look.has_color) {
                Some(color) => out += &format!("\x1b[{}m{shown}\x1b[0m", color.code()),
                None => out += &shown,
            }
            if is_cut {
                break;
            }
        }
        out.truncate(out.trim_end_matches(' ').len());
        out
    }
}

impl Color {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Faint => "2",
            Self::Green => "32",
            Self::Blue => "34",
            Self::Yellow => "33",
            Self::Red => "31",
            // Bright red: the 16 colours that every terminal has do not include orange.
            Self::Orange => "91",
            Self::Violet => "35",
        }
    }
}

fn names(row: &Row) -> String {
    let labels = &row.labels;
    if labels.topic.is_empty() && labels.subscription.is_empty() {
        return "-".to_owned();
    }
    format!(
        "{}/{}",
        one_line(&labels.topic),
        one_line(&labels.subscription)
    )
}

/// What exactly failed. The logged hint continues with the likely cause and the remedy, which do
/// not fit here.
fn cause(row: &Row) -> String {
    let hint = row.record.attribute("Hint").unwrap_or_default();
    let hint = one_line(hint);
    hint.split("; ").next().unwrap_or_default().to_owned()
}

/// Escapes a value from a peer for one line of a terminal, so that it cannot move the cursor or
/// change the direction of text.
pub(super) fn one_line(value: &[u8]) -> String {
    let lines: Vec<String> = value.split(|byte| *byte == b'\n').map(escaped).collect();
    lines.join("\\x0a")
}

/// The text around the first occurrence of a searched word.
fn around(text: &str, wanted: &[String]) -> Option<String> {
    const BEFORE: usize = 12;
    // ASCII only, so that an offset in it is an offset in `text`.
    let folded = text.to_ascii_lowercase();
    let place = wanted.iter().find_map(|wanted| {
        let wanted = one_line(wanted.as_bytes());
        text.find(&wanted)
            .or_else(|| folded.find(&wanted.to_ascii_lowercase()))
    })?;
    let before = text.get(..place)?;
    let start = before
        .char_indices()
        .rev()
        .nth(BEFORE)
        .map(|(start, _)| start)?;
    Some(format!("…{}", text.get(start..)?))
}

fn pad(text: &str, width: usize) -> String {
    let blanks = width.saturating_sub(columns(text));
    text.to_owned() + &" ".repeat(blanks)
}

/// Truncates a text to a width, with an ellipsis. Returns whether it was truncated.
fn cut(text: &str, width: usize) -> (String, bool) {
    if columns(text) <= width {
        return (text.to_owned(), false);
    }
    let mut shown = String::new();
    // One column for the ellipsis.
    let mut left = width.saturating_sub(1);
    for character in text.chars() {
        let Some(rest) = left.checked_sub(columns_of(character)) else {
            break;
        };
        left = rest;
        shown.push(character);
    }
    if width > 0 {
        shown.push('…');
    }
    (shown, true)
}

fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// How many columns a terminal needs for a character: two for East Asian scripts and emoji, none
/// for a combining mark.
fn columns_of(character: char) -> usize {
    // The common wide ranges of UAX 11. A rare character outside of them only misaligns its line.
    match u32::from(character) {
        0x300..=0x36f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_to_columns_and_not_to_characters_and_colours_are_no_part_of_it() {
        let line = |width, has_color| {
            let mut line = Line::default();
            line.push("ab", Color::Red);
            line.push("  王小明", Color::Plain);
            line.finish(&Look {
                has_color,
                width,
                decode: None,
            })
        };
        assert_eq!(line(None, false), "ab  王小明");
        assert_eq!(line(Some(10), false), "ab  王小明");
        assert_eq!(line(Some(9), false), "ab  王小…");
        assert_eq!(line(Some(8), false), "ab  王…");
        assert_eq!(line(Some(1), false), "…");
        assert_eq!(line(Some(8), true), "\x1b[31mab\x1b[0m  王…");
    }

    #[test]
    fn the_text_around_a_hit_begins_a_little_before_it() {
        let text = "{\"event\":\"order.paid\",\"name\":\"王小明\"}";
        let found = around(text, &["王小明".to_owned()]).unwrap();
        assert_eq!(found, "…aid\",\"name\":\"王小明\"}");
        assert_eq!(
            around(text, &["EVENT".to_owned()]),
            None,
            "it is at the beginning"
        );
        assert_eq!(around(text, &["none".to_owned()]), None);
    }

    #[test]
    fn nothing_of_a_peer_acts_on_a_terminal() {
        assert_eq!(one_line(b"a\n\x1b[2J\r"), "a\\x0a\\x1b[2J\\x0d");
        for hidden in [
            "\u{202e}",
            "\u{200b}",
            "\u{2066}",
            "\u{feff}",
            "\u{ad}",
            "\u{e0041}",
        ] {
            let shown = one_line(hidden.as_bytes());
            assert!(
                shown.is_ascii() && shown.starts_with("\\x"),
                "{hidden:?}: {shown}"
            );
        }
    }
}
