//! The simulated device against esptool, so that it is no mirror of this project's own mistakes.

mod common;
mod device;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use device::Device;
use device::chip::CHIPS;

/// esptool on a device, or none where it is not installed.
fn esptool(device: &Device, arguments: &[&str]) -> Option<Output> {
    let python = common::python(&["esptool"])?;
    let output = Command::new(python)
        .args(["-m", "esptool", "--before", "no-reset", "--after", "no-reset", "--port"])
        .arg(device.port())
        .args(arguments)
        .output()
        .unwrap();
    Some(output)
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    text
}

#[test]
fn esptool_writes_and_verifies() {
    for chip in CHIPS {
        let device = Device::new(chip).start();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("image.bin");
        let bytes: Vec<u8> = (0..50_000u32).map(|at| ((at * at) >> 7) as u8).collect();
        fs::write(&file, &bytes).unwrap();
        let file = Path::to_str(&file).unwrap();
        let Some(output) = esptool(&device, &["write-flash", "0x10000", file]) else { return };
        let text = succeeds(&output);
        println!("{text}\n{:?}", device.stats());
        assert_eq!(device.flash()[0x10000..][..bytes.len()], bytes);
    }
}
