//! `push`: signs notifications as MNS does, posts them, and prints the result of each.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::command::counted::counted;
use crate::command::format::{Md5Notation, NotifyFormat};
use crate::command::input;
use crate::command::key::Key;
use crate::command::push::exchange::Exchange;
use crate::command::push::maker::{Maker, Plan};
use crate::command::receiver_tls::ReceiverTls;
use crate::command::stdout::printer;
use crate::emulator::{self, Connection, Signer, Target};
use crate::net::{self, Counters, Frontend};

/// Answers that may wait to be printed.
const ANSWERS_WAITING_MAX: usize = 1024;
/// The maximum number of concurrent connections for the certificate.
const CERTIFICATE_CONNECTIONS_MAX: usize = 64;

/// Sign test notifications like MNS and post them.
///
/// Generates a key, serves its certificate on --cert-listen while it runs, and prints each answer
/// with the time that it took and a verdict. The endpoint must trust the certificate: start it with
/// serve --trust. Exits with 0 if every answer is a 2xx.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint push http://127.0.0.1:8080/notifications
  mns-endpoint push http://127.0.0.1:8080 --format simplified --body 'hello' --tag important
  mns-endpoint push http://127.0.0.1:8080 --count 1000 --concurrency 32
  mns-endpoint push https://localhost:8080 --ca certs/self-signed.pem    # for serve --self-signed
  mns-endpoint push http://127.0.0.1:8080 --capture request.http")]
pub(crate) struct PushCommand {
    /// The endpoint's URL. If it has no path, the path is /notifications, as with MNS.
    #[arg(value_parser = Target::parse)]
    url: Target,
    /// The format of the notifications (NotifyContentFormat).
    #[arg(long, value_enum, default_value_t = NotifyFormat::Xml, ignore_case = true)]
    format: NotifyFormat,
    /// The notation of Content-md5 [default: hex-base64 for xml and json, hex for simplified].
    #[arg(long, value_name = "NOTATION", value_enum)]
    content_md5: Option<Md5Notation>,
    /// The text of the message [default: the manual's "I am test message N."].
    #[arg(long, conflicts_with = "body_file")]
    body: Option<String>,
    /// A file with the message; - reads stdin. A line end at the end of the file is part of the
    /// message.
    #[arg(long, value_name = "FILE")]
    body_file: Option<PathBuf>,
    /// The message's tag.
    #[arg(long, default_value = "")]
    tag: String,
    /// The topic's name. The subscription's name is the topic's name and -Sub.
    #[arg(long, default_value = "MySampleTopic")]
    topic: String,
    /// The account id of the topic's owner and of the subscriber.
    #[arg(long, default_value = "1269128356620446")]
    owner: String,
    /// How many notifications to send, each with a different id.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// How many notifications to send at the same time, each on a separate connection.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    concurrency: u16,
    #[command(flatten)]
    key: Key,
    /// The certificate's address, if another server serves the certificate.
    #[arg(long, value_name = "URL")]
    cert_url: Option<String>,
    /// The address to serve the certificate on.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:9001",
        conflicts_with = "cert_url",
        value_parser = reachable,
    )]
    cert_listen: SocketAddr,
    #[command(flatten)]
    receiver_tls: ReceiverTls,
    /// Send the recorded request in this file, byte for byte.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "format", "content_md5", "body", "body_file", "tag", "topic", "owner", "bits", "key",
            "cert_url", "cert_listen",
        ],
    )]
    capture: Option<PathBuf>,
}

impl PushCommand {
    pub(crate) async fn run(&self) -> anyhow::Result<ExitCode> {
        let stop = CancellationToken::new();
        let (maker, host) = self.maker(&stop).await?;
        let trust = maker.trust();
        let maker = Arc::new(maker);
        let started = Instant::now();
        let mut exchanges = self.start_senders(&maker)?;
        let mut counts = std::collections::BTreeMap::<String, usize>::new();
        let mut out = printer();
        let mut all_succeeded = true;
        while let Some(exchange) = exchanges.recv().await {
            let exchange = exchange?;
            let (status, verdict) = exchange.verdict(trust.as_deref());
            all_succeeded &= exchange.is_success();
            writeln!(
                out,
                "{status}  {:>7.1} ms  {}  {verdict}",
                exchange.took.as_secs_f64() * 1000.0,
                exchange.message_id
            )?;
            let count = counts.entry(status).or_default();
            *count = count.saturating_add(1);
        }
        let took = started.elapsed().as_secs_f64();
        let summary: Vec<String> = counts
            .iter()
            .map(|(status, count)| format!("{status}: {count}"))
            .collect();
        writeln!(
            out,
            "{} in {took:.2} s, {:.0}/s; {}",
            counted(self.count, "request"),
            f64::from(self.count) / took,
            summary.join(", ")
        )?;
        // After the last answer: until then the endpoint may fetch the certificate.
        stop.cancel();
        if let Some(host) = host {
            host.await.context("the certificate's server failed")?;
        }
        Ok(if all_succeeded {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// The maker of the requests, and the task that serves the certificate.
    async fn maker(
        &self,
        stop: &CancellationToken,
    ) -> anyhow::Result<(Maker, Option<tokio::task::JoinHandle<()>>)> {
        if let Some(file) = &self.capture {
            let recorded = input::read(file)?;
            if recorded.is_empty() {
                bail!("there is nothing to send in {}", file.display());
            }
            return Ok((Maker::Recorded(recorded), None));
        }
        let message = self.message()?;
        let signer = self.key.signer().await?;
        let (certificate_url, host) = match &self.cert_url {
            Some(url) => (url.clone(), None),
            None => self.serve_certificate(&signer, stop)?,
        };
        Ok((
            Maker::Signed {
                signer: Box::new(signer),
                certificate_url,
                message,
            },
            host,
        ))
    }

    fn serve_certificate(
        &self,
        signer: &Signer,
        stop: &CancellationToken,
    ) -> anyhow::Result<(String, Option<tokio::task::JoinHandle<()>>)> {
        let listener = net::bind(self.cert_listen).with_context(|| {
            format!(
                "cannot serve the certificate on {}: choose another --cert-listen",
                self.cert_listen
            )
        })?;
        let url = format!(
            "http://{}/{}",
            listener.local_addr()?,
            signer.certificate_file()
        );
        let limits = net::Limits {
            head_timeout: emulator::ANSWER_TIMEOUT,
            idle_timeout: emulator::ANSWER_TIMEOUT,
            ..net::Limits::of_connections(CERTIFICATE_CONNECTIONS_MAX)
        };
        let router = emulator::certificate_host(signer);
        let host = tokio::spawn(net::serve(
            vec![listener],
            router,
            Frontend::plain(limits),
            Arc::new(Counters::default()),
            stop.clone(),
        ));
        Ok((url, Some(host)))
    }

    fn message(&self) -> anyhow::Result<Option<Vec<u8>>> {
        match (&self.body, &self.body_file) {
            (Some(body), _) => Ok(Some(body.clone().into_bytes())),
            (None, Some(file)) => Ok(Some(input::read(file)?)),
            (None, None) => Ok(None),
        }
    }

    /// Starts one task for each connection. Each takes the next number until all are taken.
    fn start_senders(
        &self,
        maker: &Arc<Maker>,
    ) -> anyhow::Result<mpsc::Receiver<anyhow::Result<Exchange>>> {
        let tls = self.receiver_tls.client()?;
        let next = Arc::new(AtomicUsize::new(0));
        let count = usize::try_from(self.count)?;
        let (sender, exchanges) = mpsc::channel(ANSWERS_WAITING_MAX);
        let plan = Arc::new(self.plan());
        for _ in 0..self.concurrency {
            let mut connection = Connection::new(self.url.clone(), tls.clone());
            let (maker, next, sender, plan) =
                (maker.clone(), next.clone(), sender.clone(), plan.clone());
            tokio::spawn(async move {
                loop {
                    // Each sender takes the next number, so that a slow answer delays only its own
                    // connection.
                    // Relaxed: each number only has to be taken once.
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let exchange = match maker.make(&plan, number) {
                        Ok((request, message_id)) => {
                            let started = Instant::now();
                            let answer = connection.deliver(&request).await;
                            Ok(Exchange {
                                message_id,
                                answer,
                                took: started.elapsed(),
                            })
                        }
                        Err(error) => Err(error),
                    };
                    // The receiver has ended because of an error.
                    if sender.send(exchange).await.is_err() {
                        return;
                    }
                }
            });
        }
        // The original sender is dropped here, so `recv` ends with the last task.
        Ok(exchanges)
    }

    fn plan(&self) -> Plan {
        Plan {
            format: self.format.into(),
            content_md5: self.content_md5.map(Into::into),
            path: self.url.path().to_owned(),
            host: self.url.authority().to_owned(),
            owner: self.owner.clone(),
            topic: self.topic.clone(),
            subscription: format!("{}-Sub", self.topic),
            tag: self.tag.clone(),
        }
    }
}

/// An address on which to serve the certificate. It must be specific, because the endpoint uses the
/// same address.
fn reachable(text: &str) -> Result<SocketAddr, &'static str> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => Err(
            "the endpoint fetches the certificate from this address: give one that it can reach",
        ),
        Ok(address) => Ok(address),
        Err(_) => Err("write an address and a port, as in 127.0.0.1:9001"),
    }
}
