//! SLIP framing (RFC 1055) as the loaders use it: a frame begins and ends with 0xC0.

const END: u8 = 0xC0;
const ESCAPE: u8 = 0xDB;
const ESCAPED_END: u8 = 0xDC;
const ESCAPED_ESCAPE: u8 = 0xDD;

/// A packet as it travels.
pub fn frame(packet: &[u8]) -> Vec<u8> {
    let mut framed = vec![END];
    for byte in packet {
        match *byte {
            END => framed.extend([ESCAPE, ESCAPED_END]),
            ESCAPE => framed.extend([ESCAPE, ESCAPED_ESCAPE]),
            other => framed.push(other),
        }
    }
    framed.push(END);
    framed
}

/// Takes a stream of bytes apart.
#[derive(Debug, Default)]
pub struct Unframer {
    packet: Option<Vec<u8>>,
    escaped: bool,
}

impl Unframer {
    /// Takes one byte, and returns the packet that it ends. What is between frames is ignored, and
    /// so is a frame with an escape that does not exist.
    pub fn push(&mut self, byte: u8) -> Option<Vec<u8>> {
        let escaped = std::mem::take(&mut self.escaped);
        let Some(packet) = &mut self.packet else {
            if byte == END {
                self.packet = Some(Vec::new());
            }
            return None;
        };
        match (escaped, byte) {
            (true, ESCAPED_END) => packet.push(END),
            (true, ESCAPED_ESCAPE) => packet.push(ESCAPE),
            (true, _) => self.packet = None,
            (false, ESCAPE) => self.escaped = true,
            // Two in a row: what looked like a beginning was the end of something lost.
            (false, END) if packet.is_empty() => {}
            (false, END) => return self.packet.take(),
            (false, other) => packet.push(other),
        }
        None
    }
}
