//! MicroPython firmware and native modules from pinned sources: built, run, inspected and flashed.
//!
//! Data flows one way through the modules of this crate:
//!
//! ```text
//! pins -> source -> board -> firmware -> emulator | flash | image
//! ```
//!
//! A module depends only on those to its left. [`cli`] alone prints; everything else returns values,
//! or an [`Error`] that carries its exit code and the hint that mends it.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)
)]

pub mod board;
pub mod cache;
pub mod cli;
pub mod component;
pub mod doctor;
pub mod emulator;
pub mod error;
pub mod firmware;
pub mod flash;
pub mod image;
pub mod inspect;
pub mod interrupt;
pub mod natmod;
pub mod pins;
pub mod process;
mod publish;
pub mod repl;
pub mod report;
pub mod rewrite;
pub mod source;
mod upstream;

pub use error::{Error, Result};
