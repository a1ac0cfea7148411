//! How far a destination is done: the place before which everything is settled.
//!
//! Answers arrive in any order; rows are entered in the order of the log. A row that is settled
//! while an earlier one is open is remembered, and the place moves past both once the earlier one
//! is settled.

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
    /// The number of the first of `rows`.
    first: u64,
    /// The rows from the first one that is not settled.
    rows: VecDeque<Row<P>>,
}

#[derive(Debug)]
struct Row<P> {
    end: P,
    settled: Option<Settled>,
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

impl<P> Default for Watermark<P> {
    fn default() -> Self {
        Self {
            first: 0,
            rows: VecDeque::new(),
        }
    }
}

impl<P: Copy> Watermark<P> {
    /// Enters the next row, which is to be sent.
    pub(super) fn enter(&mut self, end: P) -> Ticket {
        let number = u64::try_from(self.rows.len()).unwrap_or(u64::MAX);
        let ticket = Ticket(self.first.saturating_add(number));
        let settled = None;
        self.rows.push_back(Row { end, settled });
        ticket
    }

    /// Enters the next row, which is settled already. Returns what the watermark passes.
    pub(super) fn enter_settled(&mut self, end: P, settled: Settled) -> Option<Passed<P>> {
        // A run of rows that are not sent takes the memory of one. Other outcomes are counted, so
        // each of them keeps its row.
        if let Some(last) = self.rows.back_mut()
            && (last.settled, settled) == (Some(Settled::NotSelected), Settled::NotSelected)
        {
            last.end = end;
            return None;
        }
        let ticket = self.enter(end);
        self.settle(ticket, settled)
    }

    /// Settles a row. Returns what the watermark passes; `None` if an earlier row is open, or if
    /// the row was settled before, which changes nothing.
    pub(super) fn settle(&mut self, ticket: Ticket, settled: Settled) -> Option<Passed<P>> {
        // A ticket before `first` was passed already.
        let index = usize::try_from(ticket.0.checked_sub(self.first)?).ok()?;
        let row = self.rows.get_mut(index)?;
        // The first outcome stays, so that a late second answer counts nothing twice.
        row.settled.get_or_insert(settled);
        if index > 0 {
            return None;
        }
        self.pass()
    }

    /// The number of rows that are not passed.
    #[must_use]
    pub(super) fn open_rows(&self) -> usize {
        self.rows.len()
    }

    fn pass(&mut self) -> Option<Passed<P>> {
        let mut passed: Option<Passed<P>> = None;
        while let Some(Row { end, settled }) = self.rows.front()
            && let Some(settled) = settled
        {
            let so_far = passed.get_or_insert(Passed {
                end: *end,
                delivered: 0,
                dead_lettered: 0,
                skipped: 0,
            });
            so_far.end = *end;
            let count = match settled {
                Settled::Delivered(_) => Some(&mut so_far.delivered),
                Settled::DeadLettered => Some(&mut so_far.dead_lettered),
                Settled::Skipped => Some(&mut so_far.skipped),
                Settled::NotSelected => None,
            };
            if let Some(count) = count {
                *count = count.saturating_add(1);
            }
            self.rows.pop_front();
            self.first = self.first.saturating_add(1);
        }
        passed
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
        assert_eq!(mark.open_rows(), 0);
    }

    #[test]
    fn rows_of_which_nothing_is_sent_take_no_room_while_one_before_them_is_open() {
        let mut mark = Watermark::default();
        let open = mark.enter(0);
        for end in 1..1000 {
            assert_eq!(mark.enter_settled(end, Settled::NotSelected), None);
        }
        assert_eq!(mark.open_rows(), 2);
        // The tickets of later rows are not touched by that.
        let last = mark.enter(1000);
        assert_eq!(mark.settle(open, DELIVERED).unwrap().end, 999);
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
            prop_assert_eq!(mark.open_rows(), 0);
        }
    }
}
