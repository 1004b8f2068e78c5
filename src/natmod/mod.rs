//! Native modules: C compiled to `.mpy` files, one per architecture and `.mpy` version.
//!
//! A matrix of architectures and releases of MicroPython is built cell by cell with upstream's own
//! makefile, `py/dynruntime.mk`, and linked by [`linker`] or by upstream's. A finished cell is kept under
//! a hash of all that decided it, and not built again.

mod archive;
mod build;
mod cell;
mod diagnosis;
pub mod header;
pub mod linker;
mod linking;
mod module;
mod options;
pub(crate) mod reader;
pub mod record;
mod run;
pub(crate) mod scope;
mod store;
mod toolchain;
mod tree;
mod version;

pub use build::{Outcome, Request, build};
pub use header::{Arch, Header};
pub use linking::Linker;
pub use module::check as check_module;
pub use options::Options;
pub use record::Record;

pub use toolchain::{Choice, architectures};
pub use tree::Source;
pub use version::MpyVersion;
