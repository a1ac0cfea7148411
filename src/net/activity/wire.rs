//! Finds the end of a request in the bytes read, and so how much arrived behind it.

use std::sync::atomic::{AtomicU64, Ordering};

/// What ends a head.
const HEAD_END: &[u8; 4] = b"\r\n\r\n";
/// A length that is not announced.
const UNKNOWN: u64 = u64::MAX;

/// The position in the current request. Maintained until the connection has carried a verified
/// push: after that nobody asks.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// Since the first byte of the head, in bytes.
    read: AtomicU64,
    /// The length of the head, in bytes; 0 until its end is read.
    head: AtomicU64,
    /// The last bytes that were read, oldest in the highest place: the end of a head may arrive in
    /// two reads.
    tail: AtomicU64,
    /// The body as announced, in bytes; [`UNKNOWN`] in chunks.
    body: AtomicU64,
}

impl Wire {
    /// The next bytes are the first of a request.
    pub(super) fn begin(&self) {
        for count in [&self.read, &self.head, &self.tail] {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// The next request arrived with the last one, and its end is unknown. Returns the most that
    /// was read of it.
    pub(super) fn begin_behind(&self) -> u64 {
        let behind = self.behind();
        self.begin();
        self.read.store(behind, Ordering::Relaxed);
        behind
    }

    /// The head announces a body of this length, in bytes; `None` in chunks.
    pub(super) fn announce(&self, body: Option<u64>) {
        self.body.store(body.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// Bytes were read; `is_head` while the head is not complete.
    pub(super) fn note(&self, bytes: &[u8], is_head: bool) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let before = self.read.fetch_add(length, Ordering::Relaxed);
        if !is_head || self.head.load(Ordering::Relaxed) > 0 {
            return;
        }
        // The end of the head, with up to three of its bytes in the read before.
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

    /// Returns how much was read behind the request that was answered, in bytes; all of it if the
    /// end of the request is not known.
    pub(super) fn behind(&self) -> u64 {
        let [read, head, body] =
            [&self.read, &self.head, &self.body].map(|count| count.load(Ordering::Relaxed));
        if head > 0 {
            head.checked_add(body)
                .map_or(read, |end| read.saturating_sub(end))
        } else {
            read
        }
    }
}
