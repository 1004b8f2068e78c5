//! Static libraries: which of their members a module needs.

use std::collections::{HashMap, HashSet, VecDeque};

use object::read::archive::{ArchiveFile, ArchiveOffset};
use object::{Object, ObjectSymbol};

use super::elf::ObjectFile;
use super::externs::without_comments;
use super::fault::Fault;
use super::symbols::Program;
use super::{Input, abi};
use crate::error;
use crate::error::Error;

/// How many bytes the header of a member has.
const HEADER: u64 = 60;

/// A static library, with an index of what its members define.
struct Library<'data> {
    name: &'data str,
    data: &'data [u8],
    archive: ArchiveFile<'data>,
    index: HashMap<&'data [u8], ArchiveOffset>,
}

/// Adds to a program what it needs from libraries. A library that comes first is asked first, and the
/// members come in the order in which what they define is first used, so the result depends on the
/// contents alone.
///
/// # Errors
/// When a library is damaged, or a member cannot be linked.
pub(super) fn add_members<'data>(
    program: &mut Program<'data>,
    libraries: &'data [Input],
) -> Result<(), Fault> {
    let libraries: Vec<Library<'data>> =
        libraries.iter().map(Library::open).collect::<Result<_, Fault>>()?;
    let mut taken: HashSet<(usize, u64)> = HashSet::new();
    let mut unread: VecDeque<usize> = (0..program.files.len()).collect();
    while let Some(file) = unread.pop_front() {
        for (name, ..) in program.used(file) {
            if !program.lacks(name) {
                continue;
            }
            let found = libraries.iter().enumerate().find_map(|(number, library)| {
                Some((number, library, *library.index.get(name.as_bytes())?))
            });
            let Some((number, library, offset)) = found else { continue };
            // A member that does not define what the index says of it is taken once, too.
            if !taken.insert((number, offset.0)) {
                continue;
            }
            let member = library.read(offset, program.target)?;
            abi::check(&member, program.target)?;
            unread.push_back(program.files.len());
            program.add(member)?;
        }
    }
    Ok(())
}

impl<'data> Library<'data> {
    fn open(input: &'data Input) -> Result<Library<'data>, Fault> {
        let name = input.name.as_str();
        let data = input.data.as_slice();
        let damaged = |error: object::Error| Fault::damaged(name, error);
        let archive = ArchiveFile::parse(data).map_err(damaged)?;
        if archive.is_thin() {
            return Err(Fault::damaged(name, "a thin archive, which has no members in it"));
        }
        let mut index = HashMap::new();
        match archive.symbols().map_err(damaged)? {
            Some(symbols) => {
                for symbol in symbols {
                    let symbol = symbol.map_err(damaged)?;
                    index.entry(symbol.name()).or_insert(symbol.offset());
                }
            }
            None => index_members(&archive, data, &mut index).map_err(damaged)?,
        }
        Ok(Library { name, data, archive, index })
    }

    fn read(
        &self,
        offset: ArchiveOffset,
        target: super::target::Target,
    ) -> Result<ObjectFile<'data>, Fault> {
        let damaged = |error: object::Error| Fault::damaged(self.name, error);
        let member = self.archive.member(offset).map_err(damaged)?;
        let data = member.data(self.data).map_err(damaged)?;
        let name = format!("{}({})", self.name, String::from_utf8_lossy(member.name()));
        ObjectFile::read(&name, data, target)
    }
}

/// Makes the index of an archive that has none.
fn index_members<'data>(
    archive: &ArchiveFile<'data>,
    data: &'data [u8],
    index: &mut HashMap<&'data [u8], ArchiveOffset>,
) -> object::Result<()> {
    for member in archive.members() {
        let member = member?;
        let contents = member.data(data)?;
        let Ok(file) = object::File::parse(contents) else { continue };
        // The header of a member, which its offset is of, lies before its contents.
        let Some(offset) = member.file_range().0.checked_sub(HEADER) else { continue };
        for symbol in file.symbols().filter(|symbol| symbol.is_global() && symbol.is_definition()) {
            index.entry(symbol.name_bytes()?).or_insert(ArchiveOffset(offset));
        }
    }
    Ok(())
}

/// What a file given as a library is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LibraryFile {
    /// An archive.
    Archive,
    /// A linker script that names the libraries to take, as `libm.a` is on some systems.
    Script(Vec<String>),
}

impl LibraryFile {
    /// Looks at a file.
    ///
    /// # Errors
    /// When it is neither.
    pub fn of(name: &str, data: &[u8]) -> error::Result<LibraryFile> {
        if data.starts_with(b"!<arch>\n") || data.starts_with(b"!<thin>\n") {
            return Ok(LibraryFile::Archive);
        }
        let neither = || {
            Error::input(format!("{name} is no static library"))
                .hint("give a .a file with -l, and object files as they are")
        };
        let text = std::str::from_utf8(data).map_err(|_| neither())?;
        let mut rest = without_comments(text);
        let mut names = Vec::new();
        while let Some((before, inner)) = rest.split_once('(') {
            let (inner, after) = inner.split_once(')').ok_or_else(neither)?;
            match before.trim() {
                "GROUP" | "INPUT" => {
                    let words = inner.split([' ', ',', '\n', '\t']).filter(|word| !word.is_empty());
                    names.extend(words.map(str::to_owned));
                }
                "OUTPUT_FORMAT" => {}
                _ => return Err(neither()),
            }
            rest = after.to_owned();
        }
        if names.is_empty() || !rest.trim().is_empty() {
            return Err(neither());
        }
        Ok(LibraryFile::Script(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_names_libraries() {
        let script =
            b"/* GNU ld script\n*/\nOUTPUT_FORMAT(elf64-x86-64)\nGROUP ( /lib/a.a /lib/b.a )\n";
        let names = ["/lib/a.a".to_owned(), "/lib/b.a".to_owned()].to_vec();
        assert_eq!(LibraryFile::of("libm.a", script).unwrap(), LibraryFile::Script(names));
        assert_eq!(LibraryFile::of("x", b"!<arch>\n").unwrap(), LibraryFile::Archive);
        for other in [&b"\x7fELF"[..], b"", b"MEMORY ( a )", b"GROUP ( a", b"GROUP(a) x"] {
            LibraryFile::of("x", other).unwrap_err();
        }
    }
}
