//! How a chip gets into its loader and out of it again.

use std::thread;
use std::time::Duration;

use espflash::command::{Command, CommandType};
use espflash::connection::{Connection, ResetAfterOperation, ResetBeforeOperation};
use espflash::target::Chip;

use super::session::send;

/// How long a loader gets to take the command to reset the chip.
const REBOOT: Duration = Duration::from_millis(200);

/// How the chip gets into its loader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Before {
    /// By the control lines of the port, where it has any.
    #[default]
    Reset,
    /// As a chip whose USB is its own is reset.
    UsbReset,
    /// It is there already.
    NoReset,
}

/// What becomes of the chip afterwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum After {
    /// It is reset, and starts what was written.
    #[default]
    Reset,
    /// It stays in the loader of its ROM.
    NoReset,
    /// It stays in the loader that was loaded into its memory.
    NoResetStub,
    /// Its watchdog resets it, for chips that stay in the loader after any other reset.
    Watchdog,
}

impl Before {
    /// What espflash does; `lines` tells whether the port has control lines.
    pub(super) fn as_operation(self, lines: bool) -> ResetBeforeOperation {
        match self {
            Before::Reset if lines => ResetBeforeOperation::DefaultReset,
            Before::UsbReset => ResetBeforeOperation::UsbReset,
            Before::Reset | Before::NoReset => ResetBeforeOperation::NoReset,
        }
    }
}

impl After {
    /// What espflash does, as far as [`leave`] leaves it to it.
    pub(super) fn as_operation(self) -> ResetAfterOperation {
        match self {
            After::Reset => ResetAfterOperation::HardReset,
            After::NoReset => ResetAfterOperation::NoReset,
            After::NoResetStub => ResetAfterOperation::NoResetNoStub,
            After::Watchdog => ResetAfterOperation::WatchdogReset,
        }
    }
}

/// Ends the work of a loader. `stub` tells whether it is the one in memory, `lines` whether the port has control lines.
///
/// # Errors
/// When the chip does not answer.
pub(super) fn leave(
    connection: &mut Connection,
    chip: Chip,
    after: After,
    stub: bool,
    lines: bool,
) -> Result<(), espflash::Error> {
    match after {
        After::Watchdog => chip.rtc_wdt_reset(connection),
        After::Reset if needs_watchdog(connection, chip) => chip.rtc_wdt_reset(connection),
        After::Reset if !lines => reboot(connection, !stub && chip != Chip::Esp32),
        After::Reset | After::NoReset | After::NoResetStub => connection.reset_after(stub, chip),
    }
}

/// Whether a chip whose USB is its own has to be reset by its watchdog, for it would start its loader again: because the
/// BOOT button was held when it last looked. That a program asked for the loader is forgotten here. As esptool's
/// `hard_reset` of `targets/esp32s2.py`, `esp32s3.py` and `esp32p4.py` has it.
fn needs_watchdog(connection: &mut Connection, chip: Chip) -> bool {
    /// `RTC_CNTL_OPTION1_REG` of the ESP32-S3 and the bit in it that forces the loader.
    const S3_OPTION1: u32 = 0x6000_812C;
    const FORCE_DOWNLOAD_BOOT: u32 = 1;
    if chip == Chip::Esp32s3 {
        let _ = connection.write_reg(S3_OPTION1, 0, Some(FORCE_DOWNLOAD_BOOT));
    }
    chip.is_using_usb_otg(connection).unwrap_or(false)
        && chip.can_rtc_wdt_reset(connection).unwrap_or(false)
}

/// Makes the loader start the chip anew, where there are no lines to do it by.
/// The ROM of all chips but the first takes an argument more, for encryption.
fn reboot(connection: &mut Connection, rom_with_encryption: bool) -> Result<(), espflash::Error> {
    let begin = Command::FlashBegin {
        size: 0,
        blocks: 0,
        block_size: 0x400,
        offset: 0,
        supports_encryption: rom_with_encryption,
    };
    send(connection, begin, 0)?;
    connection.with_timeout(CommandType::FlashEnd.timeout(), |connection| {
        connection.write_command(Command::FlashEnd { reboot: true })?;
        connection.flush()
    })?;
    // Its answer may be cut off by the reset, and is not awaited. But it must be taken before somebody opens
    // the port at another speed.
    thread::sleep(REBOOT);
    Ok(())
}
