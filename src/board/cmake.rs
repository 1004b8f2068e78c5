//! What a board's CMake files set, without running CMake.
//!
//! The part of CMake's language that boards are described in: `set`, `unset`, `list`, `string`,
//! `if`, `include` ([cmake-language(7)](https://cmake.org/cmake/help/latest/manual/cmake-language.7.html)).
//! What depends on anything else (the environment, ESP-IDF, a loop) is unknown.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::branch::{Branches, Truth};
use super::cmake_syntax::{self, Argument, Command};

/// Stands in a value for what cannot be known without running CMake.
const UNKNOWN: char = '\0';

/// How many files may be included before it is taken for a loop.
const LIMIT: usize = 64;

/// The variables of a CMake run.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// The directory that relative paths start from (`CMAKE_CURRENT_SOURCE_DIR`). Values hold
    /// paths relative to it where CMake would hold absolute ones.
    directory: PathBuf,
    variables: HashMap<String, String>,
    branches: Branches,
    comparisons: Vec<(String, String)>,
    includes: usize,
    /// Something was included that is not there: any variable may have been set by it.
    incomplete: bool,
}

impl Script {
    /// A run in `directory` in which some variables are set.
    pub(super) fn new(directory: &Path, variables: &[(&str, &str)]) -> Script {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Script {
            directory: directory.to_path_buf(),
            variables: variables.collect(),
            ..Script::default()
        }
    }

    /// The value of a variable, if it is set and can be known.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name).filter(|value| !value.contains(UNKNOWN))?;
        (!self.incomplete).then_some(value)
    }

    /// The elements of a list, if all of them can be known.
    pub(super) fn list(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.value(name)?.split(';').filter(|element| !element.is_empty()).collect())
    }

    /// `VARIABLE STREQUAL "value"`, whether it counted or not, in the order of the files.
    pub(super) fn comparisons(&self) -> &[(String, String)] {
        &self.comparisons
    }

    /// Carries a file out, as `include()` does.
    pub(super) fn include(&mut self, path: &Path) {
        self.includes += 1;
        let text = (self.includes <= LIMIT).then(|| fs::read(path));
        let Some(Ok(text)) = text else {
            self.incomplete = true;
            return;
        };
        let directory = path.parent().unwrap_or(Path::new(""));
        let directory = directory.strip_prefix(&self.directory).unwrap_or(directory);
        let directory = Path::new(".").join(directory).to_string_lossy().into_owned();
        let outer = self.variables.insert("CMAKE_CURRENT_LIST_DIR".to_owned(), directory);
        for command in cmake_syntax::parse(&String::from_utf8_lossy(&text)) {
            self.command(&command);
        }
        if let Some(outer) = outer {
            self.variables.insert("CMAKE_CURRENT_LIST_DIR".to_owned(), outer);
        }
    }

    fn command(&mut self, command: &Command) {
        let name = command.name.as_str();
        match name {
            "if" => {
                let condition = self.condition(&command.arguments);
                self.branches.open(condition);
            }
            "elseif" => {
                let condition = self.condition(&command.arguments);
                self.branches.otherwise(condition);
            }
            "else" => self.branches.otherwise(Truth::Yes),
            // Bodies that run later, or more than once: what they set is not known.
            "foreach" | "while" | "function" | "macro" => self.branches.open(Truth::Maybe),
            "endif" | "endforeach" | "endwhile" | "endfunction" | "endmacro" => {
                self.branches.close();
            }
            _ if self.branches.state() == Truth::No => {}
            _ => {
                let arguments = self.expand_all(&command.arguments);
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                self.run(name, &arguments);
            }
        }
    }

    fn run(&mut self, name: &str, arguments: &[&str]) {
        match (name, arguments) {
            ("set", [variable, values @ ..]) => self.set(variable, values),
            ("unset", [variable, ..]) => self.assign(variable, None),
            ("list", ["APPEND", variable, values @ ..]) => {
                let old = self.variables.get(*variable).cloned().unwrap_or_default();
                let all: Vec<&str> = Some(old.as_str())
                    .filter(|old| !old.is_empty())
                    .into_iter()
                    .chain(values.iter().copied())
                    .collect();
                self.assign(variable, Some(all.join(";")));
            }
            ("list", ["LENGTH" | "GET" | "JOIN" | "SUBLIST" | "FIND", _, .., result]) => {
                self.assign(result, Some(UNKNOWN.to_string()));
            }
            ("list", [_, variable, ..]) => self.assign(variable, Some(UNKNOWN.to_string())),
            ("string", ["TOLOWER", text, result]) => {
                self.assign(result, Some(text.to_lowercase()));
            }
            ("string", ["TOUPPER", text, result]) => {
                self.assign(result, Some(text.to_uppercase()));
            }
            ("string", [_, .., result]) => self.assign(result, Some(UNKNOWN.to_string())),
            ("get_filename_component", [result, path, "ABSOLUTE" | "REALPATH", ..]) => {
                self.assign(result, Some((*path).to_owned()));
            }
            ("get_filename_component" | "option", [result, ..]) => {
                self.assign(result, Some(UNKNOWN.to_string()));
            }
            ("include", [file, options @ ..]) => self.include_argument(file, options),
            // Everything else acts on targets, or tells the user something.
            _ => {}
        }
    }

    fn include_argument(&mut self, file: &str, options: &[&str]) {
        let path = self.directory.join(file);
        if file.contains(UNKNOWN) {
            self.incomplete = true;
        } else if !options.contains(&"OPTIONAL") || path.exists() {
            self.include(&path);
        }
    }

    fn set(&mut self, variable: &str, values: &[&str]) {
        let cache = values.iter().position(|value| *value == "CACHE");
        if cache.is_some() && self.variables.contains_key(variable) {
            return;
        }
        let end = cache.unwrap_or(values.len());
        let values: Vec<&str> =
            values.iter().take(end).copied().filter(|value| *value != "PARENT_SCOPE").collect();
        let value = (!values.is_empty()).then(|| values.join(";"));
        self.assign(variable, value);
    }

    fn assign(&mut self, variable: &str, value: Option<String>) {
        if self.branches.state() == Truth::Maybe {
            self.variables.insert(variable.to_owned(), UNKNOWN.to_string());
        } else if let Some(value) = value {
            self.variables.insert(variable.to_owned(), value);
        } else {
            self.variables.remove(variable);
        }
    }

    fn expand_all(&self, arguments: &[Argument]) -> Vec<String> {
        let mut expanded = Vec::new();
        for argument in arguments {
            let text = self.expand(&argument.text);
            if argument.quoted {
                expanded.push(text);
            } else {
                let elements = text.split(';').filter(|element| !element.is_empty());
                expanded.extend(elements.map(str::to_owned));
            }
        }
        expanded
    }

    fn expand(&self, text: &str) -> String {
        let mut result = text.to_owned();
        // The innermost reference first; a value is not looked into again.
        let mut searched = result.len();
        while let Some(start) = result.get(..searched).and_then(|text| text.rfind("${")) {
            let Some(length) = result.get(start..).and_then(|text| text.find('}')) else {
                return UNKNOWN.to_string();
            };
            let name = result.get(start + 2..start + length).unwrap_or_default();
            let value = self.variables.get(name).cloned().unwrap_or_default();
            result.replace_range(start..=start + length, &value);
            searched = start;
        }
        if result.contains("$ENV{") || result.contains("$<") {
            return UNKNOWN.to_string();
        }
        result.replace(cmake_syntax::DOLLAR, "$")
    }

    fn condition(&mut self, arguments: &[Argument]) -> Truth {
        for window in arguments.windows(3) {
            let [left, operator, right] = window else { continue };
            if operator.text == "STREQUAL" {
                let name = left.text.trim_start_matches("${").trim_end_matches('}');
                self.comparisons.push((name.to_owned(), right.text.clone()));
            }
        }
        let mut rest = arguments;
        let result = self.any_of(&mut rest);
        if rest.is_empty() { result } else { Truth::Maybe }
    }

    fn any_of(&self, rest: &mut &[Argument]) -> Truth {
        let mut result = self.all_of(rest);
        while take(rest, "OR") {
            result = result.or(self.all_of(rest));
        }
        result
    }

    fn all_of(&self, rest: &mut &[Argument]) -> Truth {
        let mut result = self.term(rest);
        while take(rest, "AND") {
            result = result.and(self.term(rest));
        }
        result
    }

    fn term(&self, rest: &mut &[Argument]) -> Truth {
        if take(rest, "NOT") {
            return self.term(rest).not();
        }
        if take(rest, "(") {
            let inner = self.any_of(rest);
            return if take(rest, ")") { inner } else { Truth::Maybe };
        }
        match *rest {
            [test, name, after @ ..] if !test.quoted && test.text == "DEFINED" => {
                *rest = after;
                Truth::from(self.variables.contains_key(&name.text))
            }
            [test, path, after @ ..] if !test.quoted && test.text == "EXISTS" => {
                *rest = after;
                let path = self.expand(&path.text);
                if path.contains(UNKNOWN) {
                    Truth::Maybe
                } else {
                    Truth::from(self.directory.join(path).exists())
                }
            }
            [left, operator, right, after @ ..]
                if !operator.quoted && operator.text == "STREQUAL" =>
            {
                *rest = after;
                let (left, right) = (self.operand(left), self.operand(right));
                if left.contains(UNKNOWN) || right.contains(UNKNOWN) {
                    Truth::Maybe
                } else {
                    Truth::from(left == right)
                }
            }
            [value, after @ ..] => {
                *rest = after;
                self.truth(value)
            }
            [] => Truth::Maybe,
        }
    }

    /// A side of a comparison: an unquoted name stands for the variable if there is one.
    fn operand(&self, argument: &Argument) -> String {
        let text = self.expand(&argument.text);
        match self.variables.get(&text) {
            Some(value) if !argument.quoted => value.clone(),
            _ => text,
        }
    }

    /// A value on its own: a constant, or a variable that holds something else than a false one.
    fn truth(&self, argument: &Argument) -> Truth {
        let text = self.expand(&argument.text);
        if text.contains(UNKNOWN) {
            return Truth::Maybe;
        }
        if let Some(constant) = constant(&text) {
            return Truth::from(constant);
        }
        if argument.quoted {
            return Truth::No;
        }
        match self.variables.get(&text) {
            Some(value) if value.contains(UNKNOWN) => Truth::Maybe,
            Some(value) => Truth::from(constant(value) != Some(false)),
            None => Truth::No,
        }
    }
}

/// Takes an unquoted keyword off the front.
fn take(rest: &mut &[Argument], keyword: &str) -> bool {
    match *rest {
        [first, after @ ..] if !first.quoted && first.text == keyword => {
            *rest = after;
            true
        }
        _ => false,
    }
}

fn constant(text: &str) -> Option<bool> {
    let text = text.to_ascii_uppercase();
    match text.as_str() {
        "ON" | "YES" | "TRUE" | "Y" => Some(true),
        "" | "OFF" | "NO" | "FALSE" | "N" | "IGNORE" | "NOTFOUND" => Some(false),
        _ if text.ends_with("-NOTFOUND") => Some(false),
        _ => text.parse::<f64>().ok().map(|number| number != 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    fn run(text: &str, variables: &[(&str, &str)]) -> Script {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("board.cmake");
        fs::write(&path, text).unwrap();
        fs::write(directory.path().join("common.cmake"), "set(COMMON yes)\n").unwrap();
        let mut script = Script::new(directory.path(), variables);
        script.include(&path);
        script
    }

    /// CMake itself is the oracle: the values it prints after the same text.
    #[test]
    fn values_are_those_of_cmake() {
        let text = r##"
set(A one "two three" four) # comment
set(B ${A} "${A}")
list(APPEND A [[five]] NAME="a b")
set(C "x;y" ${MISSING} "${MISSING}")
#[[ set(C changed) ]]
if(V STREQUAL OTA OR "${V}" STREQUAL "V" AND NOT DEFINED V)
    set(D 1)
elseif((NOT OFF AND V) OR 0)
    set(D 2)
else()
    set(D 3)
endif()
if(NOT D)
    set(E never)
elseif(EXISTS ${CMAKE_CURRENT_LIST_DIR}/common.cmake)
    include(common.cmake)
endif()
SET(INNER A)
set(F "${${INNER}} \"quoted\" \${A} a\\b" un\ quoted\${A})
set(G cached CACHE STRING "a text")
set(A_B${D} named)
set(H 1)
unset(H)
if(H)
elseif(DIR_NOTFOUND)
    set(H 2)
else()
    set(H "")
endif()
string(TOUPPER ${V} I)
if(I STREQUAL "D2WD" AND "I" STREQUAL "I")
    set(J TRUE)
endif()
"##;
        let names = ["A", "B", "C", "D", "E", "COMMON", "F", "G", "A_B2", "H", "I", "J"];
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("board.cmake");
        fs::write(&path, text).unwrap();
        fs::write(directory.path().join("common.cmake"), "set(COMMON yes)\n").unwrap();
        let show = format!(
            "include(board.cmake)\nforeach(name {})\n message(STATUS \"${{name}}=[${{${{name}}}}]\")\nendforeach()\n",
            names.join(" ")
        );
        fs::write(directory.path().join("show.cmake"), show).unwrap();
        let mut cmake = std::process::Command::new("cmake");
        cmake.current_dir(directory.path()).args(["-DV=D2WD", "-P", "show.cmake"]);
        let Some(expected) = testing::output(&mut cmake) else { return };
        let mut script = Script::new(directory.path(), &[("V", "D2WD")]);
        script.include(&path);
        let ours: Vec<String> = names
            .iter()
            .map(|name| format!("-- {name}=[{}]", script.value(name).unwrap_or_default()))
            .collect();
        assert_eq!(ours, expected.lines().collect::<Vec<_>>());
    }

    #[test]
    fn lists_grow_as_boards_and_variants_write_them() {
        let script = run(
            "set(SDKCONFIG_DEFAULTS\n  boards/sdkconfig.base # first\n  boards/sdkconfig.ble\n)\n\
             set(SDKCONFIG_DEFAULTS ${SDKCONFIG_DEFAULTS} ${DIR}/sdkconfig.board)\n\
             list(APPEND SDKCONFIG_DEFAULTS boards/last)\nlist(APPEND NEW a b)\nset(GONE 1)\nset(GONE)\n",
            &[("DIR", "boards/X Y")],
        );
        assert_eq!(
            script.list("SDKCONFIG_DEFAULTS").unwrap(),
            [
                "boards/sdkconfig.base",
                "boards/sdkconfig.ble",
                "boards/X Y/sdkconfig.board",
                "boards/last"
            ]
        );
        assert_eq!(script.value("NEW"), Some("a;b"));
        assert_eq!(script.value("GONE"), None);
    }

    #[test]
    fn conditions_choose_as_cmake_does() {
        let text = "\
if(V STREQUAL \"OTA\")\n set(A ota)\nelseif(\"${V}\" STREQUAL \"D2WD\")\n set(A d2wd)\nelse()\n set(A none)\nendif()\n\
if(NOT DEFINED B AND (NOT C OR OFF))\n set(B 1)\nendif()\n\
if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/common.cmake)\n include(common.cmake)\nendif()\n\
include(missing.cmake OPTIONAL)\nstring(TOLOWER ${V} LOWER)\n";
        let script = run(text, &[("V", "D2WD")]);
        assert_eq!(script.value("A"), Some("d2wd"));
        assert_eq!(script.value("B"), Some("1"));
        assert_eq!(script.value("COMMON"), Some("yes"));
        assert_eq!(script.value("LOWER"), Some("d2wd"));
        let compared: Vec<&str> =
            script.comparisons().iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(compared, ["OTA", "D2WD"]);
        assert!(script.comparisons().iter().all(|(name, _)| name == "V"));
    }

    #[test]
    fn what_cannot_be_known_is_not_claimed() {
        let script = run(
            "set(A known)\nif(IDF_VERSION_MAJOR LESS 5)\n set(A old)\nendif()\n\
             set(B $ENV{HOME})\nset(C c)\nforeach(x 1 2)\n set(C ${x})\nendforeach()\nset(D d)\n",
            &[],
        );
        assert_eq!((script.value("A"), script.value("B"), script.value("C")), (None, None, None));
        assert_eq!(script.value("D"), Some("d"));
        assert_eq!(run("include($ENV{IDF_PATH}/x.cmake)\nset(D d)\n", &[]).value("D"), None);
        assert_eq!(run("include(missing.cmake)\nset(D d)\n", &[]).value("D"), None);
        assert_eq!(run("include(board.cmake)\nset(D d)\n", &[]).value("D"), None);
    }
}
