//! Native modules and `.mpy` files.

pub mod header;
pub mod linker;
pub(crate) mod reader;
pub(crate) mod scope;

pub use header::{Arch, Header};
