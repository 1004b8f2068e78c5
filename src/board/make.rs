//! What a port's Makefile says about a board, without running make.
//!
//! The part of GNU make's language that ports and boards are described in: assignments,
//! conditionals, includes, and the few functions that do not look at the machine
//! ([GNU make manual](https://www.gnu.org/software/make/manual/make.html)). What depends on
//! anything else (`$(shell …)`, the compiler) is unknown and stays so in whatever uses it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::branch::{Branches, Truth};
use super::make_syntax::{assignment, enclosed, sides, split_word, top_level, without_comment};
use crate::error::{Error, Result};

/// Stands in a value for what cannot be known without running make.
const UNKNOWN: char = '\0';

/// How deep variables may nest, and how many files may be included, before it is taken for a loop.
const LIMIT: usize = 64;

/// A Makefile as it was read.
#[derive(Debug)]
pub(super) struct Makefile {
    /// The directory that make would run in. Includes are followed inside it only.
    directory: PathBuf,
    variables: HashMap<String, Variable>,
    branches: Branches,
    comparisons: Vec<Comparison>,
    /// What stands after `include`, as it is written.
    included: Vec<String>,
    /// Lines that begin with a tab belong to a rule.
    in_rule: bool,
    /// How many `define` are open.
    defines: usize,
    /// How many files were included so far.
    includes: usize,
}

#[derive(Debug, Clone)]
struct Variable {
    text: String,
    /// Expanded where it was assigned (`:=`), not where it is used.
    simple: bool,
    /// Given on the command line: the Makefile does not change it.
    fixed: bool,
}

/// `ifeq ($(VARIABLE),value)`, whether it counted or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comparison {
    /// The file name it stands in, without directories.
    pub(super) file: String,
    pub(super) variable: String,
    pub(super) value: String,
}

impl Makefile {
    /// Reads `directory/Makefile` as `make NAME=VALUE…` would, with what it includes.
    pub(super) fn read(directory: &Path, arguments: &[(&str, &str)]) -> Result<Makefile> {
        let variable = |text: &str, fixed| Variable { text: text.to_owned(), simple: true, fixed };
        let mut variables: HashMap<String, Variable> = arguments
            .iter()
            .map(|(name, value)| ((*name).to_owned(), variable(value, true)))
            .collect();
        // py/mkenv.mk sets it; a port's directory is always two below the top.
        variables.insert("TOP".to_owned(), variable("../..", false));
        let mut makefile = Makefile {
            directory: directory.to_path_buf(),
            variables,
            branches: Branches::default(),
            comparisons: Vec::new(),
            included: Vec::new(),
            in_rule: false,
            defines: 0,
            includes: 0,
        };
        let path = directory.join("Makefile");
        let text = fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
        makefile.lines("Makefile", &String::from_utf8_lossy(&text));
        Ok(makefile)
    }

    /// The value of a variable, if it is set and can be known.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.variables.get(name)?;
        let value = self.variable(name, 0);
        (!value.contains(UNKNOWN)).then(|| value.trim().to_owned())
    }

    /// The words of a variable that can be known.
    pub(super) fn words(&self, name: &str) -> Vec<String> {
        let value = self.variable(name, 0);
        value.split_whitespace().filter(|word| !word.contains(UNKNOWN)).map(str::to_owned).collect()
    }

    /// The string that `-DNAME='"string"'` in a variable defines.
    pub(super) fn string_definition(&self, variable: &str, name: &str) -> Option<String> {
        let value = self.variable(variable, 0);
        let start = value.find(&format!("-D{name}="))?;
        let rest = value.get(start..)?.split_once('=')?.1;
        let rest = rest.trim_start_matches(['\'', '\\']).strip_prefix('"')?;
        let string = rest.split(['"', '\\']).next()?;
        (!string.contains(UNKNOWN) && !string.is_empty()).then(|| string.to_owned())
    }

    /// The literal values that variables are compared with, in the order of the files.
    pub(super) fn comparisons(&self) -> &[Comparison] {
        &self.comparisons
    }

    /// Whether a line includes just this file, its variables not replaced.
    pub(super) fn includes_literally(&self, file: &str) -> bool {
        self.included.iter().any(|included| included == file)
    }

    fn lines(&mut self, file: &str, text: &str) {
        let mut logical = String::new();
        for line in text.lines() {
            let joined = !logical.is_empty();
            let line = if joined { line.trim_start() } else { line };
            let backslashes = line.len() - line.trim_end_matches('\\').len();
            if backslashes % 2 == 1 {
                logical.push_str(line.get(..line.len() - 1).unwrap_or_default().trim_end());
                logical.push(' ');
                continue;
            }
            logical.push_str(line);
            self.line(file, &std::mem::take(&mut logical));
        }
        self.line(file, &logical);
    }

    fn line(&mut self, file: &str, line: &str) {
        if self.in_rule && line.starts_with('\t') {
            return;
        }
        let line = without_comment(line).trim();
        let (word, rest) = split_word(line);
        if self.defines > 0 {
            match word {
                "define" => self.defines += 1,
                "endef" => self.defines -= 1,
                _ => {}
            }
            return;
        }
        match word {
            "" => {}
            "ifeq" | "ifneq" | "ifdef" | "ifndef" => {
                let condition = self.condition(file, word, rest);
                self.branches.open(condition);
            }
            "else" => {
                let (word, rest) = split_word(rest);
                let condition =
                    if word.is_empty() { Truth::Yes } else { self.condition(file, word, rest) };
                self.branches.otherwise(condition);
            }
            "endif" => self.branches.close(),
            "define" => {
                self.defines += 1;
                let name = rest.split(['=', ':', '?', '+']).next().unwrap_or_default().trim();
                self.assign(name, "=", &UNKNOWN.to_string());
            }
            "include" | "-include" | "sinclude" => self.include(rest),
            _ => self.assignment_or_rule(line),
        }
    }

    fn include(&mut self, files: &str) {
        self.in_rule = false;
        self.included.push(files.to_owned());
        if self.branches.state() == Truth::No {
            return;
        }
        for name in self.expand(files, 0).split_whitespace() {
            // What lies outside the port is about all boards of all ports.
            if name.contains(UNKNOWN) || name.starts_with('/') || name.starts_with("..") {
                continue;
            }
            self.includes += 1;
            if self.includes > LIMIT {
                return;
            }
            // A file that is not there is one that is made during the build, or optional.
            if let Ok(text) = fs::read(self.directory.join(name)) {
                let file = name.rsplit('/').next().unwrap_or(name);
                self.lines(file, &String::from_utf8_lossy(&text));
            }
        }
    }

    fn condition(&mut self, file: &str, word: &str, rest: &str) -> Truth {
        match word {
            "ifdef" => self.is_set(rest),
            "ifndef" => self.is_set(rest).not(),
            "ifeq" | "ifneq" => {
                let Some((left, right)) = sides(rest) else { return Truth::Maybe };
                if word == "ifeq" {
                    self.note_comparison(file, left, right);
                }
                let (left, right) = (self.expand(left, 0), self.expand(right, 0));
                let equal = if left.contains(UNKNOWN) || right.contains(UNKNOWN) {
                    Truth::Maybe
                } else {
                    Truth::from(left.trim() == right.trim())
                };
                if word == "ifeq" { equal } else { equal.not() }
            }
            _ => Truth::Maybe,
        }
    }

    fn is_set(&self, name: &str) -> Truth {
        let name = self.expand(name, 0);
        match self.variables.get(name.trim()) {
            _ if name.contains(UNKNOWN) => Truth::Maybe,
            None => Truth::No,
            Some(variable) if variable.text.starts_with(UNKNOWN) => Truth::Maybe,
            Some(variable) => Truth::from(!variable.text.is_empty()),
        }
    }

    fn note_comparison(&mut self, file: &str, left: &str, right: &str) {
        for (variable, value) in [(left.trim(), right.trim()), (right.trim(), left.trim())] {
            let name = variable
                .strip_prefix("$(")
                .and_then(|name| name.strip_suffix(')'))
                .filter(|name| !name.contains(['$', '(', ' ', ',', ':']));
            if let Some(name) = name.filter(|_| !value.is_empty() && !value.contains('$')) {
                self.comparisons.push(Comparison {
                    file: file.to_owned(),
                    variable: name.to_owned(),
                    value: value.to_owned(),
                });
            }
        }
    }

    fn assignment_or_rule(&mut self, line: &str) {
        let mut line = line;
        loop {
            match split_word(line) {
                ("export" | "override" | "private", rest) if rest.contains('=') => line = rest,
                _ => break,
            }
        }
        let Some((name, operator, value)) = assignment(line) else {
            self.in_rule = true;
            return;
        };
        self.in_rule = false;
        let name = self.expand(name, 0);
        if !name.contains(UNKNOWN) {
            self.assign(name.trim(), operator, value);
        }
    }

    fn assign(&mut self, name: &str, operator: &str, value: &str) {
        let state = self.branches.state();
        let old = self.variables.get(name);
        if state == Truth::No || old.is_some_and(|variable| variable.fixed) {
            return;
        }
        if operator == "?=" && old.is_some() {
            return;
        }
        let value = if state == Truth::Maybe || operator == "!=" {
            UNKNOWN.to_string()
        } else {
            value.to_owned()
        };
        let simple = operator.ends_with(":=");
        let variable = match (operator, old) {
            ("+=", Some(old)) => {
                let added = if old.simple { self.expand(&value, 0) } else { value };
                Variable { text: format!("{} {added}", old.text), ..*old }
            }
            _ => {
                let text = if simple { self.expand(&value, 0) } else { value };
                Variable { text, simple, fixed: false }
            }
        };
        self.variables.insert(name.to_owned(), variable);
    }

    fn variable(&self, name: &str, depth: usize) -> String {
        match self.variables.get(name) {
            None => String::new(),
            Some(variable) if variable.simple => variable.text.clone(),
            Some(variable) => self.expand(&variable.text, depth + 1),
        }
    }

    fn expand(&self, text: &str, depth: usize) -> String {
        if depth > LIMIT {
            return UNKNOWN.to_string();
        }
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            result.push_str(before);
            let close = match after.chars().next() {
                Some('(') => ')',
                Some('{') => '}',
                Some('$') => {
                    result.push('$');
                    rest = after.get(1..).unwrap_or_default();
                    continue;
                }
                // $@ and the like exist in recipes only.
                other => {
                    result.push(UNKNOWN);
                    rest = after.get(other.map_or(0, char::len_utf8)..).unwrap_or_default();
                    continue;
                }
            };
            let Some((inner, after)) = enclosed(after, close) else {
                result.push(UNKNOWN);
                return result;
            };
            result.push_str(&self.reference(inner, depth));
            rest = after;
        }
        result.push_str(rest);
        result
    }

    /// What stands for `$(inner)`.
    fn reference(&self, inner: &str, depth: usize) -> String {
        let (word, rest) = split_word(inner);
        if !rest.is_empty() {
            return self.function(word, rest, depth);
        }
        let name = self.expand(inner, depth + 1);
        if name.contains([UNKNOWN, ':']) {
            return UNKNOWN.to_string();
        }
        self.variable(&name, depth)
    }

    fn function(&self, name: &str, arguments: &str, depth: usize) -> String {
        let arguments: Vec<String> = top_level(arguments, ',')
            .into_iter()
            .map(|argument| self.expand(argument, depth + 1))
            .collect();
        if arguments.iter().any(|argument| argument.contains(UNKNOWN)) {
            return UNKNOWN.to_string();
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let each = |words: &str, change: &dyn Fn(&str) -> String| {
            words.split_whitespace().map(change).collect::<Vec<_>>().join(" ")
        };
        match (name, arguments.as_slice()) {
            ("wildcard", [names]) if !names.contains(['*', '?', '[']) => names
                .split_whitespace()
                .filter(|name| self.directory.join(name).exists())
                .collect::<Vec<_>>()
                .join(" "),
            ("notdir", [names]) => {
                each(names, &|name| name.rsplit('/').next().unwrap_or(name).to_owned())
            }
            ("strip", [text]) => each(text, &str::to_owned),
            ("addprefix", [prefix, names]) => each(names, &|name| format!("{prefix}{name}")),
            ("subst", [from, to, text]) if !from.is_empty() => text.replace(from, to),
            ("findstring", [find, text]) => {
                if text.contains(find) {
                    (*find).to_owned()
                } else {
                    String::new()
                }
            }
            ("error" | "warning" | "info", _) => String::new(),
            _ => UNKNOWN.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    fn read(files: &[(&str, &str)], arguments: &[(&str, &str)]) -> Makefile {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        Makefile::read(directory.path(), arguments).unwrap()
    }

    /// GNU make itself is the oracle: the values it prints for the same text.
    #[test]
    fn values_are_those_of_make() {
        let text = "\
A = one # comment\n\
B := $(A) two\n\
A = changed\n\
C ?= kept\nC ?= not\n\
D += first\nD += $(A)\n\
ifeq ($(BOARD),X)\nE = x\nelse ifneq (,$(findstring Y,$(BOARD)))\nE = y\nelse\nE = z\nendif\n\
ifdef NOTHING\nF = set\nelse\nF = unset\nendif\n\
BOARD = ignored\n\
G = a \\\n    b \\\n  c\n\
override export H = $(subst a,b,banana)\n\
I = $(notdir boards/X/y.ld) $(addprefix -T,p q) $(wildcard included.mk) $(wildcard missing)\n\
\tJ = $(BOARD)/$${x}\n\
define K\nA = not this\nendef\n\
ifeq \"$(BOARD)\" \"X\"\nL = quoted\nendif\n\
include included.mk\n\
show:\n\t@$(foreach v,A B C D E F G H I J L M BOARD,echo '$(v)=[$(strip $($(v)))]';)\n";
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("Makefile"), text).unwrap();
        fs::write(directory.path().join("included.mk"), "M = $(BOARD) from include\n").unwrap();
        let mut make = std::process::Command::new("make");
        make.args(["--no-print-directory", "-C"]).arg(directory.path()).args(["show", "BOARD=X"]);
        let Some(expected) = testing::output(&mut make) else { return };
        let makefile = Makefile::read(directory.path(), &[("BOARD", "X")]).unwrap();
        let mut compared = 0;
        for line in expected.lines() {
            let (name, value) = line.split_once('=').unwrap();
            let ours = makefile.words(name).join(" ");
            assert_eq!(format!("[{ours}]"), value, "{name}");
            compared += 1;
        }
        assert_eq!(compared, 13);
    }

    #[test]
    fn what_depends_on_the_machine_is_unknown() {
        let makefile = read(
            &[(
                "Makefile",
                "V = $(shell cc -dumpversion)\nifeq ($(V),12)\nARCH = a\nelse\nARCH = b\nendif\n\
                 LD = boards/x.ld $(V).ld\nKNOWN = 1\n",
            )],
            &[],
        );
        assert_eq!(makefile.value("V"), None);
        assert_eq!(makefile.value("ARCH"), None);
        assert_eq!(makefile.value("UNSET"), None);
        assert_eq!(makefile.value("KNOWN").as_deref(), Some("1"));
        assert_eq!(makefile.words("LD"), ["boards/x.ld"]);
    }

    #[test]
    fn comparisons_are_found_whether_they_count_or_not() {
        let makefile = read(
            &[(
                "Makefile",
                "ifeq ($(BOARD),a)\nX=1\nendif\nifeq (b,$(BOARD))\nendif\nifneq ($(BOARD),no)\nendif\n\
                 ifeq ($(BOARD),)\nendif\n",
            )],
            &[("BOARD", "a")],
        );
        let values: Vec<&str> =
            makefile.comparisons().iter().map(|found| found.value.as_str()).collect();
        assert_eq!(values, ["a", "b"]);
        assert!(makefile.comparisons().iter().all(|found| found.variable == "BOARD"));
    }

    #[test]
    fn definitions_for_the_compiler_are_read() {
        let makefile = read(
            &[(
                "Makefile",
                "ARCH = $(shell x)\nCFLAGS += -Os $(ARCH)\nCFLAGS += -DNAME='\"Cortex-M3\"'\n\
                 CFLAGS += -DOTHER='\"$(ARCH)\"' -DPLAIN=\\\"p\\\"\n",
            )],
            &[],
        );
        assert_eq!(makefile.string_definition("CFLAGS", "NAME").as_deref(), Some("Cortex-M3"));
        assert_eq!(makefile.string_definition("CFLAGS", "OTHER"), None);
        assert_eq!(makefile.string_definition("CFLAGS", "PLAIN").as_deref(), Some("p"));
        assert_eq!(makefile.string_definition("CFLAGS", "MISSING"), None);
    }

    #[test]
    fn loops_and_unfinished_text_end() {
        let makefile = read(
            &[(
                "Makefile",
                "A = $(B)\nB = $(A)\nC = $(unfinished\ninclude Makefile\nifeq (a\nD = 1\nendif\nendif\nE = 2\\",
            )],
            &[],
        );
        assert_eq!(makefile.value("A"), None);
        assert_eq!(makefile.value("C"), None);
        assert_eq!(makefile.value("D"), None);
        assert_eq!(makefile.value("E").as_deref(), Some("2"));
    }
}
