//! Verifies a log: every record must be complete, and the two records of a push adjacent. Times
//! that go back are only counted.
//!
//! There are no checksums, so a changed byte is found only if it breaks the format: NUL and other
//! control characters, invalid UTF-8, a missing end, a request without its outcome, an outcome
//! without its request. A changed letter is not found.

use std::io::{self, BufRead};

use crate::journal::Log;
use crate::journal::read::parsed::{Kind, parse};
use crate::journal::read::records::{Found, Records};
use crate::journal::read::verdict::{PROBLEMS_MAX, Verdict};

/// Verifies one file from its beginning to its end.
///
/// # Errors
/// The file cannot be read.
pub fn verify(log: Log, input: impl BufRead) -> io::Result<Verdict> {
    let mut records = Records::new(log, input);
    let mut verdict = Verdict::default();
    let mut pairs = Pairs::default();
    let mut last_time = None;
    loop {
        let offset = verdict.len;
        let (record, found) = match records.read()? {
            Found::Whole(record) => (record, parse(log, record)),
            Found::Damaged(record, damage) => (record, Err(damage.to_string())),
            Found::Torn(rest) => {
                verdict.torn_bytes = length(rest);
                verdict.len = offset.saturating_add(verdict.torn_bytes);
                break;
            }
            Found::End => break,
        };
        verdict.records = verdict.records.saturating_add(1);
        verdict.len = offset.saturating_add(length(record));
        match found {
            Ok(parsed) => {
                verdict.count(&parsed, &mut last_time);
                pairs.next(&mut verdict, parsed.kind, offset);
            }
            Err(problem) => {
                verdict.complain(offset, problem);
                // Do not report the neighbours of the damage too: the damaged record may have been
                // the other record of their push.
                pairs.last = Before::Damage;
            }
        }
    }
    if let Before::Request(offset) = pairs.last {
        verdict.without_outcome = verdict.without_outcome.saturating_add(1);
        verdict.pending_request = Some(offset);
    }
    pairs.end_run(&mut verdict);
    // Sort, because an outcome without its request is reported only at the end of its run of
    // `serve`.
    verdict.problems.sort();
    verdict.problems.truncate(PROBLEMS_MAX);
    Ok(verdict)
}

/// Checks that the two records of each push are adjacent, unless `logs.request` is off. That
/// setting may change between two runs of `serve`, so an outcome without a request is a problem
/// only if the same run has logged requests.
#[derive(Default)]
struct Pairs {
    last: Before,
    /// Whether the current run of `serve` logs requests.
    has_requests: bool,
    /// The offsets of the outcomes without their request, in the current run of `serve`.
    alone: Vec<u64>,
}

/// What precedes a record.
#[derive(Default, Clone, Copy)]
enum Before {
    #[default]
    Other,
    /// A request that begins at this offset.
    Request(u64),
    /// Damage, which may have been anything.
    Damage,
}

impl Pairs {
    fn next(&mut self, verdict: &mut Verdict, kind: Kind, offset: u64) {
        let is_outcome = matches!(kind, Kind::Accepted | Kind::Duplicate);
        match self.last {
            Before::Other if is_outcome && self.alone.len() < PROBLEMS_MAX => {
                self.alone.push(offset)
            }
            Before::Request(_) if matches!(kind, Kind::Start | Kind::Recovered) => {
                verdict.without_outcome = verdict.without_outcome.saturating_add(1);
            }
            Before::Request(request) if !is_outcome => {
                verdict.complain(
                    request,
                    "it is a request, but its outcome does not follow".to_owned(),
                );
            }
            Before::Other | Before::Request(_) | Before::Damage => {}
        }
        if kind == Kind::Start {
            self.end_run(verdict);
        }
        self.last = Before::Other;
        if kind == Kind::Request {
            self.last = Before::Request(offset);
            self.has_requests = true;
        }
    }

    fn end_run(&mut self, verdict: &mut Verdict) {
        for offset in self.alone.drain(..).filter(|_| self.has_requests) {
            verdict.complain(
                offset,
                "it is an outcome, but its request does not precede it".to_owned(),
            );
        }
        self.has_requests = false;
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::read::accepted;
    use crate::journal::record::{DUPLICATE, RECOVERED, SUCCEED};

    const REQUEST: &str = "[2026-11-24 10:00:00] [root] [INFO] [receive.rs:1] [1] Headers:host: \
        x\n    a: [b]\nPeer: y\n\n";
    const LINE: &str =
        "[24/Nov/2026 10:00:00]\"POST\" \"201\" \"/\" \"HTTP/1.1\" \"1\" \"x\" \"y\" \"z\" \"v\"\n";

    fn outcome(title: &str, time: &str) -> String {
        let name = format!("{:<30}", "MessageId");
        format!("[2026-11-24 {time}] [root] [INFO] [receive.rs:2] [1] {title}\n{name}: 1\n\n")
    }

    fn of(log: Log, text: &str) -> Verdict {
        verify(log, text.as_bytes()).unwrap()
    }

    #[test]
    fn a_sound_log_is_counted() {
        let [first, second, third] =
            [SUCCEED, DUPLICATE, RECOVERED].map(|title| outcome(title, "10:00:00"));
        let text = [REQUEST, &first, REQUEST, &second, &third].concat();
        let verdict = of(Log::Endpoint, &text);
        assert_eq!(verdict.problems, []);
        let counts = [
            verdict.records,
            verdict.accepted,
            verdict.duplicates,
            verdict.recovered,
        ];
        assert_eq!(counts, [5, 1, 1, 1]);
        assert_eq!((verdict.without_outcome, verdict.torn_bytes), (0, 0));
        let access = of(Log::Access, &LINE.repeat(3));
        assert_eq!(
            (access.records, access.accepted, access.problems_count),
            (3, 3, 0)
        );
    }

    #[test]
    fn every_byte_that_breaks_the_form_is_reported_with_its_place() {
        let whole = outcome(SUCCEED, "10:00:00");
        for (broken, expected) in [
            (
                whole.replace("MessageId", "Me\0sageId"),
                "control characters",
            ),
            (whole.replace("[root]", "root"), "not have five fields"),
            (whole.replace("10:00:00", "10:00:99"), "its time is invalid"),
            (whole.replace("[2026", "2026"), "it has no time"),
            (whole.replace("MessageId", "MassageId"), "no attribute"),
            (
                [whole.trim_end(), "\n", &whole].concat(),
                "another record begins within it",
            ),
            (
                [whole.trim_end(), "\nJ", &whole].concat(),
                "its end is missing",
            ),
            (
                whole.replace("MessageId ", "MessageId?"),
                "one of its lines does not belong in a record",
            ),
            ("{\"event\":1}\n".to_owned(), "it has no time"),
            ("{no}\n".to_owned(), "not a JSON object"),
        ] {
            let verdict = of(Log::Endpoint, &[&whole, broken.as_str(), &whole].concat());
            let (offset, problem) = verdict.problems.first().unwrap();
            assert_eq!(*offset, whole.len() as u64, "{expected}");
            assert!(problem.contains(expected), "{problem} has no {expected}");
            assert_eq!(verdict.problems_count, 1);
        }
        let half = of(Log::Access, &[LINE, LINE.split_at(50).0, LINE].concat());
        assert_eq!(half.problems_count, 1);
    }

    #[test]
    fn a_torn_end_a_request_alone_before_it_and_a_clock_set_back_are_no_problems() {
        let first = outcome(SUCCEED, "10:00:30");
        let text = [
            REQUEST,
            &first,
            REQUEST,
            &outcome(SUCCEED, "10:00:25"),
            REQUEST,
            "[2026",
        ]
        .concat();
        let verdict = of(Log::Endpoint, &text);
        assert_eq!(verdict.problems, []);
        assert_eq!(
            (
                verdict.torn_bytes,
                verdict.without_outcome,
                verdict.set_back
            ),
            (5, 1, 2)
        );
    }

    #[test]
    fn a_lost_half_of_a_pair_is_reported_unless_a_crash_or_the_settings_explain_it() {
        let done = outcome(SUCCEED, "10:00:00");
        let again = outcome(DUPLICATE, "10:00:00");
        let taken = outcome(RECOVERED, "10:00:00");
        let start = "[2026-11-24 10:00:00] [root] [INFO] [serve.rs:1] [1] Start Endpoint! Address: \
            http://x\n\n";
        let [done, again, taken] = [&done, &again, &taken].map(String::as_str);
        let pair = [REQUEST, done].concat();
        let pair = pair.as_str();
        for (text, problems, without_outcome) in [
            ([pair, REQUEST, again, taken].concat(), 0, 0),
            // A request without its outcome, or an outcome without its request.
            ([REQUEST, pair].concat(), 1, 0),
            ([pair, done].concat(), 1, 0),
            ([again, pair, taken].concat(), 1, 0),
            // A crash, and the records after it.
            ([pair, REQUEST, start, pair].concat(), 0, 1),
            ([pair, REQUEST, taken, start, pair].concat(), 0, 1),
            ([pair, REQUEST].concat(), 0, 1),
            // `logs.request` was off and is on again.
            ([done, again, start, pair].concat(), 0, 0),
            ([start, pair, start, done].concat(), 0, 0),
            // The damaged record may have been the request or the outcome, and is reported once.
            (
                [pair, &REQUEST.replace("Peer", "Pe\0r"), done].concat(),
                1,
                0,
            ),
            (
                [REQUEST, &done.replace("Mess", "M\0ss"), pair].concat(),
                1,
                0,
            ),
        ] {
            let verdict = of(Log::Endpoint, &text);
            assert_eq!(
                (verdict.problems.len(), verdict.without_outcome),
                (problems, without_outcome),
                "{text}"
            );
        }
        let mut finished = of(Log::Endpoint, &[pair, REQUEST, "[2026"].concat());
        finished.finish();
        let places: Vec<u64> = finished
            .problems
            .iter()
            .map(|(offset, _)| *offset)
            .collect();
        assert_eq!(
            places,
            [pair.len() as u64, (pair.len() + REQUEST.len()) as u64]
        );
        assert_eq!((finished.problems_count, finished.without_outcome), (2, 0));
    }

    #[test]
    fn an_identity_that_is_there_and_empty_is_one() {
        let empty = |name: &str| format!("{name:<30}: \n");
        let names = ["TopicOwner", "TopicName", "SubscriptionName", "MessageId"];
        let text = outcome(SUCCEED, "10:00:00").replace(
            &format!("{:<30}: 1\n", "MessageId"),
            &names.map(empty).concat(),
        );
        let json = "{\"time\":\"2026-11-24T10:00:00Z\",\
            \"event\":\"Notify Message Succeed!\",\"MessageId\":\"\"}\n";
        for record in [text.as_str(), json] {
            let verdict = of(Log::Endpoint, record);
            assert_eq!(
                (verdict.problems, verdict.accepted),
                (vec![], 1),
                "{record}"
            );
            assert_eq!(accepted(record.as_bytes()).unwrap().parts(), [&b""[..]; 4]);
        }
    }
}
