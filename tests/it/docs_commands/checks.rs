//! Each command has its test or its reason, and does what the page says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::elsewhere::{ELSEWHERE, NOT_RUN};
use super::pages::{Command, blocks, calls, commands, pages, root, spans};
use super::played::SCENES;
use crate::cli::commands_of;
use crate::examples::has;
use crate::support::{finish, program};

fn played() -> BTreeSet<&'static str> {
    SCENES.iter().flat_map(|scene| scene.commands()).collect()
}

#[test]
fn every_command_of_a_page_is_run_or_named_with_the_reason_why_not() {
    let commands = commands();
    assert!(commands.len() > 50, "this test is blind: {commands:#?}");
    let mut known = played();
    let others = ELSEWHERE.iter().map(|(command, ..)| *command);
    for command in others.chain(NOT_RUN.iter().map(|(command, _)| *command)) {
        assert!(known.insert(command), "named twice: {command}");
    }
    let unknown: Vec<_> = commands
        .iter()
        .filter(|(name, _)| !known.contains(name.as_str()))
        .map(|(name, command)| (name, &command.pages))
        .collect();
    assert!(
        unknown.is_empty(),
        "run these in played.rs, or name them in elsewhere.rs: {unknown:#?}"
    );
    let within_text: BTreeSet<String> = pages().iter().flat_map(|(_, text)| spans(text)).collect();
    let gone: Vec<_> = known
        .iter()
        .filter(|name| !commands.contains_key(**name) && !within_text.contains(**name))
        .collect();
    assert!(gone.is_empty(), "no page has these any more: {gone:#?}");
}

#[test]
fn the_tests_that_run_a_command_exist_and_have_its_decisive_part() {
    for (command, file, test, part) in ELSEWHERE {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let defined = [
            format!("fn {test}()"),
            format!("def {test}("),
            format!("say \"{test}"),
        ];
        assert!(
            defined.iter().any(|line| text.contains(line)),
            "{command}: {file} has no {test}"
        );
        assert!(text.contains(part), "{command}: {file} lacks {part:?}");
    }
}

#[test]
fn commands_do_what_the_pages_say() {
    let commands = commands();
    std::thread::scope(|scope| {
        let running: Vec<_> = SCENES
            .iter()
            .filter(|scene| scene.needs.iter().all(|program| has(program)))
            .map(|scene| (scene.name, scope.spawn(|| scene.play(&commands))))
            .collect();
        let failed = running
            .into_iter()
            .filter_map(|(name, played)| played.join().is_err().then_some(name));
        let failed: Vec<_> = failed.collect();
        assert!(failed.is_empty(), "see above what went wrong in {failed:?}");
    });
}

/// What a reader puts in place of a word in capital letters.
const PLACEHOLDERS: [(&str, &str); 4] = [
    ("ADDRESS:PORT", "127.0.0.1:8080"),
    ("URL", "https://mns.example.com/x509.pem"),
    ("COUNT", "3"),
    ("N", "3"),
];

#[test]
fn the_program_understands_its_arguments_wherever_a_page_names_them() {
    let ours = commands_of(&[]);
    let ours: Vec<String> = ours.into_iter().flatten().collect();
    let mut found = BTreeMap::new();
    for (page, text) in pages() {
        for span in spans(&text) {
            // The name of a command alone is not a call.
            if span.contains(" --") || span.contains("mns-endpoint ") {
                let calls = calls(&span, &ours).into_iter();
                found.extend(calls.map(|call| (call, page.clone())));
            }
        }
        let found_here = blocks(&text);
        let yaml = found_here.iter().filter(|block| block.tag == "yaml");
        for line in yaml.flat_map(|block| block.text.lines()) {
            if let Some(list) = line.trim().strip_prefix("command: ") {
                let call: Vec<String> = serde_json::from_str(list).unwrap();
                found.insert(call, page.clone());
            }
        }
    }
    // For the others, running them shows more.
    let played = played();
    let not_played = |(name, _): &(String, Command)| !played.contains(name.as_str());
    for (name, command) in commands().into_iter().filter(not_played) {
        let calls = calls(&command.raw.replace("\\\n", " "), &ours).into_iter();
        found.extend(calls.map(|call| (call, name.clone())));
    }
    assert!(found.len() > 25, "this test is blind: {found:#?}");
    for (call, place) in found {
        let filled = call.iter().map(|word| {
            // The first of several alternatives represents all.
            let word = word.split('|').next().unwrap_or(word);
            let word = word.trim_matches(['[', ']']);
            let known = PLACEHOLDERS.iter().find(|(name, _)| *name == word);
            known.map_or(word, |(_, value)| value)
        });
        // Parse errors are reported before the `--help` at the end takes effect.
        let parsed = finish(program().args(filled).arg("--help"), b"");
        assert_eq!(parsed.code, 0, "{place} has {call:?}: {}", parsed.stderr);
    }
}
