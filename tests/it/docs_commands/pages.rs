//! The commands that the pages print, in code blocks and in sentences.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::elsewhere::{NO_COMMANDS, PROGRAMS};

/// A command, whichever pages have it.
#[derive(Debug)]
pub struct Command {
    /// As it is printed, without comments and with its line ends.
    pub raw: String,
    pub pages: Vec<String>,
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The pages that print commands for a reader: each with its path from the root.
pub fn pages() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut paths: Vec<PathBuf> = ["README.md", "README.zh.md", "CONTRIBUTING.md"]
        .iter()
        .map(|name| root().join(name))
        .chain([root().join("certs/README.md")])
        .collect();
    for dir in ["docs", "deploy", "examples"] {
        walk(&root().join(dir), &mut paths);
    }
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        (name.to_owned(), fs::read_to_string(&path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

/// Every command, by its text with its line ends and runs of blanks as one blank.
pub fn commands() -> BTreeMap<String, Command> {
    let mut found = BTreeMap::new();
    for (page, text) in pages() {
        let of_blocks = blocks(&text).into_iter().flat_map(|block| of_block(&block));
        let within_text = spans(&text).into_iter().filter(|span| is_command(span));
        let within_text = within_text.map(|span| (span.clone(), span));
        for (name, raw) in of_blocks.chain(within_text) {
            let pages = Vec::new();
            let command = found.entry(name).or_insert(Command { raw, pages });
            if !command.pages.contains(&page) {
                command.pages.push(page.clone());
            }
        }
    }
    found
}

/// The text between backticks in sentences and tables.
pub fn spans(page: &str) -> Vec<String> {
    let prose = Regex::new(BLOCK).unwrap().replace_all(page, "");
    let span = Regex::new("`([^`]+)`").unwrap();
    let spans = span.captures_iter(&prose);
    // A table escapes a pipe.
    spans
        .map(|found| collapsed(&found[1].replace("\\|", "|")))
        .collect()
}

/// Whether it is a command: a program of the list, or a script of this repository, with arguments.
/// Commands of our own program do not count, because sentences name many that nobody would type.
fn is_command(span: &str) -> bool {
    let variable = Regex::new("^[A-Z_]+=").unwrap();
    let mut words = span.split(' ').skip_while(|word| variable.is_match(word));
    let Some(program) = words.next() else {
        return false;
    };
    let is_ours = program.ends_with("/mns-endpoint");
    let is_relative = program.contains('/') && !program.starts_with('/');
    let is_script = is_relative && !is_ours && is_executable(&root().join(program));
    let is_known = PROGRAMS.contains(&program);
    is_script || is_known && words.next().is_some()
}

fn is_executable(path: &Path) -> bool {
    let is = |found: fs::Metadata| found.is_file() && found.permissions().mode() & 0o111 != 0;
    fs::metadata(path).is_ok_and(is)
}

/// The arguments of our own program that a text has, each without its quotes.
pub fn calls(text: &str, commands: &[String]) -> Vec<Vec<String>> {
    let words = words(text);
    let is_end =
        |word: &&String| !["|", "||", "&", "&&", ">", "2>", "2>&1", "..."].contains(&word.as_str());
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let is_program = word.rsplit('/').next() == Some("mns-endpoint");
        let is_named = at == 0 && commands.contains(word);
        let rest = &words[at + usize::from(!is_named)..];
        if (is_program || is_named) && rest.first().is_some_and(|next| commands.contains(next)) {
            found.push(rest.iter().take_while(is_end).cloned().collect());
        }
    }
    found
}

/// The words of a command line.
fn words(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut quote = None;
    for letter in text.chars() {
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            (None, letter) if letter.is_whitespace() || letter == ';' => found.push(String::new()),
            (_, letter) => found.last_mut().unwrap().push(letter),
        }
    }
    found.retain(|word| !word.is_empty());
    found
}

const BLOCK: &str = r"(?ms)^( *)```([^\n]*)\n(.*?)^ *```$";

/// A code block, without the indentation of the list that it is in.
pub struct Block {
    pub tag: String,
    pub text: String,
}

pub fn blocks(page: &str) -> Vec<Block> {
    let block = Regex::new(BLOCK).unwrap();
    let of = |found: regex::Captures<'_>| {
        let indented = found[1].to_owned();
        let lines = found[3].lines();
        let lines = lines.map(|line| line.strip_prefix(&indented).unwrap_or(line));
        Block {
            tag: found[2].trim().to_owned(),
            text: lines.collect::<Vec<_>>().join("\n"),
        }
    };
    block.captures_iter(page).map(of).collect()
}

pub fn collapsed(text: &str) -> String {
    let lines = text.replace("\\\n", " ");
    lines.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The commands of a block: the name of each, and its text.
fn of_block(block: &Block) -> Vec<(String, String)> {
    match block.tag.as_str() {
        "" | "sh" | "bash" | "console" | "text" => {}
        "yaml" => return of_job(&block.text).into_iter().collect(),
        _ => return Vec::new(),
    }
    // If there are prompts, the other lines are output.
    let prompted = block.text.lines().any(|line| line.starts_with("$ "));
    let is_tagged = !matches!(block.tag.as_str(), "" | "text");
    let mut commands = statements(&block.text);
    if prompted {
        let prompt = |raw: &String| raw.strip_prefix("$ ").map(str::to_owned);
        commands = commands.iter().filter_map(prompt).collect();
    } else if !is_tagged && !begins_with_a_command(&block.text) {
        // Output, which may name the next command.
        let lines = block.text.lines().map(str::trim);
        let is_next =
            |line: &&str| line.starts_with("mns-endpoint ") || line.starts_with("export ");
        commands = lines.filter(is_next).map(str::to_owned).collect();
    }
    let named = commands.into_iter().map(|raw| (collapsed(&raw), raw));
    named.collect()
}

/// Whether the first line of an untagged block looks like a command: a lower-case word, after
/// variables if there are any. Few lines of output begin like that, and these are listed.
fn begins_with_a_command(block: &str) -> bool {
    let command = Regex::new(r"^([A-Z_]+=\S* )*[a-z./][\w./-]*(\s|\(\)|$)").unwrap();
    let first = block.lines().next().unwrap_or_default();
    let is_listed = NO_COMMANDS
        .iter()
        .any(|(line, _)| *line == collapsed(first));
    command.is_match(first) && !is_listed
}

/// The script of a step of a CI job, by the name of the step.
fn of_job(block: &str) -> Option<(String, String)> {
    let (head, script) = block.split_once("\n  run: |\n")?;
    let name = head.lines().next()?.strip_prefix("- name: ")?;
    let lines = script
        .lines()
        .map(|line| line.strip_prefix("    ").unwrap_or(line));
    Some((
        format!("(step) {name}"),
        lines.collect::<Vec<_>>().join("\n"),
    ))
}

/// The complete commands of a text: a line, with those that continue it, or a function.
fn statements(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        open += without_comment(line);
        let is_function = open.contains("() {\n") || open.ends_with("() {");
        if line.ends_with('\\') || is_function && line != "}" {
            open.push('\n');
        } else if !open.trim().is_empty() {
            found.push(std::mem::take(&mut open));
        }
    }
    assert!(open.is_empty(), "a command does not end: {open}");
    found
}

/// A line of a shell without the comment at its end.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, letter) in line.char_indices() {
        match (quote, letter) {
            (None, '#') if before.is_whitespace() => return line[..at].trim_end(),
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            _ => {}
        }
        before = letter;
    }
    line
}

#[test]
fn comments_continued_lines_functions_and_prompts_are_recognised() {
    let check = |text: &str, expected: &[&str]| {
        let block = &blocks(&format!("```\n{text}\n```"))[0];
        let names = of_block(block).into_iter().map(|(name, _)| name);
        assert_eq!(names.collect::<Vec<_>>(), expected, "{text}");
    };
    check("cat a   b  # c\ncat 'd # e'", &["cat a b", "cat 'd # e'"]);
    check("cat a \\\n    b | \\\n  wc", &["cat a b | wc"]);
    check("f() {\n  cat a\n}\nf", &["f() { cat a }", "f"]);
    check("A=b cat\n# c", &["A=b cat"]);
    check("$ cat a\nb\n$ cat c", &["cat a", "cat c"]);
    check("Output\n  export A=b\n  c", &["export A=b"]);
}
