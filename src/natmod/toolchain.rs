//! The compilers that build native modules: which there are for an architecture, and finding one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Arch, archive};
use crate::doctor;
use crate::error::{Error, Result};
use crate::pins::{Hasher, Sha256Hash, Toolchains};
use crate::process;
use crate::report::Report;

/// How long a compiler gets to say its version.
const LIMIT: Duration = Duration::from_secs(20);

/// What can build native modules for an architecture.
#[derive(Debug)]
struct Row {
    arch: Arch,
    /// What stands before `gcc` in the compiler's name, the one that upstream's makefile calls first.
    prefixes: &'static [&'static str],
    /// What `doctor` calls being able to build for it.
    capability: &'static str,
}

/// This machine's own compiler serves only where it makes ELF files for the processor.
const X64: &[&str] = if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
    &["", "x86_64-linux-gnu-", "x86_64-elf-"]
} else {
    &["x86_64-linux-gnu-", "x86_64-elf-"]
};
const X86: &[&str] = if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
    &["", "i686-linux-gnu-", "i686-elf-"]
} else {
    &["i686-linux-gnu-", "i686-elf-"]
};
const ARM: &[&str] = &["arm-none-eabi-"];
const XTENSA: &[&str] = &["xtensa-lx106-elf-"];
const XTENSAWIN: &[&str] = &["xtensa-esp32-elf-", "xtensa-esp32s3-elf-", "xtensa-esp32s2-elf-"];
const RV32: &[&str] = &[
    "riscv64-unknown-elf-",
    "riscv64-elf-",
    "riscv-none-elf-",
    "riscv32-unknown-elf-",
    "riscv32-esp-elf-",
];
const RV64: &[&str] = &["riscv64-unknown-elf-", "riscv64-elf-", "riscv-none-elf-"];

/// One row per architecture that native modules are built for.
const TABLE: &[Row] = &[
    Row { arch: Arch::X86, prefixes: X86, capability: "natmod-x86" },
    Row { arch: Arch::X64, prefixes: X64, capability: "natmod-x64" },
    Row { arch: Arch::Armv6m, prefixes: ARM, capability: "natmod-arm" },
    Row { arch: Arch::Armv7m, prefixes: ARM, capability: "natmod-arm" },
    Row { arch: Arch::Armv7emsp, prefixes: ARM, capability: "natmod-arm" },
    Row { arch: Arch::Armv7emdp, prefixes: ARM, capability: "natmod-arm" },
    Row { arch: Arch::Xtensa, prefixes: XTENSA, capability: "natmod-xtensa" },
    Row { arch: Arch::Xtensawin, prefixes: XTENSAWIN, capability: "natmod-xtensawin" },
    Row { arch: Arch::Rv32imc, prefixes: RV32, capability: "natmod-riscv" },
    Row { arch: Arch::Rv64imc, prefixes: RV64, capability: "natmod-riscv" },
];

/// The architectures that native modules can be built for, in the order of their codes.
pub fn architectures() -> impl Iterator<Item = Arch> {
    TABLE.iter().map(|row| row.arch)
}

/// What `doctor` calls being able to build for an architecture.
pub(super) fn capability(arch: Arch) -> Option<&'static str> {
    row(arch).map(|row| row.capability)
}

fn row(arch: Arch) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.arch == arch)
}

/// Which toolchain the user wants for an architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The pinned archive.
    Pinned,
    /// Programs with this before their names, which may begin with a directory.
    Prefix(String),
}

/// A toolchain that was found.
#[derive(Debug, Clone)]
pub(super) struct Toolchain {
    /// What stands before `gcc`: upstream's variable `CROSS`.
    pub prefix: String,
    /// What the compiler says of itself: the first line of `--version`.
    pub compiler: String,
    /// A hash of the compiler's program and of what it says of itself.
    pub identity: Sha256Hash,
}

/// Finds toolchains, each compiler once.
pub(super) struct Finder<'a> {
    choices: &'a BTreeMap<Arch, Choice>,
    pins: Toolchains,
    found: BTreeMap<String, Toolchain>,
    report: &'a dyn Report,
}

impl<'a> Finder<'a> {
    /// A finder that does as the user chose.
    ///
    /// # Errors
    /// When the pins cannot be read.
    pub(super) fn new(
        choices: &'a BTreeMap<Arch, Choice>,
        report: &'a dyn Report,
    ) -> Result<Finder<'a>> {
        Ok(Finder { choices, pins: crate::pins::toolchains()?, found: BTreeMap::new(), report })
    }

    /// The toolchain for an architecture: the one chosen, else one on PATH, else one that was fetched
    /// before.
    ///
    /// # Errors
    /// When there is none: the message names what was looked for, a hint the command that installs it.
    pub(super) fn get(&mut self, arch: Arch) -> Result<Toolchain> {
        match self.choices.get(&arch) {
            Some(Choice::Prefix(prefix)) => {
                let program = compiler(prefix).ok_or_else(|| {
                    Error::input(format!("there is no compiler {prefix}gcc for {arch}")).hint(
                        "the PREFIX of --toolchain is what stands before `gcc`, with its directory \
                         if that is not on PATH",
                    )
                })?;
                self.identify(prefix.clone(), &program)
            }
            Some(Choice::Pinned) => {
                let (pin, name) = self.pin(arch)?;
                let directory = archive::get(&pin, &name, self.report)?;
                self.pinned(arch, &directory)
            }
            None => self.usual(arch),
        }
    }

    fn usual(&mut self, arch: Arch) -> Result<Toolchain> {
        let prefixes = row(arch).map(|row| row.prefixes).unwrap_or_default();
        let on_path = prefixes.iter().find_map(|prefix| Some((*prefix, compiler(prefix)?)));
        if let Some((prefix, program)) = on_path {
            return self.identify(prefix.to_owned(), &program);
        }
        if let Ok((_, name)) = self.pin(arch)
            && let Some(directory) = archive::find(&name)?
        {
            return self.pinned(arch, &directory);
        }
        Err(self.missing(arch, prefixes))
    }

    fn pinned(&mut self, arch: Arch, directory: &Path) -> Result<Toolchain> {
        let names = self.pins.for_native_modules(arch.name(), archive::SYSTEM);
        let prefix = names.map(|(_, prefix, _)| prefix).unwrap_or_default();
        let path = directory.join("bin").join(prefix);
        let prefix = path.to_str().ok_or_else(|| {
            Error::input(format!("the path {} is not UTF-8, which make needs", path.display()))
        })?;
        let program = compiler(prefix).ok_or_else(|| {
            Error::source(format!("the pinned toolchain has no program {prefix}gcc"))
                .hint(format!("remove {} and try again", directory.display()))
        })?;
        self.identify(prefix.to_owned(), &program)
    }

    fn pin(&self, arch: Arch) -> Result<(crate::pins::Archive, String)> {
        let found = self.pins.for_native_modules(arch.name(), archive::SYSTEM);
        found
            .map(|(choice, _, pin)| {
                (pin.clone(), format!("{}-{}", choice.toolchain, choice.version))
            })
            .ok_or_else(|| {
                Error::input(format!(
                    "no toolchain for {arch} is pinned for this system ({})",
                    archive::SYSTEM
                ))
                .hint(format!("install one, or name it with --toolchain {arch}=PREFIX"))
            })
    }

    fn missing(&self, arch: Arch, prefixes: &[&str]) -> Error {
        let names: Vec<String> = prefixes.iter().map(|prefix| format!("{prefix}gcc")).collect();
        let mut error = Error::input(format!(
            "there is no compiler for {arch}: looked for {}",
            names.join(", ")
        ));
        if let Some(command) = row(arch).and_then(|row| doctor::install_command(row.capability)) {
            error = error.hint(format!("`{command}` installs one"));
        }
        if let Ok((pin, name)) = self.pin(arch) {
            let size =
                pin.size.map(|size| format!(", {} MB", size / 1_000_000)).unwrap_or_default();
            error = error.hint(format!(
                "--toolchain {arch}=pinned fetches {name}{size}, verifies it, and keeps it for the \
                 next time"
            ));
        }
        error
    }

    fn identify(&mut self, prefix: String, program: &Path) -> Result<Toolchain> {
        if let Some(known) = self.found.get(&prefix) {
            return Ok(known.clone());
        }
        let mut command = Command::new(program);
        command.arg("--version").env("LC_ALL", "C");
        let output = process::output(&mut command, LIMIT)?;
        let line = output.stdout.lines().next().unwrap_or_default().to_owned();
        if !output.status.success() || line.is_empty() {
            return Err(Error::input(format!("{} does not say its version", program.display()))
                .hint("repair it, or name another one with --toolchain ARCH=PREFIX"));
        }
        let mut hasher = Hasher::default();
        hasher.update(output.stdout.as_bytes());
        hasher.update(Sha256Hash::of_file(program)?.as_bytes());
        let toolchain =
            Toolchain { prefix: prefix.clone(), compiler: line, identity: hasher.finish() };
        self.found.insert(prefix, toolchain.clone());
        Ok(toolchain)
    }
}

/// The program `<prefix>gcc`, on PATH unless the prefix begins with a directory.
fn compiler(prefix: &str) -> Option<PathBuf> {
    let name = format!("{prefix}gcc");
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_file());
    }
    doctor::on_path(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_row_for_all_that_upstream_builds() {
        let names: Vec<&str> = architectures().map(Arch::name).collect();
        assert_eq!(
            names,
            [
                "x86",
                "x64",
                "armv6m",
                "armv7m",
                "armv7emsp",
                "armv7emdp",
                "xtensa",
                "xtensawin",
                "rv32imc",
                "rv64imc"
            ]
        );
        for row in TABLE {
            assert!(doctor::capability(row.capability).is_some(), "{}", row.capability);
            assert!(!row.prefixes.is_empty());
        }
    }

    #[test]
    fn what_is_pinned_is_for_architectures_of_the_table() {
        let pins = crate::pins::toolchains().unwrap();
        for name in pins.native_modules.keys() {
            assert!(architectures().any(|arch| arch.name() == name), "{name}");
        }
    }
}
