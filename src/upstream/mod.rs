//! Running upstream's build files: what building firmware and building native modules share.

pub(crate) mod copy;
pub(crate) mod jobs;
pub(crate) mod make;
pub(crate) mod mpy_cross;
pub(crate) mod submodule;
