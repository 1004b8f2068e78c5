//! Archives from the network: whatever they hold, nothing appears outside the directory they are
//! unpacked into, and no more than the limits allow.

#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use micropython_builder::source::{Layout, Limits, unpack};

const LIMITS: Limits = Limits { bytes: 1 << 20, members: 64 };

fuzz_target!(|data: &[u8]| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let archive = directory.path().join("archive");
    fs::write(&archive, data).expect("writing the archive");
    for layout in [Layout::BelowTop, Layout::Flat] {
        let into = directory.path().join("into");
        fs::create_dir(&into).expect("creating the directory");
        let _ = unpack(&archive, &into, layout, LIMITS);
        fs::remove_dir_all(&into).expect("removing the directory");
        let left: Vec<_> = fs::read_dir(directory.path()).expect("listing").collect();
        assert_eq!(left.len(), 1, "something appeared outside");
    }
});
