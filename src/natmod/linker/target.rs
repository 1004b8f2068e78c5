//! What the linker knows of each architecture.

use object::elf;

use super::fault::Fault;
use crate::natmod::Arch;

/// The relocations of an architecture: which psABI its object files follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    X86,
    X64,
    Arm,
    Xtensa,
    Riscv,
}

/// An architecture that native modules are linked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub arch: Arch,
    pub family: Family,
}

impl Target {
    /// # Errors
    /// When no MicroPython runs native modules of this architecture.
    pub(super) fn of(arch: Arch) -> Result<Target, Fault> {
        let family = match arch {
            Arch::X86 => Family::X86,
            Arch::X64 => Family::X64,
            Arch::Armv6m | Arch::Armv7m | Arch::Armv7emsp | Arch::Armv7emdp => Family::Arm,
            Arch::Xtensa | Arch::Xtensawin => Family::Xtensa,
            Arch::Rv32imc | Arch::Rv64imc => Family::Riscv,
            Arch::Armv6 | Arch::Armv7em => return Err(Fault::NoNativeModules(arch)),
        };
        Ok(Target { arch, family })
    }

    /// `e_machine` of its object files.
    pub(super) fn machine(self) -> u16 {
        match self.family {
            Family::X86 => elf::EM_386,
            Family::X64 => elf::EM_X86_64,
            Family::Arm => elf::EM_ARM,
            Family::Xtensa => elf::EM_XTENSA,
            Family::Riscv => elf::EM_RISCV,
        }
    }

    /// Whether its object files are ELF64.
    pub(super) fn is_64(self) -> bool {
        matches!(self.arch, Arch::X64 | Arch::Rv64imc)
    }

    /// The size of a pointer, in bytes.
    pub(super) fn word(self) -> u64 {
        if self.is_64() { 8 } else { 4 }
    }

    /// Whether read-only data is loaded apart from the code: an ESP32 cannot read bytes from where it
    /// executes.
    pub(super) fn has_rodata_apart(self) -> bool {
        self.arch == Arch::Xtensawin
    }

    /// Whether constants and addresses come from `.literal` sections. Their words are gathered before
    /// the code, because `l32r` reaches backwards only.
    pub(super) fn has_literals(self) -> bool {
        self.family == Family::Xtensa
    }
}
