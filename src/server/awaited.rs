//! The bodies that are awaited for heads that MNS signed, one for each head.
//!
//! Anyone who sees a head can copy it. So the first connection that brings it counts as MNS's until
//! its body has come; those that bring the same meanwhile count as strangers'.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The signatures of heads whose bodies are still to come. As many at most as there are
/// connections.
#[derive(Debug, Default)]
pub(super) struct AwaitedBodies(Mutex<HashSet<Vec<u8>>>);

/// A body that is awaited. Dropped when it has come, or is given up.
#[derive(Debug)]
pub(super) struct Awaited<'a> {
    of: &'a AwaitedBodies,
    signature: Vec<u8>,
}

impl AwaitedBodies {
    /// `None` if the body of the same head is awaited already.
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
