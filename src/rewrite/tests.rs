use memchr::memmem;

use super::*;

/// The text after the rewrite, with `@` for each attribute that was inserted.
fn marked(source: &str, purpose: Purpose) -> String {
    let rewritten = rewrite(source.as_bytes(), purpose, "a.c");
    let text = rewritten.text.unwrap_or_else(|| source.as_bytes().to_vec());
    let mut text = String::from_utf8(text).unwrap();
    for object in &rewritten.objects {
        let attribute = format!(" __attribute__((__section__(\"{}\")))", object.section);
        text = text.replacen(&attribute, "@", 1);
    }
    assert!(!text.contains("__section__(\".") || source.contains("__section__(\"."), "{text}");
    assert_eq!(text.replace('@', ""), source);
    text
}

/// Each line or block is rewritten to what it is here without the `@`.
#[track_caller]
fn becomes(purpose: Purpose, expected: &[&str]) {
    for expected in expected {
        let source = expected.replace('@', "");
        assert_eq!(marked(&source, purpose), *expected);
        assert_eq!(marked(&source.replace('\n', "\r\n"), purpose), expected.replace('\n', "\r\n"));
    }
}

#[test]
fn every_spelling_of_the_specifiers_is_seen() {
    becomes(
        Purpose::NativeModule,
        &[
            "static const int t[]@ = {1, 2};\n",
            "const static int t[]@ = {1};\n",
            "static int const t[]@ = {1};\n",
            "int static const t@ = 1;\n",
            "static volatile const int t[]@ = {1};\n",
            "static const unsigned long long int t@ = 1;\n",
            "static char *const t@ = 0;\n",
            "static const char *const t[]@ = {\"a\", \"b\"};\n",
            "static const char t[]@ = \"static const char t[] = 1;\";\n",
            "static const char *const *const t@ = 0;\n",
            "static void (*const t[])(void)@ = {0};\n",
            "static void (*const (t[2]))(int)@ = {0};\n",
            "static const int (*const t)[3]@ = 0;\n",
            "static const int (t)[2]@ = {1};\n",
            "static/* ; = { */const/**/int// static {\n t[]@ = {1};\n",
            "static \\\n const \\\n int t\\\n[]@ = {1};\n",
            "static\n\nconst\tint\n  t\n  [2]\n  [3]@\n  =\n{{1}};\n",
            "static __attribute__((aligned(4))) const int t[]@ = {1};\n",
            "static const int t[]@ __attribute__((__aligned__(4), unused)) = {1};\n",
            "__extension__ static const int t[]@ = {1};\n",
            "static const struct { int a, b; } t[]@ = {{1, 2}};\n",
            "static const struct s { int a; } t@ = {1}, u@ = {2};\n",
            "static const struct __attribute__((packed)) s { int a; } t@ = {1};\n",
            "static const struct { int a; } __attribute__((packed)) t@ = {1};\n",
            "static const union u t@ = {.a = 1};\n",
            "static const enum e { A, B } t[]@ = {A, B};\n",
            "static const enum { A = 1 } t@ = A;\n",
            "static const uint8_t t[]@ = {1}, u@ = 2, *p = 0, *const q@ = 0;\n",
            "static _Alignas(8) const int t[]@ = {1};\n",
            "static const typeof(int) t@ = 1;\n",
            "static const int t<::>@ = <%1%>;\n",
            "STATIC const uint8_t t[]@ = {1};\n",
            "typedef const uint8_t rom;\nstatic rom t[]@ = {1};\n",
            "typedef char *const name;\nstatic name t@ = 0;\n",
            "typedef const int pair[2];\nstatic pair t@ = {1, 2};\n",
            "#if A\ntypedef const int n;\n#else\ntypedef int n;\n#endif\nstatic const n t@ = 1;\n",
            "#define ROM static const\nROM int t[]@ = {1};\n",
            "#define BYTE unsigned char\n#define LOCAL static\nLOCAL const BYTE t[]@ = {1};\n",
            "static const int t[sizeof(int) * 2]@ = {(1), [2] = 3};\n",
            "static const int t[]@ = {\n#if A\n1,\n#else\n2,\n#endif\n3};\n",
            "static const int *const t@ = (const int[]){1, 2};\n",
            "static const double t@ = .5e+3, u@ = 0x1p-2;\n",
            "char quote = '\"', other = '\\'';\nstatic const int t[]@ = {1};\n",
            "static const char http[]@ = \"http://\"; static const int t@ = 1;\n",
            "const char *a = \"/*\"; static const int t@ = 1; const char *b = \"*/\";\n",
            "// a comment that goes on \\\nstatic const int u = 1;\nstatic const int t@ = 1;\n",
            "#include <a'b.h>\nstatic const int t@ = 1;\n",
            "#if 0\ndon't { static const int t = 1;\n#else\nstatic const int t@ = 2;\n#endif\n",
            "#ifdef __cplusplus\nextern \"C\" {\n#endif\nstatic const int t@ = 1;\n#ifdef __cplusplus\n}\n#endif\n",
            "#if A\nstatic const int t@ = 1;\n#else\nstatic const int t@ = 2;\n#endif\n",
            "int f(a) int a; { return a; }\nstatic const int t@ = 1;\n",
            "#if A\nint f(int a) {\n#else\nint f(void) {\n#endif\nreturn 1; }\nstatic const int t@ = 1;\n",
            "int f(void) { return 1; } static const int t@ = 1;\n",
            "struct s { int a; };;\nstatic const int t@ = 1;\n",
            "asm(\".text\");\nMACRO(x);\nstatic const int t@ = 1;\n",
            "static const int t[]@ = {1};\n#define COUNT (sizeof(t) / sizeof(t[0]))\nint n[] = {sizeof t, MP_ARRAY_SIZE(t)};\n",
            "static const int t@ = 1;\nint f(void) { const int *p = &t; return ({ t; }) + (int){1}; }\n",
            "#ifndef G\n#define G\n#define ROM const\ntypedef ROM int num;\nstatic num t@ = 1;\n#endif\n",
        ],
    );
}

#[test]
fn what_is_no_constant_object_of_the_file_stays() {
    becomes(
        Purpose::NativeModule,
        &[
            "static const char *t[] = {\"a\"};\n",
            "static const int *p = 0;\n",
            "static int t[] = {1};\n",
            "const int t[] = {1};\n",
            "extern const int t[];\n",
            "static const int f(void);\n",
            "static const int f(int a) { return a; }\n",
            "static inline const char *const f(void) { return \"=\"; }\n",
            "static const char *const f(void) { static const int t[] = {1}; return 0; }\n",
            "int f(void) { static const int t[] = {1}; { const static int u = 2; } return t[0]; }\n",
            "static const int f(a) const int a; { return a; }\n",
            "static const struct s *f(struct s *a) { return a; }\n",
            "static const struct s { int a; };\n",
            "typedef const int rom;\ntypedef rom *pointer;\nstatic pointer t = 0;\n",
            "typedef int (*const handler)(void);\nstatic handler *t = 0;\n",
            "#if A\ntypedef const int n;\n#else\ntypedef int n;\n#endif\nstatic n t = 1;\n",
            "static _Thread_local const int t = 1;\n",
            "/* static const int t = 1; */ // static const int u = 1;\n",
            "const char *text = \"static const int t = 1;\";\n",
            "#define TABLE static const int t[] = {1};\n",
            "#if 0\nstatic const int t[] = {1};\n#endif\n",
            "struct s { const int a; } static x = {1};\n",
            "for (static const int i = 1;;) {}\n",
        ],
    );
}

/// What is left, and with which words it is said why.
const KEPT: &[(&str, &str)] = &[
    ("static const int t[] PROGMEM = {1};", "something unknown follows the name"),
    ("static const int t[] __asm__(\"x\") = {1};", "something unknown follows the name"),
    ("static const int t[] __attribute__((section(\".x\"))) = {1};", "an attribute of its own"),
    ("static const int t __attribute__((weak, unused)) = 1;", "an attribute of its own"),
    ("static const ALIGNED int t[] = {1};", "something unknown"),
    ("static const ALIGNED struct s t = {1};", "something unknown stands before its type"),
    ("#define T thing\nstatic const T int t = {1};", "something unknown stands before its type"),
    ("SECTION(\"x\") static const int t[] = {1};", "something unknown"),
    ("FUN(x) static const int t[] = {1};", "something unknown follows the name"),
    ("static const int t[2];\nstatic const int t[2] = {1};", "has no initializer"),
    ("static const\n#if A\nint\n#else\nlong\n#endif\nt = 1;", "a directive stands in its midst"),
    (
        "static const int t[\n#if A\n1\n#else\n2\n#endif\n] = {1};",
        "a directive stands in its midst",
    ),
    ("static const int t[] = {1};\nconst int *u[] = {t};", "stored in other data"),
    ("static const int t = 1;\nvoid f(void) { g((int *[]){&t}); }", "stored in other data"),
    ("static const int t = 1;\nvoid f(void) { static const int *p = &t; }", "stored in other data"),
    ("static const int t = 1;\nvoid f(void) { const int *p[] = {&t}; }", "stored in other data"),
    ("static const int t = 1;\n#define P &t", "stored in other data"),
    ("static const int t = 1;\nstatic DEFINE_DICT(d, t);", "stored in other data"),
    ("#define t u\nstatic const int t = 1;", "its name is a macro"),
    ("#define ROM const int\n#undef ROM\nstatic const ROM t = 1;", "macro whose meaning"),
    ("static const ROM t = 1;\n#define ROM int", "macro whose meaning"),
    ("#undef ROM\n#define ROM int\nstatic const ROM t = 1;", "macro whose meaning"),
    ("#ifdef A\n#define ROM char\n#endif\nstatic const ROM t = 1;", "macro whose meaning"),
    ("#define ROM __attribute__((section(\"x\")))\nstatic const ROM int t = 1;", "macro whose"),
    ("static const int t\u{e4} = 1;", "letters, digits and underscores"),
    ("static const int [[unused]] t = 1;", "something unknown"),
];

#[test]
fn what_is_not_certain_stays_and_is_told() {
    for (source, why) in KEPT {
        let rewritten = rewrite(source.as_bytes(), Purpose::NativeModule, "a.c");
        assert_eq!(rewritten.text, None, "{source}");
        assert_eq!(rewritten.left, None, "{source}");
        let [kept] = rewritten.kept.as_slice() else {
            if rewritten.kept.iter().all(|kept| kept.why.contains(why))
                && !rewritten.kept.is_empty()
            {
                continue;
            }
            panic!("{source}: {:?}", rewritten.kept);
        };
        assert!(kept.why.contains(why), "{source}: {kept:?}");
    }
}

const LEFT: &[(&[u8], &str, usize)] = &[
    (b"static const int t = 1;\n/* open", "a comment is not closed", 2),
    (b"static const int t = 1;\nchar *s = \"open;\n", "a quote is not closed", 2),
    (b"\nstatic const int t = 1;\nchar s = 'a;\n", "a quote is not closed", 3),
    (b"static const int t = 1;\0", "zero byte", 1),
    (b"static const int t = 1; // what??/\n;", "trigraph", 1),
    (b"static const int t = 1; char *s = R\"(\")\";", "raw string", 1),
    (b"static const int t = 1'000;", "a number with a quote in it", 1),
    (b"static const int t = 1; }", "closed that is not open", 1),
    (b"static const int t[] = {1;", "a bracket is not closed", 1),
    (b"static const int t[] = {1);", "closed that is not open", 1),
    (b"#if A\nstatic const int t = 1;", "an #if has no #endif", 1),
    (b"static const int t = 1;\n#endif\n", "an #endif has no #if", 2),
    (b"static const int t = 1;\n#else\n", "an #else has no #if", 2),
    (b"#if A\nvoid f() {\n#endif\nstatic const int t = 1;\n}", "different brackets open", 1),
    (b"#define const\nstatic const int t = 1;", "defines a keyword as a macro", 1),
    (b"#pragma clang section rodata=\".x\"\nstatic const int t = 1;", "a pragma chooses", 1),
];

#[test]
fn files_that_cannot_be_read_with_certainty_are_left_and_it_is_said_why() {
    for (source, why, line) in LEFT {
        let rewritten = rewrite(source, Purpose::NativeModule, "a.c");
        assert_eq!(rewritten.text, None);
        let left = rewritten.left.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(source)));
        assert!(left.why.contains(why), "{left:?}");
        assert_eq!(left.line, *line, "{left:?}");
    }
}

#[test]
fn bytes_outside_the_edit_stay_as_they_are() {
    let source = b"// \xff\xfe\r\nstatic const char t[] = \"\xe9\x80\";\x0c\r\n\xc3";
    let rewritten = rewrite(source, Purpose::NativeModule, "a.c");
    let [object] = rewritten.objects.as_slice() else { panic!("{rewritten:?}") };
    let attribute = format!(" __attribute__((__section__(\"{}\")))", object.section);
    let text = rewritten.text.unwrap();
    let at = memmem::find(&text, attribute.as_bytes()).unwrap();
    assert_eq!([&text[..at], &text[at + attribute.len()..]].concat(), source);
}

#[test]
fn firmware_gets_only_what_the_section_cannot_matter_for() {
    becomes(
        Purpose::Firmware,
        &[
            "static const uint8_t t[]@ = {A, B};\n",
            "static const int t[]@ = {1, -2};\n",
            "static const struct s t@ = {.a = 1, .p = NULL};\n",
            "static const char t[]@ = \"text\";\n",
            "static const int t[] = {A};\n",
            "static const int t[] = {\n#include \"t.inc\"\n};\n",
            "static const char t[]@ = {\n#include \"t.inc\"\n};\n",
            "static const char cst8[] = {1};\n",
            "static const char *const t[] = {\"a\"};\n",
            "static const volatile uint8_t t[] = {1};\n",
            "typedef volatile const uint8_t port;\nstatic port t = 1;\n",
            "static const uint8_t t[]@ = {1};\nconst uint8_t *p = t;\n",
        ],
    );
    let rewritten = rewrite(b"static const char t[] = \"\";", Purpose::Firmware, "a.c");
    assert_eq!(rewritten.objects[0].section, ".rodata.t");
}

#[test]
fn sections_tell_files_places_and_kinds_apart() {
    let section = |source: &str, identity: &str| {
        let rewritten = rewrite(source.as_bytes(), Purpose::NativeModule, identity);
        rewritten.objects.into_iter().map(|object| object.section).collect::<Vec<_>>()
    };
    let source = "static const int t = 1;\n";
    assert_eq!(section(source, "a.c"), section(source, "a.c"));
    assert_ne!(section(source, "a.c"), section(source, "b.c"));
    assert_ne!(section(source, "a.c"), section("static const int t = 2;\n", "a.c"));
    let both =
        section("#if A\nstatic const int t = 1;\n#else\nstatic const int t = 1;\n#endif\n", "");
    assert_ne!(both[0], both[1]);
    assert!(both[0].starts_with(".rodata.t."), "{both:?}");
    let pointers = section("static const char *const t = \"\";\n", "");
    assert!(pointers[0].starts_with(".data.rel.ro.local.t."), "{pointers:?}");
}

#[test]
fn a_rewritten_text_stays_as_it_is() {
    let source = "static const int t = 1, u[2] = {1};\nstatic const char *const v[] = {\"\"};\n";
    let once = rewrite(source.as_bytes(), Purpose::NativeModule, "a.c").text.unwrap();
    let twice = rewrite(&once, Purpose::NativeModule, "a.c");
    assert_eq!(twice.text, None);
}

#[test]
fn auto_follows_the_linker() {
    let applies = |when: StaticConst| [when.applies(true), when.applies(false)];
    assert_eq!(applies(StaticConst::Auto), [true, false]);
    assert_eq!(applies(StaticConst::On), [true, true]);
    assert_eq!(applies(StaticConst::Off), [false, false]);
}
