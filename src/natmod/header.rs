//! The header of `.mpy` files, as MicroPython's `py/persistentcode.h` defines it and
//! `docs/reference/mpyfiles.rst` tells it.
//!
//! Version 6: `M`, version, feature byte (bits 0–1 the sub-version, bits 2–5 the architecture, bit 6 set
//! when architecture flags follow), and how many bits a small integer has; the flags are a
//! variable-length number after it. Sub-version and architecture are those of native code: a file
//! without any has 0 for both, whatever wrote it. In versions 3 to 5 bits 0–1 are compile-time options,
//! and from version 4 on the size of the qstr window follows.

use std::fmt;

use super::MpyVersion;

/// The first byte of a `.mpy` file.
pub const MAGIC: u8 = b'M';

/// The newest version there is.
pub const NEWEST: u8 = 6;

/// The bit of the feature byte that says that architecture flags follow.
pub(crate) const ARCH_FLAGS_PRESENT: u8 = 0x40;
const RESERVED: u8 = 0x80;

/// An architecture that `.mpy` files hold native code for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Arch {
    X86 = 1,
    X64 = 2,
    Armv6 = 3,
    Armv6m = 4,
    Armv7m = 5,
    Armv7em = 6,
    Armv7emsp = 7,
    Armv7emdp = 8,
    Xtensa = 9,
    Xtensawin = 10,
    Rv32imc = 11,
    Rv64imc = 12,
}

impl Arch {
    /// All architectures, by code.
    pub const ALL: [Arch; 12] = [
        Arch::X86,
        Arch::X64,
        Arch::Armv6,
        Arch::Armv6m,
        Arch::Armv7m,
        Arch::Armv7em,
        Arch::Armv7emsp,
        Arch::Armv7emdp,
        Arch::Xtensa,
        Arch::Xtensawin,
        Arch::Rv32imc,
        Arch::Rv64imc,
    ];

    /// The code in the feature byte.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The architecture with a code.
    pub fn from_code(code: u8) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.code() == code)
    }

    /// The architecture with a name, as [`Arch::name`] gives it.
    pub fn from_name(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.name() == name)
    }

    /// The name that `mpy-cross -march=` and the native modules' `ARCH=` take.
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86 => "x86",
            Arch::X64 => "x64",
            Arch::Armv6 => "armv6",
            Arch::Armv6m => "armv6m",
            Arch::Armv7m => "armv7m",
            Arch::Armv7em => "armv7em",
            Arch::Armv7emsp => "armv7emsp",
            Arch::Armv7emdp => "armv7emdp",
            Arch::Xtensa => "xtensa",
            Arch::Xtensawin => "xtensawin",
            Arch::Rv32imc => "rv32imc",
            Arch::Rv64imc => "rv64imc",
        }
    }

    /// Whether a device of this architecture runs native code for `file`: the ARM Thumb ones run the
    /// code of those below them.
    pub fn runs(self, file: Arch) -> bool {
        let thumb = Arch::Armv6m..=Arch::Armv7emdp;
        self == file || (thumb.contains(&self) && thumb.contains(&file) && file <= self)
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The header of a `.mpy` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The version of the format.
    pub version: u8,
    /// The feature byte, as it is.
    pub feature: u8,
    /// How many bits a small integer must have on the device.
    pub small_int_bits: u8,
    /// The size of the qstr window that the loader needs (versions 4 and 5).
    pub qstr_window: Option<u64>,
    /// What of the processor's extensions native code needs (version 6, from MicroPython v1.27 on).
    pub arch_flags: Option<u64>,
    /// How many bytes the header takes.
    pub length: usize,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// They don't begin like a `.mpy` file.
    NotMpy,
    /// They end within the header.
    CutOff,
    /// The version is newer than what is known.
    UnknownVersion(u8),
}

impl Header {
    /// Reads the header at the start of `bytes`; 32 bytes are always enough.
    ///
    /// # Errors
    /// When the bytes are no header, or none that is known.
    pub fn parse(bytes: &[u8]) -> Result<Header, HeaderError> {
        let (&[magic, version], rest) = bytes.split_first_chunk().ok_or(HeaderError::NotMpy)?;
        if magic != MAGIC || version > 31 {
            return Err(HeaderError::NotMpy);
        }
        if version > NEWEST {
            return Err(HeaderError::UnknownVersion(version));
        }
        let (&[feature, small_int_bits], rest) =
            rest.split_first_chunk().ok_or(HeaderError::CutOff)?;
        let mut header = Header {
            version,
            feature,
            small_int_bits,
            qstr_window: None,
            arch_flags: None,
            length: 4,
        };
        let windowed = matches!(version, 4 | 5);
        if windowed || (version == 6 && feature & ARCH_FLAGS_PRESENT != 0) {
            let (value, length) = varuint(rest).ok_or(HeaderError::CutOff)?;
            header.length += length;
            *if windowed { &mut header.qstr_window } else { &mut header.arch_flags } = Some(value);
        }
        Ok(header)
    }

    /// The code of the architecture; 0 when there is no native code.
    pub fn arch_code(&self) -> u8 {
        match self.version {
            0..=3 => 0,
            4 | 5 => self.feature >> 2,
            _ => (self.feature >> 2) & 0x0f,
        }
    }

    /// The architecture of the native code, when there is some and it is known.
    pub fn arch(&self) -> Option<Arch> {
        Arch::from_code(self.arch_code())
    }

    /// Whether the file holds native code.
    pub fn is_native(&self) -> bool {
        self.arch_code() != 0
    }

    /// The version of the native interface, for version 6 files with native code.
    pub fn sub_version(&self) -> Option<u8> {
        (self.version == 6 && self.is_native()).then_some(self.feature & 3)
    }

    /// Whether the bytecode caches map look-ups inline; only versions 3 to 5 say so.
    pub fn caches_map_lookup(&self) -> Option<bool> {
        (3..=5).contains(&self.version).then_some(self.feature & 1 != 0)
    }

    /// Whether strings are Unicode; only versions 3 to 5 say so.
    pub fn unicode(&self) -> Option<bool> {
        (3..=5).contains(&self.version).then_some(self.feature & 2 != 0)
    }

    /// Whether the bit is set that must not be.
    pub fn has_reserved_bit(&self) -> bool {
        self.version == 6 && self.feature & RESERVED != 0
    }

    /// The version, of the native interface too if there is native code: `6.3` with it, `6` without.
    pub fn mpy_version(&self) -> MpyVersion {
        MpyVersion { major: self.version, sub: self.sub_version().unwrap_or(0) }
    }

    /// The MicroPython releases that load the file.
    pub fn releases(&self) -> &'static str {
        match (self.version, self.sub_version()) {
            (0, _) => "v1.5.1 to v1.8.7",
            (1, _) => "none: it never was in a release",
            (2, _) => "v1.9 to v1.9.2",
            (3, _) => "v1.9.3 to v1.10",
            (4, _) => "v1.11",
            (5, _) => "v1.12 to v1.18",
            (_, None) => "v1.19 and later",
            (_, Some(0)) => "v1.19 and v1.19.1",
            (_, Some(1)) => "v1.20 and v1.21",
            (_, Some(2)) => "v1.22",
            (_, Some(_)) if self.arch_flags.is_some() => "v1.27 and later",
            (_, Some(_)) => match self.arch() {
                Some(Arch::Rv64imc) => "v1.28 and later",
                Some(Arch::Rv32imc) => "v1.24 and later",
                _ => "v1.23 and later",
            },
        }
    }

    /// What `sys.implementation._mpy` is on a device of exactly this architecture that loads the file.
    /// Nothing for a file without native code: of that only the lowest byte, the version, matters.
    pub fn sys_mpy(&self) -> Option<u64> {
        let header = u64::from(self.version) | u64::from(self.feature & !ARCH_FLAGS_PRESENT) << 8;
        self.is_native().then(|| header | self.arch_flags.unwrap_or(0) << 16)
    }

    /// Checks the file against the `sys.implementation._mpy` of a device, as its loader would.
    ///
    /// How many bits a small integer has on the device is not in that number.
    ///
    /// # Errors
    /// With the reason for which the device refuses the file.
    pub fn loads_on(&self, sys_mpy: u64) -> Result<(), String> {
        let [version, feature, ..] = sys_mpy.to_le_bytes();
        let device = Header {
            version,
            feature: feature & !ARCH_FLAGS_PRESENT,
            small_int_bits: 0,
            qstr_window: None,
            arch_flags: None,
            length: 0,
        };
        if self.version != version {
            return Err(format!(
                "the file has .mpy version {}, the device loads version {version}",
                self.version
            ));
        }
        let options = |header: &Header| (header.caches_map_lookup(), header.unicode());
        if options(self) != options(&device) {
            return Err("the file was compiled with other options than the device's".to_owned());
        }
        if !self.is_native() {
            return Ok(());
        }
        // A device without native code has no architecture, and yet a sub-version.
        let (wanted, offered) = (self.feature & 3, feature & 3);
        if self.version == 6 && wanted != offered {
            return Err(format!(
                "its native code is for .mpy version 6.{wanted}, the device runs 6.{offered}"
            ));
        }
        let runs = match (self.arch(), device.arch()) {
            (Some(file), Some(device)) => device.runs(file),
            _ => false,
        };
        if !runs {
            return Err(format!(
                "its native code is for {}, the device runs {}",
                arch_text(self.arch_code()),
                arch_text(device.arch_code())
            ));
        }
        match self.arch_flags.unwrap_or(0) & !(sys_mpy >> 16) {
            0 => Ok(()),
            missing => Err(format!(
                "its native code needs processor extensions that the device lacks: {}",
                flags_text(self.arch_code(), missing)
            )),
        }
    }
}

/// An architecture's name, also when its code is 0 or unknown.
pub fn arch_text(code: u8) -> String {
    match (code, Arch::from_code(code)) {
        (0, _) => "no native code".to_owned(),
        (_, Some(arch)) => arch.name().to_owned(),
        (_, None) => format!("the unknown architecture {code}"),
    }
}

/// The processor extensions that flags stand for (`RV32_EXTENSIONS` in `tools/mpy_ld.py`).
pub fn flags_text(arch_code: u8, flags: u64) -> String {
    const RV32: &[(u64, &str)] = &[(1, "zba"), (2, "zcmp")];
    let known = if arch_code == Arch::Rv32imc.code() { RV32 } else { &[] };
    let names: Vec<&str> =
        known.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    if names.is_empty() {
        format!("flags 0x{flags:x}")
    } else {
        format!("{} (flags 0x{flags:x})", names.join(", "))
    }
}

/// A variable-length number, seven bits a byte, the most significant first, and how many bytes it takes.
/// Nothing when the bytes end before it does, or when it does not fit 64 bits.
pub fn varuint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value: u64 = 0;
    for (index, byte) in bytes.iter().enumerate() {
        value = value.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

/// Writes a variable-length number, in as few bytes as it takes.
pub fn put_varuint(out: &mut Vec<u8>, value: u64) {
    let bits = (u64::BITS - value.leading_zeros()).max(1);
    for group in (0..bits.div_ceil(7)).rev() {
        let more = if group > 0 { 0x80 } else { 0 };
        out.push((value >> (7 * group)) as u8 & 0x7f | more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(bytes: &[u8]) -> Header {
        Header::parse(bytes).unwrap()
    }

    #[test]
    fn numbers_are_read_as_they_were_written() {
        let many = (0..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, 1 << bit | 5]);
        for value in many.chain([u64::MAX]) {
            let mut bytes = Vec::new();
            put_varuint(&mut bytes, value);
            assert_eq!(varuint(&bytes), Some((value, bytes.len())));
        }
        let mut bytes = Vec::new();
        put_varuint(&mut bytes, 0x80);
        assert_eq!(bytes, [0x81, 0]);
    }

    /// Headers that MicroPython's own tools wrote.
    #[test]
    fn headers_of_every_release_are_read() {
        let x64 = Some(Arch::X64);
        for (bytes, version, arch, flags) in [
            (&b"\x4d\x05\x0a\x1f\x20"[..], "5", x64, None),
            (b"\x4d\x06\x08\x1f", "6", x64, None),
            (b"\x4d\x06\x09\x1f", "6.1", x64, None),
            (b"\x4d\x06\x0b\x1f", "6.3", x64, None),
            (b"\x4d\x06\x2b\x1f", "6.3", Some(Arch::Xtensawin), None),
            (b"\x4d\x06\x33\x1f", "6.3", Some(Arch::Rv64imc), None),
            (b"\x4d\x06\x6f\x1f\x01", "6.3", Some(Arch::Rv32imc), Some(1)),
            (b"\x4d\x06\x00\x1f", "6", None, None),
        ] {
            let header = header(bytes);
            assert_eq!(header.mpy_version().to_string(), version, "{bytes:x?}");
            assert_eq!((header.arch(), header.arch_flags), (arch, flags), "{bytes:x?}");
            assert_eq!(header.length, bytes.len());
        }
        assert_eq!(header(b"\x4d\x05\x0a\x1f\x20").qstr_window, Some(0x20));
    }

    #[test]
    fn a_file_loads_where_its_loader_takes_it() {
        let x64 = header(b"M\x06\x0b\x1f");
        let device = x64.sys_mpy().unwrap();
        assert_eq!(device, 0x0b06);
        assert_eq!(x64.loads_on(device), Ok(()));
        for other in [0x0705, 0x0a06, 0x0706, 0x0306] {
            x64.loads_on(other).unwrap_err();
        }
        let bytecode = header(b"M\x06\x00\x1f");
        for any in [device, 0x0006, 0x0306, 0x2f06] {
            assert_eq!(bytecode.loads_on(any), Ok(()));
        }
        bytecode.loads_on(0x0b05).unwrap_err();
    }

    #[test]
    fn thumb_runs_what_is_below_it() {
        let armv7m = header(b"M\x06\x17\x1f");
        let device = |arch: Arch| 0x0306 | u64::from(arch.code()) << 10;
        for arch in Arch::ALL {
            let runs = (Arch::Armv7m..=Arch::Armv7emdp).contains(&arch);
            assert_eq!(armv7m.loads_on(device(arch)).is_ok(), runs, "{arch}");
        }
    }

    #[test]
    fn processor_extensions_must_be_there() {
        let zba = header(b"M\x06\x6f\x1f\x01");
        assert_eq!(zba.sys_mpy(), Some(0x1_2f06));
        assert_eq!(zba.loads_on(0x3_2f06), Ok(()));
        zba.loads_on(0x2_2f06).unwrap_err();
        zba.loads_on(0x2f06).unwrap_err();
    }

    #[test]
    fn what_is_no_header_is_told_apart() {
        for bytes in [&b""[..], b"M", b"PK\x03\x04", b"My notes"] {
            assert_eq!(Header::parse(bytes), Err(HeaderError::NotMpy));
        }
        for bytes in [&b"M\x06"[..], b"M\x06\x00", b"M\x05\x00\x1f", b"M\x06\x6f\x1f\x81"] {
            assert_eq!(Header::parse(bytes), Err(HeaderError::CutOff));
        }
        assert_eq!(Header::parse(b"M\x07\x00\x1f"), Err(HeaderError::UnknownVersion(7)));
    }
}
