//! Boards whose bootloader shows itself as a drive onto which a UF2 file is copied.
//!
//! The drive holds `INFO_UF2.TXT` (Microsoft's UF2 specification); its `Board-ID` tells the chip. The
//! bootloader takes the file as it is written, and the drive goes away when it is complete.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Error, Result, describe};
use crate::image::FileBytes;
use crate::image::uf2::Uf2;
use crate::interrupt;
use crate::report::Report;

/// The file that every such drive has.
const INFO: &str = "INFO_UF2.TXT";
/// How long is waited for a drive to come, and to leave after it was given its file.
pub const WAIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
/// How much is copied at once.
const PIECE: usize = 64 << 10;

/// A boot drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drive {
    /// Where it is mounted.
    pub path: PathBuf,
    /// What it says of the board's model.
    pub model: String,
    /// What it says of the board.
    pub board_id: String,
}

impl Drive {
    /// Reads a directory's `INFO_UF2.TXT`; nothing where there is none.
    pub fn at(path: &Path) -> Option<Drive> {
        let text = fs::read_to_string(path.join(INFO)).ok()?;
        let field = |name: &str| {
            let lines = text.lines().filter_map(|line| line.split_once(':'));
            lines
                .into_iter()
                .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
                .map_or_else(String::new, |(_, value)| value.trim().to_owned())
        };
        Some(Drive { path: path.to_owned(), model: field("Model"), board_id: field("Board-ID") })
    }

    /// What it is, in words.
    pub fn describe(&self) -> String {
        format!("{}  {} ({})", self.path.display(), self.model, self.board_id)
    }

    /// The families of UF2 files that its bootloader takes, by the beginnings of their names. Nothing
    /// where the board is unknown.
    fn families(&self) -> Option<&'static [&'static str]> {
        let text = format!("{} {}", self.board_id, self.model).to_ascii_uppercase();
        CHIPS.iter().find(|(mark, _)| text.contains(mark)).map(|(_, families)| *families)
    }

    /// Checks that a file is for this drive's chip.
    ///
    /// # Errors
    /// When it is for another.
    pub fn check(&self, uf2: &Uf2) -> Result<()> {
        let names: Vec<&str> = uf2.families.iter().filter_map(|family| family.name).collect();
        let Some(families) = self.families() else {
            return Err(Error::device(format!(
                "the boot drive at {} is of an unknown board: {} ({})",
                self.path.display(),
                self.model,
                self.board_id
            ))
            .hint("copy the file there by hand when you are sure that it is for this board"));
        };
        if names.iter().any(|name| families.iter().any(|family| name.starts_with(family))) {
            return Ok(());
        }
        let of = if names.is_empty() { "no known family".to_owned() } else { names.join(", ") };
        Err(Error::device(format!(
            "the file is for {of}, the boot drive at {} is of {} and takes {}",
            self.path.display(),
            self.board_id,
            families.join(", ")
        ))
        .hint("build for that board: `micropython-builder boards` lists them"))
    }
}

/// What in a drive's description tells which families its bootloader takes, the more exact first.
const CHIPS: &[(&str, &[&str])] = &[
    ("RP2350", &["RP2350", "RP2XXX"]),
    ("RPI-RP2", &["RP2040", "RP2XXX"]),
    ("SAMD51", &["SAMD51"]),
    ("SAME51", &["SAMD51"]),
    ("SAME54", &["SAMD51"]),
    ("SAMD21", &["SAMD21"]),
    ("NRF52840", &["NRF52840"]),
    ("NRF52833", &["NRF52833"]),
    ("ESP32S3", &["ESP32S3"]),
    ("ESP32S2", &["ESP32S2"]),
    ("MIMXRT", &["MIMXRT10XX"]),
];

/// The boot drives among the mounted file systems.
pub fn drives() -> Vec<Drive> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mount_points(&mounts).iter().filter_map(|path| Drive::at(path)).collect()
}

/// Where FAT file systems are mounted, from the text of `/proc/self/mounts`.
fn mount_points(mounts: &str) -> Vec<PathBuf> {
    let place = |line: &str| {
        let mut fields = line.split(' ');
        let place = fields.nth(1)?;
        let fat = matches!(fields.next()?, "vfat" | "msdos" | "fuseblk");
        // Spaces and their like are written as octal numbers.
        let place = place.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
        fat.then(|| PathBuf::from(place))
    };
    mounts.lines().filter_map(place).collect()
}

/// The only boot drive there is, waited for.
///
/// # Errors
/// When none comes, there are several, or the user interrupts.
pub fn find(waiting: &mut dyn FnMut()) -> Result<Drive> {
    let end = Instant::now() + WAIT;
    let mut told = false;
    loop {
        let mut found = drives();
        if found.len() > 1 {
            let listed: String =
                found.iter().map(|drive| format!("\n    {}", drive.describe())).collect();
            return Err(Error::device(format!("several boot drives are there:{listed}"))
                .hint("name one with `--drive DIR`"));
        }
        if let Some(drive) = found.pop() {
            return Ok(drive);
        }
        if Instant::now() >= end {
            return Err(Error::device("no boot drive is mounted")
                .hint("hold the board's BOOTSEL button while you plug it in (rp2), or press RESET twice (samd, nrf)")
                .hint("mount the drive, where your system does not do it by itself, and name it with `--drive DIR`"));
        }
        if !std::mem::replace(&mut told, true) {
            waiting();
        }
        interrupt::check()?;
        thread::sleep(PAUSE);
    }
}

/// What was copied.
#[derive(Debug, Clone, Serialize)]
pub struct Copied {
    /// The drive.
    #[serde(flatten)]
    pub drive: Drive,
    /// How many bytes.
    pub bytes: u64,
    /// How long it took until the drive had left, in seconds.
    pub seconds: f64,
}

/// Reads a file and checks that it is whole.
///
/// # Errors
/// When it cannot be read or is damaged.
pub fn read(path: &Path) -> Result<Uf2> {
    let uf2 = Uf2::read(&FileBytes::open(path)?, |_, _| ())
        .map_err(|error| Error::io("read", path, &error))?;
    match uf2.problems.first() {
        None => Ok(uf2),
        Some(problem) => Err(Error::input(format!("{} is damaged: {problem}", path.display()))
            .hint("build the firmware again, or get it again")),
    }
}

/// Copies a file to a drive and waits until the board takes the drive away, which it does when it has
/// taken the whole file.
///
/// # Errors
/// When the drive cannot be written, or stays.
pub fn copy(file: &Path, drive: &Drive, wait: Duration, report: &dyn Report) -> Result<Copied> {
    let begun = Instant::now();
    let data = fs::read(file).map_err(|error| Error::io("read", file, &error))?;
    let name = file.file_name().unwrap_or_else(|| "firmware.uf2".as_ref());
    let destination = drive.path.join(name);
    let gauge =
        report.bytes(&format!("copying to {}", drive.path.display()), Some(data.len() as u64));
    let written = (|| -> io::Result<()> {
        let mut out = File::create(&destination)?;
        let mut done = 0;
        for piece in data.chunks(PIECE) {
            out.write_all(piece)?;
            done += piece.len() as u64;
            gauge.set(done);
            if interrupt::requested() {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
        out.sync_all()
    })();
    drop(gauge);
    if interrupt::requested() {
        return Err(Error::interrupted().hint(
            "the board has half a firmware; its boot drive stays, so run the same command again",
        ));
    }
    if let Err(error) = &written
        && Drive::at(&drive.path).is_some()
    {
        return Err(Error::device(format!(
            "cannot write to {}: {}",
            destination.display(),
            describe(error)
        ))
        .hint("is the drive mounted for this user, and writable?"));
    }
    report.step("waiting for the board to start");
    let end = Instant::now() + wait;
    while Drive::at(&drive.path).is_some() {
        interrupt::check()?;
        if Instant::now() >= end {
            return Err(Error::device(format!(
                "the boot drive at {} is still there: the board has not taken the file",
                drive.path.display()
            ))
            .hint(
                "unplug the board and try again; another UF2 file may show whether it is the file",
            ));
        }
        thread::sleep(PAUSE);
    }
    Ok(Copied {
        drive: drive.clone(),
        bytes: data.len() as u64,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::uf2;
    use crate::report::Silent;

    fn drive(directory: &Path, board: &str) -> Drive {
        let text = format!("UF2 Bootloader v3.0\r\nModel: Some Model\r\nBoard-ID: {board}\r\n");
        fs::write(directory.join(INFO), text).unwrap();
        Drive::at(directory).unwrap()
    }

    fn file(directory: &Path, family: u32) -> PathBuf {
        let path = directory.join("firmware.uf2");
        let mut out = Vec::new();
        uf2::write(&vec![7u8; 5000].as_slice(), family, 0x1000_0000, &mut out).unwrap();
        fs::write(&path, out).unwrap();
        path
    }

    #[test]
    fn fat_mount_points_are_found() {
        let mounts = "proc /proc proc rw 0 0\n/dev/sdb1 /media/me/RPI\\040RP2 vfat rw 0 0\n\
                      /dev/sda1 / ext4 rw 0 0\n";
        assert_eq!(mount_points(mounts), [PathBuf::from("/media/me/RPI RP2")]);
    }

    #[test]
    fn files_go_to_the_drives_of_their_family_only() {
        let directory = tempfile::tempdir().unwrap();
        let (rp2040, rp2350, samd51) = (0xe48b_ff56, 0xe48b_ff59, 0x5511_4460);
        for (board, family, fits) in [
            ("RPI-RP2", rp2040, true),
            ("RPI-RP2", rp2350, false),
            ("RP2350", rp2350, true),
            ("RP2350", rp2040, false),
            ("SAMD51J19A-Feather-v0", samd51, true),
            ("SAMD21G18A-Feather-v0", samd51, false),
            ("Toaster-v1", rp2040, false),
        ] {
            let drive = drive(directory.path(), board);
            let uf2 = read(&file(directory.path(), family)).unwrap();
            assert_eq!(drive.check(&uf2).is_ok(), fits, "{board} {family:x}");
        }
    }

    #[test]
    fn a_drive_that_leaves_has_taken_its_file() {
        let (source, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let drive = drive(place.path(), "RPI-RP2");
        let path = file(source.path(), 0xe48b_ff56);
        let error = copy(&path, &drive, Duration::ZERO, &Silent).unwrap_err();
        assert!(error.message().contains("is still there"), "{error}");
        fs::remove_file(place.path().join("firmware.uf2")).unwrap();
        let copied = thread::scope(|scope| {
            scope.spawn(|| {
                while !place.path().join("firmware.uf2").exists() {
                    thread::sleep(Duration::from_millis(5));
                }
                fs::remove_file(place.path().join(INFO)).unwrap();
            });
            copy(&path, &drive, Duration::from_secs(20), &Silent)
        });
        assert_eq!(copied.unwrap().bytes, fs::metadata(&path).unwrap().len());
    }

    #[test]
    fn damaged_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(directory.path(), 0xe48b_ff56);
        let mut data = fs::read(&path).unwrap();
        data.truncate(1000);
        fs::write(&path, data).unwrap();
        assert!(read(&path).unwrap_err().message().contains("is damaged"));
    }
}
