//! Images that Espressif's boot ROMs and bootloaders load: header, segments, checksum, SHA-256.
//!
//! The format is that of ESP-IDF's `esp_app_format.h` and esptool's `bin_image.py`: a 24-byte header
//! (8 bytes on the ESP8266), segments of an 8-byte header and data each, padding so that the checksum
//! is the last byte of a 16-byte row, and an SHA-256 of all before it when the header says so.

use std::fmt::Display;
use std::io;

use serde::Serialize;

use super::bytes::{self, ReadAt, Window, u8_at, u16_le, u32_le};
use super::chip::{self, Chip};
use super::{descriptor, hex};
use crate::pins::Hasher;

/// The first byte of every image.
pub const MAGIC: u8 = 0xe9;

const HEADER: usize = 24;
const ESP8266_HEADER: usize = 8;
const SEGMENT_HEADER: u64 = 8;
/// `ESP_IMAGE_MAX_SEGMENTS`.
const MAX_SEGMENTS: u8 = 16;
/// What the checksum starts from: `ESP_CHECKSUM_MAGIC`.
const CHECKSUM_SEED: u8 = 0xef;
/// A secure boot v2 signature block, and where it may lie.
const SIGNATURE_MAGIC: [u8; 2] = [0xe7, 2];
const SIGNATURE_BLOCK: u64 = 1216;
const SECTOR: u64 = 0x1000;

/// An image, as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EspImage {
    /// The chip it is for: `esp32c3`, `esp8266`; absent when its number is unknown.
    pub chip: Option<String>,
    /// The chip's number in the header; the ESP8266 has none.
    pub chip_id: Option<u16>,
    /// Where execution starts.
    pub entry: u32,
    /// The flash mode, as esptool names it, when its code is known.
    pub flash_mode: Option<&'static str>,
    /// The flash frequency, as esptool names it, when its code is known.
    pub flash_frequency: Option<&'static str>,
    /// The flash size in bytes, when its code is known.
    pub flash_size: Option<u64>,
    /// The lowest chip revision it runs on, `major.minor`.
    pub min_chip_revision: Option<String>,
    /// The highest chip revision it runs on; absent when there is no limit.
    pub max_chip_revision: Option<String>,
    /// Its segments, in order.
    pub segments: Vec<Segment>,
    /// The XOR checksum over the segments' data.
    pub checksum: Option<Check>,
    /// The appended SHA-256, when the header says that there is one.
    pub sha256: Option<Check>,
    /// How many secure boot v2 signature blocks follow.
    #[serde(skip_serializing_if = "is_zero")]
    pub signatures: u32,
    /// What an application says of itself.
    pub application: Option<descriptor::Application>,
    /// What a bootloader says of itself.
    pub bootloader: Option<descriptor::Bootloader>,
    /// How many bytes it takes, checksum and SHA-256 included, signatures not; as far as it goes
    /// when it is cut off.
    pub length: u64,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A segment of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// The address it is loaded or mapped at.
    pub address: u32,
    /// Where its data lie, in bytes from the image's start.
    pub offset: u64,
    /// How many bytes it has.
    pub size: u64,
}

/// A value that an image holds, and what it should be. Both in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What the image holds.
    pub stored: String,
    /// What its bytes give.
    pub computed: String,
    /// Whether the two agree.
    pub valid: bool,
}

impl Check {
    fn new(stored: &[u8], computed: &[u8]) -> Check {
        Check { stored: hex(stored), computed: hex(computed), valid: stored == computed }
    }
}

impl EspImage {
    /// Reads the image that starts at `offset`. Nothing when no image starts there.
    ///
    /// # Errors
    /// When the bytes cannot be read. What is wrong with the image itself is in
    /// [`problems`](Self::problems).
    pub fn read(bytes: &dyn ReadAt, offset: u64) -> io::Result<Option<EspImage>> {
        let bytes = Window::new(bytes, offset, u64::MAX);
        let head = bytes::vec(&bytes, 0, HEADER)?;
        if u8_at(&head, 0) != MAGIC || !(1..=MAX_SEGMENTS).contains(&u8_at(&head, 1)) {
            return Ok(None);
        }
        let (mut image, header, hashed) = if is_esp8266(&head) {
            (esp8266_header(&head), ESP8266_HEADER, false)
        } else if is_esp32_family(&head) {
            (esp32_header(&head), HEADER, u8_at(&head, 23) == 1)
        } else {
            return Ok(None);
        };
        image.read_segments(&bytes, header as u64, u8_at(&head, 1))?;
        if image.problems.is_empty() {
            image.read_checks(&bytes, header as u64, hashed)?;
        }
        image.read_descriptor(&bytes)?;
        if image.problems.is_empty() && !image.is_esp8266() {
            image.signatures = count_signatures(&bytes, image.length)?;
        }
        if let (None, Some(id)) = (&image.chip, image.chip_id) {
            image.problem(format!("the chip number {id} is unknown"));
        }
        Ok(Some(image))
    }

    /// Whether the image is for the ESP8266, whose images have a shorter header.
    pub fn is_esp8266(&self) -> bool {
        self.chip_id.is_none()
    }

    /// The chip's name as a person writes it.
    pub fn chip_title(&self) -> String {
        match (self.chip_id, self.chip_id.and_then(Chip::by_id)) {
            (_, Some(chip)) => chip.title(),
            (Some(id), None) => format!("unknown chip {id}"),
            (None, _) => "ESP8266".to_owned(),
        }
    }

    fn problem(&mut self, problem: impl Display) {
        self.problems.push(problem.to_string());
    }

    fn read_segments(&mut self, bytes: &dyn ReadAt, header: u64, count: u8) -> io::Result<()> {
        let mut offset = header;
        self.length = offset.min(bytes.size());
        for number in 0..count {
            let Some(head) = bytes::array::<8>(bytes, offset)? else {
                self.length = bytes.size();
                self.problem(format!(
                    "cut off at {} bytes, before segment {number} of {count}",
                    bytes.size()
                ));
                return Ok(());
            };
            let segment = Segment {
                address: u32_le(&head, 0),
                offset: offset + SEGMENT_HEADER,
                size: u64::from(u32_le(&head, 4)),
            };
            self.segments.push(segment);
            offset = segment.offset + segment.size;
            self.length = offset.min(bytes.size());
            if offset > bytes.size() {
                self.problem(format!(
                    "cut off at {} bytes: segment {number} of {count} has {} bytes and ends at {offset}",
                    bytes.size(),
                    segment.size
                ));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Verifies the checksum and the SHA-256 in one pass over the image.
    fn read_checks(&mut self, bytes: &dyn ReadAt, header: u64, hashed: bool) -> io::Result<()> {
        let mut sha256 = Hasher::default();
        let mut checksum = CHECKSUM_SEED;
        bytes::stream(bytes, 0, header, |piece| sha256.update(piece))?;
        for segment in &self.segments {
            let start = segment.offset - SEGMENT_HEADER;
            bytes::stream(bytes, start, SEGMENT_HEADER, |piece| sha256.update(piece))?;
            bytes::stream(bytes, segment.offset, segment.size, |piece| {
                sha256.update(piece);
                checksum = piece.iter().fold(checksum, |sum, byte| sum ^ byte);
            })?;
        }
        // The checksum ends the 16-byte row that the segments end in, or the next one.
        let end = (self.length / 16 + 1) * 16;
        let tail =
            bytes::vec(bytes, self.length, usize::try_from(end - self.length).unwrap_or(16))?;
        sha256.update(&tail);
        self.length = end.min(bytes.size());
        if bytes.size() < end {
            self.problem(format!("cut off at {} bytes, before the checksum", bytes.size()));
            return Ok(());
        }
        let stored = tail.last().copied().unwrap_or(0);
        self.checksum = Some(Check::new(&[stored], &[checksum]));
        if stored != checksum {
            self.problem(format!("the checksum is 0x{stored:02x}, its data give 0x{checksum:02x}"));
        }
        if hashed {
            self.read_sha256(bytes, end, sha256)?;
        }
        Ok(())
    }

    fn read_sha256(&mut self, bytes: &dyn ReadAt, at: u64, computed: Hasher) -> io::Result<()> {
        let Some(stored) = bytes::array::<32>(bytes, at)? else {
            self.length = bytes.size();
            self.problem(format!(
                "cut off at {} bytes, before the end of its SHA-256",
                bytes.size()
            ));
            return Ok(());
        };
        self.length = at + 32;
        let check = Check::new(&stored, computed.finish().as_bytes());
        if !check.valid {
            self.problem(format!(
                "the SHA-256 is {}, its bytes give {}",
                check.stored, check.computed
            ));
        }
        self.sha256 = Some(check);
        Ok(())
    }

    fn read_descriptor(&mut self, bytes: &dyn ReadAt) -> io::Result<()> {
        if let (Some(first), false) = (self.segments.first(), self.is_esp8266()) {
            let size = usize::try_from(first.size).unwrap_or(usize::MAX).min(descriptor::LENGTH);
            let data = bytes::vec(bytes, first.offset, size)?;
            self.application = descriptor::Application::parse(&data);
            self.bootloader = descriptor::Bootloader::parse(&data);
        }
        Ok(())
    }
}

/// An ESP8266 image has its first segment's address where others have pin settings and the chip.
fn is_esp8266(head: &[u8]) -> bool {
    let (address, size) = (u32_le(head, 8), u32_le(head, 12));
    head.len() >= 16
        && (0x3ff0_0000..0x4030_0000).contains(&address)
        && size < 0x10_0000
        && size.is_multiple_of(4)
}

fn is_esp32_family(head: &[u8]) -> bool {
    let (mode, hashed) = (u8_at(head, 2), u8_at(head, 23));
    head.len() == HEADER
        && mode <= 5
        && hashed <= 1
        && (Chip::by_id(u16_le(head, 12)).is_some() || u32_le(head, 19) == 0)
}

fn esp32_header(head: &[u8]) -> EspImage {
    let chip_id = u16_le(head, 12);
    let chip = Chip::by_id(chip_id);
    let code = u8_at(head, 3);
    let max_revision = u16_le(head, 17);
    EspImage {
        chip: chip.map(|chip| chip.name.to_owned()),
        chip_id: Some(chip_id),
        flash_frequency: chip.and_then(|chip| chip.flash_frequency(code & 0xf)),
        flash_size: chip::flash_size(code >> 4),
        min_chip_revision: Some(revision(u16_le(head, 15))),
        max_chip_revision: (max_revision != 0 && max_revision != u16::MAX)
            .then(|| revision(max_revision)),
        ..common_header(head)
    }
}

fn esp8266_header(head: &[u8]) -> EspImage {
    let code = u8_at(head, 3);
    EspImage {
        chip: Some("esp8266".to_owned()),
        flash_frequency: chip::esp8266_flash_frequency(code & 0xf),
        flash_size: chip::esp8266_flash_size(code >> 4),
        ..common_header(head)
    }
}

fn common_header(head: &[u8]) -> EspImage {
    EspImage {
        chip: None,
        chip_id: None,
        entry: u32_le(head, 4),
        flash_mode: chip::flash_mode(u8_at(head, 2)),
        flash_frequency: None,
        flash_size: None,
        min_chip_revision: None,
        max_chip_revision: None,
        segments: Vec::new(),
        checksum: None,
        sha256: None,
        signatures: 0,
        application: None,
        bootloader: None,
        length: 0,
        problems: Vec::new(),
    }
}

/// A revision as headers hold it, `major * 100 + minor`.
fn revision(number: u16) -> String {
    format!("{}.{}", number / 100, number % 100)
}

fn count_signatures(bytes: &dyn ReadAt, length: u64) -> io::Result<u32> {
    let start = length.next_multiple_of(SECTOR);
    let mut count = 0;
    while count < 3
        && bytes::array::<2>(bytes, start + u64::from(count) * SIGNATURE_BLOCK)?
            == Some(SIGNATURE_MAGIC)
    {
        count += 1;
    }
    Ok(count)
}
