//! What the linker reads of upstream's `py/makeqstrdata.py`: lists of strings, and names of characters.

/// The strings of the list `name = [ … ]`.
pub(super) fn string_list(source: &str, name: &str) -> Option<Vec<String>> {
    let start = source.find(&format!("\n{name} = ["))?;
    let list = source.get(start..)?.split_once('[')?.1;
    let mut strings = Vec::new();
    let mut rest = list;
    loop {
        rest = rest.trim_start_matches([',', ' ', '\n', '\r', '\t']);
        match rest.chars().next()? {
            ']' => return Some(strings),
            '#' => rest = rest.split_once('\n')?.1,
            _ => {
                let (text, after) = string(rest)?;
                strings.push(text);
                rest = after;
            }
        }
    }
}

/// What `codepoint2name[ord("x")] = "name"` says, for each character.
pub(super) fn character_names(source: &str) -> Vec<(char, String)> {
    let entry = |line: &str| {
        let (character, rest) = string(line.strip_prefix("codepoint2name[ord(")?)?;
        let (name, _) = string(rest.strip_prefix(")] = ")?)?;
        Some((character.chars().next()?, name))
    };
    source.lines().filter_map(entry).collect()
}

/// A string literal at the start of `source`, and what follows it.
fn string(source: &str) -> Option<(String, &str)> {
    let quote = source.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let mut text = String::new();
    let mut characters = source.char_indices().skip(1);
    loop {
        let (index, character) = characters.next()?;
        match character {
            '\\' => text.push(match characters.next()?.1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            }),
            _ if character == quote => return Some((text, source.get(index + 1..)?)),
            _ => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_comments_and_escapes() {
        let source =
            "x = 1\nnames = [\n    \"\",\n    \"a\", # not \"b\"\n    \"\\n\",\n    'it\\'s',\n]\n";
        assert_eq!(string_list(source, "names").unwrap(), ["", "a", "\n", "it's"]);
        assert_eq!(string_list(source, "x"), None);
        assert_eq!(string_list("\nnames = [\"a", "names"), None);
    }

    #[test]
    fn characters_have_names() {
        let source = "codepoint2name[ord(\"-\")] = \"hyphen\"\n# other\ncodepoint2name[ord(\"'\")] = \"squot\"\n";
        assert_eq!(character_names(source), [('-', "hyphen".into()), ('\'', "squot".into())]);
    }
}
