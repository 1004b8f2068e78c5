//! ARM Thumb, by "ELF for the Arm Architecture". Object files keep addends in the place itself.

use object::elf::{
    R_ARM_ABS32, R_ARM_GOT_PREL, R_ARM_GOT32, R_ARM_GOTOFF, R_ARM_GOTPC, R_ARM_NONE, R_ARM_REL32,
    R_ARM_TARGET1, R_ARM_THM_JUMP19, R_ARM_THM_JUMP24, R_ARM_THM_MOVT_ABS, R_ARM_THM_MOVW_ABS_NC,
    R_ARM_THM_PC9, R_ARM_THM_PC11, R_ARM_THM_PC22, R_ARM_TLS_GD32, R_ARM_TLS_LE32, R_ARM_V4BX,
};

use super::{GotUse, Linker, Spot};
use crate::natmod::linker::entry::fits;
use crate::natmod::linker::fault::{Fault, Why};

// By the names that the specification has now.
const R_ARM_THM_CALL: u32 = R_ARM_THM_PC22;
const R_ARM_BASE_PREL: u32 = R_ARM_GOTPC;
const R_ARM_GOT_BREL: u32 = R_ARM_GOT32;
const R_ARM_GOTOFF32: u32 = R_ARM_GOTOFF;
const R_ARM_THM_JUMP11: u32 = R_ARM_THM_PC11;
const R_ARM_THM_JUMP8: u32 = R_ARM_THM_PC9;

pub(super) fn got_use(kind: u32) -> GotUse {
    GotUse { needs: matches!(kind, R_ARM_GOT_BREL | R_ARM_GOT_PREL), makes: false }
}

impl Linker<'_, '_> {
    pub(super) fn relocate_arm(&mut self, spot: Spot) -> Result<(), Fault> {
        let place = spot.address as i64;
        match spot.relocation.kind {
            // The last one marks an instruction for linkers that must do without it.
            R_ARM_NONE | R_ARM_V4BX => Ok(()),
            R_ARM_ABS32 | R_ARM_TARGET1 => {
                let addend = match spot.relocation.addend {
                    Some(addend) => addend,
                    None => i64::from(self.read_u32(spot)? as i32),
                };
                self.put_pointer(spot, addend)
            }
            R_ARM_REL32 => {
                let target = self.near(spot)?;
                self.add_u32(spot, target - place)
            }
            R_ARM_BASE_PREL => self.add_u32(spot, self.layout.got as i64 - place),
            R_ARM_GOTOFF32 => {
                let target = self.near(spot)?;
                self.add_u32(spot, target - self.layout.got as i64)
            }
            R_ARM_GOT_BREL => {
                let entry = self.got_offset(spot)?;
                self.add_u32(spot, entry)
            }
            R_ARM_GOT_PREL => {
                let entry = self.layout.got as i64 + self.got_offset(spot)?;
                self.add_u32(spot, entry - place)
            }
            R_ARM_THM_CALL | R_ARM_THM_JUMP24 => self.thumb_branch(spot),
            R_ARM_THM_JUMP19 => self.thumb_conditional_branch(spot),
            R_ARM_THM_JUMP11 => self.thumb_short_branch(spot, 11),
            R_ARM_THM_JUMP8 => self.thumb_short_branch(spot, 8),
            R_ARM_THM_MOVW_ABS_NC | R_ARM_THM_MOVT_ABS => Err(self.unsupported(spot, Why::NotPic)),
            R_ARM_TLS_GD32..=R_ARM_TLS_LE32 => Err(self.unsupported(spot, Why::ThreadLocal)),
            _ => Err(self.unsupported(spot, Why::Unknown)),
        }
    }

    /// `bl` and `b.w`: an offset of 25 bits in two half-words, two of them folded with the sign.
    fn thumb_branch(&mut self, spot: Spot) -> Result<(), Fault> {
        let code = self.read_u32(spot)?;
        let (first, second) = (code & 0xffff, code >> 16);
        let sign = first >> 10 & 1;
        let folded = |bit: u32| (second >> bit & 1 ^ sign) ^ 1;
        let raw = sign << 24
            | folded(13) << 23
            | folded(11) << 22
            | (first & 0x3ff) << 12
            | (second & 0x7ff) << 1;
        let addend = i64::from((raw << 7) as i32 >> 7);
        let distance = self.near(spot)? + addend - spot.address as i64;
        if !fits(distance, 25) {
            return Err(self.out_of_reach(spot, distance));
        }
        let value = distance as u32;
        let sign = value >> 24 & 1;
        let folded = |bit: u32| (value >> bit & 1 ^ sign) ^ 1;
        let first = first & 0xf800 | sign << 10 | value >> 12 & 0x3ff;
        let second = second & 0xd000 | folded(23) << 13 | folded(22) << 11 | value >> 1 & 0x7ff;
        self.write_u32(spot, second << 16 | first)
    }

    /// `b<condition>.w`: an offset of 21 bits in two half-words.
    fn thumb_conditional_branch(&mut self, spot: Spot) -> Result<(), Fault> {
        let code = self.read_u32(spot)?;
        let (first, second) = (code & 0xffff, code >> 16);
        let raw = (first >> 10 & 1) << 20
            | (second >> 11 & 1) << 19
            | (second >> 13 & 1) << 18
            | (first & 0x3f) << 12
            | (second & 0x7ff) << 1;
        let addend = i64::from((raw << 11) as i32 >> 11);
        let distance = self.near(spot)? + addend - spot.address as i64;
        if !fits(distance, 21) {
            return Err(self.out_of_reach(spot, distance));
        }
        let value = distance as u32;
        let first = first & 0xfbc0 | (value >> 20 & 1) << 10 | value >> 12 & 0x3f;
        let second = second & 0xd000
            | (value >> 18 & 1) << 13
            | (value >> 19 & 1) << 11
            | value >> 1 & 0x7ff;
        self.write_u32(spot, second << 16 | first)
    }

    /// `b` and `b<condition>` of 16 bits, with an offset of `bits` half-words.
    fn thumb_short_branch(&mut self, spot: Spot, bits: u32) -> Result<(), Fault> {
        let code = self.read_u16(spot)?;
        let mask = (1 << bits) - 1;
        let addend = i64::from(((code & mask) << (32 - bits)) as i32 >> (32 - bits)) * 2;
        let distance = self.near(spot)? + addend - spot.address as i64;
        if !fits(distance, bits + 1) {
            return Err(self.out_of_reach(spot, distance));
        }
        self.write_u16(spot, code & !mask | (distance >> 1) as u32 & mask)
    }
}
