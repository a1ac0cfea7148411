//! The files of the page, embedded in the binary and listed in one table.

use crate::page::{File, Files, HTML, SCRIPT, STYLE, file};

static OWN: [File; 9] = [
    file!("index.html", HTML, "web/index.html"),
    file!("attempts.js", SCRIPT, "web/attempts.js"),
    file!("chaos.js", SCRIPT, "web/chaos.js"),
    file!("emulator.css", STYLE, "web/emulator.css"),
    file!("emulator.js", SCRIPT, "web/emulator.js"),
    file!("i18n/en.js", SCRIPT, "web/i18n/en.js"),
    file!("i18n/zh.js", SCRIPT, "web/i18n/zh.js"),
    file!("publish.js", SCRIPT, "web/publish.js"),
    file!("topics.js", SCRIPT, "web/topics.js"),
];

/// The page at `/`, and its files below `/-/`: the API has no such path, whatever the topics are
/// called.
pub(super) static FILES: Files = Files::new("/-/", &OWN);
