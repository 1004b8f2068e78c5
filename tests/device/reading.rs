//! The stub's answer to a read: frames of their own, each sent when the one before is acknowledged.

use md5::{Digest, Md5};

use super::slip::frame;

#[derive(Debug)]
pub struct Reading {
    bytes: Vec<u8>,
    block: usize,
    sent: usize,
}

impl Reading {
    pub fn new(bytes: Vec<u8>, block: usize) -> Reading {
        Reading { bytes, block, sent: 0 }
    }

    /// The next frame.
    pub fn more(&mut self) -> Vec<u8> {
        let end = (self.sent + self.block).min(self.bytes.len());
        let says = frame(&self.bytes[self.sent..end]);
        self.sent = end;
        says
    }

    /// What follows an acknowledgement, and whether that was all.
    pub fn acknowledged(&mut self, packet: &[u8]) -> (Vec<u8>, bool) {
        let count = <[u8; 4]>::try_from(packet).map(u32::from_le_bytes).ok();
        if count != Some(self.sent as u32) {
            return (Vec::new(), count.is_none());
        }
        if self.sent < self.bytes.len() {
            return (self.more(), false);
        }
        (frame(&Md5::digest(&self.bytes)), true)
    }
}
