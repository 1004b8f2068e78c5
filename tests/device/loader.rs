//! The loader that answers commands: the one in the chip's ROM, or the stub that a host uploads.
//!
//! Written from Espressif's description of the protocol (esptool's documentation, "Serial Protocol"). Where
//! that says nothing, the ROM does as the real ROM of an ESP32-C3 in an emulator was seen to do; the table in
//! `tests/device_rom.rs` has what it said. What an upload contains isn't executed: after a complete one, the
//! device behaves as the stub does.

use std::ops::Range;

use md5::{Digest, Md5};

use super::board::Board;
use super::download::{Flashing, Memory};
use super::nor::SECTOR;
use super::protocol::{Answer, Block, Command, Dialect, Refusal, Stop, Then, words};
use super::reading::Reading;
use super::slip::{Unframer, frame};

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
    /// What the ROM's next answer has in fields that it does not set: the last command that it knew, the
    /// last value and the last reason for a refusal.
    stale: Stale,
}

#[derive(Debug, Clone, Copy, Default)]
struct Stale {
    command: u8,
    value: u32,
    reason: u8,
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
            stale: Stale::default(),
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
            let (says, ended) = reading.acknowledged(&packet);
            if ended {
                self.reading = None;
            }
            return (says, Then::Nothing);
        }
        let [direction, number, low, high, a, b, c, d, data @ ..] = packet.as_slice() else {
            return (Vec::new(), Then::Nothing);
        };
        if !self.synced && *number != Command::Sync as u8 {
            return (Vec::new(), Then::Nothing);
        }
        let known = Command::of(*number, self.dialect)
            .filter(|command| !board.identity.secure_download || command.is_open())
            .filter(|_| *direction == 0);
        let Some(command) = known else { return (self.unknown(*number), Then::Nothing) };
        *board.commands.entry(command).or_default() += 1;
        self.stale.command = *number;
        // The ROM does not look at the length that the host states.
        let whole = data.len() == usize::from(u16::from_le_bytes([*low, *high]));
        let result = if whole || self.dialect == Dialect::Rom {
            self.execute(command, data, u32::from_le_bytes([*a, *b, *c, *d]), board)
        } else {
            Err(Refusal::Invalid.into())
        };
        match result {
            Ok(answer) => self.answer(command, &answer),
            Err(Stop::Refused(refusal)) => (self.refuse(command, refusal), Then::Nothing),
            Err(Stop::PowerLost) => (Vec::new(), Then::PowerLost),
        }
    }

    fn answer(&mut self, command: Command, answer: &Answer) -> (Vec<u8>, Then) {
        let then = answer.then.unwrap_or(Then::Nothing);
        if command == Command::RunUserCode {
            return (Vec::new(), then);
        }
        self.stale.value = answer.value.unwrap_or(self.stale.value);
        let value = if self.dialect == Dialect::Rom { self.stale.value } else { 0 };
        let packet = self.packet(
            command as u8,
            answer.value.unwrap_or(value),
            &answer.data,
            [0, self.stale.reason],
        );
        let mut says = packet.repeat(times(command as u8));
        if then == Then::Stub {
            says.extend(frame(b"OHAI"));
        }
        if let Some(reading) = &mut self.reading {
            says.extend(reading.more());
        }
        (says, then)
    }

    fn refuse(&mut self, command: Command, refusal: Refusal) -> Vec<u8> {
        let code = refusal.code(self.dialect);
        match self.dialect {
            Dialect::Stub => self.packet(command as u8, 0, &[], [code, 0]),
            Dialect::Rom => {
                self.stale.reason = code;
                let data = vec![0; command.answers()];
                self.packet(command as u8, self.stale.value, &data, [1, code])
            }
        }
    }

    /// The ROM answers as if to the command before.
    fn unknown(&mut self, number: u8) -> Vec<u8> {
        let code = Refusal::Unknown.code(self.dialect);
        match self.dialect {
            Dialect::Stub => self.packet(number, 0, &[], [code, 0]),
            Dialect::Rom => {
                self.stale.reason = code;
                let Stale { command, value, .. } = self.stale;
                self.packet(command, value, &[], [1, code]).repeat(times(command))
            }
        }
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

    fn execute(
        &mut self,
        command: Command,
        data: &[u8],
        checksum: u32,
        board: &mut Board,
    ) -> Result<Answer, Stop> {
        match command {
            Command::Sync => self.sync(data),
            Command::ReadRegister => {
                let [address] = words(data)?;
                Ok(Answer::value(board.register(address, self.dialect)))
            }
            Command::WriteRegister => self.write_register(data, board),
            Command::Attach => self.attach(data),
            Command::SetParameters => self.set_parameters(data),
            Command::ChangeRate => change_rate(data),
            Command::SecurityInfo if board.chip.tells_security() => {
                Ok(Answer::data(board.chip.security(&board.identity)))
            }
            Command::SecurityInfo => Err(Refusal::Unsupported.into()),
            Command::MemoryBegin => {
                self.memory = Some(Memory::begin(words(data)?)?);
                Ok(Answer::default())
            }
            Command::MemoryData => self.memory_data(&Block::parse(data, checksum)?),
            Command::MemoryEnd => self.memory_end(data),
            Command::FlashBegin | Command::DeflateBegin => {
                let (deflated, limit) = (command == Command::DeflateBegin, self.ready()?);
                self.flashing = None;
                let begun = Flashing::begin(self.dialect, deflated, data, board, limit)?;
                self.flashing = Some(begun);
                Ok(Answer::default())
            }
            Command::FlashData | Command::DeflateData => {
                let flashing = self.flashing.as_mut().ok_or(Refusal::NotFlashing)?;
                let deflated = command == Command::DeflateData;
                flashing.take(deflated, &Block::parse(data, checksum)?, board)?;
                Ok(Answer::default())
            }
            Command::FlashEnd | Command::DeflateEnd => self.flash_end(data),
            Command::Md5 => self.md5(data, board),
            Command::ReadSlowly => self.read_slowly(data, board),
            Command::EraseFlash => {
                board.nor.erase(0, board.nor.len())?;
                Ok(Answer::default())
            }
            Command::EraseRegion => self.erase_region(data, board),
            Command::Read => self.read(data, board),
            Command::RunUserCode => Ok(Answer::then(Then::Application)),
        }
    }

    fn sync(&mut self, data: &[u8]) -> Result<Answer, Stop> {
        let (head, _) = data.split_at_checked(4).ok_or(Refusal::Invalid)?;
        if self.dialect == Dialect::Stub {
            // By its value of 0 a host knows a stub that is still running from the ROM.
            return if data.len() == 36 {
                Ok(Answer::value(0))
            } else {
                Err(Refusal::Invalid.into())
            };
        }
        self.synced = true;
        let [value] = words(head)?;
        Ok(Answer::value(value))
    }

    fn write_register(&self, data: &[u8], board: &mut Board) -> Result<Answer, Stop> {
        if data.is_empty() || !data.len().is_multiple_of(16) {
            return Err(Refusal::Invalid.into());
        }
        for entry in data.chunks(16) {
            let [address, value, mask, _delay] = words(entry)?;
            board.set_register([address, value, mask], self.attached);
        }
        Ok(Answer::default())
    }

    fn attach(&mut self, data: &[u8]) -> Result<Answer, Stop> {
        if self.dialect == Dialect::Stub && data.len() != 4 {
            return Err(Refusal::Invalid.into());
        }
        self.attached = true;
        Ok(Answer::default())
    }

    fn set_parameters(&mut self, data: &[u8]) -> Result<Answer, Stop> {
        let [_id, size, block, sector, page, _mask] = words(data)?;
        if (block, sector, page) != (64 << 10, SECTOR as u32, 256) {
            return Err(Refusal::Invalid.into());
        }
        self.size = size as usize;
        Ok(Answer::default())
    }

    fn memory_data(&mut self, block: &Block<'_>) -> Result<Answer, Stop> {
        let memory = self.memory.as_mut().ok_or(Refusal::Failed)?;
        memory.take(block)?;
        self.loaded.extend(memory.complete());
        Ok(Answer::default())
    }

    fn memory_end(&mut self, data: &[u8]) -> Result<Answer, Stop> {
        let [stay, entry] = words(data)?;
        if stay != 0 {
            return Ok(Answer::default());
        }
        let there = self.loaded.iter().any(|range| range.contains(&entry));
        Ok(Answer::then(if there { Then::Stub } else { Then::Crash }))
    }

    fn flash_end(&mut self, data: &[u8]) -> Result<Answer, Stop> {
        let [stay] = words(data)?;
        if self.dialect == Dialect::Stub {
            let flashing = self.flashing.as_ref().ok_or(Refusal::NotFlashing)?;
            if flashing.is_missing() {
                return Err(Refusal::NotEnough.into());
            }
        }
        self.flashing = None;
        // The ROM loader is left in any case; the stub stays where it isn't told to reset.
        Ok(Answer::then(match (self.dialect, stay) {
            (_, 0) => Then::SoftReset,
            (Dialect::Rom, _) => Then::Application,
            (Dialect::Stub, _) => Then::Nothing,
        }))
    }

    fn md5(&self, data: &[u8], board: &mut Board) -> Result<Answer, Stop> {
        let [offset, length, _, _] = words(data)?;
        let digest = Md5::digest(&self.flash_bytes(offset, length, board)?);
        Ok(Answer::data(match self.dialect {
            Dialect::Rom => {
                digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes()
            }
            Dialect::Stub => digest.to_vec(),
        }))
    }

    fn read_slowly(&self, data: &[u8], board: &mut Board) -> Result<Answer, Stop> {
        let (data, _) = data.split_at_checked(8).ok_or(Refusal::Invalid)?;
        let [offset, length] = words(data)?;
        if length as usize > Command::ReadSlowly.answers() {
            return Err(Refusal::ReadLength.into());
        }
        let mut bytes = self.flash_bytes(offset, length, board)?;
        bytes.resize(Command::ReadSlowly.answers(), 0);
        Ok(Answer::data(bytes))
    }

    fn erase_region(&self, data: &[u8], board: &mut Board) -> Result<Answer, Stop> {
        let [offset, length] = words(data)?.map(|word| word as usize);
        let whole = offset.is_multiple_of(SECTOR) && length.is_multiple_of(SECTOR);
        if !whole || offset + length > self.size {
            return Err(Refusal::Invalid.into());
        }
        board.nor.erase(offset, length)?;
        Ok(Answer::default())
    }

    fn read(&mut self, data: &[u8], board: &mut Board) -> Result<Answer, Stop> {
        let [offset, length, block, _in_flight] = words(data)?;
        if block == 0 || block as usize > SECTOR {
            return Err(Refusal::Invalid.into());
        }
        let bytes = self.flash_bytes(offset, length, board)?;
        self.reading = Some(Reading::new(bytes, block as usize));
        Ok(Answer::default())
    }

    fn flash_bytes(&self, offset: u32, length: u32, board: &mut Board) -> Result<Vec<u8>, Stop> {
        let limit = self.ready()?;
        let (offset, length) = (offset as usize, length as usize);
        if offset + length > limit {
            return Err(Refusal::Read.into());
        }
        Ok(board.nor.read(offset, length))
    }

    /// How large the flash is, as far as this loader knows; refuses when it is not attached.
    fn ready(&self) -> Result<usize, Stop> {
        if self.attached { Ok(self.size) } else { Err(Refusal::Failed.into()) }
    }
}

/// How often an answer is said: that to a sync so often that a host finds its beginning.
fn times(command: u8) -> usize {
    if command == Command::Sync as u8 { 8 } else { 1 }
}

fn change_rate(data: &[u8]) -> Result<Answer, Stop> {
    let [rate, _before] = words(data)?;
    if !(300..=5_000_000).contains(&rate) {
        return Err(Refusal::Invalid.into());
    }
    Ok(Answer::then(Then::Rate(rate)))
}
