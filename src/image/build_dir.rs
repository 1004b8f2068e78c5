//! What an ESP-IDF build directory says of its parts: `flasher_args.json` and `sdkconfig`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::chip::Chip;
use crate::error::{Error, Result};

const FLASHER_ARGS: &str = "flasher_args.json";
const SDKCONFIG: &str = "sdkconfig";

/// The parts of a build, and where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildDir {
    /// The chip it was built for.
    pub chip: Chip,
    /// The second-stage bootloader.
    pub bootloader: PathBuf,
    /// Where the bootloader goes in flash, in bytes.
    pub bootloader_offset: u32,
    /// The binary partition table.
    pub partition_table: PathBuf,
    /// Where the partition table goes in flash, in bytes.
    pub table_offset: u32,
    /// The application.
    pub application: PathBuf,
    /// Where the build itself would flash the application.
    pub application_offset: u32,
    /// How the flash is to be accessed.
    pub flash: FlashSettings,
}

/// How a flash is accessed, in esptool's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlashSettings {
    /// `dio`, `qio`, …
    #[serde(rename = "flash_mode")]
    pub mode: String,
    /// `40m`, `80m`, …
    #[serde(rename = "flash_freq")]
    pub frequency: String,
    /// `4MB`, `detect`, …
    #[serde(rename = "flash_size")]
    pub size: String,
}

impl FlashSettings {
    /// The size in bytes, where it is one: `4MB`, `512KB`.
    pub fn size_in_bytes(&self) -> Option<u64> {
        size_in_bytes(&self.size)
    }
}

/// A size as esptool writes it (`4MB`, `512KB`), in bytes.
pub(crate) fn size_in_bytes(text: &str) -> Option<u64> {
    let (number, unit) = match text.strip_suffix("MB") {
        Some(number) => (number, 1 << 20),
        None => (text.strip_suffix("KB")?, 1 << 10),
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[derive(Deserialize)]
struct FlasherArgs {
    flash_settings: FlashSettings,
    bootloader: Option<Entry>,
    #[serde(rename = "partition-table")]
    partition_table: Option<Entry>,
    app: Option<Entry>,
    extra_esptool_args: ExtraArgs,
}

#[derive(Deserialize)]
struct Entry {
    offset: String,
    file: PathBuf,
}

#[derive(Deserialize)]
struct ExtraArgs {
    chip: String,
}

impl BuildDir {
    /// Reads `flasher_args.json` and `sdkconfig` of a build directory.
    ///
    /// # Errors
    /// When one of them is missing or malformed, or when they contradict each other.
    pub fn read(directory: &Path) -> Result<BuildDir> {
        let config = Sdkconfig::read(directory)?;
        let path = directory.join(FLASHER_ARGS);
        let args: FlasherArgs = serde_json::from_str(&read(directory, FLASHER_ARGS)?)
            .map_err(|error| malformed(&path, &error.to_string()))?;
        let chip = chip(&path, &args.extra_esptool_args.chip, &config)?;
        let (bootloader, bootloader_offset) = part(
            directory,
            args.bootloader.as_ref(),
            "bootloader/bootloader.bin",
            config.number("BOOTLOADER_OFFSET_IN_FLASH")?,
            "bootloader",
        )?;
        let (partition_table, table_offset) = part(
            directory,
            args.partition_table.as_ref(),
            "partition_table/partition-table.bin",
            config.number("PARTITION_TABLE_OFFSET")?,
            "partition table",
        )?;
        let application = args
            .app
            .as_ref()
            .ok_or_else(|| malformed(&path, "it names no application (\"app\")"))?;
        Ok(BuildDir {
            chip,
            bootloader,
            bootloader_offset,
            partition_table,
            table_offset,
            application: directory.join(&application.file),
            application_offset: offset(&path, &application.offset)?,
            flash: args.flash_settings,
        })
    }
}

fn malformed(path: &Path, what: &str) -> Error {
    Error::input(format!("{} is not what ESP-IDF writes: {what}", path.display()))
        .hint("give the directory that cmake built in, after a complete build")
}

fn read(directory: &Path, name: &str) -> Result<String> {
    let path = directory.join(name);
    fs::read_to_string(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::input(format!(
            "{} is no ESP-IDF build directory: it has no {name}",
            directory.display()
        ))
        .hint("give the directory that cmake built in, after a complete build"),
        io::ErrorKind::InvalidData => malformed(&path, "it is not UTF-8"),
        _ => Error::io("read", &path, &error),
    })
}

fn chip(path: &Path, name: &str, config: &Sdkconfig) -> Result<Chip> {
    let chip = Chip::by_name(name).ok_or_else(|| {
        let known: Vec<&str> = Chip::names().collect();
        malformed(path, &format!("the chip {name:?} is unknown"))
            .hint(format!("known: {}", known.join(", ")))
    })?;
    match config.text("IDF_TARGET") {
        Some(target) if target != chip.name => Err(malformed(
            path,
            &format!("the chip is {}, but {SDKCONFIG} says {target}", chip.name),
        )),
        _ => Ok(chip),
    }
}

/// A part's file and offset. What `flasher_args.json` leaves out (a bootloader, when secure boot is on)
/// lies where ESP-IDF puts it, at the offset in `sdkconfig`.
fn part(
    directory: &Path,
    entry: Option<&Entry>,
    default: &str,
    configured: Option<u32>,
    what: &str,
) -> Result<(PathBuf, u32)> {
    let path = directory.join(FLASHER_ARGS);
    match (entry, configured) {
        (Some(entry), configured) => {
            let given = offset(&path, &entry.offset)?;
            if let Some(configured) = configured.filter(|configured| *configured != given) {
                return Err(malformed(
                    &path,
                    &format!(
                        "the {what}'s offset is 0x{given:x}, but {SDKCONFIG} says 0x{configured:x}"
                    ),
                ));
            }
            Ok((directory.join(&entry.file), given))
        }
        (None, Some(configured)) => Ok((directory.join(default), configured)),
        (None, None) => {
            Err(malformed(&path, &format!("neither it nor {SDKCONFIG} places the {what}")))
        }
    }
}

fn offset(path: &Path, text: &str) -> Result<u32> {
    hexadecimal(text).ok_or_else(|| malformed(path, &format!("the offset {text:?} is no number")))
}

fn hexadecimal(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text);
    u32::from_str_radix(digits, 16).ok()
}

/// The configuration of an ESP-IDF build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sdkconfig {
    path: PathBuf,
    text: String,
}

impl Sdkconfig {
    /// Reads the `sdkconfig` of a build directory.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(directory: &Path) -> Result<Sdkconfig> {
        Ok(Sdkconfig { path: directory.join(SDKCONFIG), text: read(directory, SDKCONFIG)? })
    }

    /// The value of an option, without `CONFIG_` before its name and quotes around its value.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| {
            let value = line.strip_prefix("CONFIG_")?.strip_prefix(name)?.strip_prefix('=')?.trim();
            Some(value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value))
        })
    }

    /// The value of a hexadecimal option.
    ///
    /// # Errors
    /// When it is there and is no number.
    pub fn number(&self, name: &str) -> Result<Option<u32>> {
        self.text(name)
            .map(|value| {
                hexadecimal(value).ok_or_else(|| {
                    malformed(&self.path, &format!("CONFIG_{name} is {value:?}, expected a number"))
                })
            })
            .transpose()
    }
}
