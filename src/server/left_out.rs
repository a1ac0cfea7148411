//! Runs once a second: logs a summary of the refusals that were not logged, and frees room for
//! pushes while space is scarce.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::journal::{AccessLine, Entry, Level, Place, Record, Space};
use crate::server::Endpoint;

const SECOND: Duration = Duration::from_secs(1);
const HINT: &str = "refusals exceeded logs.refused_rate, or free space is below logs.low_water. \
    The access log still has a line for each refusal, unless logs.refused_bytes is used up or free \
    space is below a quarter of logs.low_water";
/// The status in the summary's access line. No answer has it, so no peer can cause a line that
/// looks like a summary.
const NO_STATUS: u16 = 0;

impl Endpoint {
    /// Starts the next second of [`RefusedRate`](crate::server::RefusedRate), and logs how many
    /// refusals were left out of the logs in the last second.
    pub fn log_left_out(&self) {
        // Renew the budgets first, even if nothing can be logged now.
        self.refused.begin_second();
        // The remaining space is reserved for pushes. The counts are kept, and logged once space is
        // no longer scarce.
        if self.journal.health().space() == Space::Scarce {
            return;
        }
        let (records, lines) = (
            self.refused.records_left_out.take(),
            self.refused.lines_left_out.take(),
        );
        let (stamp, mut entry) = (self.stamps.at(self.clock.now()), Entry::default());
        if records > 0 {
            let count = records.to_string();
            let record = Record {
                stamp: &stamp,
                level: Level::Warning,
                place: Place::LeftOut,
                title: Some("Refusals Left Out!"),
                attributes: &[("Count", count.as_bytes()), ("Hint", HINT.as_bytes())],
                request: None,
            };
            record.write(&mut entry.endpoint, self.settings.format);
        }
        if lines > 0 {
            // The summary has the form of an access line, so that a parser of the access log
            // accepts it.
            let target = format!("refusals-left-out={lines}");
            let line = AccessLine {
                stamp: &stamp,
                method: b"-",
                status: NO_STATUS,
                target: target.as_bytes(),
                version: "-",
                content_length: None,
                host: None,
                user_agent: None,
                request_id: None,
                mns_version: None,
                peer: None,
                duration: None,
                reason: None,
                message_id: None,
            };
            line.write(
                &mut entry.access,
                self.settings.format,
                &self.settings.access_fields,
            );
        }
        if records > 0 || lines > 0 {
            self.journal.offer(entry);
        }
    }

    /// While space is scarce, frees space for pushes: deletes requests from the quarantine (the
    /// directory of refused requests), but only those that are not proved to be from MNS.
    fn give_back_room(&self) {
        if self.journal.health().space() == Space::Scarce {
            self.quarantine.give_back();
        }
    }
}

/// Calls [`Endpoint::log_left_out`] and frees room for pushes once a second, until `stop`.
pub async fn look_after_each_second(endpoint: Arc<Endpoint>, stop: CancellationToken) {
    let mut second = tokio::time::interval(SECOND);
    while stop.run_until_cancelled(second.tick()).await.is_some() {
        endpoint.give_back_room();
        endpoint.log_left_out();
    }
}
