//! `health`: asks a running endpoint, for the container's health check.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;

use crate::command::Configuration;
use crate::roots;

/// How long the endpoint may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Ask a running endpoint for its health.
///
/// Reads the same configuration as serve, asks server.health_path on this machine, and ends with 0 for a
/// healthy endpoint, else with 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint health
  mns-endpoint health --listen 127.0.0.1:8080")]
pub(super) struct Health {
    #[command(flatten)]
    configuration: Configuration,
}

impl Health {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let config = self.configuration.load(&[])?;
        let Some(path) = &config.server.health_path else {
            bail!("server.health_path is off: there is nothing to ask");
        };
        let listen = config.listen.first().context("server.listen names no address")?;
        let url = format!("http://{}{path}", asked(*listen));
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(roots::tls_client()?)
            .timeout(TIMEOUT)
            .no_proxy()
            .build()?;
        let answer = client.get(&url).send().await.map_err(|error| {
            let error = anyhow::Error::from(error);
            anyhow!("no answer from {url}: {}; is serve running there?", error.root_cause())
        })?;
        let status = answer.status();
        if status != http::StatusCode::OK {
            bail!("{url} answered {status}: see the diagnostic log of serve");
        }
        writeln!(std::io::stdout(), "healthy: {url}")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Where a listener is reached from its own machine.
fn asked(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
