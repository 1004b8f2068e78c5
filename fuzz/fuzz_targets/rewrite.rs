//! The static-const rewrite: any bytes are rewritten or left, and what is rewritten is the source with
//! attributes in it, which a second time changes nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use micropython_builder::rewrite::{Purpose, rewrite};

fuzz_target!(|data: &[u8]| {
    for purpose in [Purpose::NativeModule, Purpose::Firmware] {
        let rewritten = rewrite(data, purpose, "a.c");
        let Some(text) = &rewritten.text else {
            assert!(rewritten.objects.is_empty());
            continue;
        };
        let mut rest = data;
        let mut new = text.as_slice();
        for object in &rewritten.objects {
            let attribute = format!(" __attribute__((__section__(\"{}\")))", object.section);
            let same = rest.iter().zip(new).take_while(|(old, new)| old == new).count();
            // What follows the attribute may begin as it does.
            let at = (0..=same)
                .rev()
                .find(|at| new[*at..].starts_with(attribute.as_bytes()))
                .expect("an attribute was inserted where the texts differ");
            rest = &rest[at..];
            new = &new[at + attribute.len()..];
        }
        assert_eq!(rest, new);
        assert_eq!(rewrite(text, purpose, "a.c").text, None);
    }
});
