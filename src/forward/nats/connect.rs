//! Makes a connection to one server, with files that are read for each.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::ContextBuilder;
use async_nats::{
    Auth, AuthError, Client, ConnectError, ConnectErrorKind, ConnectOptions, ServerAddr,
};
use tokio::time::timeout;
use tracing::warn;

use crate::bounded;
use crate::forward::detail::detail;
use crate::forward::nats::acks::Acks;
use crate::forward::nats::connection::{Connection, News, NotConnected};
use crate::forward::nats::creds::Credentials;
use crate::forward::{Login, NatsOptions, Reason};
use crate::report::Report;
use crate::tls_error;

/// For TCP, TLS and login at one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For name look-up and all addresses of a server together: the client does not bound a look-up.
const SERVER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the server has to answer a ping. Two that stay unanswered end the connection, so a
/// server that hangs costs some three seconds; the library's own interval costs three minutes.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// How many commands, of any size, may wait in the client's queue.
const COMMANDS_MAX: usize = 256;
/// The largest password or token that is read, in bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;
/// Servers before this one lose acknowledged messages or whole streams.
pub(super) const VERSION_MIN: &str = "2.10.26";

/// Connects to a server. `name` is how the server lists us.
pub(super) async fn connect(
    server: &str,
    options: &NatsOptions,
    name: &str,
    in_flight: usize,
) -> Result<Connection, NotConnected> {
    let address: ServerAddr = server
        .parse()
        .map_err(|error: io::Error| disconnected(server, &error.to_string()))?;
    let news = Arc::new(News::new());
    let is_used = Arc::new(AtomicBool::new(false));
    let login = login(&options.login).await?;
    let connecting = connect_options(options, name, login, &news, &is_used)
        // The window bounds what is unanswered; the client drops what is beyond its bound.
        .subscription_capacity(in_flight.saturating_add(COMMANDS_MAX))
        .connect(address);
    let client = match timeout(SERVER_TIMEOUT, connecting).await {
        Ok(connected) => connected.map_err(|error| not_connected(server, &error))?,
        Err(_late) => return Err(disconnected(server, "it did not answer in time")),
    };
    // After the only login that is wanted: each later one is the client's own reconnect.
    is_used.store(true, Ordering::Release);
    warn_of_old(server, &client);
    let acks = Acks::subscribe(&client);
    let acks = acks
        .await
        .map_err(|error| disconnected(server, &Report(&error).to_string()))?;
    let context = ContextBuilder::new()
        .timeout(options.ack_timeout)
        .build(client.clone());
    let answers = (acks, options.ack_timeout);
    Ok(Connection::new(client, context, news, answers))
}

fn connect_options(
    options: &NatsOptions,
    name: &str,
    login: Proof,
    news: &Arc<News>,
    is_used: &Arc<AtomicBool>,
) -> ConnectOptions {
    let is_used = is_used.clone();
    // The client would reconnect by itself, and send its old queue with credentials that it read
    // long ago. This refuses it a second login, and with one try the client then ends.
    let once = move |nonce: Vec<u8>| {
        let login = match is_used.load(Ordering::Acquire) {
            true => Err("this connection is not made again".to_owned()),
            false => login.answer(&nonce),
        };
        std::future::ready(login.map_err(AuthError::new))
    };
    let news = news.clone();
    let events = move |event| {
        news.take(&event);
        std::future::ready(())
    };
    let mut connect = ConnectOptions::with_auth_callback(once)
        .name(name)
        .max_reconnects(1)
        // The link tries the configured servers in turn, with the files read again.
        .ignore_discovered_servers()
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(PING_INTERVAL)
        .client_capacity(COMMANDS_MAX)
        .request_timeout(Some(options.ack_timeout))
        .event_callback(events);
    // A `ca` or a client certificate would have no effect without TLS, which is otherwise left to
    // the server.
    if let Some(authorities) = &options.tls.ca {
        connect = connect
            .add_root_certificates(authorities.clone())
            .require_tls(true);
    }
    if let Some((certificate, private_key)) = &options.tls.identity {
        connect = connect
            .add_client_certificate(certificate.clone(), private_key.clone())
            .require_tls(true);
    }
    connect
}

/// The credentials of a login.
#[derive(Default)]
struct Proof {
    auth: Auth,
    /// Signs the nonce of the server.
    credentials: Option<Credentials>,
}

impl Proof {
    fn answer(&self, nonce: &[u8]) -> Result<Auth, String> {
        let mut auth = self.auth.clone();
        if let Some(credentials) = &self.credentials {
            let (public_key, signature) = credentials.sign(nonce)?;
            auth.signature = Some(signature);
            auth.jwt.clone_from(&credentials.jwt);
            // A JWT contains the public key.
            auth.nkey = credentials.jwt.is_none().then_some(public_key);
        }
        Ok(auth)
    }
}

/// Reads the credentials, again for each connection.
async fn login(login: &Login) -> Result<Proof, NotConnected> {
    let mut proof = Proof::default();
    match login {
        Login::None => {}
        Login::User {
            user,
            password_file,
        } => {
            proof.auth.username = Some(user.clone());
            proof.auth.password = Some(first_line(&secret(password_file).await?));
        }
        Login::Token(file) => proof.auth.token = Some(first_line(&secret(file).await?)),
        Login::Credentials(file) => {
            let credentials = Credentials::parse(&secret(file).await?);
            let wanted = "it holds no JWT with the seed of an nkey, and no seed alone";
            proof.credentials = Some(credentials.ok_or_else(|| unreadable(file, &wanted))?);
        }
    }
    Ok(proof)
}

fn first_line(text: &str) -> String {
    // A file that `echo` or an editor wrote ends in a line feed, which is not part of the secret.
    text.lines().next().unwrap_or_default().to_owned()
}

/// A file with a secret.
async fn secret(path: &Path) -> Result<String, NotConnected> {
    let file: PathBuf = path.to_owned();
    let read = tokio::task::spawn_blocking(move || bounded::read_text(&file, SECRET_BYTES_MAX));
    match read.await {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(unreadable(path, &error)),
        Err(ended) => Err(unreadable(path, &ended)),
    }
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> NotConnected {
    NotConnected {
        reason: Reason::Forbidden,
        detail: detail(&format!("cannot read {}: {error}", path.display())),
    }
}

fn disconnected(server: &str, why: &str) -> NotConnected {
    NotConnected {
        reason: Reason::Disconnected,
        detail: detail(&format!("{server}: {why}")),
    }
}

/// What a failed connection means: whether somebody has to correct the credentials or certificates,
/// or only the network is at fault.
fn not_connected(server: &str, error: &ConnectError) -> NotConnected {
    let text = Report(error).to_string();
    let trust = "name the file with the certificate of its CA in `ca`";
    let of_tls = tls_error::with_peer(error, server, trust);
    let is_login = match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => true,
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::Dns
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::Tls
        | ConnectErrorKind::Io
        // The client reports some refused logins as errors of another kind, so the text decides.
        | ConnectErrorKind::MaxReconnects => text.to_ascii_lowercase().contains("authentication"),
    };
    let reason = match is_login || of_tls.is_some() || error.kind() == ConnectErrorKind::Tls {
        true => Reason::Forbidden,
        false => Reason::Disconnected,
    };
    let detail = detail(&of_tls.unwrap_or_else(|| format!("{server}: {text}")));
    NotConnected { reason, detail }
}

/// Whether a server is older than [`VERSION_MIN`].
pub(super) fn is_old(client: &Client) -> bool {
    !client.is_server_compatible(2, 10, 26)
}

fn warn_of_old(server: &str, client: &Client) {
    if is_old(client) {
        let version = detail(&client.server_info().version);
        warn!(
            server,
            version,
            "The NATS server is older than {VERSION_MIN}: it may lose acknowledged messages"
        );
    }
}
