//! The limits on connections, with their units.

use std::time::Duration;

/// The limits on connections, and on what happens before a request is handed over.
///
/// MNS gives up after 5 s. A request spends at most 3 s up to the journal (`server::BUDGET`), which
/// leaves the rest to the commit and the way back.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at once.
    pub connections_max: usize,
    /// From the first byte of a head to its last.
    pub head_timeout: Duration,
    /// Between two requests of a connection, and before its first.
    pub idle_timeout: Duration,
    /// Memory for all heads that are being read or not answered yet, in bytes. Beyond it the
    /// connections with the largest heads give way.
    pub head_bytes_max: u64,
}

impl Limits {
    /// The defaults for `connections_max` connections.
    #[must_use]
    pub const fn of_connections(connections_max: usize) -> Self {
        Self {
            connections_max,
            head_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(75),
            head_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// The largest head, in bytes. The HTTP library answers 431 beyond it.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The largest number of headers. The HTTP library answers 431 beyond it.
pub(super) const HEADERS_MAX: usize = 100;
/// From the first byte of a PROXY header to its last.
pub(super) const PROXY_HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest PROXY header of version 1, in bytes and with its line end: `UNKNOWN` with the
/// longest addresses.
pub(super) const PROXY_LINE_BYTES_MAX: usize = 107;
/// The most bytes of a PROXY header of version 2 after its fixed part. Addresses take 36, client
/// certificates some hundred.
pub(super) const PROXY_BYTES_MAX: usize = 4096;
/// How long a TLS handshake may take.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest file of a TLS certificate or key, in bytes: far more than a chain, which has some
/// KiB.
pub(super) const TLS_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How often the files of the TLS certificate are read. A change takes effect once two reads in a
/// row have found it.
pub(super) const TLS_LOOK_PERIOD: Duration = Duration::from_secs(1);
/// How long a peer may leave an answer unread; [`PROGRESS_GRACE`] once the connection has to end.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a closing connection discards what its peer still sends, so that the peer can read the
/// answer: closing with unread bytes resets the connection.
pub(super) const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// How many bytes a closing connection discards at most.
pub(super) const LINGER_BYTES_MAX: usize = 1024 * 1024;
/// Connections that are answered 503 at the same time because every slot is busy. Any more are
/// closed.
pub(super) const TURNED_AWAY_MAX: usize = 64;
/// How long a trusted proxy may take for its PROXY header before it is answered 503. Less than
/// [`LINGER_TIMEOUT`], which bounds the whole answer.
pub(super) const TURNED_AWAY_PROXY_TIMEOUT: Duration = Duration::from_millis(300);
/// How long a connection may make no progress in one phase (the first byte, the head, the body, the
/// certificate, the answer) before it is among the first to give way.
pub(super) const PROGRESS_GRACE: Duration = Duration::from_secs(1);
/// What counts as progress, in bytes a second: each byte extends the grace by its share. The
/// largest legal push has 3 s, so one that is slower than this fails anyway.
pub(super) const PROGRESS_BYTES_PER_SECOND: u64 = 64 * 1024;
/// Connections that gave way and have not ended. They are open in addition to those with a slot, so
/// this bounds the file descriptors beyond `connections_max`.
pub(super) const LEAVING_MAX: usize = 64;
/// The number of unproved connections above which a peer can be the loudest.
pub(super) const LOUD_CONNECTIONS_MIN: usize = 8;
/// How long an address that has sent a verified push is exempt from being the loudest.
pub(super) const VERIFIED_PEER_KEPT: Duration = Duration::from_secs(3600);
/// How many such addresses are remembered. Beyond it the oldest is evicted.
pub(super) const VERIFIED_PEERS_MAX: usize = 1024;
/// The pause before a pipelined request, on a connection without a verified push.
pub(super) const PIPELINED_PAUSE: Duration = Duration::from_millis(250);
/// The initial size of the HTTP library's read buffer, in bytes.
pub(super) const READ_BUFFER_BYTES: u64 = 8 * 1024;
/// The maximum size of that buffer. It never shrinks, and the largest head fits.
pub(super) const READ_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// How long a connection without a slot may take to send its head, so that a health check is
/// answered.
pub(super) const TURNED_AWAY_HEAD_TIMEOUT: Duration = Duration::from_millis(300);
/// The largest head of a health check, in bytes.
pub(super) const TURNED_AWAY_HEAD_BYTES_MAX: usize = 2048;
/// How long a new connection may take for the first byte of its first request during a stop. Its
/// peer cannot know of the stop.
pub(super) const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);
/// How long a new connection waits for a slot while [`LEAVING_MAX`] evicted ones are still closing.
pub(super) const SLOT_TIMEOUT: Duration = Duration::from_millis(200);
/// The pause after a failed accept, as when no file descriptors are left. Without it the loop would
/// spin until one is closed.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that wait in the kernel to be accepted.
pub(super) const BACKLOG: i32 = 4096;

/// Files that a process needs besides its connections.
const OTHER_FILES: u64 = 256;

/// Raises the soft limit on open files for this many connections. Returns how many fit.
#[must_use]
pub fn raise_file_limit(connections: usize) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let wanted = u64::try_from(connections)
        .unwrap_or(u64::MAX)
        .saturating_add(OTHER_FILES);
    // Raising the soft limit up to the hard one needs no privilege.
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        // `None` means no limit (RLIM_INFINITY).
        let reachable = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        limit.current = Some(reachable.max(limit.current.unwrap_or_default()));
        if setrlimit(Resource::Nofile, limit).is_err() {
            tracing::debug!("The limit on open files cannot be raised: the current limit stays");
        }
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(OTHER_FILES))
        .unwrap_or(usize::MAX)
        .clamp(1, connections)
}
