//! What a command reads: a file, or stdin.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;

/// All of a file; `-` is stdin.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("cannot read stdin")?;
        return Ok(bytes);
    }
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// All of a file, as text.
pub(super) fn read_text(file: &Path) -> anyhow::Result<String> {
    let name = || if file == Path::new("-") { "stdin".to_owned() } else { file.display().to_string() };
    String::from_utf8(read(file)?).with_context(|| format!("{} is not UTF-8", name()))
}
