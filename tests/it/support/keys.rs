//! Keys that are made once for each run of the tests.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use mns_endpoint::emulator::Signer;

static KEYS: LazyLock<Mutex<HashMap<(usize, bool), Arc<Signer>>>> = LazyLock::new(Mutex::default);

/// The key of that size with which tests sign.
pub fn key(bits: usize) -> Arc<Signer> {
    made(bits, false)
}

/// Another key of that size.
pub fn foreign_key(bits: usize) -> Arc<Signer> {
    made(bits, true)
}

fn made(bits: usize, foreign: bool) -> Arc<Signer> {
    let mut keys = KEYS.lock().unwrap();
    keys.entry((bits, foreign)).or_insert_with(|| Arc::new(Signer::generate(bits).unwrap())).clone()
}
