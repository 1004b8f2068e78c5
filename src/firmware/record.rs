//! `firmware.json`: what a build made, for everything that uses it afterwards.
//!
//! The schema only grows: fields are added, never changed or removed. Offsets and emulator
//! arguments come from the build itself, never from a constant.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::image::FlashSettings;
use crate::pins::Sha256Hash;
use crate::rewrite::ObjectRecord;

/// The file name of a record inside a firmware directory.
pub const FILE_NAME: &str = "firmware.json";

/// The schema number this version writes and reads.
pub const SCHEMA: u32 = 1;

/// What a build made. Paths are relative to the directory that holds the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// The port, as `ports/` names it: `qemu`, `unix`, `esp32`, …
    pub port: String,
    /// The board, as the port's `boards/` names it; the port's own name where it has no boards.
    pub board: String,
    /// The variant, when one was chosen or the port has a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The microcontroller or processor, as upstream names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcu: Option<String>,
    /// The MicroPython that was built.
    pub micropython: MicroPython,
    /// The ESP-IDF it was built with, for the esp32 port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub esp_idf: Option<EspIdf>,
    /// What was made, the file to run or flash first.
    pub files: Vec<File>,
    /// The emulator that runs it, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulator: Option<Emulator>,
    /// Frozen modules by their import path (`umqtt/simple.py`), sorted.
    #[serde(default)]
    pub frozen_modules: Vec<String>,
    /// User C modules by directory name, sorted.
    #[serde(default)]
    pub user_c_modules: Vec<UserCModule>,
    /// The objects of user C modules that the static-const rewrite gave a section.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub static_const: Vec<ObjectRecord>,
    /// Patches applied to MicroPython, in order.
    #[serde(default)]
    pub patches: Vec<Patch>,
    /// Variables given to the upstream build (`NAME=VALUE`), in order.
    #[serde(default)]
    pub make_arguments: Vec<String>,
    /// The compiler that built it, in its own words (the first line of `--version`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiler: Option<String>,
}

/// The MicroPython a firmware was built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MicroPython {
    /// The version that the firmware reports, as `git describe` writes it: `v1.25.0`.
    pub version: String,
    /// The commit, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// The ESP-IDF a firmware was built with, and what only its images have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EspIdf {
    /// Its version, as `tools/cmake/version.cmake` has it: `5.5.1`.
    pub version: String,
    /// The managed components, by name.
    pub components: Vec<Component>,
    /// How the flash is accessed, in esptool's words: mode (`dio`), frequency (`80m`), size (`4MB`).
    pub flash: FlashSettings,
    /// The partition table.
    pub partitions: Vec<Partition>,
    /// What takes the room, by archive, largest first.
    #[serde(default)]
    pub sizes: Vec<ArchiveSize>,
}

/// How many bytes of an archive (a component's, as a rule) are in the firmware, from the linker's map.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveSize {
    /// The archive's file name: `libmain.a`. Objects that lie in none stand under the name of their
    /// CMake target, small archives are summed up as `(others)`.
    pub archive: String,
    /// Code.
    pub text: u64,
    /// Constants.
    pub rodata: u64,
    /// Variables with an initial value, which is in the image too.
    pub data: u64,
    /// Variables without one, which take RAM only.
    pub bss: u64,
}

impl ArchiveSize {
    /// All of it.
    pub fn total(&self) -> u64 {
        [self.text, self.rodata, self.data, self.bss]
            .iter()
            .fold(0, |sum, it| sum.saturating_add(*it))
    }

    /// What is in the image and so in flash.
    pub fn in_flash(&self) -> u64 {
        self.total().saturating_sub(self.bss)
    }
}

/// A managed component that was built in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name: `espressif/mdns`.
    pub name: String,
    /// Its version, or the commit of one that comes from git.
    pub version: String,
    /// The component manager's hash of it, in hex.
    pub component_hash: String,
}

/// A partition, and how much of it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its name.
    pub name: String,
    /// Its type: `app`, `data` or a number.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its subtype: `factory`, `nvs`, … or a number.
    pub subtype: String,
    /// Where it begins in flash, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// How many bytes the build fills, for the partition that holds the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
}

/// What a file of a firmware is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// One image that holds everything, written at [`File::offset`].
    Firmware,
    /// The second-stage bootloader.
    Bootloader,
    /// The binary partition table.
    PartitionTable,
    /// The application alone.
    Application,
    /// The application alone, for a UF2 bootloader.
    Uf2,
    /// The linked program with its symbols. For an emulated board also what is run.
    Elf,
    /// A program for this machine (the unix port).
    Executable,
    /// The linker's map.
    Map,
}

/// One file of a firmware.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// What it is for.
    pub role: Role,
    /// Its name in the firmware directory.
    pub path: String,
    /// Its offset in flash, in bytes, for what is flashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of its contents, in lower-case hex.
    pub sha256: String,
}

/// How an emulator runs a firmware. The firmware's path is not among the arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emulator {
    /// The program, for example `qemu-system-riscv32`.
    pub program: String,
    /// Its arguments, without those for the console and for what it boots.
    pub arguments: Vec<String>,
    /// What it boots.
    #[serde(default)]
    pub boots: Boots,
}

/// What an emulator boots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Boots {
    /// The file with [`Role::Elf`], given with `-kernel`.
    #[default]
    Kernel,
    /// A flash as large as [`EspIdf::flash`] says, with the file with [`Role::Firmware`] in it.
    Flash,
}

/// A user C module that was built in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UserCModule {
    /// Its directory's name.
    pub name: String,
    /// The NAR hash of its directory in SRI form.
    pub nar_hash: String,
}

/// A patch that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Its file's name.
    pub name: String,
    /// The SHA-256 of the file, in lower-case hex.
    pub sha256: String,
}

impl Record {
    /// Reads the record of a firmware directory. The files it names are not looked at.
    ///
    /// # Errors
    /// When there is none, or it is not a record this version understands.
    pub fn read(directory: &Path) -> Result<Record> {
        let path = directory.join(FILE_NAME);
        let text = fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::input(format!(
                "{} is no firmware directory: it has no {FILE_NAME}",
                directory.display()
            ))
            .hint("give the directory that `micropython-builder build --out DIR` wrote"),
            _ => Error::io("read", &path, &error),
        })?;
        let malformed = |error: serde_json::Error| {
            Error::input(format!("{} is no firmware record: {error}", path.display()))
                .hint("build the firmware again")
        };
        let value: serde_json::Value = serde_json::from_slice(&text).map_err(malformed)?;
        match value.get("schema").and_then(serde_json::Value::as_u64) {
            Some(schema) if schema == u64::from(SCHEMA) => {
                serde_json::from_value(value).map_err(malformed)
            }
            found => Err(Error::input(format!(
                "{} has schema {}, this version reads schema {SCHEMA}",
                path.display(),
                found.map_or_else(|| "none".to_owned(), |number| number.to_string()),
            ))
            .hint("use the version of micropython-builder that built it, or build it again")),
        }
    }

    /// The first file with a role.
    pub fn file(&self, role: Role) -> Option<&File> {
        self.files.iter().find(|file| file.role == role)
    }

    /// Checks that every file is there with the recorded size and SHA-256.
    ///
    /// # Errors
    /// At the first file that is missing or differs.
    pub fn verify(&self, directory: &Path) -> Result<()> {
        for file in &self.files {
            let path = checked_path(directory, &file.path)?;
            let found = describe_file(&path, file.role, file.offset)?;
            if (found.size, &found.sha256) != (file.size, &file.sha256) {
                return Err(Error::input(format!(
                    "{} is not the file that {FILE_NAME} records: found {} bytes with sha256 {}, expected {} bytes with sha256 {}",
                    path.display(), found.size, found.sha256, file.size, file.sha256
                ))
                .hint("build the firmware again, or restore the file"));
            }
        }
        Ok(())
    }
}

/// `directory/name`, where `name` must be a plain file name: a record is data from elsewhere.
fn checked_path(directory: &Path, name: &str) -> Result<PathBuf> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(std::path::Component::Normal(_)), None) => Ok(directory.join(name)),
        _ => Err(Error::input(format!(
            "{FILE_NAME} names the file {name:?}, expected a plain file name"
        ))),
    }
}

/// The entry for a file that lies in a firmware directory.
///
/// # Errors
/// When it cannot be read or its name is not UTF-8.
pub fn describe_file(path: &Path, role: Role, offset: Option<u64>) -> Result<File> {
    let sha256 = Sha256Hash::of_file(path)?.to_hex();
    let size = fs::metadata(path).map_err(|error| Error::io("read", path, &error))?.len();
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Error::input(format!("{} has no name that can be recorded", path.display()))
    })?;
    Ok(File { role, path: name.to_owned(), offset, size, sha256 })
}
