//! The static-const rewrite: constant objects of a C file get a section of their own.
//!
//! MicroPython's linker for native modules, `tools/mpy_ld.py`, takes constants of two files for one on
//! Xtensa, because it knows what is local to a file by section and offset only. With a section of its own
//! for each `static const` object there is nothing to mistake. `static` stays: the same linker loses the
//! offset in `&table[5]` when `table` is global, and a name that was the file's own could meet another.
//! `docs/static-const.md` has the whole reasoning.
//!
//! The text is changed in one way only: `__attribute__((__section__("…")))` is inserted after a declarator.
//! Nothing of the language changes with that, so where the linker is sound the program does not either.

mod code;
mod declaration;
mod glance;
mod include;
mod lexer;
mod record;
mod select;
mod specifier;
mod stored;
mod tree;

pub use record::ObjectRecord;
pub use tree::{Changes, FileChanges, plan, plan_tree};

/// What the sources are compiled into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A native module (.mpy): position independent code, linked by `mpy_ld.py`.
    NativeModule,
    /// Firmware, linked by GNU ld, which needs no help. Only objects whose section cannot matter are
    /// named, by the name that `-fdata-sections` gives them.
    Firmware,
}

/// When native modules are rewritten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StaticConst {
    /// Only where the linker in use has the fault.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl StaticConst {
    /// Whether to rewrite, for a linker of which it is known whether it has the fault.
    pub fn applies(self, linker_has_the_fault: bool) -> bool {
        match self {
            StaticConst::Auto => linker_has_the_fault,
            StaticConst::On => true,
            StaticConst::Off => false,
        }
    }
}

/// An object that gets a section of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// The line of its declaration, counted from one.
    pub line: usize,
    /// Its section.
    pub section: String,
}

/// A constant object that stays as it is, although it is the file's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name, where that is certain.
    pub name: Option<String>,
    /// The line where it is declared, or where what is unclear stands.
    pub line: usize,
    /// Why.
    pub why: &'static str,
}

/// Why a whole file stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// The line where the reason is.
    pub line: usize,
    /// The reason.
    pub why: &'static str,
}

/// What the rewrite does to one source text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The new text, if it differs.
    pub text: Option<Vec<u8>>,
    /// The objects that got a section, in the text's order.
    pub objects: Vec<Object>,
    /// The constant objects that were kept.
    pub kept: Vec<Kept>,
    /// Why the text was not touched at all.
    pub left: Option<Left>,
}

/// Rewrites a source text. `identity` tells files of one module from each other: their relative paths.
pub fn rewrite(source: &[u8], purpose: Purpose, identity: &str) -> Rewritten {
    if !glance::may_hold_object(source) {
        return Rewritten::default();
    }
    let found = code::Code::read(source).and_then(|code| select::select(&code, purpose, identity));
    match found {
        Ok(selection) => apply(source, selection),
        Err(fault) => {
            let left = Left { line: line_of(source, fault.at), why: fault.what };
            Rewritten { left: Some(left), ..Rewritten::default() }
        }
    }
}

fn apply(source: &[u8], selection: select::Selection) -> Rewritten {
    let mut result = Rewritten::default();
    let mut text = Vec::with_capacity(source.len() + 80 * selection.objects.len());
    let mut copied = 0;
    for object in selection.objects {
        text.extend_from_slice(source.get(copied..object.insert_at).unwrap_or_default());
        copied = object.insert_at;
        let attribute = format!(" __attribute__((__section__(\"{}\")))", object.section);
        text.extend_from_slice(attribute.as_bytes());
        let line = line_of(source, object.at);
        result.objects.push(Object { name: object.name, line, section: object.section });
    }
    if !result.objects.is_empty() {
        text.extend_from_slice(source.get(copied..).unwrap_or_default());
        result.text = Some(text);
    }
    let kept = selection.kept.into_iter();
    result.kept = kept
        .map(|kept| Kept { name: kept.name, line: line_of(source, kept.at), why: kept.why })
        .collect();
    result
}

fn line_of(source: &[u8], at: usize) -> usize {
    let before = source.get(..at).unwrap_or(source);
    memchr::memchr_iter(b'\n', before).count() + 1
}

#[cfg(test)]
mod tests;
