//! The first lines of `serve`: its address, on stdout and in the endpoint log.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use tracing::warn;

use crate::command::serve::address::public_address;
use crate::command::serve::self_signed::SelfSigned;
use crate::config::Config;
use crate::journal::{Entry, Level, Place, Record};
use crate::server::Endpoint;
use crate::telemetry;

/// How long a start waits for stdout.
const PRINT_TIMEOUT: Duration = Duration::from_secs(1);

/// The facts that a start announces.
pub(super) struct Start<'a> {
    /// The address on which it listens.
    pub(super) bound: SocketAddr,
    /// The time zone of the logs.
    pub(super) zone: &'a str,
    /// The command that prints the address with its secret path.
    pub(super) show_address: &'a str,
    /// The certificate of `--self-signed`.
    pub(super) pair: Option<&'a SelfSigned>,
    /// The address of the inspector page with its token. Only shown on a terminal.
    pub(super) page: Option<String>,
}

/// Writes the address to give to a subscription to stdout and to the endpoint log. Works even if
/// nobody reads stdout.
pub(super) fn announce(config: &Config, endpoint: &Endpoint, start: Start<'_>) {
    let Start {
        bound,
        zone,
        show_address,
        pair,
        page,
    } = start;
    let (address, is_public) = public_address(config, bound);
    let mut lines = format!("Start Endpoint! Address: {address}\n");
    lines += &format!(
        "Configuration: {}, time zone: {zone}, sync: {}\n",
        config.origin, config.journal.sync
    );
    if !is_public {
        lines += "This address is private: MNS cannot reach it. Set server.public_url to the one \
            it can reach.\n";
    }
    if config.secret_path_file.is_some() {
        lines += &format!("Its path is secret: to print it whole, run: {show_address}\n");
    }
    lines += &pair.map_or_else(String::new, |pair| pair.lines(&address));
    // Only on a terminal: the URL has the token, which must not get into collected output.
    if let Some(page) = page.filter(|_| std::io::stdout().is_terminal()) {
        lines += &format!("Inspector: {page}\n");
    }
    // A full pipe must not delay the start.
    telemetry::within(PRINT_TIMEOUT, move || {
        let mut out = std::io::stdout().lock();
        if let Err(error) = out.write_all(lines.as_bytes()).and_then(|()| out.flush()) {
            warn!(%error, "Stdout cannot be written: the address is in the endpoint log, and \
                access lines are in the access log only");
        }
    });
    let stamp = endpoint.stamps.at(endpoint.clock.now());
    let title = format!("Start Endpoint! Address: {address}");
    let record = Record {
        stamp: &stamp,
        level: Level::Info,
        place: Place::Start,
        title: Some(&title),
        attributes: &[],
        request: None,
    };
    let mut entry = Entry::default();
    record.write(&mut entry.endpoint, endpoint.settings.format);
    // Not awaited, because no answer depends on this record.
    endpoint.journal.offer(entry);
}
