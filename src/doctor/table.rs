//! What each capability needs, and what installs it: one row per tool.
//!
//! Minimum versions are those that MicroPython's own README files state. A package is named only
//! where it is known to bring the tool under the name that upstream's makefiles call.

use super::probe::Probe;
use super::system::Packages;

/// Something that this program can do when the machine has what it takes.
#[derive(Debug)]
pub struct Capability {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// The names of the tools it needs.
    pub(super) tools: &'static [&'static str],
    /// Only Debian and what descends from it can have it.
    pub(super) debian_only: bool,
}

/// A program or library.
#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) purpose: &'static str,
    pub(super) probe: Probe,
    /// The oldest version that serves.
    pub(super) minimum: Option<&'static str>,
    pub(super) packages: Packages,
}

/// All capabilities, in the order in which a newcomer meets them.
pub static CAPABILITIES: &[Capability] = &[
    Capability {
        name: "build-unix",
        title: "build the unix port",
        tools: &["make", "bash", "python3", "gcc", "libc", "pkg-config", "libffi"],
        debian_only: false,
    },
    Capability {
        name: "build-qemu-arm",
        title: "build the qemu port's ARM boards",
        tools: &["make", "bash", "python3", "gcc", "libc", "arm-none-eabi-gcc", "libc-arm"],
        debian_only: false,
    },
    Capability {
        name: "build-qemu-riscv",
        title: "build the qemu port's RISC-V boards",
        tools: &["make", "bash", "python3", "gcc", "libc", "riscv64-unknown-elf-gcc", "libc-riscv"],
        debian_only: false,
    },
    Capability {
        name: "natmod-x64",
        title: "build native modules for x64",
        tools: &["make", "python3", "gcc", "libc"],
        debian_only: false,
    },
    Capability {
        name: "natmod-x86",
        title: "build native modules for x86",
        tools: &["make", "python3", "gcc", "libc-x86"],
        debian_only: false,
    },
    Capability {
        name: "natmod-arm",
        title: "build native modules for armv6m, armv7m, armv7emsp and armv7emdp",
        tools: &["make", "python3", "arm-none-eabi-gcc", "libc-arm"],
        debian_only: false,
    },
    Capability {
        name: "natmod-riscv",
        title: "build native modules for rv32imc and rv64imc",
        tools: &["make", "python3", "riscv64-unknown-elf-gcc", "libc-riscv"],
        debian_only: false,
    },
    Capability {
        name: "natmod-xtensa",
        title: "build native modules for xtensa (ESP8266)",
        tools: &["make", "python3", "xtensa-lx106-elf-gcc", "libc-xtensa"],
        debian_only: false,
    },
    Capability {
        name: "natmod-xtensawin",
        title: "build native modules for xtensawin (ESP32, ESP32-S2, ESP32-S3)",
        tools: &["make", "python3", "xtensa-esp32-elf-gcc"],
        debian_only: false,
    },
    Capability {
        name: "natmod-upstream",
        title: "link native modules with MicroPython's own linker",
        tools: &["python3", "pyelftools"],
        debian_only: false,
    },
    Capability {
        name: "run",
        title: "run firmware in an emulator",
        tools: &["qemu-system-arm", "qemu-system-riscv32", "qemu-system-riscv64"],
        debian_only: false,
    },
    Capability {
        name: "patch",
        title: "apply patches to MicroPython",
        tools: &["patch"],
        debian_only: false,
    },
    Capability {
        name: "source-debian",
        title: "get MicroPython from Debian's source package",
        tools: &["apt-get", "dpkg"],
        debian_only: true,
    },
];

/// A package that is known to bring the tool on Debian and its descendants only.
const fn debian(package: &'static str) -> Packages {
    Packages { debian: Some(package), ..Packages::NONE }
}

pub(super) static TOOLS: &[Tool] = &[
    Tool {
        name: "make",
        purpose: "runs MicroPython's makefiles",
        probe: Probe::Program,
        minimum: None,
        packages: Packages { nix: Some("gnumake"), ..Packages::same("make") },
    },
    Tool {
        name: "bash",
        purpose: "is called by MicroPython's makefiles",
        probe: Probe::Program,
        minimum: None,
        packages: Packages::same("bash"),
    },
    Tool {
        name: "python3",
        purpose: "runs MicroPython's build scripts",
        probe: Probe::Program,
        minimum: Some("3.3"),
        packages: Packages {
            arch: Some("python"),
            homebrew: Some("python"),
            ..Packages::same("python3")
        },
    },
    Tool {
        name: "gcc",
        purpose: "compiles mpy-cross and the unix port",
        probe: Probe::Program,
        minimum: None,
        packages: Packages { homebrew: None, ..Packages::same("gcc") },
    },
    Tool {
        name: "libc",
        purpose: "the headers of this machine's C library",
        probe: Probe::Headers { compiler: "gcc", arguments: &[], specs: None },
        minimum: None,
        packages: Packages {
            debian: Some("libc6-dev"),
            fedora: Some("glibc-devel"),
            arch: Some("glibc"),
            homebrew: None,
            nix: Some("gcc"),
        },
    },
    Tool {
        name: "pkg-config",
        purpose: "finds libffi for the unix port's standard variant",
        probe: Probe::Program,
        minimum: None,
        packages: Packages {
            fedora: Some("pkgconf-pkg-config"),
            arch: Some("pkgconf"),
            homebrew: Some("pkgconf"),
            ..Packages::same("pkg-config")
        },
    },
    Tool {
        name: "libffi",
        purpose: "the `ffi` module of the unix port's standard variant",
        probe: Probe::PkgConfig { module: "libffi" },
        minimum: None,
        packages: Packages {
            debian: Some("libffi-dev"),
            fedora: Some("libffi-devel"),
            ..Packages::same("libffi")
        },
    },
    Tool {
        name: "arm-none-eabi-gcc",
        purpose: "compiles for ARM boards",
        probe: Probe::Program,
        minimum: None,
        packages: Packages {
            debian: Some("gcc-arm-none-eabi"),
            fedora: Some("arm-none-eabi-gcc-cs"),
            arch: Some("arm-none-eabi-gcc"),
            homebrew: Some("gcc-arm-embedded"),
            nix: Some("gcc-arm-embedded"),
        },
    },
    Tool {
        name: "libc-arm",
        purpose: "the C library for ARM boards (newlib)",
        probe: Probe::Headers {
            compiler: "arm-none-eabi-gcc",
            arguments: &["-mthumb", "-mcpu=cortex-m3"],
            specs: None,
        },
        minimum: None,
        packages: Packages {
            debian: Some("libnewlib-arm-none-eabi"),
            fedora: Some("arm-none-eabi-newlib"),
            arch: Some("arm-none-eabi-newlib"),
            homebrew: Some("gcc-arm-embedded"),
            nix: Some("gcc-arm-embedded"),
        },
    },
    Tool {
        name: "riscv64-unknown-elf-gcc",
        purpose: "compiles for RISC-V boards",
        probe: Probe::Program,
        minimum: Some("10"),
        packages: debian("gcc-riscv64-unknown-elf"),
    },
    Tool {
        name: "libc-riscv",
        purpose: "the C library for RISC-V boards (picolibc or newlib)",
        probe: Probe::Headers {
            compiler: "riscv64-unknown-elf-gcc",
            arguments: &["-march=rv32imac", "-mabi=ilp32"],
            specs: Some("picolibc.specs"),
        },
        minimum: None,
        packages: debian("picolibc-riscv64-unknown-elf"),
    },
    Tool {
        name: "libc-x86",
        purpose: "the C library's headers for compiling with `gcc -m32`",
        probe: Probe::Headers { compiler: "gcc", arguments: &["-m32"], specs: None },
        minimum: None,
        packages: Packages {
            fedora: Some("glibc-devel.i686"),
            arch: Some("lib32-glibc"),
            ..debian("gcc-multilib")
        },
    },
    Tool {
        name: "xtensa-lx106-elf-gcc",
        purpose: "compiles for ESP8266",
        probe: Probe::Program,
        minimum: None,
        packages: debian("gcc-xtensa-lx106"),
    },
    Tool {
        name: "libc-xtensa",
        purpose: "the C library for ESP8266 (picolibc or newlib)",
        probe: Probe::Headers {
            compiler: "xtensa-lx106-elf-gcc",
            arguments: &[],
            specs: Some("picolibc.specs"),
        },
        minimum: None,
        packages: debian("picolibc-xtensa-lx106-elf"),
    },
    Tool {
        name: "xtensa-esp32-elf-gcc",
        purpose: "compiles for ESP32; `natmod --toolchain xtensawin=pinned` fetches Espressif's",
        probe: Probe::Program,
        minimum: None,
        packages: Packages::NONE,
    },
    Tool {
        name: "pyelftools",
        purpose: "reads object files for MicroPython's linker of native modules",
        probe: Probe::PythonModule { module: "elftools" },
        minimum: None,
        packages: Packages {
            fedora: Some("python3-pyelftools"),
            arch: Some("python-pyelftools"),
            nix: Some("python3Packages.pyelftools"),
            ..debian("python3-pyelftools")
        },
    },
    Tool {
        name: "qemu-system-arm",
        purpose: "emulates ARM boards",
        probe: Probe::Program,
        minimum: None,
        packages: Packages {
            homebrew: Some("qemu"),
            nix: Some("qemu"),
            ..Packages::same("qemu-system-arm")
        },
    },
    Tool {
        name: "qemu-system-riscv32",
        purpose: "emulates 32-bit RISC-V boards",
        probe: Probe::Program,
        minimum: None,
        packages: QEMU_RISCV,
    },
    Tool {
        name: "qemu-system-riscv64",
        purpose: "emulates 64-bit RISC-V boards",
        probe: Probe::Program,
        minimum: None,
        packages: QEMU_RISCV,
    },
    Tool {
        name: "patch",
        purpose: "applies patches",
        probe: Probe::Program,
        minimum: None,
        packages: Packages {
            homebrew: Some("gpatch"),
            nix: Some("gnupatch"),
            ..Packages::same("patch")
        },
    },
    Tool {
        name: "apt-get",
        purpose: "downloads the source package and checks its signature",
        probe: Probe::Program,
        minimum: None,
        packages: Packages::NONE,
    },
    Tool {
        name: "dpkg",
        purpose: "compares the versions of source packages",
        probe: Probe::Program,
        minimum: None,
        packages: Packages::NONE,
    },
];

/// Debian has moved these emulators to a package of their own, which the old one depends on.
const QEMU_RISCV: Packages = Packages {
    debian: Some("qemu-system-misc"),
    fedora: Some("qemu-system-riscv"),
    arch: Some("qemu-system-riscv"),
    homebrew: Some("qemu"),
    nix: Some("qemu"),
};

/// The row of a tool.
pub(super) fn tool(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_has_rows_and_every_row_a_capability() {
        for capability in CAPABILITIES {
            assert!(!capability.tools.is_empty());
            assert!(
                capability.tools.iter().all(|name| tool(name).is_some()),
                "{}",
                capability.name
            );
        }
        for row in TOOLS {
            assert!(
                CAPABILITIES.iter().any(|capability| capability.tools.contains(&row.name)),
                "{}",
                row.name
            );
        }
    }
}
