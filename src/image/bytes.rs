//! Random access to bytes that may be larger than memory should hold: a file, a slice, or a part of either.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::error::{Error, Result};

/// How much is held at a time when bytes are streamed.
const CHUNK: usize = 64 * 1024;

/// Bytes that are read by offset.
pub trait ReadAt {
    /// How many bytes there are.
    fn size(&self) -> u64;

    /// Reads at `offset` into `buffer` and returns how many bytes were had: fewer than asked only
    /// at the end.
    ///
    /// # Errors
    /// When the underlying file cannot be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl ReadAt for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest =
            usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or(&[]);
        let length = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), rest.get(..length)) {
            to.copy_from_slice(from);
        }
        Ok(length)
    }
}

/// A regular file, opened for reading by offset.
#[derive(Debug)]
pub struct FileBytes {
    file: File,
    size: u64,
}

impl FileBytes {
    /// Opens a regular file.
    ///
    /// # Errors
    /// When it cannot be opened or is something else: a directory, a pipe, a device.
    pub fn open(path: &Path) -> Result<FileBytes> {
        let fail = |error: io::Error| Error::io("read", path, &error);
        // Asked before opening, because opening a pipe waits for its other end.
        let kind = std::fs::metadata(path).map_err(fail)?;
        if !kind.is_file() {
            let what = if kind.is_dir() { "a directory" } else { "no regular file" };
            return Err(Error::input(format!("{} is {what}, expected a file", path.display()))
                .hint("give the path of one file, for example firmware.bin in a build directory"));
        }
        let file = File::open(path).map_err(fail)?;
        let size = file.metadata().map_err(fail)?.len();
        Ok(FileBytes { file, size })
    }
}

impl ReadAt for FileBytes {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

/// A part of other bytes, with offsets of its own.
pub struct Window<'a> {
    inner: &'a dyn ReadAt,
    start: u64,
    size: u64,
}

impl<'a> Window<'a> {
    /// The bytes from `start` on, at most `size` of them.
    pub fn new(inner: &'a dyn ReadAt, start: u64, size: u64) -> Window<'a> {
        let size = size.min(inner.size().saturating_sub(start));
        Window { inner, start, size }
    }
}

impl ReadAt for Window<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = rest.min(buffer.len());
        match buffer.get_mut(..length) {
            Some(buffer) if length > 0 => {
                self.inner.read_at(self.start.saturating_add(offset), buffer)
            }
            _ => Ok(0),
        }
    }
}

/// The `N` bytes at `offset`, or nothing when fewer are left.
///
/// # Errors
/// When the bytes cannot be read.
pub fn array<const N: usize>(bytes: &dyn ReadAt, offset: u64) -> io::Result<Option<[u8; N]>> {
    let mut buffer = [0; N];
    let read = bytes.read_at(offset, &mut buffer)?;
    Ok((read == N).then_some(buffer))
}

/// At most `length` bytes at `offset`. Meant for small pieces: they are held in memory.
///
/// # Errors
/// When the bytes cannot be read.
pub fn vec(bytes: &dyn ReadAt, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let left = usize::try_from(bytes.size().saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut buffer = vec![0; length.min(left)];
    let read = bytes.read_at(offset, &mut buffer)?;
    buffer.truncate(read);
    Ok(buffer)
}

/// Hands `length` bytes from `offset` on to `sink`, piece by piece, and returns how many there were.
///
/// # Errors
/// When the bytes cannot be read.
pub fn stream(
    bytes: &dyn ReadAt,
    offset: u64,
    length: u64,
    mut sink: impl FnMut(&[u8]),
) -> io::Result<u64> {
    let length = length.min(bytes.size().saturating_sub(offset));
    let mut buffer = vec![0; usize::try_from(length).unwrap_or(CHUNK).min(CHUNK)];
    let mut done = 0;
    while done < length {
        let want = usize::try_from(length - done).unwrap_or(CHUNK).min(CHUNK);
        let Some(piece) = buffer.get_mut(..want) else { break };
        let read = bytes.read_at(offset.saturating_add(done), piece)?;
        let Some(piece) = piece.get(..read).filter(|piece| !piece.is_empty()) else { break };
        sink(piece);
        done += piece.len() as u64;
    }
    Ok(done)
}

/// Where the last byte other than 0xff (erased flash) of a range ends, as an offset from the
/// range's start; 0 when all of it is erased.
///
/// # Errors
/// When the bytes cannot be read.
pub fn used_length(bytes: &dyn ReadAt, offset: u64, length: u64) -> io::Result<u64> {
    let mut seen = 0;
    let mut used = 0;
    stream(bytes, offset, length, |piece| {
        if let Some(last) = piece.iter().rposition(|&byte| byte != 0xff) {
            used = seen + last as u64 + 1;
        }
        seen += piece.len() as u64;
    })?;
    Ok(used)
}

/// The little-endian number in the two bytes at `offset` of a slice, 0 where they are missing.
pub(crate) fn u16_le(bytes: &[u8], offset: usize) -> u16 {
    let mut buffer = [0; 2];
    copy(bytes, offset, &mut buffer);
    u16::from_le_bytes(buffer)
}

/// The little-endian number in the four bytes at `offset` of a slice, 0 where they are missing.
pub(crate) fn u32_le(bytes: &[u8], offset: usize) -> u32 {
    let mut buffer = [0; 4];
    copy(bytes, offset, &mut buffer);
    u32::from_le_bytes(buffer)
}

/// The byte at `offset` of a slice, 0 where it is missing.
pub(crate) fn u8_at(bytes: &[u8], offset: usize) -> u8 {
    bytes.get(offset).copied().unwrap_or(0)
}

/// The text in a fixed field that is filled up with NUL bytes. What is not UTF-8 is replaced.
pub(crate) fn text(bytes: &[u8], offset: usize, length: usize) -> String {
    let field = bytes.get(offset..).unwrap_or(&[]);
    let field = field.get(..length).unwrap_or(field);
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..end).unwrap_or(field)).into_owned()
}

fn copy(bytes: &[u8], offset: usize, to: &mut [u8]) {
    if let Some(from) = bytes.get(offset..).and_then(|rest| rest.get(..to.len())) {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_where_its_bytes_end() {
        let data: Vec<u8> = (0..10).collect();
        let bytes = data.as_slice();
        let window = Window::new(&bytes, 6, 100);
        assert_eq!(window.size(), 4);
        assert_eq!(vec(&window, 1, 100).unwrap(), [7, 8, 9]);
        assert_eq!(array::<2>(&window, 2).unwrap(), Some([8, 9]));
        assert_eq!(array::<2>(&window, 3).unwrap(), None);
        assert!(vec(&window, u64::MAX, 1).unwrap().is_empty());
        assert_eq!(Window::new(&bytes, u64::MAX, 1).size(), 0);
    }

    #[test]
    fn used_length_finds_the_last_written_byte_across_pieces() {
        let mut data = vec![0xff; 3 * CHUNK + 5];
        assert_eq!(used_length(&data.as_slice(), 0, u64::MAX).unwrap(), 0);
        data[CHUNK + 1] = 0;
        assert_eq!(used_length(&data.as_slice(), 0, u64::MAX).unwrap(), CHUNK as u64 + 2);
        assert_eq!(used_length(&data.as_slice(), CHUNK as u64, 10).unwrap(), 2);
        assert_eq!(used_length(&data.as_slice(), CHUNK as u64 + 2, 10).unwrap(), 0);
    }
}
