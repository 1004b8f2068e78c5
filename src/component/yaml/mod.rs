//! YAML as the component manager reads it (1.2, core schema) and as its registry writes it.
//!
//! `saphyr-parser` turns text into events: it is kept up, written without `unsafe`, and builds with
//! this crate's oldest Rust. The tree is built here, because what comes from a registry is not
//! trusted: keys that occur twice are refused, and aliases cannot grow a small file into a large one.

mod dump;
mod scalar;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

pub use dump::{Style, dump};

/// The largest text that is read, in bytes.
const MAX_TEXT: usize = 4 << 20;

/// How many nodes a document may have, those that aliases repeat included.
const MAX_NODES: usize = 200_000;

/// How deep collections may be nested.
const MAX_DEPTH: usize = 64;

/// Reads one document. An empty text is [`Value::Null`].
///
/// # Errors
/// When the text is not YAML, holds several documents, a key twice, a key that is no scalar, a tag
/// of its own, or more than a manifest or lock can need. The message has line and column.
pub fn load(text: &str) -> Result<Value> {
    if text.len() > MAX_TEXT {
        return Err(Error::input(format!("it is larger than {MAX_TEXT} bytes")));
    }
    let mut loader = Loader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = error.marker();
            Error::input(format!(
                "line {}, column {}: {}",
                at.line(),
                at.col() + 1,
                error.info().to_lowercase()
            ))
        })?;
        loader.event(event).map_err(|error| error.context(place(&span)))?;
    }
    Ok(loader.document.unwrap_or(Value::Null))
}

fn place(span: &Span) -> String {
    format!("line {}, column {}", span.start.line(), span.start.col() + 1)
}

#[derive(Default)]
struct Loader {
    open: Vec<Collection>,
    document: Option<Value>,
    documents: usize,
    nodes: usize,
    /// What anchors name, with the number of nodes each stands for.
    anchors: Vec<(usize, Value, usize)>,
}

struct Collection {
    anchor: usize,
    /// How many nodes there were before this one.
    before: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Value>),
    Mapping(Map<String, Value>, Option<String>),
}

impl Loader {
    fn event(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                match self.documents {
                    1 => Ok(()),
                    _ => Err(Error::input("a second document begins, one was expected")),
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let before = self.nodes;
                self.count(1)?;
                let value = resolve(&text, style, tag.as_deref())?;
                if let Some(key) = self.expects_key() {
                    *key = Some(match value {
                        Value::String(text) => text,
                        _ => text.into_owned(),
                    });
                    return Ok(());
                }
                self.complete(value, anchor, before)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(anchor, tag.as_deref(), Content::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.open(anchor, tag.as_deref(), Content::Mapping(Map::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(collection) = self.open.pop() else { return Ok(()) };
                let value = match collection.content {
                    Content::Sequence(items) => Value::Array(items),
                    Content::Mapping(entries, _) => Value::Object(entries),
                };
                self.complete(value, collection.anchor, collection.before)
            }
            Event::Alias(id) => {
                if self.expects_key().is_some() {
                    return Err(Error::input("an alias is used as a key"));
                }
                let found = self.anchors.iter().rev().find(|(anchor, ..)| *anchor == id);
                let Some((_, value, nodes)) = found else {
                    return Err(Error::input("an alias stands before what it names"));
                };
                let (value, nodes, before) = (value.clone(), *nodes, self.nodes);
                self.count(nodes)?;
                self.complete(value, 0, before)
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, nodes: usize) -> Result<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(Error::input(format!("it has more than {MAX_NODES} nodes")));
        }
        Ok(())
    }

    fn open(&mut self, anchor: usize, tag: Option<&Tag>, content: Content) -> Result<()> {
        if let Some(tag) = tag.filter(|tag| !matches!(tag.suffix.as_str(), "seq" | "map")) {
            return Err(unknown_tag(tag));
        }
        if self.expects_key().is_some() {
            return Err(Error::input("a key is a list or a mapping, text was expected"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Error::input(format!("it is nested deeper than {MAX_DEPTH} levels")));
        }
        let before = self.nodes;
        self.count(1)?;
        self.open.push(Collection { anchor, before, content });
        Ok(())
    }

    /// The place of the key, when one comes next.
    fn expects_key(&mut self) -> Option<&mut Option<String>> {
        match self.open.last_mut() {
            Some(Collection { content: Content::Mapping(_, key @ None), .. }) => Some(key),
            _ => None,
        }
    }

    fn complete(&mut self, value: Value, anchor: usize, before: usize) -> Result<()> {
        if anchor > 0 {
            // An anchor inside an alias bomb is kept once per definition, not per use.
            self.anchors.push((anchor, value.clone(), self.nodes.saturating_sub(before)));
            self.count(self.nodes.saturating_sub(before))?;
        }
        match self.open.last_mut().map(|collection| &mut collection.content) {
            None => self.document = Some(value),
            Some(Content::Sequence(items)) => items.push(value),
            Some(Content::Mapping(entries, key)) => {
                let key = key.take().unwrap_or_default();
                if entries.contains_key(&key) {
                    return Err(Error::input(format!("the key {key:?} is there twice")));
                }
                entries.insert(key, value);
            }
        }
        Ok(())
    }
}

fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value> {
    match tag.map(|tag| tag.suffix.as_str()) {
        None if style == ScalarStyle::Plain => Ok(scalar::resolve_core(text)),
        None | Some("str" | "") => Ok(Value::String(text.to_owned())),
        Some("int" | "float" | "bool" | "null") => Ok(scalar::resolve_core(text)),
        Some(_) => Err(tag.map_or_else(|| Error::internal("a tag is gone"), unknown_tag)),
    }
}

fn unknown_tag(tag: &Tag) -> Error {
    Error::input(format!("the tag {}{} is not known here", tag.handle, tag.suffix))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_follow_the_core_schema() {
        let value = load(
            "a: 1.0.3\nb: '1.0'\nc: 1.10\nd: yes\ne: true\nf: ~\ng: 0x10\nh: >=5.0\ni: [x, {y: z}]",
        );
        assert!(value.is_err(), "a plain scalar cannot begin with >");
        let value = load(
            "a: 1.0.3\nb: '1.0'\nc: 1.10\nd: yes\ne: true\nf: ~\ng: 0x10\nh: '>=5.0'\ni: [x, {y: z}]\n",
        )
        .unwrap();
        assert_eq!(
            value,
            json!({"a": "1.0.3", "b": "1.0", "c": 1.1, "d": "yes", "e": true, "f": null,
                   "g": 16, "h": ">=5.0", "i": ["x", {"y": "z"}]})
        );
        assert_eq!(load("# nothing\n").unwrap(), Value::Null);
        assert_eq!(load("a: &x {b: 1}\nc: *x\n").unwrap(), json!({"a": {"b": 1}, "c": {"b": 1}}));
    }

    #[test]
    fn what_is_refused_is_named_with_its_place() {
        for (text, expected) in [
            ("a: 1\nb: 2\na: 3\n", "line 3, column 4: the key \"a\" is there twice"),
            ("a: [1\n", "line"),
            ("{a: 1}: 2", "a key is a list or a mapping"),
            ("a\n---\nb\n", "a second document"),
            ("a: !python/object:os.system ls", "the tag !python/object:os.system"),
            ("a: *b", "line 1"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.message().contains(expected), "{text:?}: {error}");
        }
        assert!(load(&"[".repeat(MAX_DEPTH + 1)).unwrap_err().message().contains("nested deeper"));
    }

    #[test]
    fn aliases_cannot_grow_a_document() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let before = level - 1;
            let items = vec![format!("*a{before}"); 10].join(",");
            bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        assert!(load(&bomb).unwrap_err().message().contains("nodes"));
    }
}
