//! Hands accepted notifications on: one task, cursor and bound for each destination.
//!
//! It reads the endpoint log up to what is committed, and a [`Sink`] sends each [`Outgoing`]. Only
//! a sink makes a [`Delivered`], so nothing counts as delivered that no destination has
//! acknowledged. Delivery is at least once: what was in flight at a crash is sent again, under the
//! same id.

mod answers;
mod backoff;
mod condition;
mod condition_file;
mod condition_keeper;
mod content;
mod cursor;
mod dead_letters;
mod detail;
mod forwarder;
mod forwarders;
mod gate;
mod handover;
mod http;
mod identity;
mod letter;
mod meters;
mod nats;
mod outgoing;
mod pending;
mod reader;
mod run;
mod settings;
mod sink;
mod source;
mod subject;
#[cfg(test)]
mod tests;
mod thread;
mod vitals;
mod watermark;
mod window;

pub use self::http::{HttpSink, InvalidFile, examine_http, look_at_http};
pub use answers::{Answers, Forwarded, NotForwarded, Waiting};
pub use condition::{Condition, Phase};
pub use condition_file::{ConditionFile, NoCondition, SavedCondition};
pub use cursor::{Counts, CursorError, CursorFile, Gap, Progress};
pub use dead_letters::{DeadLetters, NotBuried};
pub use forwarder::{Forwarder, Gateway, StartError};
pub use forwarders::Forwarders;
pub use gate::Gate;
pub use handover::{Expected, Handover};
pub use identity::identity;
pub use letter::{DeadLetter, Verdict};
pub use meters::{Meters, Trouble};
pub(crate) use nats::CAN_SIGN;
pub use nats::{NatsSink, Observation, Weight, examine};
pub use outgoing::Outgoing;
pub use pending::{Oldest, Pending};
pub use settings::{
    Ack, Body, Create, Dedupe, Destination, HttpOptions, Login, NatsOptions, NewStream, Settings,
    StartAt, TlsOptions, WhenFull,
};
pub use sink::{Delivered, Failure, Reason, Sink};
pub use source::Source;
pub use subject::{InvalidTemplate, SubjectTemplate};
pub use thread::Thread;
pub use vitals::Vitals;
