//! Firmware: what a board's build is (plan), building it, and the record of what came out.

mod build;
mod c_modules;
mod esp32;
mod job;
mod manifest;
mod micropython_lib;
mod patch;
pub mod plan;
mod qemu;
pub mod record;
mod saved;
mod static_const;
mod submodule;
mod unix;
mod with_make;
mod workspace;

pub use build::build;
pub use plan::{Esp32, FetchSubmodule, Request, Source, Target};
pub use record::Record;
