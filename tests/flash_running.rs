//! What `flash` does after it: resets, smoke tests, files, the monitor. MicroPython is real, in an emulator
//! behind the simulated device's serial port.

mod common;
#[allow(dead_code)]
mod device;
#[path = "common/firmware.rs"]
mod firmware;
#[allow(dead_code)]
mod flashing;
#[path = "common/micropython_board.rs"]
mod micropython_board;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::command::{failed, holds, stderr, succeeded};
use common::missing;
use device::chip::{CHIPS, Chip};
use device::lines::{Preloaded, Wiring, preload};
use device::{Device, Setup};
use flashing::{FLASH, Firmware, command};
use micropython_board::emulator;
use micropython_builder::flash::deploy::deploy;
use micropython_builder::repl::{Captured, Outcome, Pipes, Repl};

/// A board with a real MicroPython on it once it is flashed.
fn board(chip: Chip, wiring: Wiring) -> Option<(Setup, Preloaded)> {
    let (setup, library) = micropython_board::board(chip, wiring, "VIRT_RV32")?;
    Some((setup.flash_size(FLASH), library))
}

fn go(firmware: &Path, device: &Device, library: Preloaded, more: &[&str]) -> std::process::Output {
    command(firmware, &[device.port()], more).envs(library).output().unwrap()
}

#[test]
fn boards_are_reset_into_their_loader_and_out_of_it() {
    let Some(library) = preload() else { return missing("a C compiler") };
    for chip in CHIPS {
        let firmware = Firmware::new(chip);
        let mut ways = vec![(Wiring::Board, "default-reset")];
        if chip != Chip::Esp32 {
            ways.push((Wiring::UsbJtag, "usb-reset"));
        }
        for (wiring, before) in ways {
            let device = Device::new(chip)
                .flash_size(FLASH)
                .wiring(wiring)
                .running_application()
                .boots_saying("it runs\r\n")
                .start();
            let output = go(firmware.path(), &device, library, &["--before", before]);
            assert!(output.status.success(), "{chip:?} {before}: {output:?}");
            assert!(firmware.is_in(&device.flash()));
            let begun = std::time::Instant::now();
            while device.stats().running != "application" {
                assert!(
                    begun.elapsed() < Duration::from_secs(5),
                    "{chip:?} {before} stays in its loader"
                );
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

#[test]
fn a_connection_that_fails_is_tried_again() {
    use device::faults::{Fault, Harm, Way};
    let Some(library) = preload() else { return missing("a C compiler") };
    let firmware = Firmware::new(Chip::Esp32c3);
    let device = Device::new(Chip::Esp32c3)
        .flash_size(FLASH)
        .wiring(Wiring::Board)
        .fault(Fault::Byte { way: Way::ToDevice, at: 100_000, harm: Harm::Drop })
        .start();
    let output = go(firmware.path(), &device, library, &[]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("trying again, slower"), "{said}");
    assert!(firmware.is_in(&device.flash()));
}

#[test]
fn a_smoke_test_decides_the_exit_code() {
    let Some((setup, library)) = board(Chip::Esp32c3, Wiring::Board) else { return };
    let firmware = Firmware::new(Chip::Esp32c3);
    let device = setup.start();
    let script = firmware.file("smoke.py");
    let smoke = |text: &str, more: &[&str]| {
        fs::write(&script, text).unwrap();
        let more: Vec<&str> =
            ["--smoke", script.to_str().unwrap()].iter().chain(more).copied().collect();
        go(firmware.path(), &device, library, &more)
    };
    let good = smoke("import frozen_hello\nprint('sum', sum(range(10)))\n", &[]);
    assert!(good.status.success(), "{good:?}");
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(said.contains("verified") && said.ends_with("sum 45\n"), "{said}");

    let bad = smoke("print('before')\n1 / 0\n", &[]);
    failed(&bad, 6, &["ZeroDivisionError", "line 2", "smoke.py failed"]);
    let value = smoke("import sys\nsys.exit(3)\n", &[]);
    failed(&value, 6, &["exit status 3"]);
    let endless = smoke("while True: pass\n", &["--smoke-timeout", "4"]);
    failed(&endless, 6, &["did not end within 4 seconds", "--smoke-timeout"]);
    let json = smoke("print(1)\n", &["--json"]);
    let board = flashing::done(&json);
    assert_eq!((&board["smoke"]["stdout"], &board["up_to_date"]), (&"1\n".into(), &true.into()));
}

#[test]
fn a_board_whose_usb_comes_up_anew_is_followed() {
    let Some((setup, library)) = board(Chip::Esp32s3, Wiring::UsbJtag) else { return };
    let firmware = Firmware::new(Chip::Esp32s3);
    let away = Duration::from_millis(900);
    let device = setup.fault(device::faults::Fault::Enumerates { away }).start();
    let script = firmware.file("smoke.py");
    fs::write(&script, "print('it answers')\n").unwrap();
    let more = ["--before", "usb-reset", "--smoke", script.to_str().unwrap()];
    let output = go(firmware.path(), &device, library, &more);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("it answers\n"), "{output:?}");
}

/// A file system: the emulated board has no flash of its own. What it holds lies where MicroPython does not come, so
/// that it is there still after MicroPython was started anew.
const MEMORY: &str = "
import io, os, uctypes
def keep(files):
    text = repr(files).encode()
    size = len(text).to_bytes(4, 'little')
    uctypes.bytearray_at(0x84000000, 4 + len(text))[:] = size + text
def kept():
    size = int.from_bytes(uctypes.bytes_at(0x84000000, 4), 'little')
    return eval(uctypes.bytes_at(0x84000004, size)) if size else {}
class File(io.IOBase):
    def __init__(self, files, name, data):
        self.files, self.name, self.data, self.at = files, name, bytearray(data), 0
    def readinto(self, buffer):
        piece = self.data[self.at:self.at + len(buffer)]
        buffer[:len(piece)] = piece
        self.at += len(piece)
        return len(piece)
    def write(self, data):
        self.data += bytes(data)
        self.files[self.name] = bytes(self.data)
        keep(self.files)
        return len(data)
    def ioctl(self, request, argument):
        return 0
    def __enter__(self):
        return self
    def __exit__(self, *what): pass
class Memory:
    def __init__(self):
        self.files = kept()
    def mount(self, readonly, mkfs): pass
    def umount(self): pass
    def chdir(self, path): pass
    def getcwd(self): return '/'
    def stat(self, path):
        path = path.strip('/')
        if path not in self.files: raise OSError(2)
        return (0x4000 if self.files[path] is None else 0x8000,) + (0,) * 9
    def open(self, path, mode):
        path = path.strip('/')
        if 'w' in mode:
            self.files[path] = b''
            keep(self.files)
        if path not in self.files: raise OSError(2)
        return File(self.files, path, b'' if 'w' in mode else self.files[path])
    def mkdir(self, path):
        self.files[path.strip('/')] = None
        keep(self.files)
    def remove(self, path):
        del self.files[path.strip('/')]
        keep(self.files)
    def rename(self, old, new):
        self.files[new.strip('/')] = self.files.pop(old.strip('/'))
        keep(self.files)
memory = Memory()
import vfs
vfs.mount(memory, '/')
";

#[test]
fn a_directory_is_copied_and_only_what_differs() {
    let Some(directory) = firmware::firmware("VIRT_RV32") else { return };
    let mut child =
        emulator(&directory).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (output, input) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let mut repl = Repl::new(Pipes::new(output, input).unwrap());
    repl.enter_raw(Duration::from_secs(30)).unwrap();
    let outcome = repl.exec(MEMORY.as_bytes(), &mut Captured::default()).unwrap();
    assert_eq!(outcome, Outcome::Done);

    let files = tempfile::tempdir().unwrap();
    fs::create_dir_all(files.path().join("lib/deep")).unwrap();
    fs::write(files.path().join("main.py"), "print('main')\n").unwrap();
    fs::write(files.path().join("lib/deep/data.bin"), flashing::noise(5, 3000)).unwrap();
    fs::write(files.path().join("empty"), "").unwrap();
    let first = deploy(&mut repl, files.path()).unwrap();
    assert_eq!(first.written, ["/empty", "/lib/deep/data.bin", "/main.py"]);
    fs::write(files.path().join("main.py"), "print('other')\n").unwrap();
    let second = deploy(&mut repl, files.path()).unwrap();
    assert_eq!(second.written, ["/main.py"]);
    assert_eq!(second.kept, ["/empty", "/lib/deep/data.bin"]);

    let mut console = Captured::default();
    let check = "import hashlib, binascii
print(sorted(memory.files))
print(memory.files['main.py'])
print(binascii.hexlify(hashlib.sha256(memory.files['lib/deep/data.bin']).digest()).decode())
";
    assert_eq!(repl.exec(check.as_bytes(), &mut console).unwrap(), Outcome::Done);
    let hash = micropython_builder::pins::Sha256Hash::of(&flashing::noise(5, 3000)).to_hex();
    let expected = format!(
        "['empty', 'lib', 'lib/deep', 'lib/deep/data.bin', 'main.py']\nb\"print('other')\\n\"\n{hash}\n"
    );
    assert_eq!(String::from_utf8_lossy(&console.output), expected);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_directory_is_copied_to_the_board_that_was_flashed() {
    let Some(directory) = firmware::firmware("VIRT_RV32") else { return };
    let Some((setup, library)) = board(Chip::Esp32c3, Wiring::Board) else { return };
    let device = setup.boots_with(Box::new(move |_| emulator(&directory)), MEMORY).start();
    let firmware = Firmware::new(Chip::Esp32c3);
    let files = tempfile::tempdir().unwrap();
    fs::create_dir(files.path().join("lib")).unwrap();
    fs::write(files.path().join("main.py"), "print('main')\n").unwrap();
    fs::write(files.path().join("lib/data.bin"), flashing::noise(6, 2000)).unwrap();
    // The board is asked what it has, after it was started anew.
    let script = firmware.file("ask.py");
    let ask = "import binascii, hashlib
print(sorted(memory.files), memory.files['main.py'])
print(binascii.hexlify(hashlib.sha256(memory.files['lib/data.bin']).digest()).decode())
";
    fs::write(&script, ask).unwrap();
    let more = ["--deploy", files.path().to_str().unwrap(), "--smoke", script.to_str().unwrap()];
    let output = go(firmware.path(), &device, library, &more);
    let stdout = succeeded(&output);
    holds(&stderr(&output), &["2 files written, 0 there already"]);
    let hash = micropython_builder::pins::Sha256Hash::of(&flashing::noise(6, 2000)).to_hex();
    let expected = format!("['lib', 'lib/data.bin', 'main.py'] b\"print('main')\\n\"\n{hash}\n");
    assert!(stdout.ends_with(&expected), "{stdout}");
    assert!(firmware.is_in(&device.flash()));

    // A reset takes the files of this board with it, so all of them come again.
    let json = go(firmware.path(), &device, library, &[&more[..2], &["--json"]].concat());
    let board = flashing::done(&json);
    assert_eq!(board["up_to_date"], true);
    assert_eq!(board["deployed"]["written"], serde_json::json!(["/lib/data.bin", "/main.py"]));
}

#[test]
fn a_board_that_cannot_keep_files_says_so() {
    let Some((setup, library)) = board(Chip::Esp32c3, Wiring::Board) else { return };
    let firmware = Firmware::new(Chip::Esp32c3);
    let files = tempfile::tempdir().unwrap();
    fs::write(files.path().join("main.py"), "print('main')\n").unwrap();
    let device = setup.start();
    let output =
        go(firmware.path(), &device, library, &["--deploy", files.path().to_str().unwrap()]);
    failed(&output, 6, &["the board cannot keep the files"]);
}

#[test]
fn the_monitor_passes_keys_and_output_until_it_is_left() {
    let Some((setup, library)) = board(Chip::Esp32c3, Wiring::Board) else { return };
    let firmware = Firmware::new(Chip::Esp32c3);
    let device = setup.start();
    let mut run = command(firmware.path(), &[device.port()], &["--monitor"])
        .envs(library)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = run.stdin.take().unwrap();
    let mut output = run.stdout.take().unwrap();
    let mut said = Vec::new();
    let mut until = |mark: &str| {
        let mut byte = [0];
        while !String::from_utf8_lossy(&said).contains(mark) {
            assert_eq!(std::io::Read::read(&mut output, &mut byte).unwrap(), 1, "{said:?}");
            said.push(byte[0]);
        }
    };
    until("verified");
    std::thread::sleep(Duration::from_millis(500));
    keys.write_all(b"\r\nprint('a' + 'b')\r\n").unwrap();
    until("\nab\r\n");
    keys.write_all(b"\x1d").unwrap();
    assert!(run.wait().unwrap().success());
}

#[test]
fn crashes_are_explained_with_the_elf_file() {
    let Some(library) = preload() else { return missing("a C compiler") };
    let directory = firmware::firmware("VIRT_RV32");
    let Some(elf) = directory.map(|directory| directory.join("firmware.elf")) else { return };
    let data = fs::read(&elf).unwrap();
    let file = address_of(&data, "mp_init");
    let firmware = Firmware::new(Chip::Esp32c3);
    fs::copy(&elf, firmware.file("micropython.elf")).unwrap();
    let record = firmware.file("firmware.json");
    let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    value["files"].as_array_mut().unwrap().push(serde_json::json!({
        "role": "elf", "path": "micropython.elf", "size": data.len(),
        "sha256": micropython_builder::pins::Sha256Hash::of(&data).to_hex(),
    }));
    fs::write(&record, value.to_string()).unwrap();
    let report = format!(
        "Guru Meditation Error: Core  0 panic'ed (Load access fault). Exception was unhandled.\r\n\r\n\
         Core  0 register dump:\r\nMEPC    : 0x{file:08x}  RA      : 0x00000000  SP      : 0x3fc92e70\r\n"
    );
    let device = Device::new(Chip::Esp32c3)
        .flash_size(FLASH)
        .wiring(Wiring::Board)
        .running_application()
        .boots_saying(report)
        .start();
    let mut run = command(firmware.path(), &[device.port()], &["--monitor"])
        .envs(library)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let keys = run.stdin.take().unwrap();
    let mut output = run.stdout.take().unwrap();
    let mut said = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&said).contains(": mp_init") {
        assert_eq!(
            std::io::Read::read(&mut output, &mut byte).unwrap(),
            1,
            "{}",
            String::from_utf8_lossy(&said)
        );
        said.push(byte[0]);
    }
    drop(keys);
    assert!(run.wait().unwrap().success());
}

/// The address of a function.
fn address_of(data: &[u8], name: &str) -> u64 {
    use object::{Object, ObjectSymbol};
    let file = object::File::parse(data).unwrap();
    let mut symbols = file.symbols();
    symbols.find(|symbol| symbol.name() == Ok(name)).unwrap().address()
}
