//! A body as a notification in XML.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mns_endpoint_fuzz::check_envelope;

fuzz_target!(|body: &[u8]| check_envelope(body));
