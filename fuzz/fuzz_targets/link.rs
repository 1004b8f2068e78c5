//! Object files and static libraries: any bytes are linked or refused, and what is linked is a module.
//!
//! The first byte chooses the architecture, the second the release, the third where the object file ends
//! and the library begins.

#![no_main]

use libfuzzer_sys::fuzz_target;
use micropython_builder::natmod::linker::{Externs, Input, Qstrs, Release, Request, link};
use micropython_builder::natmod::{Arch, Header, MpyVersion};

fn release(choice: u8) -> Release {
    let old = choice & 1 != 0;
    Release {
        number: if old { (1, 18) } else { (1, 20 + u32::from(choice >> 1) % 9) },
        mpy_version: if old { MpyVersion { major: 5, sub: 0 } } else { MpyVersion { major: 6, sub: 3 } },
        static_qstrs: vec![String::new(), "__init__".to_owned()],
        character_names: Vec::new(),
        objects: vec![("mp_type_type".to_owned(), 73)],
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&[arch, choice, split], rest)) = data.split_first_chunk::<3>() else { return };
    let arch = Arch::ALL[usize::from(arch) % Arch::ALL.len()];
    let (object, library) = rest.split_at(rest.len() * usize::from(split) / 255);
    let input = |name: &str, data: &[u8]| Input { name: name.to_owned(), data: data.to_vec() };
    let objects = [input("object.o", object)];
    let libraries = [input("library.a", library)];
    let linked = link(&Request {
        arch,
        release: &release(choice),
        objects: &objects,
        libraries: if library.is_empty() { &[] } else { &libraries },
        externs: &Externs::parse("PROVIDE ( memcpy = 0x4000df48 );").unwrap(),
        qstrs: &Qstrs { values: vec!["a".to_owned(), "bc".to_owned()], objects: Vec::new() },
        arch_flags: 0,
        name: "module.mpy",
    });
    match linked {
        Ok(module) => {
            let header = Header::parse(&module.bytes).expect("a module has a header");
            assert_eq!(header.arch(), Some(arch));
        }
        Err(fault) => assert!(!micropython_builder::Error::from(fault).message().is_empty()),
    }
});
