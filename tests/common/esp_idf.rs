//! Where a real ESP-IDF is, and what else a real build of an ESP32 board takes: the environment says it
//! (docs/esp32.md).

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The board that is built with it.
pub const BOARD: &str = "ESP32_GENERIC_C3";

pub struct EspIdf {
    pub idf: PathBuf,
    pub micropython: PathBuf,
    pub components: PathBuf,
    pub python: PathBuf,
    pub toolchain: PathBuf,
    pub qemu: Option<PathBuf>,
}

impl EspIdf {
    /// None when the environment does not name all of it.
    pub fn named() -> Option<EspIdf> {
        let get =
            |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Some(EspIdf {
            idf: get("MPB_ESP_IDF")?,
            micropython: get("MPB_ESP_MICROPYTHON")?,
            components: get("MPB_ESP_COMPONENTS")?,
            python: get("MPB_ESP_PYTHON")?,
            toolchain: get("MPB_ESP_TOOLCHAIN")?,
            qemu: get("MPB_ESP_QEMU"),
        })
    }

    /// Where programs are looked for, first of all the compiler.
    pub fn path(&self) -> std::ffi::OsString {
        let others = env::var_os("PATH").unwrap();
        let all = std::iter::once(self.toolchain.clone()).chain(env::split_paths(&others));
        env::join_paths(all).unwrap()
    }

    /// Makes a command, the program under test or one that runs it, build the board.
    pub fn build(&self, command: &mut Command, out: &Path) {
        command.args(["build", BOARD, "--micropython"]).arg(&self.micropython);
        command.arg("--idf").arg(&self.idf).arg("--components").arg(&self.components);
        command.arg("--python").arg(&self.python).arg("--out").arg(out);
        command.env("PATH", self.path()).env_remove("IDF_PATH").env_remove("SOURCE_DATE_EPOCH");
    }
}
