//! What of a file the compiler may see: the tokens of all branches of `#if` that can be taken, in one
//! line, with the brackets matched.
//!
//! Branches that no C compiler takes (`#if 0`, `#ifdef __cplusplus`) are left out. Where branches open
//! brackets that are closed after the `#endif` (two heads of one function), the first stands for all.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::lexer::{Fault, Kind, Token, lex};

/// One token of the code, or the place of a directive ([`Kind::Hash`]).
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// The index of the token.
    pub token: usize,
    /// Whether it is compiled under some condition only.
    pub conditional: bool,
}

/// A macro that the file defines.
#[derive(Debug, Clone)]
pub(super) struct Macro {
    /// The tokens of what it stands for.
    pub body: Range<usize>,
    /// Whether the name stands for the body wherever it is used: no arguments, no condition, defined
    /// once and never undone.
    pub plain: bool,
}

/// A file's tokens, and the code among them.
#[derive(Debug)]
pub(super) struct Code<'a> {
    pub source: &'a [u8],
    pub tokens: Vec<Token>,
    pub items: Vec<Item>,
    /// For each item that opens a bracket the one that closes it; zero for the others.
    closing: Vec<usize>,
    pub macros: HashMap<Vec<u8>, Macro>,
}

impl<'a> Code<'a> {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read as C with certainty.
    pub(super) fn read(source: &'a [u8]) -> Result<Code<'a>, Fault> {
        let tokens = lex(source)?;
        let mut reader = Reader::new(source, &tokens);
        reader.read()?;
        let Reader { items, macros, .. } = reader;
        let closing = matched(&tokens, &items)?;
        Ok(Code { source, tokens, items, closing, macros })
    }

    /// The token of an item.
    pub(super) fn token(&self, item: usize) -> Option<Token> {
        self.items.get(item).and_then(|item| self.tokens.get(item.token)).copied()
    }

    /// The text of an item that is a word.
    pub(super) fn word(&self, item: usize) -> Option<Cow<'a, [u8]>> {
        let token = self.token(item).filter(|token| token.kind == Kind::Word)?;
        Some(token.text(self.source))
    }

    /// Whether an item is this byte of punctuation.
    pub(super) fn is(&self, item: usize, mark: u8) -> bool {
        self.token(item).is_some_and(|token| token.kind == Kind::Mark(mark))
    }

    /// The item after the bracket that is opened at `item`, or the next item.
    pub(super) fn after(&self, item: usize) -> usize {
        self.closing.get(item).copied().unwrap_or_default().max(item) + 1
    }
}

/// For each item that opens a bracket the one that closes it.
fn matched(tokens: &[Token], items: &[Item]) -> Result<Vec<usize>, Fault> {
    let mut closing = vec![0; items.len()];
    let mut open: Vec<(u8, usize, usize)> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Some(Token { kind: Kind::Mark(mark), start, .. }) = tokens.get(item.token) else {
            continue;
        };
        match mark {
            b'(' => open.push((b')', index, *start)),
            b'[' => open.push((b']', index, *start)),
            b'{' => open.push((b'}', index, *start)),
            b')' | b']' | b'}' => match open.pop() {
                Some((expected, opener, _)) if expected == *mark => {
                    if let Some(slot) = closing.get_mut(opener) {
                        *slot = index;
                    }
                }
                _ => {
                    return Err(Fault { at: *start, what: "a bracket is closed that is not open" });
                }
            },
            _ => {}
        }
    }
    match open.pop() {
        Some((_, _, at)) => Err(Fault { at, what: "a bracket is not closed" }),
        None => Ok(closing),
    }
}

/// How many round, square and curly brackets are open.
type Open = [i32; 3];

/// What is known of a condition without evaluating it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    Never,
    Unknown,
}

/// An `#if` whose `#endif` is yet to come.
#[derive(Debug)]
struct Group {
    /// Where it begins in the file.
    at: usize,
    /// Whether the code around it can be compiled.
    around: bool,
    /// Whether the current branch can be.
    live: bool,
    /// Whether some branch is always taken, so that later ones never are.
    decided: bool,
    /// Whether what is in it is compiled under some condition only; a header's guard is none.
    conditional: bool,
    /// What was open where it begins.
    before: Open,
    /// What the first branch leaves open, and where in the items that ends.
    first: Option<(Open, usize)>,
    /// Whether all branches leave the same open.
    agreed: bool,
    /// Whether one of the branches is taken for certain.
    complete: bool,
}

struct Reader<'a> {
    source: &'a [u8],
    tokens: &'a [Token],
    items: Vec<Item>,
    groups: Vec<Group>,
    open: Open,
    macros: HashMap<Vec<u8>, Macro>,
}

impl<'a> Reader<'a> {
    fn new(source: &'a [u8], tokens: &'a [Token]) -> Self {
        Reader {
            source,
            tokens,
            items: Vec::with_capacity(tokens.len()),
            groups: Vec::new(),
            open: [0; 3],
            macros: HashMap::new(),
        }
    }

    fn read(&mut self) -> Result<(), Fault> {
        let mut at = 0;
        while let Some(token) = self.tokens.get(at) {
            if token.kind == Kind::Hash {
                let rest = self.tokens.get(at..).unwrap_or_default();
                let length = rest.iter().take_while(|token| token.kind != Kind::LineEnd).count();
                self.directive(at, at + length)?;
                at += length + 1;
                continue;
            }
            if self.live() {
                self.count(token)?;
                self.keep(at);
            }
            at += 1;
        }
        match self.groups.pop() {
            Some(group) => Err(Fault { at: group.at, what: "an #if has no #endif" }),
            None => Ok(()),
        }
    }

    fn live(&self) -> bool {
        self.groups.last().is_none_or(|group| group.live)
    }

    fn conditional(&self) -> bool {
        self.groups.last().is_some_and(|group| group.conditional)
    }

    fn keep(&mut self, token: usize) {
        let conditional = self.conditional();
        self.items.push(Item { token, conditional });
    }

    fn count(&mut self, token: &Token) -> Result<(), Fault> {
        let (bracket, step) = match token.kind {
            Kind::Mark(b'(') => (0, 1),
            Kind::Mark(b')') => (0, -1),
            Kind::Mark(b'[') => (1, 1),
            Kind::Mark(b']') => (1, -1),
            Kind::Mark(b'{') => (2, 1),
            Kind::Mark(b'}') => (2, -1),
            Kind::Unclosed => {
                return Err(Fault { at: token.start, what: "a quote is not closed" });
            }
            _ => return Ok(()),
        };
        if let Some(open) = self.open.get_mut(bracket) {
            *open += step;
        }
        Ok(())
    }

    fn text(&self, token: usize) -> Cow<'a, [u8]> {
        self.tokens.get(token).map(|token| token.text(self.source)).unwrap_or_default()
    }

    /// A directive: the tokens from its `#` at `hash` to `end`.
    fn directive(&mut self, hash: usize, end: usize) -> Result<(), Fault> {
        if self.live() {
            self.keep(hash);
        }
        let at = self.tokens.get(hash).map(|token| token.start).unwrap_or_default();
        let rest = (hash + 2).min(end)..end;
        match self.text(hash + 1).as_ref() {
            b"if" => self.begin(at, self.condition(rest), false),
            b"ifdef" => self.begin(at, self.defined(&rest), false),
            b"ifndef" => {
                let guard = hash == 0 && self.is_guard(&rest);
                self.begin(at, self.defined(&rest).not(), guard);
            }
            b"elif" | b"elifdef" | b"elifndef" => self.branch(at, false)?,
            b"else" => self.branch(at, true)?,
            b"endif" => self.end(at)?,
            b"define" if self.live() => self.define(rest),
            b"undef" if self.live() => {
                let name = self.text(hash + 2).into_owned();
                self.macros.insert(name, Macro { body: end..end, plain: false });
            }
            b"pragma" if self.names_section(&rest) => {
                return Err(Fault { at, what: "a pragma chooses sections" });
            }
            _ => {}
        }
        Ok(())
    }

    fn names_section(&self, tokens: &Range<usize>) -> bool {
        tokens.clone().any(|token| self.text(token).as_ref() == b"section")
    }

    fn begin(&mut self, at: usize, condition: Condition, guard: bool) {
        let around = self.live();
        let conditional = self.conditional() || !guard;
        self.groups.push(Group {
            at,
            around,
            live: around && condition != Condition::Never,
            decided: condition == Condition::Always,
            conditional,
            before: self.open,
            first: None,
            agreed: true,
            complete: condition == Condition::Always,
        });
    }

    /// The end of a branch and the beginning of the next.
    fn branch(&mut self, at: usize, last: bool) -> Result<(), Fault> {
        let mut group = self.groups.pop().ok_or(Fault { at, what: "an #else has no #if" })?;
        self.leave(&mut group);
        group.live = group.around && !group.decided;
        group.complete |= last;
        self.open = group.before;
        self.groups.push(group);
        Ok(())
    }

    fn end(&mut self, at: usize) -> Result<(), Fault> {
        let mut group = self.groups.pop().ok_or(Fault { at, what: "an #endif has no #if" })?;
        self.leave(&mut group);
        self.open = group.before;
        let Some((first, end)) = group.first else { return Ok(()) };
        if group.agreed && first == group.before {
            return Ok(());
        }
        if !(group.agreed && group.complete) {
            return Err(Fault {
                at: group.at,
                what: "the branches of an #if leave different brackets open",
            });
        }
        self.open = first;
        self.items.truncate(end);
        Ok(())
    }

    fn leave(&self, group: &mut Group) {
        if group.live {
            let (first, _) = *group.first.get_or_insert((self.open, self.items.len()));
            group.agreed &= first == self.open;
        }
    }

    /// Whether a header's first directive `#ifndef NAME` is followed by `#define NAME`.
    fn is_guard(&self, name: &Range<usize>) -> bool {
        let expected = [Kind::LineEnd, Kind::Hash, Kind::Word, Kind::Word, Kind::LineEnd];
        let following = self.tokens.get(name.end..).unwrap_or_default();
        following.iter().map(|token| token.kind).take(expected.len()).eq(expected)
            && self.text(name.end + 2).as_ref() == b"define"
            && self.text(name.end + 3) == self.text(name.start)
    }

    fn defined(&self, name: &Range<usize>) -> Condition {
        if self.text(name.start).as_ref() == b"__cplusplus" {
            Condition::Never
        } else {
            Condition::Unknown
        }
    }

    fn condition(&self, tokens: Range<usize>) -> Condition {
        let words: Vec<_> = tokens.map(|token| self.text(token)).collect();
        let words: Vec<&[u8]> = words.iter().map(AsRef::as_ref).collect();
        match words.as_slice() {
            [b"0"] => Condition::Never,
            [b"1"] => Condition::Always,
            [b"defined", b"__cplusplus"] | [b"defined", b"(", b"__cplusplus", b")"] => {
                Condition::Never
            }
            [b"!", b"defined", b"__cplusplus"] | [b"!", b"defined", b"(", b"__cplusplus", b")"] => {
                Condition::Always
            }
            _ => Condition::Unknown,
        }
    }

    fn define(&mut self, rest: Range<usize>) {
        let Some(name) = self.tokens.get(rest.start) else { return };
        let with_arguments = self
            .tokens
            .get(rest.start + 1)
            .is_some_and(|next| next.kind == Kind::Mark(b'(') && next.start == name.end);
        let body = (rest.start + 1).min(rest.end)..rest.end;
        let plain = !with_arguments && !self.conditional();
        let name = self.text(rest.start).into_owned();
        self.macros
            .entry(name)
            .and_modify(|found| found.plain = false)
            .or_insert(Macro { body, plain });
    }
}

impl Condition {
    fn not(self) -> Condition {
        match self {
            Condition::Always => Condition::Never,
            Condition::Never => Condition::Always,
            Condition::Unknown => Condition::Unknown,
        }
    }
}
