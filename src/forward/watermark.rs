//! How far a destination is done: the place before which everything is settled.
//!
//! Answers arrive in any order; rows are entered in the order of the log. A row that is settled
//! while an earlier one is open is remembered, and the place moves past both once the earlier one
//! is settled. Settled neighbours are remembered as one, because an earlier one may stay open for
//! as long as a day.

use std::collections::VecDeque;

use crate::forward::Delivered;

/// The outcome of a row. Only [`Delivered`](Self::Delivered) gives a waiting push its 201.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// The destination has it.
    Delivered(Delivered),
    /// It is in the file of dead letters.
    DeadLettered,
    /// It was skipped, because the backlog was too large or too old.
    Skipped,
    /// Nothing is sent of it: no notification, a duplicate, or of another topic.
    NotSelected,
}

/// Identifies an entered row. Tickets are ordered as the rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(u64);

/// How far a destination is done. `P` is the place after a row.
#[derive(Debug)]
pub(super) struct Watermark<P> {
    /// The ticket of the next row.
    next: Ticket,
    /// What is after the watermark, in the order of the log: open rows, and between two of them at
    /// most one run of settled ones. So there are at most twice as many as open rows.
    parts: VecDeque<Part<P>>,
}

/// An open row, or a run of settled ones.
#[derive(Debug)]
struct Part<P> {
    /// That of its first row.
    ticket: Ticket,
    is_open: bool,
    /// What is passed with it.
    passed: Passed<P>,
}

/// What the watermark has passed in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passed<P> {
    /// The place after it.
    pub(super) end: P,
    /// Notifications that the destination has.
    pub(super) delivered: u64,
    /// Those in the file of dead letters.
    pub(super) dead_lettered: u64,
    /// Those that were skipped.
    pub(super) skipped: u64,
}

impl<P> Passed<P> {
    /// A row that is not counted yet.
    fn row(end: P) -> Self {
        Self {
            end,
            delivered: 0,
            dead_lettered: 0,
            skipped: 0,
        }
    }

    fn count(&mut self, settled: Settled) {
        let count = match settled {
            Settled::Delivered(_) => &mut self.delivered,
            Settled::DeadLettered => &mut self.dead_lettered,
            Settled::Skipped => &mut self.skipped,
            Settled::NotSelected => return,
        };
        *count = count.saturating_add(1);
    }

    /// Adds what comes directly after it.
    fn add(&mut self, later: Self) {
        self.end = later.end;
        self.delivered = self.delivered.saturating_add(later.delivered);
        self.dead_lettered = self.dead_lettered.saturating_add(later.dead_lettered);
        self.skipped = self.skipped.saturating_add(later.skipped);
    }
}

impl<P> Default for Watermark<P> {
    fn default() -> Self {
        Self {
            next: Ticket(0),
            parts: VecDeque::new(),
        }
    }
}

impl<P> Watermark<P> {
    /// Enters the next row, which is to be sent.
    pub(super) fn enter(&mut self, end: P) -> Ticket {
        let ticket = self.next;
        self.next = Ticket(ticket.0.saturating_add(1));
        self.parts.push_back(Part {
            ticket,
            is_open: true,
            passed: Passed::row(end),
        });
        ticket
    }

    /// Enters the next row, which is settled already. Returns what the watermark passes.
    pub(super) fn enter_settled(&mut self, end: P, settled: Settled) -> Option<Passed<P>> {
        let ticket = self.enter(end);
        self.settle(ticket, settled)
    }

    /// Settles a row. Returns what the watermark passes; `None` if an earlier row is open, or if
    /// the row was settled before, which changes nothing.
    pub(super) fn settle(&mut self, ticket: Ticket, settled: Settled) -> Option<Passed<P>> {
        let index = self.parts.binary_search_by_key(&ticket, |part| part.ticket);
        // One that is not found was passed, or is in a run.
        let index = index.ok()?;
        let part = self.parts.get_mut(index).filter(|part| part.is_open)?;
        part.is_open = false;
        part.passed.count(settled);
        self.join(index.saturating_add(1));
        self.join(index);
        let is_passed = self.parts.front().is_some_and(|part| !part.is_open);
        let passed = is_passed.then(|| self.parts.pop_front()).flatten();
        passed.map(|part| part.passed)
    }

    /// Whether there is a row that is not settled.
    #[must_use]
    pub(super) fn has_open(&self) -> bool {
        // The first one would be passed if it were settled.
        !self.parts.is_empty()
    }

    /// Adds a part to the one before it if both are settled.
    fn join(&mut self, index: usize) {
        let is_settled = |part: Option<&Part<P>>| part.is_some_and(|part| !part.is_open);
        let Some(before) = index.checked_sub(1) else {
            return;
        };
        if is_settled(self.parts.get(before))
            && is_settled(self.parts.get(index))
            && let Some(later) = self.parts.remove(index)
            && let Some(part) = self.parts.get_mut(before)
        {
            part.passed.add(later.passed);
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "helpers of tests fail by panicking"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DELIVERED: Settled = Settled::Delivered(Delivered::stored());

    #[test]
    fn the_place_moves_when_all_before_it_is_settled_and_counts_what_it_passes() {
        let mut mark = Watermark::default();
        let tickets: Vec<Ticket> = (1..=4).map(|end| mark.enter(end)).collect();
        assert_eq!(mark.settle(tickets[2], DELIVERED), None);
        assert_eq!(mark.settle(tickets[1], Settled::DeadLettered), None);
        let passed = mark.settle(tickets[0], DELIVERED).unwrap();
        let (delivered, dead_lettered, skipped) = (2, 1, 0);
        assert_eq!(
            passed,
            Passed {
                end: 3,
                delivered,
                dead_lettered,
                skipped
            }
        );
        // A second answer to the same one, and one to nothing that was asked.
        assert_eq!(mark.settle(tickets[0], DELIVERED), None);
        assert_eq!(mark.settle(Ticket(99), DELIVERED), None);
        assert_eq!(mark.enter_settled(5, Settled::NotSelected), None);
        assert_eq!(mark.settle(tickets[3], Settled::Skipped).unwrap().end, 5);
        assert!(!mark.has_open());
    }

    #[test]
    fn settled_rows_take_no_room_while_one_before_them_is_open() {
        let mut mark = Watermark::default();
        let open = mark.enter(0);
        for end in 1..1000 {
            let settled = [DELIVERED, Settled::NotSelected, Settled::Skipped][end % 3];
            // At once, and after it was sent.
            let passed = match end % 2 {
                0 => mark.enter_settled(end, settled),
                _ => {
                    let ticket = mark.enter(end);
                    mark.settle(ticket, settled)
                }
            };
            assert_eq!(passed, None);
        }
        assert_eq!(mark.parts.len(), 2);
        // The tickets of later rows are not touched by that.
        let last = mark.enter(1000);
        let passed = mark.settle(open, DELIVERED).unwrap();
        assert_eq!(
            (passed.end, passed.delivered, passed.skipped),
            (999, 334, 333)
        );
        assert_eq!(mark.settle(last, DELIVERED).unwrap().end, 1000);
    }

    /// What becomes of a row: nothing, or an answer at some time.
    fn fate() -> impl Strategy<Value = Settled> {
        prop_oneof![
            4 => Just(DELIVERED),
            1 => Just(Settled::DeadLettered),
            1 => Just(Settled::Skipped),
            2 => Just(Settled::NotSelected),
        ]
    }

    proptest! {
        #[test]
        fn whatever_the_order_of_answers_it_never_passes_an_open_row_and_ends_at_the_end(
            fates in proptest::collection::vec((fate(), any::<u32>(), 0..20_usize), 1..60),
        ) {
            let mut mark = Watermark::default();
            let mut settled = vec![false; fates.len()];
            let mut open: Vec<(u32, usize, Ticket, Settled)> = Vec::new();
            let mut place = 0;
            let mut counted = 0;
            let mut check = |passed: Option<Passed<usize>>, settled: &[bool]| {
                if let Some(passed) = passed {
                    prop_assert!(passed.end > place);
                    place = passed.end;
                    counted += passed.delivered + passed.dead_lettered + passed.skipped;
                }
                prop_assert!(settled[..place].iter().all(|settled| *settled));
                // As far as it can be, not just behind it.
                prop_assert!(settled.get(place) != Some(&true));
                Ok(())
            };
            for (index, (fate, order, answers)) in fates.iter().enumerate() {
                if *fate == Settled::NotSelected {
                    settled[index] = true;
                    // It is no longer open, and what comes behind it is not known yet.
                    let passed = mark.enter_settled(index + 1, *fate);
                    check(passed, &settled[..=index])?;
                } else {
                    open.push((*order, index, mark.enter(index + 1), *fate));
                    open.sort_by_key(|(order, ..)| *order);
                }
                for _ in 0..*answers / 10 {
                    if let Some((_, answered, ticket, fate)) = open.pop() {
                        settled[answered] = true;
                        check(mark.settle(ticket, fate), &settled[..=index])?;
                    }
                }
            }
            while let Some((_, index, ticket, fate)) = open.pop() {
                settled[index] = true;
                let passed = mark.settle(ticket, fate);
                check(passed, &settled)?;
            }
            let sent = fates.iter().filter(|(fate, ..)| *fate != Settled::NotSelected).count();
            prop_assert_eq!((place, counted), (fates.len(), sent as u64));
            prop_assert!(!mark.has_open());
        }
    }
}
