//! The local time zone: named by `TZ`, with zone data from the binary, or read from a file that
//! `TZ` names.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use jiff::tz::TimeZone;

use crate::bounded;
use crate::config::ConfigError;
use crate::config::error::impossible;
use crate::disk::regular;

/// The zone file of the system.
const SYSTEM: &str = "/etc/localtime";
/// The largest zone file, in bytes. The files of tzdata are below 4 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The zone that `TZ` names, or the system's zone if `TZ` is unset or empty; and its name.
///
/// As in glibc, a colon before the name is ignored, and a name that begins with `/` is the path of
/// a zone file.
///
/// # Errors
/// An unknown name stops the start, because timestamps in an unintended zone would mislead.
pub fn local_zone(tz: Option<&str>) -> Result<(TimeZone, String), ConfigError> {
    let Some(name) = tz
        .map(|tz| tz.strip_prefix(':').unwrap_or(tz))
        .filter(|name| !name.is_empty())
    else {
        // Without a zone file, as in many containers, the C library uses UTC as well.
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        let name = zone.iana_name().unwrap_or("the system's").to_owned();
        return Ok((zone, name));
    };
    if name.starts_with('/') {
        return of_file(name, SYSTEM);
    }
    // A name of the database, or else a rule such as CST-8.
    match TimeZone::get(name).or_else(|_| TimeZone::posix(name)) {
        Ok(zone) => Ok((zone, name.to_owned())),
        Err(_) => {
            let problem = "this time zone is unknown; write a name such as Asia/Shanghai, or the \
                path of a zone file";
            Err(impossible("TZ", name, problem))
        }
    }
}

/// The zone of a file. `system` is the zone file of the system, which may be missing.
pub(super) fn of_file(file: &str, system: &str) -> Result<(TimeZone, String), ConfigError> {
    // /etc/localtime is a symbolic link, and its target has the name of the zone.
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.into());
    let name = name_in(&target).unwrap_or(file);
    // Only a regular file, because opening a FIFO would block the start.
    let read = regular::open_to_read(Path::new(file))
        .and_then(|opened| bounded::read_all(opened, FILE_BYTES_MAX));
    match read {
        Ok(bytes) => match TimeZone::tzif(name, &bytes) {
            Ok(zone) => Ok((zone, name.to_owned())),
            Err(_) => Err(impossible(
                "TZ",
                file,
                "the file holds no time zone; write a name such as Asia/Shanghai",
            )),
        },
        // Containers often have no zone files. The system's zone is then UTC, and all named zones
        // are in the binary.
        Err(error) if error.kind() == ErrorKind::NotFound && file == system => {
            Ok((TimeZone::UTC, "UTC".to_owned()))
        }
        // The data in the binary also has zones whose files are not installed.
        Err(error) => match name_in(&target).map(TimeZone::get) {
            Some(Ok(zone)) if error.kind() == ErrorKind::NotFound => Ok((zone, name.to_owned())),
            _ => {
                let problem =
                    format!("the file cannot be read: {error}; write a name such as Asia/Shanghai");
                Err(impossible("TZ", file, &problem))
            }
        },
    }
}

/// The name of a zone from the path of its file: `Asia/Shanghai` from
/// `/usr/share/zoneinfo/Asia/Shanghai`.
fn name_in(file: &Path) -> Option<&str> {
    let (_, name) = file.to_str()?.split_once("/zoneinfo/")?;
    Some(name.strip_prefix("posix/").unwrap_or(name))
}
