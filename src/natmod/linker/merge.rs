//! Merging `.mpy` files: one file that runs each of them in turn, as upstream's `tools/mpy-tool.py --merge`
//! makes it.
//!
//! The tables of qstrs and objects become one, so the bytecode of every file but the first must count from
//! further on in them. Native code cannot be changed so: at most one file has any, and it comes first.

use super::Input;
use super::bytecode;
use crate::error::{Error, Result};
use crate::natmod::header::{self, ARCH_FLAGS_PRESENT, Header, HeaderError, put_varuint};
use crate::natmod::reader::{DEEPEST, Reader, Stop};

const MAKE_FUNCTION: u8 = 0x32;
const CALL_FUNCTION: u8 = 0x34;
const LOAD_CONST_NONE: u8 = 0x51;
const POP_TOP: u8 = 0x59;
const RETURN_VALUE: u8 = 0x63;

/// Merges `.mpy` files, all of version 6 or all of version 5. One file alone stays as it is.
///
/// # Errors
/// When a file is damaged, they are of different versions, or more than one has native code.
pub fn merge(files: &[Input]) -> Result<Vec<u8>> {
    let headers = files.iter().map(header_of).collect::<Result<Vec<Header>>>()?;
    let [first, ..] = headers.as_slice() else {
        return Err(Error::usage("no files to merge"));
    };
    if let [only] = files {
        return Ok(only.data.clone());
    }
    for (file, header) in files.iter().zip(&headers) {
        if header.version != first.version {
            return Err(Error::input(format!(
                "{} has .mpy version {}, {} has {}",
                file.name,
                header.version,
                files.first().map_or("the first", |file| file.name.as_str()),
                first.version
            ))
            .hint("compile all of them with the mpy-cross of one MicroPython"));
        }
    }
    match first.version {
        6 => merge_tables(files, &headers),
        5 => merge_version_5(files, &headers),
        other => Err(Error::input(format!(
            "{} has .mpy version {other}; 5 and 6 can be merged",
            files.first().map_or("the first", |file| file.name.as_str())
        ))),
    }
}

fn header_of(file: &Input) -> Result<Header> {
    Header::parse(&file.data).map_err(|error| {
        let name = &file.name;
        Error::input(match error {
            HeaderError::NotMpy => format!("{name} is no .mpy file"),
            HeaderError::CutOff => format!("{name} is cut off within its header"),
            HeaderError::UnknownVersion(version) => {
                format!("{name} has .mpy version {version}, which is unknown")
            }
        })
    })
}

/// The function that calls each of `count` children in turn.
fn caller(prelude: &[u8], count: usize) -> Vec<u8> {
    let mut code = prelude.to_vec();
    for index in 0..count {
        code.push(MAKE_FUNCTION);
        put_varuint(&mut code, index as u64);
        code.extend_from_slice(&[CALL_FUNCTION, 0, POP_TOP]);
    }
    code.extend_from_slice(&[LOAD_CONST_NONE, RETURN_VALUE]);
    code
}

/// Where the parts of a version 6 file are.
struct Parts<'a> {
    name: &'a str,
    qstrs: u64,
    objects: u64,
    qstr_table: &'a [u8],
    object_table: &'a [u8],
    code: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(file: &'a Input, header: &Header) -> Result<Parts<'a>> {
        let name = file.name.as_str();
        let data = file.data.as_slice();
        let read = || -> std::result::Result<Parts<'a>, Stop> {
            let mut reader = Reader::new(data, header.length);
            let (qstrs, objects) = (reader.number()?, reader.number()?);
            let start = reader.position();
            for _ in 0..qstrs {
                reader.qstr()?;
            }
            let middle = reader.position();
            for _ in 0..objects {
                reader.object(0)?;
            }
            let end = reader.position();
            let part = |range: std::ops::Range<usize>| data.get(range).unwrap_or(&[]);
            Ok(Parts {
                name,
                qstrs,
                objects,
                qstr_table: part(start..middle),
                object_table: part(middle..end),
                code: part(end..data.len()),
            })
        };
        read().map_err(|Stop(problem)| Error::input(format!("{name}: {problem}")))
    }
}

fn merge_tables(files: &[Input], headers: &[Header]) -> Result<Vec<u8>> {
    let mut parts = Vec::with_capacity(files.len());
    let mut native: Option<(usize, &Header)> = None;
    for (index, (file, header)) in files.iter().zip(headers).enumerate() {
        if header.is_native() {
            if let Some((other, _)) = native {
                return Err(two_natives(files, other, index));
            }
            native = Some((index, header));
        }
        parts.push(Parts::of(file, header)?);
    }
    if let Some((index, _)) = native {
        let part = parts.remove(index);
        parts.insert(0, part);
    }
    let flags = native.and_then(|(_, header)| header.arch_flags).filter(|flags| *flags != 0);
    let feature = native.map_or(0, |(_, header)| header.feature & !ARCH_FLAGS_PRESENT);
    let feature = feature | if flags.is_some() { ARCH_FLAGS_PRESENT } else { 0 };
    let bits = headers.iter().map(|header| header.small_int_bits).max().unwrap_or(0);

    let mut out = vec![header::MAGIC, 6, feature, bits];
    if let Some(flags) = flags {
        put_varuint(&mut out, flags);
    }
    put_varuint(&mut out, parts.iter().map(|part| part.qstrs).sum());
    put_varuint(&mut out, parts.iter().map(|part| part.objects).sum());
    for part in &parts {
        out.extend_from_slice(part.qstr_table);
    }
    for part in &parts {
        out.extend_from_slice(part.object_table);
    }
    // No arguments, one byte of names (the first qstr), no cells.
    let code = caller(&[0, 2, 0], parts.len());
    const HAS_CHILDREN: u64 = 4;
    put_varuint(&mut out, (code.len() as u64) << 3 | HAS_CHILDREN);
    out.extend_from_slice(&code);
    put_varuint(&mut out, parts.len() as u64);
    let (mut qstrs, mut objects) = (0, 0);
    for (index, part) in parts.iter().enumerate() {
        if index == 0 {
            out.extend_from_slice(part.code);
        } else {
            put_moved(&mut out, &mut Reader::new(part.code, 0), qstrs, objects, 0)
                .map_err(|Stop(problem)| Error::input(format!("{}: {problem}", part.name)))?;
        }
        qstrs += part.qstrs;
        objects += part.objects;
    }
    Ok(out)
}

fn two_natives(files: &[Input], one: usize, other: usize) -> Error {
    let name = |index: usize| files.get(index).map_or("", |file| file.name.as_str());
    Error::input(format!(
        "{} and {} both have native code, and only one file of a module can",
        name(one),
        name(other)
    ))
    .hint("remove @micropython.native, viper and asm functions from the Python files of the module")
}

/// Copies a function with its children, with the numbers of its qstrs and objects counted from further on.
fn put_moved(
    out: &mut Vec<u8>,
    reader: &mut Reader<'_>,
    qstrs: u64,
    objects: u64,
    depth: u32,
) -> std::result::Result<(), Stop> {
    if depth > DEEPEST {
        return Err(reader.stop("its code is nested too deep"));
    }
    let head = reader.number()?;
    let (kind, has_children, size) = (head & 3, head & 4, head >> 3);
    if kind != 0 {
        return Err(reader.stop("it holds native code, and its header names no architecture"));
    }
    let code = bytecode::moved(reader.bytes(size)?, qstrs, objects)
        .ok_or_else(|| reader.stop("damaged bytecode"))?;
    put_varuint(out, (code.len() as u64) << 3 | has_children);
    out.extend_from_slice(&code);
    if has_children != 0 {
        let count = reader.number()?;
        put_varuint(out, count);
        for _ in 0..count {
            put_moved(out, reader, qstrs, objects, depth + 1)?;
        }
    }
    Ok(())
}

/// In version 5 every function brings its own qstrs and objects, so files are copied as they are.
fn merge_version_5(files: &[Input], headers: &[Header]) -> Result<Vec<u8>> {
    const OPTIONS: u8 = 3;
    let mut feature = 0;
    for (file, header) in files.iter().zip(headers) {
        let others = feature >> 2;
        let differs = others != 0 && header.arch_code() != 0 && others != header.arch_code();
        let options =
            headers.first().is_some_and(|first| (first.feature ^ header.feature) & OPTIONS != 0);
        if differs || options {
            return Err(Error::input(format!(
                "{} is for another architecture, or compiled with other options, than those before it",
                file.name
            )));
        }
        feature |= header.feature;
    }
    let bits = headers.iter().map(|header| header.small_int_bits).max().unwrap_or(0);
    let window = headers.iter().filter_map(|header| header.qstr_window).max().unwrap_or(0);
    let mut out = vec![header::MAGIC, 5, feature, bits];
    put_varuint(&mut out, window);
    // The empty string, which has the number 1, for the names of the function and its file.
    let code = caller(&[0, 8, 0, 1, 0, 1], files.len());
    put_varuint(&mut out, (code.len() as u64) << 2);
    out.extend_from_slice(&code);
    put_varuint(&mut out, 0);
    put_varuint(&mut out, files.len() as u64);
    for (file, header) in files.iter().zip(headers) {
        out.extend_from_slice(file.data.get(header.length..).unwrap_or(&[]));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(data: &[u8]) -> Input {
        Input { name: "a.mpy".to_owned(), data: data.to_vec() }
    }

    /// A function that returns None, in both versions.
    const VERSION_5: &[u8] = b"M\x05\x02\x1f\x20\x20\0\x08\0\x01\0\x01\x51\x63\0\0";
    const VERSION_6: &[u8] = b"M\x06\0\x1f\x01\0\x01\x28\0\x02\0\x51\x63";

    #[test]
    fn version_5_files_are_copied_behind_their_caller() {
        let files: Vec<Input> = (0..5).map(|_| input(VERSION_5)).collect();
        let merged = merge(&files).unwrap();
        // 33 bytes of code: their number, four times it, no longer fits one byte.
        assert_eq!(merged[..7], *b"M\x05\x02\x1f\x20\x81\x04");
        let code = b"\0\x08\0\x01\0\x01\x32\0\x34\0\x59\x32\x01\x34\0\x59";
        assert_eq!(merged[7..7 + code.len()], *code);
        let tail = [&[0x51, 0x63, 0, 5], VERSION_5[5..].repeat(5).as_slice()].concat();
        assert!(merged.ends_with(&tail));
        assert_eq!(merged.len(), 7 + 33 + 2 + 5 * (VERSION_5.len() - 5));
    }

    #[test]
    fn what_cannot_be_merged_is_told() {
        let native = b"M\x06\x0b\x1f\x01\0\x01\x02\x10\xff";
        for (files, message) in [
            (vec![], "no files to merge"),
            (vec![input(VERSION_5), input(VERSION_6)], "a.mpy has .mpy version 6, a.mpy has 5"),
            (vec![input(native), input(native)], "a.mpy and a.mpy both have native code"),
            (vec![input(VERSION_6), input(b"text")], "a.mpy is no .mpy file"),
            (vec![input(VERSION_6), input(&VERSION_6[..9])], "a.mpy: cut off or damaged"),
        ] {
            let error = merge(&files).unwrap_err();
            assert!(error.message().starts_with(message), "{error}");
        }
        assert_eq!(merge(&[input(VERSION_6)]).unwrap(), VERSION_6);
    }
}
