//! The simulated ROM loader against what the real one of an ESP32-C3 says.
//!
//! The answers were recorded from the chip's ROM in an emulator with an `esp32c3` machine and an empty flash of
//! 4 MiB, started in download mode (`strap_mode=0x02`).

mod common;
mod device;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use device::Device;
use device::chip::Chip;
use device::faults::Fault;
use device::lines::Wiring;

/// What is asked, one after the other on one device: the command, its data, what is added to the right checksum;
/// and the answer. `*` stands for a byte that the ROM leaves as something else had it.
const CONVERSATION: &[(&str, u8, Data, u8, &str)] = &[
    ("sync", 0x08, Data::Sync, 0, "01 08 04 00 07 07 12 20 00 00 * *"),
    ("unknown after sync", 0x77, Data::Words(&[0]), 0, "01 08 04 00 07 07 12 20 01 05 * *"),
    ("read register", 0x0A, Data::Words(&[0x4000_1000]), 0, "01 0a 04 00 6f 50 31 1b 00 * * *"),
    ("unknown", 0x77, Data::Words(&[0]), 0, "01 0a 04 00 6f 50 31 1b 01 05 * *"),
    ("the stub's", 0xD0, Data::Words(&[]), 0, "01 0a 04 00 6f 50 31 1b 01 05 * *"),
    (
        "security",
        0x14,
        Data::Words(&[]),
        0,
        "01 14 18 00 6f 50 31 1b 00 00 00 00 00 00 00 00 00 00 00 0c 05 00 00 00 03 00 00 00 00 * * *",
    ),
    ("attach", 0x0D, Data::Words(&[0, 0]), 0, "01 0d 04 00 6f 50 31 1b 00 * * *"),
    ("parameters", 0x0B, PARAMETERS, 0, "01 0b 04 00 6f 50 31 1b 00 * * *"),
    ("too few", 0x0B, Data::Words(&[0, 4 << 20]), 0, "01 0b 04 00 6f 50 31 1b 01 05 * *"),
    (
        "md5",
        0x13,
        Data::Words(&[0, 16, 0, 0]),
        0,
        "01 13 24 00 6f 50 31 1b 38 64 37 39 63 62 63 39 61 34 65 63 64 64 65 31 31 32 66 63 39 31 62 61 36 32 35 62 31 33 63 32 00 * * *",
    ),
    (
        "memory",
        0x05,
        Data::Words(&[8, 1, 0x1800, 0x3FC9_0000]),
        0,
        "01 05 04 00 6f 50 31 1b 00 * * *",
    ),
    ("wrong checksum", 0x07, Data::Block(0, 8), 1, "01 07 04 00 6f 50 31 1b 01 07 * *"),
    ("wrong number", 0x07, Data::Block(3, 8), 0, "01 07 04 00 6f 50 31 1b 01 05 * *"),
    ("too late", 0x07, Data::Block(0, 8), 0, "01 07 04 00 6f 50 31 1b 01 05 * *"),
    ("counted", 0x07, Data::Block(1, 8), 0, "01 07 04 00 6f 50 31 1b 00 05 * *"),
    ("end, stay", 0x06, Data::Words(&[1, 0]), 0, "01 06 04 00 6f 50 31 1b 00 05 * *"),
    ("end again", 0x06, Data::Words(&[1, 0]), 0, "01 06 04 00 6f 50 31 1b 00 05 * *"),
    (
        "short begin",
        0x02,
        Data::Words(&[0x1000, 4, 0x400, 0x10000]),
        0,
        "01 02 04 00 6f 50 31 1b 01 05 * *",
    ),
    (
        "begin",
        0x02,
        Data::Words(&[0x1000, 4, 0x400, 0x10000, 0]),
        0,
        "01 02 04 00 6f 50 31 1b 00 05 * *",
    ),
    (
        "too large",
        0x02,
        Data::Words(&[0x2000, 8, 0x400, 0x3F_F000, 0]),
        0,
        "01 02 04 00 6f 50 31 1b 01 06 * *",
    ),
    (
        "unaligned",
        0x02,
        Data::Words(&[0x100, 1, 0x400, 0x30100, 0]),
        0,
        "01 02 04 00 6f 50 31 1b 01 06 * *",
    ),
    (
        "begin",
        0x02,
        Data::Words(&[0x1000, 4, 0x400, 0x10000, 0]),
        0,
        "01 02 04 00 6f 50 31 1b 00 06 * *",
    ),
    ("wrong number", 0x03, Data::Block(1, 0x400), 0, "01 03 04 00 6f 50 31 1b 01 05 * *"),
    ("wrong checksum", 0x03, Data::Block(0, 0x400), 1, "01 03 04 00 6f 50 31 1b 01 07 * *"),
    ("too late", 0x03, Data::Block(0, 0x400), 0, "01 03 04 00 6f 50 31 1b 01 05 * *"),
    ("counted", 0x03, Data::Block(1, 0x400), 0, "01 03 04 00 6f 50 31 1b 00 05 * *"),
    ("too long", 0x03, Data::Block(2, 0x800), 0, "01 03 04 00 6f 50 31 1b 01 05 * *"),
    (
        "short begin",
        0x10,
        Data::Words(&[0x1000, 1, 0x400, 0x20000]),
        0,
        "01 10 04 00 6f 50 31 1b 01 05 * *",
    ),
    (
        "begin",
        0x10,
        Data::Words(&[0x1000, 1, 0x400, 0x20000, 0]),
        0,
        "01 10 04 00 6f 50 31 1b 00 * * *",
    ),
    ("no zlib", 0x11, Data::Block(0, 32), 0, "01 11 04 00 6f 50 31 1b 01 0b * *"),
    (
        "write",
        0x09,
        Data::Words(&[0x3FC9_0000, 0x1234_5678, 0xFFFF, 0]),
        0,
        "01 09 04 00 6f 50 31 1b 00 0b * *",
    ),
    ("read", 0x0A, Data::Words(&[0x3FC9_0000]), 0, "01 0a 04 00 78 56 00 00 00 * * *"),
    ("short sync", 0x08, Data::Words(&[0x2012_0707]), 0, "01 08 04 00 07 07 12 20 00 * * *"),
];

const PARAMETERS: Data = Data::Words(&[0, 4 << 20, 64 << 10, 4096, 256, 0xFFFF]);

/// What a command carries.
enum Data {
    Words(&'static [u32]),
    Sync,
    /// A block with this number and so many times 0x55.
    Block(u32, u32),
}

impl Data {
    fn bytes(&self) -> Vec<u8> {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
        match self {
            Data::Words(all) => words(all),
            Data::Sync => [vec![0x07, 0x07, 0x12, 0x20], vec![0x55; 32]].concat(),
            Data::Block(number, length) => {
                let head: Vec<u8> = words(&[*length, *number, 0, 0]);
                [head, vec![0x55; *length as usize]].concat()
            }
        }
    }
}

#[test]
fn the_simulated_rom_says_what_the_real_one_says() {
    let device = Device::new(Chip::Esp32c3).start();
    let mut port = open(&device);
    for (what, command, data, added, expected) in CONVERSATION {
        // An even number of the same bytes leaves the checksum as it begins.
        let sum = if matches!(data, Data::Block(..)) { 0xEF + added } else { 0 };
        ask(&mut port, *command, &data.bytes(), sum);
        let times = if what.contains("sync") { 8 } else { 1 };
        for _ in 0..times {
            let answer = answer(&mut port);
            let expected: Vec<&str> = expected.split(' ').collect();
            let said: Vec<String> = answer.iter().map(|byte| format!("{byte:02x}")).collect();
            let same = expected.iter().zip(&said).all(|(e, s)| *e == "*" || e == s);
            assert!(same && expected.len() == said.len(), "{what}: {said:?}, not {expected:?}");
        }
    }
    // The first block that was taken lies first, whatever its number; the real ROM's MD5 said so.
    let flash = device.flash();
    assert_eq!(flash[0x10000..0x10400], [0x55; 0x400]);
    assert!(flash[0x10400..0x11000].iter().all(|byte| *byte == 0xFF));
}

fn ask(port: &mut File, command: u8, data: &[u8], checksum: u8) {
    let mut packet = vec![0, command];
    packet.extend((data.len() as u16).to_le_bytes());
    packet.extend(u32::from(checksum).to_le_bytes());
    packet.extend(data);
    port.write_all(&device::slip::frame(&packet)).unwrap();
}

fn open(device: &Device) -> File {
    OpenOptions::new().read(true).write(true).open(device.port()).unwrap()
}

#[test]
fn a_chip_with_usb_of_its_own_comes_back_under_its_name() {
    let away = Duration::from_millis(100);
    let device = Device::new(Chip::Esp32c6)
        .wiring(Wiring::UsbJtag)
        .fault(Fault::Enumerates { away })
        .boots_saying("it runs\r\n")
        .start();
    let mut port = open(&device);
    ask(&mut port, 0x08, &Data::Sync.bytes(), 0);
    (0..8).for_each(|_| drop(answer(&mut port)));
    // Leave the loader and run the application.
    ask(&mut port, 0x04, &1u32.to_le_bytes(), 0);
    let mut rest = Vec::new();
    // A terminal whose other end is gone fails to be read.
    assert!(port.read_to_end(&mut rest).is_err());
    assert!(!device.port().exists());
    let until = Instant::now() + Duration::from_secs(10);
    while !device.port().exists() {
        assert!(Instant::now() < until);
        thread::sleep(Duration::from_millis(5));
    }
    let mut port = open(&device);
    let mut said = [0; 9];
    port.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"it runs\r\n");
}

/// The next frame.
fn answer(port: &mut File) -> Vec<u8> {
    let mut unframer = device::slip::Unframer::default();
    loop {
        let mut byte = [0];
        port.read_exact(&mut byte).unwrap();
        if let Some(packet) = unframer.push(byte[0]) {
            return packet;
        }
    }
}
