//! Partition tables: what is read can be written in both forms and read again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use micropython_builder::image::partition::{Options, Table};

fuzz_target!(|data: &[u8]| {
    let options = Options::default();
    let Ok(table) = Table::parse(data, &options) else { return };
    if table.verify(&options).is_err() {
        return;
    }
    let binary = table.to_binary(true).expect("writing a table that is right");
    assert_eq!(Table::parse(&binary, &options).expect("reading it again"), table);
});
