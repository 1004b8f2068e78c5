//! RISC-V, by the RISC-V ELF psABI. Nothing is relaxed: the code keeps the size it was compiled with.

use std::collections::HashMap;

use object::elf::{
    R_RISCV_32, R_RISCV_32_PCREL, R_RISCV_64, R_RISCV_ADD8, R_RISCV_ADD16, R_RISCV_ADD32,
    R_RISCV_ADD64, R_RISCV_ALIGN, R_RISCV_BRANCH, R_RISCV_CALL, R_RISCV_CALL_PLT, R_RISCV_GOT_HI20,
    R_RISCV_GOT32_PCREL, R_RISCV_HI20, R_RISCV_JAL, R_RISCV_LO12_I, R_RISCV_LO12_S, R_RISCV_NONE,
    R_RISCV_PCREL_HI20, R_RISCV_PCREL_LO12_I, R_RISCV_PCREL_LO12_S, R_RISCV_PLT32, R_RISCV_RELAX,
    R_RISCV_RVC_BRANCH, R_RISCV_RVC_JUMP, R_RISCV_SET6, R_RISCV_SET8, R_RISCV_SET16, R_RISCV_SET32,
    R_RISCV_SUB6, R_RISCV_SUB8, R_RISCV_SUB16, R_RISCV_SUB32, R_RISCV_SUB64, R_RISCV_TLS_GD_HI20,
    R_RISCV_TLS_GOT_HI20, R_RISCV_TLSDESC_CALL, R_RISCV_TLSDESC_HI20, R_RISCV_TPREL_ADD,
    R_RISCV_TPREL_HI20,
};

use super::{GotUse, Linker, Spot};
use crate::natmod::linker::elf::Relocation;
use crate::natmod::linker::entry::fits;
use crate::natmod::linker::fault::{Fault, Why};
use crate::natmod::linker::symbols::{Meaning, Program, SectionId};
use crate::natmod::linker::target::Family;

pub(super) fn got_use(kind: u32, is_64: bool) -> GotUse {
    let word = if is_64 { R_RISCV_64 } else { R_RISCV_32 };
    GotUse { needs: matches!(kind, R_RISCV_GOT_HI20 | R_RISCV_GOT32_PCREL), makes: kind == word }
}

/// The bits of `c.j` that hold its distance.
pub(in crate::natmod::linker) fn cj_bits(distance: u32) -> u32 {
    let bit = |from: u32, to: u32| (distance >> from & 1) << to;
    (distance & 0xe) << 2
        | (distance & 0x300) << 1
        | bit(4, 11)
        | bit(5, 2)
        | bit(6, 7)
        | bit(7, 6)
        | bit(10, 8)
        | bit(11, 12)
}

/// The `auipc` instructions of a section, by their offset: the halves of an address that follow refer to
/// them.
#[derive(Debug, Default)]
pub(super) struct Labels(HashMap<u64, Relocation>);

impl Labels {
    pub(super) fn of(program: &Program<'_>, at: SectionId) -> Labels {
        let section = program.section(at).filter(|_| program.target.family == Family::Riscv);
        let upper = |relocation: &&Relocation| {
            matches!(relocation.kind, R_RISCV_GOT_HI20 | R_RISCV_PCREL_HI20)
        };
        let relocations = section.into_iter().flat_map(|section| &section.relocations);
        Labels(relocations.filter(upper).map(|one| (one.offset, *one)).collect())
    }
}

/// The upper 20 bits of a distance, rounded so that a signed lower half completes it.
fn upper(distance: i64) -> u32 {
    (distance as u32).wrapping_add(0x800) & 0xffff_f000
}

impl Linker<'_, '_> {
    pub(super) fn relocate_riscv(&mut self, spot: Spot, labels: &Labels) -> Result<(), Fault> {
        let addend = spot.relocation.addend.unwrap_or(0);
        match spot.relocation.kind {
            // Nothing is relaxed, so what is aligned stays so as far as its section is.
            R_RISCV_NONE | R_RISCV_RELAX | R_RISCV_ALIGN => Ok(()),
            R_RISCV_32 if !self.program.target.is_64() => self.put_pointer(spot, addend),
            R_RISCV_64 => self.put_pointer(spot, addend),
            R_RISCV_GOT_HI20 | R_RISCV_PCREL_HI20 => {
                let distance = self.upper_distance(spot)?;
                let code = self.read_u32(spot)?;
                self.write_u32(spot, code & 0xfff | upper(distance))
            }
            R_RISCV_PCREL_LO12_I | R_RISCV_PCREL_LO12_S => self.lower_half(spot, labels),
            R_RISCV_CALL | R_RISCV_CALL_PLT => self.call(spot),
            R_RISCV_JAL | R_RISCV_BRANCH | R_RISCV_RVC_BRANCH | R_RISCV_RVC_JUMP => {
                self.riscv_branch(spot)
            }
            R_RISCV_32_PCREL | R_RISCV_PLT32 => {
                let distance = self.riscv_distance(spot)?;
                self.write_u32(spot, distance as u32)
            }
            R_RISCV_GOT32_PCREL => {
                let distance = self.upper_distance(spot)?;
                self.write_u32(spot, distance as u32)
            }
            R_RISCV_HI20 | R_RISCV_LO12_I | R_RISCV_LO12_S => self.absolute(spot),
            R_RISCV_TLS_GD_HI20
            | R_RISCV_TLS_GOT_HI20
            | R_RISCV_TPREL_HI20..=R_RISCV_TPREL_ADD
            | R_RISCV_TLSDESC_HI20..=R_RISCV_TLSDESC_CALL => {
                Err(self.unsupported(spot, Why::ThreadLocal))
            }
            _ => self.arithmetic(spot),
        }
    }

    fn riscv_distance(&self, spot: Spot) -> Result<i64, Fault> {
        let addend = spot.relocation.addend.unwrap_or(0);
        let distance = self.near(spot)?.wrapping_add(addend).wrapping_sub(spot.address as i64);
        if fits(distance, 32) { Ok(distance) } else { Err(self.out_of_reach(spot, distance)) }
    }

    /// How far it is from an `auipc` to what it is for.
    fn upper_distance(&self, spot: Spot) -> Result<i64, Fault> {
        match spot.relocation.kind {
            R_RISCV_PCREL_HI20 => self.riscv_distance(spot),
            _ => {
                let addend = spot.relocation.addend.unwrap_or(0);
                let entry = self.layout.got as i64 + self.got_offset(spot)?;
                Ok(entry.wrapping_add(addend).wrapping_sub(spot.address as i64))
            }
        }
    }

    /// The lower 12 bits of the distance from an `auipc`, at which the relocation's symbol is.
    fn lower_half(&mut self, spot: Spot, labels: &Labels) -> Result<(), Fault> {
        let label = match self.meaning(spot)? {
            Meaning::Section(id, value) if id == spot.at => labels.0.get(&value),
            _ => None,
        };
        let Some(&relocation) = label else {
            return Err(self.damaged(spot, "the instruction it continues is missing"));
        };
        let address = self.layout.address(spot.at) + relocation.offset;
        let lower = self.upper_distance(Spot { relocation, address, ..spot })? as u32 & 0xfff;
        self.write_lower(spot, lower, spot.relocation.kind == R_RISCV_PCREL_LO12_S)
    }

    fn write_lower(&mut self, spot: Spot, lower: u32, store: bool) -> Result<(), Fault> {
        let code = self.read_u32(spot)?;
        let code = if store {
            code & 0x01ff_f07f | (lower & 0xfe0) << 20 | (lower & 0x1f) << 7
        } else {
            code & 0x000f_ffff | lower << 20
        };
        self.write_u32(spot, code)
    }

    /// `auipc` and `jalr`.
    fn call(&mut self, spot: Spot) -> Result<(), Fault> {
        let distance = self.riscv_distance(spot)?;
        let code = self.read_u32(spot)?;
        self.write_u32(spot, code & 0xfff | upper(distance))?;
        let mut second = Spot { address: spot.address + 4, ..spot };
        second.relocation.offset += 4;
        self.write_lower(second, distance as u32 & 0xfff, false)
    }

    fn riscv_branch(&mut self, spot: Spot) -> Result<(), Fault> {
        let distance = self.riscv_distance(spot)?;
        let d = distance as u32;
        let bits = match spot.relocation.kind {
            R_RISCV_JAL => 21,
            R_RISCV_BRANCH => 13,
            R_RISCV_RVC_JUMP => 12,
            _ => 9,
        };
        if !fits(distance, bits) {
            return Err(self.out_of_reach(spot, distance));
        }
        match spot.relocation.kind {
            R_RISCV_JAL => {
                let code = self.read_u32(spot)? & 0xfff;
                let d = (d & 0x10_0000) << 11 | d & 0xf_f000 | (d & 0x800) << 9 | (d & 0x7fe) << 20;
                self.write_u32(spot, code | d)
            }
            R_RISCV_BRANCH => {
                let code = self.read_u32(spot)? & 0x01ff_f07f;
                let d = (d & 0x1000) << 19 | (d & 0x800) >> 4 | (d & 0x7e0) << 20 | (d & 0x1e) << 7;
                self.write_u32(spot, code | d)
            }
            R_RISCV_RVC_JUMP => {
                let code = self.read_u16(spot)? & 0xe003;
                self.write_u16(spot, code | cj_bits(d))
            }
            _ => {
                let code = self.read_u16(spot)? & 0xe383;
                let d = (d & 0x100) << 4
                    | (d & 0xc0) >> 1
                    | (d & 0x20) >> 3
                    | (d & 0x18) << 7
                    | (d & 0x06) << 2;
                self.write_u16(spot, code | d)
            }
        }
    }

    /// An address in code that was compiled for a fixed place: right only for what does not move.
    fn absolute(&mut self, spot: Spot) -> Result<(), Fault> {
        let address = match self.meaning(spot)? {
            Meaning::Fixed(address) => address as i64,
            Meaning::Nothing => 0,
            _ => return Err(self.unsupported(spot, Why::NotPic)),
        };
        let value = address.wrapping_add(spot.relocation.addend.unwrap_or(0));
        match spot.relocation.kind {
            R_RISCV_HI20 => {
                let code = self.read_u32(spot)?;
                self.write_u32(spot, code & 0xfff | upper(value))
            }
            kind => self.write_lower(spot, value as u32 & 0xfff, kind == R_RISCV_LO12_S),
        }
    }

    /// Sums that the assembler left open: differences of labels, in tables of jumps.
    fn arithmetic(&mut self, spot: Spot) -> Result<(), Fault> {
        let (bits, operation): (u32, fn(u64, u64) -> u64) = match spot.relocation.kind {
            R_RISCV_ADD8 => (8, u64::wrapping_add),
            R_RISCV_ADD16 => (16, u64::wrapping_add),
            R_RISCV_ADD32 => (32, u64::wrapping_add),
            R_RISCV_ADD64 => (64, u64::wrapping_add),
            R_RISCV_SUB6 => (6, u64::wrapping_sub),
            R_RISCV_SUB8 => (8, u64::wrapping_sub),
            R_RISCV_SUB16 => (16, u64::wrapping_sub),
            R_RISCV_SUB32 => (32, u64::wrapping_sub),
            R_RISCV_SUB64 => (64, u64::wrapping_sub),
            R_RISCV_SET6 => (6, |_, value| value),
            R_RISCV_SET8 => (8, |_, value| value),
            R_RISCV_SET16 => (16, |_, value| value),
            R_RISCV_SET32 => (32, |_, value| value),
            _ => return Err(self.unsupported(spot, Why::Unknown)),
        };
        let value = self.near(spot)?.wrapping_add(spot.relocation.addend.unwrap_or(0)) as u64;
        let bytes = self.bytes(spot, u64::from(bits.div_ceil(8)))?;
        let old = bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
        let mask = u64::MAX >> (64 - bits);
        let new = old & !mask | operation(old & mask, value) & mask;
        for (byte, value) in bytes.iter_mut().zip(new.to_le_bytes()) {
            *byte = value;
        }
        Ok(())
    }
}
