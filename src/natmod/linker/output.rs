//! The bytes of a native module: what `mp_raw_code_load` of MicroPython's `py/persistentcode.c` reads.

use super::layout::{Layout, Segment};
use super::qstr::Qstrs;
use super::relocate::{Adjustment, Base, Image};
use super::symbols::{Loader, Program};
use crate::natmod::header::{self, put_varuint};
use crate::natmod::scope::{BSS, RELOCATED, RODATA};

/// Small integers of the bytecode that a module may be merged with have this many bits.
const SMALL_INT_BITS: u8 = 31;

/// What mpy-cross compiles with since v1.12: strings are Unicode (`.mpy` version 5 only).
const UNICODE: u8 = 2;

/// What the loader of `.mpy` version 5 must keep of recent qstrs.
const QSTR_WINDOW: u8 = 32;

/// `MP_CODE_NATIVE_VIPER`, counted from bytecode.
const KIND_VIPER: u64 = 2;

const PERSISTENT_STR: u8 = 5;

const END_OF_ADJUSTMENTS: u8 = 0xff;

/// Writes the module `name`.
pub(super) fn write(
    program: &Program<'_>,
    layout: &Layout,
    image: &Image,
    qstrs: &Qstrs,
    arch_flags: u64,
    name: &str,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(image.text.len() + image.rodata.len() + 256);
    let release = program.release;
    let arch = program.target.arch.code() << 2;
    out.extend_from_slice(&[header::MAGIC, release.mpy_version.major]);
    if release.has_qstrs_in_code() {
        out.extend_from_slice(&[arch | UNICODE, SMALL_INT_BITS, QSTR_WINDOW]);
        put_varuint(&mut out, (image.text.len() as u64) << 2 | KIND_VIPER);
        out.extend_from_slice(&image.text);
        put_qstr_links(&mut out, program, layout, qstrs);
    } else {
        let flags = if arch_flags != 0 { header::ARCH_FLAGS_PRESENT } else { 0 };
        out.extend_from_slice(&[arch | flags | release.mpy_version.sub, SMALL_INT_BITS]);
        if arch_flags != 0 {
            put_varuint(&mut out, arch_flags);
        }
        put_varuint(&mut out, 1 + qstrs.values.len() as u64);
        put_varuint(&mut out, qstrs.objects.len() as u64);
        for text in std::iter::once(name).chain(qstrs.values.iter().map(String::as_str)) {
            put_qstr(&mut out, program, text);
        }
        for text in &qstrs.objects {
            out.push(PERSISTENT_STR);
            put_varuint(&mut out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
            out.push(0);
        }
        put_varuint(&mut out, (image.text.len() as u64) << 3 | KIND_VIPER);
        out.extend_from_slice(&image.text);
    }
    put_data(&mut out, program, layout, image);
    put_adjustments(&mut out, program, layout, &image.adjustments);
    out
}

fn put_qstr(out: &mut Vec<u8>, program: &Program<'_>, text: &str) {
    let old = program.release.has_qstrs_in_code();
    match program.release.static_qstr(text) {
        Some(number) if old => out.extend_from_slice(&[0, number as u8]),
        Some(number) => put_varuint(out, (number as u64) << 1 | 1),
        None => {
            put_varuint(out, (text.len() as u64) << 1);
            out.extend_from_slice(text.as_bytes());
            if !old {
                out.push(0);
            }
        }
    }
}

/// Where in the code the loader of `.mpy` version 5 puts the numbers of qstrs, and objects of them.
fn put_qstr_links(out: &mut Vec<u8>, program: &Program<'_>, layout: &Layout, qstrs: &Qstrs) {
    const OBJECT: u64 = 3;
    put_varuint(out, (qstrs.values.len() + qstrs.objects.len()) as u64);
    let Some(tables) = program.qstr_tables() else { return };
    for (table, texts, kind) in [(tables[0], &qstrs.values, 0), (tables[1], &qstrs.objects, OBJECT)]
    {
        let entry = program.section(table).map_or(1, |section| section.align);
        for (index, text) in texts.iter().enumerate() {
            let offset = layout.address(table) + index as u64 * entry;
            put_varuint(out, offset << 2 | kind);
            put_qstr(out, program, text);
        }
    }
}

/// Which segments there are, how large they are, and the constants.
fn put_data(out: &mut Vec<u8>, program: &Program<'_>, layout: &Layout, image: &Image) {
    let rodata = image.rodata.len() as u64;
    let present = |size, flag| if size > 0 { flag } else { 0 };
    put_varuint(out, RELOCATED | present(rodata, RODATA) | present(layout.bss, BSS));
    if program.release.has_qstrs_in_code() {
        // No objects and no further code.
        out.extend_from_slice(&[0, 0]);
        if rodata > 0 {
            put_varuint(out, rodata);
            out.extend_from_slice(&image.rodata);
        }
        if layout.bss > 0 {
            put_varuint(out, layout.bss);
        }
        return;
    }
    if rodata > 0 {
        put_varuint(out, rodata);
    }
    if layout.bss > 0 {
        put_varuint(out, layout.bss);
    }
    out.extend_from_slice(&image.rodata);
}

/// The number of what is added to a word, in the loader's instructions.
fn base_number(program: &Program<'_>, layout: &Layout, base: Base) -> u64 {
    let old = program.release.has_qstrs_in_code();
    match base {
        Base::Segment(Segment::Text) => 0,
        Base::Segment(Segment::Rodata) => 1,
        // Version 5 counts the segments that there are.
        Base::Segment(Segment::Bss) if old && layout.rodata == 0 => 1,
        Base::Segment(Segment::Bss) => 2,
        Base::Loader(Loader::Qstrs) => 6,
        Base::Loader(Loader::Objects) => 7,
        Base::Loader(Loader::Functions) => {
            if old {
                6
            } else {
                8
            }
        }
        Base::Loader(Loader::Object(index)) => u64::from(index) + if old { 7 } else { 9 },
    }
}

/// The loader's instructions, each with the place it is for: words one behind the other to which the same
/// segment is added are one instruction. What the firmware has is added to one word at a time.
fn put_adjustments(
    out: &mut Vec<u8>,
    program: &Program<'_>,
    layout: &Layout,
    adjustments: &[Adjustment],
) {
    let word = program.target.word();
    const HAS_PLACE: u64 = 1;
    let mut rest = adjustments;
    while let Some(&first) = rest.first() {
        let run = match first.base {
            Base::Loader(_) => 1,
            Base::Segment(_) => {
                (1..rest.len())
                    .take_while(|&index| {
                        let expected =
                            Adjustment { offset: first.offset + index as u64 * word, ..first };
                        rest.get(index) == Some(&expected)
                    })
                    .count()
                    + 1
            }
        };
        let number = base_number(program, layout, first.base);
        let operation = match first.base {
            Base::Segment(_) => number << 1 | u64::from(run > 1),
            Base::Loader(_) => number,
        };
        out.push((operation << 1 | HAS_PLACE) as u8);
        let in_rodata = u64::from(first.segment == Segment::Rodata);
        put_varuint(out, (first.offset / word) << 1 | in_rodata);
        if run > 1 {
            put_varuint(out, run as u64);
        }
        rest = rest.get(run..).unwrap_or(&[]);
    }
    out.push(END_OF_ADJUSTMENTS);
}
