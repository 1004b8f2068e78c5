//! What a board's own pages say about flashing, for boards that other tools flash.

use std::fs;
use std::path::Path;

use crate::board::{self, Metadata};
use crate::error::{Error, Result};

/// A page of a MicroPython tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its path in the tree.
    pub path: String,
    /// Its text (Markdown), with the board's values filled in.
    pub text: String,
}

/// The pages on flashing that a board's `board.json` names.
///
/// # Errors
/// When there is no such board, or a page cannot be read.
pub fn of_board(tree: &Path, name: &str, port: Option<&str>) -> Result<Vec<Page>> {
    let catalogue = board::scan(tree)?;
    let (_, board) = catalogue.find_board(name, port)?;
    let mut pages = Vec::new();
    for page in &board.flashing {
        let path = tree.join(page);
        let text = fs::read_to_string(&path).map_err(|error| Error::io("read", &path, &error))?;
        pages.push(Page { path: page.clone(), text: filled_in(&text, &board.metadata) });
    }
    Ok(pages)
}

/// Puts values in where the text has `{deploy_options[NAME]}`, as MicroPython's download page does.
fn filled_in(text: &str, metadata: &Metadata) -> String {
    metadata.deploy_options.iter().fold(text.to_owned(), |text, (name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.replace(&format!("{{deploy_options[{name}]}}"), &value)
    })
}
