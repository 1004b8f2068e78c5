//! Espressif's chips: their numbers in image headers, and what those headers' codes mean on each.
//!
//! Numbers from ESP-IDF's `esp_app_format.h` and esptool's `targets/`.

use serde::Serialize;

/// A chip that ESP images name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Chip {
    /// The number in an image's header.
    pub id: u16,
    /// The name as ESP-IDF writes it: `esp32c3`.
    pub name: &'static str,
    #[serde(skip)]
    clock: Clock,
}

/// What the flash frequency codes stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// 80, 40, 26 and 20 MHz.
    Mhz80,
    /// 80, 40 and 20 MHz; 80 and 40 MHz have one code.
    Mhz80Shared,
    /// 60, 30, 20 and 15 MHz.
    Mhz60,
    /// 48, 24, 16 and 12 MHz.
    Mhz48,
}

const CHIPS: &[Chip] = &[
    chip(0, "esp32", Clock::Mhz80),
    chip(2, "esp32s2", Clock::Mhz80),
    chip(5, "esp32c3", Clock::Mhz80),
    chip(9, "esp32s3", Clock::Mhz80),
    chip(12, "esp32c2", Clock::Mhz60),
    chip(13, "esp32c6", Clock::Mhz80Shared),
    chip(16, "esp32h2", Clock::Mhz48),
    chip(18, "esp32p4", Clock::Mhz80),
    chip(20, "esp32c61", Clock::Mhz80),
    chip(23, "esp32c5", Clock::Mhz80),
    chip(25, "esp32h21", Clock::Mhz48),
    chip(28, "esp32h4", Clock::Mhz48),
    chip(31, "esp32e22", Clock::Mhz80),
    chip(32, "esp32s31", Clock::Mhz80),
];

const fn chip(id: u16, name: &'static str, clock: Clock) -> Chip {
    Chip { id, name, clock }
}

impl Chip {
    /// The chip with a number from an image header.
    pub fn by_id(id: u16) -> Option<Chip> {
        CHIPS.iter().copied().find(|chip| chip.id == id)
    }

    /// The chip with a name, in the spellings in use: `esp32c3`, `ESP32-C3`, `ESP32C3`.
    pub fn by_name(name: &str) -> Option<Chip> {
        let plain = name.replace(['-', '_'], "").to_ascii_lowercase();
        CHIPS.iter().copied().find(|chip| chip.name == plain)
    }

    /// The names of all chips.
    pub fn names() -> impl Iterator<Item = &'static str> {
        CHIPS.iter().map(|chip| chip.name)
    }

    /// The name as Espressif prints it: `ESP32-C3`.
    pub fn title(&self) -> String {
        match self.name.strip_prefix("esp32") {
            Some("") | None => self.name.to_ascii_uppercase(),
            Some(rest) => format!("ESP32-{}", rest.to_ascii_uppercase()),
        }
    }

    /// The family id of an application-only UF2, for the chips whose USB bootloader takes one
    /// (those for which MicroPython's `makeimg.py` writes `micropython.uf2`).
    pub fn uf2_family(&self) -> Option<u32> {
        match self.name {
            "esp32s2" => Some(0xbfdd_4eee),
            "esp32s3" => Some(0xc47e_5767),
            _ => None,
        }
    }

    /// A flash frequency code in words: `80m`, as esptool takes them.
    pub fn flash_frequency(&self, code: u8) -> Option<&'static str> {
        frequency(self.clock, code)
    }
}

/// A flash frequency code on an ESP8266.
pub(super) fn esp8266_flash_frequency(code: u8) -> Option<&'static str> {
    frequency(Clock::Mhz80, code)
}

fn frequency(clock: Clock, code: u8) -> Option<&'static str> {
    Some(match (clock, code) {
        (Clock::Mhz80Shared, 0) => "80m or 40m",
        (Clock::Mhz80, 0xf) => "80m",
        (Clock::Mhz80, 0) => "40m",
        (Clock::Mhz80, 1) => "26m",
        (Clock::Mhz80 | Clock::Mhz80Shared, 2) => "20m",
        (Clock::Mhz60, 0xf) => "60m",
        (Clock::Mhz60, 0) => "30m",
        (Clock::Mhz60, 1) => "20m",
        (Clock::Mhz60, 2) => "15m",
        (Clock::Mhz48, 0xf) => "48m",
        (Clock::Mhz48, 0) => "24m",
        (Clock::Mhz48, 1) => "16m",
        (Clock::Mhz48, 2) => "12m",
        _ => return None,
    })
}

/// A flash mode code in words: `dio`.
pub(super) fn flash_mode(code: u8) -> Option<&'static str> {
    ["qio", "qout", "dio", "dout", "fast-read", "slow-read"].get(usize::from(code)).copied()
}

/// A flash size code of an ESP32-family image, in bytes.
pub(super) fn flash_size(code: u8) -> Option<u64> {
    (code <= 7).then(|| 0x10_0000 << code)
}

/// A flash size code of an ESP8266 image, in bytes.
pub(super) fn esp8266_flash_size(code: u8) -> Option<u64> {
    let kibibytes: u64 = match code {
        0 => 512,
        1 => 256,
        2 => 1024,
        3 | 5 => 2048,
        4 | 6 => 4096,
        8 => 8192,
        9 => 16384,
        _ => return None,
    };
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chips_are_found_in_every_spelling() {
        for name in ["esp32s3", "ESP32S3", "ESP32-S3", "esp32_s3"] {
            assert_eq!(Chip::by_name(name).map(|chip| chip.id), Some(9));
        }
        assert_eq!(Chip::by_name("esp32s3").unwrap().title(), "ESP32-S3");
        assert_eq!(Chip::by_name("esp32").unwrap().title(), "ESP32");
        assert!(Chip::by_name("stm32").is_none());
    }

    #[test]
    fn flash_sizes_are_powers_of_two() {
        assert_eq!(flash_size(0), Some(1 << 20));
        assert_eq!(flash_size(7), Some(128 << 20));
        assert_eq!(flash_size(8), None);
    }
}
