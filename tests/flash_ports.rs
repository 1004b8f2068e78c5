//! Which port `flash` takes, and what becomes of it: boards on a simulated USB, as the program sees them in /sys and /dev.

mod common;
#[allow(dead_code)]
mod device;
#[allow(dead_code)]
mod flashing;
#[path = "common/terminal.rs"]
mod terminal;

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::command::{failed, holds, mpb, stderr};
use common::{missing, require};
use device::chip::Chip;
use device::lines::{Wiring, preload};
use device::usb::{Bus, Identity, Plugged};
use device::{Device, Setup};
use flashing::{FLASH, Firmware, command, done};
use serde_json::Value;
use terminal::Session;

const BRIDGE: Identity = Identity {
    port: "ttyUSB0",
    vid: 0x10c4,
    pid: 0xea60,
    serial: "0001",
    product: "CP2102 USB to UART Bridge Controller",
};
const MODEM: Identity =
    Identity { port: "ttyACM7", vid: 0x1199, pid: 0x68c0, serial: "LF1234", product: "A modem" };
/// The USB of a chip that has one for serial and JTAG.
const JTAG: Identity = Identity {
    port: "ttyACM0",
    vid: 0x303a,
    pid: 0x1001,
    serial: "7C:DF:A1:00:11:22",
    product: "USB JTAG/serial debug unit",
};
/// MicroPython's, on the same chip.
const MICROPYTHON: Identity = Identity {
    port: "ttyACM1",
    pid: 0x4001,
    serial: "7cdfa1001122",
    product: "Espressif Device",
    ..JTAG
};

/// A USB that host programs see, where that can be compiled.
fn bus() -> Option<Bus> {
    if preload().is_none() {
        missing("a C compiler for the simulated USB");
        return None;
    }
    Some(Bus::new())
}

/// A board that is reset by its lines, and its application runs.
fn board(chip: Chip, wiring: Wiring) -> Setup {
    let says = "it runs\r\n";
    Device::new(chip).flash_size(FLASH).wiring(wiring).running_application().boots_saying(says)
}

/// In a socket, the same whatever runs.
fn plugged(bus: &Bus, socket: u8, identity: Identity) -> Plugged {
    Plugged { bus: bus.clone(), socket, program: identity, loader: identity }
}

fn on(bus: &Bus, command: &mut Command) -> Output {
    bus.show(command);
    command.envs(preload().unwrap()).output().unwrap()
}

/// `flash` without `--port`.
fn flash(bus: &Bus, firmware: &Path, more: &[&str]) -> Output {
    on(bus, &mut command(firmware, &[], more))
}

#[track_caller]
fn comes_to_run(device: &Device, what: &str) {
    let until = Instant::now() + Duration::from_secs(5);
    while device.stats().running != what {
        assert!(Instant::now() < until, "{} runs, not {what}", device.stats().running);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_only_board_by_its_usb_ids_is_taken() {
    let Some(bus) = bus() else { return };
    let firmware = Firmware::new(Chip::Esp32c3);
    bus.plug(1, MODEM, Path::new("/dev/null"));
    let nobody = flash(&bus, firmware.path(), &[]);
    failed(&nobody, 6, &["no port has the USB ids of a known board", "1199:68c0", "A modem"]);

    let device = board(Chip::Esp32c3, Wiring::Board).on_usb(plugged(&bus, 2, BRIDGE)).start();
    let output = flash(&bus, firmware.path(), &[]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    holds(&said, &["using /dev/ttyUSB0  10c4:ea60  Silicon Labs CP210x CP2102"]);
    assert!(firmware.is_in(&device.flash()));

    let mut list = mpb();
    let listed = on(&bus, list.args(["flash", "--list-ports", "--json"]));
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let ports = listed["ports"].as_array().unwrap();
    let seen = |port: &Value| {
        let usb = &port["usb"];
        (
            port["path"].clone(),
            port["candidate"].clone(),
            usb["vid"].clone(),
            usb["location"].clone(),
        )
    };
    assert_eq!(
        ports.iter().map(seen).collect::<Vec<_>>(),
        [
            ("/dev/ttyUSB0".into(), true.into(), 0x10c4.into(), "1-2".into()),
            ("/dev/ttyACM7".into(), false.into(), 0x1199.into(), "1-1".into()),
        ]
    );
}

#[test]
fn a_board_that_is_plugged_in_late_is_waited_for() {
    let Some(bus) = bus() else { return };
    let firmware = Firmware::new(Chip::Esp32c3);
    let setup = board(Chip::Esp32c3, Wiring::UsbJtag).on_usb(plugged(&bus, 1, JTAG));
    std::thread::scope(|scope| {
        let plugging = scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(1));
            setup.start()
        });
        let output = flash(&bus, firmware.path(), &[]);
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("waiting for a board"), "{said}");
        assert!(firmware.is_in(&plugging.join().unwrap().flash()));
    });
}

#[test]
fn a_person_chooses_among_several_boards() {
    let Some(bus) = bus() else { return };
    if !require("setsid") {
        return;
    }
    let firmware = Firmware::new(Chip::Esp32c3);
    let wired = board(Chip::Esp32c3, Wiring::Board).on_usb(plugged(&bus, 1, BRIDGE)).start();
    let native = board(Chip::Esp32c3, Wiring::UsbJtag).on_usb(plugged(&bus, 2, JTAG)).start();
    let nobody = flash(&bus, firmware.path(), &[]);
    let pieces =
        ["several ports may have a board", "/dev/ttyACM0  303a:1001", "/dev/ttyUSB0  10c4:ea60"];
    failed(&nobody, 6, &pieces);

    let start = |more: &[&str]| {
        let inner = command(firmware.path(), &[], more);
        // On a terminal that is its own, as a shell's is: Ctrl-C is a signal there.
        let mut outer = Command::new("setsid");
        outer.args(["--ctty", "--wait"]).arg(inner.get_program()).args(inner.get_args());
        bus.show(&mut outer);
        Session::start(outer.envs(preload().unwrap()))
    };
    let asked = "which one? Its number, or nothing to leave it";
    let mut session = start(&[]);
    session.wait_for("1  /dev/ttyACM0  303a:1001");
    session.wait_for("2  /dev/ttyUSB0  10c4:ea60");
    for wrong in ["3", "0", "-1", "ttyUSB0", "2 2"] {
        session.wait_for(asked);
        session.press(&format!("{wrong}\r"));
        session.wait_for(&format!("{wrong} is no number from 1 to 2"));
    }
    session.wait_for(asked);
    session.press(" 2\r");
    session.wait_for("verified");
    assert_eq!(session.end(), Some(0));
    assert!(firmware.is_in(&wired.flash()));
    assert_eq!(native.stats().written, 0);

    for (keys, code) in [("\r", 6), ("\u{4}", 6), ("\u{3}", 130)] {
        let mut session = start(&[]);
        session.wait_for(asked);
        session.press(keys);
        assert_eq!(session.end(), Some(code), "{keys:?}");
    }
    // Who does not see the question is not asked it.
    let mut session = start(&["--quiet"]);
    session.wait_for("several ports may have a board");
    assert_eq!(session.end(), Some(6));
    assert_eq!(native.stats().written, 0);
}

#[test]
fn a_board_with_micropythons_own_usb_goes_into_its_loader_and_back() {
    let Some(bus) = bus() else { return };
    let firmware = Firmware::new(Chip::Esp32s3);
    let place = Plugged { bus: bus.clone(), socket: 3, program: MICROPYTHON, loader: JTAG };
    let device = board(Chip::Esp32s3, Wiring::MicroPythonUsb).on_usb(place).start();
    // Once found by its ids, once named; the second time there is nothing to write.
    for (port, up_to_date) in [(None, false), (Some("/dev/ttyACM1"), true)] {
        let ports: Vec<_> = port.iter().map(Into::into).collect();
        let board = done(&on(&bus, &mut command(firmware.path(), &ports, &["--json"])));
        assert_eq!(
            (&board["port"], &board["up_to_date"]),
            (&"/dev/ttyACM1".into(), &up_to_date.into())
        );
        assert!(firmware.is_in(&device.flash()));
        comes_to_run(&device, "application");
    }
}

#[test]
fn the_button_is_asked_for_where_lines_do_not_help() {
    let Some(bus) = bus() else { return };
    let firmware = Firmware::new(Chip::Esp32c3);
    // Neither board has its lines wired to anything.
    let hold = "hold the board's BOOT button, press RESET, let BOOT go, and run it again";
    for (identity, more, pieces) in [
        (BRIDGE, &[][..], &["with `--before no-reset`", "--baud 115200"][..]),
        (JTAG, &[], &["with `--before no-reset`", "another name then"]),
        (JTAG, &["--before", "no-reset"], &["it was not reset: "]),
    ] {
        let device =
            board(Chip::Esp32c3, Wiring::Nowhere).on_usb(plugged(&bus, 1, identity)).start();
        let output = flash(&bus, firmware.path(), more);
        failed(&output, 6, &[pieces, &[hold, "cannot reach the loader"]].concat());
        assert_eq!(device.stats().running, "application");
    }
}

#[test]
fn what_becomes_of_the_chip_is_what_was_asked_for() {
    let Some(bus) = bus() else { return };
    for chip in [Chip::Esp32c3, Chip::Esp32s3] {
        let firmware = Firmware::new(chip);
        for (after, runs) in [
            ("hard-reset", "application"),
            ("no-reset", "rom"),
            ("no-reset-no-stub", "stub"),
            ("watchdog-reset", "application"),
        ] {
            let place = plugged(&bus, 1, JTAG);
            let device = board(chip, Wiring::UsbJtag).on_usb(place.clone()).start();
            let output = flash(&bus, firmware.path(), &["--after", after]);
            assert!(output.status.success(), "{chip:?} {after}: {output:?}");
            comes_to_run(&device, runs);
            drop(device);

            // Without lines only the watchdog is left, or the loader itself; the boot pin is held still.
            let device = Device::new(chip).flash_size(FLASH).on_usb(place).start();
            let resets = device.stats().resets;
            let output = flash(&bus, firmware.path(), &["--after", after, "--before", "no-reset"]);
            assert!(output.status.success(), "{chip:?} {after}: {output:?}");
            if after == "watchdog-reset" {
                comes_to_run(&device, "application");
                assert_eq!(device.stats().resets, resets + 1);
            } else if after != "hard-reset" {
                comes_to_run(&device, runs);
            }
        }
    }
    // It has none that hosts know how to set off.
    let firmware = Firmware::new(Chip::Esp32c6);
    let device = board(Chip::Esp32c6, Wiring::UsbJtag).on_usb(plugged(&bus, 1, JTAG)).start();
    let output = flash(&bus, firmware.path(), &["--after", "watchdog-reset"]);
    failed(&output, 6, &["an ESP32-C6 cannot be reset by its watchdog", "nothing was written"]);
    assert_eq!(device.stats().written, 0);
}
