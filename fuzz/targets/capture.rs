//! A captured request: what is read occurs in the capture, and reads the same when it is written
//! again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mns_endpoint::fuzzing;
use mns_endpoint::quarantine::Note;

fuzz_target!(|bytes: &[u8]| {
    let Some((request, behind)) = fuzzing::capture(bytes) else {
        return;
    };
    assert!(bytes.ends_with(behind));
    if let Some(note) = Note::parse(behind) {
        assert_eq!(Note::parse(note.to_string().as_bytes()), Some(note));
    }
    assert!(
        bytes
            .windows(request.body().len().max(1))
            .any(|part| request.body().is_empty() || part == request.body())
    );
    let mut written = format!("{} / HTTP/1.1\r\n", request.method()).into_bytes();
    for (name, value) in request.headers() {
        written.extend_from_slice(name.as_str().as_bytes());
        written.extend_from_slice(b": ");
        written.extend_from_slice(value.as_bytes());
        written.extend_from_slice(b"\r\n");
    }
    written.extend_from_slice(b"\r\n");
    written.extend_from_slice(request.body());
    let (again, _) = fuzzing::capture(&written).unwrap();
    assert_eq!(again.method(), request.method());
    assert_eq!(again.headers(), request.headers());
    assert_eq!(again.body(), request.body());
});
