//! The qemu port: bare-metal firmware for boards that QEMU emulates.

use std::process::Command;
use std::time::Duration;

use super::plan::{Recipe, Request, sets, value};
use super::record::Role;
use crate::error::Result;
use crate::process;

/// A board whose upstream defaults do not link with every compiler.
struct Default {
    board: &'static str,
    variable: &'static str,
    value: &'static str,
}

/// NETDUINO2 has 128 KiB of RAM, and the port's default heap alone takes 140 KiB of it.
const DEFAULTS: &[Default] =
    &[Default { board: "NETDUINO2", variable: "MICROPY_HEAP_SIZE", value: "100000" }];

/// How the qemu port is built: `ports/qemu/Makefile` with `BOARD`.
///
/// # Errors
/// When the RISC-V compiler cannot be asked.
pub(super) fn recipe(request: &Request<'_>) -> Result<Recipe> {
    let board = &request.target.board;
    let mut variables = vec![format!("BOARD={board}")];
    for default in DEFAULTS.iter().filter(|default| default.board == board) {
        if !sets(request, default.variable) {
            variables.push(format!("{}={}", default.variable, default.value));
        }
    }
    let mut compiler_flags = Vec::new();
    for (width, board_prefix) in [("32", "VIRT_RV32"), ("64", "VIRT_RV64")] {
        let prefix = value(request, "CROSS_COMPILE").unwrap_or("riscv64-unknown-elf-");
        if board == board_prefix && needs_old_isa(prefix, width)? {
            if !sets(request, &format!("RV{width}_ARCH")) {
                variables.push(format!("RV{width}_ARCH=rv{width}imac"));
            }
            variables.push(format!("AS={prefix}as -misa-spec=2.2"));
            compiler_flags.push("-misa-spec=2.2".to_owned());
        }
    }
    Ok(Recipe {
        variables,
        compiler_flags,
        products: vec![(Role::Elf, "firmware.elf"), (Role::Map, "firmware.map")],
        emulated: true,
    })
}

/// Whether the compiler lacks libraries for `rvXXimac_zicsr` but has them for `rvXXimac`.
///
/// The port asks for the Zicsr extension by name. GCC 11 and 12, as Debian 12 packages it, know
/// the name but have libraries only under the older ISA specification's names, and then silently
/// link those of another width. Compiling for the older specification avoids that.
fn needs_old_isa(prefix: &str, width: &str) -> Result<bool> {
    let abi = if width == "32" { "ilp32" } else { "lp64" };
    let libraries = |architecture: String| -> Result<String> {
        let mut gcc = Command::new(format!("{prefix}gcc"));
        gcc.arg(format!("-march={architecture}"))
            .arg(format!("-mabi={abi}"))
            .arg("-print-multi-directory");
        Ok(process::output(&mut gcc, Duration::from_secs(20))?.stdout.trim().to_owned())
    };
    Ok(libraries(format!("rv{width}imac_zicsr"))? == "."
        && libraries(format!("rv{width}imac"))? != ".")
}
