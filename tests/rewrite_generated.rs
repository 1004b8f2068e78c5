//! The static-const rewrite on programs made up at random: it finds exactly the objects that the maker
//! knows to be constant objects of a file, and the program does what it did.
//!
//! `MPB_REWRITE_PROGRAMS` says how many programs; they are the same in every run.

mod common;
#[path = "common/oracle.rs"]
mod oracle;
mod rewriting;

use std::collections::BTreeSet;

use common::require;
use oracle::Dice;
use rewriting::{Files, compile, planted, rewrite, run};

/// What may stand between two tokens.
const BETWEEN: &[&str] = &[
    " ",
    " ",
    " ",
    "\n",
    "\t",
    "  ",
    " \\\n",
    "\\\n ",
    " \\ \t\n",
    "/**/",
    "/* ; = { ' */",
    "/* static const */",
    " // static const int a[] = {1};\n",
    " // it's \\\n * the same * \" comment\n",
    "\r\n",
    "\x0c",
];

/// Names, few enough to be the same in many files; some are functions of the C library.
const NAMES: &[&str] = &["table", "index", "y1", "data", "t", "static_const", "constant", "names"];

/// Integer types as words in any order.
const TYPES: &[&[&str]] = &[
    &["char"],
    &["signed", "char"],
    &["unsigned", "char"],
    &["short"],
    &["unsigned", "short", "int"],
    &["int"],
    &["unsigned"],
    &["long"],
    &["unsigned", "long", "long", "int"],
    &["byte"],
];

/// Whole lines that mean nothing.
const ASIDES: &[&str] = &[
    "#if 0\ndon't read { static const int a[] = {1};\n#endif\n",
    "#ifdef __cplusplus\nextern \"C\" {\n#endif\n#ifdef __cplusplus\n}\n#endif\n",
    "/* static const int a[] = {1}; */\n",
    "extern const char *aside; extern const int asides[];\n",
    "static const int function_of(const int a[], int b);\n",
    "struct aside;\n;\n",
    "#define ASIDE(x) static const int x[] = {1}\n",
    "#pragma GCC diagnostic push\n",
    "%: define OTHER 1\n",
];

/// One file that is being made.
struct Maker<'a> {
    dice: &'a mut Dice,
    text: String,
    /// Expressions that the file's function adds up.
    values: Vec<String>,
    free: Vec<&'static str>,
    /// Arrays that other data may refer to.
    arrays: Vec<&'static str>,
    found: BTreeSet<String>,
    /// Names that functions put into data, whichever object they mean there.
    stored: BTreeSet<&'static str>,
}

impl Maker<'_> {
    fn chance(&mut self, of: usize) -> bool {
        self.dice.roll(of) == 0
    }

    fn between(&mut self) -> &'static str {
        self.dice.one::<&str>(BETWEEN)
    }

    fn tokens(&mut self, tokens: &[String]) {
        for token in tokens {
            let between = self.between();
            self.text.push_str(between);
            self.text.push_str(token);
        }
    }

    fn shuffled(&mut self, mut words: Vec<String>) -> Vec<String> {
        for last in (1..words.len()).rev() {
            words.swap(last, self.dice.roll(last + 1));
        }
        words
    }

    /// `static`, perhaps `const`, and a type, in any order.
    fn specifiers(&mut self, constant: bool) -> Vec<String> {
        let mut words: Vec<String> =
            self.dice.one(TYPES).iter().map(|&word| word.to_owned()).collect();
        let spelled = if self.chance(6) { "LOCAL" } else { "static" };
        words.push(spelled.to_owned());
        if constant {
            let spelled = if self.chance(6) { "__const" } else { "const" };
            words.push(spelled.to_owned());
        }
        if self.chance(8) {
            words.push("__attribute__((aligned(8)))".to_owned());
        }
        self.shuffled(words)
    }

    fn numbers(&mut self) -> String {
        let mut text = String::from("{");
        for _ in 0..1 + self.dice.roll(5) {
            let number = self.dice.roll(100);
            let piece = match self.dice.roll(8) {
                0 => format!("'{}',", ["a", "\\'", "\\\"", "\\\\"][number % 4]),
                1 => format!("\n#if A\n{number},\n#else\n{},\n#endif\n", number + 1),
                2 => format!("(int)sizeof(\"static const {number}\"),"),
                _ => format!("{number},{}", self.between()),
            };
            text.push_str(&piece);
        }
        text + "}"
    }

    /// A declaration of one or two arrays.
    fn array(&mut self) {
        let wanted = 1 + self.dice.roll(2);
        let names = self.free.split_off(self.free.len().saturating_sub(wanted));
        if names.is_empty() {
            return;
        }
        let constant = self.dice.roll(4) > 0;
        let specifiers = self.specifiers(constant);
        self.tokens(&specifiers);
        for (number, name) in names.into_iter().enumerate() {
            self.text.push_str(if number > 0 { "," } else { "" });
            let (open, close) = if self.chance(8) { ("<:", ":>") } else { ("[", "]") };
            let declarator: &[&str] = if self.chance(5) {
                &["(", name, ")", open, close, "="]
            } else {
                &[name, open, close, "="]
            };
            let mut declarator: Vec<String> = declarator.iter().map(|&it| it.to_owned()).collect();
            declarator.push(self.numbers());
            self.tokens(&declarator);
            self.values.push(format!("{name}[at]"));
            self.arrays.push(name);
            if constant {
                self.found.insert(name.to_owned());
            } else {
                self.values.push(format!("++{name}[at]"));
            }
        }
        self.text.push_str(";\n");
    }

    /// A pointer to one of the arrays, which then is left alone.
    fn pointer(&mut self) {
        let Some(name) = self.free.pop() else { return };
        let target = if self.arrays.is_empty() { None } else { Some(*self.dice.one(&self.arrays)) };
        let constant = self.chance(2);
        let qualifier = if constant { "const" } else { "" };
        let tokens = ["static", "const", "void", "*", qualifier, name, "="].map(str::to_owned);
        self.tokens(&tokens);
        match target {
            Some(target) => {
                self.text.push_str(&format!(" {target};\n"));
                self.found.remove(target);
                self.values.push(format!("*(const char *){name}"));
            }
            None => self.text.push_str(" 0;\n"),
        }
        if constant {
            self.found.insert(name.to_owned());
        }
    }

    fn structure(&mut self) {
        let Some(name) = self.free.pop() else { return };
        let numbers = (self.dice.roll(100), self.dice.roll(100));
        let tokens = [
            "struct",
            "{",
            "int",
            "a",
            ";",
            "const char *b",
            ";",
            "}",
            "static",
            "const",
            name,
            "=",
        ];
        self.tokens(&tokens.map(str::to_owned));
        self.text
            .push_str(&format!(" {{.b = \"static const {}\", .a = {}}};\n", numbers.0, numbers.1));
        self.values.push(format!("{name}.a + {name}.b[13]"));
        self.found.insert(name.to_owned());
    }

    fn strings(&mut self) {
        let Some(name) = self.free.pop() else { return };
        let constant = self.chance(2);
        let qualifier = if constant { "const" } else { "" };
        let tokens =
            ["static", "char", "const", "*", qualifier, name, "[]", "="].map(str::to_owned);
        self.tokens(&tokens);
        self.text.push_str(" {\"http://\", \"/*\", \"*/\", \"\\\"\", \"it's\\\n so\"};\n");
        self.values.push(format!("{name}[at + 4][1]"));
        if constant {
            self.found.insert(name.to_owned());
        } else {
            self.values.push(format!("*({name}[at] = \"changed\")"));
        }
    }

    /// A function with tables of its own, under names that the file may use as well.
    fn function(&mut self, number: usize) {
        let name = *self.dice.one(NAMES);
        let numbers = self.numbers();
        let heads = [
            format!("static const int f{number}(int i) {{"),
            format!(
                "#if A\nstatic int f{number}(int i) {{\n#else\nstatic int f{number}(i) int i; {{\n#endif\n"
            ),
            format!("LOCAL inline const int f{number}(const int i)\n{{"),
        ];
        let head = self.dice.one(&heads).clone();
        self.text.push_str(&format!(
            "{head} static const int {name}[] = {numbers}; const struct {{ int {name}; }} s = {{.{name} = i}};\n\
             if (i) {{ goto end; }} {{ const int *{name}2 = (const int *){{{name}}}; if (*{name}2 == 5) {{ return *{name}2; }} }} end: return s.{name} + {name}[at]; }}\n"
        ));
        self.values.push(format!("f{number}(0) + f{number}(1)"));
        self.stored.insert(name);
    }

    fn file(mut self, number: usize) -> (String, BTreeSet<String>) {
        self.text.push_str(
            "typedef unsigned char byte; extern volatile int at;\n#define LOCAL static\n",
        );
        for item in 0..4 + self.dice.roll(6) {
            match self.dice.roll(9) {
                0..=3 => self.array(),
                4 => self.pointer(),
                5 => self.structure(),
                6 => self.strings(),
                7 => self.function(item),
                _ => {
                    let aside = *self.dice.one(ASIDES);
                    self.text.push('\n');
                    self.text.push_str(aside);
                }
            }
        }
        self.text.push_str(&format!("\nlong file{number}(void) {{ unsigned long sum = 0;\n"));
        for value in &self.values {
            self.text.push_str(&format!("sum = sum * 31 + (unsigned long)({value});\n"));
        }
        self.text.push_str("return (long)sum; }\n");
        self.found.retain(|name| !self.stored.contains(name.as_str()));
        (self.text, self.found)
    }
}

fn program(dice: &mut Dice) -> (Files, BTreeSet<(String, String)>) {
    let (mut files, mut expected) = (Files::new(), BTreeSet::new());
    let mut main = "#include <stdio.h>\nvolatile int at = 0;\n".to_owned();
    let mut calls = String::new();
    for number in 0..2 + dice.roll(2) {
        let mut free = NAMES.to_vec();
        for last in (1..free.len()).rev() {
            free.swap(last, dice.roll(last + 1));
        }
        let (text, values, arrays) = (String::new(), Vec::new(), Vec::new());
        let maker = Maker {
            dice,
            text,
            values,
            free,
            arrays,
            found: BTreeSet::new(),
            stored: BTreeSet::new(),
        };
        let (text, found) = maker.file(number);
        let name = format!("file{number}.c");
        expected.extend(found.into_iter().map(|object| (name.clone(), object)));
        files.push((name, text.into_bytes()));
        main.push_str(&format!("long file{number}(void);\n"));
        calls.push_str(&format!("printf(\"%ld\\n\", file{number}());\n"));
    }
    main.push_str(&format!("int main(void) {{ {calls} return 0; }}\n"));
    files.push(("main.c".into(), main.into_bytes()));
    (files, expected)
}

#[test]
fn programs_made_up_at_random_do_what_they_did() {
    if !require("gcc") {
        return;
    }
    let given = std::env::var("MPB_REWRITE_PROGRAMS").ok();
    let programs: usize = given.map_or(24, |given| given.parse().unwrap());
    let mut dice = Dice(0x5eed_5eed_5eed_5eed);
    let mut all = 0;
    for number in 0..programs {
        let (files, expected) = program(&mut dice);
        let (before, after) = (planted(&files), planted(&files));
        let shown = || {
            let text = files
                .iter()
                .map(|(name, text)| format!("== {name}\n{}", String::from_utf8_lossy(text)));
            format!("program {number}\n{}", text.collect::<String>())
        };
        let found: BTreeSet<_> = rewrite(after.path(), "natmod").into_keys().collect();
        assert_eq!(found, expected, "{}", shown());
        all += found.len();
        let level = *dice.one(&["-O0", "-O1", "-Os"]);
        let flags = ["-w", "-std=gnu99", "-fpic", level];
        let compiled = compile("gcc", &flags, before.path());
        assert_eq!(compiled, Ok(()), "{}", shown());
        assert_eq!(compile("gcc", &flags, after.path()), Ok(()), "{}", shown());
        assert_eq!(run(&[], after.path()), run(&[], before.path()), "{}", shown());
    }
    assert!(all > 2 * programs);
}
