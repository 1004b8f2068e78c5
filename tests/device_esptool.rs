//! The simulated device against esptool, so that it is no mirror of this project's own mistakes.

mod common;
mod device;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use common::command::holds;
use device::Device;
use device::chip::{CHIPS, Chip};
use device::faults::{Fault, Harm, Way};
use device::lines::{Wiring, preload};
use device::protocol::Command as Asked;
use tempfile::TempDir;

const MIB: usize = 1 << 20;

/// esptool and files for it.
struct Esptool {
    python: PathBuf,
    directory: TempDir,
}

impl Esptool {
    /// None where it is not installed.
    fn get() -> Option<Esptool> {
        let python = common::python(&["esptool"])?;
        Some(Esptool { python, directory: tempfile::tempdir().unwrap() })
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// On a device without modem lines.
    fn run(&self, device: &Device, arguments: &[&str]) -> Output {
        let mut command = self.command(device);
        command.args(["--before", "no-reset", "--after", "no-reset-stub"]).args(arguments);
        command.output().unwrap()
    }

    fn command(&self, device: &Device) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-m", "esptool", "--port"]).arg(device.port());
        command
    }
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    let text = all(output);
    assert!(output.status.success(), "{text}");
    text
}

#[track_caller]
fn fails(output: &Output, words: &str) {
    let text = all(output);
    assert!(!output.status.success(), "{text}");
    holds(&text, &[words]);
}

fn all(output: &Output) -> String {
    let (out, errors) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(errors))
}

/// Bytes that compress to about a third.
fn bytes(length: u32) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect()
}

/// Does the same for several things at a time.
fn each<T: Sync>(of: &[T], job: impl Fn(&T) + Sync) {
    thread::scope(|scope| {
        for one in of {
            scope.spawn(|| job(one));
        }
    });
}

#[test]
fn esptool_knows_the_chips() {
    let Some(esptool) = Esptool::get() else { return };
    each(&CHIPS, |chip| {
        let device = Device::new(*chip).flash_size(8 * MIB).revision(1, 1).start();
        let text = succeeds(&esptool.run(&device, &["--no-stub", "flash-id"]));
        let name = match chip {
            Chip::Esp32 => "ESP32-D0WDQ6 (revision v1.1)",
            Chip::Esp32s3 => "ESP32-S3 (QFN56) (revision v1.1)",
            Chip::Esp32c3 => "ESP32-C3 (QFN32) (revision v1.1)",
            Chip::Esp32c6 => "ESP32-C6 (QFN40) (revision v1.1)",
        };
        let crystal = "Crystal frequency:  40MHz";
        holds(&text, &[name, crystal, "24:6f:28:01:02:03", "Detected flash size: 8MB"]);
        assert!(!text.contains("WARNING"), "{text}");
    });
}

#[test]
fn what_esptool_writes_is_there_and_nothing_else_is_touched() {
    let Some(esptool) = Esptool::get() else { return };
    let before = bytes(4 * MIB as u32);
    let image = bytes(70_001);
    let file = esptool.file("image.bin", &image);
    let ways: &[&[&str]] = &[
        &["--baud", "921600", "write-flash", "0x20000"],
        &["write-flash", "--no-compress", "0x20000"],
        &["--no-stub", "--baud", "230400", "write-flash", "--compress", "0x20000"],
        &["--no-stub", "write-flash", "0x20000"],
    ];
    each(&CHIPS, |chip| {
        for way in ways {
            let device = Device::new(*chip).flash_image(before.clone()).start();
            let text = succeeds(&esptool.run(&device, &[*way, &[&file]].concat()));
            assert!(text.contains("Hash of data verified"), "{text}");
            let flash = device.flash();
            let end = 0x20000 + image.len();
            assert_eq!(&flash[0x20000..end], image, "{chip:?} {way:?}");
            assert_eq!(flash[..0x20000], before[..0x20000]);
            // The rest of the last sector is erased.
            let sector = end.next_multiple_of(4096);
            assert!(flash[end..sector].iter().all(|byte| *byte == 0xFF));
            assert_eq!(flash[sector..], before[sector..]);
            let stats = device.stats();
            assert_eq!(stats.erased, (sector - 0x20000) as u64);
            let compressed = stats.commands.contains_key(&Asked::DeflateData);
            assert_eq!(compressed, stats.received < 70_000, "{way:?} {stats:?}");
        }
    });
}

#[test]
fn esptool_reads_verifies_and_erases() {
    let Some(esptool) = Esptool::get() else { return };
    let contents = bytes(MIB as u32);
    each(&CHIPS, |chip| {
        let device = Device::new(*chip).flash_image(contents.clone()).start();
        let name = chip.name();
        let read = |stub: &str, offset: usize, length: usize| {
            let path = esptool.path(&format!("{name}{stub}"));
            let (offset, length) = (offset.to_string(), length.to_string());
            let arguments = [stub, "read-flash", &offset, &length, &path];
            let arguments = if stub.is_empty() { &arguments[1..] } else { &arguments };
            succeeds(&esptool.run(&device, arguments));
            fs::read(path).unwrap()
        };
        assert_eq!(read("--no-stub", 0x1001, 200), contents[0x1001..][..200]);
        assert_eq!(read("", 0x1003, 20_001), contents[0x1003..][..20_001]);
        // The stub is still there.
        assert_eq!(device.stats().running, "stub");
        let same = esptool.file(&format!("{name}-same"), &contents[0x3000..0x5000]);
        let other = esptool.file(&format!("{name}-other"), &contents[0x3001..0x5000]);
        succeeds(&esptool.run(&device, &["verify-flash", "0x3000", &same]));
        fails(&esptool.run(&device, &["verify-flash", "0x3000", &other]), "Verification failed");

        succeeds(&esptool.run(&device, &["erase-region", "0x10000", "0x15000"]));
        let flash = device.flash();
        assert!(flash[0x10000..0x25000].iter().all(|byte| *byte == 0xFF));
        assert_eq!(flash[..0x10000], contents[..0x10000]);
        assert_eq!(flash[0x25000..], contents[0x25000..]);
        succeeds(&esptool.run(&device, &["erase-flash"]));
        assert!(device.flash().iter().all(|byte| *byte == 0xFF));
    });
}

#[test]
fn esptool_resets_it_by_the_modem_lines() {
    let (Some(esptool), Some(library)) = (Esptool::get(), preload()) else { return };
    let file = esptool.file("image.bin", &bytes(5000));
    let wirings = [(Wiring::Board, "default-reset"), (Wiring::UsbJtag, "usb-reset")];
    each(&wirings, |(wiring, before)| {
        let setup = Device::new(Chip::Esp32c3).wiring(*wiring).running_application();
        let device = setup.start();
        assert_eq!(device.stats().running, "application");
        let write = || {
            let mut command = esptool.command(&device);
            command.envs(library).args(["--before", before, "--after", "hard-reset"]);
            succeeds(&command.args(["write-flash", "0", &file]).output().unwrap())
        };
        let text = write();
        assert!(!text.contains("NOT reset"), "{text}");
        settles(&device, "application");
        assert_eq!(device.stats().resets, 3, "at the start, into the loader, and out of it");
        write();
        settles(&device, "application");
    });
    let device = Device::new(Chip::Esp32).wiring(Wiring::Nowhere).running_application().start();
    let mut command = esptool.command(&device);
    command.envs(library).args(["--connect-attempts", "1", "chip-id"]);
    fails(&command.output().unwrap(), "Failed to connect");
}

#[test]
fn esptool_resets_it_by_its_watchdog() {
    let Some(esptool) = Esptool::get() else { return };
    let file = esptool.file("image.bin", &bytes(5000));
    each(&[Chip::Esp32c3, Chip::Esp32s3], |chip| {
        let device = Device::new(*chip).start();
        let mut command = esptool.command(&device);
        command.args(["--before", "no-reset", "--after", "watchdog-reset"]);
        succeeds(&command.args(["write-flash", "0", &file]).output().unwrap());
        settles(&device, "application");
    });
}

/// Waits until this runs: resets take a moment.
#[track_caller]
fn settles(device: &Device, running: &str) {
    let until = Instant::now() + Duration::from_secs(10);
    while device.stats().running != running {
        assert!(Instant::now() < until, "{:?}", device.stats());
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn esptool_notices_what_is_wrong() {
    let Some(esptool) = Esptool::get() else { return };
    let file = esptool.file("image.bin", &bytes(60_000));
    let c3 = || Device::new(Chip::Esp32c3);
    let id: &[&str] = &["--connect-attempts", "1", "chip-id"];
    let write: &[&str] = &["--chip", "esp32c3", "write-flash", "0x10000", &file];
    let slow: &[&str] = &["--no-stub", "--chip", "esp32c3", "write-flash", "0x10000", &file];
    let worn = || c3().fault(Fault::WornCell(0x10002));
    let noisy = c3().fault(Fault::Noisy { way: Way::ToHost, every: 37 });
    // What is wrong, what esptool is asked to do, and what it says.
    let cases = [
        (c3(), &["--chip", "esp32", "chip-id"] as &[&str], "This chip is ESP32-C3, not ESP32"),
        (c3().fault(Fault::Silent), id, "No serial data received"),
        (c3().running_application(), id, "No serial data received"),
        (noisy, id, "A fatal error occurred"),
        (worn(), write, "MD5 of file does not match data in flash"),
        (worn(), slow, "MD5 of file does not match data in flash"),
        (
            Device::new(Chip::Esp32).fault(Fault::WornCell(0x10002)),
            &["--no-stub", "write-flash", "0x10000", &file],
            "Failed to write to target flash after seq 0",
        ),
        // The ROM has counted the damaged block, and refuses it when it comes again.
        (
            c3().fault(Fault::Byte { way: Way::ToDevice, at: 20_000, harm: Harm::Flip(1) }),
            &["--no-stub", "write-flash", "--no-compress", "0x10000", &file],
            "result was 0105",
        ),
        (c3().fault(Fault::Unplug { after: 40_000 }), slow, "error occurred"),
        (c3().fault(Fault::PowerCut { operation: 9 }), slow, "error occurred"),
        (c3().secure_download(), &["flash-id"], "Secure Download Mode"),
        (
            c3().flash_size(MIB / 2),
            &["write-flash", "0x78000", &file],
            "will not fit in 524288 bytes",
        ),
    ];
    each(
        &cases.map(|(setup, arguments, words)| (Mutex::new(Some(setup)), arguments, words)),
        |case| {
            let (setup, arguments, words) = case;
            let device = setup.lock().unwrap().take().unwrap().start();
            fails(&esptool.run(&device, arguments), words);
        },
    );
}

#[test]
fn a_power_cut_leaves_the_flash_as_it_is_at_that_moment() {
    let Some(esptool) = Esptool::get() else { return };
    let contents = bytes(MIB as u32);
    let cut = Fault::PowerCut { operation: 1 };
    let device = Device::new(Chip::Esp32s3).flash_image(contents.clone()).fault(cut).start();
    fails(&esptool.run(&device, &["erase-flash"]), "error occurred");
    assert!(!device.port().exists());
    // One block is erased, and half of the next.
    let expected = [vec![0xFF; 96 << 10], contents[96 << 10..].to_vec()].concat();
    assert!(device.flash() == expected);
    let device = device.unplug().start();
    let file = esptool.file("contents", &contents);
    succeeds(
        &esptool.run(
            &device,
            &["verify-flash", "0x18000", &esptool.file("rest", &contents[96 << 10..])],
        ),
    );
    succeeds(&esptool.run(&device, &["write-flash", "0", &file]));
    assert!(device.flash() == contents);
}

#[test]
fn esptool_repairs_what_was_lost_on_the_way() {
    let Some(esptool) = Esptool::get() else { return };
    let image = bytes(30_000);
    let file = esptool.file("image.bin", &image);
    let at = |way, at, harm| Fault::Byte { way, at, harm };
    // In the middle of blocks, of answers to syncs and of the answer to a block.
    let faults = [
        at(Way::ToDevice, 20_000, Harm::Drop),
        at(Way::ToDevice, 20_000, Harm::Double),
        at(Way::ToDevice, 20_000, Harm::Flip(1)),
        at(Way::ToHost, 5, Harm::Drop),
        at(Way::ToHost, 40, Harm::Flip(1)),
        Fault::Babble(b"\x00\xc0noise\xdb\xff".to_vec()),
        Fault::Slow(Duration::from_millis(5)),
        Fault::Stall { after: 20_000, time: Duration::from_millis(700) },
    ];
    each(&faults, |fault| {
        let device = Device::new(Chip::Esp32c6).fault(fault.clone()).start();
        let arguments = ["write-flash", "--no-compress", "0x1000", &file];
        succeeds(&esptool.run(&device, &arguments));
        assert_eq!(device.flash()[0x1000..][..image.len()], image, "{fault:?}");
    });
}

#[test]
fn a_chip_that_lies_about_its_size_overwrites_itself() {
    let Some(esptool) = Esptool::get() else { return };
    let image = bytes(0x6000);
    let file = esptool.file("image.bin", &image);
    let lies = Fault::SaysFlashSize(2 * MIB);
    let device = Device::new(Chip::Esp32s3).flash_size(MIB).fault(lies).start();
    succeeds(&esptool.run(&device, &["write-flash", "0xfd000", &file]));
    let flash = device.flash();
    assert_eq!((&flash[0xFD000..], &flash[..0x3000]), (&image[..0x3000], &image[0x3000..]));
}
