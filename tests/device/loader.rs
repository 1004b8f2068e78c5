//! The loader that answers commands: the one in the chip's ROM, or the stub that a host uploads.
//!
//! Written from Espressif's description of the protocol (esptool's documentation, "Serial Protocol")
//! and checked against esptool. What an upload contains isn't executed: after a complete one, the
//! device behaves as the stub does.

use std::collections::HashMap;
use std::ops::Range;

use md5::{Digest, Md5};

use super::chip::{Chip, Identity};
use super::download::{Flashing, Memory};
use super::nor::{Nor, PowerLost, SECTOR};
use super::slip::{Unframer, frame};

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Rom,
    Stub,
}

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its parameters or length are wrong.
    Invalid,
    /// It is right and cannot be done now.
    Failed,
    Checksum,
    /// What was written reads otherwise.
    Write,
    Inflate,
    NotFlashing,
    NotEnough,
    TooMuch,
    Unknown,
    Unsupported,
}

impl Refusal {
    /// The two status bytes.
    fn status(self, dialect: Dialect) -> [u8; 2] {
        match dialect {
            Dialect::Rom => [1, self.rom()],
            Dialect::Stub => [self.stub(), 0],
        }
    }

    fn rom(self) -> u8 {
        match self {
            Refusal::Invalid | Refusal::Unknown | Refusal::Unsupported => 0x05,
            Refusal::Failed | Refusal::NotFlashing | Refusal::NotEnough | Refusal::TooMuch => 0x06,
            Refusal::Checksum => 0x07,
            Refusal::Write => 0x08,
            Refusal::Inflate => 0x0B,
        }
    }

    fn stub(self) -> u8 {
        match self {
            Refusal::Invalid => 0xC0,
            Refusal::Checksum => 0xC1,
            Refusal::Unknown => 0xC3,
            Refusal::Failed | Refusal::Write => 0xC4,
            Refusal::NotFlashing => 0xC6,
            Refusal::Inflate => 0xC7,
            Refusal::NotEnough => 0xC8,
            Refusal::TooMuch => 0xC9,
            Refusal::Unsupported => 0xFF,
        }
    }
}

/// Why there is no answer with a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    Refused(Refusal),
    PowerLost,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

impl From<PowerLost> for Stop {
    fn from(_: PowerLost) -> Stop {
        Stop::PowerLost
    }
}

/// What happens after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Nothing,
    /// The line continues at this rate.
    Rate(u32),
    Stub,
    /// A reset that does not look at the boot pin again.
    SoftReset,
    Application,
    /// It executes what is no code.
    Crash,
    PowerLost,
}

/// The result of a command.
#[derive(Debug)]
pub struct Answer {
    value: u32,
    data: Vec<u8>,
    then: Then,
    /// How often it is said.
    times: usize,
}

impl Answer {
    fn value(value: u32) -> Answer {
        Answer { value, data: Vec::new(), then: Then::Nothing, times: 1 }
    }

    fn done() -> Answer {
        Answer::value(0)
    }

    fn data(data: Vec<u8>) -> Answer {
        Answer { data, ..Answer::done() }
    }

    fn then(self, then: Then) -> Answer {
        Answer { then, ..self }
    }
}

/// What the loaders work on.
#[derive(Debug)]
pub struct Board {
    pub chip: Chip,
    pub identity: Identity,
    pub nor: Nor,
    /// The third byte of the flash chip's identification: the power of two that is its size.
    pub capacity: u8,
    pub registers: HashMap<u32, u32>,
    /// At which the UART runs, in bits per second.
    pub rate: u32,
    /// How often a command came, by its name.
    pub commands: HashMap<&'static str, u64>,
}

#[derive(Debug)]
pub struct Loader {
    dialect: Dialect,
    unframer: Unframer,
    memory: Option<Memory>,
    /// Where complete uploads lie.
    loaded: Vec<Range<u32>>,
    flashing: Option<Flashing>,
    reading: Option<Reading>,
    attached: bool,
    synced: bool,
    /// How large the host says that the flash is.
    size: usize,
}

/// What was asked.
struct Request<'a> {
    command: u8,
    data: &'a [u8],
    checksum: u32,
}

impl Loader {
    pub fn new(dialect: Dialect) -> Loader {
        let stub = dialect == Dialect::Stub;
        Loader {
            dialect,
            unframer: Unframer::default(),
            memory: None,
            loaded: Vec::new(),
            flashing: None,
            reading: None,
            // The stub attaches the flash when it starts, and needs no finding of the rate.
            attached: stub,
            synced: stub,
            size: 4 << 20,
        }
    }

    pub fn name(&self) -> &'static str {
        match self.dialect {
            Dialect::Rom => "rom",
            Dialect::Stub => "stub",
        }
    }

    /// Whether the host's rate is known.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// Takes a byte from the host; returns what is said to it, and what happens then.
    pub fn receive(&mut self, byte: u8, board: &mut Board) -> (Vec<u8>, Then) {
        let Some(packet) = self.unframer.push(byte) else { return (Vec::new(), Then::Nothing) };
        if let Some(reading) = &mut self.reading {
            let (says, ended) = reading.acknowledged(&packet, board);
            if ended {
                self.reading = None;
            }
            return (says, Then::Nothing);
        }
        let [0, command, low, high, a, b, c, d, data @ ..] = packet.as_slice() else {
            return (Vec::new(), Then::Nothing);
        };
        let (command, checksum) = (*command, u32::from_le_bytes([*a, *b, *c, *d]));
        if !self.synced && command != 0x08 {
            return (Vec::new(), Then::Nothing);
        }
        let request = Request { command, data, checksum };
        let whole = data.len() == usize::from(u16::from_le_bytes([*low, *high]));
        let result =
            if whole { self.execute(&request, board) } else { Err(Refusal::Invalid.into()) };
        match result {
            Ok(answer) => self.say(command, &answer, board),
            Err(Stop::Refused(refusal)) => {
                let status = refusal.status(self.dialect);
                (self.packet(command, 0, &[], status), Then::Nothing)
            }
            Err(Stop::PowerLost) => (Vec::new(), Then::PowerLost),
        }
    }

    fn say(&mut self, command: u8, answer: &Answer, board: &mut Board) -> (Vec<u8>, Then) {
        let mut says =
            self.packet(command, answer.value, &answer.data, [0, 0]).repeat(answer.times);
        match answer.then {
            Then::Stub => says.extend(frame(b"OHAI")),
            Then::Nothing => {
                if let Some(reading) = &mut self.reading {
                    says.extend(reading.more(board));
                }
            }
            _ => {}
        }
        (says, answer.then)
    }

    fn packet(&self, command: u8, value: u32, data: &[u8], status: [u8; 2]) -> Vec<u8> {
        // The ROM loader adds two reserved bytes to the status.
        let reserved: &[u8] = if self.dialect == Dialect::Rom { &[0, 0] } else { &[] };
        let length = u16::try_from(data.len() + status.len() + reserved.len()).unwrap();
        let mut packet = vec![1, command];
        packet.extend(length.to_le_bytes());
        packet.extend(value.to_le_bytes());
        packet.extend(data);
        packet.extend(status);
        packet.extend(reserved);
        frame(&packet)
    }

    fn execute(&mut self, request: &Request<'_>, board: &mut Board) -> Result<Answer, Stop> {
        let (name, of) = command(request.command).ok_or(Refusal::Unknown)?;
        *board.commands.entry(name).or_default() += 1;
        let open = matches!(
            name,
            "sync"
                | "flash begin"
                | "flash data"
                | "flash end"
                | "deflate begin"
                | "deflate data"
                | "deflate end"
                | "attach"
                | "set parameters"
                | "change rate"
                | "security info"
                | "md5"
        );
        if of.is_some_and(|of| of != self.dialect) || (board.identity.secure_download && !open) {
            return Err(Refusal::Unknown.into());
        }
        match name {
            "sync" => self.sync(request.data),
            "read register" => self.read_register(request.data, board),
            "write register" => self.write_register(request.data, board),
            "attach" => self.attach(request.data),
            "set parameters" => self.set_parameters(request.data),
            "change rate" => self.change_rate(request.data),
            "security info" => self.security(request.data, board),
            "memory begin" | "memory data" | "memory end" => self.memory(name, request),
            "md5" => self.md5(request.data, board),
            "read slowly" => self.read_slowly(request.data, board),
            "erase flash" => Ok(board.nor.erase(0, board.nor.len()).map(|()| Answer::done())?),
            "erase region" => self.erase_region(request.data, board),
            "read" => self.read(request.data, board),
            "run user code" => Ok(Answer { times: 0, ..Answer::done().then(Then::Application) }),
            _ => self.flash(name, request, board),
        }
    }

    fn sync(&mut self, data: &[u8]) -> Result<Answer, Stop> {
        let well = data.len() == 36
            && data.starts_with(&[0x07, 0x07, 0x12, 0x20])
            && data[4..].iter().all(|byte| *byte == 0x55);
        if !well {
            return Err(Refusal::Invalid.into());
        }
        self.synced = true;
        // By the value a host knows a stub that is still running from the ROM.
        let value = if self.dialect == Dialect::Rom { 0x5555_2007 } else { 0 };
        Ok(Answer { times: 8, ..Answer::value(value) })
    }

    fn read_register(&self, data: &[u8], board: &Board) -> Result<Answer, Stop> {
        let [address] = words(data)?;
        let (divider, value) = board.chip.clock_divider(self.dialect, board.rate);
        if address == divider {
            return Ok(Answer::value(value));
        }
        Ok(Answer::value(board.registers.get(&address).copied().unwrap_or(0)))
    }

    fn write_register(&self, data: &[u8], board: &mut Board) -> Result<Answer, Stop> {
        if data.is_empty() || !data.len().is_multiple_of(16) {
            return Err(Refusal::Invalid.into());
        }
        let spi = board.chip.spi();
        for entry in data.chunks(16) {
            let [address, value, mask, _delay] = words(entry)?;
            let old = board.registers.entry(address).or_default();
            *old = *old & !mask | value & mask;
            if address == spi.command && *old & SPI_USER != 0 {
                *old &= !SPI_USER;
                let asked = board.registers.get(&spi.user2).copied().unwrap_or(0);
                let answer = self.spi(asked & 0xFFFF, board.capacity);
                board.registers.insert(spi.data, answer);
            }
        }
        Ok(Answer::done())
    }

    /// A command to the flash chip itself. Only its identification matters here.
    fn spi(&self, command: u32, capacity: u8) -> u32 {
        match command {
            _ if !self.attached => 0x00FF_FFFF,
            // Winbond, serial flash.
            0x9F => 0x0000_40EF | u32::from(capacity) << 16,
            _ => 0,
        }
    }

    fn attach(&mut self, data: &[u8]) -> Result<Answer, Stop> {
        // "Legacy" mode and three reserved bytes are for the ROM only.
        let length = if self.dialect == Dialect::Rom { 8 } else { 4 };
        if data.len() != length {
            return Err(Refusal::Invalid.into());
        }
        self.attached = true;
        Ok(Answer::done())
    }

    fn set_parameters(&mut self, data: &[u8]) -> Result<Answer, Stop> {
        let [_id, size, block, sector, page, _mask] = words(data)?;
        if (block, sector, page) != (64 << 10, SECTOR as u32, 256) {
            return Err(Refusal::Invalid.into());
        }
        self.size = size as usize;
        Ok(Answer::done())
    }

    fn change_rate(&self, data: &[u8]) -> Result<Answer, Stop> {
        let [rate, _before] = words(data)?;
        if !(300..=5_000_000).contains(&rate) {
            return Err(Refusal::Invalid.into());
        }
        Ok(Answer::done().then(Then::Rate(rate)))
    }

    fn security(&self, data: &[u8], board: &Board) -> Result<Answer, Stop> {
        if !board.chip.tells_security() {
            return Err(Refusal::Unsupported.into());
        }
        let [] = words(data)?;
        Ok(Answer::data(board.chip.security(&board.identity)))
    }

    fn memory(&mut self, name: &str, request: &Request<'_>) -> Result<Answer, Stop> {
        match name {
            "memory begin" => self.memory = Some(Memory::begin(words(request.data)?)?),
            "memory data" => {
                let memory = self.memory.as_mut().ok_or(Refusal::Failed)?;
                memory.take(&block(request)?)?;
                if let Some(range) = memory.complete() {
                    self.loaded.push(range);
                }
            }
            _ => {
                let [stay, entry] = words(request.data)?;
                if self.memory.take().is_none_or(|memory| memory.complete().is_none()) {
                    return Err(Refusal::Failed.into());
                }
                if stay == 0 {
                    let there = self.loaded.iter().any(|range| range.contains(&entry));
                    let then = if there { Then::Stub } else { Then::Crash };
                    return Ok(Answer::done().then(then));
                }
            }
        }
        Ok(Answer::done())
    }

    fn flash(
        &mut self,
        name: &str,
        request: &Request<'_>,
        board: &mut Board,
    ) -> Result<Answer, Stop> {
        let deflated = name.starts_with("deflate");
        match name {
            "flash begin" | "deflate begin" => {
                let limit = self.ready()?;
                let begin = Flashing::begin(self.dialect, deflated, request.data, board, limit);
                self.flashing = Some(begin?);
                Ok(Answer::done())
            }
            "flash data" | "deflate data" => {
                let flashing = self.flashing.as_mut().ok_or(Refusal::NotFlashing)?;
                flashing.take(deflated, &block(request)?, board)?;
                Ok(Answer::done())
            }
            _ => {
                let [stay] = words(request.data)?;
                let flashing = self.flashing.as_ref().ok_or(Refusal::NotFlashing)?;
                if flashing.is_missing() {
                    return Err(Refusal::NotEnough.into());
                }
                self.flashing = None;
                // The ROM loader is left in any case; the stub stays where it isn't told to reset.
                Ok(Answer::done().then(match (self.dialect, stay) {
                    (_, 0) => Then::SoftReset,
                    (Dialect::Rom, _) => Then::Application,
                    (Dialect::Stub, _) => Then::Nothing,
                }))
            }
        }
    }

    fn md5(&self, data: &[u8], board: &mut Board) -> Result<Answer, Stop> {
        let [offset, length, _, _] = words(data)?;
        let digest = Md5::digest(&self.flash_bytes(offset, length, board)?);
        Ok(Answer::data(match self.dialect {
            Dialect::Rom => format!("{digest:x}").into_bytes(),
            Dialect::Stub => digest.to_vec(),
        }))
    }

    fn read_slowly(&self, data: &[u8], board: &mut Board) -> Result<Answer, Stop> {
        let (data, _) = data.split_at_checked(8).ok_or(Refusal::Invalid)?;
        let [offset, length] = words(data)?;
        if length > 64 {
            return Err(Refusal::Invalid.into());
        }
        let mut bytes = self.flash_bytes(offset, length, board)?;
        bytes.resize(64, 0);
        Ok(Answer::data(bytes))
    }

    fn erase_region(&self, data: &[u8], board: &mut Board) -> Result<Answer, Stop> {
        let [offset, length] = words(data)?.map(|word| word as usize);
        let whole = offset.is_multiple_of(SECTOR) && length.is_multiple_of(SECTOR);
        if !whole || offset + length > self.size {
            return Err(Refusal::Invalid.into());
        }
        board.nor.erase(offset, length)?;
        Ok(Answer::done())
    }

    fn read(&mut self, data: &[u8], board: &mut Board) -> Result<Answer, Stop> {
        let [offset, length, block, _in_flight] = words(data)?;
        if block == 0 || block as usize > SECTOR {
            return Err(Refusal::Invalid.into());
        }
        let bytes = self.flash_bytes(offset, length, board)?;
        self.reading = Some(Reading { bytes, block: block as usize, sent: 0 });
        Ok(Answer::done())
    }

    fn flash_bytes(&self, offset: u32, length: u32, board: &mut Board) -> Result<Vec<u8>, Stop> {
        let limit = self.ready()?;
        let (offset, length) = (offset as usize, length as usize);
        if offset + length > limit {
            return Err(Refusal::Failed.into());
        }
        Ok(board.nor.read(offset, length))
    }

    /// How large the flash is, as far as this loader knows; refuses when it is not attached.
    fn ready(&self) -> Result<usize, Stop> {
        if self.attached { Ok(self.size) } else { Err(Refusal::Failed.into()) }
    }
}

/// Starts a command that the host has put into the controller's other registers.
const SPI_USER: u32 = 1 << 18;

/// The stub's answer in frames of their own, each sent when the one before has been acknowledged.
#[derive(Debug)]
struct Reading {
    bytes: Vec<u8>,
    block: usize,
    sent: usize,
}

impl Reading {
    fn more(&mut self, _board: &mut Board) -> Vec<u8> {
        let end = (self.sent + self.block).min(self.bytes.len());
        let says = frame(&self.bytes[self.sent..end]);
        self.sent = end;
        says
    }

    /// What follows an acknowledgement, and whether that was all.
    fn acknowledged(&mut self, packet: &[u8], board: &mut Board) -> (Vec<u8>, bool) {
        let count = <[u8; 4]>::try_from(packet).map(u32::from_le_bytes).ok();
        if count != Some(self.sent as u32) {
            return (Vec::new(), count.is_none());
        }
        if self.sent < self.bytes.len() {
            return (self.more(board), false);
        }
        (frame(&Md5::digest(&self.bytes)), true)
    }
}

/// One block of an upload, whose own fields agree with each other.
pub struct Block<'a> {
    pub sequence: u32,
    pub bytes: &'a [u8],
}

/// Takes a data command apart.
fn block<'a>(request: &Request<'a>) -> Result<Block<'a>, Refusal> {
    let (head, bytes) = request.data.split_at_checked(16).ok_or(Refusal::Invalid)?;
    let [length, sequence, _, _] = words(head)?;
    if length as usize != bytes.len() {
        return Err(Refusal::Invalid);
    }
    let sum = bytes.iter().fold(0xEF, |sum, byte| sum ^ byte);
    if u32::from(sum) != request.checksum {
        return Err(Refusal::Checksum);
    }
    Ok(Block { sequence, bytes })
}

/// Exactly so many little-endian words.
pub fn words<const COUNT: usize>(data: &[u8]) -> Result<[u32; COUNT], Refusal> {
    if data.len() != COUNT * 4 {
        return Err(Refusal::Invalid);
    }
    Ok(std::array::from_fn(|at| {
        u32::from_le_bytes(std::array::from_fn(|byte| data[at * 4 + byte]))
    }))
}

/// A command's name here, and who alone knows it.
fn command(number: u8) -> Option<(&'static str, Option<Dialect>)> {
    Some(match number {
        0x02 => ("flash begin", None),
        0x03 => ("flash data", None),
        0x04 => ("flash end", None),
        0x05 => ("memory begin", None),
        0x06 => ("memory end", None),
        0x07 => ("memory data", None),
        0x08 => ("sync", None),
        0x09 => ("write register", None),
        0x0A => ("read register", None),
        0x0B => ("set parameters", None),
        0x0D => ("attach", None),
        0x0E => ("read slowly", Some(Dialect::Rom)),
        0x0F => ("change rate", None),
        0x10 => ("deflate begin", None),
        0x11 => ("deflate data", None),
        0x12 => ("deflate end", None),
        0x13 => ("md5", None),
        0x14 => ("security info", None),
        0xD0 => ("erase flash", Some(Dialect::Stub)),
        0xD1 => ("erase region", Some(Dialect::Stub)),
        0xD2 => ("read", Some(Dialect::Stub)),
        0xD3 => ("run user code", Some(Dialect::Stub)),
        _ => return None,
    })
}
