//! Shows the progress of a replay in one line of a terminal, which is overwritten.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// The shortest time between two updates.
const INTERVAL: Duration = Duration::from_millis(200);

/// The progress line.
pub(in crate::command) struct SendProgress {
    begun: Instant,
    shown: Option<Instant>,
}

impl SendProgress {
    pub(in crate::command) fn new() -> Self {
        Self {
            begun: Instant::now(),
            shown: None,
        }
    }

    pub(in crate::command) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Updates the line. Without a total, the replay continues with new rows.
    pub(in crate::command) fn show(&mut self, delivered: u64, failed: u64, total: Option<u64>) {
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= INTERVAL);
        if std::io::stderr().is_terminal() && is_due {
            self.shown = Some(Instant::now());
            let line = progress(delivered, failed, total, self.elapsed());
            write!(std::io::stderr(), "\r\x1b[K{line}").ok();
        }
    }

    pub(in crate::command) fn clear(&mut self) {
        if self.shown.take().is_some() {
            write!(std::io::stderr(), "\r\x1b[K").ok();
        }
    }
}

/// `  [#####-----]  612 of 1204  98/s  failed 0  left 6 s`
fn progress(delivered: u64, failed: u64, total: Option<u64>, elapsed: Duration) -> String {
    const WIDTH: u64 = 30;
    let done = delivered.saturating_add(failed);
    let per_second = u128::from(done)
        .saturating_mul(1000)
        // In the first millisecond no time has passed.
        .checked_div(elapsed.as_millis())
        .unwrap_or_default();
    let Some(total) = total else {
        return format!("  {done}  {per_second}/s  failed {failed}");
    };
    let filled = done
        .saturating_mul(WIDTH)
        .checked_div(total)
        .unwrap_or(WIDTH)
        .min(WIDTH);
    let bar = |length: u64, sign: &str| sign.repeat(usize::try_from(length).unwrap_or_default());
    let (filled, rest) = (bar(filled, "#"), bar(WIDTH.saturating_sub(filled), "-"));
    // Omitted while the rate is below one per second, which would divide by zero.
    let left = u128::from(total.saturating_sub(done))
        .checked_div(per_second)
        .map_or_else(String::new, |seconds| format!("  left {seconds} s"));
    format!("  [{filled}{rest}]  {done} of {total}  {per_second}/s  failed {failed}{left}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_a_bar_a_rate_and_what_is_left() {
        let line = progress(612, 0, Some(1204), Duration::from_secs(6));
        let bar = format!("[{}{}]", "#".repeat(15), "-".repeat(15));
        assert_eq!(
            line,
            format!("  {bar}  612 of 1204  102/s  failed 0  left 5 s")
        );
        assert_eq!(
            progress(5, 1, None, Duration::from_secs(2)),
            "  6  3/s  failed 1"
        );
        assert!(progress(0, 0, Some(0), Duration::ZERO).contains("0 of 0"));
    }
}
