//! `flash`, over a simulated device.

mod common;
#[allow(dead_code)]
mod device;
#[allow(dead_code)]
mod flashing;

use std::fs;
use std::path::Path;

use common::command::{failed, mpb};
use device::Device;
use device::chip::{CHIPS, Chip};
use flashing::{APPLICATION, FILES, FLASH, Firmware, Header, TABLE, command, done, flash, noise};

const C3: Chip = Chip::Esp32c3;

#[test]
fn firmware_is_written_where_it_belongs_and_only_once() {
    for chip in CHIPS {
        let firmware = Firmware::new(chip);
        let device = Device::new(chip).flash_size(FLASH).start();
        let board = done(&flash(firmware.path(), device.port(), &["--json"]));
        assert!(firmware.is_in(&device.flash()), "{chip:?}");
        assert_eq!((&board["chip"], &board["flash_size"]), (&chip.name().into(), &FLASH.into()));
        assert_eq!(board["mac"].as_str().unwrap().len(), 17);
        assert_eq!(board["up_to_date"], false);
        let total = firmware.bootloader.len() + firmware.table.len() + firmware.application.len();
        let sum = |board: &serde_json::Value, key: &str| -> u64 {
            board["parts"].as_array().unwrap().iter().map(|part| part[key].as_u64().unwrap()).sum()
        };
        assert_eq!(sum(&board, "written"), total as u64);

        // Only what a loader is sent anyway.
        let (before, written) = (device.stats(), device.stats().written);
        let board = done(&flash(firmware.path(), device.port(), &["--json"]));
        assert_eq!((sum(&board, "written"), sum(&board, "skipped")), (0, total as u64));
        assert_eq!(board["up_to_date"], true);
        assert_eq!(device.stats().written, written);
        assert_eq!(
            device.stats().commands.get(&device::protocol::Command::DeflateData),
            before.commands.get(&device::protocol::Command::DeflateData)
        );
    }
}

#[test]
fn every_kind_of_given_file_gives_the_same_flash() {
    let firmware = Firmware::new(C3);
    for (name, more) in [("firmware.json", ""), ("firmware.bin", ""), ("firmware.bin", "--no-stub")]
    {
        let device = Device::new(C3).flash_size(FLASH).start();
        device.write_flash(0x9000, b"settings in nvs");
        let given =
            if name == "firmware.json" { firmware.path().to_owned() } else { firmware.file(name) };
        let more: Vec<&str> = more.split_whitespace().chain(["--json"]).collect();
        done(&flash(&given, device.port(), &more));
        assert!(firmware.is_in(&device.flash()), "{name}");
        // What lies between the parts is nobody's but the user's.
        assert_eq!(&device.flash()[0x9000..0x9000 + 15], b"settings in nvs", "{name}");
    }
}

#[test]
fn only_sectors_that_differ_are_written() {
    let contents = noise(1, 600_000);
    let mut firmware = Firmware::of(Header::of(C3), &contents, TABLE);
    let device = Device::new(C3).flash_size(FLASH).start();
    let mut sent = 0;
    let mut flash = |firmware: &Firmware| {
        let board = done(&flash(firmware.path(), device.port(), &["--json"]));
        assert!(firmware.is_in(&device.flash()));
        let before = std::mem::replace(&mut sent, device.stats().received);
        (board, sent - before)
    };
    let (_, first) = flash(&firmware);
    let (_, again) = flash(&firmware);
    assert!(again * 50 <= first, "{again} of {first} bytes");

    let erased = device.stats().erased;
    let mut changed = contents.clone();
    changed[60_000..60_010].copy_from_slice(b"other text");
    firmware.application = Header::of(C3).application(&changed);
    firmware.write();
    let (board, _) = flash(&firmware);
    // The sector with the text, and the last one with the checksum and hash.
    let written = board["parts"][2]["written"].as_u64().unwrap();
    assert!((4097..=8192).contains(&written), "{written}");
    assert!(device.stats().erased - erased <= 8192);

    // Something that is longer than before, and moves what follows it in its part of the image.
    changed.splice(300_000..300_100, noise(3, 700));
    changed.splice(390_000..390_600, []);
    firmware.application = Header::of(C3).application(&changed);
    firmware.write();
    let (_, moved) = flash(&firmware);
    assert!(moved * 4 <= first, "{moved} of {first} bytes");
}

#[test]
fn damaged_answers_are_errors_of_the_line() {
    let firmware = Firmware::new(C3);
    let byte =
        |at, harm| device::faults::Fault::Byte { way: device::faults::Way::ToHost, at, harm };
    for (at, harm, more) in [
        (911, device::faults::Harm::Drop, &["--no-stub"][..]),
        (253, device::faults::Harm::Double, &[]),
    ] {
        let device = Device::new(C3).flash_size(FLASH).fault(byte(at, harm)).start();
        let output = flash(firmware.path(), device.port(), more);
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 6)), "{output:?}");
        assert_eq!(code == Some(0), firmware.is_in(&device.flash()));
    }
}

#[test]
fn an_update_of_the_application_touches_nothing_else() {
    let firmware = Firmware::new(C3);
    let device = Device::new(C3).flash_size(FLASH).start();
    let files = noise(7, FLASH - FILES);
    done(&flash(firmware.path(), device.port(), &["--json"]));
    device.write_flash(FILES, &files);
    device.write_flash(0x9000, b"settings");
    let other = Firmware::of(Header::of(C3), &noise(9, 170_000), TABLE);
    for (given, seed) in [("micropython.bin", 11), ("firmware.bin", 12), ("", 13)] {
        let next = Firmware::of(Header::of(C3), &noise(seed, 170_000 + seed as usize), TABLE);
        done(&flash(&next.file(given), device.port(), &["--json", "--app-only"]));
        let mut expected = device.flash();
        let end = APPLICATION + next.application.len();
        expected[APPLICATION..end].copy_from_slice(&next.application);
        expected[FILES..].copy_from_slice(&files);
        expected[0x9000..0x9008].copy_from_slice(b"settings");
        expected[..firmware.bootloader.len()].copy_from_slice(&firmware.bootloader);
        assert!(device.flash() == expected, "{given}");
    }
    let alone = flash(&other.file("micropython.bin"), device.port(), &[]);
    failed(&alone, 3, &["is the application alone", "firmware.bin", "--app-only"]);

    // A table with no place for it there, and no table at all.
    let moved = TABLE.replace("0x10000, 0x160000", "0x20000, 0x150000");
    let table = Firmware::of(Header::of(C3), b"", &moved).table;
    device.write_flash(0x8000, &table);
    let refused = flash(other.path(), device.port(), &["--app-only"]);
    failed(&refused, 6, &["partition table has no partition for it", "nothing was written"]);
    let blank = Device::new(C3).flash_size(FLASH).start();
    let refused = flash(&other.file("micropython.bin"), blank.port(), &["--app-only"]);
    failed(&refused, 6, &["has no partition table", "without `--app-only`"]);
    assert!(blank.flash().iter().all(|byte| *byte == 0xff));
}

#[test]
fn what_cannot_work_is_refused_before_the_first_byte() {
    let firmware = Firmware::new(C3);
    let needs_revision = Firmware::of(Header { min_revision: 3, ..Header::of(C3) }, b"x", TABLE);
    let large = Firmware::of(Header { size: 3, ..Header::of(C3) }, b"x", TABLE);
    let cases: [(&Firmware, device::Setup, &[&str]); 8] = [
        (
            &firmware,
            Device::new(Chip::Esp32s3),
            &["ESP32-C3", "the chip on this port is an ESP32-S3"],
        ),
        (&needs_revision, Device::new(C3), &["needs revision 0.3", "this chip has 0.2"]),
        (
            &large,
            Device::new(C3).flash_size(4 << 20),
            &["set up for 8 MB of flash, the device has 4 MB"],
        ),
        (&firmware, Device::new(C3).flash_size(1 << 20), &["2 MB of flash, the device has 1 MB"]),
        (&firmware, Device::new(C3).secure_boot(), &["secure boot switched on"]),
        (&firmware, Device::new(C3).flash_encryption(), &["flash encryption switched on"]),
        (&firmware, Device::new(C3).secure_download(), &["secure download mode switched on"]),
        (
            &firmware,
            Device::new(C3).fault(device::faults::Fault::Silent),
            &["cannot reach the loader", "BOOT button"],
        ),
    ];
    for (firmware, setup, pieces) in cases {
        let device = setup.start();
        failed(&flash(firmware.path(), device.port(), &[]), 6, pieces);
        assert_eq!((device.stats().written, device.stats().erased), (0, 0), "{pieces:?}");
    }
    let esp32 = Firmware::new(Chip::Esp32);
    for (setup, what) in [
        (Device::new(Chip::Esp32).secure_boot(), "secure boot"),
        (Device::new(Chip::Esp32).flash_encryption(), "flash encryption"),
    ] {
        failed(&flash(esp32.path(), setup.start().port(), &[]), 6, &[what]);
    }
}

#[test]
fn files_that_are_no_firmware_are_refused() {
    let firmware = Firmware::new(C3);
    let write = |name: &str, data: &[u8]| {
        let path = firmware.file(name);
        fs::write(&path, data).unwrap();
        path
    };
    let mut damaged = firmware.whole();
    damaged[APPLICATION + 1000] ^= 1;
    let cases: [(std::path::PathBuf, &[&str]); 8] = [
        (
            write("random.bin", &noise(3, 5000)),
            &["does not begin with an image header", "inspect FILE"],
        ),
        (write("empty.bin", b""), &["it is empty"]),
        (write("it.elf", b"\x7fELF\x01\x01\x01"), &["it is an ELF file"]),
        (firmware.file("partition-table.bin"), &["a partition table alone"]),
        (firmware.file("bootloader.bin"), &["a bootloader alone"]),
        (write("damaged.bin", &damaged), &["is damaged"]),
        (Path::new("/nowhere/firmware.bin").to_owned(), &["cannot read /nowhere/firmware.bin"]),
        (tempfile::tempdir().unwrap().path().to_owned(), &["cannot read"]),
    ];
    for (given, pieces) in cases {
        failed(&flash(&given, "/dev/null".into(), &[]), 3, pieces);
    }
    fs::write(firmware.file("micropython.bin"), b"other bytes").unwrap();
    let changed = flash(firmware.path(), "/dev/null".into(), &[]);
    failed(&changed, 3, &["micropython.bin is not the file that firmware.json records"]);
}

#[test]
fn erasing_takes_what_it_says_and_no_more() {
    let firmware = Firmware::new(C3);
    let device = Device::new(C3).flash_size(FLASH).start();
    device.write_flash(FILES, b"files");
    device.write_flash(0x9000, b"settings");
    done(&flash(firmware.path(), device.port(), &["--json", "--erase-filesystem"]));
    assert!(firmware.is_in(&device.flash()));
    assert!(device.flash()[FILES..].iter().all(|byte| *byte == 0xff));
    assert_eq!(&device.flash()[0x9000..0x9008], b"settings");

    device.write_flash(FILES, b"files");
    let board = done(&flash(firmware.path(), device.port(), &["--json", "--erase"]));
    assert_eq!(board["erased"], true);
    assert!(firmware.is_in(&device.flash()));
    assert!(device.flash()[FILES..].iter().all(|byte| *byte == 0xff));
    assert!(device.flash()[0x9000..0xa000].iter().all(|byte| *byte == 0xff));
}

#[test]
fn an_application_of_several_is_chosen_again() {
    let table = "\
nvs, data, nvs, 0x9000, 0x4000
otadata, data, ota, 0xd000, 0x2000
ota_0, app, ota_0, 0x10000, 0xc0000
ota_1, app, ota_1, 0xd0000, 0xc0000
vfs, data, fat, 0x190000, 0x70000
";
    let firmware = Firmware::of(Header::of(C3), &noise(1, 20_000), table);
    for given in ["", "firmware.bin", "micropython.bin"] {
        let device = Device::new(C3).flash_size(FLASH).start();
        device.write_flash(0x8000, &firmware.table);
        device.write_flash(0xd000, &[2, 0, 0, 0]);
        let more: &[&str] =
            if given == "micropython.bin" { &["--json", "--app-only"] } else { &["--json"] };
        done(&flash(&firmware.file(given), device.port(), more));
        assert!(device.flash()[0xd000..0xf000].iter().all(|byte| *byte == 0xff), "{given}");
    }
}

#[test]
fn a_dry_run_shows_a_table_and_writes_nothing() {
    let firmware = Firmware::new(C3);
    let device = Device::new(C3).flash_size(FLASH).start();
    let output = flash(firmware.path(), device.port(), &["--dry-run"]);
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    for piece in [
        "PART",
        "bootloader",
        "partition table",
        "0x8000",
        "application",
        "0x10000",
        "bytes to write",
    ] {
        assert!(text.contains(piece), "{piece}: {text}");
    }
    assert_eq!((device.stats().written, device.stats().erased), (0, 0));
}

#[test]
fn several_boards_are_flashed_at_once_with_the_worst_exit_code() {
    let firmware = Firmware::new(C3);
    let boards: Vec<Device> = (0..2).map(|_| Device::new(C3).flash_size(FLASH).start()).collect();
    let other = Device::new(Chip::Esp32c6).start();
    let ports: Vec<_> = boards.iter().chain([&other]).map(Device::port).collect();
    let output = command(firmware.path(), &ports, &[]).output().unwrap();
    failed(&output, 6, &["the chip on this port is an ESP32-C6", other.port().to_str().unwrap()]);
    assert!(boards.iter().all(|board| firmware.is_in(&board.flash())));
    let lines = String::from_utf8_lossy(&output.stdout);
    assert_eq!(lines.lines().filter(|line| line.contains("verified")).count(), 2, "{lines}");
    let twice =
        command(firmware.path(), &[ports[0].clone(), ports[0].clone()], &[]).output().unwrap();
    failed(&twice, 2, &["is given twice"]);
}

#[test]
fn ports_are_listed() {
    let run = |more: &[&str]| {
        let mut command = mpb();
        command.args(["flash", "--list-ports"]).args(more).output().unwrap()
    };
    assert!(run(&[]).status.success());
    let listed: serde_json::Value = serde_json::from_slice(&run(&["--json"]).stdout).unwrap();
    assert!(listed["ports"].is_array(), "{listed}");
}

#[test]
fn a_uf2_file_goes_to_the_drive_of_its_family() {
    let directory = tempfile::tempdir().unwrap();
    let (file, drive) = (directory.path().join("firmware.uf2"), directory.path().join("RPI-RP2"));
    let mut uf2 = Vec::new();
    let data = noise(1, 5000);
    micropython_builder::image::uf2::write(&data.as_slice(), 0xe48b_ff56, 0x1000_0000, &mut uf2)
        .unwrap();
    fs::write(&file, &uf2).unwrap();
    fs::create_dir(&drive).unwrap();
    let info = drive.join("INFO_UF2.TXT");
    let run = || {
        let mut command = mpb();
        command.arg("flash").arg(&file).arg("--drive").arg(&drive).output().unwrap()
    };
    failed(&run(), 6, &["is no boot drive", "BOOTSEL"]);
    fs::write(&info, "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2350\r\nBoard-ID: RP2350\r\n")
        .unwrap();
    failed(&run(), 6, &["the file is for RP2040", "is of RP2350"]);
    fs::write(&info, "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n")
        .unwrap();
    let output = std::thread::scope(|scope| {
        // A board that takes the file and starts.
        scope.spawn(|| {
            while fs::read(drive.join("firmware.uf2")).ok().as_ref() != Some(&uf2) {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            fs::remove_file(&info).unwrap();
        });
        run()
    });
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("the board has taken them"));
}

#[test]
fn other_boards_get_the_instructions_of_their_tree() {
    let Some(tree) = common::micropython() else { return };
    let run = |more: &[&std::ffi::OsStr]| {
        let mut command = mpb();
        command.args(["flash", "firmware.dfu"]).args(more).env_remove("MICROPYTHON");
        command.output().unwrap()
    };
    let output =
        run(&["--board".as_ref(), "PYBV11".as_ref(), "--micropython".as_ref(), tree.as_ref()]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Pyboard v1.x via DFU"), "{text}");
    failed(&run(&["--board".as_ref(), "PYBV11".as_ref()]), 2, &["--micropython"]);
}

#[test]
fn wrong_usage_is_told() {
    let firmware = Firmware::new(C3);
    for (more, piece) in [
        (&["--erase", "--no-stub"][..], "cannot be used with"),
        (&["--app-only", "--erase-filesystem"], "cannot be used with"),
        (&["--smoke", "x.py", "--dry-run"], "cannot be used with"),
        (&["--monitor", "--after", "no-reset"], "need a board that is started afterwards"),
    ] {
        failed(&flash(firmware.path(), "/dev/null".into(), more), 2, &[piece]);
    }
    failed(&flash(firmware.path(), "/dev/null".into(), &[]), 6, &["cannot open /dev/null"]);
}
