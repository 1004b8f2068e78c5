//! The emulator for firmware of this port: Espressif's QEMU, which has machines for some chips.

use crate::firmware::record::{Boots, Emulator};

/// The chips that have a machine of their name, and the program that has it
/// (<https://github.com/espressif/esp-toolchain-docs/tree/main/qemu>).
const MACHINES: [(&str, &str); 3] = [
    ("esp32", "qemu-system-xtensa"),
    ("esp32c3", "qemu-system-riscv32"),
    ("esp32s3", "qemu-system-xtensa"),
];

/// How a chip is emulated, if it is.
///
/// The watchdogs stand still, as `idf.py qemu` has them: they count the time of the emulating
/// machine, which may be busy with something else. A reset ends the emulator.
pub(super) fn of(target: &str) -> Option<Emulator> {
    let (_, program) = MACHINES.iter().find(|(chip, _)| *chip == target)?;
    let watchdogs = format!("driver=timer.{target}.timg,property=wdt_disable,value=true");
    let arguments = [
        "-machine",
        target,
        "-nographic",
        "-monitor",
        "null",
        "-nic",
        "none",
        "-no-reboot",
        "-global",
        &watchdogs,
    ];
    Some(Emulator {
        program: (*program).to_owned(),
        arguments: arguments.map(str::to_owned).to_vec(),
        boots: Boots::Flash,
    })
}
