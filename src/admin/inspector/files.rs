//! The files of the page, compiled into the binary. They contain no data, so they need no token.

use crate::page::{File, Files, HTML, SCRIPT, file};

static OWN: [File; 13] = [
    file!("index.html", HTML, "page/index.html"),
    file!("api.js", SCRIPT, "page/api.js"),
    file!("app.js", SCRIPT, "page/app.js"),
    file!("curl.js", SCRIPT, "page/curl.js"),
    file!("detail.js", SCRIPT, "page/detail.js"),
    file!("dialogs.js", SCRIPT, "page/dialogs.js"),
    file!("forwarding.js", SCRIPT, "page/forwarding.js"),
    file!("i18n/en.js", SCRIPT, "page/i18n/en.js"),
    file!("i18n/zh.js", SCRIPT, "page/i18n/zh.js"),
    file!("list.js", SCRIPT, "page/list.js"),
    file!("pretty.js", SCRIPT, "page/pretty.js"),
    file!("store.js", SCRIPT, "page/store.js"),
    file!("strip.js", SCRIPT, "page/strip.js"),
];

/// The page at `/`, and its files below `/inspector/`.
pub(in crate::admin) static FILES: Files = Files::new("/inspector/", &OWN);
