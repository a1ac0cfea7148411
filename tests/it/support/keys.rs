//! Keys that are generated once per test run.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use mns_endpoint::emulator::Signer;

type Keys = LazyLock<Mutex<HashMap<usize, Arc<Signer>>>>;

static OURS: Keys = LazyLock::new(Mutex::default);
static FOREIGN: Keys = LazyLock::new(Mutex::default);

/// The key of this size with which tests sign.
pub fn key(bits: usize) -> Arc<Signer> {
    made(&OURS, bits)
}

/// Another key of that size.
pub fn foreign_key(bits: usize) -> Arc<Signer> {
    made(&FOREIGN, bits)
}

fn made(keys: &Keys, bits: usize) -> Arc<Signer> {
    let mut keys = keys.lock().unwrap();
    keys.entry(bits)
        .or_insert_with(|| Arc::new(Signer::generate(bits).unwrap()))
        .clone()
}
