//! What is in flight: notifications that were sent, or wait to be sent again, and what becomes of
//! one that fails.
//!
//! A refusal is a verdict on a notification only once a later one was delivered: before that,
//! everything may be refused. Nothing here waits, sends or reads a clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::forward::watermark::Ticket;
use crate::forward::window::entry::{Entry, Limits, Next, State, later};
use crate::forward::{Failure, Outgoing, Reason};

/// How many notifications are sent beyond the bounds while all in the window are suspects. If one
/// of them is delivered, the destination is not at fault.
pub(super) const PROBES: usize = 16;

/// What is in flight.
#[derive(Debug)]
pub(in crate::forward) struct Window {
    pub(super) limits: Limits,
    entries: BTreeMap<Ticket, Entry>,
    bytes: usize,
    sending: usize,
    /// How many entries have been refused. Usually 0, which saves a scan on each delivery.
    refused: usize,
    closed: Option<Closed>,
}

/// The destination accepts nothing.
#[derive(Debug)]
struct Closed {
    failures: u32,
    until: Instant,
}

/// A notification that becomes a dead letter.
pub(in crate::forward) struct ToBury {
    pub(in crate::forward) outgoing: Arc<Outgoing>,
    pub(in crate::forward) reason: Reason,
    pub(in crate::forward) attempts: u32,
    pub(in crate::forward) detail: String,
}

impl Window {
    pub(in crate::forward) fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            bytes: 0,
            sending: 0,
            refused: 0,
            closed: None,
        }
    }

    pub(in crate::forward) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(in crate::forward) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes of their rows in the log.
    pub(in crate::forward) fn row_bytes(&self) -> u64 {
        let rows = self.entries.values().map(|entry| entry.row_bytes);
        rows.fold(0, u64::saturating_add)
    }

    /// The first of them in the log.
    pub(in crate::forward) fn oldest(&self) -> Option<&Outgoing> {
        let (_, first) = self.entries.first_key_value()?;
        Some(&first.outgoing)
    }

    /// Whether an answer is awaited.
    pub(in crate::forward) fn is_sending(&self) -> bool {
        self.sending > 0
    }

    /// Whether one more may be sent.
    pub(in crate::forward) fn has_room(&self, now: Instant) -> bool {
        let fits = self.limits.fit(self.entries.len(), self.bytes);
        self.is_open(now) && (fits || self.may_probe())
    }

    /// Whether one more may be sent beyond the bounds, to find out whether the destination refuses
    /// everything.
    fn may_probe(&self) -> bool {
        // Before the count, because it usually ends at the first entry.
        self.entries.values().all(Entry::is_suspect) && self.beyond() < PROBES
    }

    /// How many of the entries would not have fitted after the ones before them.
    fn beyond(&self) -> usize {
        let mut bytes = 0_usize;
        let is_beyond = |(index, entry): &(usize, &Entry)| {
            let fits = self.limits.fit(*index, bytes);
            bytes = bytes.saturating_add(entry.bytes);
            !fits
        };
        self.entries.values().enumerate().filter(is_beyond).count()
    }

    /// Enters a notification that is sent now, with the length of its row.
    pub(in crate::forward) fn send(
        &mut self,
        ticket: Ticket,
        (outgoing, row_bytes): (Outgoing, u64),
        now: Instant,
    ) -> Arc<Outgoing> {
        let outgoing = Arc::new(outgoing);
        let bytes = outgoing.held_bytes();
        self.bytes = self.bytes.saturating_add(bytes);
        self.sending = self.sending.saturating_add(1);
        let is_probe = self.closed.is_some();
        let entry = Entry {
            outgoing: outgoing.clone(),
            bytes,
            row_bytes,
            state: State::Sending { is_probe },
            first_sent: now,
            failures: 0,
            refusals: 0,
            is_overtaken: false,
            last: None,
        };
        self.entries.insert(ticket, entry);
        outgoing
    }

    /// When the next one is to be sent again; `None` if none waits.
    pub(in crate::forward) fn due(&self) -> Option<Instant> {
        if self.sending == self.entries.len() {
            return None;
        }
        let waits = self.entries.values().filter_map(|entry| match entry.state {
            State::Waiting(until) => Some(until),
            State::Sending { .. } | State::Burying => None,
        });
        let first = waits.min()?;
        match &self.closed {
            // The answer to what is being sent opens the window, or sets the time until which it
            // stays closed.
            Some(_) if self.sending > 0 => None,
            Some(closed) => Some(first.max(closed.until)),
            None => Some(first),
        }
    }

    /// Returns the first one that is due, which is sent now.
    pub(in crate::forward) fn send_again(
        &mut self,
        now: Instant,
    ) -> Option<(Ticket, Arc<Outgoing>)> {
        if self.sending == self.entries.len() || !self.is_open(now) {
            return None;
        }
        let is_probe = self.closed.is_some();
        let is_due = |entry: &Entry| matches!(entry.state, State::Waiting(until) if until <= now);
        // In the order of the log, because the first open row keeps the cursor back.
        let (ticket, entry) = self.entries.iter_mut().find(|(_, entry)| is_due(entry))?;
        entry.state = State::Sending { is_probe };
        self.sending = self.sending.saturating_add(1);
        Some((*ticket, entry.outgoing.clone()))
    }

    /// Records a delivery. Returns the notification, and the earlier ones whose refusals are now a
    /// verdict on them: they become dead letters.
    pub(in crate::forward) fn delivered(
        &mut self,
        ticket: Ticket,
    ) -> (Option<Arc<Outgoing>>, Vec<Ticket>) {
        self.closed = None;
        let outgoing = self.take(ticket);
        let mut refused = Vec::new();
        if self.refused == 0 {
            return (outgoing, refused);
        }
        // Only earlier ones: the destination accepted something after it had refused them.
        for (earlier, entry) in self.entries.range_mut(..ticket) {
            entry.is_overtaken |= entry.refusals > 0;
            // One that is being sent may still be delivered.
            if entry.is_suspect() && entry.is_overtaken && matches!(entry.state, State::Waiting(_))
            {
                entry.state = State::Burying;
                refused.push(*earlier);
            }
        }
        (outgoing, refused)
    }

    /// Records a failure, and returns what follows.
    pub(in crate::forward) fn failed(
        &mut self,
        ticket: Ticket,
        failure: &Failure,
        now: Instant,
    ) -> Next {
        let limits = self.limits;
        let Some(entry) = self.entries.get_mut(&ticket) else {
            return Next::Again;
        };
        let was_probe = entry.state == State::Sending { is_probe: true };
        let was_refused = entry.refusals > 0;
        let next = entry.fail(failure, &limits, now);
        self.sending = self.sending.saturating_sub(1);
        let is_refused = entry.refusals > 0 && !was_refused;
        self.refused = self.refused.saturating_add(usize::from(is_refused));
        // A lost connection fails everything in flight at once. Only the first failure closes the
        // window, and only each probe after it doubles the wait.
        let is_first = matches!(failure, Failure::Down { .. }) && self.closed.is_none();
        if was_probe && matches!(failure, Failure::Poison { .. }) {
            // The verdict is on this notification: it does not show whether the destination is
            // back. Another one is sent at once instead of after a wait that the outage has
            // lengthened.
            if let Some(closed) = &mut self.closed {
                closed.until = now;
            }
        } else if was_probe || is_first {
            let failures = self.closed.as_ref().map_or(0, |closed| closed.failures);
            let failures = failures.saturating_add(1);
            let until = later(now, limits.backoff.wait(failures));
            self.closed = Some(Closed { failures, until });
        }
        next
    }

    /// A notification that becomes a dead letter, and why.
    pub(in crate::forward) fn to_bury(&self, ticket: Ticket) -> Option<ToBury> {
        let entry = self.entries.get(&ticket)?;
        let (reason, detail) = entry.last.clone()?;
        Some(ToBury {
            outgoing: entry.outgoing.clone(),
            reason,
            attempts: entry.failures,
            detail,
        })
    }

    /// The dead letter could not be written: the notification is sent again.
    pub(in crate::forward) fn not_buried(&mut self, ticket: Ticket, now: Instant) {
        // A full disk or a full file is not repaired within a short wait.
        let longest = self.limits.backoff.longest;
        if let Some(entry) = self.entries.get_mut(&ticket) {
            entry.state = State::Waiting(later(now, longest));
        }
    }

    /// Removes a notification that is settled.
    pub(in crate::forward) fn take(&mut self, ticket: Ticket) -> Option<Arc<Outgoing>> {
        let entry = self.entries.remove(&ticket)?;
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        self.refused = self.refused.saturating_sub(usize::from(entry.refusals > 0));
        if matches!(entry.state, State::Sending { .. }) {
            self.sending = self.sending.saturating_sub(1);
        }
        Some(entry.outgoing)
    }

    /// The first one that waits to be sent again, with the length of its row.
    pub(in crate::forward) fn first_waiting(&self) -> Option<(Ticket, &Outgoing, u64)> {
        let is_waiting = |entry: &Entry| matches!(entry.state, State::Waiting(_));
        let mut entries = self.entries.iter();
        let (ticket, entry) = entries.find(|(_, entry)| is_waiting(entry))?;
        Some((*ticket, &entry.outgoing, entry.row_bytes))
    }

    fn is_open(&self, now: Instant) -> bool {
        match &self.closed {
            Some(closed) => closed.until <= now && self.sending == 0,
            None => true,
        }
    }
}
