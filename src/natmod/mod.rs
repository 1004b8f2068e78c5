//! Native modules and `.mpy` files.

pub mod header;

pub use header::{Arch, Header};
