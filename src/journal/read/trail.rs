//! The positions that a follower has passed: its current one, and earlier ones at increasing
//! distances.
//!
//! The rows that were read last may no longer be in the log, because a failed write was cut off or
//! somebody truncated the file. Then reading continues at the newest position that is still there.
//! So rows may be returned twice, but none is skipped.

use crate::journal::read::position::Position;

/// How many positions are kept in each range of distances: the newest and the oldest. The oldest is
/// the next to enter the following range, and the newest then remains in this one.
const PER_SPAN: usize = 2;
/// The maximum number of positions that are kept.
const PLACES_MAX: usize = 40;

/// Positions, each with the number of bytes read before it, newest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail {
    places: Vec<(u64, Position)>,
}

impl Trail {
    /// The trail from saved positions, newest first.
    pub(super) fn saved(places: &[Position]) -> Self {
        // The distances are not saved, so all count as 0. The positions thin out as reading
        // continues.
        let places = places.iter().take(PLACES_MAX);
        Self {
            places: places.map(|place| (0, *place)).collect(),
        }
    }

    pub(super) fn newest(&self) -> Option<Position> {
        self.places.first().map(|(_, place)| *place)
    }

    pub(super) fn places(&self) -> Vec<Position> {
        self.places.iter().map(|(_, place)| *place).collect()
    }

    /// Adds a position after `bytes` more bytes were read.
    pub(super) fn advance(&mut self, bytes: u64, place: Position) {
        let read = self.places.first().map_or(0, |(read, _)| *read);
        let read = read.saturating_add(bytes);
        self.places.insert(0, (read, place));
        // Each range of distances is four times as long as the one before.
        let span = |(there, _): &(u64, Position)| {
            let distance = read.saturating_sub(*there);
            distance
                .checked_ilog2()
                .map_or(0, |log| log.saturating_add(2) / 2)
        };
        let mut kept: Vec<(u64, Position)> = Vec::with_capacity(PLACES_MAX);
        for (index, place) in self.places.iter().enumerate() {
            let of_span = kept
                .iter()
                .filter(|known| span(known) == span(place))
                .count();
            // In a full range, keep the oldest position, because it is the next one to enter the
            // following range.
            let is_last = self
                .places
                .get(index.saturating_add(1))
                .is_none_or(|older| span(older) != span(place));
            if of_span < PER_SPAN.saturating_sub(1) || is_last {
                kept.push(*place);
            }
        }
        kept.truncate(PLACES_MAX);
        self.places = kept;
    }

    /// Goes back to a position, which becomes the newest.
    pub(super) fn go_back(&mut self, place: &Position) {
        if let Some(at) = self.places.iter().position(|(_, known)| known == place) {
            self.places.drain(..at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: u64) -> Position {
        format!("1-{offset}-0").parse().unwrap()
    }

    /// The numbers that were given to [`place`]: it puts them into the text of a position, and they
    /// are read from that text again.
    fn offsets(trail: &Trail) -> Vec<u64> {
        let text = |place: &Position| place.to_string();
        let offset = |text: String| text.split('-').nth(1).unwrap().parse().unwrap();
        trail.places().iter().map(text).map(offset).collect()
    }

    #[test]
    fn places_are_few_and_the_distance_to_the_next_one_is_in_proportion() {
        let mut trail = Trail::default();
        let mut read = Vec::new();
        for step in 1..=5_000_u64 {
            trail.advance(1000, place(step));
            read.push(step);
            let kept = offsets(&trail);
            assert!(kept.len() <= PLACES_MAX, "{}", kept.len());
            assert_eq!(kept.first(), Some(&step));
            let gap = kept.windows(2).find(|pair| {
                let (near, far) = (step - pair[0], step - pair[1]);
                far > near * 17 + 17
            });
            assert_eq!(gap, None, "at {step}: {kept:?}");
            assert!(step < 100 || *kept.last().unwrap() < step / 2, "{kept:?}");
        }
    }

    #[test]
    fn going_back_forgets_what_was_read_after_that() {
        let mut trail = Trail::default();
        (1..=9).for_each(|step| trail.advance(1000, place(step)));
        let back = trail.places()[2];
        trail.go_back(&back);
        assert_eq!(trail.newest(), Some(back));
        assert_eq!(Trail::saved(&trail.places()).places(), trail.places());
    }
}
