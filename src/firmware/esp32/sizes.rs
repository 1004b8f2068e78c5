//! What takes the room in a firmware: sizes per archive, from the linker's map.
//!
//! The map is GNU ld's (`-Map`, `ldlang.c`): output sections begin in the first column, input sections
//! in the second, and a name that is too long has its numbers on the next line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::error::{Error, Result};
use crate::firmware::record::ArchiveSize;

/// How many archives are listed; the others are summed up.
const LISTED: usize = 40;

/// The name of that sum.
const OTHERS: &str = "(others)";

/// What an output section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Text,
    Rodata,
    Data,
    Bss,
}

/// Reads the sizes from the map of a build, largest first.
pub(super) fn read(map: &Path) -> Result<Vec<ArchiveSize>> {
    let fail = |error| Error::io("read", map, &error);
    let mut reader = Reader::default();
    for line in BufReader::new(File::open(map).map_err(fail)?).split(b'\n') {
        reader.line(&String::from_utf8_lossy(&line.map_err(fail)?));
    }
    Ok(reader.finish())
}

#[derive(Debug, Default)]
struct Reader {
    /// Whether the part that lists sections has begun: before it stand those that were discarded.
    begun: bool,
    class: Option<Class>,
    /// Whether the line before was the name of an input section and nothing else.
    named: bool,
    sizes: BTreeMap<String, ArchiveSize>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if !self.begun {
            self.begun = line == "Linker script and memory map";
            return;
        }
        let named = std::mem::take(&mut self.named);
        if line.starts_with('.') {
            self.class = line.split_whitespace().next().and_then(class);
            return;
        }
        let Some(class) = self.class else { return };
        let Some(rest) = line.strip_prefix(' ') else { return };
        let numbers = if rest.starts_with(' ') {
            // Lines of symbols look alike, but follow no lone name.
            if !named {
                return;
            }
            rest.trim_start()
        } else if rest.starts_with('*') {
            // Patterns of the script, and the padding between sections, which belongs to nobody.
            return;
        } else {
            let (_, numbers) = rest.split_once(' ').unwrap_or((rest, ""));
            self.named = numbers.is_empty();
            numbers.trim_start()
        };
        if let Some((size, file)) = size_and_file(numbers) {
            self.add(class, size, archive(file));
        }
    }

    fn add(&mut self, class: Class, size: u64, archive: &str) {
        let entry = self.sizes.entry(archive.to_owned()).or_insert_with(|| ArchiveSize {
            archive: archive.to_owned(),
            ..ArchiveSize::default()
        });
        let part = match class {
            Class::Text => &mut entry.text,
            Class::Rodata => &mut entry.rodata,
            Class::Data => &mut entry.data,
            Class::Bss => &mut entry.bss,
        };
        *part = part.saturating_add(size);
    }

    fn finish(self) -> Vec<ArchiveSize> {
        let mut sizes: Vec<ArchiveSize> =
            self.sizes.into_values().filter(|size| size.total() > 0).collect();
        sizes.sort_by_key(|size| std::cmp::Reverse(size.total()));
        if sizes.len() > LISTED {
            let mut others = ArchiveSize { archive: OTHERS.to_owned(), ..ArchiveSize::default() };
            for size in sizes.drain(LISTED..) {
                others.text += size.text;
                others.rodata += size.rodata;
                others.data += size.data;
                others.bss += size.bss;
            }
            sizes.push(others);
        }
        sizes
    }
}

/// What an output section of ESP-IDF's linker scripts (`sections.ld.in`) holds; none for what is not
/// loaded: debug information, notes, and room that is only reserved.
fn class(section: &str) -> Option<Class> {
    const LOADED: &[&str] =
        &[".dram", ".eh_frame", ".ext_ram", ".flash", ".iram", ".noinit", ".rtc", ".sram", ".tcm"];
    if !LOADED.iter().any(|prefix| section.starts_with(prefix)) || section.contains("noload") {
        return None;
    }
    const CLASSES: &[(&str, Class)] = &[
        ("bss", Class::Bss),
        ("noinit", Class::Bss),
        ("text", Class::Text),
        ("vectors", Class::Text),
        ("rodata", Class::Rodata),
        ("appdesc", Class::Rodata),
        ("eh_frame", Class::Rodata),
        ("init_array", Class::Rodata),
        ("data", Class::Data),
    ];
    CLASSES.iter().find(|(word, _)| section.contains(word)).map(|(_, class)| *class)
}

/// `0xADDRESS 0xSIZE FILE`
fn size_and_file(numbers: &str) -> Option<(u64, &str)> {
    let (address, rest) = numbers.split_once(' ')?;
    address.strip_prefix("0x")?;
    let (size, file) = rest.trim_start().split_once(' ')?;
    let size = u64::from_str_radix(size.strip_prefix("0x")?, 16).ok()?;
    Some((size, file.trim()))
}

/// The name of the archive that `path/libx.a(y.o)` lies in; of an object that lies in none, the CMake
/// target that it was compiled for (`CMakeFiles/TARGET.dir/x.c.obj`) or its own name.
fn archive(file: &str) -> &str {
    let path = file
        .split_once(".a(")
        .map_or(file, |(path, _)| file.get(..path.len() + ".a".len()).unwrap_or(path));
    let name = path.rsplit('/').next().unwrap_or(path);
    if path.ends_with(".a") {
        return name;
    }
    path.rsplit('/').find_map(|part| part.strip_suffix(".dir")).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As GNU ld writes it.
    const MAP: &str = "\
Discarded input sections

 .text.gone     0x00000000      0x100 esp-idf/main/libmain.a(gone.c.obj)

Memory Configuration

Linker script and memory map

                0x00000000                IDF_TARGET = 0x0
.iram0.text     0x40380000       0x30
                0x40380000                _iram_text_start = ABSOLUTE (.)
 *(.iram1 .iram1.*)
 .iram1.0       0x40380000        0x6 esp-idf/main/libmain.a(a.c.obj)
                0x40380000                fast
 *fill*         0x40380006        0x2 
 .iram1.a_very_long_name
                0x40380008        0xa /esp-idf/lib/libphy.a(phy.o)
                0x40380008                phy

.flash_rodata_dummy
                0x3c000020    0x10000
                0x3c010020                . = ALIGN (0x10000)

.flash.rodata   0x3c140120       0x18
 .rodata.x      0x3c140120       0x10 esp-idf/main/libmain.a(a.c.obj)
 .srodata.cst4  0x3c140130        0x8 CMakeFiles/micropython.elf.dir/x.c.obj
                                  0x10 (size before relaxing)
.dram0.data     0x3fc95200        0x4
 .sdata         0x3fc95200        0x4 esp-idf/main/libmain.a(a.c.obj)
.dram0.bss      0x3fc98860       0x20
 .bss           0x3fc98860       0x20 esp-idf/main/libmain.a(b.c.obj)
 .bss           0x3fc98880        0x0 esp-idf/empty/libempty.a(b.c.obj)
.flash.rodata_noload
                0x3c178750        0x0
 .nothing       0x3c178750       0x99 esp-idf/main/libmain.a(a.c.obj)
.debug_info     0x00000000      0x200
 .debug_info    0x00000010      0x200 esp-idf/main/libmain.a(a.c.obj)
";

    fn size(archive: &str, [text, rodata, data, bss]: [u64; 4]) -> ArchiveSize {
        ArchiveSize { archive: archive.to_owned(), text, rodata, data, bss }
    }

    fn sizes(map: &str) -> Vec<ArchiveSize> {
        let mut reader = Reader::default();
        map.lines().for_each(|line| reader.line(line));
        reader.finish()
    }

    #[test]
    fn what_is_loaded_is_counted_for_its_archive() {
        let expected = [
            size("libmain.a", [6, 16, 4, 32]),
            size("libphy.a", [10, 0, 0, 0]),
            size("micropython.elf", [0, 8, 0, 0]),
        ];
        assert_eq!(sizes(MAP), expected);
        assert_eq!(sizes(""), []);
    }

    #[test]
    fn small_archives_are_summed_up() {
        let mut map = "Linker script and memory map\n.flash.text 0x42000000 0x1000\n".to_owned();
        for number in 1..=LISTED + 2 {
            map += &format!(" .text 0x42000000 {number:#x} lib{number}.a(a.o)\n");
        }
        let sizes = sizes(&map);
        assert_eq!(sizes.len(), LISTED + 1);
        assert_eq!(sizes[0], size(&format!("lib{}.a", LISTED + 2), [LISTED as u64 + 2, 0, 0, 0]));
        assert_eq!(sizes[LISTED], size(OTHERS, [3, 0, 0, 0]));
    }
}
