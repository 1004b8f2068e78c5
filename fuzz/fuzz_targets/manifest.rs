//! Component manifests: any bytes are read or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use micropython_builder::component::Manifest;

fuzz_target!(|data: &[u8]| {
    let _ = Manifest::parse(data, "fuzz");
});
