//! The device that is reached over a serial port, with espflash.

use std::io::Write;
use std::ops::Range;
use std::time::Duration;

use espflash::command::Command;
use espflash::connection::Connection;
use espflash::flasher::{FlashSize, Flasher};
use espflash::target::Chip;
use espflash::target::efuse::esp32 as esp32_efuse;
use flate2::Compression;
use flate2::write::{ZlibDecoder, ZlibEncoder};
use serialport::{SerialPort, TTYPort, UsbPortInfo};

use super::SECTOR;
use super::device::{Device, Found, Security};
use super::guard::guarded;
use super::permission;
use super::plan::Digest16;
use super::ports::{self, Port};
use super::reset::{self, After, Before};
use crate::error::{Error, Kind, Result};
use crate::interrupt;

/// The speed at which every boot ROM listens.
pub const ROM_BAUD: u32 = 115_200;
/// How long a command may take that moves no data.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a mebibyte may take to be erased and written (esptool's `ERASE_WRITE_TIMEOUT_PER_MB`).
const PER_MEGABYTE: Duration = Duration::from_secs(40);
/// How many bytes at once are read from a device, and how many of these are under way unconfirmed.
const READ_BLOCK: u32 = 0x400;
const READ_AHEAD: u32 = 4;
/// How many bytes the boot ROM reads at once.
const ROM_READ: u32 = 64;

/// How a session is held.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How fast data is sent, in bits per second; USB takes no notice of it.
    pub baud: u32,
    /// Whether a loader is loaded into the chip's memory, which is faster and can do more than the ROM's.
    pub stub: bool,
    /// How the chip gets into its loader.
    pub before: Before,
    /// What becomes of the chip afterwards.
    pub after: After,
}

/// A device behind a serial port, in its loader.
#[derive(Debug)]
pub struct Session {
    port: Port,
    flasher: Flasher,
    found: Found,
    stub: bool,
    lines: bool,
    after: After,
}

impl Session {
    /// Opens a port, brings the chip behind it into its loader and asks what it is.
    ///
    /// # Errors
    /// When the port cannot be used, or nothing answers that is a known chip.
    pub fn open(port: &Port, settings: &Settings) -> Result<Session> {
        let mut port = port.clone();
        let (mut lines, mut connected) = connect(&port, settings)?;
        if connected.is_err()
            && settings.before != Before::NoReset
            && let Some(now) = ports::changed(&port)?
        {
            // MicroPython has its own USB on an ESP32-S2, S3 or P4. It has understood the lines, and the loader's came
            // up in its place.
            port = now;
            (lines, connected) =
                connect(&port, &Settings { before: Before::NoReset, ..*settings })?;
        }
        if connected.as_ref().is_err_and(|error| !matches!(error, espflash::Error::Connection(_))) {
            // The chip answered, and then loading the stub went wrong; the second time it may go well.
            // espflash waits 50 ms for the stub to start, which a busy machine may miss.
            (lines, connected) = connect(&port, settings)?;
        }
        let flasher =
            connected.map_err(|error| cannot_connect(&port, lines, settings.before, &error))?;
        let mut session = Session {
            stub: settings.stub && !flasher.secure_download_mode(),
            found: Found {
                chip: flasher.chip().to_string(),
                revision: None,
                mac: None,
                flash_size: None,
                security: None,
            },
            port,
            flasher,
            lines,
            after: settings.after,
        };
        session.look()?;
        if session.after == After::Watchdog && session.flasher.chip().wdt_wprotect().is_none() {
            return Err(Error::device(format!(
                "an {} cannot be reset by its watchdog",
                session.found.title()
            ))
            .hint("leave `--after` out; nothing was written"));
        }
        Ok(session)
    }

    /// The port that the loader is reached by.
    pub fn port(&self) -> &Port {
        &self.port
    }

    /// Whether the chip can be reset without a person.
    pub fn can_reset(&self) -> bool {
        self.lines
    }

    fn look(&mut self) -> Result<()> {
        self.found.security = self.security();
        if self.flasher.secure_download_mode() {
            return Ok(());
        }
        let info = guarded(|| self.flasher.device_info())
            .map_err(|error| failed("look at the chip", &error))?;
        self.found.revision = info.revision;
        self.found.mac = info.mac_address;
        // A size that is not understood is silently taken for 4 MB there.
        let size = u64::from(info.flash_size.size());
        self.found.flash_size = Some(size).filter(|size| *size != 4 << 20 || self.knows_size());
        Ok(())
    }

    /// Whether the flash chip's identification tells its size: asked for once more, because what was
    /// read stays in the first data register of the flash controller.
    fn knows_size(&mut self) -> bool {
        let register = self.flasher.chip().spi_registers().w0();
        self.flasher.flash_detect().is_ok()
            && self
                .flasher
                .connection()
                .read_reg(register)
                .is_ok_and(|id| FlashSize::from_detected((id >> 16) as u8).is_ok())
    }

    fn security(&mut self) -> Option<Security> {
        const SECURE_BOOT_EN: u32 = 1 << 0;
        const SECURE_DOWNLOAD_ENABLE: u32 = 1 << 2;
        if self.flasher.chip() == Chip::Esp32 {
            return self.esp32_security();
        }
        let info = guarded(|| self.flasher.security_info()).ok()?;
        Some(Security {
            secure_boot: info.flags & SECURE_BOOT_EN != 0,
            secure_download: info.flags & SECURE_DOWNLOAD_ENABLE != 0,
            flash_encryption: info.flash_crypt_cnt.count_ones() % 2 == 1,
        })
    }

    /// The ESP32 has no command that tells; its fuses do.
    fn esp32_security(&mut self) -> Option<Security> {
        let chip = self.flasher.chip();
        let mut fuse =
            |field| guarded(|| chip.read_efuse_le::<u32>(self.flasher.connection(), field)).ok();
        let count = fuse(esp32_efuse::FLASH_CRYPT_CNT)?;
        let boot = fuse(esp32_efuse::ABS_DONE_0)? | fuse(esp32_efuse::ABS_DONE_1)?;
        Some(Security {
            secure_boot: boot != 0,
            flash_encryption: count.count_ones() % 2 == 1,
            secure_download: false,
        })
    }

    /// Ends the session: the chip starts what was written, or stays where it was told to. The port is
    /// closed.
    ///
    /// # Errors
    /// When the chip cannot be reset.
    pub fn leave(mut self) -> Result<()> {
        let chip = self.flasher.chip();
        let (after, stub, lines) = (self.after, self.stub, self.lines);
        let done = guarded(|| reset::leave(self.flasher.connection(), chip, after, stub, lines));
        done.map_err(|error| {
            failed("reset the chip", &error)
                .hint("all is written and verified: press the board's reset button")
        })
    }

    fn write_compressed(
        &mut self,
        offset: u32,
        data: &[u8],
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let packed = compress(data)?;
        let block = self.flasher.chip().stub_flash_write_size();
        let connection = self.flasher.connection();
        let what = || format!("write at 0x{offset:x}");
        let begin = Command::FlashDeflBegin {
            size: data.len() as u32,
            blocks: packed.len().div_ceil(block) as u32,
            block_size: block as u32,
            offset,
            supports_encryption: false,
        };
        send(connection, begin, SECTOR).map_err(|error| failed(&what(), &error))?;
        // The device unpacks as it goes, so how long a block takes depends on what is in it.
        let mut unpacked = ZlibDecoder::new(Count(0));
        let mut done = 0;
        for (sequence, piece) in packed.chunks(block).enumerate() {
            let _ = unpacked.write_all(piece).and_then(|()| unpacked.flush());
            let now = unpacked.get_ref().0;
            let command = Command::FlashDeflData {
                sequence: sequence as u32,
                pad_to: 0,
                pad_byte: 0xff,
                data: piece,
            };
            send(connection, command, (now - done) as u32)
                .map_err(|error| failed(&what(), &error))?;
            done = now;
            progress(done.min(data.len() as u64))?;
        }
        // Acknowledged is a block when it has arrived, not when it is written: a command that needs the
        // flash waits for that.
        let end = Command::FlashDeflEnd { reboot: false };
        send(connection, end, data.len() as u32).map_err(|error| failed(&what(), &error))
    }

    fn write_plain(
        &mut self,
        offset: u32,
        data: &[u8],
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let chip = self.flasher.chip();
        let block = chip.flash_write_size();
        let connection = self.flasher.connection();
        let what = || format!("write at 0x{offset:x}");
        let size = (data.len() as u32).next_multiple_of(SECTOR);
        let begin = Command::FlashBegin {
            size,
            blocks: data.len().div_ceil(block) as u32,
            block_size: block as u32,
            offset,
            supports_encryption: chip != Chip::Esp32,
        };
        send(connection, begin, size).map_err(|error| failed(&what(), &error))?;
        for (sequence, piece) in data.chunks(block).enumerate() {
            let command = Command::FlashData {
                sequence: sequence as u32,
                pad_to: block,
                pad_byte: 0xff,
                data: piece,
            };
            send(connection, command, block as u32).map_err(|error| failed(&what(), &error))?;
            progress(((sequence * block) + piece.len()) as u64)?;
        }
        Ok(())
    }

    fn read_slowly(&mut self, offset: u32, length: u32) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        for start in (offset..offset + length).step_by(ROM_READ as usize) {
            let command = Command::ReadFlashSlow {
                offset: start,
                size: ROM_READ,
                block_size: ROM_READ,
                max_in_flight: 1,
            };
            let connection = self.flasher.connection();
            let answer = guarded(|| {
                connection.with_timeout(PATIENCE, |connection| connection.command(command))
            })
            .and_then(|value| -> std::result::Result<Vec<u8>, _> { value.try_into() })
            .map_err(|error| failed("read the flash", &error))?;
            data.extend(answer.into_iter().take(ROM_READ as usize));
        }
        data.truncate(length as usize);
        Ok(data)
    }
}

impl Device for Session {
    fn found(&self) -> &Found {
        &self.found
    }

    fn md5(&mut self, range: Range<u32>) -> Result<Digest16> {
        interrupt::check()?;
        let length = range.end - range.start;
        let digest = guarded(|| self.flasher.checksum_md5(range.start, length));
        digest.map(u128::to_be_bytes).map_err(|error| failed("compare the flash", &error))
    }

    fn read(&mut self, offset: u32, length: u32) -> Result<Vec<u8>> {
        interrupt::check()?;
        if !self.stub {
            return self.read_slowly(offset, length);
        }
        let file = tempfile::NamedTempFile::new()
            .map_err(|error| Error::io("create a file in", &std::env::temp_dir(), &error))?;
        let path = file.path().to_owned();
        guarded(|| self.flasher.read_flash(offset, length, READ_BLOCK, READ_AHEAD, path))
            .map_err(|error| failed("read the flash", &error))?;
        std::fs::read(file.path()).map_err(|error| Error::io("read", file.path(), &error))
    }

    fn write(
        &mut self,
        offset: u32,
        data: &[u8],
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let mut padded;
        let data = if data.len().is_multiple_of(4) {
            data
        } else {
            padded = data.to_vec();
            padded.resize(data.len().next_multiple_of(4), 0xff);
            &padded
        };
        if self.stub {
            self.write_compressed(offset, data, progress)
        } else {
            self.write_plain(offset, data, progress)
        }
    }

    fn erase(&mut self, range: Range<u32>) -> Result<()> {
        let length = range.end - range.start;
        guarded(|| self.flasher.erase_region(range.start, length))
            .map_err(|error| failed("erase the flash", &error))
    }

    fn erase_all(&mut self) -> Result<()> {
        guarded(|| self.flasher.erase_flash()).map_err(|error| failed("erase the flash", &error))
    }
}

/// Opens a port and brings the chip behind it into its loader. Whether the port has control lines is told
/// also where that fails.
fn connect(
    port: &Port,
    settings: &Settings,
) -> Result<(bool, std::result::Result<Flasher, espflash::Error>)> {
    let mut serial = serialport::new(&port.path, ROM_BAUD)
        .flow_control(serialport::FlowControl::None)
        .timeout(PATIENCE)
        .open_native()
        .map_err(|error| permission::cannot_open(&port.path, &error))?;
    let lines = has_lines(&mut serial);
    let before = settings.before.as_operation(lines);
    let after = settings.after.as_operation();
    let usb = UsbPortInfo {
        vid: port.usb.as_ref().map_or(0, |usb| usb.vid),
        pid: port.usb.as_ref().map_or(0, |usb| usb.pid),
        serial_number: None,
        manufacturer: None,
        product: None,
        location: None,
    };
    let connection = Connection::new(serial, usb, after, before, ROM_BAUD);
    let baud = (settings.baud > ROM_BAUD).then_some(settings.baud);
    let stub = settings.stub;
    Ok((lines, guarded(|| Flasher::connect(connection, stub, false, false, None, baud))))
}

/// Whether a port has control lines: a pseudo-terminal and some bridges have none.
fn has_lines(serial: &mut TTYPort) -> bool {
    serial.read_clear_to_send().is_ok()
}

/// Sends a command that makes the device work on `bytes` bytes, and waits for its answer.
pub(super) fn send(
    connection: &mut Connection,
    command: Command<'_>,
    bytes: u32,
) -> std::result::Result<(), espflash::Error> {
    let limit = PATIENCE + PER_MEGABYTE.mul_f64(f64::from(bytes) / f64::from(1 << 20));
    guarded(|| connection.with_timeout(limit, |connection| connection.command(command).map(drop)))
}

fn compress(data: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(data)
        .and_then(|()| encoder.finish())
        .map_err(|error| Error::internal(format!("cannot compress: {error}")))
}

/// Counts what is written to it.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An error of espflash as one of ours.
fn failed(what: &str, error: &espflash::Error) -> Error {
    if interrupt::requested() {
        return Error::interrupted();
    }
    Error::new(Kind::Device, format!("cannot {what}: {}", words(error)))
}

/// What an error says, with its causes, as a message of ours would.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = crate::error::lower_first(&error.to_string());
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = crate::error::lower_first(&cause.to_string());
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn cannot_connect(port: &Port, lines: bool, before: Before, error: &espflash::Error) -> Error {
    let error = failed(&format!("reach the loader of a chip on {}", port.path), error);
    if error.kind() == Kind::Interrupted {
        return error;
    }
    if let Some(users) = permission::users(&port.path) {
        return error.hint(format!(
            "the port is also in use by {users}, which takes the answers: end that"
        ));
    }
    let hold = match (before, port.is_chips_own()) {
        (Before::NoReset, _) => {
            "it was not reset: hold the board's BOOT button, press RESET, let BOOT go, and run it again"
        }
        (_, false) => {
            "hold the board's BOOT button, press RESET, let BOOT go, and run it again with `--before no-reset`"
        }
        (_, true) => {
            "hold the board's BOOT button, press RESET, let BOOT go, and run it again with `--before no-reset`; \
             its port may have another name then: `--list-ports`"
        }
    };
    match (lines, before) {
        (false, Before::Reset) => error
            .hint(format!("{} has no control lines to reset the chip by", port.path))
            .hint(hold),
        _ => error
            .hint(hold)
            .hint("another speed may help: `--baud 115200`; and a cable that carries data"),
    }
}
