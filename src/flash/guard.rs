//! espflash indexes damaged answers out of range. That is an error of the line, not of this program.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether a panic on this thread is awaited, and need not be told.
    static AWAITED: Cell<bool> = const { Cell::new(false) };
}

/// Calls into espflash; a panic there becomes an error.
pub(super) fn guarded<T>(
    call: impl FnOnce() -> Result<T, espflash::Error>,
) -> Result<T, espflash::Error> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !AWAITED.get() {
                tell(info);
            }
        }));
    });
    let before = AWAITED.replace(true);
    // What a panic leaves of the connection is read no more: the session ends with this error.
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    AWAITED.set(before);
    result.unwrap_or_else(|_| {
        Err(espflash::Error::InvalidResponse("the answer of the device is damaged".to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::guarded;

    #[test]
    fn a_panic_becomes_an_error() {
        let short: Vec<u8> = Vec::new();
        let error = guarded(|| Ok(short[3])).unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
        assert_eq!(guarded(|| Ok(7)).unwrap(), 7);
    }
}
