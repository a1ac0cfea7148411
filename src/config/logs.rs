//! The keys of the logs: how requests are logged, and how files are rotated and deleted.

use crate::config::checks::at_least_one;
use crate::config::error::impossible;
use crate::config::{ConfigError, raw};
use crate::journal::{AccessField, COMMIT_LOG_BYTES_MIN, Copied, Duplicates, Limits, Settings};

/// A push of 512 KiB leaves about 5 MiB of records if every byte is escaped. With room for less
/// than one such push, MNS would retry it in vain.
const PENDING_BYTES_MIN: usize = 16 * 1024 * 1024;

pub(super) fn check_journal(
    logs: &raw::Logs,
    duplicates: Duplicates,
) -> Result<Settings, ConfigError> {
    let bytes = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
    let rotate_bytes = match logs.rotate_size.0 {
        Some(size) => Some(bytes(at_least_one("logs.rotate_size", size.0)?)),
        None => None,
    };
    Ok(Settings {
        limits: Limits {
            bytes_max: check_pending(logs.pending_bytes.0)?,
            ..Limits::default()
        },
        sync: logs.sync.0,
        commit_log_bytes: check_commit_log(logs.commit_log.0.map(|size| bytes(size.0)))?,
        rotate_bytes,
        keep: logs.keep.0,
        low_water_bytes: bytes(logs.low_water.0),
        duplicates,
    })
}

/// Converts the key that selects what is printed to stdout.
pub(super) fn copied(stdout: raw::Stdout) -> Option<Copied> {
    match stdout {
        raw::Stdout::Access => Some(Copied::AccessLines),
        raw::Stdout::Messages => Some(Copied::Messages),
        raw::Stdout::Off => None,
    }
}

fn check_commit_log(bytes: Option<u64>) -> Result<Option<u64>, ConfigError> {
    match bytes {
        Some(bytes) if bytes < COMMIT_LOG_BYTES_MIN => Err(impossible(
            "logs.commit_log",
            &bytes.to_string(),
            "must be at least 8MiB, or \"off\"",
        )),
        Some(_) | None => Ok(bytes),
    }
}

fn check_pending(bytes: usize) -> Result<usize, ConfigError> {
    if bytes < PENDING_BYTES_MIN {
        return Err(impossible(
            "logs.pending_bytes",
            &bytes.to_string(),
            "must be at least 16MiB, so that a push of 512KiB has room",
        ));
    }
    Ok(bytes)
}

pub(super) fn check_access_fields(list: &[String]) -> Result<Vec<AccessField>, ConfigError> {
    use strum::VariantNames;
    let parse = |text: &String| {
        text.parse::<AccessField>().map_err(|_unknown| {
            impossible(
                "logs.access_fields",
                text,
                &format!("{} are possible", AccessField::VARIANTS.join(", ")),
            )
        })
    };
    list.iter().map(parse).collect()
}
