//! The declarations at file scope: what each declares, and whether that is a constant object of the file.
//!
//! A declaration is read in full or not at all: a macro whose expansion matters, an attribute that is
//! not known to be harmless, or a directive in its midst make it [`Reading::Unclear`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::code::Code;
use super::lexer::Kind;
use super::specifier::{
    ALIGNMENT, ATTRIBUTE, BUILT_IN_TYPES, CONST, OTHER_STORAGE, RESTRICT, STATIC, Specifiers, TAG,
    TYPE_WITH_BRACKETS, VOLATILE, is_harmless_attribute, is_keyword,
};

/// An object or function that a declaration at file scope names.
#[derive(Debug, Clone)]
pub(super) struct Declarator {
    /// The item that is its name.
    pub name: usize,
    /// The item after the declarator, before attributes and the initializer.
    pub end: usize,
    /// Where the initializer is, without its `=`.
    pub initializer: Option<Range<usize>>,
    /// Whether the object itself is const: for `const char *p` it is not.
    pub constant: bool,
    /// Whether something in its type is volatile.
    pub volatile: bool,
    /// Whether it is, or consists of, pointers.
    pub pointer: bool,
    pub function: bool,
}

/// A declaration at file scope.
#[derive(Debug, Clone)]
pub(super) struct Declaration {
    /// Its items, with the `;` or the function's body.
    pub items: Range<usize>,
    pub reading: Reading,
}

#[derive(Debug, Clone)]
pub(super) enum Reading {
    /// All of it was understood.
    Clear(Specifiers, Vec<Declarator>),
    /// It says `static` and `const`, but there is something in it that was not understood.
    Unclear { at: usize, what: &'static str },
    /// Nothing in it can be a constant object of the file.
    Other,
}

/// Reads the declarations of a file.
pub(super) fn declarations(code: &Code) -> Vec<Declaration> {
    let mut parser = Parser { code, aliases: HashMap::new() };
    let mut found = Vec::new();
    let mut at = 0;
    while at < code.items.len() {
        if parser.begins_nothing(at) {
            at = code.after(at);
            continue;
        }
        let items = at..parser.end(at);
        at = items.end;
        let reading = parser.read(&items);
        parser.remember(&reading, items.start);
        found.push(Declaration { items, reading });
    }
    found
}

struct Parser<'a, 'b> {
    code: &'b Code<'a>,
    /// What typedefs of the file stand for.
    aliases: HashMap<Vec<u8>, Shape>,
}

/// A declaration's parts.
type Parsed = (Specifiers, Vec<Declarator>);

/// Something in a declaration that is not understood, and the item where it is.
struct Unclear(usize, &'static str);

impl Parser<'_, '_> {
    /// Whether no declaration begins with an item: directives, stray semicolons, bodies.
    fn begins_nothing(&self, at: usize) -> bool {
        self.code.token(at).is_none_or(|token| token.kind == Kind::Hash)
            || self.code.is(at, b';')
            || self.code.is(at, b'{')
    }

    fn word(&self, at: usize) -> Option<Cow<'_, [u8]>> {
        self.code.word(at)
    }

    fn is_word(&self, at: usize, words: &[&[u8]]) -> bool {
        self.word(at).is_some_and(|word| words.contains(&word.as_ref()))
    }

    /// The item after the declaration that begins at `at`.
    fn end(&self, mut at: usize) -> usize {
        let (mut initializer, mut tag) = (false, false);
        while at < self.code.items.len() {
            match self.code.token(at).map(|token| token.kind) {
                Some(Kind::Mark(b';')) => return at + 1,
                Some(Kind::Mark(b'=')) => initializer = true,
                Some(Kind::Mark(b',')) => initializer = false,
                Some(Kind::Mark(b'*')) => tag = false,
                Some(Kind::Mark(b'(')) if !self.follows_attribute(at) => tag = false,
                Some(Kind::Mark(b'{')) if !initializer => {
                    if !tag {
                        return self.code.after(at);
                    }
                    tag = false;
                }
                Some(Kind::Word) => {
                    tag |= self.is_word(at, TAG);
                }
                _ => {}
            }
            at = self.code.after(at);
        }
        at
    }

    fn follows_attribute(&self, at: usize) -> bool {
        at.checked_sub(1).is_some_and(|at| self.is_word(at, ATTRIBUTE))
    }

    fn read(&self, items: &Range<usize>) -> Reading {
        match self.parse(items) {
            Ok(None) => Reading::Other,
            Ok(Some((specifiers, declarators))) => Reading::Clear(specifiers, declarators),
            Err(Unclear(item, what)) => {
                let at = self.code.token(item).map(|token| token.start).unwrap_or_default();
                if self.says_static_const(items) {
                    Reading::Unclear { at, what }
                } else {
                    Reading::Other
                }
            }
        }
    }

    /// Whether `static` and `const` stand outside all brackets, before any initializer.
    fn says_static_const(&self, items: &Range<usize>) -> bool {
        let (mut at, mut is_static, mut constant) = (items.start, false, false);
        while at < items.end && !self.code.is(at, b'=') {
            is_static |= self.is_word(at, STATIC);
            constant |= self.is_word(at, CONST);
            at = self.code.after(at);
        }
        is_static && constant
    }

    /// Reads a declaration; none for one that cannot declare an object of the file.
    fn parse(&self, items: &Range<usize>) -> Result<Option<Parsed>, Unclear> {
        let mut specifiers = Specifiers::default();
        let mut at = items.start;
        while at < items.end {
            match self.specifier(at, &mut specifiers)? {
                Step::To(next) => at = next,
                Step::Done => break,
                Step::Leave => return Ok(None),
            }
        }
        let mut declarators = Vec::new();
        while at < items.end && !self.code.is(at, b';') {
            let (declarator, next) = self.declarator(at, items.end, &specifiers)?;
            let function = declarator.function;
            declarators.push(declarator);
            if function && (self.code.is(next, b'{') || !self.ends_declarator(next)) {
                // A body, or the parameters of a definition in the style of K&R.
                break;
            }
            if !self.ends_declarator(next) {
                return Err(Unclear(next, "something unknown follows the name"));
            }
            at = next + usize::from(self.code.is(next, b','));
        }
        Ok(Some((specifiers, declarators)))
    }

    fn ends_declarator(&self, at: usize) -> bool {
        self.code.is(at, b',') || self.code.is(at, b';')
    }

    /// One specifier or qualifier.
    fn specifier(&self, at: usize, found: &mut Specifiers) -> Result<Step, Unclear> {
        let Some(token) = self.code.token(at) else { return Ok(Step::Done) };
        match token.kind {
            Kind::Hash => return Err(Unclear(at, "a directive stands in its midst")),
            Kind::Word => {}
            _ => return Ok(Step::Done),
        }
        let word = token.text(self.code.source);
        if let Some(step) = self.keyword(at, &word, found)? {
            return Ok(step);
        }
        if let Some(expanded) = self.expanded(at, &word, found) {
            *found = expanded;
            return Ok(Step::To(at + 1));
        }
        if found.typed {
            return Ok(Step::Done);
        }
        if self.code.macros.contains_key(word.as_ref()) {
            return Err(Unclear(at, "it begins with a macro whose meaning is not clear"));
        }
        found.add_type(&word);
        found.named = true;
        Ok(Step::To(at + 1))
    }

    /// The specifiers with what a macro adds that the file defined before, if it stands for specifiers only.
    fn expanded(&self, at: usize, word: &[u8], found: &Specifiers) -> Option<Specifiers> {
        let made = self.code.macros.get(word).filter(|made| made.plain)?;
        self.code.items.get(at).filter(|item| item.token >= made.body.end)?;
        let mut expanded = found.clone();
        for token in self.code.tokens.get(made.body.clone())? {
            let is_word = token.kind == Kind::Word;
            if !is_word || !expanded.plain_word(&token.text(self.code.source)) {
                return None;
            }
        }
        Some(expanded)
    }

    /// A keyword among the specifiers; none for other words.
    fn keyword(
        &self,
        at: usize,
        word: &[u8],
        found: &mut Specifiers,
    ) -> Result<Option<Step>, Unclear> {
        let tag = TAG.contains(&word);
        if found.named && (tag || BUILT_IN_TYPES.contains(&word)) {
            // The first of two types is a macro.
            return Err(Unclear(at, "something unknown stands before its type"));
        }
        let step = if found.keyword(word) {
            Step::To(at + 1)
        } else if OTHER_STORAGE.contains(&word) {
            Step::Leave
        } else if tag {
            found.typed = true;
            Step::To(self.tagged(at + 1)?)
        } else if TYPE_WITH_BRACKETS.contains(&word) {
            found.typed |= !ALIGNMENT.contains(&word);
            Step::To(self.code.after(at + 1))
        } else if ATTRIBUTE.contains(&word) {
            Step::To(self.attribute(at)?)
        } else {
            return Ok(None);
        };
        Ok(Some(step))
    }

    /// The item after a struct, union or enum, whose keyword is before `at`.
    fn tagged(&self, mut at: usize) -> Result<usize, Unclear> {
        while self.is_word(at, ATTRIBUTE) {
            at = self.attribute(at)?;
        }
        at += usize::from(self.word(at).is_some());
        while self.is_word(at, ATTRIBUTE) {
            at = self.attribute(at)?;
        }
        Ok(if self.code.is(at, b'{') { self.code.after(at) } else { at })
    }

    /// The item after `__attribute__((…))`, if all of it is harmless.
    fn attribute(&self, at: usize) -> Result<usize, Unclear> {
        let end = self.code.after(at + 1);
        let harmless = self.code.is(at + 1, b'(')
            && self.code.is(at + 2, b'(')
            && self.code.after(at + 2) + 1 == end
            && self.names_harmless(at + 3, end.saturating_sub(2));
        if harmless { Ok(end) } else { Err(Unclear(at, "it has an attribute of its own")) }
    }

    fn names_harmless(&self, mut at: usize, end: usize) -> bool {
        while at < end {
            let Some(word) = self.word(at) else { return false };
            if !is_harmless_attribute(&word) {
                return false;
            }
            at += 1;
            if self.code.is(at, b'(') {
                at = self.code.after(at);
            }
            if at < end && !self.code.is(at, b',') {
                return false;
            }
            at += 1;
        }
        true
    }

    /// A declarator with its attributes and initializer, and the item after them.
    fn declarator(
        &self,
        at: usize,
        limit: usize,
        specifiers: &Specifiers,
    ) -> Result<(Declarator, usize), Unclear> {
        let named = specifiers.words.first().and_then(|word| self.aliases.get(word));
        let mut shape = named.copied().unwrap_or_default();
        shape.constant |= specifiers.constant;
        shape.volatile |= specifiers.volatile;
        let (name, end) = self.shape(at, limit, &mut shape, 0)?;
        let mut next = end;
        while self.is_word(next, ATTRIBUTE) {
            next = self.attribute(next)?;
        }
        let mut initializer = None;
        if self.code.is(next, b'=') {
            let start = next + 1;
            while next < limit && !self.ends_declarator(next) {
                next = self.code.after(next);
            }
            initializer = Some(start..next);
        }
        let Shape { constant, volatile, pointer, function } = shape;
        Ok((Declarator { name, end, initializer, constant, volatile, pointer, function }, next))
    }

    /// Pointers, the name or another declarator in brackets, then arrays and parameters. What stands
    /// nearest to the name decides what is declared, so the outer parts are applied first.
    fn shape(
        &self,
        mut at: usize,
        limit: usize,
        shape: &mut Shape,
        depth: usize,
    ) -> Result<(usize, usize), Unclear> {
        const DEEPEST: usize = 32;
        while at < limit {
            if self.code.is(at, b'*') {
                *shape = Shape { pointer: true, ..shape.outer() };
            } else if self.is_word(at, CONST) {
                shape.constant = true;
            } else if self.is_word(at, VOLATILE) {
                shape.volatile = true;
            } else if !self.is_word(at, RESTRICT) {
                break;
            }
            at += 1;
        }
        if self.code.is(at, b'(') && depth < DEEPEST {
            let end = self.suffixes(self.code.after(at), shape);
            let inner_limit = self.code.after(at).saturating_sub(1);
            let (name, inner_end) = self.shape(at + 1, inner_limit, shape, depth + 1)?;
            if inner_end != inner_limit {
                return Err(Unclear(inner_end, "its declarator has something unknown in it"));
            }
            return Ok((name, end));
        }
        match self.word(at) {
            Some(word) if at < limit && !is_keyword(&word) => {
                if self.code.macros.contains_key(word.as_ref()) {
                    return Err(Unclear(at, "its name is a macro"));
                }
                Ok((at, self.suffixes(at + 1, shape)))
            }
            _ => Err(Unclear(at, "its declarator has something unknown in it")),
        }
    }

    /// `[…]` and `(…)` after a declarator.
    fn suffixes(&self, mut at: usize, shape: &mut Shape) -> usize {
        let mut first = true;
        loop {
            if self.code.is(at, b'(') {
                if first {
                    *shape = Shape { function: true, ..shape.outer() };
                }
            } else if !self.code.is(at, b'[') {
                return at;
            }
            first = false;
            at = self.code.after(at);
        }
    }

    /// Learns what a typedef stands for.
    fn remember(&mut self, reading: &Reading, start: usize) {
        let Reading::Clear(specifiers, declarators) = reading else { return };
        if !specifiers.is_typedef {
            return;
        }
        for declarator in declarators {
            let Some(name) = self.word(declarator.name).map(Cow::into_owned) else { continue };
            let conditional = self.code.items.get(start).is_some_and(|item| item.conditional);
            let &Declarator { constant, volatile, pointer, function, .. } = declarator;
            // Another typedef of the name may count instead, so this one alone makes nothing constant.
            let sure = constant && !conditional && !self.aliases.contains_key(&name);
            let known = self.aliases.entry(name).or_default();
            *known = Shape {
                constant: sure,
                volatile: known.volatile | volatile,
                pointer: known.pointer | pointer,
                function: known.function | function,
            };
        }
    }
}

/// Where reading specifiers goes on.
enum Step {
    To(usize),
    /// The declarators begin.
    Done,
    /// The declaration is of no interest.
    Leave,
}

/// What a declarator makes of a type.
#[derive(Debug, Clone, Copy, Default)]
struct Shape {
    constant: bool,
    volatile: bool,
    pointer: bool,
    function: bool,
}

impl Shape {
    /// What stays when a pointer to it, or a function that returns it, is declared. That something in
    /// the type is volatile is kept to be on the safe side.
    fn outer(self) -> Shape {
        Shape { volatile: self.volatile, ..Shape::default() }
    }
}
