//! Helpers that the tests of the configuration share.

mod accept;
mod certificates;
mod config;
mod forward;
mod layers;
mod mistakes;
mod values;
mod zone;

use std::path::PathBuf;

use crate::config::{Config, Sources};

fn sources(environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
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

/// Loads a file with this text. Errors call the file FILE.
fn load_file(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let sources = Sources {
        file: Some(file.path().to_owned()),
        ..sources(environment, &[])
    };
    let name = file.path().to_str().unwrap();
    Config::load(&sources).map_err(|error| error.to_string().replace(name, "FILE"))
}

fn load(environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
    Config::load(&sources(environment, flags)).map_err(|error| error.to_string())
}
