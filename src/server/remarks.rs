//! What is unusual about an accepted notification.
//!
//! A push can have several remarks. All are counted, and all are logged, in one field.

use crate::journal::Level;
use crate::mns::Notification;
use crate::server::reason::Reason;
use crate::trust::Timeliness;

/// Separates the keys of several remarks.
const SEPARATOR: &str = ",";

/// The remarks on one notification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Remarks {
    is_late: bool,
    has_another_md5: bool,
}

impl Remarks {
    pub(super) fn of(notification: &Notification<'_>, timeliness: Timeliness) -> Self {
        Self {
            is_late: timeliness == Timeliness::Late,
            has_another_md5: !notification.message_md5_holds(),
        }
    }

    /// Whether the date is so old that it is probably that of an earlier attempt; our clock may
    /// also be wrong.
    pub(super) fn is_late(self) -> bool {
        self.is_late
    }

    /// The remarks, warnings first, so that a reader who looks only at the start of the field sees
    /// the one that matters.
    pub(super) fn reasons(self) -> impl Iterator<Item = Reason> {
        let late = self.is_late.then_some(Reason::DateLate);
        late.into_iter()
            .chain(self.has_another_md5.then_some(Reason::MessageMd5Mismatch))
    }

    /// The value of `Reason`; `None` without a remark.
    pub(super) fn text(self) -> Option<String> {
        let keys: Vec<&str> = self.reasons().map(Reason::key).collect();
        (!keys.is_empty()).then(|| keys.join(SEPARATOR))
    }

    /// The level of the outcome. A `MessageMD5` that differs is normal: MNS computes it differently
    /// if the message has user properties (protocol.md 1.4).
    pub(super) fn level(self) -> Level {
        if self.is_late {
            Level::Warning
        } else {
            Level::Info
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_remark_is_its_key_and_several_are_all_of_theirs_with_the_warning_first() {
        for (is_late, has_another_md5, text, level) in [
            (false, false, None, Level::Info),
            (true, false, Some("date_late"), Level::Warning),
            (false, true, Some("message_md5_mismatch"), Level::Info),
            (
                true,
                true,
                Some("date_late,message_md5_mismatch"),
                Level::Warning,
            ),
        ] {
            let remarks = Remarks {
                is_late,
                has_another_md5,
            };
            assert_eq!((remarks.text().as_deref(), remarks.level()), (text, level));
        }
    }
}
