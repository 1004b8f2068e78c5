//! `micropython-builder flash` beside `esptool write-flash`, each on a simulated ESP32-C3 of its own.
//!
//! What counts is what goes over the line: its bytes, and how long a serial port at the rates that were
//! used, and the flash chip, would have been busy. `MPB_FLASH_FIRMWARE` may name two firmware directories
//! of the same board, with a `:` between them: the first is flashed, then again, then the second over it.
//! Without it they are made up, of the size of MicroPython. `MPB_PYTHON` names a Python with esptool;
//! without it there is nothing to compare with.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[allow(dead_code)]
#[path = "../tests/common/mod.rs"]
mod common;
#[allow(dead_code)]
#[path = "../tests/device/mod.rs"]
mod device;
#[allow(dead_code)]
mod figures;
#[allow(dead_code)]
#[path = "../tests/flashing/mod.rs"]
mod flashing;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use device::chip::Chip;
use device::lines::{Wiring, preload};
use device::{Device, Stats};
use figures::{Figure, Section};
use flashing::{Firmware, Header, noise};

const CHIP: Chip = Chip::Esp32c3;
const BAUD: &str = "460800";

/// As MicroPython's boards with 4 MiB have it.
const TABLE_OF_4_MB: &str = "\
nvs, data, nvs, 0x9000, 0x6000
phy_init, data, phy, 0xf000, 0x1000
factory, app, factory, 0x10000, 0x1f0000
vfs, data, fat, 0x200000, 0x200000
";

/// A firmware directory, kept as long as it is needed.
struct Given {
    path: PathBuf,
    _made: Option<Firmware>,
}

/// Two firmwares, of which the second has one thing changed that does not move the rest.
fn firmware() -> [Given; 2] {
    if let Some(given) = std::env::var_os("MPB_FLASH_FIRMWARE") {
        let paths: Vec<PathBuf> = std::env::split_paths(&given).collect();
        let [first, second] = <[PathBuf; 2]>::try_from(paths).unwrap();
        return [first, second].map(|path| Given { path, _made: None });
    }
    // Half of it compresses, as code and tables do.
    let mut contents = noise(1, 700_000);
    contents.extend(b"some text that compresses, and comes again and again ".repeat(13_000));
    let header = Header { size: 2, ..Header::of(CHIP) };
    let first = Firmware::of(header, &contents, TABLE_OF_4_MB);
    contents[300_000..302_000].copy_from_slice(&noise(2, 2000));
    let second = Firmware::of(header, &contents, TABLE_OF_4_MB);
    [first, second].map(|made| Given { path: made.path().to_owned(), _made: Some(made) })
}

/// What a program did to a device.
struct Measured {
    to_device: u64,
    from_device: u64,
    line: Duration,
    flash: Duration,
    wall: Duration,
}

fn measure(device: &Device, mut command: Command) -> Measured {
    let before = device.stats();
    let begun = Instant::now();
    // Both reset the device by its modem lines, as they would a board.
    command.envs(preload().unwrap());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let wall = begun.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let Stats { received, sent, line_time, flash_time, .. } = device.stats();
    Measured {
        to_device: received - before.received,
        from_device: sent - before.sent,
        line: line_time - before.line_time,
        flash: flash_time - before.flash_time,
        wall,
    }
}

fn ours(device: &Device, firmware: &Path) -> Command {
    flashing::command(firmware, &[device.port()], &["--baud", BAUD])
}

fn esptool(python: &Path, device: &Device, firmware: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "esptool", "--chip", CHIP.name(), "--baud", BAUD, "--port"]);
    command.arg(device.port()).arg("write-flash");
    let record = micropython_builder::firmware::record::Record::read(firmware).unwrap();
    for file in &record.files {
        use micropython_builder::firmware::record::Role;
        if matches!(file.role, Role::Bootloader | Role::PartitionTable | Role::Application) {
            command.arg(file.offset.unwrap().to_string()).arg(firmware.join(&file.path));
        }
    }
    command
}

fn main() {
    let [first, second] = firmware();
    let python = common::python(&["esptool"]);
    let steps = [("first", &first), ("the same again", &first), ("one module changed", &second)];
    // New enough for what is built today.
    let device = || Device::new(CHIP).revision(0, 4).wiring(Wiring::Board);
    let board = || device().running_application().start();
    let (our_device, its_device) = (board(), board());
    println!(
        "{:<20} {:<8} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "", "sent", "of first", "received", "line s", "flash s", "wall s"
    );
    let section = Section("Flashing");
    section.about(
        "Bytes that go over the line, which is what a board waits for, to a simulated ESP32-C3 that has what the \
         step before flashed. The firmware is made up, of MicroPython's size; the module that changes has 2000 \
         bytes. What differs is found by asking for the MD5 of ever smaller ranges, down to \
         sectors of 4 KiB. Where a change moves what lies behind it, little agrees and most is sent; to send less \
         then, a board would have to copy what it has, which its loaders cannot do.",
    );
    if python.is_none() {
        section.missing("MPB_PYTHON names no Python with esptool");
    }
    let mut whole = [0, 0];
    for (name, firmware) in steps {
        let mut row = |who: &str, index: usize, it: Measured| {
            if whole[index] == 0 {
                whole[index] = it.to_device;
            }
            println!(
                "{name:<20} {who:<8} {:>10} {:>7.1}% {:>8} {:>8.2} {:>8.2} {:>8.2}",
                it.to_device,
                100.0 * it.to_device as f64 / whole[index] as f64,
                it.from_device,
                it.line.as_secs_f64(),
                it.flash.as_secs_f64(),
                it.wall.as_secs_f64()
            );
        };
        let mine = measure(&our_device, ours(&our_device, &firmware.path));
        let sent = mine.to_device as f64;
        row("ours", 0, mine);
        if let Some(python) = &python {
            let its = measure(&its_device, esptool(python, &its_device, &firmware.path));
            let figure = Figure {
                what: name,
                ours: "`micropython-builder flash …`",
                peer: "`esptool write-flash …`",
                unit: "bytes",
            };
            section.figure(&figure, &[(sent, its.to_device as f64)]);
            row("esptool", 1, its);
        }
    }
}
