//! The linker for native modules: object files in, a `.mpy` file out.
//!
//! A native module is code that its device's loader puts anywhere, without a dynamic linker to call: it
//! reaches itself by distances, and everything else through a table of addresses (the global offset table)
//! that the loader adjusts. So the linker lays sections out, settles distances, makes that table, and writes
//! the loader's instructions, in the form that MicroPython's `py/persistentcode.c` reads. What the code may
//! use of the firmware is in `py/nativeglue.h` and `py/dynruntime.h`.
//!
//! The bytes are those of upstream's `tools/mpy_ld.py` for all that it links right; `docs/linker.md` lists
//! where they differ, and why. Everything here is a function of its inputs.

mod abi;
mod arch_flags;
mod archive;
mod bytecode;
mod elf;
mod entry;
mod externs;
mod fault;
mod files;
mod got;
mod hints;
mod layout;
mod literals;
mod merge;
mod output;
mod python;
mod qstr;
mod release;
mod relocate;
mod symbols;
mod target;

pub use arch_flags::parse_arch_flags;
pub use archive::LibraryFile;
pub use externs::Externs;
pub use fault::{Duplicate, Fault, Outside, Site, Why};
pub use files::{LinkJob, link_files, merge_files, preprocess_files};
pub use merge::merge;
pub use qstr::{Qstrs, config_header};
pub use release::Release;

use crate::natmod::Arch;
use elf::ObjectFile;
use got::Got;
use layout::{Layout, Words};
use literals::Literals;
use symbols::Program;
use target::Target;

/// A file: its name, for messages, and its bytes.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its path.
    pub name: String,
    /// What is in it.
    pub data: Vec<u8>,
}

/// What to link.
#[derive(Debug)]
pub struct Request<'a> {
    /// The architecture.
    pub arch: Arch,
    /// The release that is to load the module.
    pub release: &'a Release,
    /// Object files; all of them are linked, in this order.
    pub objects: &'a [Input],
    /// Static libraries; of their members, those are linked that define what is used.
    pub libraries: &'a [Input],
    /// Symbols at fixed addresses.
    pub externs: &'a Externs,
    /// The module's qstrs.
    pub qstrs: &'a Qstrs,
    /// What of the processor's extensions the code needs; 0 for none.
    pub arch_flags: u64,
    /// The name that tracebacks show.
    pub name: &'a str,
}

/// A linked module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The `.mpy` file.
    pub bytes: Vec<u8>,
    /// How many bytes the code has, with the constants that are loaded with it.
    pub text: u64,
    /// How many bytes the constants have that are loaded apart from the code.
    pub rodata: u64,
    /// How many bytes of zeroed variables it wants.
    pub bss: u64,
    /// How many entries its global offset table has.
    pub got_entries: usize,
    /// The library members that were linked.
    pub members: Vec<String>,
    /// Symbols whose fixed address was taken although a file defines them: name, address and file.
    pub overridden: Vec<(String, u64, String)>,
}

/// Links a module.
///
/// # Errors
/// When a file is damaged or for another architecture or ABI, when something is not defined, or defined
/// twice, or cannot be in a module.
pub fn link(request: &Request<'_>) -> Result<Module, Fault> {
    let target = Target::of(request.arch)?;
    let mut program = Program::new(target, request.release, request.externs);
    for input in request.objects {
        let file = ObjectFile::read(&input.name, &input.data, target)?;
        abi::check(&file, target)?;
        program.add(file)?;
    }
    archive::add_members(&mut program, request.libraries)?;
    let given = request.objects.len();
    let members = program.files.iter().skip(given).map(|file| file.name.clone()).collect();
    if request.release.has_qstrs_in_code() {
        let Qstrs { values, objects } = request.qstrs;
        program.add_qstr_tables(values.len() as u64, objects.len() as u64);
    }
    program.check()?;

    let (literals, got) = if target.has_literals() {
        Literals::of_program(&program)?
    } else {
        let mut got = Got::of_code(&program)?;
        got.sort(&program);
        (Literals::default(), got)
    };
    let words = Words { got: got.entries.len(), numbers: literals.numbers.len() };
    let layout = Layout::of(&program, words)?;
    let image = relocate::apply(&program, &layout, &got, &literals)?;
    let bytes =
        output::write(&program, &layout, &image, request.qstrs, request.arch_flags, request.name);
    let overridden = program
        .overridden()
        .map(|(name, address, file)| (name.to_owned(), address, file.to_owned()))
        .collect();
    Ok(Module {
        bytes,
        text: layout.text,
        rodata: layout.rodata,
        bss: layout.bss,
        got_entries: words.got,
        members,
        overridden,
    })
}
