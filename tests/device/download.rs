//! What a loader does with blocks: into memory, or into the flash.

use std::ops::Range;

use flate2::{Decompress, FlushDecompress, Status};

use super::board::Board;
use super::chip::Chip;
use super::nor::{BLOCK, SECTOR};
use super::protocol::{Block, Dialect, Refusal, Stop, words};

/// The largest block that the loaders' buffers take.
const LARGEST: u32 = 0x4000;

/// An upload into memory.
#[derive(Debug)]
pub struct Memory {
    size: u32,
    block: u32,
    offset: u32,
    next: u32,
    taken: u32,
}

impl Memory {
    pub fn begin([size, blocks, block, offset]: [u32; 4]) -> Result<Memory, Refusal> {
        let right = block > 0 && block <= LARGEST && blocks >= size.div_ceil(block);
        if !right {
            return Err(Refusal::Invalid);
        }
        Ok(Memory { size, block, offset, next: 0, taken: 0 })
    }

    pub fn take(&mut self, block: &Block<'_>) -> Result<(), Refusal> {
        in_turn(block, &mut self.next)?;
        if block.length > self.block {
            return Err(Refusal::Invalid);
        }
        block.check()?;
        self.taken += block.length;
        Ok(())
    }

    /// Where it lies, once all of it is there.
    pub fn complete(&self) -> Option<Range<u32>> {
        (self.taken >= self.size).then(|| self.offset..self.offset + self.size)
    }
}

/// Takes the number of a block. It counts as seen whatever else is wrong with the block, so that it can't be
/// sent again.
fn in_turn(block: &Block<'_>, next: &mut u32) -> Result<(), Refusal> {
    if block.sequence != *next {
        return Err(Refusal::Invalid);
    }
    *next += 1;
    Ok(())
}

/// A download into the flash.
#[derive(Debug)]
pub struct Flashing {
    dialect: Dialect,
    /// Where the next byte goes.
    at: usize,
    /// Where the data ends.
    end: usize,
    /// Up to where the flash is erased.
    erased: usize,
    block: u32,
    next: u32,
    inflate: Option<Decompress>,
}

impl Flashing {
    /// The ROM erases all of it now; the stub does it sector by sector when data comes.
    pub fn begin(
        dialect: Dialect,
        deflated: bool,
        data: &[u8],
        board: &mut Board,
        limit: usize,
    ) -> Result<Flashing, Stop> {
        // A fifth word asks for encryption. The oldest ROM does not know it, the others want it.
        let (head, more) = data.split_at_checked(16).ok_or(Refusal::Invalid)?;
        let right = match (dialect, more.len()) {
            (Dialect::Stub, length) => length == 0 || length == 4,
            (Dialect::Rom, length) => (length == 0) == (board.chip == Chip::Esp32),
        };
        if !right {
            return Err(Refusal::Invalid.into());
        }
        let encrypted = !more.is_empty() && words(more)? != [0];
        let [size, _blocks, block, offset] = words(head)?;
        let (at, end) = (offset as usize, offset as usize + size as usize);
        let aligned = at.is_multiple_of(SECTOR) || dialect == Dialect::Stub;
        if encrypted || block > LARGEST || end > limit || !aligned {
            return Err(Refusal::Failed.into());
        }
        let mut erased = at / SECTOR * SECTOR;
        if dialect == Dialect::Rom {
            board.nor.erase(at, size as usize)?;
            erased = end.next_multiple_of(SECTOR);
        }
        let inflate = deflated.then(|| Decompress::new(true));
        Ok(Flashing { dialect, at, end, erased, block, next: 0, inflate })
    }

    pub fn take(
        &mut self,
        deflated: bool,
        block: &Block<'_>,
        board: &mut Board,
    ) -> Result<(), Stop> {
        if deflated != self.inflate.is_some() {
            return Err(Refusal::NotFlashing.into());
        }
        // The stub does not look at the numbers: a block that comes twice is written twice.
        if self.dialect == Dialect::Rom {
            in_turn(block, &mut self.next)?;
        }
        if block.length > self.block {
            return Err(Refusal::Invalid.into());
        }
        block.check()?;
        if deflated { self.inflate(block.bytes, board) } else { self.plain(block.bytes, board) }
    }

    /// Whether the host announced more than it sent.
    pub fn is_missing(&self) -> bool {
        self.at < self.end
    }

    fn plain(&mut self, bytes: &[u8], board: &mut Board) -> Result<(), Stop> {
        // The last block is filled up, which the ROM writes too.
        let room = if self.dialect == Dialect::Stub { self.end - self.at } else { bytes.len() };
        self.write(&bytes[..bytes.len().min(room)], board)
    }

    fn inflate(&mut self, bytes: &[u8], board: &mut Board) -> Result<(), Stop> {
        let mut inflate = self.inflate.take().ok_or(Refusal::NotFlashing)?;
        let result = self.inflate_with(&mut inflate, bytes, board);
        self.inflate = Some(inflate);
        result
    }

    fn inflate_with(
        &mut self,
        inflate: &mut Decompress,
        bytes: &[u8],
        board: &mut Board,
    ) -> Result<(), Stop> {
        let begin = inflate.total_in();
        loop {
            let used = (inflate.total_in() - begin) as usize;
            let mut out = Vec::with_capacity(32 << 10);
            let status = inflate
                .decompress_vec(&bytes[used..], &mut out, FlushDecompress::None)
                .map_err(|_| Refusal::Inflate)?;
            if self.at + out.len() > self.end && self.dialect == Dialect::Stub {
                return Err(Refusal::TooMuch.into());
            }
            self.write(&out, board)?;
            if status == Status::StreamEnd || out.is_empty() {
                return Ok(());
            }
        }
    }

    fn write(&mut self, bytes: &[u8], board: &mut Board) -> Result<(), Stop> {
        let end = self.at + bytes.len();
        while !bytes.is_empty() && self.erased < end {
            // As much at once as still belongs to it.
            let left = self.end.next_multiple_of(SECTOR).saturating_sub(self.erased);
            let block = self.erased.is_multiple_of(BLOCK) && left >= BLOCK;
            let unit = if block { BLOCK } else { SECTOR };
            board.nor.erase(self.erased, unit)?;
            self.erased += unit;
        }
        board.nor.program(self.at, bytes)?;
        // Only the oldest ROM looks at what it has written.
        let looks = self.dialect == Dialect::Rom && board.chip == Chip::Esp32;
        if looks && board.nor.read(self.at, bytes.len()) != bytes {
            return Err(Refusal::Write.into());
        }
        self.at = end;
        Ok(())
    }
}
