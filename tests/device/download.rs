//! What a loader does with blocks: into memory, or into the flash.

use std::ops::Range;

use flate2::{Decompress, FlushDecompress, Status};

use super::chip::Chip;
use super::loader::{Block, Board, Dialect, Refusal, Stop, words};
use super::nor::SECTOR;

/// The largest block that the loaders' buffers take.
const LARGEST: u32 = 0x4000;

/// An upload into memory.
#[derive(Debug)]
pub struct Memory {
    size: u32,
    blocks: u32,
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
        Ok(Memory { size, blocks, block, offset, next: 0, taken: 0 })
    }

    pub fn take(&mut self, block: &Block<'_>) -> Result<(), Refusal> {
        let length = block.bytes.len() as u32;
        if block.sequence != self.next || self.next >= self.blocks || length > self.block {
            return Err(Refusal::Invalid);
        }
        self.next += 1;
        self.taken += length;
        Ok(())
    }

    /// Where it lies, once all of it is there.
    pub fn complete(&self) -> Option<Range<u32>> {
        (self.taken >= self.size).then(|| self.offset..self.offset + self.size)
    }
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
    blocks: u32,
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
        // A fifth word asks for encryption; the oldest ROM does not know it.
        let knows = dialect == Dialect::Stub || board.chip != Chip::Esp32;
        let (data, encrypted) = match data.split_at_checked(16) {
            Some((data, [])) => (data, false),
            Some((data, more)) if knows => (data, words(more)? != [0]),
            _ => return Err(Refusal::Invalid.into()),
        };
        let [size, blocks, block, offset] = words(data)?;
        let (at, end) = (offset as usize, offset as usize + size as usize);
        if encrypted || block > LARGEST || end > limit {
            return Err(Refusal::Failed.into());
        }
        let mut erased = at / SECTOR * SECTOR;
        if dialect == Dialect::Rom {
            board.nor.erase(at, size as usize)?;
            erased = end.next_multiple_of(SECTOR);
        }
        let inflate = deflated.then(|| Decompress::new(true));
        Ok(Flashing { dialect, at, end, erased, blocks, block, next: 0, inflate })
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
        let in_turn = block.sequence == self.next || self.dialect == Dialect::Stub;
        if !in_turn || block.bytes.len() > self.block as usize {
            return Err(Refusal::Invalid.into());
        }
        if self.next >= self.blocks {
            return Err(Refusal::TooMuch.into());
        }
        if deflated {
            self.inflate(block.bytes, board)?;
        } else {
            self.plain(block.bytes, board)?;
        }
        self.next += 1;
        Ok(())
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
            if self.at + out.len() > self.end {
                return Err(Refusal::TooMuch.into());
            }
            self.write(&out, board)?;
            if status == Status::StreamEnd || out.is_empty() {
                return Ok(());
            }
        }
    }

    fn write(&mut self, bytes: &[u8], board: &mut Board) -> Result<(), Stop> {
        let end = (self.at + bytes.len()).next_multiple_of(SECTOR);
        if !bytes.is_empty() && end > self.erased {
            board.nor.erase(self.erased, end - self.erased)?;
            self.erased = end;
        }
        board.nor.program(self.at, bytes)?;
        if self.dialect == Dialect::Rom && board.nor.read(self.at, bytes.len()) != bytes {
            return Err(Refusal::Write.into());
        }
        self.at += bytes.len();
        Ok(())
    }
}
