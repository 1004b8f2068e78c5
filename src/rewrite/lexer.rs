//! C's tokens, as places in a file's bytes.
//!
//! Comments, line splices, digraphs and quotes are those of C99 as GCC reads it (its `libcpp/lex.cc`):
//! bytes beyond ASCII belong to names, a splice may have blanks before its newline, and an unclosed
//! quote reaches to the end of its line. What a lexer cannot tell without knowing the language
//! standard (trigraphs, raw strings, quotes inside numbers) is a [`Fault`].

use std::borrow::Cow;

use memchr::{memchr, memmem};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or keyword.
    Word,
    /// A preprocessing number.
    Number,
    /// A string or the name of an included header.
    Text,
    /// A character constant.
    Character,
    /// One byte of punctuation; a digraph is the byte it stands for.
    Mark(u8),
    /// The `#` that begins a directive.
    Hash,
    /// The end of a directive.
    LineEnd,
    /// A quote without its other half, to the end of its line.
    Unclosed,
}

/// A token: bytes `start..end` of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

impl Token {
    /// Its text without line splices.
    pub(super) fn text<'a>(&self, source: &'a [u8]) -> Cow<'a, [u8]> {
        let bytes = source.get(self.start..self.end).unwrap_or_default();
        if self.kind != Kind::Word || memchr(b'\\', bytes).is_none() {
            return Cow::Borrowed(bytes);
        }
        let mut text = Vec::with_capacity(bytes.len());
        let mut at = 0;
        loop {
            at = unspliced(bytes, at);
            match bytes.get(at) {
                Some(byte) => text.push(*byte),
                None => return Cow::Owned(text),
            }
            at += 1;
        }
    }
}

/// Why a file is left alone: where, and what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub at: usize,
    pub what: &'static str,
}

/// The tokens of a file.
///
/// # Errors
/// When the file cannot be read as C with certainty.
pub(super) fn lex(source: &[u8]) -> Result<Vec<Token>, Fault> {
    if let Some(at) = memchr(0, source) {
        return Err(Fault { at, what: "it holds a zero byte, as binary files do" });
    }
    if let Some(at) = trigraph(source) {
        return Err(Fault {
            at,
            what: "it holds a trigraph, which some compilers read and some do not",
        });
    }
    let mut lexer = Lexer {
        source,
        at: 0,
        tokens: Vec::with_capacity(source.len() / 5),
        fresh_line: true,
        directive: Directive::None,
    };
    while lexer.at < source.len() {
        lexer.step()?;
    }
    lexer.end_line(source.len());
    Ok(lexer.tokens)
}

fn trigraph(source: &[u8]) -> Option<usize> {
    memmem::find_iter(source, b"??")
        .find(|at| source.get(at + 2).is_some_and(|third| b"=/'()!<>-".contains(third)))
}

/// The length of the splice at `at`: a backslash, blanks, a newline. Zero if there is none.
fn splice(source: &[u8], at: usize) -> usize {
    if source.get(at) != Some(&b'\\') {
        return 0;
    }
    let rest = source.get(at + 1..).unwrap_or_default();
    let blanks = rest.iter().take_while(|byte| b" \t\x0b\x0c\r".contains(byte)).count();
    if rest.get(blanks) == Some(&b'\n') { blanks + 2 } else { 0 }
}

/// The place of the first byte from `at` on that is no splice.
fn unspliced(source: &[u8], mut at: usize) -> usize {
    loop {
        match splice(source, at) {
            0 => return at,
            length => at += length,
        }
    }
}

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn continues_word(byte: u8) -> bool {
    begins_word(byte) || byte.is_ascii_digit()
}

/// How far into a directive the lexer is, as the name of an included header is no C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    None,
    Hash,
    Include,
    Other,
}

struct Lexer<'a> {
    source: &'a [u8],
    at: usize,
    tokens: Vec<Token>,
    /// Whether only blanks and comments came since the last newline.
    fresh_line: bool,
    directive: Directive,
}

impl Lexer<'_> {
    fn step(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let Some(&byte) = self.source.get(start) else { return Ok(()) };
        match byte {
            b'\n' => {
                self.end_line(start);
                self.fresh_line = true;
                self.at += 1;
            }
            b' ' | b'\t' | b'\r' | 0x0b | 0x0c => self.at += 1,
            b'\\' => match splice(self.source, start) {
                0 => self.mark(b'\\', start + 1),
                length => self.at += length,
            },
            b'/' => return self.slash(),
            b'"' => return self.quoted(b'"'),
            b'\'' => return self.quoted(b'\''),
            b'<' if self.directive == Directive::Include => self.header(),
            byte if begins_word(byte) => self.word(),
            byte if byte.is_ascii_digit() => self.number(),
            b'.' if self.byte_after(start).is_some_and(|byte| byte.is_ascii_digit()) => {
                self.number();
            }
            byte => self.punctuation(byte),
        }
        Ok(())
    }

    /// The byte after the one at `at`, across splices.
    fn byte_after(&self, at: usize) -> Option<u8> {
        self.source.get(unspliced(self.source, at + 1)).copied()
    }

    fn push(&mut self, kind: Kind, end: usize) {
        self.tokens.push(Token { kind, start: self.at, end });
        self.at = end;
        self.fresh_line = false;
        if self.directive == Directive::Include {
            self.directive = Directive::Other;
        }
    }

    fn mark(&mut self, byte: u8, end: usize) {
        self.push(Kind::Mark(byte), end);
    }

    fn end_line(&mut self, at: usize) {
        if self.directive != Directive::None {
            self.tokens.push(Token { kind: Kind::LineEnd, start: at, end: at });
            self.directive = Directive::None;
        }
    }

    fn punctuation(&mut self, byte: u8) {
        let second = unspliced(self.source, self.at + 1);
        let (byte, end) = match (byte, self.source.get(second)) {
            (b'<', Some(b':')) => (b'[', second + 1),
            (b':', Some(b'>')) => (b']', second + 1),
            (b'<', Some(b'%')) => (b'{', second + 1),
            (b'%', Some(b'>')) => (b'}', second + 1),
            (b'%', Some(b':')) => (b'#', second + 1),
            _ => (byte, self.at + 1),
        };
        if byte == b'#' && self.fresh_line {
            self.push(Kind::Hash, end);
            self.directive = Directive::Hash;
        } else {
            self.mark(byte, end);
        }
    }

    fn word(&mut self) {
        let end = self.run(continues_word);
        let text = Token { kind: Kind::Word, start: self.at, end }.text(self.source);
        let includes: [&[u8]; 3] = [b"include", b"include_next", b"import"];
        let directive = match self.directive {
            Directive::Hash if includes.contains(&text.as_ref()) => Directive::Include,
            Directive::None => Directive::None,
            _ => Directive::Other,
        };
        self.push(Kind::Word, end);
        self.directive = directive;
    }

    /// The end of a run of bytes of one class, with splices in it.
    fn run(&self, belongs: impl Fn(u8) -> bool) -> usize {
        let mut end = self.at;
        loop {
            while self.source.get(end).is_some_and(|byte| belongs(*byte)) {
                end += 1;
            }
            let next = unspliced(self.source, end);
            if next == end || !self.source.get(next).is_some_and(|byte| belongs(*byte)) {
                return end;
            }
            end = next;
        }
    }

    fn number(&mut self) {
        let mut end = self.at;
        let mut last = 0;
        loop {
            let next = unspliced(self.source, end);
            match self.source.get(next) {
                Some(&byte)
                    if continues_word(byte)
                        || byte == b'.'
                        || (byte == b'+' || byte == b'-') && b"eEpP".contains(&last) =>
                {
                    last = byte;
                    end = next + 1;
                }
                _ => break,
            }
        }
        self.push(Kind::Number, end);
    }

    /// The name of a header in angle brackets, in which quotes and slashes mean nothing.
    fn header(&mut self) {
        let mut at = self.at;
        loop {
            at = unspliced(self.source, at);
            match self.source.get(at) {
                Some(b'>') => return self.push(Kind::Text, at + 1),
                None | Some(b'\n') => return self.punctuation(b'<'),
                Some(_) => at += 1,
            }
        }
    }

    fn slash(&mut self) -> Result<(), Fault> {
        let second = unspliced(self.source, self.at + 1);
        match self.source.get(second) {
            Some(b'/') => self.at = self.end_of_line(second + 1),
            Some(b'*') => match self.end_of_comment(second + 1) {
                Some(end) => self.at = end,
                None => return Err(Fault { at: self.at, what: "a comment is not closed" }),
            },
            _ => self.mark(b'/', self.at + 1),
        }
        Ok(())
    }

    /// The place of the newline that ends a line, which a splice does not.
    fn end_of_line(&self, mut at: usize) -> usize {
        loop {
            let rest = self.source.get(at..).unwrap_or_default();
            let Some(length) = memchr(b'\n', rest) else { return self.source.len() };
            let line = rest.get(..length).unwrap_or_default();
            let blanks = line.iter().rev().take_while(|byte| b" \t\x0b\x0c\r".contains(byte));
            let text = line.len() - blanks.count();
            if text == 0 || line.get(text - 1) != Some(&b'\\') {
                return at + length;
            }
            at += length + 1;
        }
    }

    fn end_of_comment(&self, mut at: usize) -> Option<usize> {
        loop {
            at += memchr(b'*', self.source.get(at..)?)? + 1;
            let next = unspliced(self.source, at);
            if self.source.get(next) == Some(&b'/') {
                return Some(next + 1);
            }
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<(), Fault> {
        if let Some(before) = self.tokens.last().filter(|token| token.end == self.at) {
            let raw: [&[u8]; 5] = [b"R", b"LR", b"uR", b"UR", b"u8R"];
            if quote == b'"' && raw.contains(&before.text(self.source).as_ref()) {
                return Err(Fault {
                    at: self.at,
                    what: "it holds a raw string, which C99 has not",
                });
            }
            if quote == b'\'' && before.kind == Kind::Number {
                return Err(Fault {
                    at: self.at,
                    what: "it holds a number with a quote in it, which C99 has not",
                });
            }
        }
        let mut at = self.at + 1;
        loop {
            at = unspliced(self.source, at);
            match self.source.get(at) {
                Some(b'\\') => {
                    at = unspliced(self.source, at + 1);
                    // A newline that is not spliced away ends the line all the same.
                    at += usize::from(self.source.get(at).is_some_and(|byte| *byte != b'\n'));
                }
                Some(&byte) if byte == quote => {
                    let kind = if quote == b'"' { Kind::Text } else { Kind::Character };
                    self.push(kind, at + 1);
                    return Ok(());
                }
                None | Some(b'\n') => {
                    self.push(Kind::Unclosed, at);
                    return Ok(());
                }
                Some(_) => at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(source: &[u8]) -> Vec<(Kind, Vec<u8>)> {
        let tokens = lex(source).unwrap();
        assert!(tokens.is_sorted_by(|one, two| one.end <= two.start));
        tokens.iter().map(|token| (token.kind, token.text(source).into_owned())).collect()
    }

    /// The tokens one by one, with nothing but a blank or a newline between them.
    fn joined(tokens: &[(Kind, Vec<u8>)]) -> Vec<u8> {
        let mut text = Vec::new();
        for (kind, token) in tokens {
            text.push(if *kind == Kind::Hash || *kind == Kind::LineEnd { b'\n' } else { b' ' });
            text.extend_from_slice(token);
        }
        text
    }

    #[test]
    fn tokens_are_what_they_are_in_c() {
        let words = |source: &str| -> Vec<String> {
            let texts = tokens(source.as_bytes()).into_iter().map(|(_, text)| text);
            texts.map(|text| String::from_utf8(text).unwrap()).collect()
        };
        for (source, expected) in [
            ("a_1$\u{e9} b", vec!["a_1$\u{e9}", "b"]),
            ("co\\\nnst \\  \r\n x", vec!["const", "x"]),
            ("a/**/b//c\nd", vec!["a", "b", "d"]),
            ("a/\\\n* *\\\n/b /\\\n/ c\\\n c\nd", vec!["a", "b", "d"]),
            ("// a \\ \n b\nc", vec!["c"]),
            (
                "\"a\\\"//\" 'b\\'' \"\\\\\" \"/*\"",
                vec!["\"a\\\"//\"", "'b\\''", "\"\\\\\"", "\"/*\""],
            ),
            ("\"a\\\nb\" \"\\\\\n\"\"", vec!["\"a\\\nb\"", "\"\\\\\n\"\""]),
            ("1e+5-0x1p-3 .5f 1..2", vec!["1e+5", "-", "0x1p-3", ".5f", "1..2"]),
            ("#define a \\\n b\nc", vec!["#", "define", "a", "b", "", "c"]),
            ("#include <a'b//c>\n#a", vec!["#", "include", "<a'b//c>", "", "#", "a", ""]),
            ("a # b\n/* */ # c", vec!["a", "#", "b", "#", "c", ""]),
            ("x 'open\ny", vec!["x", "'open", "y"]),
        ] {
            assert_eq!(words(source), expected, "{source:?}");
        }
        let digraphs = tokens(b"%: x\n<: :> <% %> a%:b");
        let kinds: Vec<Kind> = digraphs.into_iter().map(|(kind, _)| kind).collect();
        let marks = [b'[', b']', b'{', b'}'].map(Kind::Mark);
        assert_eq!(kinds[..3], [Kind::Hash, Kind::Word, Kind::LineEnd]);
        assert_eq!(kinds[3..7], marks);
        assert_eq!(kinds[8], Kind::Mark(b'#'));
    }

    #[test]
    fn tokens_that_are_joined_are_the_same_tokens() {
        const PIECES: [&str; 30] = [
            "a",
            "static",
            "\u{e9}",
            "1",
            "1e+",
            ".5",
            "\"s\\\"\"",
            "'c'",
            "\"\\\n\"",
            "+",
            "-",
            "*",
            "/",
            "<",
            ">",
            ":",
            "%",
            "#",
            "\n#",
            "\n#include ",
            "<a'>",
            "\n",
            " ",
            "\\\n",
            "\\ \r\n",
            "/**/",
            "/* ' */",
            "// \" \\\n'",
            "\t",
            ";",
        ];
        let mut seed = 1_u64;
        let mut compared = 0;
        for _ in 0..20_000 {
            let mut source = Vec::new();
            for _ in 0..12 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let piece = PIECES[(seed >> 33) as usize % PIECES.len()];
                source.extend_from_slice(piece.as_bytes());
            }
            let Ok(found) = lex(&source) else { continue };
            if found.iter().any(|token| token.kind == Kind::Unclosed) {
                continue;
            }
            let found = tokens(&source);
            assert_eq!(tokens(&joined(&found)), found, "{}", String::from_utf8_lossy(&source));
            compared += 1;
        }
        assert!(compared > 1000, "{compared}");
    }
}
