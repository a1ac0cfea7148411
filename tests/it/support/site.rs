//! Three endpoints behind nginx that forward to one cluster of NATS, and an emulator that publishes
//! to them.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use mns_endpoint::client::Client;
use tempfile::{NamedTempFile, TempDir};

use crate::nginx::{self, Nginx};
use crate::support::{Endpoint, LocalMns, Nats, NatsSetup, Options, free_port, until, whole};

pub const STREAM: &str = "MNS";
/// All waits of the emulator's pusher are divided by this.
const TIME_WARP: &str = "200";
/// The share of pushes that are made twice, and of answers that are lost.
const CHAOS: &str = "duplicate=0.05,drop-answer=0.05";
/// The access log of nginx: status, endpoint and message of each push.
const LOG_FORMAT: &str = "'$status $upstream_addr $http_x_mns_message_id'";

/// The variant under test: how endpoints forward, and how the servers store.
#[derive(Clone, Copy)]
pub struct Form<'a> {
    pub ack: &'a str,
    pub dedupe: &'a str,
    /// Whether the servers sync what they acknowledge.
    pub is_synced: bool,
}

/// Everything that runs.
pub struct Site {
    pub nats: Nats,
    pub mns: Arc<LocalMns>,
    /// The URL to which pushes are sent.
    pub url: String,
    endpoints: Vec<Option<Endpoint>>,
    options: Vec<Options>,
    _nginx: Nginx,
    /// The access log of nginx, which has the answers. An endpoint writes its access line with the
    /// record, before the answer is known.
    pushes: NamedTempFile,
}

/// A snapshot: the notifications that had their 201, and the length of the stream on the server
/// that had most of it.
pub struct Witness {
    /// The ids, each with the address of the endpoint.
    pub answered: BTreeSet<(String, String)>,
    pub last_sequence: u64,
}

/// Sends each push to the next endpoint. Hides no failure, because MNS is to retry.
fn balancer(endpoints: &[SocketAddr], socket: TcpListener, log: &Path) -> Nginx {
    let servers: String = endpoints
        .iter()
        .map(|address| format!("server {address} fail_timeout=1s; "))
        .collect();
    let address = socket.local_addr().unwrap();
    let log = log.display();
    let server = format!(
        "log_format pushes {LOG_FORMAT};\n\
         upstream endpoints {{ {servers} keepalive 32; }}\n\
         server {{ listen {address}; client_max_body_size 1m; access_log {log} pushes;\n\
         location / {{\n\
         proxy_pass http://endpoints; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_set_header Host $http_host;\n\
         proxy_next_upstream off; }} }}"
    );
    Nginx::run(socket, &server)
}

fn options(form: Form<'_>, nats: &Nats, trusted: &str) -> Options {
    let subject = match form.dedupe {
        "subject" => "mns.{owner}.{topic}.{id}",
        _ => "mns.{owner}.{topic}.{tag}",
    };
    let port = free_port();
    let set = [
        ("server.listen", format!("127.0.0.1:{port}").as_str()),
        ("admin.listen", "127.0.0.1:0"),
        ("forward.orders.to", "nats"),
        ("forward.orders.servers", &nats.urls().join(",")),
        ("forward.orders.ack", form.ack),
        ("forward.orders.create", "missing"),
        ("forward.orders.dedupe", form.dedupe),
        ("forward.orders.subject", subject),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    Options {
        set: set.to_vec(),
        ..Options::trusting(trusted)
    }
}

impl Site {
    /// Starts everything. Prints a note and returns `None` if a program is missing.
    pub fn start(form: Form<'_>, seed: usize) -> Option<Self> {
        if !nginx::is_there() {
            return None;
        }
        let nats = Nats::cluster(&NatsSetup {
            is_synced: form.is_synced,
            ..NatsSetup::default()
        })?;
        let seed = seed.to_string();
        let flags = ["--time-warp", TIME_WARP, "--chaos", CHAOS, "--seed", &seed];
        let mns = LocalMns::start(&flags);
        let options: Vec<Options> = (0..3)
            .map(|_| options(form, &nats, &mns.prefix()))
            .collect();
        let endpoints: Vec<Endpoint> = options.iter().map(Endpoint::start).collect();
        let addresses: Vec<SocketAddr> = endpoints.iter().map(|it| it.address).collect();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/notifications", socket.local_addr().unwrap());
        let pushes = NamedTempFile::new().unwrap();
        Some(Self {
            nats,
            mns: Arc::new(mns),
            url,
            endpoints: endpoints.into_iter().map(Some).collect(),
            options,
            _nginx: balancer(&addresses, socket, pushes.path()),
            pushes,
        })
    }

    /// The endpoints that run.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().flatten()
    }

    /// Waits until MNS counts this many messages as delivered.
    pub async fn delivered(&self, count: u64) {
        let is_reached = async || self.mns.count("delivered") >= count;
        until(&format!("{count} are delivered"), is_reached).await;
    }

    /// Ends an endpoint as a crash does. Returns its directory.
    pub fn kill(&mut self, place: usize) -> TempDir {
        self.endpoints[place].take().unwrap().kill()
    }

    /// Starts an endpoint again, in its old directory or in a new one.
    pub fn restart(&mut self, place: usize, dir: TempDir) {
        self.endpoints[place] = Some(Endpoint::start_in(dir, &self.options[place]));
    }

    /// Reads what was answered 201, and then the length of the stream.
    pub fn witness(&self) -> Witness {
        // The answers first: what was answered 201 before must be in a stream that is measured
        // later.
        let log = whole(self.pushes.path(), "\n");
        let of = |line: &str| {
            let [status, endpoint, id] = line.split(' ').collect::<Vec<_>>()[..] else {
                return None;
            };
            (status == "201").then(|| (id.to_owned(), endpoint.to_owned()))
        };
        let answered = log.lines().filter_map(of).collect();
        // The longest copy: a server that has acknowledged a message has it. The leader is no help,
        // because on a busy machine a server that has lost an election reports itself as leader,
        // with its own length, for seconds.
        let lengths = (0..3).map(|place| {
            let info = self.nats.json(place, "/jsz?streams=true");
            let stream = &info["account_details"][0]["stream_detail"][0];
            stream["state"]["last_seq"].as_u64().unwrap_or_default()
        });
        Witness {
            answered,
            last_sequence: lengths.max().unwrap(),
        }
    }

    /// The address of an endpoint, whether it runs or not.
    pub fn address(&self, place: usize) -> &str {
        let (_, listen) = &self.options[place].set[0];
        listen
    }

    /// A client of the servers that run.
    pub async fn context(&self) -> jetstream::Context {
        let options = async_nats::ConnectOptions::new().ping_interval(Duration::from_secs(1));
        jetstream::new(options.connect(self.nats.urls()).await.unwrap())
    }
}

/// Publishes messages of some kinds, one after the other. Returns their ids and texts.
pub async fn publish(client: Client, publisher: usize, count: usize) -> Vec<(String, String)> {
    let mut published = Vec::new();
    for number in 0..count {
        let text = match number % 3 {
            0 => format!("I am test message {publisher}.{number}."),
            1 => format!("{publisher} {number}\n\u{4e2d}\u{6587} <&>\"'\\x41\t"),
            _ => format!("{publisher} {number} {}", "x".repeat(500)),
        };
        let made = client.publish("T", &text, "").await.unwrap();
        published.push((made.message_id, text));
    }
    published
}
