//! `flash` where things go wrong: cables, power, chips, people.

mod common;
#[allow(dead_code)]
mod device;
#[allow(dead_code)]
mod flashing;

use std::fs::File;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::command::{failed, stderr};
use device::Device;
use device::chip::Chip;
use device::faults::{Fault, Harm, Way};
use flashing::{APPLICATION, FILES, FLASH, Firmware, Header, TABLE, command, done, flash, noise};
use micropython_builder::flash::firmware::{self, Given};
use micropython_builder::flash::ports::Port;
use micropython_builder::flash::reset::{After, Before};
use micropython_builder::flash::session::Settings;
use micropython_builder::flash::several::Job;
use micropython_builder::flash::write::Options;
use micropython_builder::report::Silent;
use rustix::fs::{FlockOperation, flock};

const C3: Chip = Chip::Esp32c3;
const REPAIR: &str = "run the same command again";

#[test]
fn whatever_breaks_on_the_way_is_told_and_repaired_by_the_next_run() {
    let firmware = Firmware::new(C3);
    let byte = |way, at, harm| Fault::Byte { way, at, harm };
    // Some are noticed before anything was written, and then that is said.
    let cases = [
        Fault::SilentAfter(60_000),
        Fault::Unplug { after: 90_000 },
        Fault::PowerCut { operation: 20 },
        Fault::Noisy { way: Way::ToDevice, every: 50_000 },
        byte(Way::ToDevice, 70_000, Harm::Drop),
        byte(Way::ToDevice, 70_001, Harm::Double),
        byte(Way::ToDevice, 70_002, Harm::Flip(0x40)),
    ];
    thread::scope(|scope| {
        for fault in cases {
            let firmware = &firmware;
            scope.spawn(move || {
                let device = Device::new(C3).flash_size(FLASH).fault(fault.clone()).start();
                let output = flash(firmware.path(), device.port(), &[]);
                if !output.status.success() {
                    failed(&output, 6, &["hint:"]);
                    let text = stderr(&output);
                    let told = text.contains(REPAIR) || text.contains("nothing was written");
                    assert!(told, "{fault:?}: {text}");
                }
                // A harm that espflash's protocol mends by itself may also end well: then it is all there.
                assert_eq!(output.status.success(), firmware.is_in(&device.flash()), "{fault:?}");
                let device = device.unplug().start();
                done(&flash(firmware.path(), device.port(), &["--json"]));
                assert!(firmware.is_in(&device.flash()), "{fault:?}");
            });
        }
    });
}

#[test]
fn a_cell_that_is_worn_out_is_not_reported_as_done() {
    let mut firmware = Firmware::new(C3);
    // A bit that cannot be cleared shows where one should be.
    let worn = APPLICATION + 40_000;
    firmware.application[40_000] &= 0x7f;
    let contents: Vec<u8> = firmware.application[24 + 8 + 256..].to_vec();
    firmware = Firmware::of(Header::of(C3), &contents[..contents.len() - 64], TABLE);
    let device = Device::new(C3).flash_size(FLASH).fault(Fault::WornCell(worn)).start();
    let output = flash(firmware.path(), device.port(), &[]);
    failed(
        &output,
        6,
        &["the application on the device is not what was written to it", "worn out"],
    );
}

#[test]
fn a_flash_that_is_smaller_than_it_says_is_found_out() {
    let table = TABLE.replace("0x170000, 0x90000", "0x170000, 0x290000");
    let firmware = Firmware::of(Header { size: 2, ..Header::of(C3) }, &noise(1, 30_000), &table);
    let device = Device::new(C3).flash_size(FLASH).fault(Fault::SaysFlashSize(2 * FLASH)).start();
    let output = flash(firmware.path(), device.port(), &[]);
    failed(&output, 6, &["says that it has 4 MB", "half of that or less"]);
}

#[test]
fn a_port_in_use_names_who_has_it() {
    let firmware = Firmware::new(C3);
    let device = Device::new(C3).start();
    let held = File::options().read(true).write(true).open(device.port()).unwrap();
    flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
    let output = flash(firmware.path(), device.port(), &[]);
    let this = format!("process {}", std::process::id());
    failed(&output, 6, &["is in use by", &this, "end that program"]);
    let gone = flash(firmware.path(), "/dev/null".into(), &[]);
    failed(&gone, 6, &["cannot open /dev/null"]);
}

#[test]
fn a_port_that_comes_later_is_waited_for() {
    let firmware = Firmware::new(C3);
    let device = Device::new(C3).flash_size(FLASH).start();
    let directory = tempfile::tempdir().unwrap();
    let port = directory.path().join("ttyACM7");
    let run = command(firmware.path(), std::slice::from_ref(&port), &[])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(500));
    std::os::unix::fs::symlink(device.port(), &port).unwrap();
    let output = run.wait_with_output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("waiting for"), "{said}");
    assert!(firmware.is_in(&device.flash()));
}

#[test]
fn an_interrupt_says_in_what_state_the_board_is() {
    let firmware = Firmware::of(Header::of(C3), &noise(1, 1_000_000), TABLE);
    let device = Device::new(C3).flash_size(FLASH).start();
    let run = command(firmware.path(), &[device.port()], &[])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while device.stats().written < 100_000 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_raw(run.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = run.wait_with_output().unwrap();
    let pieces =
        ["interrupted while writing the application", "half written and may not start", REPAIR];
    failed(&output, 130, &pieces);
    assert!(!firmware.is_in(&device.flash()));
    let device = device.unplug().start();
    let board = done(&flash(firmware.path(), device.port(), &["--json"]));
    assert!(firmware.is_in(&device.flash()));
    // It goes on where it stopped.
    assert!(board["parts"][2]["skipped"].as_u64().unwrap() > 50_000, "{board}");
}

/// Writes in this process, which is faster than two thousand processes.
fn write(firmware: &Firmware, device: &Device, app_only: bool) -> micropython_builder::Result<()> {
    let Given::Esp(firmware) = firmware::open(firmware.path())? else { panic!() };
    let options = Options { app_only, ..Options::default() };
    let settings =
        Settings { baud: 115_200, stub: true, before: Before::NoReset, after: After::NoReset };
    let job = Job { firmware, options, settings, dry_run: false };
    let port = Port::unknown(device.port().to_str().unwrap());
    job.run(&port, &Silent).map(drop)
}

/// Plugs a device in again and writes anew. On a machine with much else to do, the device may answer too
/// late for espflash while it loads its stub: nothing has been written then.
fn repair(firmware: &Firmware, mut device: Device, app_only: bool) -> Device {
    for attempt in 1.. {
        device = device.unplug().start();
        match write(firmware, &device, app_only) {
            Ok(()) => break,
            Err(error) => {
                let late = error.message().contains("cannot reach the loader");
                assert!(late && attempt < 4, "{error}");
            }
        }
    }
    device
}

#[test]
fn a_power_cut_at_any_moment_is_repaired_by_the_next_run() {
    const RUNS: u64 = 200;
    let (old, new) = (
        Firmware::of(Header::of(C3), &noise(20, 28_000), TABLE),
        Firmware::of(Header::of(C3), &noise(21, 30_000), TABLE),
    );
    let mut before = vec![0xff; FLASH];
    before[..old.whole().len()].copy_from_slice(&old.whole());
    before[0x9000..0x9100].copy_from_slice(&noise(22, 0x100));
    before[FILES..].copy_from_slice(&noise(23, FLASH - FILES));
    let (next, cut) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= RUNS {
                        return;
                    }
                    let app_only = run.is_multiple_of(2);
                    let random = u64::from_le_bytes(noise(run + 100, 8).try_into().unwrap());
                    // Within what the host sends, or within an operation of the flash chip.
                    let fault = if run % 4 < 2 {
                        Fault::Unplug { after: random % 60_000 }
                    } else {
                        Fault::PowerCut { operation: random % 18 }
                    };
                    let device =
                        Device::new(C3).flash_image(before.clone()).fault(fault.clone()).start();
                    let result = write(&new, &device, app_only);
                    if result.is_err() {
                        cut.fetch_add(1, Ordering::Relaxed);
                    } else {
                        assert!(
                            device.flash()[APPLICATION..].starts_with(&new.application),
                            "{run}"
                        );
                    }
                    let device = repair(&new, device, app_only);
                    let flash = device.flash();
                    let mut expected = before.clone();
                    if !app_only {
                        expected[..new.bootloader.len()].copy_from_slice(&new.bootloader);
                    }
                    let end = APPLICATION + new.application.len();
                    expected[APPLICATION..end].copy_from_slice(&new.application);
                    // What is erased with the last sector is nobody's.
                    expected[end..end.next_multiple_of(4096)].fill(0xff);
                    assert!(flash == expected, "{run} {fault:?}");
                }
            });
        }
    });
    let cut = cut.into_inner();
    assert!(cut > RUNS / 2, "only {cut} runs were cut");
}
