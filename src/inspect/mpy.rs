//! What a `.mpy` file holds, element by element, as `mp_raw_code_load` in MicroPython's
//! `py/persistentcode.c` reads it.

use std::fmt::Display;

use serde::Serialize;

use crate::image::bytes_text;
use crate::natmod::header::{self, Header, HeaderError};
use crate::natmod::reader::{DEEPEST, Reader, Step, Stop};
use crate::natmod::scope::{BSS, RELOCATED, RODATA};

/// A `.mpy` file, as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mpy {
    /// The version of the format: `6.3` with native code, `6` or `5` without.
    pub version: String,
    /// The number before the dot.
    pub major_version: u8,
    /// The version of the native interface, in version 6 files with native code.
    pub sub_version: Option<u8>,
    /// Whether there is native code.
    pub native: bool,
    /// The architecture of the native code.
    pub arch: Option<String>,
    /// Its code in the header; 0 when there is no native code.
    pub arch_code: u8,
    /// The processor extensions that the native code needs, as they are encoded for its architecture.
    pub arch_flags: Option<u64>,
    /// How many bits a small integer must have on the device.
    pub small_int_bits: u8,
    /// The size of the qstr window that the loader needs (versions 4 and 5).
    pub qstr_window: Option<u64>,
    /// Whether strings must be Unicode on the device (versions 3 to 5).
    pub unicode: Option<bool>,
    /// Whether bytecode has room for cached look-ups (versions 3 to 5).
    pub caches_map_lookup: Option<bool>,
    /// The MicroPython releases that load it.
    pub releases: &'static str,
    /// What `sys.implementation._mpy` is on a device of its architecture; absent without native code,
    /// where any value with the same lowest byte is right.
    pub sys_mpy: Option<u64>,
    /// What is in it; absent before version 6.
    pub contents: Option<Contents>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What is in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// The name of the source file, which is the first qstr.
    pub source: Option<String>,
    /// How many qstrs its table has.
    pub qstrs: u64,
    /// The qstrs that it brings besides: the names that it defines, and those it uses that not every
    /// firmware has. Native code does not say which is which.
    pub names: Vec<String>,
    /// How many constant objects its table has.
    pub objects: u64,
    /// How many functions, classes and module bodies are bytecode.
    pub bytecode_functions: u64,
    /// How many of them are native code: `@native`, `@viper`, assembler, or a whole C module.
    pub native_functions: u64,
    /// How many bytes of bytecode there are.
    pub bytecode_size: u64,
    /// How many bytes of machine code there are.
    pub native_size: u64,
    /// How many bytes of read-only data native code brings.
    pub rodata_size: u64,
    /// How many bytes of zeroed data native code wants.
    pub bss_size: u64,
}

impl Mpy {
    /// Reads a file. Nothing when it is no `.mpy` file.
    pub fn parse(data: &[u8]) -> Option<Mpy> {
        match Header::parse(data) {
            Ok(header) => Some(Mpy::with_header(&header, data)),
            Err(HeaderError::NotMpy) => None,
            Err(HeaderError::CutOff) => {
                let mut start = [header::MAGIC, 0, 0, 0, 0];
                for (to, from) in start.iter_mut().zip(data) {
                    *to = *from;
                }
                let known = Header::parse(&start).ok()?;
                let problem = format!("cut off at {} bytes, within its header", data.len());
                Some(Mpy { problems: vec![problem], ..Mpy::of(&known) })
            }
            // A text may begin with an M and a tab, say.
            Err(HeaderError::UnknownVersion(version)) => {
                (version < 9 && data.len() > 4 && (16..=64).contains(data.get(3)?)).then(|| {
                    let header = Header {
                        version,
                        feature: 0,
                        small_int_bits: 0,
                        qstr_window: None,
                        arch_flags: None,
                        length: 2,
                    };
                    let problem = format!("the .mpy version {version} is unknown");
                    Mpy { releases: "unknown", problems: vec![problem], ..Mpy::of(&header) }
                })
            }
        }
    }

    fn of(header: &Header) -> Mpy {
        Mpy {
            version: header.mpy_version().to_string(),
            major_version: header.version,
            sub_version: header.sub_version(),
            native: header.is_native(),
            arch: header.arch().map(|arch| arch.name().to_owned()),
            arch_code: header.arch_code(),
            arch_flags: header.arch_flags,
            small_int_bits: header.small_int_bits,
            qstr_window: header.qstr_window,
            unicode: header.unicode(),
            caches_map_lookup: header.caches_map_lookup(),
            releases: header.releases(),
            sys_mpy: header.sys_mpy(),
            contents: None,
            problems: Vec::new(),
        }
    }

    fn with_header(header: &Header, data: &[u8]) -> Mpy {
        let mut mpy = Mpy::of(header);
        if mpy.native && mpy.arch.is_none() {
            mpy.problem(format!("the architecture {} is unknown", mpy.arch_code));
        }
        if header.has_reserved_bit() {
            mpy.problem("a reserved bit of the feature byte is set");
        }
        if !(1..=64).contains(&header.small_int_bits) {
            mpy.problem(format!("small integers are said to have {} bits", header.small_int_bits));
        }
        if header.version == header::NEWEST {
            mpy.read_contents(data, header.length);
        }
        mpy
    }

    fn problem(&mut self, problem: impl Display) {
        self.problems.push(problem.to_string());
    }

    fn read_contents(&mut self, data: &[u8], start: usize) {
        let mut reader = Reader::new(data, start);
        let mut contents = Contents::default();
        if let Err(Stop(problem)) = contents.read(&mut reader) {
            self.problem(problem);
        } else {
            let rest = data.len() - reader.position();
            if rest > 0 {
                self.problem(format!("its end is followed by {}", bytes_text(rest as u64)));
            }
            if contents.native_functions > 0 && !self.native {
                self.problem("it holds native code, and its header names no architecture");
            }
        }
        self.contents = Some(contents);
    }
}

impl Contents {
    fn read(&mut self, reader: &mut Reader<'_>) -> Step<()> {
        self.qstrs = reader.number()?;
        self.objects = reader.number()?;
        for index in 0..self.qstrs {
            let text = reader.qstr()?;
            if index == 0 {
                self.source = text;
            } else {
                self.names.extend(text);
            }
        }
        for _ in 0..self.objects {
            reader.object(0)?;
        }
        self.code(reader, 0)
    }

    /// Reads a function's code and its children.
    fn code(&mut self, reader: &mut Reader<'_>, depth: u32) -> Step<()> {
        if depth > DEEPEST {
            return Err(reader.stop("its code is nested too deep"));
        }
        let head = reader.number()?;
        let (kind, has_children, size) = (head & 3, head & 4 != 0, head >> 3);
        reader.bytes(size)?;
        if kind == 0 {
            self.bytecode_functions += 1;
            self.bytecode_size += size;
        } else {
            self.native_functions += 1;
            self.native_size += size;
            self.native_tail(reader, kind)?;
        }
        if has_children {
            for _ in 0..reader.number()? {
                self.code(reader, depth + 1)?;
            }
        }
        Ok(())
    }

    /// What follows native code: a prelude's offset (`@native`), or scope flags and what they announce
    /// (`@viper` and C modules), or the signature (assembler).
    fn native_tail(&mut self, reader: &mut Reader<'_>, kind: u64) -> Step<()> {
        let first = reader.number()?;
        match kind {
            1 => {}
            2 => {
                let rodata = if first & RODATA != 0 { reader.number()? } else { 0 };
                let bss = if first & BSS != 0 { reader.number()? } else { 0 };
                reader.bytes(rodata)?;
                self.rodata_size += rodata;
                self.bss_size = self.bss_size.saturating_add(bss);
                if first & RELOCATED != 0 {
                    reader.relocations()?;
                }
            }
            _ => {
                reader.number()?;
                reader.number()?;
            }
        }
        Ok(())
    }
}
