//! Which objects of a file get a section of their own, and which.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::Purpose;
use super::code::Code;
use super::declaration::{Declaration, Declarator, Reading, declarations};
use super::lexer::{Fault, Kind};
use super::specifier::Specifiers;
use super::stored::Uses;
use crate::pins::{Hasher, Sha256Hash};

/// Types that cannot hold an address, whatever their initializer says.
const SMALL_TYPES: &[&[u8]] = &[
    b"char",
    b"short",
    b"float",
    b"double",
    b"_Bool",
    b"bool",
    b"int8_t",
    b"uint8_t",
    b"int16_t",
    b"uint16_t",
];

/// Words of initializers that are no addresses.
const PLAIN_WORDS: &[&[u8]] = &[b"NULL", b"true", b"false"];

/// An object that gets a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub name: String,
    /// Where its name begins in the file, in bytes.
    pub at: usize,
    /// Where the attribute is inserted, in bytes.
    pub insert_at: usize,
    pub section: String,
}

/// An object that stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub name: Option<String>,
    pub at: usize,
    pub why: &'static str,
}

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub objects: Vec<Object>,
    pub kept: Vec<Kept>,
}

/// Goes through a file.
///
/// # Errors
/// When the file cannot be read as C with certainty.
pub(super) fn select(code: &Code, purpose: Purpose, identity: &str) -> Result<Selection, Fault> {
    let forbidden: [&[u8]; 4] = [b"const", b"static", b"__attribute__", b"__section__"];
    if forbidden.iter().any(|word| code.macros.contains_key(*word)) {
        return Err(Fault { at: 0, what: "it defines a keyword as a macro" });
    }
    let all = declarations(code);
    let candidates = candidates(&all);
    let mut selection = Selection::default();
    if candidates.is_empty()
        && !all.iter().any(|one| matches!(one.reading, Reading::Unclear { .. }))
    {
        return Ok(selection);
    }
    let judge = Judge {
        code,
        purpose,
        digest: digest(identity, code.source),
        once: declared_once(code, &all),
        uses: Uses::of(code, &all),
    };
    for declaration in &all {
        if let Reading::Unclear { at, what } = declaration.reading {
            selection.kept.push(Kept { name: None, at, why: what });
        }
    }
    for (specifiers, declarator) in candidates {
        judge.add(specifiers, declarator, &mut selection);
    }
    selection.kept.sort_by_key(|kept| kept.at);
    Ok(selection)
}

/// The constant objects of the file.
fn candidates(all: &[Declaration]) -> Vec<(&Specifiers, &Declarator)> {
    let clear = all.iter().filter_map(|declaration| match &declaration.reading {
        Reading::Clear(specifiers, declarators) if specifiers.is_static => {
            Some(declarators.iter().map(move |declarator| (specifiers, declarator)))
        }
        _ => None,
    });
    clear.flatten().filter(|(_, it)| it.constant && !it.function).collect()
}

/// The names of which no declaration lacks an initializer.
fn declared_once<'a>(code: &Code<'a>, all: &[Declaration]) -> HashSet<Cow<'a, [u8]>> {
    let mut whole: HashMap<Cow<[u8]>, bool> = HashMap::new();
    for declaration in all {
        let Reading::Clear(_, declarators) = &declaration.reading else { continue };
        for declarator in declarators {
            let Some(name) = code.word(declarator.name) else { continue };
            *whole.entry(name).or_insert(true) &= declarator.initializer.is_some();
        }
    }
    whole.into_iter().filter(|(_, whole)| *whole).map(|(name, _)| name).collect()
}

fn digest(identity: &str, source: &[u8]) -> String {
    let mut hasher = Hasher::default();
    hasher.update(identity.as_bytes());
    hasher.update(b"\0");
    hasher.update(source);
    hasher.finish().to_hex()
}

struct Judge<'a, 'b> {
    code: &'b Code<'a>,
    purpose: Purpose,
    /// What tells this file from others: a hash of its place and its bytes.
    digest: String,
    once: HashSet<Cow<'a, [u8]>>,
    uses: Uses<'a>,
}

impl Judge<'_, '_> {
    fn add(&self, specifiers: &Specifiers, declarator: &Declarator, selection: &mut Selection) {
        let Some(token) = self.code.token(declarator.name) else { return };
        let name = token.text(self.code.source);
        match self.section(&name, token.start, specifiers, declarator) {
            Ok(section) => selection.objects.push(Object {
                name: String::from_utf8_lossy(&name).into_owned(),
                at: token.start,
                insert_at: self.insert_at(declarator),
                section,
            }),
            Err(why) => selection.kept.push(Kept {
                name: Some(String::from_utf8_lossy(&name).into_owned()),
                at: token.start,
                why,
            }),
        }
    }

    /// The end of the declarator's last token.
    fn insert_at(&self, declarator: &Declarator) -> usize {
        let last = self.code.token(declarator.end.saturating_sub(1));
        last.map(|token| token.end).unwrap_or_default()
    }

    /// The section for an object, or why it stays where it is.
    fn section(
        &self,
        name: &[u8],
        at: usize,
        specifiers: &Specifiers,
        declarator: &Declarator,
    ) -> Result<String, &'static str> {
        if declarator.initializer.is_none() || !self.once.contains(name) {
            return Err("one of its declarations has no initializer");
        }
        if self.has_directive(declarator) {
            return Err("a directive stands in its midst");
        }
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let name = match std::str::from_utf8(name) {
            Ok(text) if name.iter().all(plain) => text,
            _ => return Err("its name has more in it than letters, digits and underscores"),
        };
        let address = self.may_hold_address(specifiers, declarator);
        match self.purpose {
            Purpose::Firmware if declarator.volatile => {
                Err("it is volatile, and the compiler's choice of its section counts")
            }
            Purpose::Firmware if address => {
                Err("it may hold addresses, and the compiler's choice of its section counts")
            }
            Purpose::Firmware if name.starts_with("cst") => {
                Err("the compiler has sections of that name for constants of its own")
            }
            Purpose::Firmware => Ok(format!(".rodata.{name}")),
            Purpose::NativeModule if self.uses.stores(name.as_bytes()) => {
                Err("its address is stored in other data, which older linkers know by section only")
            }
            Purpose::NativeModule => {
                let kind = if address { ".data.rel.ro.local" } else { ".rodata" };
                Ok(format!("{kind}.{name}.{}", self.unique(name, at)))
            }
        }
    }

    /// Whether a directive stands between the name's declaration's begin and the attribute's place.
    fn has_directive(&self, declarator: &Declarator) -> bool {
        (declarator.name..declarator.end)
            .any(|item| self.code.token(item).is_some_and(|token| token.kind == Kind::Hash))
    }

    /// Whether an object's bytes may depend on where something is loaded, so that position independent
    /// code keeps it apart from what never changes.
    fn may_hold_address(&self, specifiers: &Specifiers, declarator: &Declarator) -> bool {
        let small = |word: &Vec<u8>| SMALL_TYPES.contains(&word.as_slice());
        let long = |word: &Vec<u8>| word == b"long";
        let words = &specifiers.words;
        if !declarator.pointer && words.iter().any(small) && !words.iter().any(long) {
            return false;
        }
        let initializer = declarator.initializer.clone().unwrap_or_default();
        for item in initializer {
            let Some(token) = self.code.token(item) else { continue };
            match token.kind {
                Kind::Word => {
                    let field =
                        item.checked_sub(1).is_some_and(|before| self.code.is(before, b'.'));
                    let word = token.text(self.code.source);
                    if !field && !PLAIN_WORDS.contains(&word.as_ref()) {
                        return true;
                    }
                }
                Kind::Text => return true,
                // What is included there is not known here.
                Kind::Hash if self.includes(item) => return true,
                _ => {}
            }
        }
        false
    }

    /// Whether the directive of an item includes a file.
    fn includes(&self, item: usize) -> bool {
        let hash = self.code.items.get(item).map(|item| item.token).unwrap_or_default();
        let name = self.code.tokens.get(hash + 1).map(|token| token.text(self.code.source));
        name.is_some_and(|name| name.starts_with(b"include") || name.as_ref() == b"embed")
    }

    /// Eight hexadecimal digits that no other object of this name has.
    fn unique(&self, name: &str, at: usize) -> String {
        let mut hex = Sha256Hash::of(format!("{} {name} {at}", self.digest).as_bytes()).to_hex();
        hex.truncate(8);
        hex
    }
}
