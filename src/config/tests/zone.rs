use std::fs;

use crate::config::local_zone;
use crate::config::zone::of_file;

#[test]
fn an_unknown_time_zone_is_a_mistake() {
    assert_eq!(
        local_zone(Some("Asia/Shanghai")).unwrap().1,
        "Asia/Shanghai"
    );
    assert_eq!(local_zone(Some("CST-8")).unwrap().1, "CST-8");
    assert!(
        local_zone(Some("Mars/Olympus"))
            .unwrap_err()
            .to_string()
            .starts_with("TZ = \"Mars/Olympus\"")
    );
    assert!(
        local_zone(Some("::UTC")).is_err(),
        "glibc takes one colon off"
    );
}

/// Builds a zone file of version 2 without transitions, as `zic` writes it, for a constant offset
/// of `seconds` east of UTC.
fn zone_file(seconds: i32, rule: &str) -> Vec<u8> {
    let letters = b"XYZ\0";
    let counts = [0, 0, 0, 0, 1, u32::try_from(letters.len()).unwrap()];
    let counts: Vec<u8> = counts.into_iter().flat_map(u32::to_be_bytes).collect();
    let block = [
        &b"TZif2"[..],
        &[0; 15],
        &counts,
        &seconds.to_be_bytes(),
        &[0, 0],
        letters,
    ]
    .concat();
    // The block is there twice: once for readers of version 1, once for all others (RFC 8536).
    [&block[..], &block, b"\n", rule.as_bytes(), b"\n"].concat()
}

/// The offset of a zone in seconds, and its abbreviation, at a time far from any transition.
fn offset(tz: &str) -> (i32, String) {
    let (zone, name) = local_zone(Some(tz)).unwrap_or_else(|error| panic!("{tz}: {error}"));
    // In January 2027, when neither of the zones changes its clocks.
    let time = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    (zone.to_offset(time).seconds(), name)
}

#[test]
fn a_zone_is_read_from_a_file_as_glibc_does() {
    let dir = tempfile::tempdir().unwrap();
    let zoneinfo = dir.path().join("zoneinfo/Asia");
    fs::create_dir_all(&zoneinfo).unwrap();
    let file = zoneinfo.join("Here");
    fs::write(&file, zone_file(3 * 3600, "XYZ-3")).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(offset(file), (3 * 3600, "Asia/Here".to_owned()));
    assert_eq!(
        offset(&format!(":{file}")),
        (3 * 3600, "Asia/Here".to_owned())
    );
    // A symbolic link such as /etc/localtime gives the name of its target.
    let link = dir.path().join("localtime");
    std::os::unix::fs::symlink(file, &link).unwrap();
    assert_eq!(
        offset(link.to_str().unwrap()),
        (3 * 3600, "Asia/Here".to_owned())
    );
}

#[test]
fn a_container_without_zone_files_has_those_that_are_built_in() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("zoneinfo/Asia/Shanghai");
    assert_eq!(
        offset(missing.to_str().unwrap()),
        (8 * 3600, "Asia/Shanghai".to_owned())
    );
    assert_eq!(
        offset("/usr/share/zoneinfo/Asia/Shanghai"),
        (8 * 3600, "Asia/Shanghai".to_owned())
    );
    assert_eq!(
        offset(":Asia/Shanghai"),
        (8 * 3600, "Asia/Shanghai".to_owned())
    );
    // Without a zone file the system's zone is UTC.
    assert_eq!(
        of_file("/nowhere/localtime", "/nowhere/localtime")
            .unwrap()
            .1,
        "UTC"
    );
    assert!(of_file("/nowhere/localtime", "/etc/localtime").is_err());
    assert!(local_zone(Some(":/etc/localtime")).is_ok());
    assert!(local_zone(Some("/etc/localtime")).is_ok());
}

#[test]
fn a_file_that_holds_no_zone_is_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("empty", &b""[..]),
        ("text", b"Asia/Shanghai\n"),
        ("large", &[0; 1024 * 1024 + 1]),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        let error = local_zone(path.to_str()).unwrap_err().to_string();
        assert!(
            error.starts_with("TZ = ") && error.contains(name),
            "{error}"
        );
    }
    let fifo = dir.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert!(
        local_zone(fifo.to_str())
            .unwrap_err()
            .to_string()
            .contains("a FIFO")
    );
    assert!(
        local_zone(Some("/nowhere/at/all"))
            .unwrap_err()
            .to_string()
            .contains("No such file")
    );
}
