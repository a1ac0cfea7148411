//! The stream: whether it is there if nobody answers, what it is made like, and whether it has a
//! message.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, LastRawMessageErrorKind};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::info;

use crate::forward::nats::answer::{down, retry};
use crate::forward::nats::connection::Connection;
use crate::forward::subject::shard;
use crate::forward::{
    Create, Dedupe, Delivered, Failure, NatsOptions, NewStream, Reason, SubjectTemplate,
};
use crate::report::Report;

/// The placeholder for the number of a shard in the name of a stream.
const SHARD: &str = "{shard}";
/// How long a look at a stream, or its creation, may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// The least time between two looks at a stream, however many messages get no answer.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The streams of a destination: one, or one for each shard.
pub(super) struct Streams {
    name: String,
    create: Create,
    dedupe: Dedupe,
    subject: SubjectTemplate,
    shards: u32,
    /// When each stream was looked at last, and what was found.
    looks: Mutex<HashMap<String, (Instant, Failure)>>,
}

impl Streams {
    pub(super) fn new(options: &NatsOptions) -> Self {
        Self {
            name: options.stream.clone(),
            create: options.create.clone(),
            dedupe: options.dedupe,
            subject: options.subject.clone(),
            shards: options.shards,
            looks: Mutex::default(),
        }
    }

    /// The shard of an id, if each shard has its own stream.
    fn shard(&self, id: &str) -> Option<u32> {
        self.name.contains(SHARD).then(|| shard(id, self.shards))
    }

    /// The name of the stream of an id.
    pub(super) fn name(&self, id: &str) -> String {
        self.name_of(self.shard(id))
    }

    fn name_of(&self, shard: Option<u32>) -> String {
        match shard {
            Some(shard) => self.name.replace(SHARD, &shard.to_string()),
            None => self.name.clone(),
        }
    }

    /// Each stream with the pattern that its subjects must cover.
    pub(super) fn all(&self) -> impl Iterator<Item = (String, String)> {
        let one = (!self.name.contains(SHARD)).then_some(None);
        let each = (0..self.shards)
            .map(Some)
            .take_while(move |_| one.is_none());
        let shards = one.into_iter().chain(each);
        shards.map(|shard| (self.name_of(shard), self.subject.pattern(shard)))
    }

    /// Finds out why nobody answered on a subject. Creates the stream if it is missing and `create`
    /// says so.
    pub(super) async fn absence(
        &self,
        connection: &Connection,
        id: &str,
        subject: &str,
    ) -> Failure {
        let name = self.name(id);
        // Held during the look, so that messages that wait here find its result instead of asking
        // too.
        let mut looks = self.looks.lock().await;
        if let Some((at, failure)) = looks.get(&name)
            && at.elapsed() < LOOK_INTERVAL
        {
            return failure.clone();
        }
        let look = self.look(connection, &name, id, subject);
        let failure = timeout(LOOK_TIMEOUT, look).await.unwrap_or_else(|_late| {
            retry(
                Reason::NoResponders,
                "nobody answers, also not on whether there is a stream",
            )
        });
        looks.insert(name, (Instant::now(), failure.clone()));
        failure
    }

    async fn look(&self, connection: &Connection, name: &str, id: &str, subject: &str) -> Failure {
        let asked = format!("$JS.API.STREAM.INFO.{name}");
        let found = connection.context.get_stream(name);
        let error = match connection.unless_refused(&asked, found).await {
            Ok(Ok(stream)) => return of_stream(stream.cached_info(), subject),
            Ok(Err(error)) => error,
            // Only the permission to ask is missing. Publishing may still be permitted.
            Err(failure) => return retry(Reason::NoResponders, failure.detail()),
        };
        match error.kind() {
            GetStreamErrorKind::JetStream(said)
                if said.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                match &self.create {
                    Create::Off => down(
                        Reason::StreamMissing,
                        &format!("there is no stream {name}: make it, or set create = \"missing\""),
                    ),
                    Create::Missing(new) => self.make(connection, name, id, new).await,
                }
            }
            GetStreamErrorKind::JetStream(_)
            | GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::InvalidStreamName => {
                retry(Reason::NoResponders, &Report(&error).to_string())
            }
        }
    }

    /// Creates a stream. On success the returned failure has the message sent again at once.
    async fn make(
        &self,
        connection: &Connection,
        name: &str,
        id: &str,
        new: &NewStream,
    ) -> Failure {
        let asked = format!("$JS.API.STREAM.CREATE.{name}");
        let made = connection.context.create_stream(self.config(name, id, new));
        let error = match connection.unless_refused(&asked, made).await {
            Ok(Ok(_stream)) => {
                info!(stream = name, "Made the stream");
                return made_now();
            }
            Ok(Err(error)) => error,
            Err(failure) => return failure,
        };
        match error.kind() {
            // Another replica was faster. If it has other settings, they stay in effect.
            CreateStreamErrorKind::JetStream(said)
                if said.error_code() == ErrorCode::STREAM_NAME_EXIST =>
            {
                made_now()
            }
            CreateStreamErrorKind::TimedOut => {
                retry(Reason::NoResponders, "the stream was not made in time")
            }
            CreateStreamErrorKind::JetStream(_)
            | CreateStreamErrorKind::EmptyStreamName
            | CreateStreamErrorKind::InvalidStreamName
            | CreateStreamErrorKind::DomainAndExternalSet
            | CreateStreamErrorKind::JetStreamUnavailable
            | CreateStreamErrorKind::Response
            | CreateStreamErrorKind::NotFound
            | CreateStreamErrorKind::ResponseParse => down(
                Reason::StreamMissing,
                &format!("cannot make the stream {name}: {}", Report(&error)),
            ),
        }
    }

    fn config(&self, name: &str, id: &str, new: &NewStream) -> Config {
        let is_by_subject = self.dedupe == Dedupe::Subject;
        let bytes = new.max_bytes.and_then(|bytes| i64::try_from(bytes).ok());
        Config {
            name: name.to_owned(),
            subjects: vec![self.subject.pattern(self.shard(id))],
            num_replicas: new.replicas,
            max_age: new.max_age.unwrap_or_default(),
            // -1 is JetStream's value for no limit.
            max_bytes: bytes.unwrap_or(-1),
            duplicate_window: new.duplicate_window,
            // A full stream rejects messages, which then wait in the log. The other policy deletes
            // messages that nobody has read.
            discard: DiscardPolicy::New,
            max_messages_per_subject: if is_by_subject { 1 } else { -1 },
            discard_new_per_subject: is_by_subject,
            allow_direct: true,
            ..Config::default()
        }
    }
}

fn made_now() -> Failure {
    Failure::Retry {
        reason: Reason::NoResponders,
        after: Some(Duration::ZERO),
        detail: "the stream has just been made".to_owned(),
    }
}

/// Why nobody answers although there is a stream.
fn of_stream(info: &Info, subject: &str) -> Failure {
    let name = &info.config.name;
    if !info
        .config
        .subjects
        .iter()
        .any(|pattern| covers(pattern, subject))
    {
        let subjects = info.config.subjects.join(", ");
        let text = format!("the stream {name} takes {subjects}, which does not cover {subject}");
        return down(Reason::StreamMissing, &text);
    }
    retry(
        Reason::NoResponders,
        &format!("the stream {name} has no leader at the moment"),
    )
}

/// Whether a pattern with `*` and `>` covers a subject.
pub(super) fn covers(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in pattern.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            (_, Some(_) | None) => return false,
        }
    }
    tokens.next().is_none()
}

/// Asks whether a message with a subject is stored. What the leader of the stream returns is stored
/// on a majority.
///
/// # Errors
/// It is not stored, or that cannot be determined.
pub(super) async fn is_stored(
    connection: &Connection,
    name: &str,
    subject: &str,
) -> Result<Delivered, Failure> {
    let asked = format!("$JS.API.STREAM.MSG.GET.{name}");
    // Without a look at the stream, which needs one more answer and another permission.
    let stream = connection.context.get_stream_no_info(name).await;
    let stream = stream.map_err(|error| retry(Reason::NoAnswer, &Report(&error).to_string()))?;
    // Not a direct get, which any replica answers, perhaps before it has the message.
    let found = stream.get_last_raw_message_by_subject(subject);
    let error = match connection.unless_refused(&asked, found).await? {
        Ok(_message) => return Ok(Delivered::duplicate()),
        Err(error) => error,
    };
    Err(match error.kind() {
        LastRawMessageErrorKind::NoMessageFound => retry(
            Reason::InProcess,
            "the first message with this subject is not stored yet",
        ),
        LastRawMessageErrorKind::InvalidSubject
        | LastRawMessageErrorKind::JetStream(_)
        | LastRawMessageErrorKind::Other => retry(Reason::NoAnswer, &Report(&error).to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_its_wildcards_stand_for() {
        let cases = [
            ("mns.>", "mns.1.T.x", true),
            ("mns.>", "mns", false),
            ("mns.*.*", "mns.1.T", true),
            ("mns.*.*", "mns.1.T.x", false),
            ("mns.*.*", "mns.1", false),
            ("mns.1", "mns.1", true),
            ("mns.1", "mns.2", false),
            (">", "a", true),
        ];
        for (pattern, subject, expected) in cases {
            assert_eq!(covers(pattern, subject), expected, "{pattern} {subject}");
        }
    }
}
