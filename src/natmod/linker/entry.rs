//! The jump at the start of a module, to its `mpy_init`.
//!
//! Encodings from the Intel 64 and IA-32, ARMv6-M, ARMv7-M and Xtensa instruction set manuals and the
//! RISC-V specification. Which of them is taken when follows upstream's `tools/mpy_ld.py`.

use super::release::Release;
use super::target::{Family, Target};

/// A way to jump: how many bytes it takes, and its code for a distance from the module's start, if it
/// reaches that far.
pub(super) struct Jump {
    pub size: u64,
    encode: Encode,
}

type Encode = fn(i64) -> Option<Vec<u8>>;

impl Jump {
    /// The code that jumps `distance` bytes forward, padded with zeros.
    pub(super) fn code(&self, distance: u64) -> Option<Vec<u8>> {
        let mut code = (self.encode)(i64::try_from(distance).ok()?)?;
        code.resize(usize::try_from(self.size).ok()?, 0);
        Some(code)
    }
}

/// The jumps to try, in this order.
pub(super) fn jumps(target: Target, release: &Release) -> Vec<Jump> {
    let short = release.has_short_jumps(target.arch);
    let thumb_2 = target.arch != crate::natmod::Arch::Armv6m;
    let (padded, long_size, long): (_, _, Encode) = match target.family {
        Family::X86 | Family::X64 => return vec![Jump { size: 5, encode: x86 }],
        Family::Xtensa => return vec![Jump { size: 3, encode: xtensa }],
        Family::Riscv if short => {
            return vec![
                Jump { size: 2, encode: riscv_short },
                Jump { size: 8, encode: riscv_long },
            ];
        }
        Family::Riscv => return vec![Jump { size: 8, encode: riscv_long }],
        Family::Arm if thumb_2 => (!short, 4, thumb_2_long),
        Family::Arm => (!short, 8, thumb_1_long),
    };
    let short_size = if padded { long_size } else { 2 };
    vec![Jump { size: short_size, encode: thumb_short }, Jump { size: long_size, encode: long }]
}

/// Whether a number fits `bits` bits, one of them its sign.
pub(super) fn fits(value: i64, bits: u32) -> bool {
    let limit = 1i64 << (bits - 1);
    (-limit..limit).contains(&value)
}

fn half_words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| (*word as u16).to_le_bytes()).collect()
}

fn x86(distance: i64) -> Option<Vec<u8>> {
    let distance = i32::try_from(distance - 5).ok()?;
    let mut code = vec![0xe9];
    code.extend_from_slice(&distance.to_le_bytes());
    Some(code)
}

/// `b distance`; the program counter is four bytes ahead.
fn thumb_short(distance: i64) -> Option<Vec<u8>> {
    let offset = distance - 4;
    fits(offset, 12).then(|| half_words(&[0xe000 | (offset >> 1) as u32 & 0x7ff]))
}

/// `b.w distance`.
fn thumb_2_long(distance: i64) -> Option<Vec<u8>> {
    let offset = distance - 4;
    let (high, low) = ((offset >> 12) as u32 & 0x7ff, (offset >> 1) as u32 & 0x7ff);
    fits(offset, 23).then(|| half_words(&[0xf000 | high, 0xb800 | low]))
}

/// `push {r0, lr}; bl distance; pop {r0, pc}`, as ARMv6-M has no long jump.
fn thumb_1_long(distance: i64) -> Option<Vec<u8>> {
    let offset = distance - 6;
    let (high, low) = ((offset >> 12) as u32 & 0x7ff, (offset >> 1) as u32 & 0x7ff);
    fits(offset, 23).then(|| half_words(&[0xb501, 0xf000 | high, 0xf800 | low, 0xbd01]))
}

/// `j distance`.
fn xtensa(distance: i64) -> Option<Vec<u8>> {
    let offset = distance - 4;
    let code = (offset as u32 & 0x3_ffff) << 6 | 6;
    fits(offset, 18).then(|| code.to_le_bytes().into_iter().take(3).collect())
}

/// `c.j distance`.
fn riscv_short(distance: i64) -> Option<Vec<u8>> {
    let offset = distance as u32;
    fits(distance, 12).then(|| half_words(&[0xa001 | super::relocate::riscv_cj_bits(offset)]))
}

/// `auipc t6, high; jalr zero, low(t6)`.
fn riscv_long(distance: i64) -> Option<Vec<u8>> {
    let distance = i32::try_from(distance).ok()?;
    let high = (distance.wrapping_add(0x800) & !0xfff) as u32;
    let low = (distance as u32) << 20;
    Some([0x0000_0f97 | high, 0x000f_8067 | low].map(u32::to_le_bytes).concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::natmod::{Arch, MpyVersion};

    fn release(number: (u32, u32)) -> Release {
        Release {
            number,
            mpy_version: MpyVersion { major: 6, sub: 3 },
            static_qstrs: Vec::new(),
            character_names: Vec::new(),
            objects: Vec::new(),
        }
    }

    /// What an assembler makes of the same jumps.
    #[test]
    fn jumps_are_what_an_assembler_writes() {
        for (arch, number, distance, expected) in [
            (Arch::X64, (1, 28), 0x105, &b"\xe9\x00\x01\x00\x00"[..]),
            (Arch::Armv7m, (1, 28), 0x104, b"\x80\xe0"),
            (Arch::Armv7m, (1, 25), 0x104, b"\x80\xe0\0\0"),
            (Arch::Armv7m, (1, 28), 0x1004, b"\x01\xf0\x00\xb8"),
            (Arch::Armv6m, (1, 28), 0x1006, b"\x01\xb5\x01\xf0\x00\xf8\x01\xbd"),
            (Arch::Armv6m, (1, 20), 0x104, b"\x80\xe0"),
            (Arch::Xtensa, (1, 28), 0x104, b"\x06\x40\x00"),
            (Arch::Rv32imc, (1, 28), 0x100, b"\x01\xa2"),
            (Arch::Rv32imc, (1, 25), 0x100, b"\x97\x0f\0\0\x67\x80\x0f\x10"),
            (Arch::Rv64imc, (1, 28), 0x1800, b"\x97\x2f\0\0\x67\x80\x0f\x80"),
        ] {
            let target = Target::of(arch).unwrap();
            let code =
                jumps(target, &release(number)).into_iter().find_map(|jump| jump.code(distance));
            assert_eq!(code.unwrap(), expected, "{arch}");
        }
    }

    #[test]
    fn what_is_too_far_is_not_encoded() {
        assert_eq!(xtensa((1 << 17) + 4), None);
        assert_eq!(thumb_short(2052), None);
        assert_eq!(riscv_short(2048), None);
        assert!(riscv_short(2046).is_some());
    }
}
