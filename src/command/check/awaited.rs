//! The findings of `check` about a destination that a 201 waits for.

use crate::command::check::findings::{Finding, Findings};
use crate::config::Config;
use crate::forward::{Ack, Create, Destination};

/// Copies that let one server fail without a loss.
// Two of three are a majority, which JetStream needs to accept a message.
const REPLICAS: usize = 3;

impl Findings {
    pub(super) fn look_at_awaited(&mut self, config: &Config) {
        for settings in &config.forward {
            let Ack::Forward { .. } = settings.ack else {
                continue;
            };
            let name = &settings.name;
            let key = |key: &str| format!("forward.{name}.{key}");
            let text = "pushes wait for it, so a subscription needs EXPONENTIAL_DECAY_RETRY and a \
                dead-letter queue: with BACKOFF_RETRY MNS gives up within a minute";
            self.0.push(Finding::note(key("ack"), text));
            let Destination::Nats(options) = &settings.destination else {
                continue;
            };
            match &options.create {
                Create::Missing(stream) if stream.replicas < REPLICAS => {
                    let text = format!(
                        "{} of {REPLICAS}: what was answered 201 is lost with a server, and while \
                         one is away pushes are answered 503",
                        stream.replicas
                    );
                    self.0.push(Finding::warning(key("replicas"), text));
                }
                Create::Missing(_) => {}
                Create::Off => {
                    let text = format!(
                        "whether it has {REPLICAS} replicas is asked by: mns-endpoint forward \
                         check {name}"
                    );
                    self.0.push(Finding::note(key("stream"), text));
                }
            }
        }
    }
}
