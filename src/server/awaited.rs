//! Tracks the bodies that are still to arrive for heads that MNS signed, one for each signature.
//!
//! Anyone who sees a head can copy it. So only the first connection that sends a head is treated as
//! MNS until its body has arrived; others that send the same head meanwhile are treated as
//! strangers.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The signatures of heads whose bodies are still to arrive. Holds at most one for each connection.
#[derive(Debug, Default)]
pub(super) struct AwaitedBodies(Mutex<HashSet<Vec<u8>>>);

/// A body that is still to arrive. Dropping it allows another connection to await the same body.
#[derive(Debug)]
pub(super) struct Awaited<'a> {
    of: &'a AwaitedBodies,
    signature: Vec<u8>,
}

impl AwaitedBodies {
    /// Registers a body. Returns `None` if another connection already awaits the body of this head.
    pub(super) fn begin(&self, signature: &[u8]) -> Option<Awaited<'_>> {
        self.lock().insert(signature.to_vec()).then(|| Awaited {
            of: self,
            signature: signature.to_vec(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        // Unregister on drop, so that a client that leaves before its body arrives does not block a
        // retry.
        self.of.lock().remove(&self.signature);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_body_is_awaited_for_a_head_and_another_one_after_it() {
        let bodies = AwaitedBodies::default();
        let first = bodies.begin(b"a").unwrap();
        assert!(bodies.begin(b"a").is_none() && bodies.begin(b"b").is_some());
        drop(first);
        assert!(bodies.begin(b"a").is_some());
    }
}
