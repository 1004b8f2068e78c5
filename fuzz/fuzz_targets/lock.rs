//! Lock files: what is read is written and read again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use micropython_builder::component::Lock;

fuzz_target!(|data: &[u8]| {
    let Ok(lock) = Lock::parse(data, "fuzz") else { return };
    let Ok(text) = lock.to_text() else { return };
    let again = Lock::parse(text.as_bytes(), "fuzz").expect("reading what was written");
    assert_eq!(lock, again);
});
