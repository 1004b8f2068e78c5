//! What is to be written: the parts of a firmware, wherever they come from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::firmware::record::{FILE_NAME, Record, Role};
use crate::image::esp::EspImage;
use crate::image::flash::FlashImage;
use crate::image::partition::{APP, DATA, MAX_LENGTH, Partition, Table};
use crate::image::uf2::looks_uf2;
use crate::image::{Chip, bytes, split};

/// The subtype of the partition that says which application of several is started.
const OTA_DATA: u8 = 0x00;
/// The subtypes of application partitions that are started when nothing else is chosen, in ESP-IDF's
/// order: `factory`, then `ota_0`.
const FIRST_APPLICATIONS: [u8; 2] = [0x00, 0x10];
/// The names under which MicroPython looks for the partition of its filesystem (`ports/esp32/modules`).
const FILESYSTEMS: [&str; 2] = ["vfs", "ffat"];

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartRole {
    /// The second-stage bootloader.
    Bootloader,
    /// The partition table.
    PartitionTable,
    /// The application.
    Application,
    /// The contents of another partition.
    Data,
}

/// Bytes, and where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub role: PartRole,
    /// What it is called in messages.
    pub name: String,
    /// Where it goes in flash, in bytes.
    pub offset: u32,
    /// What goes there.
    pub data: Vec<u8>,
}

/// A firmware for an Espressif chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// The board, where it is known, else the file's name.
    pub name: String,
    /// The chip that its images are for.
    pub chip: Chip,
    /// The lowest chip revision that its images run on, `major * 100 + minor`.
    pub min_revision: u32,
    /// The flash size its bootloader is set up for, in bytes.
    pub flash_size: Option<u64>,
    /// What is written, by offset.
    pub parts: Vec<Part>,
    /// The partition table, unless it is an application alone.
    pub table: Option<Table>,
    /// The linked program with its symbols, where it lies beside the images.
    pub elf: Option<PathBuf>,
}

/// What a path turned out to be.
#[derive(Debug)]
pub enum Given {
    /// A firmware for an Espressif chip.
    Esp(Firmware),
    /// A UF2 file, for a bootloader that shows itself as a drive.
    Uf2(PathBuf),
    /// A firmware for a port that is flashed by other tools.
    Other(Box<Record>),
}

/// Looks at what was given: a directory with `firmware.json`, whose files are verified, or one file.
///
/// # Errors
/// When it is nothing that can be flashed, or a file is not the recorded one.
pub fn open(path: &Path) -> Result<Given> {
    if !path.is_dir() {
        return open_file(path);
    }
    let record = Record::read(path)?;
    record.verify(path)?;
    if record.port == "esp32" {
        return from_record(path, &record).map(Given::Esp);
    }
    Ok(match record.file(Role::Uf2) {
        Some(file) => Given::Uf2(path.join(&file.path)),
        None => Given::Other(Box::new(record)),
    })
}

fn open_file(path: &Path) -> Result<Given> {
    let data = fs::read(path).map_err(|error| Error::io("read", path, &error))?;
    if looks_uf2(&data) {
        return Ok(Given::Uf2(path.to_owned()));
    }
    let fail = |error: io::Error| Error::io("read", path, &error);
    if let Some(flash) = FlashImage::read(&data.as_slice()).map_err(fail)? {
        return from_flash_image(path, &data, &flash).map(Given::Esp);
    }
    match EspImage::read(&data.as_slice(), 0).map_err(fail)? {
        Some(image) if image.is_esp8266() => Err(Error::input(format!(
            "{} is for the ESP8266, which this program does not flash",
            path.display()
        ))
        .hint(format!(
            "`esptool --port PORT write-flash --flash-size detect 0 {}` does",
            path.display()
        ))),
        Some(image) if image.application.is_some() => {
            from_application(path, data, &image).map(Given::Esp)
        }
        Some(_) => Err(Error::input(format!(
            "{} is a bootloader alone, which starts nothing",
            path.display()
        ))
        .hint(format!("give the directory with {FILE_NAME}, or firmware.bin"))),
        None => Err(not_flashable(path, &data)),
    }
}

fn not_flashable(path: &Path, data: &[u8]) -> Error {
    let found = match data {
        [] => "it is empty",
        [0x7f, b'E', b'L', b'F', ..] => "it is an ELF file, with symbols and no place in flash",
        [0xaa, 0x50, ..] => "it is a partition table alone",
        _ => "it does not begin with an image header, so that nothing tells for which chip it is",
    };
    Error::input(format!("{} is no firmware that can be flashed: {found}", path.display()))
        .hint(format!(
            "give the directory with {FILE_NAME}, firmware.bin or a .uf2 file; `micropython-builder inspect FILE` says what a file is"
        ))
}

fn from_record(directory: &Path, record: &Record) -> Result<Firmware> {
    let mut parts = Vec::new();
    let mut elf = None;
    for file in &record.files {
        let path = directory.join(&file.path);
        let role = match file.role {
            Role::Bootloader => PartRole::Bootloader,
            Role::PartitionTable => PartRole::PartitionTable,
            Role::Application => PartRole::Application,
            Role::Elf => {
                elf = Some(path);
                continue;
            }
            _ => continue,
        };
        let offset =
            file.offset.and_then(|offset| u32::try_from(offset).ok()).ok_or_else(|| {
                Error::input(format!("{FILE_NAME} gives no offset in flash for {}", file.path))
                    .hint("build the firmware again")
            })?;
        let data = fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
        parts.push(Part { role, name: role.title().to_owned(), offset, data });
    }
    let complete = [PartRole::Bootloader, PartRole::PartitionTable, PartRole::Application]
        .iter()
        .all(|role| parts.iter().any(|part| part.role == *role));
    let mut firmware = if complete {
        let table = table_of(&parts)?;
        Firmware::new(record.board.clone(), parts, table)?
    } else {
        let file = record.file(Role::Firmware).ok_or_else(|| {
            Error::input(format!(
                "{} names neither firmware.bin nor bootloader, partition table and application",
                directory.join(FILE_NAME).display()
            ))
            .hint("build the firmware again")
        })?;
        match open_file(&directory.join(&file.path))? {
            Given::Esp(firmware) => firmware,
            _ => return Err(Error::input(format!("{} is no image of a flash", file.path))),
        }
    };
    firmware.name = match &record.variant {
        Some(variant) => format!("{}-{variant}", record.board),
        None => record.board.clone(),
    };
    let recorded = record.esp_idf.as_ref().and_then(|idf| idf.flash.size_in_bytes());
    firmware.flash_size = recorded.or(firmware.flash_size);
    firmware.elf = elf;
    Ok(firmware)
}

fn table_of(parts: &[Part]) -> Result<Table> {
    let part = parts.iter().find(|part| part.role == PartRole::PartitionTable);
    Table::from_binary(part.map_or(&[], |part| part.data.as_slice()), true)
}

/// A whole image is taken apart, so that the gaps between its parts, where settings may lie, are not
/// written over.
fn from_flash_image(path: &Path, data: &[u8], flash: &FlashImage) -> Result<Firmware> {
    let damaged = |problem: &str| {
        Error::input(format!("{} is damaged: {problem}", path.display()))
            .hint("`micropython-builder inspect FILE` tells all that is wrong with it")
    };
    let images = flash.contents.iter().filter_map(|content| content.image.as_ref());
    let problems = flash
        .table
        .problems
        .iter()
        .chain(&flash.problems)
        .chain(&flash.bootloader.problems)
        .chain(images.flat_map(|image| &image.problems));
    if let Some(problem) = problems.into_iter().next() {
        return Err(damaged(problem));
    }
    if !flash.offset_known {
        return Err(damaged("no application begins where its partition table says"));
    }
    let mut parts = Vec::new();
    for piece in split::pieces(&data, flash).map_err(|error| Error::io("read", path, &error))? {
        let role = match piece.role {
            "bootloader" => PartRole::Bootloader,
            "partition-table" => PartRole::PartitionTable,
            "application" => PartRole::Application,
            _ => PartRole::Data,
        };
        let size = usize::try_from(piece.size).unwrap_or(usize::MAX);
        let data = bytes::vec(&data, piece.position, size)
            .map_err(|error| Error::io("read", path, &error))?;
        let offset = u32::try_from(piece.offset)
            .map_err(|_| damaged("a part lies beyond what can be addressed"))?;
        let name = match role {
            PartRole::Data => piece.partition.unwrap_or(piece.name),
            _ => role.title().to_owned(),
        };
        parts.push(Part { role, name, offset, data });
    }
    Firmware::new(file_name(path), parts, flash.table.table.clone())
}

/// An application alone has no place of its own: the device's partition table has to tell.
fn from_application(path: &Path, data: Vec<u8>, image: &EspImage) -> Result<Firmware> {
    if let Some(problem) = image.problems.first() {
        return Err(Error::input(format!("{} is damaged: {problem}", path.display()))
            .hint("build it again, or get it again"));
    }
    let part = Part {
        role: PartRole::Application,
        name: PartRole::Application.title().to_owned(),
        offset: 0,
        data,
    };
    let mut firmware = Firmware::of_images(file_name(path), vec![part])?;
    firmware.table = None;
    Ok(firmware)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

impl PartRole {
    /// What it is called in messages.
    pub fn title(self) -> &'static str {
        match self {
            PartRole::Bootloader => "bootloader",
            PartRole::PartitionTable => "partition table",
            PartRole::Application => "application",
            PartRole::Data => "data",
        }
    }
}

impl Part {
    /// Where it ends in flash: the offset of the first byte after it.
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + self.data.len() as u64
    }
}

impl Firmware {
    fn new(name: String, parts: Vec<Part>, table: Table) -> Result<Firmware> {
        let mut firmware = Firmware::of_images(name, parts)?;
        firmware.parts.extend(ota_data(&table).map(erased));
        firmware.parts.sort_by_key(|part| part.offset);
        firmware.table = Some(table);
        Ok(firmware)
    }

    /// What the headers of the images tell.
    fn of_images(name: String, parts: Vec<Part>) -> Result<Firmware> {
        let mut chips: Vec<(Chip, &str)> = Vec::new();
        let (mut min_revision, mut flash_size) = (0, None);
        for part in &parts {
            if !matches!(part.role, PartRole::Bootloader | PartRole::Application) {
                continue;
            }
            let image = EspImage::read(&part.data.as_slice(), 0)
                .map_err(|error| Error::internal(format!("cannot read bytes: {error}")))?;
            let Some(image) = image.filter(|image| !image.is_esp8266()) else {
                return Err(Error::input(format!(
                    "the {} of {name} has no image header",
                    part.name
                )));
            };
            let chip = image.chip_id.and_then(Chip::by_id).ok_or_else(|| {
                Error::input(format!(
                    "the {} of {name} is for an {}",
                    part.name,
                    image.chip_title()
                ))
            })?;
            chips.push((chip, &part.name));
            min_revision = min_revision.max(revision(image.min_chip_revision.as_deref()));
            if part.role == PartRole::Bootloader {
                flash_size = image.flash_size;
            }
        }
        let Some((chip, first)) = chips.first() else {
            return Err(Error::input(format!("{name} holds no image that a chip could start")));
        };
        if let Some((other, second)) = chips.iter().find(|(other, _)| other.id != chip.id) {
            return Err(Error::input(format!(
                "the {first} of {name} is for an {}, its {second} for an {}",
                chip.title(),
                other.title()
            ))
            .hint("build the firmware again"));
        }
        let chip = *chip;
        Ok(Firmware { name, chip, min_revision, flash_size, parts, table: None, elf: None })
    }

    /// Whether it is an application without bootloader and partition table.
    pub fn is_application_alone(&self) -> bool {
        self.table.is_none()
    }

    /// The part with a role.
    pub fn part(&self, role: PartRole) -> Option<&Part> {
        self.parts.iter().find(|part| part.role == role)
    }

    /// Leaves only what an update of the application writes: the application, and the erasing of what
    /// says that another one is to be started.
    pub fn keep_application(&mut self) {
        let application = self.part(PartRole::Application).map_or(0, |part| part.offset);
        let ota = self.table.as_ref().and_then(ota_data).map(|partition| partition.offset);
        self.parts.retain(|part| part.offset == application || Some(part.offset) == ota);
    }

    /// Places an application alone where the table of a device says that one is started.
    ///
    /// # Errors
    /// When the table has no such partition, or it is too small.
    pub fn place(&mut self, table: &Table) -> Result<()> {
        let application = FIRST_APPLICATIONS
            .iter()
            .find_map(|subtype| {
                table.partitions.iter().find(|it| it.kind == APP && it.subtype == *subtype)
            })
            .ok_or_else(|| {
                Error::device("the device's partition table has no partition for an application")
                    .hint(
                        "flash a whole firmware: the directory with firmware.json, or firmware.bin",
                    )
            })?;
        for part in &mut self.parts {
            part.offset = application.offset;
            if part.data.len() as u64 > u64::from(application.size) {
                return Err(Error::device(format!(
                    "the application has {} bytes, its partition {:?} on the device {} bytes",
                    part.data.len(),
                    application.name,
                    application.size
                ))
                .hint("flash a whole firmware, whose partition table has room for it"));
            }
        }
        self.parts.extend(ota_data(table).map(erased));
        self.parts.sort_by_key(|part| part.offset);
        Ok(())
    }
}

/// A part that erases a partition. For that which says which application is started: else a device that
/// once updated itself would start its other one.
fn erased(partition: &Partition) -> Part {
    Part {
        role: PartRole::Data,
        name: partition.name.clone(),
        offset: partition.offset,
        data: vec![0xff; partition.size as usize],
    }
}

fn ota_data(table: &Table) -> Option<&Partition> {
    table.partitions.iter().find(|it| it.kind == DATA && it.subtype == OTA_DATA)
}

/// The partition in which MicroPython keeps the user's files.
pub fn filesystem(table: &Table) -> Option<&Partition> {
    FILESYSTEMS.iter().find_map(|name| table.find(name)).filter(|found| found.kind == DATA)
}

/// How many bytes of a device are read for its partition table.
pub const TABLE_LENGTH: u32 = MAX_LENGTH as u32;

/// A revision as [`EspImage`] has it, `major.minor`.
fn revision(text: Option<&str>) -> u32 {
    let Some((major, minor)) = text.and_then(|text| text.split_once('.')) else { return 0 };
    major.parse().unwrap_or(0) * 100 + minor.parse().unwrap_or(0)
}
