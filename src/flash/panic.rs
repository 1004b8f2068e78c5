//! Crash reports of ESP-IDF's panic handler (`components/esp_system/panic.c` and
//! `port/arch/*/panic_arch.c`), with the functions and lines of their addresses.

use std::fs;
use std::path::Path;

use gimli::{EndianRcSlice, RunTimeEndian};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use crate::error::{Error, Result};

/// Longer lines are no crash reports.
const LONGEST: usize = 4 << 10;

/// Finds crash reports in what a board says, and explains their addresses with an ELF file.
pub struct Explainer {
    context: addr2line::Context<EndianRcSlice<RunTimeEndian>>,
    functions: Vec<(u64, u64, String)>,
    line: Vec<u8>,
}

impl Explainer {
    /// Reads the ELF file of what runs on the board.
    ///
    /// # Errors
    /// When it cannot be read or is no ELF file.
    pub fn open(path: &Path) -> Result<Explainer> {
        let data = fs::read(path).map_err(|error| Error::io("read", path, &error))?;
        let malformed = |what: &dyn std::fmt::Display| {
            Error::input(format!(
                "{} is no ELF file with debug information: {what}",
                path.display()
            ))
        };
        let file = object::File::parse(data.as_slice()).map_err(|error| malformed(&error))?;
        let endian =
            if file.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        let section = |id: gimli::SectionId| -> std::result::Result<_, gimli::Error> {
            let data = file
                .section_by_name(id.name())
                .and_then(|section| section.uncompressed_data().ok())
                .unwrap_or_default();
            Ok(EndianRcSlice::new(data.as_ref().into(), endian))
        };
        let dwarf = gimli::Dwarf::load(section).map_err(|error| malformed(&error))?;
        let context = addr2line::Context::from_dwarf(dwarf).map_err(|error| malformed(&error))?;
        let mut functions: Vec<(u64, u64, String)> = file
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text)
            .filter_map(|symbol| {
                Some((symbol.address(), symbol.size(), symbol.name().ok()?.to_owned()))
            })
            .collect();
        functions.sort_unstable();
        Ok(Explainer { context, functions, line: Vec::new() })
    }

    /// Takes what a board says, in pieces as they come. The lines to show for what is complete.
    pub fn hear(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                if self.line.len() < LONGEST {
                    self.line.push(*byte);
                }
                continue;
            }
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
            for (address, called_from) in addresses(&line) {
                // A return address may be the first of the next function.
                let place = self.place(address.saturating_sub(u64::from(called_from)));
                lines.extend(place.map(|place| format!("    0x{address:08x}: {place}")));
            }
        }
        lines
    }

    /// The function and line that an address lies in.
    fn place(&self, address: u64) -> Option<String> {
        let function = self.function(address)?;
        let location = self.context.find_location(address).ok().flatten();
        let place = location.and_then(|it| Some((it.file?, it.line.unwrap_or(0))));
        Some(match place {
            Some((file, line)) => format!("{function} at {file}:{line}"),
            None => function.to_owned(),
        })
    }

    fn function(&self, address: u64) -> Option<&str> {
        let after = self.functions.partition_point(|(start, ..)| *start <= address);
        let (start, size, name) = self.functions.get(after.checked_sub(1)?)?;
        // Assembly often has no sizes.
        (*size == 0 || address < start + size).then_some(name)
    }
}

/// The code addresses in a line of a crash report, and whether each is where a call returns to.
fn addresses(line: &str) -> Vec<(u64, bool)> {
    let line = line.trim();
    if let Some(rest) = line.strip_prefix("Backtrace:") {
        // Xtensa: pairs of program counter and stack pointer. The handler has already turned return
        // addresses into those of the calls.
        let counters = rest.split_whitespace().filter_map(|pair| number(pair.split_once(':')?.0));
        return counters.map(|address| (address, false)).collect();
    }
    let mut words = line.split_whitespace().filter(|word| *word != ":");
    match words.next() {
        // RISC-V: where it happened, and where the function was called from.
        Some("MEPC") => {
            let exact = words.next().and_then(number).map(|address| (address, false));
            let called = words.find(|word| *word == "RA").and(words.next()).and_then(number);
            exact.into_iter().chain(called.map(|address| (address, true))).collect()
        }
        // Xtensa's register dump: the backtrace that follows begins with the same address.
        _ => Vec::new(),
    }
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_architectures_are_found() {
        let cases: [(&str, &[(u64, bool)]); 5] = [
            (
                "MEPC    : 0x42008a3c  RA      : 0x42008a3a  SP      : 0x3fc92e70  GP      : 0x3fc8c000  \r",
                &[(0x4200_8a3c, false), (0x4200_8a3a, true)],
            ),
            (
                "Backtrace: 0x400d1231:0x3ffb1f80 0x400d2000:0x3ffb1fa0 |<-CORRUPTED\r",
                &[(0x400d_1231, false), (0x400d_2000, false)],
            ),
            ("Backtrace:0x400d1231:0x3ffb1f80", &[(0x400d_1231, false)]),
            ("PC      : 0x400d1234  PS      : 0x00060330", &[]),
            (">>> MEPC = 1", &[]),
        ];
        for (line, expected) in cases {
            assert_eq!(addresses(line), expected, "{line}");
        }
    }

    /// A function of which nothing is compiled into another, nor anything of others into it.
    #[inline(never)]
    fn that_is_looked_for(numbers: u64) -> u64 {
        let mut sum = 0;
        let mut number = numbers;
        while number > 0 {
            sum ^= number << 1;
            number -= 1;
        }
        sum
    }

    #[test]
    fn addresses_are_explained_with_this_programs_own_symbols() {
        std::hint::black_box(that_is_looked_for(3));
        let mut explainer = Explainer::open(&std::env::current_exe().unwrap()).unwrap();
        let (address, size, name) = explainer
            .functions
            .iter()
            .find(|(_, _, name)| name.contains("that_is_looked_for"))
            .cloned()
            .unwrap();
        assert!(size > 8, "{size}");
        let line = format!("MEPC : 0x{:x}  RA : 0x{:x}\r\n", address + 8, address + size);
        let (first, second) = line.split_at(9);
        assert!(explainer.hear(first.as_bytes()).is_empty());
        let lines = explainer.hear(second.as_bytes());
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines.iter().all(|line| line.contains(&name)), "{lines:?}");
        assert!(lines[0].contains("panic.rs:"), "{lines:?}");
    }
}
