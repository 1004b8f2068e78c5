//! Ports, boards and variants, as a MicroPython source tree declares them.
//!
//! Nothing about any board is known here: everything comes from the tree. Where upstream does not
//! say something, it is `None`. Trees from v1.20 on are understood, in all the ways in which
//! they describe boards:
//!
//! | in the tree | boards |
//! |---|---|
//! | `ports/P/boards/B/` with `board.json` or `mpconfigboard.{cmake,mk,h}` | `B` |
//! | `ports/P/boards/B.mk`, included by the port's Makefile as `boards/$(BOARD).mk` | `B` |
//! | `ports/P/boards/B.conf` (Zephyr) | `B` |
//! | `ifeq ($(BOARD),B)` in the Makefile of a port without `boards/` | `B` |
//! | `ports/P/variants/V/`, or none of these but a Makefile | one board named as the port |
//!
//! Variants are `mpconfigvariant_V.{cmake,mk}` beside the board (since v1.24), comparisons with
//! `BOARD_VARIANT` in `mpconfigboard.*` (before), or the directories in `variants/`.

mod branch;
mod cmake;
mod cmake_syntax;
mod describe;
mod find;
mod flash;
mod header;
mod make;
mod make_syntax;
mod metadata;
mod number;
mod scan;
#[cfg(test)]
mod testing;

use std::path::PathBuf;

use serde::Serialize;

pub use metadata::Metadata;
pub use scan::scan;

/// The ports and boards of one source tree.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// The tree that was read.
    pub tree: PathBuf,
    /// The tree's version as `py/mpconfig.h` declares it, for example `1.28.0` or
    /// `1.29.0-preview`.
    pub version: Option<String>,
    /// The ports, sorted by name.
    pub ports: Vec<Port>,
    /// The boards, sorted by port and name.
    pub boards: Vec<Board>,
    /// What in the tree could not be understood. Each names the file.
    pub warnings: Vec<String>,
}

/// What a port is built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BuildSystem {
    /// A `CMakeLists.txt` (there may also be a Makefile that calls CMake).
    Cmake,
    /// A `Makefile`.
    Make,
}

/// A port: `ports/NAME`.
#[derive(Debug, Clone, Serialize)]
pub struct Port {
    /// Its name, for example `esp32`.
    pub name: String,
    /// Its directory, relative to the tree.
    pub directory: String,
    /// What it is built with; `None` when it is no program by itself (`embed`).
    pub build_system: Option<BuildSystem>,
    /// The board that its Makefile builds when none is named.
    pub default_board: Option<String>,
    /// Its documentation in the tree: files and directories, relative to the tree.
    pub documentation: Vec<String>,
}

/// A board of a port.
#[derive(Debug, Clone, Serialize)]
pub struct Board {
    /// The port's name.
    pub port: String,
    /// The board's name, as it is given to the build; the port's name where it has no boards.
    pub name: String,
    /// Where the board is described, relative to the tree.
    pub directory: String,
    /// The microcontroller or processor, in upstream's words.
    pub mcu: Option<String>,
    /// The machine that QEMU is to be, for boards that are emulated.
    pub machine: Option<Machine>,
    /// Pages about the board, relative to the tree.
    pub documentation: Vec<String>,
    /// Pages on how to flash the board, relative to the tree.
    pub flashing: Vec<String>,
    /// The board's `board.json`, relative to the tree, if there is one.
    pub board_json: Option<String>,
    /// What it says; empty when there is none, or none that can be read.
    #[serde(flatten)]
    pub metadata: Metadata,
    /// What can be built for it, the default first. There is always at least one.
    pub variants: Vec<Variant>,
}

/// An emulated machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The architecture in QEMU's words: `qemu-system-ARCHITECTURE` emulates it.
    pub architecture: String,
    /// The machine in QEMU's words (`-machine`).
    pub name: String,
}

/// One way to build a board.
#[derive(Debug, Clone, Serialize)]
pub struct Variant {
    /// Its name; `None` for the board without a variant.
    pub name: Option<String>,
    /// What it is, where upstream says.
    pub description: Option<String>,
    /// Whether it is what is built when no variant is named.
    pub default: bool,
    /// The size of the flash in bytes, where upstream declares it.
    pub flash_size: Option<u64>,
}

/// A board with one of its variants: what can be built.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// The port.
    pub port: &'a Port,
    /// The board.
    pub board: &'a Board,
    /// The variant.
    pub variant: &'a Variant,
}

impl Catalogue {
    /// The port with a name.
    pub fn port(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|port| port.name == name)
    }

    /// Everything that can be built.
    pub fn builds(&self) -> impl Iterator<Item = Build<'_>> {
        self.boards.iter().filter_map(|board| Some((self.port(&board.port)?, board))).flat_map(
            |(port, board)| {
                board.variants.iter().map(move |variant| Build { port, board, variant })
            },
        )
    }
}
