//! Metrics of the process itself, under their standard names.

use std::fs;
use std::time::{Duration, SystemTime};
use std::{fmt, io};

use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::metrics::families::Families;

/// How many fields of `/proc/self/statm` are read: the size of the address space and the resident
/// part of it, in pages.
const STATM_FIELDS: usize = 2;

pub(super) fn write(families: &mut Families<'_>, started: SystemTime) -> fmt::Result {
    let since_1970 = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
    };
    families.float_gauge(
        "process_start_time_seconds",
        "When the process started, in Unix time",
        since_1970(started).as_secs_f64(),
    )?;
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let used = Duration::try_from(used).unwrap_or_default();
    families.float_counter(
        "process_cpu_seconds",
        "CPU time that the process has used, user and system",
        used.as_secs_f64(),
    )?;
    // Values that the system does not provide are left out.
    if let Ok([virtual_bytes, resident_bytes]) = memory() {
        families.gauge(
            "process_virtual_memory_bytes",
            "The size of the address space",
            virtual_bytes,
        )?;
        families.gauge(
            "process_resident_memory_bytes",
            "The size of the resident memory",
            resident_bytes,
        )?;
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The directory being read is one of them.
        let open = u64::try_from(open.count()).unwrap_or(u64::MAX);
        families.gauge(
            "process_open_fds",
            "Open file descriptors",
            open.saturating_sub(1),
        )?;
    }
    match getrlimit(Resource::Nofile).current {
        Some(max) => families.gauge(
            "process_max_fds",
            "How many file descriptors may be open",
            max,
        ),
        // `None` means unlimited, for which there is no integer.
        None => Ok(()),
    }
}

fn memory() -> io::Result<[u64; STATM_FIELDS]> {
    let page = u64::try_from(page_size()).unwrap_or(u64::MAX);
    let text = fs::read_to_string("/proc/self/statm")?;
    let mut pages = text
        .split_ascii_whitespace()
        .map_while(|field| field.parse::<u64>().ok());
    let mut bytes = || {
        let pages = pages.next().ok_or(io::ErrorKind::InvalidData)?;
        io::Result::Ok(pages.saturating_mul(page))
    };
    Ok([bytes()?, bytes()?])
}
