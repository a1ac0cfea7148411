//! The keys of the logs: how requests are logged, and how the files are kept.

use crate::config::checks::at_least_one;
use crate::config::error::impossible;
use crate::config::{ConfigError, raw};
use crate::journal::{AccessField, Duplicates, Limits, Settings};

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
        limits: Limits::default(),
        sync: logs.sync.0,
        rotate_bytes,
        keep: logs.keep.0,
        low_water_bytes: bytes(logs.low_water.0),
        duplicates,
    })
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
