//! What is in flight: notifications that were sent, or wait to be sent again, and what becomes of
//! one that fails.
//!
//! A refusal is no verdict on a notification while everything is refused: it is one only after a
//! later notification was delivered. Nothing here waits, sends or asks for the time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::forward::watermark::Ticket;
use crate::forward::window::entry::{Entry, Limits, Next, State, later};
use crate::forward::{Failure, Outgoing, Reason};

/// How many more are sent while all in the window have been refused so often: one that is delivered
/// shows that the destination is not at fault.
pub(super) const PROBES: usize = 16;

/// What is in flight.
#[derive(Debug)]
pub(in crate::forward) struct Window {
    pub(super) limits: Limits,
    entries: BTreeMap<Ticket, Entry>,
    bytes: usize,
    sending: usize,
    /// Those that have been refused: mostly none, so that nothing is looked through.
    refused: usize,
    closed: Option<Closed>,
}

/// The destination takes nothing.
#[derive(Debug)]
struct Closed {
    failures: u32,
    until: Instant,
}

/// One that is to become a dead letter.
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
        let limit = if self.entries.values().all(Entry::is_suspect) {
            self.limits.notifications.saturating_add(PROBES)
        } else {
            self.limits.notifications
        };
        self.is_open(now) && self.entries.len() < limit && self.bytes < self.limits.bytes
    }

    /// Enters one that is sent now, with the length of its row.
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
            // The answer to what is sent opens it, or says until when it stays closed.
            Some(_) if self.sending > 0 => None,
            Some(closed) => Some(first.max(closed.until)),
            None => Some(first),
        }
    }

    /// The first one whose time has come, which is sent now.
    pub(in crate::forward) fn send_again(
        &mut self,
        now: Instant,
    ) -> Option<(Ticket, Arc<Outgoing>)> {
        if self.sending == self.entries.len() || !self.is_open(now) {
            return None;
        }
        let is_probe = self.closed.is_some();
        let is_due = |entry: &Entry| matches!(entry.state, State::Waiting(until) if until <= now);
        let (ticket, entry) = self.entries.iter_mut().find(|(_, entry)| is_due(entry))?;
        entry.state = State::Sending { is_probe };
        self.sending = self.sending.saturating_add(1);
        Some((*ticket, entry.outgoing.clone()))
    }

    /// It was delivered. Returns it with those that this shows to be refused for themselves, which
    /// are to become dead letters.
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
        for (earlier, entry) in self.entries.range_mut(..ticket) {
            entry.is_overtaken |= entry.refusals > 0;
            if entry.is_suspect() && entry.is_overtaken && matches!(entry.state, State::Waiting(_))
            {
                entry.state = State::Burying;
                refused.push(*earlier);
            }
        }
        (outgoing, refused)
    }

    /// It was not delivered.
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
        if was_probe || matches!(failure, Failure::Down { .. }) && self.closed.is_none() {
            let failures = self.closed.as_ref().map_or(0, |closed| closed.failures);
            let failures = failures.saturating_add(1);
            let until = later(now, limits.backoff.wait(failures));
            self.closed = Some(Closed { failures, until });
        }
        next
    }

    /// One that is to become a dead letter, and why.
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

    /// It could not become a dead letter yet: it is sent again.
    pub(in crate::forward) fn not_buried(&mut self, ticket: Ticket, now: Instant) {
        let longest = self.limits.backoff.longest;
        if let Some(entry) = self.entries.get_mut(&ticket) {
            entry.state = State::Waiting(later(now, longest));
        }
    }

    /// It is settled: it takes no room any more.
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
