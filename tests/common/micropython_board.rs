//! A simulated ESP32 that runs a real MicroPython, in an emulator behind its serial port.

use std::path::Path;
use std::process::Command;

use micropython_builder::firmware::record::Record;

use super::common::missing;
use super::device::chip::Chip;
use super::device::lines::{Preloaded, Wiring, preload};
use super::device::{Device, Setup};
use super::firmware::firmware;

/// A board whose reset lines work, and which runs the firmware of an emulated board after a reset, with what host
/// programs need for its lines. None as with [`firmware`].
pub fn board(chip: Chip, wiring: Wiring, emulated: &str) -> Option<(Setup, Preloaded)> {
    let directory = firmware(emulated)?;
    let Some(library) = preload() else {
        missing("a C compiler for the modem lines of the simulated device");
        return None;
    };
    let setup = Device::new(chip)
        .wiring(wiring)
        .running_application()
        .boots(Box::new(move |_| emulator(&directory)));
    Some((setup, library))
}

/// An emulator whose standard input and output are the UART.
pub fn emulator(directory: &Path) -> Command {
    let emulator = Record::read(directory).unwrap().emulator.unwrap();
    let mut command = Command::new(emulator.program);
    command.args(emulator.arguments);
    command.args(["-display", "none", "-monitor", "none", "-serial", "stdio"]);
    command.arg("-kernel").arg(directory.join("firmware.elf"));
    command
}
