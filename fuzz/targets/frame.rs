//! A frame of the commit log: it reads as it was written, and no other way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mns_endpoint::fuzzing;

/// The magic, the checksum and eight numbers.
const HEAD_BYTES: usize = 88;

fuzz_target!(|bytes: &[u8]| {
    // What a disk gives.
    if let Some(again) = fuzzing::frame_again(bytes) {
        assert!(again.starts_with(&bytes[..HEAD_BYTES]));
    }
    let (numbers, rest) = bytes.as_chunks::<8>().0.split_at(bytes.len().min(56) / 8);
    let [Some(place), life, number, synced, covered, endpoint, access] =
        std::array::from_fn(|at| numbers.get(at).copied().map(u64::from_le_bytes))
    else {
        return;
    };
    let numbers = [life, number, synced, covered, endpoint, access].map(Option::unwrap_or_default);
    let (endpoint, access) = rest.as_flattened().split_at(rest.len() * 4);
    let frame = fuzzing::frame(numbers, endpoint, access);
    assert_eq!(fuzzing::frame_again(&frame).as_ref(), Some(&frame));
    // Any other byte in it, or a byte less, is no frame.
    let len = HEAD_BYTES + endpoint.len() + access.len();
    let place = usize::try_from(place).unwrap_or_default() % len;
    let mut damaged = frame;
    damaged[place] ^= 1;
    assert_eq!(fuzzing::frame_again(&damaged), None);
    damaged[place] ^= 1;
    assert_eq!(fuzzing::frame_again(&damaged[..place]), None);
});
