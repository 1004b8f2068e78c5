//! YAML written as PyYAML's `yaml.dump` writes it: sorted keys, block style, scalars folded at a
//! width. The component registry re-writes manifests so, and `component_hash` covers the bytes.
//!
//! The rules are those of PyYAML's `emitter.py` (`analyze_scalar`, `choose_scalar_style`,
//! `write_plain`, `write_single_quoted`, `write_double_quoted`).

use serde_json::Value;

use super::scalar::{is_special_1_1, resolve_core};
use crate::error::{Error, Result};

/// How a document is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// The column after which a scalar is broken at its next space.
    pub width: usize,
    /// Whether characters beyond ASCII stand as themselves. Otherwise they are escaped.
    pub unicode: bool,
    /// Whether text is also quoted that only YAML 1.2 takes for something else, `0o17` or `089`.
    pub core_schema: bool,
}

impl Style {
    /// The registry's: PyYAML's defaults.
    pub const REGISTRY: Style = Style { width: 80, unicode: false, core_schema: false };
    /// That of lock files, whose hashes must not be broken.
    pub const LOCK: Style = Style { width: 2048, unicode: true, core_schema: true };
}

/// The longest key that PyYAML writes as `key: value`.
const MAX_KEY: usize = 127;

/// Writes a document. Mappings are sorted by key.
///
/// # Errors
/// When a key is too long, or of several lines, to stand before a colon.
pub fn dump(value: &Value, style: Style) -> Result<String> {
    let mut writer = Writer { text: String::new(), column: 0, style };
    match value {
        Value::Object(entries) if !entries.is_empty() => writer.mapping(value, 0, false)?,
        Value::Array(items) if !items.is_empty() => writer.sequence(items, 0, false)?,
        _ => {
            writer.scalar(value, 0);
            writer.line_break();
            return Ok(writer.text);
        }
    }
    writer.line_break();
    Ok(writer.text)
}

struct Writer {
    text: String,
    /// Characters since the last line break.
    column: usize,
    style: Style,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.chars().count();
    }

    fn line_break(&mut self) {
        self.text.push('\n');
        self.column = 0;
    }

    fn indent(&mut self, indent: usize) {
        self.line_break();
        self.put(&" ".repeat(indent));
    }

    /// `inline` when the first key continues a line that is already indented.
    fn mapping(&mut self, value: &Value, indent: usize, mut inline: bool) -> Result<()> {
        let mut entries: Vec<(&String, &Value)> = value.as_object().into_iter().flatten().collect();
        entries.sort_by_key(|(key, _)| *key);
        for (key, value) in entries {
            if !inline && !self.text.is_empty() {
                self.indent(indent);
            }
            inline = false;
            self.key(key, indent)?;
            match value {
                Value::Object(entries) if !entries.is_empty() => {
                    self.mapping(value, indent + 2, false)?;
                }
                Value::Array(items) if !items.is_empty() => self.sequence(items, indent, false)?,
                _ => {
                    self.put(" ");
                    self.scalar(value, indent + 2);
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, key: &str, indent: usize) -> Result<()> {
        let analysis = Analysis::of(key, self.style.unicode);
        let length = key.chars().count();
        if key.is_empty() || analysis.multiline || length > MAX_KEY {
            return Err(Error::input(format!(
                "the key {key:?} cannot stand before a colon: it has {length} characters"
            )));
        }
        self.string(key, &analysis, indent, false);
        self.put(":");
        Ok(())
    }

    fn sequence(&mut self, items: &[Value], indent: usize, mut inline: bool) -> Result<()> {
        for item in items {
            if !inline && !self.text.is_empty() {
                self.indent(indent);
            }
            inline = false;
            self.put("- ");
            match item {
                Value::Object(entries) if !entries.is_empty() => {
                    self.mapping(item, indent + 2, true)?;
                }
                Value::Array(items) if !items.is_empty() => {
                    self.sequence(items, indent + 2, true)?;
                }
                _ => self.scalar(item, indent + 2),
            }
        }
        Ok(())
    }

    fn scalar(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.put("null"),
            Value::Bool(value) => self.put(if *value { "true" } else { "false" }),
            Value::Number(number) => self.put(&number.to_string()),
            Value::String(text) => {
                self.string(text, &Analysis::of(text, self.style.unicode), indent, true);
            }
            Value::Array(_) => self.put("[]"),
            Value::Object(_) => self.put("{}"),
        }
    }

    fn string(&mut self, text: &str, analysis: &Analysis, indent: usize, split: bool) {
        let special =
            is_special_1_1(text) || (self.style.core_schema && !resolve_core(text).is_string());
        if analysis.plain && !special {
            self.plain(text, indent, split);
        } else if analysis.single_quoted {
            self.single_quoted(text, indent, split);
        } else {
            self.double_quoted(text, indent, split);
        }
    }

    fn plain(&mut self, text: &str, indent: usize, split: bool) {
        self.runs(text, indent, split, |run| run.to_owned());
    }

    fn single_quoted(&mut self, text: &str, indent: usize, split: bool) {
        self.put("'");
        self.runs(text, indent, split, |run| run.replace('\'', "''"));
        self.put("'");
    }

    /// Writes text whose single spaces inside may become line breaks, and whose line breaks are
    /// doubled: one alone would be read as a space.
    fn runs(&mut self, text: &str, indent: usize, split: bool, quote: impl Fn(&str) -> String) {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let kind = Run::of(first);
            let end = rest.find(|character| Run::of(character) != kind).unwrap_or(rest.len());
            let inside = rest.len() < text.len() && end < rest.len();
            let (run, after) = rest.split_at(end);
            match kind {
                Run::Space if run == " " && inside && split && self.column > self.style.width => {
                    self.indent(indent);
                }
                Run::Space => self.put(run),
                Run::Break => {
                    if first == '\n' {
                        self.line_break();
                    }
                    for character in run.chars() {
                        self.text.push(character);
                    }
                    self.column = 0;
                    self.put(&" ".repeat(indent));
                }
                Run::Text => self.put(&quote(run)),
            }
            rest = after;
        }
    }

    /// Escapes what cannot stand in a scalar, and breaks lines after a backslash: before a space,
    /// or next to an escape.
    fn double_quoted(&mut self, text: &str, indent: usize, split: bool) {
        self.put("\"");
        let mut pending = String::new();
        let mut characters = text.chars().enumerate().peekable();
        while let Some((index, character)) = characters.next() {
            let next = characters.peek().map(|(_, next)| *next);
            let escape = escape(character, self.style.unicode);
            let waiting = pending.chars().count();
            let here = match &escape {
                Some(escape) => {
                    self.put(&pending);
                    pending.clear();
                    self.put(escape);
                    // The column before the last character, as the emitter counts here.
                    self.column - 1
                }
                None => self.column + waiting,
            };
            let may_break = escape.is_some() || character == ' ' || waiting == 0;
            if split && index > 0 && next.is_some() && may_break && here > self.style.width {
                self.put(&pending);
                pending.clear();
                self.put("\\");
                self.indent(indent);
                let begins = if escape.is_some() { next } else { Some(character) };
                if begins == Some(' ') {
                    self.put("\\");
                }
            }
            if escape.is_none() {
                pending.push(character);
            }
        }
        self.put(&pending);
        self.put("\"");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    Text,
    Space,
    Break,
}

impl Run {
    fn of(character: char) -> Run {
        match character {
            ' ' => Run::Space,
            _ if is_break(character) => Run::Break,
            _ => Run::Text,
        }
    }
}

fn is_break(character: char) -> bool {
    matches!(character, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn escape(character: char, unicode: bool) -> Option<String> {
    let special = matches!(character, '"' | '\\' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
    let printable = matches!(character, ' '..='~')
        || (unicode && matches!(character, '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}'));
    if printable && !special {
        return None;
    }
    let code = u32::from(character);
    Some(match character {
        '\0' => "\\0".to_owned(),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        '\u{1b}' => "\\e".to_owned(),
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{a0}' => "\\_".to_owned(),
        '\u{2028}' => "\\L".to_owned(),
        '\u{2029}' => "\\P".to_owned(),
        _ if code <= 0xff => format!("\\x{code:02X}"),
        _ if code <= 0xffff => format!("\\u{code:04X}"),
        _ => format!("\\U{code:08X}"),
    })
}

/// Which styles a scalar can be written in.
struct Analysis {
    plain: bool,
    single_quoted: bool,
    multiline: bool,
}

impl Analysis {
    fn of(text: &str, unicode: bool) -> Analysis {
        let blank = |character: Option<char>| {
            character.is_none_or(|it| matches!(it, '\0' | ' ' | '\t' | '\r') || is_break(it))
        };
        let mut indicator = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut multiline) = (false, false);
        let (mut break_space, mut space_break) = (false, false);
        let mut before = None;
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let next = characters.peek().copied();
            indicator |= match (before, character) {
                (
                    None,
                    '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"'
                    | '%' | '@' | '`',
                ) => true,
                (None, '?' | ':' | '-') | (Some(_), ':') => blank(next),
                (Some(_), '#') => blank(before),
                _ => false,
            };
            multiline |= is_break(character);
            special |= !(matches!(character, '\n' | ' '..='~')
                || (unicode
                    && character != '\u{feff}'
                    && matches!(character, '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..='\u{10fffe}')));
            break_space |= character == ' ' && before.is_some_and(is_break);
            space_break |= is_break(character) && before == Some(' ');
            before = Some(character);
        }
        let spaced =
            |character: Option<char>| character.is_some_and(|it| it == ' ' || is_break(it));
        let edges = spaced(text.chars().next()) || spaced(before);
        Analysis {
            plain: !(indicator || edges || special || multiline || break_space || space_break),
            single_quoted: !(special || break_space || space_break),
            multiline,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn manifests_are_written_as_the_registry_writes_them() {
        let manifest = json!({
            "version": "0.3.1",
            "description": "The component provides a general purpose PPP connectivity, typically used as WiFi-PPP router",
            "dependencies": {"idf": ">=5.2", "a/b": {"rules": [{"version": "~1", "if": "target in [x, y]"}], "public": true}},
            "targets": ["esp32", "esp32p4"],
            "tags": [],
            "files": {},
        });
        assert_eq!(
            dump(&manifest, Style::REGISTRY).unwrap(),
            "dependencies:\n  a/b:\n    public: true\n    rules:\n    - if: target in [x, y]\n      \
             version: ~1\n  idf: '>=5.2'\ndescription: The component provides a general purpose PPP \
             connectivity, typically\n  used as WiFi-PPP router\nfiles: {}\ntags: []\ntargets:\n- \
             esp32\n- esp32p4\nversion: 0.3.1\n"
        );
    }

    #[test]
    fn scalars_are_quoted_when_they_must_be() {
        for (text, expected) in [
            ("a", "a\n"),
            ("", "''\n"),
            ("1.10", "'1.10'\n"),
            ("a: b", "'a: b'\n"),
            ("it's", "it's\n"),
            ("#it's", "'#it''s'\n"),
            (" a", "' a'\n"),
            ("a\nb", "'a\n\n  b'\n"),
            ("a\tb", "\"a\\tb\"\n"),
            ("é", "\"\\xE9\"\n"),
        ] {
            let text = dump(&json!({ "k": text }), Style::REGISTRY).unwrap();
            assert_eq!(text, format!("k: {expected}"));
        }
        assert_eq!(dump(&json!({"k": "é"}), Style::LOCK).unwrap(), "k: é\n");
        assert!(dump(&json!({"": 1}), Style::LOCK).is_err());
        assert!(dump(&json!({"k".repeat(128): 1}), Style::LOCK).is_err());
    }

    #[test]
    fn what_is_written_reads_back() {
        let value = json!({"a": ["x", ["y", {"z": null}], [[]]], "b": {"c": -1, "d": [true, "yes", "\u{1}"]}});
        let text = dump(&value, Style::REGISTRY).unwrap();
        assert_eq!(crate::component::yaml::load(&text).unwrap(), value);
    }
}
