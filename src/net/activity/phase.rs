//! The phases of a connection.

use strum::FromRepr;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRepr)]
#[repr(u8)]
pub(in crate::net) enum Phase {
    /// Nothing has arrived yet, except a PROXY header or the TLS handshake.
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
    /// The request is complete. Whether MNS sent it is not known yet: its certificate is being
    /// fetched.
    Whole,
    /// It is a push that is meant for us, and it waits for the disk.
    Commit,
    /// The answer is a stream that has not ended.
    Stream,
    /// The answer is ready, and the peer has not read all of it.
    Answer,
    /// The last answer is sent. Whatever still arrives is discarded.
    Closing,
}
