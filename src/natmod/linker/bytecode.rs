//! MicroPython's bytecode, as far as moving a function to other tables of qstrs and objects takes: the
//! formats of `py/bc.h` and `py/bc0.h`, `.mpy` version 6.

use std::collections::HashMap;

use crate::natmod::header::{put_varuint, varuint};

const UNWIND_JUMP: u8 = 0x40;
const POP_JUMP_IF_FALSE: u8 = 0x44;
const LOAD_CONST_OBJECT: u8 = 0x23;

/// After this many rounds jumps only grow, so that their sizes settle.
const FREE_ROUNDS: usize = 32;

/// A function's code with `qstrs` added to the numbers of its qstrs and `objects` to those of its objects,
/// and without its line numbers, which upstream's tool leaves out of merged files. Nothing when it is
/// damaged, or becomes too large for its jumps.
pub(super) fn moved(code: &[u8], qstrs: u64, objects: u64) -> Option<Vec<u8>> {
    let prelude = Prelude::of(code)?;
    let mut names = Vec::new();
    for name in &prelude.names {
        put_varuint(&mut names, name.checked_add(qstrs)?);
    }
    let mut out = prelude.signature.to_vec();
    put_sizes(&mut out, names.len(), prelude.cells.len());
    out.extend_from_slice(&names);
    out.extend_from_slice(prelude.cells);
    out.extend_from_slice(&moved_opcodes(prelude.opcodes, qstrs, objects)?);
    Some(out)
}

/// The parts of a function's code.
struct Prelude<'a> {
    signature: &'a [u8],
    /// The numbers of the qstrs of its name and arguments.
    names: Vec<u64>,
    cells: &'a [u8],
    opcodes: &'a [u8],
}

impl<'a> Prelude<'a> {
    fn of(code: &'a [u8]) -> Option<Prelude<'a>> {
        let end = 1 + code.iter().position(|byte| byte & 0x80 == 0)?;
        let (signature, rest) = code.split_at_checked(end)?;
        let arguments = arguments(signature)?;
        let (info, cells, rest) = sizes(rest)?;
        let (info, rest) = rest.split_at_checked(info)?;
        let (cells, opcodes) = rest.split_at_checked(cells)?;
        let mut names = Vec::new();
        let mut unread = info;
        for _ in 0..=arguments {
            let (name, length) = varuint(unread)?;
            names.push(name);
            unread = unread.get(length..)?;
        }
        Some(Prelude { signature, names, cells, opcodes })
    }
}

/// How many arguments a signature has: `xSSSSEAA`, then `xFSSKAED` for each further byte, whose bits go
/// above those before.
fn arguments(signature: &[u8]) -> Option<u64> {
    let (first, further) = signature.split_first()?;
    let (mut positional, mut keyword) = (u64::from(first & 3), 0u64);
    for (index, byte) in further.iter().enumerate() {
        let byte = u64::from(*byte);
        positional |= (byte & 4).checked_shl(u32::try_from(index).ok()?)?;
        keyword |= (byte >> 3 & 1).checked_shl(u32::try_from(index).ok()?)?;
    }
    (further.len() < 32).then_some(positional + keyword)
}

/// The sizes of names and line numbers, and of cells, and what follows: `xIIIIIIC` bytes.
fn sizes(code: &[u8]) -> Option<(usize, usize, &[u8])> {
    let (mut info, mut cells) = (0usize, 0usize);
    for (index, &byte) in code.iter().enumerate().take(8) {
        let byte = usize::from(byte);
        info |= (byte >> 1 & 0x3f) << (6 * index);
        cells |= (byte & 1) << index;
        if byte & 0x80 == 0 {
            return Some((info, cells, code.get(index + 1..)?));
        }
    }
    None
}

fn put_sizes(out: &mut Vec<u8>, mut info: usize, mut cells: usize) {
    loop {
        let byte = (info & 0x3f) << 1 | cells & 1;
        info >>= 6;
        cells >>= 1;
        let more = info | cells != 0;
        out.push(byte as u8 | if more { 0x80 } else { 0 });
        if !more {
            return;
        }
    }
}

/// An instruction.
struct Opcode {
    code: u8,
    argument: Argument,
    /// The byte that some instructions have behind their argument.
    extra: Option<u8>,
    /// How many bytes its argument takes.
    size: usize,
    /// Where it is.
    offset: usize,
}

enum Argument {
    /// What is copied.
    Bytes(Vec<u8>),
    /// The number of the instruction that a jump goes to; nothing when it is the end.
    Jump(usize),
}

impl Opcode {
    fn reads(code: u8) -> Format {
        // Two bits for each sixteen codes, the lowest first.
        match 0x0000_03a4_u32 >> (2 * (code >> 4)) & 3 {
            0 => Format::Nothing,
            1 => Format::Qstr,
            2 => Format::Number,
            _ => Format::Jump,
        }
    }

    /// Whether a jump's distance has a sign.
    fn is_signed(&self) -> bool {
        // Between them are the codes of two jumps, and one that is not used.
        (UNWIND_JUMP..=POP_JUMP_IF_FALSE).contains(&self.code)
    }

    fn end(&self) -> usize {
        self.offset + 1 + self.size + usize::from(self.extra.is_some())
    }

    /// The distance of a jump to `target`, whose argument takes `size` bytes, in the form it has in the
    /// code; nothing when it does not fit.
    fn distance(&self, target: usize, size: usize) -> Option<i64> {
        let from = self.offset + 1 + size;
        let bits = if size == 1 { 7 } else { 15 };
        let middle = if self.is_signed() { 1 << (bits - 1) } else { 0 };
        let value = target as i64 - from as i64 + middle;
        (0..1 << bits).contains(&value).then_some(value)
    }
}

enum Format {
    Nothing,
    Qstr,
    Number,
    Jump,
}

fn moved_opcodes(code: &[u8], qstrs: u64, objects: u64) -> Option<Vec<u8>> {
    let mut opcodes = decode(code, qstrs, objects)?;
    let mut round = 0;
    loop {
        let mut changed = false;
        let mut offset = 0;
        for index in 0..opcodes.len() {
            let target = match opcodes.get(index)?.argument {
                Argument::Jump(target) => {
                    opcodes.get(target).map_or(offset_of_end(&opcodes), |to| to.offset)
                }
                Argument::Bytes(_) => 0,
            };
            let opcode = opcodes.get_mut(index)?;
            changed |= opcode.offset != offset;
            opcode.offset = offset;
            if matches!(opcode.argument, Argument::Jump(_)) {
                let needed = if opcode.distance(target, 1).is_some() { 1 } else { 2 };
                let size = if round < FREE_ROUNDS { needed } else { needed.max(opcode.size) };
                changed |= size != opcode.size;
                opcode.size = size;
            }
            offset = opcode.end();
        }
        if !changed {
            return encode(&opcodes);
        }
        round += 1;
    }
}

fn offset_of_end(opcodes: &[Opcode]) -> usize {
    opcodes.last().map_or(0, Opcode::end)
}

fn decode(code: &[u8], qstrs: u64, objects: u64) -> Option<Vec<Opcode>> {
    let mut opcodes = Vec::new();
    let mut numbers: HashMap<usize, usize> = HashMap::new();
    let mut offset = 0;
    while let Some(&byte) = code.get(offset) {
        let rest = code.get(offset + 1..)?;
        let (argument, size) = match Opcode::reads(byte) {
            Format::Nothing => (Argument::Bytes(Vec::new()), 0),
            Format::Qstr => moved_number(rest, qstrs)?,
            Format::Number if byte == LOAD_CONST_OBJECT => moved_number(rest, objects)?,
            Format::Number => {
                let size = 1 + rest.iter().position(|byte| byte & 0x80 == 0)?;
                (Argument::Bytes(rest.get(..size)?.to_vec()), size)
            }
            Format::Jump => {
                let first = u64::from(*rest.first()?);
                let (value, size) = match first & 0x80 {
                    0 => (first, 1),
                    _ => (first & 0x7f | u64::from(*rest.get(1)?) << 7, 2),
                };
                (Argument::Jump(usize::try_from(value).ok()?), size)
            }
        };
        let has_extra = byte & 0x9e == 0;
        let extra = if has_extra { Some(*rest.get(size)?) } else { None };
        numbers.insert(offset, opcodes.len());
        let mut opcode = Opcode { code: byte, argument, extra, size, offset };
        if let Argument::Jump(value) = opcode.argument {
            let middle = match (opcode.is_signed(), size) {
                (false, _) => 0,
                (true, 1) => 0x40,
                (true, _) => 0x4000,
            };
            // From behind the distance, before the extra byte.
            let target = (offset + 1 + size + value).checked_sub(middle)?;
            opcode.argument = Argument::Jump(target);
        }
        // What an argument takes from now on, not what it took.
        let read = opcode.end();
        if let Argument::Bytes(bytes) = &opcode.argument {
            opcode.size = bytes.len();
        }
        offset = read;
        opcodes.push(opcode);
    }
    numbers.insert(code.len(), opcodes.len());
    for opcode in &mut opcodes {
        if let Argument::Jump(target) = &mut opcode.argument {
            *target = *numbers.get(target)?;
        }
    }
    Some(opcodes)
}

fn moved_number(rest: &[u8], by: u64) -> Option<(Argument, usize)> {
    let (value, size) = varuint(rest)?;
    let mut bytes = Vec::new();
    put_varuint(&mut bytes, value.checked_add(by)?);
    Some((Argument::Bytes(bytes), size))
}

fn encode(opcodes: &[Opcode]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for opcode in opcodes {
        out.push(opcode.code);
        match &opcode.argument {
            Argument::Bytes(bytes) => out.extend_from_slice(bytes),
            Argument::Jump(target) => {
                let target = opcodes.get(*target).map_or(offset_of_end(opcodes), |to| to.offset);
                let value = opcode.distance(target, opcode.size)?;
                match opcode.size {
                    1 => out.push(value as u8),
                    _ => out.extend_from_slice(&[0x80 | value as u8 & 0x7f, (value >> 7) as u8]),
                }
            }
        }
        out.extend(opcode.extra);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function without arguments: signature, sizes, its name, and opcodes.
    fn function(opcodes: &[u8]) -> Vec<u8> {
        [&[0, 4, 1, 0x55], opcodes].concat()
    }

    fn moved_opcodes_of(opcodes: &[u8], qstrs: u64, objects: u64) -> Vec<u8> {
        let name = if qstrs < 127 { 1 } else { 2 };
        moved(&function(opcodes), qstrs, objects).unwrap()[2 + name..].to_vec()
    }

    #[test]
    fn qstrs_and_objects_count_from_further_on() {
        // LOAD_NAME 3; LOAD_CONST_OBJ 2; LOAD_CONST_SMALL_INT -65; MAKE_CLOSURE 1 2; RETURN_VALUE
        let opcodes = [0x11, 3, 0x23, 2, 0x22, 0xff, 0x3f, 0x20, 1, 2, 0x63];
        let expected = [0x11, 13, 0x23, 0x81, 0x02, 0x22, 0xff, 0x3f, 0x20, 1, 2, 0x63];
        assert_eq!(moved_opcodes_of(&opcodes, 10, 128), expected);
        // The name of the function, without its line numbers.
        assert_eq!(moved(&function(&[0x63]), 200, 0).unwrap(), [0, 4, 0x81, 0x49, 0x63]);
    }

    #[test]
    fn jumps_reach_what_they_reached() {
        // JUMP over LOAD_NAME, which becomes longer, to RETURN_VALUE.
        assert_eq!(
            moved_opcodes_of(&[0x42, 0x42, 0x11, 3, 0x63], 200, 0),
            [0x42, 0x43, 0x11, 0x81, 0x4b, 0x63]
        );
        // UNWIND_JUMP has a byte behind its distance, which counts from before it.
        assert_eq!(
            moved_opcodes_of(&[0x40, 0x43, 1, 0x11, 3, 0x63], 200, 0),
            [0x40, 0x44, 1, 0x11, 0x81, 0x4b, 0x63]
        );
        // A jump that no longer fits a byte takes two, and back again.
        let mut far = vec![0x45, 0x78];
        far.extend([0x11, 3].repeat(60));
        far.push(0x63);
        let moved = moved_opcodes_of(&far, 200, 0);
        assert_eq!(moved[..3], [0x45, 0x80 | (180 & 0x7f), 1]);
        assert_eq!(moved.len(), 3 + 180 + 1);
    }

    #[test]
    fn damaged_code_is_told() {
        for code in
            [&[][..], &[0x80], &[0, 0x80], &[0, 8, 1], &[0, 2, 1, 0x11], &[0, 2, 1, 0x42, 0x7f]]
        {
            assert_eq!(moved(code, 1, 1), None, "{code:?}");
        }
    }
}
