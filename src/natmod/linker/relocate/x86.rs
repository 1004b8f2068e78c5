//! x86 and x64, by the System V ABI's supplements for the Intel386 and AMD64 architectures.

use object::elf::{
    R_386_32, R_386_GOT32, R_386_GOT32X, R_386_GOTOFF, R_386_GOTPC, R_386_NONE, R_386_PC32,
    R_386_PLT32, R_386_TLS_GD, R_386_TLS_IE, R_386_TLS_LE, R_X86_64_32, R_X86_64_32S, R_X86_64_64,
    R_X86_64_GOTPC32, R_X86_64_GOTPCREL, R_X86_64_GOTPCRELX, R_X86_64_NONE, R_X86_64_PC32,
    R_X86_64_PC64, R_X86_64_PLT32, R_X86_64_REX_GOTPCRELX, R_X86_64_TLSGD, R_X86_64_TLSLD,
    R_X86_64_TPOFF32,
};

use super::{GotUse, Linker, Spot};
use crate::natmod::linker::fault::{Fault, Why};

pub(super) fn got_use_32(kind: u32) -> GotUse {
    GotUse { needs: matches!(kind, R_386_GOT32 | R_386_GOT32X), makes: kind == R_386_PC32 }
}

pub(super) fn got_use_64(kind: u32) -> GotUse {
    let needs = matches!(kind, R_X86_64_GOTPCREL | R_X86_64_GOTPCRELX | R_X86_64_REX_GOTPCRELX);
    GotUse { needs, makes: false }
}

impl Linker<'_, '_> {
    pub(super) fn relocate_x86(&mut self, spot: Spot) -> Result<(), Fault> {
        let place = spot.address as i64;
        match spot.relocation.kind {
            R_386_NONE => Ok(()),
            R_386_32 => {
                let addend = i64::from(self.read_u32(spot)? as i32);
                self.put_pointer(spot, addend)
            }
            R_386_PC32 | R_386_PLT32 => {
                let target = self.near(spot)?;
                self.add_u32(spot, target - place)
            }
            R_386_GOTPC => self.add_u32(spot, self.layout.got as i64 - place),
            R_386_GOTOFF => {
                let target = self.near(spot)?;
                self.add_u32(spot, target - self.layout.got as i64)
            }
            R_386_GOT32 | R_386_GOT32X => {
                let entry = self.got_offset(spot)?;
                self.add_u32(spot, entry)
            }
            R_386_TLS_GD | R_386_TLS_IE | R_386_TLS_LE => {
                Err(self.unsupported(spot, Why::ThreadLocal))
            }
            _ => Err(self.unsupported(spot, Why::Unknown)),
        }
    }

    pub(super) fn relocate_x64(&mut self, spot: Spot) -> Result<(), Fault> {
        let place = spot.address as i64;
        let addend = spot.relocation.addend.unwrap_or(0);
        match spot.relocation.kind {
            R_X86_64_NONE => Ok(()),
            R_X86_64_64 => self.put_pointer(spot, addend),
            R_X86_64_PC32 | R_X86_64_PLT32 => {
                let target = self.near(spot)?;
                self.add_u32(spot, target - place)
            }
            R_X86_64_PC64 => {
                let distance = self.near(spot)?.wrapping_add(addend).wrapping_sub(place);
                self.bytes(spot, 8)?.copy_from_slice(&distance.to_le_bytes());
                Ok(())
            }
            R_X86_64_GOTPC32 => self.add_u32(spot, self.layout.got as i64 - place),
            R_X86_64_GOTPCREL | R_X86_64_GOTPCRELX | R_X86_64_REX_GOTPCRELX => {
                let entry = self.layout.got as i64 + self.got_offset(spot)?;
                self.add_u32(spot, entry - place)
            }
            R_X86_64_32 | R_X86_64_32S => Err(self.unsupported(spot, Why::NotPic)),
            R_X86_64_TLSGD | R_X86_64_TLSLD | R_X86_64_TPOFF32 => {
                Err(self.unsupported(spot, Why::ThreadLocal))
            }
            _ => Err(self.unsupported(spot, Why::Unknown)),
        }
    }
}
