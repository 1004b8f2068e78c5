//! Reading `.mpy` files of version 6, element by element, as `mp_raw_code_load` in MicroPython's
//! `py/persistentcode.c` does.

use super::header;

/// Code and tuples nested deeper than this are taken for damage.
pub(crate) const DEEPEST: u32 = 128;

/// Why reading stopped.
#[derive(Debug)]
pub(crate) struct Stop(pub String);

/// A step of reading.
pub(crate) type Step<T> = Result<T, Stop>;

/// Reads the elements of a file, one after the other.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Reads from byte `position` of `data`.
    pub(crate) fn new(data: &'a [u8], position: usize) -> Self {
        Reader { data, position }
    }

    /// The byte that is read next.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// That something is wrong here.
    pub(crate) fn stop(&self, what: &str) -> Stop {
        Stop(format!("{what} (at byte {})", self.position))
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.data.get(self.position..).unwrap_or(&[])
    }

    /// One byte.
    pub(crate) fn byte(&mut self) -> Step<u8> {
        self.bytes(1).map(|bytes| bytes.first().copied().unwrap_or(0))
    }

    /// Some bytes.
    pub(crate) fn bytes(&mut self, count: u64) -> Step<&'a [u8]> {
        let rest = self.rest();
        match usize::try_from(count).ok().and_then(|count| rest.get(..count)) {
            Some(bytes) => {
                self.position += bytes.len();
                Ok(bytes)
            }
            None => Err(Stop(format!(
                "cut off or damaged: {count} bytes are expected at byte {}, {} are left",
                self.position,
                rest.len()
            ))),
        }
    }

    /// A variable-length number.
    pub(crate) fn number(&mut self) -> Step<u64> {
        let (value, length) = header::varuint(self.rest())
            .ok_or_else(|| self.stop("cut off or damaged: a number does not end"))?;
        self.position += length;
        Ok(value)
    }

    /// A qstr's text, or nothing for one of those that every firmware has.
    pub(crate) fn qstr(&mut self) -> Step<Option<String>> {
        let head = self.number()?;
        if head & 1 != 0 {
            return Ok(None);
        }
        let text = self.bytes(head >> 1)?;
        self.terminator()?;
        Ok(Some(String::from_utf8_lossy(text).into_owned()))
    }

    fn terminator(&mut self) -> Step<()> {
        match self.byte()? {
            0 => Ok(()),
            _ => Err(self.stop("damaged: a string does not end in a NUL byte")),
        }
    }

    /// A constant object; `depth` tuples are around it.
    pub(crate) fn object(&mut self, depth: u32) -> Step<()> {
        match self.byte()? {
            // The function table, None, False, True and ... have no data.
            0..=4 => Ok(()),
            kind @ 5..=9 => {
                let length = self.number()?;
                self.bytes(length)?;
                if matches!(kind, 5 | 6) { self.terminator() } else { Ok(()) }
            }
            10 if depth < DEEPEST => {
                for _ in 0..self.number()? {
                    self.object(depth + 1)?;
                }
                Ok(())
            }
            kind => Err(self.stop(&format!("damaged: no object has the type {kind}"))),
        }
    }

    /// The loader's instructions for native code.
    pub(crate) fn relocations(&mut self) -> Step<()> {
        loop {
            let op = self.byte()?;
            if op == 0xff {
                return Ok(());
            }
            if op & 1 != 0 {
                self.number()?;
            }
            let destination = op >> 1;
            if destination <= 5 && destination & 1 != 0 {
                self.number()?;
            }
        }
    }
}
