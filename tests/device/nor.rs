//! The flash chip: erasing sets a whole sector to ones, programming only clears bits.

use std::time::Duration;

use super::protocol::PowerLost;

pub const SECTOR: usize = 4096;
const PAGE: usize = 256;
pub const BLOCK: usize = 64 << 10;

/// How long a chip takes: typical figures of a Winbond W25Q32JV's data sheet (table 9.6).
const PROGRAM_PAGE: Duration = Duration::from_micros(400);
const ERASE_SECTOR: Duration = Duration::from_millis(45);
const ERASE_BLOCK: Duration = Duration::from_millis(150);
/// Reading for an MD5, per KiB: 4 MiB take about a second and a half on these chips.
const READ_KIB: Duration = Duration::from_micros(366);

#[derive(Debug)]
pub struct Nor {
    bytes: Vec<u8>,
    /// Cells that no longer take a zero.
    pub worn: Option<usize>,
    /// How many more operations have power.
    pub fuse: Option<u64>,
    pub erased: u64,
    pub written: u64,
    pub operations: u64,
    pub busy: Duration,
}

impl Nor {
    pub fn new(bytes: Vec<u8>) -> Nor {
        assert!(bytes.len().is_power_of_two() && bytes.len() >= BLOCK, "no such flash chip");
        let (worn, fuse) = (None, None);
        Nor { bytes, worn, fuse, erased: 0, written: 0, operations: 0, busy: Duration::ZERO }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Puts bytes there as if they had always been there.
    pub fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// What is read: address lines that the chip does not have are ignored.
    pub fn read(&mut self, offset: usize, length: usize) -> Vec<u8> {
        self.busy += READ_KIB * u32::try_from(length).unwrap() / 1024;
        (offset..offset + length).map(|at| self.bytes[at % self.bytes.len()]).collect()
    }

    /// Programs bytes page by page.
    pub fn program(&mut self, offset: usize, bytes: &[u8]) -> Result<(), PowerLost> {
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let (page, more) = rest.split_at(rest.len().min(PAGE - at % PAGE));
            let done = self.operation(page.len());
            for (place, byte) in (at..).zip(&page[..done.unwrap_or(page.len() / 2)]) {
                let place = place % self.bytes.len();
                self.bytes[place] &= byte | u8::from(self.worn == Some(place)) << 7;
            }
            self.busy += PROGRAM_PAGE;
            self.written += page.len() as u64;
            done.ok_or(PowerLost)?;
            at += page.len();
            rest = more;
        }
        Ok(())
    }

    /// Erases all sectors that the range touches, in blocks where it can.
    pub fn erase(&mut self, offset: usize, length: usize) -> Result<(), PowerLost> {
        let mut at = offset / SECTOR * SECTOR;
        let end = (offset + length).next_multiple_of(SECTOR);
        while at < end && length > 0 {
            let block = at.is_multiple_of(BLOCK) && end - at >= BLOCK;
            let (unit, time) = if block { (BLOCK, ERASE_BLOCK) } else { (SECTOR, ERASE_SECTOR) };
            let done = self.operation(unit);
            let place = at % self.bytes.len();
            self.bytes[place..place + done.unwrap_or(unit / 2)].fill(0xFF);
            self.busy += time;
            self.erased += unit as u64;
            done.ok_or(PowerLost)?;
            at += unit;
        }
        Ok(())
    }

    /// Counts an operation; none when there is no power to end it.
    fn operation(&mut self, length: usize) -> Option<usize> {
        self.operations += 1;
        match &mut self.fuse {
            Some(0) => None,
            Some(left) => {
                *left -= 1;
                Some(length)
            }
            None => Some(length),
        }
    }
}
