//! The besieged `serve`, and what serves it the certificate.

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

pub(crate) async fn serve_certificate(pem: String) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{pem}",
                pem.len()
            );
            drop(stream.read(&mut [0; 4096]).await);
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    Ok(address)
}

pub(crate) fn start(
    bin: &Path,
    slots: usize,
    trust: &str,
    dir: &Path,
) -> anyhow::Result<(Child, SocketAddr)> {
    let program =
        std::fs::canonicalize(bin).with_context(|| format!("there is no {}", bin.display()))?;
    let mut child = Command::new(program)
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--log-dir",
            "logs",
            "--trust",
            trust,
            "--set",
        ])
        .arg(format!("server.max_connections={slots}"))
        .args(["--set", "admin.listen=off", "--set", "logs.stdout=off"])
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(dir.join("stderr"))?)
        .spawn()?;
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.as_mut().context("no stdout")?).read_line(&mut line)?;
    let address = line
        .trim()
        .rsplit("//")
        .next()
        .context("no address")?
        .parse()?;
    Ok((child, address))
}

/// Resident memory, in KiB.
pub(crate) fn resident(server: &Child) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// CPU time of a process, in hundredths of a second.
pub(crate) fn cpu_ticks(id: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .context("no stat")?
        .split(' ')
        .collect();
    let field = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<u64>().ok())
            .unwrap_or_default()
    };
    Ok(field(11) + field(12))
}
