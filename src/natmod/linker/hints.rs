//! What mends each fault.

use super::fault::{Fault, Outside, Site, Why};
use crate::natmod::Arch;

/// A name counts as mistyped from another one above this similarity.
const ALIKE: f64 = 0.85;

/// The hints for a fault, most helpful first.
pub(super) fn of(fault: &Fault) -> Vec<String> {
    let hint = match fault {
        Fault::Undefined { symbols, arch, known } => return undefined(symbols, *arch, known),
        Fault::NoNativeModules(_) => {
            "choose one of x86, x64, armv6m, armv7m, armv7emsp, armv7emdp, \
            xtensa, xtensawin, rv32imc, rv64imc"
                .to_owned()
        }
        Fault::NotLinkable { arch, .. } => {
            format!("compile it with ARCH={arch}, which takes {}", compiler(*arch))
        }
        Fault::Damaged { .. } => "compile it again".to_owned(),
        Fault::Abi { arch, .. } => format!(
            "take the library that `{} … --print-libgcc-file-name` names with the flags of ARCH={arch}",
            compiler(*arch)
        ),
        Fault::WritableData { .. } => {
            "make them const; or leave them uninitialised and not static, and set them in mpy_init"
                .to_owned()
        }
        Fault::NoEntry => "define `mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t \
            n_kw, mp_obj_t *args)`, not static, and give its object file"
            .to_owned(),
        Fault::Duplicate(_) => {
            "rename one of them, or make one static if only its own file uses it".to_owned()
        }
        Fault::OutsideCode { what, symbol, .. } => outside(*what, symbol),
        Fault::Unsupported { why, .. } => match why {
            Why::NotPic => "compile it with -fpic, as py/dynruntime.mk does".to_owned(),
            Why::ThreadLocal => {
                "remove __thread or _Thread_local: modules have no threads".to_owned()
            }
            Why::Unknown => "compile it with the flags of py/dynruntime.mk".to_owned(),
        },
        Fault::OutOfReach { .. } | Fault::EntryOutOfReach { .. } => {
            "make the module smaller (-Os), or split it".to_owned()
        }
        Fault::Unaligned { .. } => "remove the packed attribute from what holds it, or compile it \
            with -fpic if it is code"
            .to_owned(),
        Fault::Common { .. } => "compile it with -fno-common, as py/dynruntime.mk does".to_owned(),
        Fault::Elsewhere { section, .. } => {
            format!("remove what puts it into {section}, an attribute in most cases")
        }
        Fault::TooLarge { .. } => "make the module smaller, or split it".to_owned(),
    };
    vec![hint]
}

fn outside(what: Outside, symbol: &str) -> String {
    match what {
        Outside::Bss => {
            format!("remove `static` from {symbol}: a global variable can be loaded anywhere")
        }
        Outside::Rodata => "compile it with -fpic, as py/dynruntime.mk does".to_owned(),
        Outside::Firmware => format!("call {symbol} through mp_fun_table, as py/dynruntime.h does"),
        Outside::Fixed => {
            format!("call {symbol} through a pointer, or compile it with -fpic -fno-plt")
        }
    }
}

/// What compiles for an architecture.
fn compiler(arch: Arch) -> &'static str {
    match arch {
        Arch::X86 => "gcc -m32",
        Arch::X64 => "gcc",
        Arch::Xtensa => "xtensa-lx106-elf-gcc",
        Arch::Xtensawin => "xtensa-esp32-elf-gcc",
        Arch::Rv32imc | Arch::Rv64imc => "riscv64-unknown-elf-gcc",
        _ => "arm-none-eabi-gcc",
    }
}

/// What would provide a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Provider {
    Libgcc,
    Libm,
    Libc,
    MicroPython,
}

/// One hint for each provider that the symbols want.
fn undefined(symbols: &[(String, Site)], arch: Arch, known: &[String]) -> Vec<String> {
    let mut hints = Vec::new();
    for (name, _) in symbols {
        let near = known
            .iter()
            .map(|other| (strsim::jaro_winkler(name, other), other))
            .filter(|(likeness, _)| *likeness > ALIKE)
            .max_by(|one, other| one.0.total_cmp(&other.0));
        let hint = match provider(name) {
            Some(provider) => provider_hint(provider, arch, name),
            None => match near {
                Some((_, near)) => format!("did {name} mean {near}, which is defined?"),
                None => format!(
                    "a file that defines {name} is missing: add it to SRC in the Makefile, or give its object \
                     file, or its library with -l"
                ),
            },
        };
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    hints
}

fn provider(name: &str) -> Option<Provider> {
    const LIBM: [&str; 26] = [
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "atan2",
        "sinh",
        "cosh",
        "tanh",
        "exp",
        "expm1",
        "log",
        "log2",
        "log10",
        "log1p",
        "pow",
        "sqrt",
        "cbrt",
        "fmod",
        "floor",
        "ceil",
        "trunc",
        "round",
        "nearbyint",
        "hypot",
    ];
    if name.starts_with("mp_") || name.starts_with("m_") || name.starts_with("gc_") {
        return Some(Provider::MicroPython);
    }
    if name.starts_with("__aeabi_") || name.starts_with("__gnu_") {
        return Some(Provider::Libgcc);
    }
    // libgcc's names end in a mode: __divsi3, __muldf3, __fixunsdfsi, __clzdi2, __popcountsi2.
    let modes = ["si", "di", "sf", "df", "hi", "ti", "tf"];
    if let Some(rest) = name.strip_prefix("__")
        && modes.iter().any(|mode| rest.trim_end_matches(['2', '3', '4']).ends_with(mode))
    {
        return Some(Provider::Libgcc);
    }
    let plain = name.strip_suffix('f').unwrap_or(name);
    if LIBM.contains(&name) || LIBM.contains(&plain) {
        return Some(Provider::Libm);
    }
    let text = ["mem", "str"].iter().any(|start| name.starts_with(start));
    let others = [
        "malloc",
        "calloc",
        "realloc",
        "free",
        "printf",
        "puts",
        "putchar",
        "snprintf",
        "sprintf",
        "abort",
        "exit",
        "qsort",
        "bsearch",
        "rand",
        "srand",
        "setjmp",
        "longjmp",
        "__assert_func",
    ];
    (text || others.contains(&name)).then_some(Provider::Libc)
}

fn provider_hint(provider: Provider, arch: Arch, name: &str) -> String {
    let rom = (arch == Arch::Xtensa).then_some(
        "the ESP8266's ROM has it: set MPY_EXTERN_SYM_FILE=$(MPY_DIR)/ports/esp8266/boards/\
         eagle.rom.addr.v6.ld in the Makefile, or give that file with --externs",
    );
    let compiler = compiler(arch);
    match (provider, rom) {
        (Provider::Libgcc, Some(rom)) => format!("{name} is of the compiler's runtime; {rom}"),
        (Provider::Libgcc, None) => format!(
            "{name} is of the compiler's runtime: set LINK_RUNTIME=1 in the Makefile, or give -l with \
             what `{compiler} … --print-libgcc-file-name` prints"
        ),
        (Provider::Libm, _) => {
            // picolibc, which Debian has for RISC-V, is one library.
            let picolibc = matches!(arch, Arch::Rv32imc | Arch::Rv64imc);
            let library = if picolibc { "libc.a" } else { "libm.a" };
            format!(
                "{name} is of the mathematical library: set LINK_RUNTIME=1 in the Makefile, or give \
                 -l with what `{compiler} … --print-file-name={library}` prints"
            )
        }
        (Provider::Libc, _) => match name {
            "memcpy" | "memmove" | "memset" | "malloc" | "realloc" | "free" | "printf" => format!(
                "define {name} in the module by what the firmware gives (py/dynruntime.h: \
                 mp_fun_table.memset_, .memmove_, .realloc_, mp_printf)"
            ),
            _ => format!(
                "{name} is of the C library, which modules do without: define it, or give -l with \
                 what `{compiler} … --print-file-name=libc.a` prints"
            ),
        },
        (Provider::MicroPython, _) => format!(
            "the firmware does not give {name} to modules; py/dynruntime.h has what it gives, and must \
             be included first"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_have_their_providers() {
        for (name, expected) in [
            ("__aeabi_idiv", Some(Provider::Libgcc)),
            ("__divsi3", Some(Provider::Libgcc)),
            ("__fixunsdfsi", Some(Provider::Libgcc)),
            ("__popcountsi2", Some(Provider::Libgcc)),
            ("sinf", Some(Provider::Libm)),
            ("pow", Some(Provider::Libm)),
            ("strlen", Some(Provider::Libc)),
            ("memset", Some(Provider::Libc)),
            ("mp_obj_new_set", Some(Provider::MicroPython)),
            ("my_helper", None),
            ("__my_helper", None),
        ] {
            assert_eq!(provider(name), expected, "{name}");
        }
    }
}
