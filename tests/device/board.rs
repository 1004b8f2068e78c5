//! What the loaders work on: the chip with its registers, and the flash chip beside it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::chip::{Chip, Identity};
use super::nor::Nor;
use super::protocol::{Command, Dialect};

/// Starts a command that the host has put into the SPI controller's other registers.
const SPI_USER: u32 = 1 << 18;

const WATCHDOG_KEY: u32 = 0x50D8_3AA1;
const WATCHDOG_ON: u32 = 1 << 31;

/// How long it takes: what hosts set is about as long.
const WATCHDOG_TIME: Duration = Duration::from_millis(15);

#[derive(Debug)]
pub struct Board {
    pub chip: Chip,
    pub identity: Identity,
    pub nor: Nor,
    /// How often each command came that the loader knew.
    pub commands: HashMap<Command, u64>,
    /// At which the UART runs, in bits per second.
    pub rate: u32,
    /// The third byte of the flash chip's identification: the power of two that is its size.
    capacity: u8,
    registers: HashMap<u32, u32>,
    /// When the watchdog resets the chip, if it has been turned on.
    watchdog: Option<Instant>,
}

impl Board {
    /// A board whose flash chip says that it has `size` bytes.
    pub fn new(chip: Chip, identity: Identity, nor: Nor, size: usize, rate: u32) -> Board {
        let registers = chip.registers(&identity);
        let capacity = size.trailing_zeros() as u8;
        Board {
            chip,
            identity,
            nor,
            commands: HashMap::new(),
            rate,
            capacity,
            registers,
            watchdog: None,
        }
    }

    pub fn register(&self, address: u32, dialect: Dialect) -> u32 {
        let (divider, value) = self.chip.clock_divider(dialect, self.rate);
        if address == divider {
            return value;
        }
        self.registers.get(&address).copied().unwrap_or(0)
    }

    /// Writes the bits of `mask`. The flash chip answers only when it is attached.
    pub fn set_register(&mut self, [address, value, mask]: [u32; 3], attached: bool) {
        let spi = self.chip.spi();
        let old = self.registers.entry(address).or_default();
        *old = *old & !mask | value & mask;
        if address == spi.command && *old & SPI_USER != 0 {
            *old &= !SPI_USER;
            let asked = self.registers.get(&spi.user2).copied().unwrap_or(0);
            let answer = if attached { self.spi(asked & 0xFFFF) } else { 0x00FF_FFFF };
            self.registers.insert(spi.data, answer);
        }
        let (lock, control) = self.chip.watchdog();
        if address == control && self.registers.get(&lock) == Some(&WATCHDOG_KEY) {
            self.watchdog = (value & WATCHDOG_ON != 0).then(|| Instant::now() + WATCHDOG_TIME);
        }
    }

    /// A program wants the next reset to lead into the loader, as `machine.bootloader` does.
    pub fn want_loader(&mut self) {
        if let Some(register) = self.chip.forces_loader() {
            self.registers.insert(register, 1);
        }
    }

    /// Whether the next reset leads into the loader, whatever the boot pin says.
    pub fn wants_loader(&self) -> bool {
        let value = self.chip.forces_loader().and_then(|it| self.registers.get(&it));
        value.is_some_and(|value| value & 1 != 0)
    }

    /// Whether the watchdog resets the chip now.
    pub fn watchdog_bites(&mut self) -> bool {
        self.watchdog.take_if(|at| *at <= Instant::now()).is_some()
    }

    /// A command to the flash chip itself. Only its identification matters here: Winbond, serial flash.
    fn spi(&self, command: u32) -> u32 {
        if command == 0x9F { 0x0000_40EF | u32::from(self.capacity) << 16 } else { 0 }
    }
}
