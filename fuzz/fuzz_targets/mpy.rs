//! `.mpy` files from anywhere: whatever they hold, they are described or refused, and what the header says
//! of itself is the same each way.

#![no_main]

use libfuzzer_sys::fuzz_target;
use micropython_builder::inspect::mpy::Mpy;
use micropython_builder::natmod::Header;

fuzz_target!(|data: &[u8]| {
    let described = Mpy::parse(data);
    let Ok(header) = Header::parse(data) else { return };
    let described = described.expect("a header that is read is described");
    assert_eq!(described.version, header.mpy_version().to_string());
    if let Some(contents) = &described.contents {
        assert!(contents.native_size + contents.bytecode_size + contents.rodata_size <= data.len() as u64);
    }
    // A device that says the same of itself as the file loads it.
    if let Some(sys_mpy) = header.sys_mpy().filter(|_| header.arch().is_some() && header.version >= 4) {
        let flags = header.arch_flags.unwrap_or(0);
        if flags < 1 << 48 && !header.has_reserved_bit() {
            assert_eq!(header.loads_on(sys_mpy), Ok(()));
        }
    }
});
