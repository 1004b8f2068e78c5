//! What README, the pages in `docs/`, the examples and `--help` show is true of the program: commands are ones
//! that it takes, links lead to files, and every command has help, a manual page and completions.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use clap::{CommandFactory, Parser};
use common::command::{self, failed, repository, succeed, succeeded};
use micropython_builder::cli::Arguments;
use walkdir::WalkDir;

const NAME: &str = "micropython-builder";

/// How wide help gets.
const WIDTH: usize = 100;

fn mpb(arguments: &[&str]) -> Output {
    command::mpb().args(arguments).output().unwrap()
}

/// The pages a reader may begin with.
fn pages() -> Vec<PathBuf> {
    let below = |directory: &str| WalkDir::new(repository(directory)).sort_by_file_name();
    let mut pages: Vec<PathBuf> = below("docs")
        .into_iter()
        .chain(below("examples"))
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.extend(["README.md", "CONTRIBUTING.md"].map(repository));
    pages
}

/// The words of a command as a shell takes them, up to what ends it: a comment, a pipe, another command.
///
/// `None` for a synopsis, which is no command: one that has `…`, `[` or a word in braces.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(mark), c) if c == mark => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '…' | '[') => return None,
            (None, '#') if word.is_none() => break,
            (None, '|' | '>' | ';' | '&' | ')') => break,
            (None, '$') if characters.peek() == Some(&'(') => return None,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// The commands in blocks of code that name this program, with their continued lines.
fn commands(text: &str) -> Vec<String> {
    let (mut commands, mut inside) = (Vec::new(), false);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
            continue;
        }
        let start =
            line.trim_start().trim_start_matches("$ ").trim_start_matches("target/release/");
        if !inside || !start.starts_with(&format!("{NAME} ")) {
            continue;
        }
        let mut command = start.to_owned();
        while let Some(begun) = command.strip_suffix('\\') {
            command = format!("{begun}{}", lines.next().unwrap().trim_start());
        }
        commands.push(command);
    }
    commands
}

/// Fails unless the program takes these commands. Returns how many there were.
fn taken(place: &str, commands: &[String]) -> usize {
    let commands = commands.iter().filter_map(|command| words(command));
    let parsed: Vec<_> = commands.map(Arguments::try_parse_from).collect();
    let wrong = parsed.iter().filter_map(|parsed| parsed.as_ref().err().map(ToString::to_string));
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{place} has commands that are not taken:\n{}", wrong.join("\n"));
    parsed.len()
}

#[test]
fn the_pages_commands_are_taken() {
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        count += taken(&page.display().to_string(), &commands(&text));
    }
    assert!(count > 20, "only {count} commands were found");
}

#[test]
fn every_command_has_help_with_examples_that_are_taken() {
    let program = Arguments::command();
    for command in program.get_subcommands() {
        let name = command.get_name();
        let below = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let count = taken(name, &commands(&format!("```\n{below}\n```")));
        assert!(count > 0, "`{name} --help` shows no command");
        // What is longer is wrapped, and then no longer a command that can be copied.
        let mut examples = below.lines().filter(|line| line.starts_with(' '));
        let long = examples.find(|line| line.chars().count() > WIDTH);
        assert_eq!(long, None, "`{name} --help` has an example of over {WIDTH} characters");
        assert!(succeeded(&mpb(&[name, "--help"])).contains("Usage:"));
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            assert!(argument.get_help().is_some(), "{name} does not say what {argument} is for");
        }
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = page.parent().unwrap().join(target);
            assert!(path.exists(), "{} links to {link}", page.display());
        }
    }
}

#[test]
fn the_readme_leads_to_every_page() {
    let readme = fs::read_to_string(repository("README.md")).unwrap();
    for page in fs::read_dir(repository("docs")).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            assert!(readme.contains(&format!("docs/{name}")), "the README does not name {name}");
        }
    }
}

#[test]
fn completions_are_scripts_that_the_shell_reads() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = succeeded(&mpb(&["completions", shell]));
        assert!(script.contains("micropython-lib"), "{shell}'s has no option of build");
        if shell == "bash" {
            succeed(Command::new("bash").args(["-n", "-c", &script]));
        }
    }
    assert_eq!(mpb(&["completions", "tcsh"]).status.code(), Some(2));
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("man1");
    succeeded(&mpb(&["manual", place.to_str().unwrap()]));
    let page = |name: &str| fs::read_to_string(place.join(name)).unwrap();
    for command in Arguments::command().get_subcommands() {
        let text = page(&format!("{NAME}-{}.1", command.get_name()));
        assert!(text.contains(".SH SYNOPSIS") && text.contains("Examples:"), "{text}");
    }
    assert!(page(&format!("{NAME}.1")).contains("Exit codes"));
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let output = mpb(&["manual", file.to_str().unwrap()]);
    failed(&output, 3, &["file"]);
}
