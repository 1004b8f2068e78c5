//! Ctrl-C and termination: noticed once, asked for everywhere that waits.
//!
//! A signal only sets a flag. Whoever waits (for a child, a download, a device) asks
//! [`check`] a few times a second and unwinds, so that destructors remove what is half done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result};

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

fn flag() -> &'static Arc<AtomicBool> {
    FLAG.get_or_init(|| Arc::new(AtomicBool::new(false)))
}

/// Makes SIGINT, SIGTERM, SIGHUP and SIGQUIT set the flag; a second one ends the process at once.
///
/// # Errors
/// When the operating system refuses a signal handler.
pub fn install() -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
        // The order matters: the shutdown handler must see the flag as it was before this signal.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(flag()))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(flag())))
            .map_err(|error| Error::internal(format!("cannot watch for signals: {error}")))?;
    }
    Ok(())
}

/// Whether the user asked to stop.
pub fn requested() -> bool {
    flag().load(Ordering::Relaxed)
}

/// An [`Error::interrupted`] when the user asked to stop.
///
/// # Errors
/// When the user asked to stop.
pub fn check() -> Result<()> {
    if requested() { Err(Error::interrupted()) } else { Ok(()) }
}
