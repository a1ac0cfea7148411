//! What the last look at the files found, and whether a change has settled.

/// What the last look found, if that is not in use yet. The inner `None`: the files could not be
/// read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LastLook {
    last: Option<Option<u64>>,
    is_reported: bool,
}

impl LastLook {
    /// Returns `true` when the same was found twice in a row for the first time.
    pub(super) fn settles(&mut self, found: Option<u64>) -> bool {
        if self.last != Some(found) {
            *self = Self {
                last: Some(found),
                is_reported: false,
            };
            return false;
        }
        !std::mem::replace(&mut self.is_reported, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_it_has_settled_and_is_reported_once() {
        let mut last_look = LastLook::default();
        let looks = [
            Some(1),
            Some(2),
            Some(2),
            Some(2),
            None,
            None,
            None,
            Some(2),
            Some(2),
        ];
        let settled = looks.map(|found| last_look.settles(found));
        assert_eq!(
            settled,
            [false, false, true, false, false, true, false, false, true]
        );
    }
}
