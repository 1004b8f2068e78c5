//! `.mpy` files: any bytes are merged or refused, and what is merged can be read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use micropython_builder::inspect::mpy::Mpy;
use micropython_builder::natmod::linker::{Input, merge};

fuzz_target!(|data: &[u8]| {
    let Some((&split, rest)) = data.split_first() else { return };
    let (one, other) = rest.split_at(rest.len() * usize::from(split) / 255);
    let input = |data: &[u8]| Input { name: "fuzz".to_owned(), data: data.to_vec() };
    let sound = |data: &[u8]| Mpy::parse(data).is_some_and(|mpy| mpy.problems.is_empty());
    if let Ok(merged) = merge(&[input(one), input(other)])
        && merged[1] == 6
        && sound(one)
        && sound(other)
    {
        let mpy = Mpy::parse(&merged).expect("a merged file has a header");
        assert!(mpy.problems.is_empty(), "{:?}", mpy.problems);
    }
});
