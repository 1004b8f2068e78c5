//! SHA-256 hashes in the notations Nix reads and writes: SRI (`sha256-…=`), hexadecimal, and
//! Nix's own base 32.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::interrupt;

/// The digits of Nix's base 32: no e, o, t or u (`libutil/hash.cc`).
const BASE32: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// Characters that 32 bytes take in base 32, where every character carries five bits.
const BASE32_LENGTH: usize = (32usize * 8).div_ceil(5);

/// A SHA-256 digest. Displayed, and written to JSON, in SRI form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Hash([u8; 32]);

impl Sha256Hash {
    /// The hash with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Sha256Hash(bytes)
    }

    /// The hash of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The hash of a file's content ("flat", as `nix hash file`), read in pieces.
    ///
    /// # Errors
    /// When the file cannot be read, or the user interrupts.
    pub fn of_file(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(|error| Error::io("open", path, &error))?;
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 128 * 1024];
        loop {
            interrupt::check()?;
            let count = file.read(&mut buffer).map_err(|error| Error::io("read", path, &error))?;
            if count == 0 {
                return Ok(hasher.finish());
            }
            hasher.update(buffer.get(..count).unwrap_or_default());
        }
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// SRI form: `sha256-` and padded base 64, as Nix expressions and lock files hold it.
    pub fn to_sri(&self) -> String {
        format!("sha256-{}", STANDARD.encode(self.0))
    }

    /// 64 lower-case hexadecimal digits, as `sha256sum` prints it.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Nix's base 32, 52 characters: the bits taken from the end, as in store paths.
    pub fn to_base32(&self) -> String {
        (0..BASE32_LENGTH)
            .rev()
            .map(|position| {
                let bit = position * 5;
                let byte = |index: usize| u16::from(self.0.get(index).copied().unwrap_or(0));
                let window = byte(bit / 8) | byte(bit / 8 + 1) << 8;
                let digit = usize::from(window >> (bit % 8) & 31);
                char::from(BASE32.get(digit).copied().unwrap_or(b'0'))
            })
            .collect()
    }

    fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let mut digits = text.chars().map(|digit| digit.to_digit(16));
        for byte in &mut bytes {
            let (high, low) = (digits.next()??, digits.next()??);
            *byte = u8::try_from(high << 4 | low).ok()?;
        }
        Some(Sha256Hash(bytes))
    }

    fn from_base32(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        for (position, digit) in text.bytes().rev().enumerate() {
            let value = BASE32.iter().position(|&known| known == digit)?;
            let bit = position * 5;
            let window = u16::try_from(value).ok()? << (bit % 8);
            let [low, high] = window.to_le_bytes();
            *bytes.get_mut(bit / 8)? |= low;
            match bytes.get_mut(bit / 8 + 1) {
                Some(byte) => *byte |= high,
                None if high != 0 => return None,
                None => {}
            }
        }
        Some(Sha256Hash(bytes))
    }

    fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Sha256Hash)
    }
}

/// Takes bytes and yields their hash.
//
// `ring` is in the program anyway, for TLS, and is fast on processors without SHA instructions too
// (Intel's before Ice Lake, where `sha2` reaches less than half of OpenSSL's speed).
pub struct Hasher(Context);

impl Default for Hasher {
    fn default() -> Self {
        Hasher(Context::new(&SHA256))
    }
}

impl Hasher {
    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all bytes taken.
    pub fn finish(self) -> Sha256Hash {
        let mut bytes = [0; 32];
        for (byte, digest) in bytes.iter_mut().zip(self.0.finish().as_ref()) {
            *byte = *digest;
        }
        Sha256Hash(bytes)
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FromStr for Sha256Hash {
    type Err = Error;

    /// Reads SRI, `sha256:` with hexadecimal or base 32, or either of these without the prefix.
    fn from_str(text: &str) -> Result<Self> {
        let parsed = if let Some(base64) = text.strip_prefix("sha256-") {
            Self::from_base64(base64)
        } else {
            let digits = text.strip_prefix("sha256:").unwrap_or(text);
            match digits.len() {
                64 => Self::from_hex(digits),
                BASE32_LENGTH => Self::from_base32(digits),
                _ => None,
            }
        };
        parsed.ok_or_else(|| {
            Error::input(format!("'{text}' is not a SHA-256 hash")).hint(
                "a hash is 'sha256-' and 44 characters of base 64, 64 hexadecimal digits, \
                 or 52 characters of Nix's base 32",
            )
        })
    }
}

impl fmt::Display for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_sri())
    }
}

impl fmt::Debug for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_sri())
    }
}

impl Serialize for Sha256Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_sri())
    }
}

impl<'de> Deserialize<'de> for Sha256Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: Error| serde::de::Error::custom(error.message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SHA-256 of "hello\n" as `sha256sum`, `nix hash to-sri` and `nix hash to-base32` print it.
    const SRI: &str = "sha256-WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=";
    const HEX: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    const IN_BASE32: &str = "00xyyr3fi8l6hb839bv3f7yb86yjv7xi1cgh1xnhipym4asvb4aq";

    fn hello() -> Sha256Hash {
        Sha256Hash::of(b"hello\n")
    }

    #[test]
    fn every_notation_is_read_back() {
        let hash = hello();
        assert_eq!(hash.to_sri(), SRI);
        assert_eq!(hash.to_hex(), HEX);
        assert_eq!(hash.to_base32(), IN_BASE32);
        for text in [
            hash.to_sri(),
            hash.to_hex(),
            hash.to_hex().to_uppercase(),
            hash.to_base32(),
            format!("sha256:{}", hash.to_hex()),
            format!("sha256:{}", hash.to_base32()),
        ] {
            assert_eq!(text.parse::<Sha256Hash>().unwrap(), hash, "{text}");
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for text in [
            "",
            "sha256-",
            "sha256-AAAA",
            &SRI.replace("256", "512"),
            SRI.trim_end_matches('='),
            &HEX[1..],
            &"g".repeat(64),
            &"e".repeat(52),
            // 52 digits carry 260 bits: the four spare ones must be zero.
            &"z".repeat(52),
            "é123456789012345678901234567890123456789012345678901234567890123",
        ] {
            assert!(text.parse::<Sha256Hash>().is_err(), "{text}");
        }
    }
}
