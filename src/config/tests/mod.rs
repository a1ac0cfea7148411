//! What the tests of the configuration share.

mod accept;
mod certificates;
mod config;
mod layers;
mod mistakes;
mod values;
mod zone;

use std::path::PathBuf;

use crate::config::{Config, Sources};

pub(super) fn sources(environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
    let pairs = |list: &[(&str, &str)]| {
        list.iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    };
    let file = Some(PathBuf::from("config/endpoint.toml"));
    Sources {
        file,
        environment: pairs(environment),
        flags: pairs(flags),
        trust: Vec::new(),
    }
}

pub(super) fn load(environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
    Config::load(&sources(environment, flags)).map_err(|error| error.to_string())
}
