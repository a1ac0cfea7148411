//! Warnings of a start that are not fatal: each is a line of the diagnostic log.

use tracing::{error, info, warn};

use crate::config::Config;
use crate::disk::Medium;
use crate::journal::{Recovered, Replayed};
use crate::trust::CertificateStore;

/// Warns about what crashes left in the logs, and about their storage.
pub(super) fn of_the_logs(config: &Config, recovered: &Recovered) {
    for tail in &recovered.torn {
        let log = tail.log.name();
        warn!(
            log,
            offset = tail.offset,
            bytes = tail.bytes,
            kept = tail.is_kept,
            "A crash left an unfinished record: it was cut off into the .torn file beside the log"
        );
    }
    for damaged in &recovered.damaged {
        error!(
            log = damaged.log.name(),
            offset = damaged.offset,
            places = damaged.places,
            "A log is damaged: the disk or somebody else changed it. Nothing was cut off, and new \
                records follow the damage; mns-endpoint logs verify lists each place"
        );
    }
    of_the_commit_log(recovered.replayed);
    // A container may have its logs in memory or on an overlay that ends with it.
    let medium = Medium::of(&config.log_dir);
    if medium != Medium::Disk {
        warn!(dir = %config.log_dir.display(), %medium, "The log directory is not on a disk: what \
            is written there may be lost");
    }
}

fn of_the_commit_log(replayed: Replayed) {
    let Replayed {
        frames,
        appended,
        missing,
    } = replayed;
    if missing > 0 {
        error!(
            missing,
            "The commit log is damaged: frames that had been synced cannot be read. If the last \
             stop was a power cut, records that were answered 201 may be missing in the logs"
        );
    }
    if frames > 0 {
        info!(
            frames,
            appended, "The last stop was not clean: the logs were completed from the commit log"
        );
    }
}

/// Warns about settings that a start or a reload applies.
pub(super) fn of_the_configuration(config: &Config, trust: &[String]) {
    for url in trust {
        warn!(%url, "TRUSTING every signing certificate under this address for this run: never \
            do this in production");
    }
    for (name, meant) in &config.unread_variables {
        warn!(%name, %meant, "A variable of the environment looks like a key but is not read: \
            the levels of a key are separated by two underscores");
    }
    for prefix in &config.insecure_prefixes {
        warn!(%prefix, "Signing certificates are fetched without TLS from here: anyone on the \
            network path can replace them and sign pushes");
    }
    if config.admission.takes_every_owner() {
        warn!(
            "accept.topic_owners is empty: anyone with an account may subscribe this address \
             to a topic of theirs"
        );
    }
    // Not fatal, because the certificates in memory suffice until a restart.
    if let Err(error) = CertificateStore::new(config.certificate_dir.clone()).probe() {
        warn!(%error, "Certificates cannot be cached on disk: after a restart their source must \
            be reachable");
    }
}
