//! Descriptions for people.

use std::fmt::Write;

use crate::image::bytes_text as bytes;
use crate::image::descriptor::{Application, Bootloader};
use crate::image::esp::{Check, EspImage};
use crate::image::partition::{Md5Row, Partition};
use crate::image::uf2::{Family, Uf2};
use crate::inspect::banner::Banner;
use crate::inspect::elf::Elf;
use crate::inspect::mpy::Mpy;
use crate::inspect::{Description, Flash, Kind, TableFile};
use crate::natmod::header;

/// More rows than this are counted, not shown.
const SHOWN: usize = 24;

/// What a file is, line by line.
pub(super) fn describe(path: &str, description: &Description) -> String {
    let mut text = Text::default();
    let what = match &description.content {
        Kind::Mpy { mpy } => text.mpy(mpy),
        Kind::EspImage { image, trailing } => text.esp_image(image, *trailing),
        Kind::FlashImage { flash } => text.flash(flash),
        Kind::PartitionTable { table } => text.table(table, "partition table"),
        Kind::PartitionTableCsv { table } => text.table(table, "partition table as text (CSV)"),
        Kind::Uf2 { uf2 } => text.uf2(uf2),
        Kind::Elf { elf } => text.elf(elf),
        Kind::Raw { vectors } => {
            if let Some(vectors) = vectors {
                text.field("initial stack", hex(vectors.initial_stack));
                text.field("reset", hex(vectors.reset));
            }
            match vectors {
                Some(_) => "raw binary for a Cortex-M".to_owned(),
                None => "raw binary".to_owned(),
            }
        }
        Kind::Unknown { begins } => {
            if !begins.is_empty() {
                text.field("begins with", begins);
            }
            "unknown".to_owned()
        }
    };
    if let Some(banner) = &description.micropython {
        text.fields.insert(0, ("MicroPython", banner_text(banner)));
    }
    for problem in &description.problems {
        text.field("wrong", problem);
    }
    format!("{path}: {what}, {}\n{}{}", bytes(description.size), text.lines(), text.tail)
}

/// Fields under a headline, and what follows them.
#[derive(Default)]
struct Text {
    fields: Vec<(&'static str, String)>,
    tail: String,
}

impl Text {
    fn field(&mut self, name: &'static str, value: impl ToString) {
        self.fields.push((name, value.to_string()));
    }

    fn maybe(&mut self, name: &'static str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    fn lines(&self) -> String {
        let width = self.fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        self.fields.iter().fold(String::new(), |mut text, (name, value)| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name:width$}  {value}");
            text
        })
    }

    fn mpy(&mut self, mpy: &Mpy) -> String {
        self.field("MicroPython", mpy.releases);
        match &mpy.arch {
            Some(arch) => self.field("architecture", arch),
            None if mpy.native => self.field("architecture", mpy.arch_code),
            None => {}
        }
        let named = |flags| header::flags_text(mpy.arch_code, flags);
        self.maybe("architecture flags", mpy.arch_flags.map(named));
        self.field("small integers", format!("{} bits or more", mpy.small_int_bits));
        self.maybe("qstr window", mpy.qstr_window);
        self.maybe("Unicode strings", mpy.unicode.map(yes_no));
        self.maybe("cached look-ups", mpy.caches_map_lookup.map(yes_no));
        match mpy.sys_mpy {
            Some(value) => {
                self.field(
                    "sys.implementation._mpy",
                    format!("{value} (0x{value:x}) or compatible"),
                );
            }
            None => self.field(
                "sys.implementation._mpy",
                format!("any with {} as its lowest byte", mpy.major_version),
            ),
        }
        if let Some(contents) = &mpy.contents {
            self.maybe("source", contents.source.as_ref());
            self.field("qstrs", contents.qstrs);
            self.maybe("names", names(&contents.names));
            self.field("objects", contents.objects);
            if contents.bytecode_functions > 0 {
                self.field("bytecode", code(contents.bytecode_functions, contents.bytecode_size));
            }
            if contents.native_functions > 0 {
                self.field("native code", code(contents.native_functions, contents.native_size));
            }
            if contents.rodata_size > 0 {
                self.field("read-only data", bytes(contents.rodata_size));
            }
            if contents.bss_size > 0 {
                self.field("zeroed data", bytes(contents.bss_size));
            }
        }
        let kind = if mpy.native { "native code" } else { "bytecode" };
        format!(".mpy version {}, {kind}", mpy.version)
    }

    fn esp_image(&mut self, image: &EspImage, trailing: u64) -> String {
        self.image_fields(image);
        self.field("checksum", verdict(image.checksum.as_ref()));
        if image.sha256.is_some() {
            self.field("SHA-256", sha256(image));
        }
        if image.signatures > 0 {
            let plural = if image.signatures == 1 { "" } else { "s" };
            self.field("secure boot v2", format!("{} signature block{plural}", image.signatures));
        }
        if trailing > 0 {
            self.field("after it", bytes(trailing));
        }
        let mut rows = vec![row(["segment", "address", "offset", "size"])];
        for (number, segment) in image.segments.iter().enumerate() {
            rows.push(row([
                &number.to_string(),
                &hex(segment.address),
                &hex(segment.offset),
                &segment.size.to_string(),
            ]));
        }
        self.tail = columns(&rows);
        let what = match (&image.application, &image.bootloader) {
            (Some(_), _) => "application image",
            (None, Some(_)) => "bootloader image",
            (None, None) => "image",
        };
        format!("{} {what}", image.chip_title())
    }

    fn image_fields(&mut self, image: &EspImage) {
        if let Some(application) = &image.application {
            self.application_fields(application);
        }
        if let Some(bootloader) = &image.bootloader {
            self.field("bootloader", bootloader_text(bootloader));
        }
        self.field("entry", hex(image.entry));
        self.field("flash", flash_text(image));
        if let Some(lowest) = &image.min_chip_revision {
            let highest = image.max_chip_revision.as_deref();
            let up_to = highest.map_or_else(|| " or later".to_owned(), |top| format!(" to v{top}"));
            self.field("chip revision", format!("v{lowest}{up_to}"));
        }
    }

    fn application_fields(&mut self, application: &Application) {
        self.field("project", format!("{} {}", application.project, application.version));
        self.field("ESP-IDF", &application.idf_version);
        if !application.date.is_empty() {
            self.field("compiled", format!("{} {}", application.date, application.time));
        }
        self.field("ELF SHA-256", &application.elf_sha256);
    }

    fn flash(&mut self, flash: &Flash) -> String {
        let assumed = if flash.offset_known { "" } else { " (assumed)" };
        self.field("write at", format!("{}{assumed}", hex(flash.offset)));
        let bootloader = &flash.bootloader;
        self.field(
            "bootloader",
            format!(
                "at {}: {}, {}",
                hex(flash.bootloader_offset),
                bytes(bootloader.length),
                checks(bootloader)
            ),
        );
        self.maybe("", bootloader.bootloader.as_ref().map(bootloader_text));
        self.field("flash", flash_text(bootloader));
        for filled in &flash.partitions {
            if let Some(image) = &filled.image {
                self.field(
                    "application",
                    format!(
                        "in {:?}: {}, {}",
                        filled.partition.name,
                        bytes(image.length),
                        checks(image)
                    ),
                );
                if let Some(application) = &image.application {
                    self.application_fields(application);
                }
            }
        }
        self.field(
            "partition table",
            format!("at {}, {}", hex(flash.table_offset), md5(flash.table_md5)),
        );
        let mut rows = vec![row([
            "name", "type", "subtype", "offset", "end", "size", "flags", "used", "free",
        ])];
        for filled in &flash.partitions {
            let mut cells = partition_columns(&filled.partition);
            let size = u64::from(filled.partition.size);
            let used = filled.image.as_ref().map_or(filled.content.used, |image| image.length);
            if filled.content.present > 0 {
                cells.extend([used.to_string(), size.saturating_sub(used).to_string()]);
            } else {
                cells.extend(["-".to_owned(), "-".to_owned()]);
            }
            rows.push(cells);
        }
        self.tail = columns(&rows);
        format!("{} flash image", bootloader.chip_title())
    }

    fn table(&mut self, table: &TableFile, what: &str) -> String {
        self.field("partitions", table.partitions.len());
        self.maybe("MD5", table.md5.map(md5));
        for warning in &table.warnings {
            self.field("note", warning);
        }
        let mut rows = vec![row(["name", "type", "subtype", "offset", "end", "size", "flags"])];
        rows.extend(table.partitions.iter().map(partition_columns));
        self.tail = columns(&rows);
        what.to_owned()
    }

    fn uf2(&mut self, uf2: &Uf2) -> String {
        for (name, value) in &uf2.tags {
            self.field("tag", format!("{name}: {value}"));
        }
        for family in &uf2.families {
            self.field("family", family_text(family));
            for range in family.ranges.iter().take(SHOWN) {
                let size = range.end - range.start;
                self.field(
                    "",
                    format!("{} to {}: {}", hex(range.start), hex(range.end), bytes(size)),
                );
            }
            if family.ranges.len() > SHOWN {
                self.field("", format!("and {} ranges more", family.ranges.len() - SHOWN));
            }
        }
        format!("UF2, {} blocks", uf2.blocks)
    }

    fn elf(&mut self, elf: &Elf) -> String {
        self.field("entry", hex(elf.entry));
        self.field("text", bytes(elf.text));
        self.field("data", bytes(elf.data));
        self.field("bss", bytes(elf.bss));
        // Where each function has a section of its own, the largest ones tell most.
        let mut sections: Vec<_> = elf.sections.iter().collect();
        if sections.len() > SHOWN {
            sections.sort_by_key(|section| std::cmp::Reverse(section.size));
            sections.truncate(SHOWN);
            self.field("sections", format!("{}, of which the largest are", elf.sections.len()));
        }
        let mut rows = vec![row(["section", "address", "size"])];
        for section in sections {
            rows.push(row([&section.name, &hex(section.address), &section.size.to_string()]));
        }
        if rows.len() > 1 {
            self.tail = columns(&rows);
        }
        format!("ELF {}-bit {}-endian {}, {}", elf.bits, elf.endianness, elf.kind, elf.machine)
    }
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.into_iter().map(str::to_owned).collect()
}

/// A partition's cells: name, type, subtype, offset, end, size, flags.
pub(in crate::cli) fn partition_columns(partition: &Partition) -> Vec<String> {
    let flags = match (partition.encrypted, partition.readonly) {
        (false, false) => "",
        (true, false) => "encrypted",
        (false, true) => "readonly",
        (true, true) => "encrypted:readonly",
    };
    vec![
        partition.name.clone(),
        partition.type_text(),
        partition.subtype_text(),
        hex(partition.offset),
        hex(partition.end()),
        partition.size.to_string(),
        flags.to_owned(),
    ]
}

/// Rows whose cells stand below each other, indented by two. Columns of which all cells are empty but
/// the first are left out; what looks like a number is aligned to the right.
pub(in crate::cli) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, index: usize| row.get(index).cloned().unwrap_or_default();
    let kept: Vec<(usize, usize, bool)> = (0..count)
        .filter_map(|index| {
            let cells: Vec<String> = rows.iter().map(|row| cell(row, index)).collect();
            let body = cells.get(1..).unwrap_or(&[]);
            let width = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
            let number = body
                .iter()
                .all(|cell| cell.starts_with(|first: char| first == '-' || first.is_ascii_digit()));
            (body.is_empty() || body.iter().any(|cell| !cell.is_empty())).then_some((
                index,
                width,
                number && !body.is_empty(),
            ))
        })
        .collect();
    rows.iter().fold(String::new(), |mut text, row| {
        let line = kept.iter().fold(String::new(), |mut line, (index, width, number)| {
            let cell = cell(row, *index);
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            let (before, after) = if *number { (&*padding, "") } else { ("", &*padding) };
            let _ = write!(line, "  {before}{cell}{after}");
            line
        });
        let _ = writeln!(text, "{}", line.trim_end());
        text
    })
}

fn banner_text(banner: &Banner) -> String {
    match &banner.machine {
        Some(machine) => format!("{} of {}, {machine}", banner.version, banner.date),
        None => format!("{} of {}", banner.version, banner.date),
    }
}

fn bootloader_text(bootloader: &Bootloader) -> String {
    match bootloader.date_time.as_str() {
        "" => format!("ESP-IDF {}", bootloader.idf_version),
        date_time => format!("ESP-IDF {}, compiled {date_time}", bootloader.idf_version),
    }
}

fn flash_text(image: &EspImage) -> String {
    let size = image.flash_size.map_or_else(|| "unknown size".to_owned(), size_text);
    format!(
        "{}, {}, {size}",
        image.flash_mode.unwrap_or("unknown mode"),
        image.flash_frequency.unwrap_or("unknown frequency")
    )
}

fn size_text(size: u64) -> String {
    match size {
        size if size.is_multiple_of(1 << 20) => format!("{}MB", size >> 20),
        size => format!("{}KB", size >> 10),
    }
}

fn checks(image: &EspImage) -> String {
    format!("checksum {}, SHA-256 {}", verdict(image.checksum.as_ref()), sha256(image))
}

fn sha256(image: &EspImage) -> &'static str {
    match &image.sha256 {
        None if image.problems.is_empty() => "absent",
        check => verdict(check.as_ref()),
    }
}

fn verdict(check: Option<&Check>) -> &'static str {
    match check {
        Some(check) if check.valid => "valid",
        Some(_) => "wrong",
        None => "not read",
    }
}

fn md5(row: Md5Row) -> &'static str {
    match row {
        Md5Row::Absent => "MD5 absent",
        Md5Row::Valid => "MD5 valid",
        Md5Row::Wrong => "MD5 wrong",
    }
}

fn family_text(family: &Family) -> String {
    let name = match (family.id, family.name) {
        (Some(id), Some(name)) => format!("{name} (0x{id:08x})"),
        (Some(id), None) => format!("0x{id:08x}"),
        (None, _) => "none".to_owned(),
    };
    let other = match family.not_main_flash {
        0 => String::new(),
        count => format!(", {count} of them not for the main flash"),
    };
    format!("{name}: {} blocks{other}, {}", family.blocks, bytes(family.bytes))
}

fn code(functions: u64, size: u64) -> String {
    let plural = if functions == 1 { "" } else { "s" };
    format!("{functions} function{plural}, {}", bytes(size))
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn hex(value: impl Into<u64>) -> String {
    format!("0x{:x}", value.into())
}

/// The names that a file brings, as many as are good to read.
fn names(names: &[String]) -> Option<String> {
    const SHOWN: usize = 16;
    let shown = names.get(..SHOWN).unwrap_or(names).join(", ");
    match names.len().saturating_sub(SHOWN) {
        _ if names.is_empty() => None,
        0 => Some(shown),
        more => Some(format!("{shown} and {more} more")),
    }
}
