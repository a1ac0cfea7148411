//! How a destination is forwarded to: a checked `[forward.NAME]` table.

use std::path::PathBuf;
use std::time::Duration;

use crate::forward::SubjectTemplate;

/// One destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name: in the cursor's file name, in metrics and in commands.
    pub name: String,
    /// What a 201 waits for.
    pub ack: Ack,
    /// The position at which a new cursor starts.
    pub start: StartAt,
    /// The topics that are forwarded; empty for all.
    pub topics: Vec<String>,
    /// How many notifications may be in flight.
    pub in_flight: usize,
    /// How many bytes of them.
    pub in_flight_bytes: usize,
    /// How far the log may be ahead of the cursor, in bytes.
    pub max_backlog_bytes: Option<u64>,
    /// How old the oldest notification that is not delivered may be.
    pub max_backlog_age: Option<Duration>,
    /// What happens at either bound.
    pub when_full: WhenFull,
    /// For how long a notification is sent without success before it becomes a dead letter.
    pub give_up: Option<Duration>,
    /// How large the file of dead letters may become, in bytes.
    pub dead_letters_bytes_max: u64,
    /// What a message has as its body.
    pub body: Body,
    /// The destination.
    pub destination: Destination,
}

/// What a 201 waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// This disk alone.
    Journal,
    /// The destination too.
    Forward {
        /// For how long at most.
        timeout: Duration,
    },
}

/// The position at which a new cursor starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartAt {
    /// After the newest record.
    Now,
    /// With the oldest record there is.
    Oldest,
}

/// What happens when the backlog is as large or as old as it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// Pushes are answered 503.
    Refuse,
    /// The oldest notifications are not sent.
    Skip,
}

/// What a message has as its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// The message, byte for byte.
    Message,
    /// The nine attributes as a JSON object.
    Json,
    /// The message, with the headers of a `CloudEvent` in binary mode.
    CloudEvent,
}

/// The destination of notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A stream of a NATS server.
    Nats(NatsOptions),
    /// A service that takes POST requests.
    Http(HttpOptions),
}

/// A stream of a NATS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsOptions {
    /// `nats://HOST:PORT` or `tls://HOST:PORT`, at least one.
    pub servers: Vec<String>,
    /// The name of the stream, or with `{shard}` in it that of one stream for each.
    pub stream: String,
    /// The stream to create if it is missing.
    pub create: Create,
    /// The template of the subject.
    pub subject: SubjectTemplate,
    /// How repeats are dropped.
    pub dedupe: Dedupe,
    /// The number of values of `{shard}`.
    pub shards: u32,
    /// The login.
    pub login: Login,
    /// Certificates, read at each connect.
    pub tls: TlsOptions,
    /// How long to wait for an acknowledgement.
    pub ack_timeout: Duration,
    /// Addresses of the monitoring ports, for `forward check`.
    pub monitors: Vec<String>,
}

/// Whether a missing stream is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Create {
    /// Never.
    Off,
    /// With these settings. An existing stream is never changed.
    Missing(NewStream),
}

/// The settings of a stream that is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStream {
    /// The number of copies.
    pub replicas: usize,
    /// How long a message is retained.
    pub max_age: Option<Duration>,
    /// How large it may become.
    pub max_bytes: Option<u64>,
    /// For how long an id is remembered.
    pub duplicate_window: Duration,
}

/// How a destination drops repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dedupe {
    /// By the id, within the stream's duplicate window.
    Window,
    /// By the subject, which has the id in it, for as long as the message is retained.
    Subject,
}

/// The login to the servers. Files are read for each connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// No credentials, other than a client certificate if there is one.
    None,
    /// A user with a password.
    User {
        /// The name.
        user: String,
        /// The file with the password.
        password_file: PathBuf,
    },
    /// The file with a token.
    Token(PathBuf),
    /// The file with a JWT and the seed of an nkey.
    Credentials(PathBuf),
}

/// The files of TLS towards a destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The only certificate authorities that are trusted; without it, those of this machine.
    pub ca: Option<PathBuf>,
    /// The client certificate and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A service that takes POST requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// Its address.
    pub url: String,
    /// The files of the secrets that each request is signed with. None: it is not signed.
    pub secret_files: Vec<PathBuf>,
    /// How long to wait for an answer.
    pub timeout: Duration,
    /// Certificates.
    pub tls: TlsOptions,
}

impl Destination {
    /// Its word in the configuration.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nats(_) => "nats",
            Self::Http(_) => "http",
        }
    }

    /// Distinguishes it from another destination of the same name. Leaves out servers and files
    /// with passwords, which may be replaced.
    #[must_use]
    pub fn identity(&self) -> String {
        match self {
            Self::Nats(options) => format!("nats {}", options.stream),
            Self::Http(options) => format!("http {}", options.url),
        }
    }
}

impl Settings {
    /// Whether notifications of a topic are forwarded.
    #[must_use]
    pub fn selects(&self, topic: &[u8]) -> bool {
        self.topics.is_empty() || self.topics.iter().any(|name| name.as_bytes() == topic)
    }

    /// Whether the destination drops repeats for a limited time.
    #[must_use]
    pub fn has_duplicate_window(&self) -> bool {
        match &self.destination {
            Destination::Nats(options) => options.dedupe == Dedupe::Window,
            Destination::Http(_) => false,
        }
    }
}
