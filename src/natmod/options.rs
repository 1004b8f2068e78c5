//! What users give to the makefiles of native modules, beyond what decides the cell of the matrix.

use std::ffi::OsString;
use std::path::PathBuf;

use super::tree::Tree;
use super::{Arch, Linker};
use crate::error::{Error, Result};
use crate::pins::Sha256Hash;
use crate::report::Report;
use crate::rewrite::StaticConst;
use crate::upstream::make;

/// Variables that options of ours set.
const OURS: &[(&str, &str)] = &[
    ("ARCH", "--arch"),
    ("ARCH_FLAGS", "--arch-flags"),
    ("BUILD", "the build itself"),
    ("CROSS", "--toolchain"),
    ("LINK_RUNTIME", "--link-runtime"),
    ("MPY_CROSS", "the build itself"),
    ("MPY_CROSS_FLAGS", "--mpy-cross-arg"),
    ("MPY_DIR", "--micropython"),
    ("MPY_EXTERN_SYM_FILE", "--externs"),
    ("MPY_LD", "--linker"),
    ("MPY_TOOL", "--linker"),
    ("PYTHON", "--python"),
];

/// Architectures that have processor extensions to choose (`tools/mpy_ld.py`, `validate_arch_flags`).
const WITH_FLAGS: &[Arch] = &[Arch::Rv32imc];

/// Options for the upstream build.
#[derive(Debug, Clone)]
pub struct Options {
    /// What links.
    pub linker: Linker,
    /// When sources are rewritten.
    pub static_const: StaticConst,
    /// The target to make instead of the default one.
    pub make_target: Option<String>,
    /// Variables, each `NAME=VALUE`.
    pub make_arguments: Vec<String>,
    /// Further arguments for mpy-cross, for modules with Python in them.
    pub mpy_cross_arguments: Vec<String>,
    /// Processor extensions to allow (`zba,zcmp`), for the architectures that have some.
    pub arch_flags: Option<String>,
    /// Link libgcc and libm where the module uses them.
    pub link_runtime: bool,
    /// A linker script with symbols at fixed addresses, such as a ROM's.
    pub externs: Option<PathBuf>,
}

impl Options {
    /// Everything that can be known to be wrong before anything is copied.
    ///
    /// # Errors
    /// At the first that is.
    pub(super) fn check(&self, archs: &[Arch]) -> Result<()> {
        make::check_arguments(&self.make_arguments, OURS)?;
        if let Some(externs) = &self.externs
            && !externs.is_file()
        {
            return Err(Error::input(format!("there is no file {}", externs.display())).hint(
                "--externs names a linker script with lines such as `PROVIDE(f = 0x40001234);`",
            ));
        }
        if self.arch_flags.is_some() && !archs.iter().any(|arch| WITH_FLAGS.contains(arch)) {
            let names: Vec<&str> = WITH_FLAGS.iter().map(|arch| arch.name()).collect();
            return Err(Error::usage("--arch-flags has no effect on these architectures")
                .hint(format!("only {} has extensions to choose", names.join(", "))));
        }
        Ok(())
    }

    /// Says what a tree does not know and so leaves out.
    pub(super) fn warn(&self, tree: &Tree, report: &dyn Report) {
        let given = [
            ("--link-runtime", "LINK_RUNTIME", self.link_runtime),
            ("--externs", "MPY_EXTERN_SYM_FILE", self.externs.is_some()),
            ("--arch-flags", "ARCH_FLAGS", self.arch_flags.is_some()),
        ];
        for (option, variable, given) in given {
            if given && !tree.knows_variable(variable) {
                report.warn(&format!(
                    "MicroPython {} has no {variable}: {option} changes nothing there",
                    tree.source.version
                ));
            }
        }
    }

    /// Whether the sources are rewritten for an architecture.
    pub(super) fn rewrites(&self, arch: Arch) -> bool {
        self.static_const.applies(self.linker.mixes_up_constants(arch))
    }

    /// The variables for a makefile. `externs` is where the file of symbols lies, seen from it.
    pub(super) fn variables(&self, arch: Arch, externs: &str) -> Vec<OsString> {
        let mut variables = self.linker.variables();
        if self.link_runtime {
            variables.push("LINK_RUNTIME=1".into());
        }
        if self.externs.is_some() {
            variables.push(format!("MPY_EXTERN_SYM_FILE={externs}").into());
        }
        if let Some(flags) = &self.arch_flags
            && WITH_FLAGS.contains(&arch)
        {
            variables.push(format!("ARCH_FLAGS={flags}").into());
        }
        variables.extend(self.make_arguments.iter().map(OsString::from));
        variables
    }

    /// A hash of all in them that decides the bytes.
    ///
    /// # Errors
    /// When the file of symbols or what links cannot be read.
    pub(super) fn identity(&self) -> Result<Sha256Hash> {
        let linker = self.linker.identity()?;
        let externs = self.externs.as_ref().map(|path| Sha256Hash::of_file(path)).transpose()?;
        let text = format!(
            "{linker:?} {:?} {:?} {:?} {:?} {} {externs:?}",
            self.make_target,
            self.make_arguments,
            self.mpy_cross_arguments,
            self.arch_flags,
            self.link_runtime
        );
        Ok(Sha256Hash::of(text.as_bytes()))
    }
}
