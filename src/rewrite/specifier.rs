//! The words before a declarator: C's keywords, GCC's, and what they say together.

/// Attributes that neither name a section nor change what a symbol is (GCC's manual, "Common Variable
/// Attributes"). They may be written with underscores around them.
const HARMLESS_ATTRIBUTES: &[&[u8]] = &[
    b"aligned",
    b"deprecated",
    b"may_alias",
    b"nonstring",
    b"packed",
    b"scalar_storage_order",
    b"unused",
    b"used",
    b"warn_if_not_aligned",
];

/// `STATIC` is MicroPython's own name for it before v1.23 (`py/mpconfig.h`).
pub(super) const STATIC: &[&[u8]] = &[b"static", b"STATIC"];
pub(super) const CONST: &[&[u8]] = &[b"const", b"__const", b"__const__"];
pub(super) const VOLATILE: &[&[u8]] = &[b"volatile", b"__volatile", b"__volatile__"];
pub(super) const RESTRICT: &[&[u8]] = &[b"restrict", b"__restrict", b"__restrict__"];
pub(super) const ATTRIBUTE: &[&[u8]] = &[b"__attribute__", b"__attribute"];
pub(super) const TAG: &[&[u8]] = &[b"struct", b"union", b"enum"];
pub(super) const ALIGNMENT: &[&[u8]] = &[b"_Alignas", b"alignas"];
pub(super) const TYPE_WITH_BRACKETS: &[&[u8]] =
    &[b"_Alignas", b"alignas", b"typeof", b"__typeof", b"__typeof__", b"typeof_unqual"];
/// What no constant object of a file has among its specifiers.
pub(super) const OTHER_STORAGE: &[&[u8]] = &[
    b"extern",
    b"register",
    b"auto",
    b"inline",
    b"__inline",
    b"__inline__",
    b"_Noreturn",
    b"_Thread_local",
    b"thread_local",
    b"__thread",
    b"_Atomic",
    b"constexpr",
    b"asm",
    b"__asm",
    b"__asm__",
    b"_Static_assert",
    b"static_assert",
];
pub(super) const BUILT_IN_TYPES: &[&[u8]] = &[
    b"void",
    b"char",
    b"short",
    b"int",
    b"long",
    b"float",
    b"double",
    b"signed",
    b"__signed__",
    b"unsigned",
    b"_Bool",
    b"_Complex",
    b"__complex__",
    b"__int128",
    b"_Float16",
    b"__fp16",
];

/// What comes before the declarators.
#[derive(Debug, Clone, Default)]
pub(super) struct Specifiers {
    pub is_static: bool,
    pub is_typedef: bool,
    pub constant: bool,
    pub volatile: bool,
    /// The words of the type: `unsigned`, `char`, or a typedef's name; empty for structs and the like.
    pub words: Vec<Vec<u8>>,
    /// Whether there is a type.
    pub typed: bool,
    /// Whether it is a name, and not a keyword.
    pub named: bool,
}

/// Whether a word cannot name anything.
pub(super) fn is_keyword(word: &[u8]) -> bool {
    [STATIC, CONST, VOLATILE, ATTRIBUTE, TAG, TYPE_WITH_BRACKETS, OTHER_STORAGE, BUILT_IN_TYPES]
        .iter()
        .any(|words| words.contains(&word))
        || word == b"typedef"
}

impl Specifiers {
    /// Takes a keyword that stands for itself. False for anything else.
    pub(super) fn keyword(&mut self, word: &[u8]) -> bool {
        if STATIC.contains(&word) {
            self.is_static = true;
        } else if CONST.contains(&word) {
            self.constant = true;
        } else if VOLATILE.contains(&word) {
            self.volatile = true;
        } else if word == b"typedef" {
            self.is_typedef = true;
        } else if BUILT_IN_TYPES.contains(&word) {
            self.add_type(word);
        } else {
            return word == b"__extension__";
        }
        true
    }

    /// Takes a word of a macro's body: a keyword, or the name of the type.
    pub(super) fn plain_word(&mut self, word: &[u8]) -> bool {
        if self.named && BUILT_IN_TYPES.contains(&word) {
            return false;
        }
        if self.keyword(word) {
            return true;
        }
        if self.typed || is_keyword(word) {
            return false;
        }
        self.add_type(word);
        self.named = true;
        true
    }

    pub(super) fn add_type(&mut self, word: &[u8]) {
        self.typed = true;
        self.words.push(word.to_vec());
    }
}

/// Whether an attribute changes nothing that the rewrite does.
pub(super) fn is_harmless_attribute(word: &[u8]) -> bool {
    let name = word.strip_prefix(b"__").and_then(|word| word.strip_suffix(b"__"));
    HARMLESS_ATTRIBUTES.contains(&name.unwrap_or(word))
}
