//! Xtensa, with both of its calling conventions. There is no psABI in print; the relocations are those of
//! GNU binutils (`include/elf/xtensa.h`), the instructions those of the Xtensa Instruction Set Architecture
//! Reference Manual.

use object::elf::{
    R_XTENSA_32, R_XTENSA_32_PCREL, R_XTENSA_ASM_EXPAND, R_XTENSA_DIFF8, R_XTENSA_DIFF32,
    R_XTENSA_NDIFF32, R_XTENSA_NONE, R_XTENSA_PDIFF8, R_XTENSA_PLT, R_XTENSA_SLOT0_OP,
    R_XTENSA_TLS_CALL, R_XTENSA_TLSDESC_FN,
};

use super::{Linker, Spot, names};
use crate::natmod::linker::elf::{Part, Relocation};
use crate::natmod::linker::entry::fits;
use crate::natmod::linker::fault::{Fault, Why};
use crate::natmod::linker::literals::Literal;
use crate::natmod::linker::symbols::{Meaning, Program, SectionId};
use crate::natmod::linker::target::Family;

const TLS: std::ops::RangeInclusive<u32> = R_XTENSA_TLSDESC_FN..=R_XTENSA_TLS_CALL;

/// Makes sure that a literal's relocation is an address.
pub(in crate::natmod::linker) fn check_literal(
    program: &Program<'_>,
    at: SectionId,
    relocation: &Relocation,
) -> Result<(), Fault> {
    let aligned = relocation.offset.is_multiple_of(4);
    if aligned && matches!(relocation.kind, R_XTENSA_32 | R_XTENSA_PLT) {
        return Ok(());
    }
    let why = if TLS.contains(&relocation.kind) { Why::ThreadLocal } else { Why::Unknown };
    Err(Fault::Unsupported {
        site: Box::new(program.site(at, relocation.offset)),
        relocation: names::name(Family::Xtensa, relocation.kind),
        symbol: "a literal".to_owned(),
        why,
    })
}

impl Linker<'_, '_> {
    pub(super) fn relocate_xtensa(&mut self, spot: Spot) -> Result<(), Fault> {
        match spot.relocation.kind {
            // Differences within a section, and marks for linkers that change the code's size, are right
            // as they are.
            R_XTENSA_NONE
            | R_XTENSA_ASM_EXPAND
            | R_XTENSA_DIFF8..=R_XTENSA_DIFF32
            | R_XTENSA_PDIFF8..=R_XTENSA_NDIFF32 => Ok(()),
            R_XTENSA_32 | R_XTENSA_PLT => {
                let place = i64::from(self.read_u32(spot)? as i32);
                self.put_pointer(spot, place + spot.relocation.addend.unwrap_or(0))
            }
            R_XTENSA_32_PCREL => {
                let place = i64::from(self.read_u32(spot)? as i32);
                let addend = place + spot.relocation.addend.unwrap_or(0);
                let distance = self.near(spot)?.wrapping_add(addend) - spot.address as i64;
                self.write_u32(spot, distance as u32)
            }
            R_XTENSA_SLOT0_OP => self.operand(spot),
            kind if TLS.contains(&kind) => Err(self.unsupported(spot, Why::ThreadLocal)),
            _ => Err(self.unsupported(spot, Why::Unknown)),
        }
    }

    /// The operand of an instruction: a literal, or code.
    fn operand(&mut self, spot: Spot) -> Result<(), Fault> {
        let addend = spot.relocation.addend.unwrap_or(0);
        match self.meaning(spot)? {
            Meaning::Section(id, value) => match self.program.section(id).map(|found| found.part) {
                Some(Part::Literal) => {
                    let offset = value.wrapping_add_signed(addend);
                    let address = match self.literals.at(id, offset) {
                        Some(Literal::Address(number)) => self.layout.got + 4 * number as u64,
                        Some(Literal::Number(number)) => self.layout.numbers + 4 * number as u64,
                        None => return Err(self.damaged(spot, "there is no such literal")),
                    };
                    self.patch(spot, address as i64)
                }
                // The assembler has settled what is in the same section.
                _ if id == spot.at => Ok(()),
                _ => {
                    let target = self.near(spot)?.wrapping_add(addend);
                    self.patch(spot, target)
                }
            },
            _ => {
                let target = self.near(spot)?.wrapping_add(addend);
                self.patch(spot, target)
            }
        }
    }

    /// Makes an instruction refer to an address, in bytes from the start of the code.
    fn patch(&mut self, spot: Spot, target: i64) -> Result<(), Fault> {
        let bytes = self.bytes(spot, 2)?;
        let low = bytes.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
        let narrow = low & 0xf >= 8;
        let size = if narrow { 2 } else { 3 };
        let bytes = self.bytes(spot, size)?;
        let code = bytes.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
        let place = spot.address as i64;
        let Some(field) = Field::of(code) else {
            return Err(self.damaged(spot, "the instruction takes no address"));
        };
        let (offset, scale) = match field.from {
            From::Next => (target - place - 4, 1),
            From::Call => (target - (place & !3) - 4, 4),
            From::Literal => (target - ((place + 3) & !3), 4),
        };
        let reaches = match (field.from, field.signed) {
            // Ones are put before the operand of `l32r`: it reaches backwards only.
            (From::Literal, _) => (-(1 << 18)..0).contains(&offset),
            (_, true) => fits(offset, field.bits + scale / 2),
            (_, false) => (0..1 << field.bits).contains(&offset),
        };
        if !reaches || offset % i64::from(scale) != 0 {
            return Err(self.out_of_reach(spot, target - place));
        }
        let value = (offset / i64::from(scale)) as u32 & ((1 << field.bits) - 1);
        let code = field.insert(code, value);
        let bytes = self.bytes(spot, size)?;
        for (byte, value) in bytes.iter_mut().zip(code.to_le_bytes()) {
            *byte = value;
        }
        Ok(())
    }
}

/// From where an operand counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Four bytes behind the instruction, in bytes.
    Next,
    /// The word behind the instruction's, in words.
    Call,
    /// The word that the instruction begins in, or the next, in words.
    Literal,
}

/// Where an instruction has its operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    from: From,
    bits: u32,
    signed: bool,
    narrow: bool,
}

impl Field {
    fn of(code: u32) -> Option<Field> {
        let field = |from, bits, signed| Some(Field { from, bits, signed, narrow: false });
        let (n, m) = (code >> 4 & 3, code >> 6 & 3);
        match (code & 0xf, n, m) {
            // l32r
            (1, ..) => field(From::Literal, 16, true),
            // call0, call4, call8, call12
            (5, ..) => field(From::Call, 18, true),
            // j
            (6, 0, _) => field(From::Next, 18, true),
            // beqz, bnez, bltz, bgez
            (6, 1, _) => field(From::Next, 12, true),
            // beqi, bnei, blti, bgei; bltui, bgeui
            (6, 2, _) | (6, 3, 2 | 3) => field(From::Next, 8, true),
            // loop, loopnez, loopgtz; bf, bt
            (6, 3, 1) => field(From::Next, 8, code >> 12 & 0xf < 8),
            // The branches that compare registers.
            (7, ..) => field(From::Next, 8, true),
            // beqz.n, bnez.n
            (0xc, ..) if code & 0x80 != 0 => {
                Some(Field { from: From::Next, bits: 6, signed: false, narrow: true })
            }
            _ => None,
        }
    }

    fn insert(self, code: u32, value: u32) -> u32 {
        if self.narrow {
            return code & !0xf030 | value & 0x30 | (value & 0xf) << 12;
        }
        let shift = 24 - self.bits;
        code & ((1 << shift) - 1) | value << shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instructions as GNU as writes them, with the operand's field filled with ones and zeros.
    #[test]
    fn operands_are_where_the_assembler_puts_them() {
        for (code, from, bits, full) in [
            (0x0000_0021, From::Literal, 16, 0xff_ff21),
            (0x0000_0005, From::Call, 18, 0xff_ffc5),
            (0x0000_0025, From::Call, 18, 0xff_ffe5),
            (0x0000_0006, From::Next, 18, 0xff_ffc6),
            (0x0000_0216, From::Next, 12, 0xff_f216),
            (0x0000_0226, From::Next, 8, 0xff_0226),
            (0x0000_0217, From::Next, 8, 0xff_0217),
            (0x0000_028c, From::Next, 6, 0xf2bc),
        ] {
            let field = Field::of(code).unwrap();
            assert_eq!((field.from, field.bits), (from, bits), "{code:x}");
            assert_eq!(field.insert(code, (1 << bits) - 1), full, "{code:x}");
            assert_eq!(field.insert(full, 0), code, "{code:x}");
        }
        // entry, add
        assert_eq!(Field::of(0x0041_0036).map(|field| field.from), None);
        assert_eq!(Field::of(0x0080_2230), None);
    }
}
