//! Which bytes of a part a device lacks, found by asking for the MD5 of ranges of its flash.

use std::collections::VecDeque;
use std::ops::Range;

use md5::{Digest, Md5};

use super::SECTOR;
use crate::error::Result;

/// How many ranges are asked for at most for one part. An answer takes a round trip and the time in which
/// the device reads the range; what is not asked about is written.
const QUESTIONS: usize = 256;
/// How many sectors are looked at before a part is taken apart, where it has many more. When none of them
/// agrees, the rest hardly does.
const SAMPLES: u32 = 8;

/// An MD5.
pub type Digest16 = [u8; 16];

/// The MD5 of bytes.
pub fn digest(bytes: &[u8]) -> Digest16 {
    Md5::digest(bytes).into()
}

/// Asks a device for the MD5 of a range of its flash, in bytes.
pub type Ask<'a> = dyn FnMut(Range<u32>) -> Result<Digest16> + 'a;

/// The ranges of `data`, whole sectors but for the last, in which the flash at `offset` differs from it.
/// A range that is named may hold sectors that agree; one that is not named does agree.
///
/// # Errors
/// When the device does not answer.
pub fn differences(data: &[u8], offset: u32, ask: &mut Ask<'_>) -> Result<Vec<Range<u32>>> {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let whole = 0..length;
    let mut search = Search { data, offset, ask, left: QUESTIONS };
    if whole.is_empty() || search.agrees(&whole)? {
        return Ok(Vec::new());
    }
    if search.hopeless(length)? {
        return Ok(vec![whole]);
    }
    Ok(merged(search.bisect(whole)?))
}

struct Search<'a, 'b> {
    data: &'a [u8],
    offset: u32,
    ask: &'a mut Ask<'b>,
    left: usize,
}

impl Search<'_, '_> {
    fn agrees(&mut self, range: &Range<u32>) -> Result<bool> {
        self.left = self.left.saturating_sub(1);
        let ours = self.data.get(range.start as usize..range.end as usize).unwrap_or_default();
        let theirs = (self.ask)(range.start + self.offset..range.end + self.offset)?;
        Ok(digest(ours) == theirs)
    }

    /// Whether none of some sectors, evenly spread, agrees.
    fn hopeless(&mut self, length: u32) -> Result<bool> {
        let sectors = length.div_ceil(SECTOR);
        if sectors < 4 * SAMPLES {
            return Ok(false);
        }
        for sample in 0..SAMPLES {
            let sector = sample * (sectors - 1) / (SAMPLES - 1);
            if self.agrees(&(sector * SECTOR..((sector + 1) * SECTOR).min(length)))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Halves what differs, the larger ranges first, until single sectors or no questions are left.
    fn bisect(&mut self, whole: Range<u32>) -> Result<Vec<Range<u32>>> {
        let mut open = VecDeque::from([whole]);
        let mut found = Vec::new();
        while let Some(range) = open.pop_front() {
            let sectors = (range.end - range.start).div_ceil(SECTOR);
            if sectors <= 1 || self.left == 0 {
                found.push(range);
                continue;
            }
            let middle = range.start + sectors / 2 * SECTOR;
            let (first, second) = (range.start..middle, middle..range.end);
            if self.agrees(&first)? {
                // The difference must lie in the other half: that need not be asked.
                open.push_back(second);
                continue;
            }
            open.push_back(first);
            if self.left == 0 || !self.agrees(&second)? {
                open.push_back(second);
            }
        }
        Ok(found)
    }
}

/// The same ranges in order, those that touch as one.
fn merged(mut ranges: Vec<Range<u32>>) -> Vec<Range<u32>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u32>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    const K4: usize = SECTOR as usize;

    /// Compares `data` with what a flash holds at 0x1000, and says how often it was asked.
    fn compare(data: &[u8], flash: &[u8]) -> (Vec<Range<u32>>, usize) {
        let mut asked = 0;
        let ranges = differences(data, 0x1000, &mut |range| {
            asked += 1;
            let (start, end) = (range.start as usize - 0x1000, range.end as usize - 0x1000);
            Ok(digest(&flash[start..end]))
        });
        (ranges.unwrap(), asked)
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn equal_flash_takes_one_question() {
        let data = noise(100 * K4 + 17);
        assert_eq!(compare(&data, &data), (vec![], 1));
        assert_eq!(compare(&[], &[]), (vec![], 0));
    }

    #[test]
    fn single_sectors_are_found() {
        let data = noise(400 * K4 + 17);
        for sector in [0, 1, 77, 399, 400] {
            let mut flash = data.clone();
            flash[sector * K4 + 3] ^= 1;
            let (ranges, asked) = compare(&data, &flash);
            let end = ((sector + 1) * K4).min(data.len());
            let expected = (sector * K4) as u32..end as u32;
            assert_eq!(ranges, std::slice::from_ref(&expected));
            assert!(asked < 40, "{asked}");
        }
    }

    #[test]
    fn a_flash_with_something_else_takes_few_questions() {
        let data = noise(400 * K4);
        let (ranges, asked) = compare(&data, &vec![0xff; data.len()]);
        let whole = 0..data.len() as u32;
        assert_eq!((&ranges[..], asked), (std::slice::from_ref(&whole), 1 + SAMPLES as usize));
    }

    #[test]
    fn all_that_differs_is_named_however_much_it_is() {
        for step in [1, 2, 3, 7, 50] {
            let data = noise(300 * K4 + 1);
            let mut flash = data.clone();
            for sector in (step / 2..301).step_by(step) {
                flash[sector * K4] ^= 0x80;
            }
            let (ranges, asked) = compare(&data, &flash);
            assert!(asked <= QUESTIONS + 1, "{asked}");
            for sector in (step / 2..301).step_by(step) {
                let at = (sector * K4) as u32;
                assert!(ranges.iter().any(|range| range.contains(&at)), "{at}");
            }
            assert!(ranges.iter().all(|range| range.start.is_multiple_of(SECTOR)));
        }
    }
}
