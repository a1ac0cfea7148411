//! README.zh.md and the Chinese pages in `docs/zh/` have the same headings, keys, commands and
//! examples as the English pages, so that a change to one is not forgotten in the other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mns_endpoint::server::Reason;
use regex::Regex;
use strum::IntoEnumIterator as _;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A page in both languages.
struct Page {
    /// The path of the English page.
    name: String,
    /// The path of the Chinese page.
    translation: String,
    english: String,
    chinese: String,
}

fn pages() -> Vec<Page> {
    let mut names: Vec<String> = fs::read_dir(path("docs/zh"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md"))
        .collect();
    names.sort();
    for name in [
        "client",
        "emulator",
        "errors",
        "forward",
        "inspector",
        "logging",
        "logs",
        "metrics",
        "migration",
        "operations",
        "scale",
        "security",
    ] {
        assert!(
            names.contains(&format!("{name}.md")),
            "docs/zh/{name}.md is missing"
        );
    }
    let read = |place: &str| fs::read_to_string(path(place)).unwrap();
    let page = |(name, translation): (String, String)| Page {
        english: read(&name),
        chinese: read(&translation),
        name,
        translation,
    };
    let pair = |name: String| (format!("docs/{name}"), format!("docs/zh/{name}"));
    let readme = ("README.md".to_owned(), "README.zh.md".to_owned());
    let pages = names.into_iter().map(pair).chain([readme]);
    pages.map(page).collect()
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

const BLOCK: &str = r"(?ms)^ *```.*?^ *```$";

fn prose(page: &str) -> String {
    regex(BLOCK).replace_all(page, "").into_owned()
}

/// Its headings, with their levels.
fn headings(page: &str) -> Vec<(usize, String)> {
    regex(r"(?m)^(#+) (.*)$")
        .captures_iter(&prose(page))
        .map(|found| (found[1].len(), found[2].to_owned()))
        .collect()
}

/// Its code blocks without comments, which each language writes in its own words.
fn blocks(page: &str) -> Vec<String> {
    let comment = regex(r"(?m)(^|\s+)#.*$");
    regex(BLOCK)
        .find_iter(page)
        .map(|block| comment.replace_all(block.as_str(), "").into_owned())
        .collect()
}

/// The text in backticks outside of code blocks: keys, commands, headers, values.
fn spans(page: &str) -> BTreeSet<String> {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    regex("`([^`]+)`")
        .captures_iter(&prose(page))
        .map(|found| words(&found[1]))
        .collect()
}

#[test]
fn headings_have_the_same_order_and_levels() {
    for page in pages() {
        let (english, chinese) = (headings(&page.english), headings(&page.chinese));
        let levels =
            |of: &[(usize, String)]| of.iter().map(|(level, _)| *level).collect::<Vec<_>>();
        assert_eq!(
            levels(&english),
            levels(&chinese),
            "{} has {english:#?}, {} has {chinese:#?}",
            page.name,
            page.translation
        );
    }
}

#[test]
fn commands_and_examples_are_the_same() {
    for page in pages() {
        let (english, chinese) = (blocks(&page.english), blocks(&page.chinese));
        assert_eq!(english.len(), chinese.len(), "blocks of {}", page.name);
        for (english, chinese) in english.iter().zip(&chinese) {
            assert_eq!(english, chinese, "a block of {}", page.name);
        }
    }
}

#[test]
fn keys_commands_and_values_are_the_same() {
    for page in pages() {
        let (english, chinese) = (spans(&page.english), spans(&page.chinese));
        let missing: Vec<_> = english.difference(&chinese).collect();
        let further: Vec<_> = chinese.difference(&english).collect();
        assert!(
            missing.is_empty() && further.is_empty(),
            "{} lacks {missing:#?} and has {further:#?}",
            page.translation
        );
    }
}

/// The keys of the tables with their second column, which is a status or a level.
fn rows(page: &str) -> Vec<(String, String)> {
    regex(r"(?m)^\| `(\w+)` \| (\w+) ")
        .captures_iter(page)
        .map(|found| (found[1].to_owned(), found[2].to_owned()))
        .collect()
}

#[test]
fn each_reason_has_its_row_and_its_hint() {
    let pages = pages();
    let page = pages
        .iter()
        .find(|page| page.name == "docs/errors.md")
        .unwrap();
    let rows = rows(&page.chinese);
    assert_eq!(rows, self::rows(&page.english));
    assert_eq!(rows.len(), Reason::iter().count());
    for reason in Reason::iter() {
        let hint = reason.hint();
        assert!(page.chinese.contains(hint), "{}: {hint}", reason.key());
    }
}

/// The anchor of a heading in a link, as GitHub derives it.
fn anchor(heading: &str) -> String {
    let text = regex(r"\[([^\]]*)\]\([^)]*\)").replace_all(heading, "$1");
    let kept = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | ' ');
    let letters = text.to_lowercase();
    letters
        .chars()
        .filter(|&letter| kept(letter))
        .collect::<String>()
        .replace(' ', "-")
}

#[test]
fn links_lead_somewhere() {
    let link = regex(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)");
    for page in pages() {
        let place = path(&page.translation);
        for found in link.captures_iter(&prose(&page.chinese)) {
            if found[1].contains("://") {
                continue;
            }
            let target = target(&place, &found[1]);
            assert!(target.exists(), "{}: {}", page.translation, &found[0]);
            if let Some(wanted) = found.get(2) {
                let text = fs::read_to_string(&target).unwrap();
                let anchors: Vec<_> = headings(&text)
                    .iter()
                    .map(|(_, text)| anchor(text))
                    .collect();
                let is_there = anchors.iter().any(|known| known == wanted.as_str());
                assert!(
                    is_there,
                    "{}: {} is not one of {anchors:#?}",
                    page.translation, &found[0]
                );
            }
        }
    }
}

fn target(page: &Path, link: &str) -> PathBuf {
    if link.is_empty() {
        page.to_owned()
    } else {
        page.parent().unwrap().join(link)
    }
}
