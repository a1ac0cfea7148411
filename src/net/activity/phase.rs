//! The phases of a connection.

use strum::FromRepr;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRepr)]
#[repr(u8)]
pub(in crate::net) enum Phase {
    /// Nothing has arrived yet, except what a proxy or TLS says first.
    Opening,
    /// Nothing of the next request has arrived.
    Idle,
    /// A request is answered, and more bytes had arrived with it: the start of the next head, or
    /// only line breaks.
    Behind,
    /// A part of a head has arrived.
    Head,
    /// A head is complete; its body may still be incomplete.
    Body,
    /// The request is complete, and it is not known yet whether MNS sent it: its certificate is
    /// being fetched.
    Whole,
    /// It is a push that is meant for us and waits for the disk.
    Commit,
    /// The answer is a stream that has not ended.
    Stream,
    /// The answer is ready; the peer has not taken all of it.
    Answer,
    /// The last answer is sent; whatever still arrives is discarded.
    Closing,
}
