//! Why object files cannot be linked, and what mends it.

use std::fmt;

use super::hints;
use super::target::Target;
use crate::error::Error;
use crate::natmod::Arch;

/// Why object files cannot be linked.
#[derive(Debug)]
pub enum Fault {
    /// No MicroPython runs native modules of this architecture.
    NoNativeModules(Arch),
    /// A file is none that can be linked.
    NotLinkable {
        /// The file.
        file: String,
        /// What it is.
        what: String,
        /// What is linked for.
        arch: Arch,
    },
    /// A file is damaged.
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// A file has another ABI than the module.
    Abi {
        /// The file.
        file: String,
        /// What it has.
        found: String,
        /// What the module has.
        expected: String,
        /// What is linked for.
        arch: Arch,
    },
    /// Initialised variables, which `.mpy` files have no place for.
    WritableData {
        /// The file.
        file: String,
        /// The section they are in.
        section: String,
        /// How many bytes it has.
        size: u64,
        /// The variables and their sizes in bytes.
        variables: Vec<(String, u64)>,
    },
    /// Nothing defines the module's entry, `mpy_init`.
    NoEntry,
    /// Symbols that nothing defines.
    Undefined {
        /// The symbols, and where each is first used.
        symbols: Vec<(String, Site)>,
        /// What is linked for.
        arch: Arch,
        /// What is defined, to find a name that was meant.
        known: Vec<String>,
    },
    /// Symbols that two files define.
    Duplicate(Vec<Duplicate>),
    /// A place that can only be given a distance within the code, and needs one to something that is
    /// loaded elsewhere.
    OutsideCode {
        /// The place.
        site: Box<Site>,
        /// The symbol.
        symbol: String,
        /// What the symbol is.
        what: Outside,
    },
    /// A relocation that position-independent modules cannot have.
    Unsupported {
        /// The place.
        site: Box<Site>,
        /// The relocation's name in the psABI.
        relocation: String,
        /// Its symbol.
        symbol: String,
        /// Why, and what mends it.
        why: Why,
    },
    /// A branch or load that does not reach its target.
    OutOfReach {
        /// The place.
        site: Box<Site>,
        /// The relocation or instruction.
        what: String,
        /// Its symbol.
        symbol: String,
        /// How far it is, in bytes.
        distance: i64,
    },
    /// The module's start does not reach its entry.
    EntryOutOfReach {
        /// How far it is, in bytes.
        distance: u64,
    },
    /// A pointer that the loader cannot adjust, because it does not lie on a multiple of its size.
    Unaligned {
        /// The place.
        site: Box<Site>,
        /// Its symbol.
        symbol: String,
    },
    /// A variable compiled with `-fcommon`.
    Common {
        /// The file.
        file: String,
        /// The variable.
        symbol: String,
    },
    /// A symbol of a section that modules do not have.
    Elsewhere {
        /// The place that uses it.
        site: Box<Site>,
        /// The symbol.
        symbol: String,
        /// Its section.
        section: String,
    },
    /// More than a module can hold.
    TooLarge {
        /// What is.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// How many bytes it may have.
        limit: u64,
    },
}

/// A place in an object file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The object file.
    pub file: String,
    /// The section.
    pub section: String,
    /// In bytes from the section's start.
    pub offset: u64,
    /// The function it lies in.
    pub function: Option<String>,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Site { file, section, offset, function } = self;
        match function {
            Some(function) => write!(f, "{file}, function {function} ({section}+0x{offset:x})"),
            None => write!(f, "{file} ({section}+0x{offset:x})"),
        }
    }
}

/// A symbol that two files define.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// Its name.
    pub symbol: String,
    /// The file that defines it first.
    pub first: String,
    /// The other one.
    pub second: String,
}

/// What is not loaded together with the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// Zeroed variables.
    Bss,
    /// Constants, on ESP32.
    Rodata,
    /// The firmware's own.
    Firmware,
    /// A fixed address.
    Fixed,
}

/// Why a relocation is not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The code was compiled for a fixed address.
    NotPic,
    /// Thread-local storage.
    ThreadLocal,
    /// The linker does not know it.
    Unknown,
}

impl Fault {
    pub(super) fn damaged(file: &str, what: impl fmt::Display) -> Fault {
        Fault::Damaged { file: file.to_owned(), what: what.to_string() }
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join("\n  ")
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoNativeModules(arch) => {
                write!(f, "there are no native modules for {arch}: no firmware runs them")
            }
            Fault::NotLinkable { file, what, arch } => {
                let bits = if Target::of(*arch).is_ok_and(Target::is_64) { 64 } else { 32 };
                write!(f, "{file} is {what}, expected a {bits}-bit object file for {arch}")
            }
            Fault::Damaged { file, what } => write!(f, "{file} is damaged: {what}"),
            Fault::Abi { file, found, expected, arch } => {
                write!(f, "{file} is {found}, expected {expected} for {arch}")
            }
            Fault::WritableData { file, section, size, variables } => {
                let names = match variables.as_slice() {
                    [] => String::new(),
                    some => {
                        let text = |(name, size): &(String, u64)| format!("{name} ({size} bytes)");
                        format!(": {}", some.iter().map(text).collect::<Vec<_>>().join(", "))
                    }
                };
                write!(f, "{file} has {size} bytes of initialised variables in {section}{names}")
            }
            Fault::NoEntry => write!(f, "no object file defines mpy_init, where a module starts"),
            Fault::Undefined { symbols, .. } => match symbols.as_slice() {
                [(name, site)] => write!(f, "undefined symbol {name}, used in {site}"),
                several => write!(
                    f,
                    "{} undefined symbols:\n  {}",
                    several.len(),
                    list(several.iter().map(|(name, site)| format!("{name}, used in {site}")))
                ),
            },
            Fault::Duplicate(symbols) => {
                let text = |Duplicate { symbol, first, second }: &Duplicate| {
                    format!("{symbol} is defined in {first} and in {second}")
                };
                match symbols.as_slice() {
                    [one] => f.write_str(&text(one)),
                    several => {
                        let lines = list(several.iter().map(text));
                        write!(f, "{} symbols are defined twice:\n  {lines}", several.len())
                    }
                }
            }
            Fault::OutsideCode { site, symbol, what } => {
                let what = match what {
                    Outside::Bss => "a static variable, which is loaded apart from the code",
                    Outside::Rodata => "a constant, which is loaded apart from the code",
                    Outside::Firmware => "in the firmware, not in the module",
                    Outside::Fixed => "at a fixed address, which the module's code moves against",
                };
                write!(f, "{site} refers to {symbol} by its distance, and {symbol} is {what}")
            }
            Fault::Unsupported { site, relocation, symbol, .. } => {
                write!(f, "unsupported relocation {relocation} to {symbol} in {site}")
            }
            Fault::OutOfReach { site, what, symbol, distance } => {
                write!(f, "{what} in {site} does not reach {symbol}, {distance} bytes away")
            }
            Fault::EntryOutOfReach { distance } => {
                write!(f, "the module's first jump does not reach mpy_init, {distance} bytes away")
            }
            Fault::Unaligned { site, symbol } => {
                write!(f, "the address of {symbol} in {site} is not on a multiple of its size")
            }
            Fault::Common { file, symbol } => {
                write!(f, "{symbol} in {file} is a common symbol, which has no section")
            }
            Fault::Elsewhere { site, symbol, section } => {
                write!(f, "{site} uses {symbol} of section {section}, which modules do not have")
            }
            Fault::TooLarge { what, size, limit } => {
                write!(f, "{what} takes {size} bytes, expected at most {limit}")
            }
        }
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        let hints = hints::of(&fault);
        hints.into_iter().fold(Error::input(fault.to_string()), Error::hint)
    }
}
