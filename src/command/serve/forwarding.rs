//! The forwarders of `serve`, which start before the first push and stop after the journal.

use std::sync::Arc;

use jiff::tz::TimeZone;
use tracing::warn;

use crate::command::forward::replica;
use crate::config::Config;
use crate::disk::RealDisk;
use crate::forward::{Destination, Forwarders, HttpSink, NatsSink, Source, Thread};
use crate::journal::Names;
use crate::server::Endpoint;

/// Starts a forwarder for each destination, and lets each push wait for the destinations that its
/// 201 depends on.
///
/// # Errors
/// A file that a destination names cannot be used, or the system refuses a thread.
pub(super) fn start(
    config: &Config,
    endpoint: &mut Endpoint,
    port: u16,
    zone: &TimeZone,
) -> anyhow::Result<Forwarders> {
    let names = Names {
        dir: config.log_dir.clone(),
        port,
    };
    warn_of_unused_cursors(config, &names);
    if config.forward.is_empty() {
        return Ok(Forwarders::default());
    }
    let thread = Thread::start()?;
    let source = Source {
        disk: Arc::new(RealDisk),
        names,
        numbering: config.journal.numbering(),
        mode: config.log_mode,
        mark: endpoint.journal.high_water_mark(),
        tail: endpoint.journal.tail(),
        zone: zone.clone(),
        clock: endpoint.clock.clone(),
    };
    let replica = replica(port);
    // The guard borrows the thread, which moves into the forwarders.
    let runtime = thread.runtime().clone();
    let _spawned_there = runtime.enter();
    let mut forwarders = Forwarders::on(thread);
    for settings in &config.forward {
        match &settings.destination {
            Destination::Nats(options) => {
                let sink = NatsSink::start(settings, options, &replica);
                forwarders.add(&source, settings.clone(), sink, || endpoint.journal.hold());
            }
            Destination::Http(options) => {
                let clock = endpoint.clock.clone();
                let sink = HttpSink::new(settings, options, &replica, clock)?;
                forwarders.add(&source, settings.clone(), sink, || endpoint.journal.hold());
            }
        }
    }
    forwarders.save_conditions(&source);
    endpoint.handover = forwarders.take_handover();
    Ok(forwarders)
}

/// Warns of cursors whose destination has no table any more. Such a cursor keeps no files: if the
/// table comes back, its destination lacks what was deleted in the meantime.
fn warn_of_unused_cursors(config: &Config, names: &Names) {
    // An error is ignored, because only a warning is lost.
    let Ok(entries) = std::fs::read_dir(&names.dir) else {
        return;
    };
    let end = format!(".{}.cursor", names.port);
    for entry in entries.flatten() {
        let file = entry.file_name();
        let name = file.to_str().and_then(|file| {
            let rest = file.strip_prefix(".forward.")?;
            rest.strip_suffix(end.as_str())
        });
        let Some(name) = name else { continue };
        if !config.forward.iter().any(|settings| settings.name == name) {
            let path = entry.path();
            warn!(destination = name, path = %path.display(), "Nothing is forwarded to a \
                destination that has a cursor, because the configuration has no table of its \
                name: no logs are kept for it. Delete the cursor, or restore the table");
        }
    }
}
