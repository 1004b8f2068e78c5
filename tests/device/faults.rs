//! What goes wrong on a line and on a chip, on purpose.

use std::time::Duration;

/// Which way bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToDevice,
    ToHost,
}

/// What is done to one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    Drop,
    Double,
    /// Bits of it are turned over.
    Flip(u8),
}

/// Positions count the bytes that travel that way, from 0, since the device started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It never says a word.
    Silent,
    /// It says nothing more once so many bytes have come.
    SilentAfter(u64),
    Byte {
        way: Way,
        at: u64,
        harm: Harm,
    },
    /// Every so many bytes, one is turned over: a bad cable.
    Noisy {
        way: Way,
        every: u64,
    },
    /// What it says when a host opens the port.
    Babble(Vec<u8>),
    /// The plug is pulled when so many bytes have come.
    Unplug {
        after: u64,
    },
    /// The power fails within an operation of the flash chip, and the plug is gone with it. The first
    /// operation is 0; that one is half done.
    PowerCut {
        operation: u64,
    },
    /// When the application starts, the port is gone for so long, and comes back as another with the same name:
    /// a chip whose USB is its own.
    Enumerates {
        away: Duration,
    },
    /// Every answer takes so much longer.
    Slow(Duration),
    /// It does not read for so long once so many bytes have come: the host's buffer fills up.
    Stall {
        after: u64,
        time: Duration,
    },
    /// The flash chip says that it has so many bytes.
    SaysFlashSize(usize),
    /// A cell of the flash chip at this offset whose highest bit can't be cleared.
    WornCell(usize),
}

/// Both ways of a line with what is wrong with them.
#[derive(Debug, Default)]
pub struct Wire {
    pub received: u64,
    pub sent: u64,
}

impl Wire {
    /// What becomes of bytes on their way.
    pub fn carry(&mut self, way: Way, bytes: &[u8], faults: &[Fault]) -> Vec<u8> {
        let mut arrived = Vec::with_capacity(bytes.len());
        for byte in bytes {
            let count = match way {
                Way::ToDevice => &mut self.received,
                Way::ToHost => &mut self.sent,
            };
            let here = *count;
            *count += 1;
            let harm = faults.iter().find_map(|fault| match fault {
                Fault::Byte { way: of, at, harm } if *of == way && *at == here => Some(*harm),
                Fault::Noisy { way: of, every } if *of == way && here % every == every - 1 => {
                    Some(Harm::Flip(0x10))
                }
                _ => None,
            });
            match harm {
                None => arrived.push(*byte),
                Some(Harm::Drop) => {}
                Some(Harm::Double) => arrived.extend([*byte, *byte]),
                Some(Harm::Flip(bits)) => arrived.push(byte ^ bits),
            }
        }
        arrived
    }
}
