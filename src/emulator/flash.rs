//! Emulated machines that boot from a flash chip: Espressif's QEMU.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::firmware::record::{self, Emulator, Record};
use crate::process;

/// What erased flash reads as.
const ERASED: [u8; 4096] = [0xff; 4096];

/// The flash of one run. The emulator writes to it; dropping it removes it.
#[derive(Debug)]
pub(super) struct Flash {
    file: NamedTempFile,
}

impl Flash {
    /// A flash of the size that the record states, erased but for the firmware at its offset.
    pub(super) fn with(firmware: &Path, file: &record::File, record: &Record) -> Result<Flash> {
        let settings = record.esp_idf.as_ref().map(|idf| &idf.flash);
        let size = settings.and_then(|flash| flash.size_in_bytes()).ok_or_else(|| {
            Error::input(format!(
                "{} does not say how large the flash is, so it cannot be emulated",
                record::FILE_NAME
            ))
            .hint("build with CONFIG_ESPTOOLPY_FLASHSIZE_4MB=y in a file given with --sdkconfig")
        })?;
        let offset = file.offset.unwrap_or_default();
        if offset.checked_add(file.size).is_none_or(|end| end > size) {
            return Err(Error::input(format!(
                "{} takes {} bytes from {offset:#x} on, the flash has {size}",
                file.path, file.size
            ))
            .hint("build the firmware again"));
        }
        let mut flash = tempfile::Builder::new()
            .prefix("micropython-builder-flash-")
            .tempfile()
            .map_err(|error| Error::io("create a file in", &std::env::temp_dir(), &error))?;
        fill(flash.as_file_mut(), size, offset, firmware)
            .map_err(|error| Error::io("write", flash.path(), &error))?;
        Ok(Flash { file: flash })
    }

    /// The value of `-drive`. A comma in a path is written twice there.
    pub(super) fn drive(&self) -> OsString {
        let mut drive = b"if=mtd,format=raw,file=".to_vec();
        for byte in self.file.path().as_os_str().as_bytes() {
            drive.push(*byte);
            if *byte == b',' {
                drive.push(b',');
            }
        }
        OsString::from_vec(drive)
    }
}

fn fill(flash: &mut File, size: u64, offset: u64, firmware: &Path) -> io::Result<()> {
    let mut left = size;
    while left > 0 {
        let count = ERASED.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        flash.write_all(ERASED.get(..count).unwrap_or_default())?;
        left -= count as u64;
    }
    flash.seek(SeekFrom::Start(offset))?;
    io::copy(&mut File::open(firmware)?, flash)?;
    Ok(())
}

/// Checks that an emulator is there and has the machine: the QEMU of most distributions has none of
/// Espressif's.
pub(super) fn check_machine(program: &OsStr, emulator: &Emulator) -> Result<()> {
    const HINT: &str = "Espressif's QEMU has it: https://github.com/espressif/qemu/releases; \
        put it first on PATH, or name it with --emulator FILE";
    let mut words = emulator.arguments.iter().skip_while(|word| *word != "-machine");
    let Some(machine) = words.nth(1) else { return Ok(()) };
    let shown = Path::new(program).display();
    let mut command = Command::new(program);
    command.args(["-machine", "help"]);
    let output = process::output(&mut command, Duration::from_secs(60)).map_err(|error| {
        let missing = error.message().ends_with("is not installed");
        if missing { Error::input(error.message()).hint(HINT) } else { error }
    })?;
    let named = |line: &str| line.split_whitespace().next() == Some(machine);
    if output.status.success() && output.stdout.lines().any(named) {
        return Ok(());
    }
    Err(Error::input(format!("{shown} has no machine {machine}, which this firmware is for"))
        .hint(HINT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_flash_is_erased_around_the_firmware() {
        let firmware = NamedTempFile::new().unwrap();
        fs::write(firmware.path(), b"firmware").unwrap();
        let mut flash = tempfile::tempfile().unwrap();
        fill(&mut flash, 10_000, 4096, firmware.path()).unwrap();
        let mut expected = vec![0xff; 10_000];
        expected[4096..4104].copy_from_slice(b"firmware");
        let mut found = Vec::new();
        flash.rewind().unwrap();
        io::Read::read_to_end(&mut flash, &mut found).unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_comma_in_a_path_is_no_end_of_an_option() {
        let directory = tempfile::tempdir().unwrap();
        let file = NamedTempFile::new_in({
            let odd = directory.path().join("a,b");
            fs::create_dir(&odd).unwrap();
            odd
        });
        let drive = Flash { file: file.unwrap() }.drive().into_string().unwrap();
        assert!(drive.starts_with("if=mtd,format=raw,file=/"), "{drive}");
        assert!(drive.contains("/a,,b/"), "{drive}");
    }
}
