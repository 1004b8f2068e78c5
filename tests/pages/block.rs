//! Blocks of a page.

use std::path::{Path, PathBuf};
use std::{fs, iter};

/// What a block is written in, and whether it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Commands after `$ `, and what they print.
    Console,
    /// A script.
    Script,
    /// Something to read.
    Other,
}

/// What the comments before a block say of it.
#[derive(Debug, Default)]
pub struct Marks {
    /// Why it is not run.
    pub not_run: Option<String>,
    pub exit_code: i32,
    pub numbers_vary: bool,
}

#[derive(Debug)]
pub struct Block {
    /// The page, and the line of its first line.
    pub place: String,
    pub kind: Kind,
    pub marks: Marks,
    pub text: String,
}

/// One command of a session, and the lines that it prints.
pub struct Exchange {
    pub command: String,
    pub printed: String,
}

/// The pages that show commands, from the one that a reader begins with.
pub fn pages() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap();
    let mut docs: Vec<String> = docs
        .map(|entry| format!("docs/{}", entry.unwrap().file_name().into_string().unwrap()))
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "md"))
        .collect();
    docs.sort();
    ["README.md", "CONTRIBUTING.md"].map(str::to_owned).into_iter().chain(docs).collect()
}

/// The blocks of a page, in its order.
pub fn blocks(page: &str) -> Vec<Block> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), page].iter().collect();
    let text = fs::read_to_string(path).unwrap();
    let (mut blocks, mut comments) = (Vec::new(), Vec::new());
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let comment =
            line.strip_prefix("<!-- ").and_then(|rest| rest.trim_end().strip_suffix(" -->"));
        if let Some(comment) = comment {
            comments.push(comment.to_owned());
            continue;
        }
        let place = format!("{page}:{}", number + 1);
        let Some(language) = line.strip_prefix("```") else {
            assert!(comments.is_empty(), "{place} is no block, but comments stand before it");
            continue;
        };
        let inside: Vec<&str> = iter::from_fn(|| lines.next())
            .map(|(_, line)| line)
            .take_while(|line| *line != "```")
            .collect();
        let kind = match language {
            "console" => Kind::Console,
            "sh" => Kind::Script,
            "" => panic!("{place}: the block does not say what it is written in"),
            _ => Kind::Other,
        };
        let marks = marks(&place, &std::mem::take(&mut comments));
        assert!(kind != Kind::Other || marks.is_none(), "{place}: a mark, and nothing to run");
        let marks = marks.unwrap_or_default();
        blocks.push(Block { place, kind, marks, text: inside.join("\n") });
    }
    blocks
}

fn marks(place: &str, comments: &[String]) -> Option<Marks> {
    let mut marks = (!comments.is_empty()).then(Marks::default)?;
    for comment in comments {
        match comment.split_once(": ") {
            Some(("not run", reason)) => marks.not_run = Some(reason.to_owned()),
            Some(("exit code", code)) => marks.exit_code = code.parse().unwrap(),
            None if comment == "numbers vary" => marks.numbers_vary = true,
            _ => panic!("{place}: a comment that says nothing here: {comment}"),
        }
    }
    Some(marks)
}

impl Block {
    /// The commands of a session; a script is one.
    pub fn exchanges(&self) -> Vec<Exchange> {
        if self.kind == Kind::Script {
            return vec![Exchange { command: self.text.clone(), printed: "…".to_owned() }];
        }
        let mut exchanges: Vec<Exchange> = Vec::new();
        let mut continued = false;
        for line in self.text.lines() {
            match (line.strip_prefix("$ "), exchanges.last_mut()) {
                (Some(command), _) => {
                    exchanges.push(Exchange { command: command.to_owned(), printed: String::new() })
                }
                (None, None) => panic!("{}: no command before what is printed", self.place),
                (None, Some(last)) if continued => {
                    last.command.push('\n');
                    last.command.push_str(line);
                }
                (None, Some(last)) => {
                    last.printed.push_str(line);
                    last.printed.push('\n');
                }
            }
            let in_command = line.starts_with("$ ") || continued;
            continued = in_command && (line.ends_with('\\') || line.ends_with('|'));
        }
        exchanges
    }
}
