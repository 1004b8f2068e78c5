//! The unix port: a program for this machine.

use super::plan::{Recipe, Request};
use super::record::Role;

/// How the unix port is built: `ports/unix/Makefile` with `VARIANT`.
pub(super) fn recipe(request: &Request<'_>) -> Recipe {
    let variant = request.target.variant.as_deref().unwrap_or("standard");
    Recipe {
        variables: vec![format!("VARIANT={variant}")],
        compiler_flags: Vec::new(),
        products: vec![(Role::Executable, "micropython"), (Role::Map, "micropython.map")],
        emulated: false,
    }
}
