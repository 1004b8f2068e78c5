//! Putting firmware onto devices: which port, what has to be written, and whether what is there
//! afterwards is what was meant.
//!
//! [`Firmware`] is what is to be written, part by part. A [`Device`] answers for its flash; the one
//! over a serial port is [`session::Session`], which is espflash. [`several::Job::run`] compares,
//! writes what differs and compares again. Nothing is reported as done that was not verified.

pub mod checks;
pub mod deploy;
pub mod device;
pub mod firmware;
mod guard;
pub mod instructions;
pub mod monitor;
mod panic;
mod permission;
pub mod plan;
pub mod ports;
pub mod reset;
pub mod running;
pub mod session;
pub mod several;
mod smoke;
pub mod uf2_drive;
pub mod write;

pub use device::{Device, Found};
pub use firmware::Firmware;

/// The smallest piece of flash that can be erased, in bytes.
pub const SECTOR: u32 = 0x1000;
