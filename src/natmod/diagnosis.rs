//! Why the make of a native module failed, and what mends it: what the linker refuses, this program's or
//! MicroPython's (`tools/mpy_ld.py`), is explained in the terms of the user's sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, ObjectSymbol};

use super::tree::Tree;
use super::{Arch, Linker, toolchain};
use crate::doctor;
use crate::error::Error;
use crate::upstream::copy::submodules;
use crate::upstream::make::Make;
use crate::upstream::submodule;

/// The addresses of the ESP8266's ROM functions, in a MicroPython tree.
const ESP8266_ROM: &str = "ports/esp8266/boards/eagle.rom.addr.v6.ld";

/// How many symbols are named in one message.
const SHOWN: usize = 8;

/// Where a make failed.
pub(super) struct Scene<'a> {
    pub make: &'a Make,
    pub log: &'a Path,
    pub tree: &'a Tree,
    pub arch: Arch,
    pub linker: &'a Linker,
}

/// What `natmod-link` said in a log: its message without `error: `, and the hints that it gave.
struct Said<'a> {
    message: String,
    hints: Vec<&'a str>,
}

impl Scene<'_> {
    /// The error with hints that fit it.
    pub(super) fn explain(&self, error: Error) -> Error {
        let log = fs::read(self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        match self.linker {
            Linker::Own(_) => match said(&log) {
                Some(said) => self.explain_own(&said),
                None => self.hint(error, &log),
            },
            Linker::Upstream => self.explain_upstream(error, &log),
        }
    }

    fn explain_own(&self, said: &Said<'_>) -> Error {
        let message = said.message.as_str();
        let undefined = undefined_in(message);
        if !undefined.is_empty() {
            return self.undefined(message.to_owned(), undefined, &said.hints);
        }
        let explained = if let Some((object, _)) = message.split_once(IN_DATA) {
            object.rsplit_once(" has ").and_then(|(object, _)| self.data(Path::new(object)))
        } else if message.ends_with(IN_BSS) {
            message.split([',', ' ']).next().and_then(|object| self.bss(Path::new(object)))
        } else {
            None
        };
        explained.unwrap_or_else(|| {
            said.hints.iter().fold(Error::build(message), |error, hint| error.hint(*hint))
        })
    }

    fn explain_upstream(&self, error: Error, log: &str) -> Error {
        let undefined: BTreeSet<&str> = after(log, "undefined symbol: ").into_iter().collect();
        if !undefined.is_empty() {
            let message = match undefined.len() {
                1 => format!("undefined symbol {}", list(&undefined)),
                _ => format!("undefined symbols: {}", list(&undefined)),
            };
            return self.undefined(message, undefined, &[]);
        }
        for (marker, explain) in [
            (" non-empty", Scene::data as fn(&Self, &Path) -> Option<Error>),
            (": fixed relocation to bss", Scene::bss),
        ] {
            let line =
                log.lines().find(|line| line.starts_with("LinkError:") && line.contains(marker));
            let object = line.and_then(object_of);
            if let Some(explained) = object.and_then(|object| explain(self, &object)) {
                return explained;
            }
        }
        self.hint(error, log)
    }

    fn hint(&self, error: Error, log: &str) -> Error {
        let message = error.message().to_owned();
        if let Some(missing) = self.missing_submodule(&message) {
            return missing;
        }
        if message.contains("No rule to make target") && message.contains("../") {
            return error.hint(
                "the Makefile uses files outside its own directory: name a directory that contains \
                 them all with --root",
            );
        }
        if log.contains("pip install ar") {
            return error.hint("linking libraries takes the Python module ar: `pip install ar`, or name a Python that has it with --python");
        }
        let header = message.contains(".h: No such file or directory");
        if header && let Some(capability) = toolchain::capability(self.arch) {
            return match doctor::install_command(capability) {
                Some(command) => {
                    error.hint(format!("`{command}` installs the C library's headers"))
                }
                None => error,
            };
        }
        error
    }

    /// Says which submodule a file that is not there is of, if that is why.
    fn missing_submodule(&self, message: &str) -> Option<Error> {
        let tree = &self.tree.source.path;
        let submodules = submodules(tree).ok()?;
        let path = submodules.iter().find(|path| {
            message.contains(&format!("/{}/", path.display())) && !submodule::present(tree, path)
        })?;
        Some(submodule::missing(tree, &[path], |names| {
            format!(
                "give a checkout of MicroPython in which `git submodule update --init {names}` has \
                 been run"
            )
        }))
    }

    /// Says which library or option has the symbols that are undefined; of those that none has, what the
    /// linker's own hints say.
    fn undefined(&self, message: String, symbols: BTreeSet<&str>, hints: &[&str]) -> Error {
        let mut error = Error::build(message);
        let mut left = symbols.clone();
        let runtime = self.tree.knows_variable("LINK_RUNTIME");
        for (library, is_runtime) in self.libraries() {
            let found = defined_in(&library, &left);
            if found.is_empty() {
                continue;
            }
            let name = library.file_name().unwrap_or_default().to_string_lossy();
            let has = format!("{name} has {}", list(&found));
            error = match (is_runtime, runtime) {
                (true, true) => error.hint(format!(
                    "{has}: give --link-runtime, or set `LINK_RUNTIME = 1` in the Makefile"
                )),
                (true, false) => error.hint(format!(
                    "{has}, and MicroPython {} cannot link libraries into modules; v1.25.0 and later \
                     can",
                    self.tree.source.version
                )),
                (false, _) => error.hint(format!(
                    "{has}, which modules are not linked with: bring a function of your own, or use \
                     what py/dynruntime.h offers"
                )),
            };
            left.retain(|symbol| !found.contains(symbol));
        }
        if self.arch == Arch::Xtensa {
            let rom = self.tree.source.path.join(ESP8266_ROM);
            let script = fs::read_to_string(&rom).unwrap_or_default();
            let known =
                |symbol: &&str| script.split(|c: char| !is_word(c)).any(|word| word == *symbol);
            let found: BTreeSet<&str> = symbols.iter().copied().filter(known).collect();
            if !found.is_empty() {
                error = error.hint(format!(
                    "the ESP8266's ROM has {}: give --externs {}",
                    list(&found),
                    rom.display()
                ));
                left.retain(|symbol| !found.contains(symbol));
            }
        }
        if left.is_empty() {
            return error;
        }
        for hint in hints {
            let of = |symbol: &&str| hint.split(|c: char| !is_word(c)).any(|word| word == *symbol);
            if left.iter().any(of) {
                error = error.hint(*hint);
                left.retain(|symbol| !of(symbol));
            }
        }
        if left.is_empty() {
            return error;
        }
        error.hint(format!(
            "no library of the toolchain has {}: is a file missing from SRC, or a name misspelt? \
             Modules may use what py/dynruntime.h declares, and their own functions",
            list(&left)
        ))
    }

    /// The toolchain's libraries, and whether LINK_RUNTIME links them.
    fn libraries(&self) -> Vec<(PathBuf, bool)> {
        const MARK: &str = "mpb-libraries";
        let question = format!(
            "mpb-libraries: ; @:$(info {MARK} $(shell $(CROSS)gcc $(CFLAGS) --print-libgcc-file-name \
             2>/dev/null) $(shell $(CROSS)gcc $(CFLAGS) --print-file-name=libm.a 2>/dev/null) \
             $(shell $(CROSS)gcc $(CFLAGS) --print-file-name=libc.a 2>/dev/null))"
        );
        let answer = self.make.ask(&question, MARK).unwrap_or_default();
        let paths = answer.lines().find_map(|line| line.strip_prefix(MARK)).unwrap_or_default();
        paths
            .split_whitespace()
            .zip([true, true, false])
            .map(|(path, is)| (path.into(), is))
            .collect()
    }

    /// Says which variables a module has that begin with a value, which the format has no place for.
    fn data(&self, object: &Path) -> Option<Error> {
        let variables = self.variables(object, ".data")?;
        Some(
            Error::build(format!(
                "native modules cannot have variables that begin with a value: {}",
                variables.join(", ")
            ))
            .hint("make them const, or set their values in mpy_init"),
        )
    }

    /// Says which static variables a module has, on an architecture whose modules cannot.
    fn bss(&self, object: &Path) -> Option<Error> {
        let variables = self.variables(object, ".bss")?;
        Some(
            Error::build(format!(
                "native modules for {} cannot have static variables: {}",
                self.arch,
                variables.join(", ")
            ))
            .hint("remove `static` from their declarations"),
        )
    }

    /// The variables that an object file has in sections of a kind, and where they are declared.
    fn variables(&self, object: &Path, section: &str) -> Option<Vec<String>> {
        let path = self.make.directory.join(object);
        let bytes = fs::read(&path).ok()?;
        let file = object::File::parse(bytes.as_slice()).ok()?;
        let in_section = |symbol: &object::Symbol<'_, '_>| {
            let found = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
            symbol.size() > 0
                && (section != ".bss" || symbol.is_local())
                && found.is_some_and(|found| {
                    found.name().is_ok_and(|name| {
                        name.starts_with(section) && !name.starts_with(".data.rel.ro")
                    })
                })
        };
        let source = self.source(object);
        let mut found = Vec::new();
        for symbol in file.symbols().filter(in_section) {
            // The compiler numbers variables that are static in a function.
            let name = symbol.name().ok()?.split('.').next()?.to_owned();
            let place = source.as_ref().map(|(path, text)| match line_of(text, &name) {
                Some(line) => format!(" ({}:{line})", path.display()),
                None => format!(" ({})", path.display()),
            });
            found.push(format!("{name}{}", place.unwrap_or_default()));
        }
        found.dedup();
        (!found.is_empty()).then_some(found)
    }

    /// The source that an object file was compiled from: its name in the user's directory, and its text.
    fn source(&self, object: &Path) -> Option<(PathBuf, String)> {
        let below = object.strip_prefix("build").ok()?.with_extension("c");
        let bytes = fs::read(self.make.directory.join(&below)).ok()?;
        Some((below, String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// What `natmod-link` says of a file with initialised variables, between its name and their section.
const IN_DATA: &str = " bytes of initialised variables in ";
/// The end of what it says of code that reaches a static variable by its distance.
const IN_BSS: &str = "is a static variable, which is loaded apart from the code";

/// What `natmod-link` said, if it failed: a line that begins with `error: `, lines of a list, and hints.
fn said(log: &str) -> Option<Said<'_>> {
    let mut lines = log.lines().skip_while(|line| !line.starts_with("error: ")).peekable();
    let mut message = lines.next()?.strip_prefix("error: ")?.to_owned();
    while let Some(line) = lines.next_if(|line| line.starts_with("  ")) {
        message.push('\n');
        message.push_str(line);
    }
    let hints = lines.map_while(|line| line.strip_prefix("hint: ")).collect();
    Some(Said { message, hints })
}

/// The symbols that a message of `natmod-link` calls undefined.
fn undefined_in(message: &str) -> BTreeSet<&str> {
    let mut lines = message.lines();
    let first = lines.next().unwrap_or_default();
    let entries: Vec<&str> = match first.strip_prefix("undefined symbol ") {
        Some(entry) => vec![entry],
        None if first.ends_with(" undefined symbols:") => lines.collect(),
        None => Vec::new(),
    };
    entries.into_iter().filter_map(|entry| entry.trim().split(',').next()).collect()
}

/// What stands after a marker in each line that has it.
fn after<'a>(log: &'a str, marker: &str) -> Vec<&'a str> {
    log.lines().filter_map(|line| Some(line.split_once(marker)?.1.trim())).collect()
}

/// The object file that a message of the linker names: `LinkError: build/x.o: …`.
fn object_of(line: &str) -> Option<PathBuf> {
    Some(PathBuf::from(line.strip_prefix("LinkError: ")?.split(": ").next()?))
}

fn list(names: &BTreeSet<&str>) -> String {
    let shown: Vec<&str> = names.iter().copied().take(SHOWN).collect();
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Those of the symbols that a static library has. A library that cannot be read has none: nothing is
/// explained by it.
fn defined_in<'a>(library: &Path, symbols: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let bytes = fs::read(library).unwrap_or_default();
    match ArchiveFile::parse(bytes.as_slice()) {
        Ok(archive) => in_index(&archive, symbols).unwrap_or_default(),
        // glibc's libm.a is a script that names the libraries: `GROUP ( /usr/lib/libm-2.36.a … )`.
        Err(_) => String::from_utf8_lossy(&bytes)
            .split_whitespace()
            .filter(|word| word.ends_with(".a") && Path::new(word) != library)
            .flat_map(|word| defined_in(Path::new(word), symbols))
            .collect(),
    }
}

fn in_index<'a>(
    archive: &ArchiveFile<'_>,
    symbols: &BTreeSet<&'a str>,
) -> Option<BTreeSet<&'a str>> {
    let index = archive.symbols().ok()??;
    let names: BTreeSet<&[u8]> =
        index.filter_map(|symbol| symbol.ok().map(|symbol| symbol.name())).collect();
    Some(symbols.iter().copied().filter(|symbol| names.contains(symbol.as_bytes())).collect())
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The line, counted from one, in which a variable is declared.
fn line_of(text: &str, name: &str) -> Option<usize> {
    let declares = |line: &str| {
        line.match_indices(name).any(|(at, _)| {
            let (before, after) = (line.get(..at), line.get(at + name.len()..));
            let alone = before.is_some_and(|before| before.ends_with(|c: char| !is_word(c)));
            let next = after.map(str::trim_start).and_then(|after| after.chars().next());
            alone && next.is_some_and(|next| matches!(next, '=' | '[' | ';' | ','))
        })
    };
    text.lines().position(declares).map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_found() {
        let text = "#include <x.h>\nint counter_of(int);\nstatic int counter = 3;\n";
        assert_eq!(line_of(text, "counter"), Some(3));
        assert_eq!(line_of("int table [2] = {1, 2};", "table"), Some(1));
        assert_eq!(line_of(text, "other"), None);
    }

    #[test]
    fn what_natmod_link_says_is_read() {
        let log = "CC a.c\nerror: 2 undefined symbols:\n  f, used in build/a.o (.text+0x1)\n  g, used in \
                   build/a.o, function h (.text+0x9)\nhint: define f\nhint: define g\nmake: *** [x] Error 3\n";
        let said = said(log).unwrap();
        assert_eq!(said.hints, ["define f", "define g"]);
        assert_eq!(undefined_in(&said.message), BTreeSet::from(["f", "g"]));
        assert_eq!(undefined_in("undefined symbol f, used in a.o"), BTreeSet::from(["f"]));
        assert_eq!(undefined_in("a.o is damaged"), BTreeSet::new());
    }

    /// The marks by which a fault is known are in its text.
    #[test]
    fn faults_are_worded_as_they_are_read() {
        use crate::natmod::linker::{Fault, Outside, Site};
        let data = Fault::WritableData {
            file: "build/a.o".into(),
            section: ".data".into(),
            size: 4,
            variables: Vec::new(),
        };
        let (object, _) = data
            .to_string()
            .split_once(IN_DATA)
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        assert_eq!(object, "build/a.o has 4");
        let site =
            Site { file: "build/a.o".into(), section: ".text".into(), offset: 1, function: None };
        let bss = Fault::OutsideCode {
            site: site.clone().into(),
            symbol: "s".into(),
            what: Outside::Bss,
        };
        assert!(bss.to_string().ends_with(IN_BSS));
        let undefined = Fault::Undefined {
            symbols: vec![("f".into(), site.clone()), ("g".into(), site)],
            arch: Arch::X64,
            known: Vec::new(),
        };
        assert_eq!(undefined_in(&undefined.to_string()), BTreeSet::from(["f", "g"]));
    }

    #[test]
    fn the_linkers_messages_are_read() {
        let line = "LinkError: build/x.o: .data non-empty";
        assert_eq!(object_of(line), Some("build/x.o".into()));
        let log = "a.o: undefined symbol: f\nb.o: undefined symbol: g\n";
        assert_eq!(after(log, "undefined symbol: "), ["f", "g"]);
    }
}
