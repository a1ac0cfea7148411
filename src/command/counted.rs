//! Numbers with their nouns in the right form.

use std::fmt::Display;

/// A number with its noun: "1 error", "2 errors".
pub(super) fn counted<N: Copy + Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let ending = if number == N::from(1) { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_no_other_number_is() {
        assert_eq!(
            [0, 1, 2].map(|number| counted(number, "record")),
            ["0 records", "1 record", "2 records"]
        );
    }
}
