//! A glance at a text: whether it can hold a constant object of the file at all. Most files do not, and this
//! tells so many times faster than reading them as C.
//!
//! It may say yes where there is none. It says no where there is one only if the source is odd: a keyword
//! cut in two by a line splice, or more than [`LOOK_BACK`] bytes between `const` and `static`.

use memchr::{memchr, memchr2, memchr3, memmem, memrchr};

/// How far before `static` a `const` is looked for, in bytes.
const LOOK_BACK: usize = 256;

/// Whether there may be a `static` object with an initializer that is const.
pub(super) fn may_hold_object(source: &[u8]) -> bool {
    if memmem::find(source, b"const").is_none() {
        return false;
    }
    let mut by_name = None;
    [b"static", b"STATIC"].iter().any(|word| {
        memmem::find_iter(source, *word)
            .any(|at| declares_constant(source, at, at + word.len(), &mut by_name))
    })
}

/// Whether what is declared with the `static` at `start..end` may be a constant object. `by_name` keeps
/// the answer to whether a name may stand for `const`.
fn declares_constant(source: &[u8], start: usize, end: usize, by_name: &mut Option<bool>) -> bool {
    let rest = source.get(end..).unwrap_or_default();
    let Some(length) = memchr3(b'=', b';', b'{', rest) else { return false };
    let declared = rest.get(..length).unwrap_or_default();
    match rest.get(length) {
        Some(b'=') => {
            let before = source.get(start.saturating_sub(LOOK_BACK)..start).unwrap_or_default();
            has_const(declared)
                || has_const(before)
                || may_hide(declared)
                || *by_name.get_or_insert_with(|| names_const(source))
        }
        // The body of a function comes after a bracket, that of a structure does not.
        Some(b'{') => !declared.trim_ascii_end().ends_with(b")") || may_hide(declared),
        _ => may_hide(declared),
    }
}

fn has_const(text: &[u8]) -> bool {
    memmem::find(text, b"const").is_some()
}

/// Whether an end of a declaration may be none: in a comment, a quote, a directive, an attribute.
fn may_hide(text: &[u8]) -> bool {
    memchr3(b'/', b'"', b'#', text).is_some()
        || memchr(b'%', text).is_some()
        || memmem::find(text, b"__attribute").is_some()
}

/// Whether a typedef or a macro may stand for something const.
fn names_const(source: &[u8]) -> bool {
    let typedef = memmem::find_iter(source, b"typedef").any(|at| {
        let rest = source.get(at..).unwrap_or_default();
        let end = memchr2(b';', b'{', rest).unwrap_or(rest.len());
        has_const(rest.get(..end).unwrap_or_default())
    });
    typedef || memmem::find_iter(source, b"const").any(|at| ends_type_or_is_in_macro(source, at))
}

/// Whether the `const` at `at` follows a structure's body, or stands in a macro's definition.
fn ends_type_or_is_in_macro(source: &[u8], at: usize) -> bool {
    let before = source.get(..at).unwrap_or_default();
    let line = memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let directive = before.get(line..).unwrap_or_default().trim_ascii_start();
    let spliced = before.get(..line).unwrap_or_default().trim_ascii_end();
    before.trim_ascii_end().ends_with(b"}")
        || directive.starts_with(b"#")
        || directive.starts_with(b"%:")
        || spliced.ends_with(b"\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_there_is_looked_at() {
        for source in [
            "const static int t=1;",
            "static const int t = 1;",
            "STATIC const int t = 1;",
            "static/*=;*/const/**/int t=1;",
            "static /* ; */ const int t = 1;",
            "static const struct __attribute__((packed)) { int a; } t = {1};",
            "static struct { int a; } const t = {1};",
            "static\n#ifdef A\n;\n#endif\nconst int t = 1;",
            "typedef const int n; static n t = 1;",
            "typedef struct { int a; } const n; static n t = {1};",
            "#define ROM const\nstatic ROM int t = 1;",
            "#define ROM \\\n const\nstatic ROM int t = 1;",
            "%: define ROM const\nstatic ROM int t = 1;",
        ] {
            assert!(may_hold_object(source.as_bytes()), "{source}");
        }
    }

    #[test]
    fn what_cannot_be_there_is_not_looked_for() {
        for source in [
            "static void f(const char *a) { a = 0; }",
            "static int count; const int a = 1;",
            "static struct s *f(const struct s *a) {",
            "void f(const char *a) { int b = 1; }",
            "typedef struct { const char *a; } s; static int t = 1;",
            "int t = 1;",
            "",
        ] {
            let padded =
                source.replace("static int t", &format!("{}static int t", " ".repeat(300)));
            assert!(!may_hold_object(padded.as_bytes()), "{source}");
        }
    }
}
