//! Local time: what `TZ` says, with zone data that is in the binary.

use jiff::tz::TimeZone;

use crate::config::ConfigError;

/// The zone that `TZ` names, or the system's where it is unset or empty.
///
/// # Errors
/// An unknown name stops the start: times in a zone that nobody asked for are worse than none.
pub fn local_zone(tz: Option<&str>) -> Result<(TimeZone, String), ConfigError> {
    let Some(name) = tz.map(|tz| tz.trim_start_matches(':')).filter(|name| !name.is_empty()) else {
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        let name = zone.iana_name().unwrap_or("the system's").to_owned();
        return Ok((zone, name));
    };
    match TimeZone::get(name).or_else(|_| TimeZone::posix(name)) {
        Ok(zone) => Ok((zone, name.to_owned())),
        Err(_) => Err(ConfigError::Impossible {
            key: "TZ",
            value: name.to_owned(),
            problem: "this time zone is unknown; write a name such as Asia/Shanghai".to_owned(),
        }),
    }
}
