//! Architecture flags: what native code needs of the processor beyond its architecture.

use crate::error::{Error, Result};
use crate::natmod::Arch;

/// The extensions of RV32 that have a flag (`RV32_EXTENSIONS` of upstream's `tools/mpy_ld.py`).
const RV32: [(&str, u64); 2] = [("zba", 1), ("zcmp", 2)];

/// Reads architecture flags: names with commas between them, or a number in decimal, `0x…` or `0b…`.
///
/// # Errors
/// When they are neither, or the architecture has no flags.
pub fn parse_arch_flags(text: &str, arch: Arch) -> Result<u64> {
    if arch != Arch::Rv32imc {
        return Err(Error::usage(format!("{arch} has no architecture flags, only rv32imc has"))
            .hint("leave --arch-flags (ARCH_FLAGS) out"));
    }
    let lower = text.trim().to_ascii_lowercase();
    let number = match (lower.strip_prefix("0x"), lower.strip_prefix("0b")) {
        (Some(digits), _) => u64::from_str_radix(digits, 16).ok(),
        (_, Some(digits)) => u64::from_str_radix(digits, 2).ok(),
        _ => lower.parse().ok(),
    };
    if let Some(number) = number {
        return Ok(number);
    }
    lower.split(',').try_fold(0, |flags, name| {
        let known = RV32.iter().find(|(known, _)| *known == name.trim());
        known.map(|(_, flag)| flags | flag).ok_or_else(|| {
            let names = RV32.map(|(name, _)| name).join(", ");
            Error::usage(format!("unknown architecture flag {name}, expected {names} or a number"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_names_or_a_number() {
        for (text, flags) in
            [("zba", 1), ("zcmp,zba", 3), ("ZBA", 1), ("3", 3), ("0x10", 16), ("0b101", 5)]
        {
            assert_eq!(parse_arch_flags(text, Arch::Rv32imc).unwrap(), flags, "{text}");
        }
        for text in ["", "zbb", "zba,", "0xg", "-1"] {
            parse_arch_flags(text, Arch::Rv32imc).unwrap_err();
        }
        parse_arch_flags("zba", Arch::X64).unwrap_err();
    }
}
