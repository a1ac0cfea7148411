//! `inspect`: the address of the inspector page, including its token.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::command::Configuration;
use crate::command::health::asked;
use crate::command::serve::inspector_token;
use crate::command::stdout::printer;
use crate::config::Config;

/// Print the URL of the inspector page.
///
/// Reads the same configuration as serve. The URL includes the token of the page. Unless
/// admin.token_file is set, serve writes the token to a file in logs.dir: whoever may read the logs
/// may open the page.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint inspect
  docker exec CONTAINER /mns-endpoint inspect")]
pub(super) struct Inspect {
    #[command(flatten)]
    configuration: Configuration,
}

impl Inspect {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let config = self.configuration.load(&[])?;
        writeln!(printer(), "{}", address(&config)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn address(config: &Config) -> anyhow::Result<String> {
    let Some(admin) = &config.admin else {
        bail!("admin.listen is off, so there is no inspector page");
    };
    if admin.listen.port() == 0 {
        // Only the running serve knows the port that the system has chosen.
        bail!("admin.listen has port 0: its port is in the diagnostic log of serve");
    }
    let token = match &admin.access.token {
        Some(token) => token.clone(),
        None => made(config)?,
    };
    let listen = asked(admin.listen);
    // In the fragment, which a browser never sends, so that no proxy sees the token.
    Ok(format!("http://{listen}/#token={token}"))
}

/// The token that a running serve has generated.
fn made(config: &Config) -> anyhow::Result<String> {
    let port = config.listen.first().map_or(0, std::net::SocketAddr::port);
    let path = inspector_token::path(&config.log_dir, port);
    inspector_token::read(&path).with_context(|| {
        format!(
            "cannot read the token of the page in {}: has serve been started with this \
             configuration?",
            path.display()
        )
    })
}
