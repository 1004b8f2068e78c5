//! Whether a file has the ABI of the module: the wrong library links without a word, and crashes when it
//! is run.
//!
//! From the header's flags (RISC-V ELF psABI), the attributes of "Addenda to, and Errata in, the ABI for
//! the Arm Architecture", and the `.xtensa.info` note that GNU as writes.

use super::elf::{ObjectFile, Part, Place};
use super::fault::Fault;
use super::target::{Family, Target};
use crate::natmod::Arch;

/// Checks a file.
///
/// # Errors
/// When it has another ABI than the module.
pub(super) fn check(file: &ObjectFile<'_>, target: Target) -> Result<(), Fault> {
    let problem = match target.family {
        Family::X86 | Family::X64 => None,
        Family::Riscv => riscv(file.flags),
        Family::Arm => arm(file.attributes.unwrap_or(&[]), target.arch),
        Family::Xtensa => xtensa(file, target.arch == Arch::Xtensawin),
    };
    match problem {
        None => Ok(()),
        Some((found, expected)) => Err(Fault::Abi {
            file: file.name.clone(),
            found: found.to_owned(),
            expected: expected.to_owned(),
            arch: target.arch,
        }),
    }
}

type Problem = Option<(&'static str, &'static str)>;

fn riscv(flags: u32) -> Problem {
    const FLOAT_ABI: u32 = 0x6;
    const RVE: u32 = 0x8;
    if flags & FLOAT_ABI != 0 {
        Some(("code that passes numbers in floating-point registers", "the soft-float ABI"))
    } else if flags & RVE != 0 {
        Some(("code for 16 registers (RV32E)", "the ABI for 32 registers"))
    } else {
        None
    }
}

fn xtensa(file: &ObjectFile<'_>, windowed: bool) -> Problem {
    const CALL0: &str = "code with the call0 ABI";
    const WINDOWED: &str = "code with the windowed ABI";
    let is_windowed = note_abi(file.attributes.unwrap_or(&[])).or_else(|| starts_windowed(file))?;
    match (is_windowed, windowed) {
        (true, false) => Some((WINDOWED, CALL0)),
        (false, true) => Some((CALL0, WINDOWED)),
        _ => None,
    }
}

/// What the note says: `ABI=0` is windowed, `ABI=1` call0.
fn note_abi(note: &[u8]) -> Option<bool> {
    let key = b"\nABI=";
    let at = note.windows(key.len()).position(|window| window == key)?;
    match note.get(at + key.len())? {
        b'0' => Some(true),
        b'1' => Some(false),
        _ => None,
    }
}

/// Whether the first function that there is begins with `entry`, as each does in the windowed ABI.
fn starts_windowed(file: &ObjectFile<'_>) -> Option<bool> {
    const ENTRY: u8 = 0x36;
    file.symbols.iter().filter(|symbol| symbol.is_function).find_map(|symbol| {
        let Place::Section(section) = symbol.place else { return None };
        let section = file.sections.get(section).filter(|section| section.part == Part::Text)?;
        let first = section.data.get(usize::try_from(symbol.value).ok()?)?;
        Some(*first == ENTRY)
    })
}

#[derive(Debug, Default, PartialEq, Eq)]
struct ArmAttributes {
    cpu_arch: u64,
    arm_instructions: bool,
    float_model: u64,
    float_arguments: u64,
}

fn arm(section: &[u8], arch: Arch) -> Problem {
    let attributes = ArmAttributes::parse(section)?;
    // Tag_CPU_arch: 11 and 12 are v6-M, 10 is v7 (v7-M among it), 13 v7E-M, above that is v8.
    let wants = match attributes.cpu_arch {
        0..=9 | 11 | 12 => 1,
        10 => 2,
        13 => 3,
        _ => 4,
    };
    let has = match arch {
        Arch::Armv6m => 1,
        Arch::Armv7m => 2,
        _ => 3,
    };
    let hard = matches!(arch, Arch::Armv7emsp | Arch::Armv7emdp);
    // 0 is the base standard, 1 VFP registers, 3 code that is for both.
    let passes = (attributes.float_model != 0).then_some(attributes.float_arguments);
    match passes {
        _ if attributes.arm_instructions && attributes.cpu_arch < 10 => {
            Some(("code with ARM instructions", "Thumb code"))
        }
        _ if wants > has => Some(("code for a newer processor", "code that the processor runs")),
        Some(0) if hard => Some(("soft-float code", "code with -mfloat-abi=hard")),
        Some(1) if !hard => Some(("code with -mfloat-abi=hard", "soft-float code")),
        _ => None,
    }
}

impl ArmAttributes {
    /// Reads `.ARM.attributes`; what cannot be read says nothing.
    fn parse(section: &[u8]) -> Option<ArmAttributes> {
        let mut reader = Attributes(section.strip_prefix(b"A")?);
        let _length = reader.word()?;
        if reader.text()? != b"aeabi" {
            return None;
        }
        // Those of the whole file come first.
        let tag = reader.number()?;
        let _length = reader.word()?;
        if tag != 1 {
            return None;
        }
        let mut found = ArmAttributes::default();
        while let Some(tag) = reader.number() {
            let value = match tag {
                4 | 5 => reader.text().map(|_| 0)?,
                32 => {
                    reader.number()?;
                    reader.text().map(|_| 0)?
                }
                _ if tag > 32 && tag % 2 == 1 => reader.text().map(|_| 0)?,
                _ => reader.number()?,
            };
            match tag {
                6 => found.cpu_arch = value,
                8 => found.arm_instructions = value == 1,
                23 => found.float_model = value,
                28 => found.float_arguments = value,
                _ => {}
            }
        }
        Some(found)
    }
}

struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    fn word(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*bytes))
    }

    /// An unsigned LEB128 number.
    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        let (text, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..)?;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(body: &[u8]) -> Vec<u8> {
        let mut section = b"A\0\0\0\0aeabi\0\x01\0\0\0\0".to_vec();
        section.extend_from_slice(body);
        section
    }

    #[test]
    fn arm_attributes_decide() {
        // Tag_CPU_name, then the tags of the table.
        let soft_v7m: &[u8] = b"\x05Cortex-M3\0\x06\x0a\x07\x4d\x17\x03";
        let hard_v7em: &[u8] = b"\x06\x0d\x17\x03\x1c\x01";
        let arm_mode: &[u8] = b"\x06\x02\x08\x01\x17\x03";
        let thumb_v4t: &[u8] = b"\x06\x02\x09\x01\x17\x03";
        let hard_without_floats: &[u8] = b"\x06\x0d\x1c\x01";
        for (body, arch, fits) in [
            (soft_v7m, Arch::Armv7m, true),
            (soft_v7m, Arch::Armv6m, false),
            (soft_v7m, Arch::Armv7emsp, false),
            (hard_v7em, Arch::Armv7emsp, true),
            (hard_v7em, Arch::Armv7emdp, true),
            (hard_v7em, Arch::Armv7m, false),
            (arm_mode, Arch::Armv6m, false),
            (thumb_v4t, Arch::Armv6m, true),
            (hard_without_floats, Arch::Armv7emsp, true),
        ] {
            let problem = arm(&attributes(body), arch);
            assert_eq!(problem.is_none(), fits, "{arch} {body:?}: {problem:?}");
        }
        assert_eq!(arm(b"", Arch::Armv6m), None);
        assert_eq!(arm(b"A\x01", Arch::Armv6m), None);
    }

    #[test]
    fn the_note_tells_the_call_abi() {
        assert_eq!(note_abi(b"x\0USE_ABSOLUTE_LITERALS=0\nABI=1\n"), Some(false));
        assert_eq!(note_abi(b"x\0USE_ABSOLUTE_LITERALS=0\nABI=0\n"), Some(true));
        assert_eq!(note_abi(b"USE_ABSOLUTE_LITERALS=0\n"), None);
    }

    #[test]
    fn riscv_flags_decide() {
        assert_eq!(riscv(0x1), None);
        assert!(riscv(0x3).is_some());
        assert!(riscv(0x5).is_some());
        assert!(riscv(0x9).is_some());
    }
}
