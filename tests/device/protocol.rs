//! The words of the protocol: who speaks, commands, refusals, answers.

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The loader in the chip's ROM.
    Rom,
    /// The one that a host uploads.
    Stub,
}

/// Commands that can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Command {
    FlashBegin = 0x02,
    FlashData = 0x03,
    FlashEnd = 0x04,
    MemoryBegin = 0x05,
    MemoryEnd = 0x06,
    MemoryData = 0x07,
    Sync = 0x08,
    WriteRegister = 0x09,
    ReadRegister = 0x0A,
    SetParameters = 0x0B,
    Attach = 0x0D,
    ReadSlowly = 0x0E,
    ChangeRate = 0x0F,
    DeflateBegin = 0x10,
    DeflateData = 0x11,
    DeflateEnd = 0x12,
    Md5 = 0x13,
    SecurityInfo = 0x14,
    EraseFlash = 0xD0,
    EraseRegion = 0xD1,
    Read = 0xD2,
    RunUserCode = 0xD3,
}

use Command::*;

/// What both loaders know.
const SHARED: [Command; 17] = [
    FlashBegin,
    FlashData,
    FlashEnd,
    MemoryBegin,
    MemoryEnd,
    MemoryData,
    Sync,
    WriteRegister,
    ReadRegister,
    SetParameters,
    Attach,
    ChangeRate,
    DeflateBegin,
    DeflateData,
    DeflateEnd,
    Md5,
    SecurityInfo,
];
const ROM_ONLY: [Command; 1] = [ReadSlowly];
const STUB_ONLY: [Command; 4] = [EraseFlash, EraseRegion, Read, RunUserCode];

impl Command {
    /// The command of a number, if this loader knows it.
    pub fn of(number: u8, dialect: Dialect) -> Option<Command> {
        let own: &[Command] = if dialect == Dialect::Rom { &ROM_ONLY } else { &STUB_ONLY };
        SHARED.iter().chain(own).find(|command| **command as u8 == number).copied()
    }

    /// Whether the ROM loader still takes it in secure download mode.
    pub fn is_open(self) -> bool {
        let closed = [MemoryBegin, MemoryData, MemoryEnd, WriteRegister, ReadRegister, ReadSlowly];
        !closed.contains(&self)
    }

    /// How much data an answer carries, even to a command that failed.
    pub fn answers(self) -> usize {
        match self {
            Md5 => 32,
            ReadSlowly => 64,
            _ => 0,
        }
    }
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
    Read,
    ReadLength,
    Inflate,
    NotFlashing,
    NotEnough,
    TooMuch,
    Unknown,
    Unsupported,
}

impl Refusal {
    /// The status byte that says it.
    pub fn code(self, dialect: Dialect) -> u8 {
        use Refusal::*;
        match (self, dialect) {
            (Invalid | Unknown | Unsupported, Dialect::Rom) => 0x05,
            (Failed | NotFlashing | NotEnough | TooMuch, Dialect::Rom) => 0x06,
            (Checksum, Dialect::Rom) => 0x07,
            (Write, Dialect::Rom) => 0x08,
            (Read, Dialect::Rom) => 0x09,
            (ReadLength, Dialect::Rom) => 0x0A,
            (Inflate, Dialect::Rom) => 0x0B,
            (Invalid, Dialect::Stub) => 0xC0,
            (Checksum, Dialect::Stub) => 0xC1,
            (Unknown, Dialect::Stub) => 0xC3,
            (Failed | Write | Read | ReadLength, Dialect::Stub) => 0xC4,
            (NotFlashing, Dialect::Stub) => 0xC6,
            (Inflate, Dialect::Stub) => 0xC7,
            (NotEnough, Dialect::Stub) => 0xC8,
            (TooMuch, Dialect::Stub) => 0xC9,
            (Unsupported, Dialect::Stub) => 0xFF,
        }
    }
}

/// The power fails while the flash chip is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerLost;

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
#[derive(Debug, Default)]
pub struct Answer {
    /// The value that the answer carries; the ROM repeats an old one where there is none.
    pub value: Option<u32>,
    pub data: Vec<u8>,
    pub then: Option<Then>,
}

impl Answer {
    pub fn value(value: u32) -> Answer {
        Answer { value: Some(value), ..Answer::default() }
    }

    pub fn data(data: Vec<u8>) -> Answer {
        Answer { data, ..Answer::default() }
    }

    pub fn then(then: Then) -> Answer {
        Answer { then: Some(then), ..Answer::default() }
    }
}

/// One block of an upload.
pub struct Block<'a> {
    /// What the host says about the bytes' number.
    pub length: u32,
    pub sequence: u32,
    pub bytes: &'a [u8],
    /// Whether the host's checksum is theirs.
    pub sound: bool,
}

impl Block<'_> {
    /// Takes a data command apart.
    pub fn parse(data: &[u8], checksum: u32) -> Result<Block<'_>, Refusal> {
        let (head, bytes) = data.split_at_checked(16).ok_or(Refusal::Invalid)?;
        let [length, sequence, _, _] = words(head)?;
        let sum = bytes.iter().fold(0xEF, |sum, byte| sum ^ byte);
        Ok(Block { length, sequence, bytes, sound: u32::from(sum) == checksum })
    }

    /// Refuses one whose own fields do not agree with each other.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.length as usize != self.bytes.len() {
            return Err(Refusal::Invalid);
        }
        if self.sound { Ok(()) } else { Err(Refusal::Checksum) }
    }
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
