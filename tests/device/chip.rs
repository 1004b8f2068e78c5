//! What differs between the chips, from their technical reference manuals: registers, eFuses, numbers.

use std::collections::HashMap;

use super::protocol::Dialect;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Chip {
    Esp32,
    Esp32s3,
    Esp32c3,
    Esp32c6,
}

pub const CHIPS: [Chip; 4] = [Chip::Esp32, Chip::Esp32s3, Chip::Esp32c3, Chip::Esp32c6];

/// Who a device is, as its eFuses say.
#[derive(Debug, Clone)]
pub struct Identity {
    pub mac: [u8; 6],
    /// Major and minor.
    pub revision: (u32, u32),
    pub secure_boot: bool,
    pub flash_encryption: bool,
    /// Secure download mode: the ROM loader takes next to nothing.
    pub secure_download: bool,
}

/// Where the SPI controller of the flash chip has its registers.
#[derive(Debug, Clone, Copy)]
pub struct Spi {
    pub command: u32,
    pub user2: u32,
    pub data: u32,
}

impl Chip {
    /// Its name as esptool's `--chip` and ESP-IDF's target spell it.
    pub fn name(self) -> &'static str {
        match self {
            Chip::Esp32 => "esp32",
            Chip::Esp32s3 => "esp32s3",
            Chip::Esp32c3 => "esp32c3",
            Chip::Esp32c6 => "esp32c6",
        }
    }

    /// Its number in image headers and in the security information.
    pub fn id(self) -> u32 {
        match self {
            Chip::Esp32 => 0,
            Chip::Esp32c3 => 5,
            Chip::Esp32s3 => 9,
            Chip::Esp32c6 => 13,
        }
    }

    /// Where the ROM looks for the bootloader.
    pub fn bootloader(self) -> usize {
        if self == Chip::Esp32 { 0x1000 } else { 0 }
    }

    pub fn spi(self) -> Spi {
        let (base, user2, data) = match self {
            Chip::Esp32 => (0x3FF4_2000, 0x24, 0x80),
            Chip::Esp32s3 | Chip::Esp32c3 => (0x6000_2000, 0x20, 0x58),
            Chip::Esp32c6 => (0x6000_3000, 0x20, 0x58),
        };
        Spi { command: base, user2: base + user2, data: base + data }
    }

    /// The word at 0x40001000, which is in the ROM and differs between chips.
    fn magic(self) -> u32 {
        match self {
            Chip::Esp32 => 0x00F0_1D83,
            Chip::Esp32s3 => 0x9,
            Chip::Esp32c3 => 0x1B31_506F,
            Chip::Esp32c6 => 0x2CE0_806F,
        }
    }

    /// Whether the ROM knows the command for security information.
    pub fn tells_security(self) -> bool {
        self != Chip::Esp32
    }

    fn efuse_base(self) -> u32 {
        match self {
            Chip::Esp32 => 0x3FF5_A000,
            Chip::Esp32s3 => 0x6000_7000,
            Chip::Esp32c3 => 0x6000_8800,
            Chip::Esp32c6 => 0x600B_0800,
        }
    }

    /// What registers hold when nobody has written to them. All others hold 0.
    pub fn registers(self, identity: &Identity) -> HashMap<u32, u32> {
        let mut registers = HashMap::from([(0x4000_1000, self.magic())]);
        let base = self.efuse_base();
        let mut set = |offset: u32, value: u32| {
            *registers.entry(base + offset).or_default() |= value;
        };
        let [a, b, c, d, e, f] = identity.mac;
        let (high, low) = (u32::from_be_bytes([0, 0, a, b]), u32::from_be_bytes([c, d, e, f]));
        let (major, minor) = identity.revision;
        if self == Chip::Esp32 {
            set(0x04, low);
            set(0x08, high);
            let bits = [0b000, 0b001, 0b011, 0b111][major as usize];
            set(0x0C, (bits & 1) << 15);
            set(0x14, (bits >> 1 & 1) << 20 | minor << 24);
            set(0x00, u32::from(identity.flash_encryption) << 20);
            set(0x18, u32::from(identity.secure_boot) << 4);
            // The rate of the internal oscillator; with the calibration below, the crystal comes to 40 MHz.
            set(0x10, 128);
            registers.insert(0x3FF5_F06C, 800 << 7);
            registers.insert(0x3FF6_607C, (bits >> 2 & 1) << 31);
            return registers;
        }
        set(0x34, u32::from(identity.flash_encryption) << 18);
        set(0x38, u32::from(identity.secure_boot) << 20);
        set(0x44, low);
        set(0x48, high);
        if self == Chip::Esp32c6 {
            // The middle of the longer address for IEEE 802.15.4.
            set(0x48, 0xFFFE << 16);
            set(0x50, minor << 18 | major << 22);
        } else {
            set(0x50, (minor & 7) << 18);
            set(0x58, minor >> 3 << 23 | major << 24);
        }
        registers
    }

    /// The 20 bytes that answer the command for security information.
    pub fn security(self, identity: &Identity) -> Vec<u8> {
        let flags = u32::from(identity.secure_boot) | u32::from(identity.secure_download) << 2;
        let mut answer = flags.to_le_bytes().to_vec();
        answer.push(u8::from(identity.flash_encryption));
        // Purposes of keys: of the last there is none, and the field says so.
        answer.extend([0, 0, 0, 0, 0, 0, 12]);
        answer.extend(self.id().to_le_bytes());
        // The ROM's version, which goes with the number that tells the chip.
        let version: u32 = if self == Chip::Esp32c3 { 3 } else { 0 };
        answer.extend(version.to_le_bytes());
        answer
    }

    /// The register with a bit that makes resets lead into the loader, where a program can set it.
    pub fn forces_loader(self) -> Option<u32> {
        (self == Chip::Esp32s3).then_some(0x6000_812C)
    }

    /// The real-time clock's watchdog: the register that unlocks it, and the one that turns it on.
    pub fn watchdog(self) -> (u32, u32) {
        match self {
            Chip::Esp32 => (0x3FF4_80A4, 0x3FF4_808C),
            Chip::Esp32s3 => (0x6000_80B0, 0x6000_8098),
            Chip::Esp32c3 => (0x6000_80A8, 0x6000_8090),
            Chip::Esp32c6 => (0x600B_1C18, 0x600B_1C00),
        }
    }

    /// What the ROM says first after a reset.
    pub fn boot_log(self, download: bool) -> String {
        let (name, boots) = match self {
            Chip::Esp32 => ("ets Jul 29 2019 12:21:46\r\n\r\n".to_owned(), ("0x3", "0x13")),
            Chip::Esp32s3 => (rom("esp32s3-20210327"), ("0x0", "0x8")),
            Chip::Esp32c3 => (rom("esp32c3-api1-20210207"), ("0x4", "0xc")),
            Chip::Esp32c6 => (rom("esp32c6-20220919"), ("0x4", "0xc")),
        };
        let (boot, mode) = match (download, self) {
            (true, Chip::Esp32) => (boots.0, "DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2)"),
            (true, _) => (boots.0, "DOWNLOAD(USB/UART0)"),
            (false, _) => (boots.1, "SPI_FAST_FLASH_BOOT"),
        };
        format!("{name}rst:0x1 (POWERON),boot:{boot} ({mode})\r\n")
    }

    /// The register of UART 0's clock divider, from which hosts derive the frequency of an ESP32's crystal, and
    /// its value: what is divided is the crystal's clock while the ROM runs, twice that while the stub does.
    pub fn clock_divider(self, dialect: Dialect, rate: u32) -> (u32, u32) {
        let address = if self == Chip::Esp32 { 0x3FF4_0014 } else { 0x6000_0014 };
        let clock = if dialect == Dialect::Rom { 40_000_000 } else { 80_000_000 };
        (address, clock / rate.max(1))
    }
}

fn rom(name: &str) -> String {
    format!("ESP-ROM:{name}\r\n")
}
