//! The repository's own rules: layers, fences around crates, and pages that match the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use mns_endpoint::server::Reason;
use mns_endpoint::trust::CheckName;
use strum::IntoEnumIterator as _;

/// The modules in layers: each imports from its own name and from layers above it in this table.
const LAYERS: [&[&str]; 8] = [
    &["mns"],
    &[
        "bounded",
        "clock",
        "disk",
        "host_name",
        "meter",
        "page",
        "report",
        "roots",
        "runtime_thread",
        "span",
        "tls_error",
        "waiting",
    ],
    &["trust", "journal", "quarantine", "net", "traces"],
    &["forward"],
    &["server", "client", "emulator"],
    &["explain"],
    &["admin"],
    &["config", "command", "telemetry", "metrics", "signals"],
];

/// A crate and the files that may name it.
const FENCES: [(&str, &[&str]); 25] = [
    ("async_nats", &["forward/nats/"]),
    ("nkeys", &["forward/nats/creds.rs"]),
    ("prost", &["traces/"]),
    ("quick_xml", &["mns/xml.rs", "mns/document.rs"]),
    (
        "serde_json",
        &[
            "mns/json.rs",
            "journal/",
            "forward/",
            "page/",
            "admin/",
            "config/layers.rs",
            "emulator/api/",
            "emulator/page/",
            "command/",
        ],
    ),
    (
        "axum",
        &[
            "net/accept.rs",
            "net/answer_body.rs",
            "net/connection.rs",
            "net/responder.rs",
            "net/turned_away.rs",
            "server/",
            "admin/",
            "emulator/",
            "page/",
        ],
    ),
    ("hyper", &["net/"]),
    (
        "reqwest",
        &[
            "trust/source.rs",
            "traces/exporter.rs",
            "client/connection.rs",
            "client/error.rs",
            "forward/http/",
            "forward/nats/monitor.rs",
            "command/health.rs",
            "admin/inspector/replay.rs",
        ],
    ),
    ("rcgen", &["command/serve/self_signed.rs"]),
    ("rsa", &["trust/public_key.rs", "emulator/signer.rs"]),
    ("aws_lc_rs", &["trust/public_key.rs"]),
    ("crypto_bigint", &["trust/public_key.rs"]),
    (
        "sha1",
        &[
            "trust/public_key.rs",
            "emulator/signer.rs",
            "emulator/chaos.rs",
            "mns/authorization.rs",
        ],
    ),
    (
        "sha2",
        &[
            "trust/certificate.rs",
            "mns/signature_v4.rs",
            "forward/identity.rs",
            "forward/http/secret.rs",
            "page/file.rs",
        ],
    ),
    (
        "x509_cert",
        &[
            "trust/certificate.rs",
            "trust/public_key.rs",
            "emulator/signer.rs",
            "net/tls/pair.rs",
        ],
    ),
    ("md5", &["mns/content_md5.rs"]),
    ("figment", &["config/layers.rs", "config/mistake.rs"]),
    ("clap", &["command/"]),
    ("anyhow", &["command/", "main.rs"]),
    ("redb", &["emulator/account/"]),
    ("socket2", &["net/listener.rs", "net/activation.rs"]),
    ("prometheus_client", &["metrics/"]),
    ("toml_edit", &["config/place.rs"]),
    ("proxy_header", &["net/proxies.rs"]),
    ("sd_listen_fds", &["net/activation.rs"]),
];

/// The placeholder of a shipped configuration for an account id.
const PLACEHOLDER: &str = "your-account-id";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `src`: its path from there, and its text without its tests.
fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found)
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path)
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join("src"), &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let name = path
            .strip_prefix(root().join("src"))
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let text = fs::read_to_string(&path).unwrap();
        // A page continues after the line that names its tests.
        let text = text.replace("\n#[cfg(test)]\nmod tests;\n", "\n");
        let text = text.split("\n#[cfg(test)]\n").next().unwrap().to_owned();
        (name, text)
    };
    paths
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs") && !path.iter().any(|part| part == "tests"))
        .map(read)
        .collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn imports_point_down_and_never_sideways() {
    let import = regex::Regex::new(r"crate::(\w+)").unwrap();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let module = name.split(['/', '.']).next().unwrap();
        if module == "lib" || module == "main" {
            continue;
        }
        let own = layer(module).unwrap_or_else(|| panic!("{name}: its module is in no layer"));
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for found in import.captures_iter(line) {
                let other = &found[1];
                seen += 1;
                let below = layer(other).is_some_and(|layer| layer < own);
                let beside = module == "command" && layer(other).is_some();
                if other != module && !below && !beside {
                    wrong.push(format!(
                        "{name}:{}: {module} must not import {other}",
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(
        seen > 100,
        "only {seen} imports were seen: this test is blind"
    );
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn crates_are_named_in_their_places_only() {
    let mut wrong = Vec::new();
    for (name, places) in FENCES {
        let used = regex::Regex::new(&format!(r"(^|[^\w:]){name}::")).unwrap();
        let mut found = 0;
        for (file, text) in sources() {
            let lines = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            if lines.into_iter().any(|line| used.is_match(line)) {
                found += 1;
                if !places.iter().any(|place| file.starts_with(place)) {
                    wrong.push(format!("{file} must not name {name}"));
                }
            }
        }
        assert!(found > 0, "nobody names {name}: its fence can go");
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn commands_print_through_the_printer_which_outlives_its_reader() {
    let stdout = regex::Regex::new(r"\bio::stdout\(\)|\bio::\{[^}]*\bstdout\b").unwrap();
    let places = [
        "command/stdout.rs",
        "command/serve/announcement.rs",
        "telemetry.rs",
    ];
    let found: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| stdout.is_match(text))
        .map(|(name, _)| name)
        .collect();
    assert!(
        found.iter().any(|name| name == places[0]),
        "this test is blind"
    );
    let wrong: Vec<&String> = found
        .iter()
        .filter(|name| !places.contains(&name.as_str()))
        .collect();
    assert!(
        wrong.is_empty(),
        "use command::stdout::printer(), as an error of stdout must not end a command: {wrong:?}"
    );
}

#[test]
fn the_words_of_mns_have_no_clock_disk_network_or_log() {
    let outside = regex::Regex::new(
        r"\b(tokio|tracing|std::fs|std::net::(Tcp|Udp)|SystemTime::now|Instant)\b",
    )
    .unwrap();
    for (name, text) in sources()
        .into_iter()
        .filter(|(name, _)| name.starts_with("mns/"))
    {
        assert!(
            !outside.is_match(&text),
            "{name}: {:?}",
            outside.find(&text).unwrap().as_str()
        );
    }
}

#[test]
fn only_a_verified_request_yields_a_decoded_notification() {
    let callers: Vec<String> = sources()
        .into_iter()
        .filter(|(name, text)| !name.starts_with("mns/") && text.contains("Notification::decode"))
        .map(|(name, _)| name)
        .collect();
    // explain and the inspector show what a request contains, and a row shows what a refused one
    // claims. None of them answers a request.
    assert_eq!(
        callers,
        [
            "admin/inspector/request.rs",
            "explain/judgement.rs",
            "journal/read/row.rs",
            "trust/verifier.rs"
        ]
    );
}

#[test]
fn every_file_begins_with_its_purpose() {
    for (name, text) in sources() {
        let first = text
            .lines()
            .find(|line| !line.starts_with("#!["))
            .unwrap_or_default();
        assert!(first.starts_with("//! "), "{name} opens with {first:?}");
    }
}

/// The titles of the layers on the map, from `mns` up: the modules of [`LAYERS`], and the entry
/// above them.
const LAYER_TITLES: [&str; 8] = [
    "Words: what MNS says. Pure: no clock, disk, network, async or log.",
    "Floor: what services share.",
    "Services: each owns one resource.",
    "Forwarding: what is on disk is handed on, and a 201 may wait for that.",
    "Roles: what the program can be.",
    "Judgement: why the endpoint answers as it does.",
    "Views: what operators see of the roles.",
    "Assembly: strings become values, values become parts.",
];
const ENTRY_TITLE: &str = "Entry";
const MAP_BEGINS: &str = "<!-- the map: `UPDATE_MAP=1 cargo tidy` writes it -->\n";
const MAP_ENDS: &str = "<!-- end of the map -->\n";

/// The first paragraph of a file's `//!`, as one line.
fn purpose(text: &str) -> String {
    let docs = text.lines().skip_while(|line| line.starts_with("#!["));
    let docs = docs.map_while(|line| line.strip_prefix("//!"));
    let paragraph = docs.map(str::trim).take_while(|line| !line.is_empty());
    paragraph.collect::<Vec<_>>().join(" ")
}

/// A line for each file, in the order of the layers.
fn map() -> String {
    let layers = LAYER_TITLES.iter().zip(LAYERS);
    let entry = (&ENTRY_TITLE, &["main", "lib"][..]);
    let mut map = String::new();
    for (title, modules) in std::iter::once(entry).chain(layers) {
        map += &format!("\n{title}\n");
        for module in modules {
            let of_module = |name: &str| name.split(['/', '.']).next() == Some(module);
            let mut files = sources();
            files.retain(|(name, _)| of_module(name));
            // The page of a folder comes first.
            files.sort_by_key(|(name, _)| {
                let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
                (folder.to_owned(), file != "mod.rs", file.to_owned())
            });
            for (name, text) in files {
                map += &format!("- `{name}`: {}\n", purpose(&text));
            }
        }
    }
    map + "\n"
}

#[test]
fn the_map_has_every_file_with_its_first_sentence() {
    let path = root().join("docs/ARCHITECTURE.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(MAP_BEGINS).unwrap();
    let (there, after) = rest.split_once(MAP_ENDS).unwrap();
    let map = map();
    if std::env::var_os("UPDATE_MAP").is_some() {
        fs::write(&path, [before, MAP_BEGINS, &map, MAP_ENDS, after].concat()).unwrap();
        return;
    }
    let missing = map.lines().find(|line| !there.contains(line));
    assert!(
        there == map,
        "docs/ARCHITECTURE.md is out of date at {missing:?}: UPDATE_MAP=1 cargo tidy"
    );
}

#[test]
fn every_file_that_a_page_names_exists() {
    let page = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let modules = LAYERS.concat().join("|");
    let named = regex::Regex::new(&format!(r"`((?:{modules})(?:/[\w/]+)?\.rs)`")).unwrap();
    assert!(named.is_match(&page));
    for found in named.captures_iter(&page) {
        let path = root().join("src").join(&found[1]);
        assert!(
            path.is_file(),
            "docs/ARCHITECTURE.md names {}, which is gone",
            &found[1]
        );
    }
}

#[test]
fn every_reason_key_is_explained() {
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let row = regex::Regex::new(r"(?m)^\| `(\w+)` ").unwrap();
    let mut explained: Vec<String> = row
        .captures_iter(&page)
        .map(|found| found[1].to_owned())
        .collect();
    let mut keys: Vec<String> = Reason::iter()
        .map(|reason| reason.key().to_owned())
        .collect();
    explained.sort();
    keys.sort();
    assert_eq!(explained, keys);
}

#[test]
fn the_checks_of_the_verifier_are_explained_in_their_order() {
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let (_, section) = page.split_once("\n## Checks of the signature\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let item = regex::Regex::new(r"(?m)^\d\. `([a-z0-9-]+)`: ").unwrap();
    let explained: Vec<&str> = item
        .captures_iter(section)
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    let made: Vec<&str> = CheckName::iter().map(Into::into).collect();
    assert_eq!(explained, made);
}

#[test]
fn every_crate_has_its_line_in_the_map() {
    let map = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, dependencies) = manifest.split_once("\n[dependencies]\n").unwrap();
    let dependencies = dependencies.split("\n[").next().unwrap();
    let names: Vec<&str> = dependencies
        .lines()
        .filter_map(|line| Some(line.split_once(" = ")?.0))
        .collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(
            map.contains(&format!("| `{name}` ")),
            "docs/ARCHITECTURE.md has no line for the crate {name}"
        );
    }
}

#[test]
fn the_image_runs_without_root_and_from_pinned_images() {
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    assert!(dockerfile.contains("\nUSER 10001:10001\n"));
    for line in dockerfile.lines().filter(|line| line.starts_with("FROM ")) {
        let image = line.split(' ').nth(1).unwrap();
        let (_, tag) = image.split_once(':').unwrap_or((image, ""));
        assert!(
            image == "scratch" || (tag != "latest" && tag.contains('.')),
            "{line}"
        );
    }
    for needed in [
        "EXPOSE 8080",
        "VOLUME [\"/logs\", \"/state\"]",
        "HEALTHCHECK ",
    ] {
        assert!(dockerfile.contains(needed), "{needed}");
    }
}

/// Docker kills a health check at its timeout, and `health` could then not print why. It makes up
/// to two requests: the second with TLS.
#[test]
fn the_health_check_of_the_image_has_time_to_print_why() {
    let number = |file: &str, before: &str, after: &str| -> u64 {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let (_, rest) = text.split_once(before).unwrap();
        rest.split_once(after).unwrap().0.parse().unwrap()
    };
    let docker = number(
        "Dockerfile",
        "\nHEALTHCHECK --interval=10s --timeout=",
        "s ",
    );
    let request = number(
        "src/command/health.rs",
        "const TIMEOUT: Duration = Duration::from_secs(",
        ")",
    );
    assert!(docker > 2 * request, "{docker} s, {request} s");
}

/// The image is built without `benches/`. Cargo looks for a target's file before it builds anything
/// else, unless the manifest says where it is.
#[test]
fn every_target_of_the_manifest_says_where_its_file_is() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let tables: Vec<&str> = manifest.split("\n[").collect();
    let targets = ["[bin]]", "[bench]]", "[example]]"];
    let of_target = |table: &&&str| targets.iter().any(|target| table.starts_with(target));
    let found: Vec<&&str> = tables.iter().filter(of_target).collect();
    assert!(found.len() > 3, "{found:?}");
    for table in found {
        let path = table
            .lines()
            .find_map(|line| line.strip_prefix("path = \""));
        let path = path.unwrap_or_else(|| panic!("no path: {table}"));
        let path = path.split('"').next().unwrap();
        assert!(root().join(path).is_file(), "{path}");
    }
}

#[test]
fn the_shipped_configurations_load() {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("config")).unwrap() {
        let path = entry.unwrap().path();
        let load = |path: PathBuf| {
            let sources = mns_endpoint::config::Sources {
                file: Some(path),
                ..Default::default()
            };
            mns_endpoint::config::Config::load(&sources).map_err(|error| error.to_string())
        };
        seen += 1;
        let text = fs::read_to_string(&path).unwrap();
        if !text.contains(PLACEHOLDER) {
            assert_eq!(load(path.clone()).err(), None, "{}", path.display());
            continue;
        }
        // A configuration with placeholders does not start before they are replaced.
        let error = load(path).expect_err("a placeholder is no owner");
        assert!(
            error.starts_with(&format!("accept.topic_owners = {PLACEHOLDER:?}: ")),
            "{error}"
        );
        let filled = tempfile::NamedTempFile::new().unwrap();
        fs::write(filled.path(), text.replace(PLACEHOLDER, "1269128356620446")).unwrap();
        assert_eq!(load(filled.path().to_owned()).err(), None);
    }
    assert!(seen > 1);
}

#[test]
fn every_cited_section_of_the_protocol_exists() {
    let page = fs::read_to_string(root().join("docs/protocol.md")).unwrap();
    let cited = regex::Regex::new(r"protocol\.md (\d\.\d)").unwrap();
    for (name, text) in sources() {
        for section in cited.captures_iter(&text) {
            assert!(
                page.contains(&format!("\n### {} ", &section[1])),
                "{name}: {}",
                &section[0]
            );
        }
    }
}

#[test]
fn nothing_unfinished_is_left() {
    let unfinished = regex::Regex::new(r"\b(TODO|FIXME|XXX)\b").unwrap();
    for (name, text) in sources() {
        assert!(!unfinished.is_match(&text), "{name}");
    }
}

/// A path such as `crate::mns::Prefixes`, by its segments.
type Segments = Vec<String>;

/// The paths in a text that begins with one: `a::{b, c::D as E}` has two.
fn paths(text: &str) -> Vec<Segments> {
    /// Reads a tree of paths, adds them after `prefix`, and returns the text after it.
    fn read<'a>(mut text: &'a str, prefix: &[String], found: &mut Vec<Segments>) -> &'a str {
        let mut path = prefix.to_vec();
        loop {
            text = text.trim_start();
            if let Some(mut rest) = text.strip_prefix('{') {
                loop {
                    rest = read(rest, &path, found).trim_start();
                    match rest.strip_prefix(',') {
                        Some(more) => rest = more,
                        None => return rest.strip_prefix('}').unwrap_or(rest),
                    }
                }
            }
            let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
            let end = text.find(|letter| !is_word(letter)).unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            if !word.is_empty() && word != "self" {
                path.push(word.to_owned());
            }
            text = match rest.strip_prefix("::") {
                Some(more) => more,
                None => {
                    if !path.is_empty() && path != prefix || word == "self" {
                        found.push(path);
                    }
                    let alias = rest.trim_start().strip_prefix("as ");
                    return alias.map_or(rest, |alias| alias.trim_start_matches(is_word));
                }
            };
        }
    }
    let mut found = Vec::new();
    read(text, &[], &mut found);
    found
}

/// The files of `src`, and the text of each without its tests and comments.
struct Files(BTreeMap<String, String>);

impl Files {
    fn new(sources: Vec<(String, String)>) -> Self {
        let code = |text: String| {
            let lines = text.lines();
            let code = lines.filter(|line| !line.trim_start().starts_with("//"));
            code.collect::<Vec<_>>().join("\n")
        };
        let files = sources.into_iter().map(|(name, text)| (name, code(text)));
        Self(files.collect())
    }

    /// The file of a module, by the path of the module from the crate.
    fn of_module(&self, module: &[String]) -> Option<String> {
        let base = module.join("/");
        let names = [format!("{base}.rs"), format!("{base}/mod.rs")];
        names.into_iter().find(|name| self.0.contains_key(name))
    }

    /// The file that defines what a path from the crate names: the deepest file that the path leads
    /// into and, from a page, the file that the page re-exports it from.
    fn defining(&self, path: &[String]) -> Option<String> {
        let mut module: Segments = Vec::new();
        let mut rest = path;
        while let Some((next, after)) = rest.split_first() {
            let deeper = [&module[..], std::slice::from_ref(next)].concat();
            if self.of_module(&deeper).is_none() {
                break;
            }
            (module, rest) = (deeper, after);
        }
        let file = self.of_module(&module)?;
        let Some(name) = rest.first().filter(|_| file.ends_with("mod.rs")) else {
            return Some(file);
        };
        for used in self.0[&file].split("use ").skip(1).flat_map(paths) {
            let child = [&module[..], &used[..1]].concat();
            if used.last() == Some(name) && self.of_module(&child).is_some() {
                return self.defining(&[module, used].concat());
            }
        }
        Some(file)
    }

    /// The files that each file imports from.
    fn imports(&self) -> BTreeMap<&str, Vec<String>> {
        let imports = |name: &str, text: &str| {
            // `pub(in crate::trust)` is not an import.
            let text = text.replace("(in crate::", "(in ");
            let paths = text.split("crate::").skip(1).flat_map(paths);
            let files = paths.filter_map(|path| self.defining(&path));
            files.filter(|file| file != name).collect()
        };
        let entry = ["lib.rs", "main.rs"];
        let files = self
            .0
            .iter()
            .filter(|(name, _)| !entry.contains(&name.as_str()));
        files
            .map(|(name, text)| (name.as_str(), imports(name, text)))
            .collect()
    }

    /// The circles: groups of files that all import each other, directly or through others.
    fn circles(&self) -> Vec<Vec<String>> {
        let imports = self.imports();
        let reached = |from: &str| {
            let mut reached = BTreeSet::new();
            let mut open = vec![from.to_owned()];
            while let Some(file) = open.pop() {
                for next in imports.get(file.as_str()).into_iter().flatten() {
                    if reached.insert(next.clone()) {
                        open.push(next.clone());
                    }
                }
            }
            reached
        };
        let reached: BTreeMap<&str, _> =
            imports.keys().map(|file| (*file, reached(file))).collect();
        let mut circles = Vec::new();
        for (file, all) in &reached {
            let back = all
                .iter()
                .filter(|other| reached[other.as_str()].contains(*file));
            let circle: Vec<String> = back.cloned().collect();
            if !circle.is_empty() && !circles.contains(&circle) {
                circles.push(circle);
            }
        }
        circles
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let files = Files::new(sources());
    let imports = files.imports();
    let all: usize = imports.values().map(Vec::len).sum();
    assert!(
        all > 500,
        "only {all} imports were seen: this test is blind"
    );
    // Through a page, to the file that defines the name.
    let of_prefetch = &imports["trust/prefetch.rs"];
    assert!(
        of_prefetch.contains(&"trust/cache/cache.rs".to_owned()),
        "{of_prefetch:?}"
    );
    let circles = files.circles();
    assert_eq!(circles, Vec::<Vec<String>>::new());
}

#[test]
fn a_circle_of_files_is_seen_through_pages_and_lists() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let page = file(
        "a/mod.rs",
        "mod one;\nmod two;\npub use one::One;\npub use two::{Two, Zwei};",
    );
    let one = file(
        "a/one.rs",
        "use crate::a::{Zwei, two::Other};\npub struct One;",
    );
    let circle = |two: &str, b: &str| {
        let files = vec![
            page.clone(),
            one.clone(),
            file("a/two.rs", two),
            file("b.rs", b),
        ];
        Files::new(files).circles()
    };
    let none = Vec::<Vec<String>>::new();
    assert_eq!(
        circle("use crate::b::B;\npub struct Two;", "pub struct B;"),
        none
    );
    assert_eq!(
        circle("/// See [`crate::a::One`].\npub struct Two;", ""),
        none
    );
    let both = vec![vec!["a/one.rs".to_owned(), "a/two.rs".to_owned()]];
    assert_eq!(circle("use crate::a::One;", ""), both);
    assert_eq!(circle("fn f(one: crate::a::one::One) {}", ""), both);
    let three = circle(
        "use crate::b::B;",
        "use std::fmt;\n\nuse crate::a::{\n    One as Eins,\n};",
    );
    assert_eq!(three, vec![vec!["a/one.rs", "a/two.rs", "b.rs"]]);
}

#[test]
fn pages_hold_no_functions() {
    let function = regex::Regex::new(r"(?m)^\s*(pub(\(.*?\))? )?(const |async )*fn (\w+)").unwrap();
    assert!(sources().iter().any(|(_, text)| function.is_match(text)));
    for (name, text) in sources() {
        if name.ends_with("mod.rs") {
            let found = function.find(&text).map(|found| found.as_str());
            assert_eq!(found, None, "{name}: a mod.rs is a table of contents");
        }
    }
}

#[test]
fn no_line_is_longer_than_a_hundred_columns() {
    fn walk(dir: &Path, wrong: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, wrong);
                continue;
            }
            let name = path
                .strip_prefix(root().join("src"))
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
                if line.chars().count() > 100 {
                    wrong.push(format!("{name}:{}", number + 1));
                }
            }
        }
    }
    let mut wrong = Vec::new();
    walk(&root().join("src"), &mut wrong);
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn no_file_has_more_than_three_hundred_lines_before_its_tests() {
    let files = sources();
    let long = files
        .into_iter()
        .map(|(name, text)| (name, text.lines().count()));
    let long: Vec<(String, usize)> = long.filter(|(_, lines)| *lines > 300).collect();
    assert_eq!(long, []);
}

/// The texts in which a word must not occur.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// In comments, and in strings: help, messages, log records.
    Code,
    /// Also in the English pages.
    Everywhere,
}

/// Words that make a reader read twice, as patterns, the texts in which they must not occur, and
/// what to write instead.
const PRIVATE_WORDS: [(&str, Scope, &str); 23] = [
    ("(is|are) had", Scope::Everywhere, "is obtained, available"),
    (
        "(is|are) none",
        Scope::Everywhere,
        "is not, is missing, is empty",
    ),
    // With a capital letter: as the first word of a sentence it is mostly a condition.
    (
        "Where",
        Scope::Code,
        "if, when, or the noun: the position at which",
    ),
    ("a moment", Scope::Everywhere, "the duration, or soon"),
    ("anew", Scope::Everywhere, "again"),
    ("at hand", Scope::Everywhere, "cached, available"),
    ("be had", Scope::Everywhere, "be obtained, be available"),
    ("comes in", Scope::Everywhere, "arrives"),
    ("crowded", Scope::Everywhere, "contended"),
    ("for good", Scope::Everywhere, "permanently"),
    ("lies", Scope::Everywhere, "is"),
    ("so many", Scope::Everywhere, "how many, this many"),
    ("stand", Scope::Everywhere, "the precise verb"),
    ("standing", Scope::Everywhere, "the precise verb"),
    ("stands", Scope::Everywhere, "is, precedes, matches"),
    ("stood", Scope::Everywhere, "the precise verb"),
    ("tell", Scope::Everywhere, "report, log, distinguish"),
    ("telling", Scope::Everywhere, "reporting, logging"),
    ("tells", Scope::Everywhere, "reports, logs, distinguishes"),
    ("told", Scope::Everywhere, "reported, logged, informed"),
    ("vouch(ed|es)?", Scope::Everywhere, "prove, confirm"),
    ("what is held", Scope::Everywhere, "what is cached, stored"),
    ("who waits", Scope::Everywhere, "a client that waits"),
];

/// Files in which a private word is the right one, and why. `*` is every word.
const PRIVATE_WORDS_ALLOWED: [(&str, &str, &str); 1] =
    [("tests/it/tidy.rs", "*", "it has the list of them")];

/// The comments of a Rust file and its strings, each without names in backticks and placeholders.
fn prose_of_rust(text: &str) -> Vec<String> {
    // A small lexer: whatever begins first hides what the others would find in it.
    let tokens = regex::Regex::new(concat!(
        r"(?s)//[/!]?(?<comment>[^\n]*)",
        r##"|r#"(?<raw>.*?)"#"##,
        r"|'(?:\\.|[^\\'])'",
        r#"|"(?<string>(?:[^"\\]|\\.)*)""#,
    ))
    .unwrap();
    let code = regex::Regex::new(r"(?s)`[^`]*`|\{[^{}]*\}|\\\n\s*").unwrap();
    let mut comments = String::new();
    let mut found = Vec::new();
    for token in tokens.captures_iter(text) {
        if let Some(comment) = token.name("comment") {
            comments += comment.as_str();
            comments.push(' ');
        } else if let Some(string) = token.name("raw").or(token.name("string")) {
            found.push(string.as_str().to_owned());
        }
    }
    found.push(comments);
    found
        .iter()
        .map(|text| code.replace_all(text, " ").into_owned())
        .collect()
}

/// The comments and strings of every Rust file and the text of every English page, each as one
/// line, so that a phrase is found across a line end. Returns path, text and whether it is a page.
fn prose() -> Vec<(String, String, bool)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                walk(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for dir in ["src", "tests", "benches", "fuzz"] {
        walk(&root().join(dir), &mut found);
    }
    for dir in ["", "docs", "docs/design"] {
        let pages = fs::read_dir(root().join(dir)).unwrap();
        found.extend(pages.map(|page| page.unwrap().path()).filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.ends_with(".md") && !name.ends_with(".zh.md")
        }));
    }
    found.sort();
    found
        .into_iter()
        .flat_map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root()).unwrap().to_string_lossy();
            let name = name.into_owned();
            let is_page = path.extension().is_some_and(|end| end == "md");
            let texts = if is_page {
                vec![text]
            } else {
                prose_of_rust(&text)
            };
            texts.into_iter().map(move |text| {
                let words: Vec<&str> = text.split_whitespace().collect();
                (name.clone(), words.join(" "), is_page)
            })
        })
        .collect()
}

#[test]
fn comments_strings_and_pages_have_no_private_words() {
    let prose = prose();
    assert!(prose.iter().any(|(name, ..)| name == "docs/errors.md"));
    assert!(
        prose
            .iter()
            .any(|(name, ..)| name == "src/journal/writer.rs")
    );
    let mut found = BTreeSet::new();
    for (word, scope, instead) in PRIVATE_WORDS {
        let is_any_case = !word.contains(char::is_uppercase);
        let pattern = regex::RegexBuilder::new(&format!(r"\b{word}\b"))
            .case_insensitive(is_any_case)
            .build()
            .unwrap();
        for (name, text, is_page) in &prose {
            if (*is_page && scope == Scope::Code) || !pattern.is_match(text) {
                continue;
            }
            found.insert((name.as_str(), word, instead));
        }
    }
    for (name, word, reason) in PRIVATE_WORDS_ALLOWED {
        let count = found.len();
        found.retain(|(file, found, _)| *file != name || ![*found, "*"].contains(&word));
        assert!(
            found.len() < count,
            "{word:?} in {name} ({reason}) is not there any more"
        );
    }
    assert!(found.is_empty(), "write something else: {found:#?}");
}
