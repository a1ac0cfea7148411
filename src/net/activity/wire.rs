//! Finds the end of a request in the bytes read, and how many bytes arrived after it.

use std::sync::atomic::{AtomicU64, Ordering};

/// The end of a head.
const HEAD_END: &[u8; 4] = b"\r\n\r\n";
/// The length is not announced.
const UNKNOWN: u64 = u64::MAX;

/// The position in the current request. Maintained until the connection has carried a verified
/// push, because after that nothing reads it.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// Bytes read since the first byte of the head.
    read: AtomicU64,
    /// The length of the head, in bytes; 0 until its end is read.
    head: AtomicU64,
    /// The last bytes that were read, the oldest in the highest place, because the end of a head
    /// may arrive in two reads.
    tail: AtomicU64,
    /// The announced length of the body, in bytes; [`UNKNOWN`] for a chunked body.
    body: AtomicU64,
}

impl Wire {
    /// The next bytes are the first of a request.
    pub(super) fn begin(&self) {
        for count in [&self.read, &self.head, &self.tail] {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// The next request arrived together with the last one, whose end is unknown. Returns the most
    /// that can have been read of it.
    pub(super) fn begin_behind(&self) -> u64 {
        let behind = self.behind();
        // `begin` sets the counts to 0, so they are read first.
        self.begin();
        self.read.store(behind, Ordering::Relaxed);
        behind
    }

    /// The head announces a body of this length, in bytes; `None` for a chunked body.
    pub(super) fn announce(&self, body: Option<u64>) {
        self.body.store(body.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// Counts bytes that were read. `is_head` until the head is complete.
    pub(super) fn note(&self, bytes: &[u8], is_head: bool) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let before = self.read.fetch_add(length, Ordering::Relaxed);
        if !is_head || self.head.load(Ordering::Relaxed) > 0 {
            return;
        }
        // The end of the head, up to three bytes of which may be in the previous read.
        // Four bytes at most are stored, so they always fit.
        let mut last = u32::try_from(self.tail.load(Ordering::Relaxed)).unwrap_or_default();
        for (at, byte) in (1..).zip(bytes) {
            last = (last << 8) | u32::from(*byte);
            if last == u32::from_be_bytes(*HEAD_END) {
                self.head
                    .store(before.saturating_add(at), Ordering::Relaxed);
                return;
            }
        }
        self.tail.store(u64::from(last), Ordering::Relaxed);
    }

    /// Returns how many bytes were read after the request that was answered, or all of them if the
    /// end of the request is not known.
    pub(super) fn behind(&self) -> u64 {
        let [read, head, body] =
            [&self.read, &self.head, &self.body].map(|count| count.load(Ordering::Relaxed));
        if head > 0 {
            // The sum overflows for a chunked body: its end is not known.
            head.checked_add(body)
                .map_or(read, |end| read.saturating_sub(end))
        } else {
            read
        }
    }
}
