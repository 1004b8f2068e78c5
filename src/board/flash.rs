//! The size of a build's flash, from wherever its port declares it.

use std::fs;
use std::path::{Path, PathBuf};

use super::cmake::Script;
use super::header;
use super::make::Makefile;
use super::number;

/// From the variables of a port that is built with make, in bytes.
///
/// `MICROPY_HW_FLASH_SIZE` (mimxrt), `FLASH_SIZE_BOARD` (cc3200), or `_flash_size` and
/// `_flashsize` in the board's linker scripts (nrf, samd). What other linker scripts call `FLASH`
/// is often but a part of it, and is left alone.
pub(super) fn of_makefile(port: &Path, board: &str, makefile: &Makefile) -> Option<u64> {
    if let Some(value) = makefile.value("MICROPY_HW_FLASH_SIZE") {
        return number::evaluate(&value);
    }
    if let Some(value) = makefile.value(&format!("FLASH_SIZE_{board}")) {
        return number::evaluate(&value);
    }
    makefile.words("LD_FILES").iter().find_map(|script| linker_symbol(&port.join(script)))
}

fn linker_symbol(script: &Path) -> Option<u64> {
    let text = fs::read(script).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let known = matches!(name.trim(), "_flash_size" | "_flashsize");
        number::evaluate(value.split(';').next().filter(|_| known)?)
    })
}

/// From the ESP-IDF configuration of an esp32 board, in bytes: the last
/// `CONFIG_ESPTOOLPY_FLASHSIZE_…` that the files of `SDKCONFIG_DEFAULTS` choose.
pub(super) fn of_sdkconfig(port: &Path, script: &Script) -> Option<u64> {
    let mut chosen = None;
    for file in script.list("SDKCONFIG_DEFAULTS")? {
        let text = fs::read(port.join(file)).ok()?;
        for line in String::from_utf8_lossy(&text).lines() {
            let Some((size, value)) = line
                .trim()
                .strip_prefix("CONFIG_ESPTOOLPY_FLASHSIZE_")
                .and_then(|line| line.split_once('='))
            else {
                continue;
            };
            if value == "y" {
                chosen = Some(size.to_owned());
            } else if chosen.as_deref() == Some(size) {
                chosen = None;
            }
        }
    }
    number::evaluate(chosen?.strip_suffix('B')?)
}

/// From the pico-sdk header of an rp2 board (`PICO_BOARD`), in bytes: `PICO_FLASH_SIZE_BYTES`.
///
/// The header lies beside the board or in the pico-sdk, whose directory is empty in a tree without
/// submodules. `mpconfigboard.h` is read after it, and may set the size too.
pub(super) fn of_pico_board(port: &Path, board: &str, script: &Script) -> Option<u64> {
    const NAME: &str = "PICO_FLASH_SIZE_BYTES";
    let sdk = port.join("../../lib/pico-sdk/src/boards/include");
    let pico_board = script.value("PICO_BOARD").map_or_else(|| board.to_lowercase(), str::to_owned);
    let own = script.list("PICO_BOARD_HEADER_DIRS").unwrap_or_default();
    let mut directories: Vec<PathBuf> = own.iter().map(|directory| port.join(directory)).collect();
    directories.push(sdk.join("boards"));
    let file = format!("{pico_board}.h");
    let path =
        directories.iter().map(|directory| directory.join(&file)).find(|path| path.is_file());
    directories.push(sdk);
    let sdk_says = path.as_ref().and_then(|path| header::definition(path, &directories, NAME));
    let board_says =
        header::definition(&port.join("boards").join(board).join("mpconfigboard.h"), &[], NAME);
    let definition = match (board_says, sdk_says) {
        (Some(board), _) if !board.yields => board,
        (_, Some(sdk)) => sdk,
        // A default of the board counts only when it is sure that the SDK says nothing.
        (Some(board), None) if path.is_some() || pico_board == "none" => board,
        _ => return None,
    };
    number::evaluate(&definition.value)
}
