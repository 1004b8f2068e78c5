//! Who links a native module: this program, or upstream's Python.

use std::ffi::OsString;
use std::path::PathBuf;

use super::Arch;
use crate::error::Result;
use crate::pins::Sha256Hash;
use crate::upstream::make::makefile_word;

/// What makes a `.mpy` file of object files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Linker {
    /// This program's, [`natmod::linker`](super::linker), as this executable runs it.
    Own(PathBuf),
    /// MicroPython's: `tools/mpy_ld.py` and `tools/mpy-tool.py` of the tree that is built for.
    Upstream,
}

impl Linker {
    /// Its name in the record, and as an option.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Linker::Own(_) => "own",
            Linker::Upstream => "upstream",
        }
    }

    /// What a log says of it.
    pub(super) fn described(&self) -> &'static str {
        match self {
            Linker::Own(_) => concat!("linked by natmod-link ", env!("CARGO_PKG_VERSION")),
            Linker::Upstream => "linked by MicroPython's tools/mpy_ld.py",
        }
    }

    /// Whether it takes constants of several files for one (`docs/static-const.md`): upstream's does on
    /// Xtensa, in every release up to v1.28.0.
    pub(super) fn mixes_up_constants(&self, arch: Arch) -> bool {
        *self == Linker::Upstream && matches!(arch, Arch::Xtensa | Arch::Xtensawin)
    }

    /// The variables of upstream's makefile that name what links; none for upstream's own.
    pub(super) fn variables(&self) -> Vec<OsString> {
        let Linker::Own(program) = self else { return Vec::new() };
        let program = makefile_word(program.as_os_str());
        [("MPY_LD=", " natmod-link --micropython $(MPY_DIR)"), ("MPY_TOOL=", " natmod-link")]
            .map(|(start, end)| {
                let mut variable = OsString::from(start);
                variable.push(&program);
                variable.push(end);
                variable
            })
            .to_vec()
    }

    /// A hash of the program that links; none for upstream's, which is a part of the tree.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn identity(&self) -> Result<Option<Sha256Hash>> {
        match self {
            Linker::Own(program) => Sha256Hash::of_file(program).map(Some),
            Linker::Upstream => Ok(None),
        }
    }
}
