//! What is due once a second: the summaries of the refusals that left nothing in the logs, and room
//! for pushes while space is scarce.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::journal::{AccessLine, Entry, Level, Place, Record, Space};
use crate::server::Endpoint;

const SECOND: Duration = Duration::from_secs(1);
const HINT: &str = "refusals exceeded logs.refused_rate, or free space is below logs.low_water. \
    The access log has a line for each within logs.refused_bytes, unless free space is below a \
    quarter of logs.low_water";
/// The status in the summary of access lines: no answer has it, so no peer can make a line that
/// looks like one.
const NO_STATUS: u16 = 0;

impl Endpoint {
    /// Begins the next second of [`RefusedRate`](crate::server::RefusedRate), and logs what was
    /// left out in the last one.
    pub fn log_left_out(&self) {
        self.refused.begin_second();
        // What space is left is for pushes only: the summaries follow once there is more.
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
            // An access line by its form, so that whatever reads those reads this one.
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

    /// Deletes unproved requests from quarantine while space is scarce: pushes need the room.
    fn give_back_room(&self) {
        if self.journal.health().space() == Space::Scarce {
            self.quarantine.give_back();
        }
    }
}

/// What is due once a second, until the stop: [`Endpoint::log_left_out`], and room for pushes
/// while space is scarce.
pub async fn look_after_each_second(endpoint: Arc<Endpoint>, stop: CancellationToken) {
    let mut second = tokio::time::interval(SECOND);
    while stop.run_until_cancelled(second.tick()).await.is_some() {
        endpoint.give_back_room();
        endpoint.log_left_out();
    }
}
