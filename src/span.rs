//! A duration for a human reader: its two largest units, as in `1 h 5 min`.

use std::fmt;
use std::time::Duration;

/// Units in descending order, each with its length in milliseconds. A year has 365 days.
const UNITS: [(&str, u128); 6] = [
    ("y", 31_536_000_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("min", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Shows the largest unit of a duration and the one below it. The rest is truncated, not rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.as_millis();
        let mut rest = whole;
        let mut units = UNITS
            .iter()
            .skip_while(|(_, length)| *length > whole)
            .take(2)
            .peekable();
        if units.peek().is_none() {
            return f.write_str("0 s");
        }
        let mut blank = "";
        for (name, length) in units {
            let (count, below) = (
                rest.checked_div(*length).unwrap_or_default(),
                rest.checked_rem(*length),
            );
            rest = below.unwrap_or_default();
            // Omits the second unit if it is zero: `1 h`, not `1 h 0 min`.
            if count > 0 {
                write!(f, "{blank}{count} {name}")?;
                blank = " ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_its_two_largest_units() {
        for (millis, shown) in [
            (0, "0 s"),
            (1, "1 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (1250, "1 s 250 ms"),
            (60_000, "1 min"),
            (3_900_000, "1 h 5 min"),
            (3_600_001, "1 h"),
            (90_000_000, "1 d 1 h"),
            (86_400_000 * 375, "1 y 10 d"),
        ] {
            assert_eq!(
                Span(Duration::from_millis(millis)).to_string(),
                shown,
                "{millis}"
            );
        }
        // Only has to end without a panic.
        Span(Duration::MAX).to_string();
    }
}
