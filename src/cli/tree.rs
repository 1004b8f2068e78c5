//! The MicroPython source tree that a command works on.

use std::ffi::OsString;

use super::output::Output;
use crate::error::Result;
use crate::source::{Request, Sources, Tree};

/// Which MicroPython.
#[derive(Debug, clap::Args)]
pub(super) struct TreeArgument {
    /// The MicroPython to work on: the directory that holds `ports` and `py`, a release (v1.28.0),
    /// or `debian` for Debian's source package
    #[arg(long, value_name = "DIR|RELEASE|debian", env = "MICROPYTHON")]
    micropython: OsString,
}

impl TreeArgument {
    /// Gets the tree that was named, from the cache or the network if it is no directory.
    pub(super) fn get(&self, sources: &Sources, output: &Output) -> Result<Tree> {
        sources.get(&Request::parse(&self.micropython)?, &output.progress())
    }
}
