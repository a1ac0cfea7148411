//! The input of a command: a file, or stdin.

use std::path::Path;

use anyhow::Context as _;

use crate::bounded;

/// The maximum size of a message or a captured request, in bytes: far more than MNS sends, far less
/// than a machine's memory.
pub(super) const INPUT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The maximum size of a certificate, a key or a sample.cfg, in bytes.
const SMALL_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a complete file. `-` is stdin.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    read_up_to(file, INPUT_BYTES_MAX)
}

/// Reads a message as text: a complete file, or stdin without one line end at its end.
///
/// `echo` and here-documents add that line end. `printf` adds none, and a second one belongs to the
/// message.
pub(super) fn read_message(file: &Path) -> anyhow::Result<String> {
    let name = || {
        if is_stdin(file) {
            "stdin".to_owned()
        } else {
            file.display().to_string()
        }
    };
    let mut text =
        String::from_utf8(read(file)?).with_context(|| format!("{} is not UTF-8", name()))?;
    if is_stdin(file) {
        let message = text.strip_suffix('\n').map_or(text.as_str(), |text| {
            text.strip_suffix('\r').unwrap_or(text)
        });
        text.truncate(message.len());
    }
    Ok(text)
}

/// Reads a complete certificate, key or sample.cfg. `-` is stdin.
pub(super) fn read_small(file: &Path) -> anyhow::Result<Vec<u8>> {
    read_up_to(file, SMALL_BYTES_MAX)
}

fn read_up_to(file: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    if is_stdin(file) {
        return bounded::read_all(std::io::stdin(), bytes_max).context("cannot read stdin");
    }
    bounded::read(file, bytes_max).with_context(|| format!("cannot read {}", file.display()))
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}
