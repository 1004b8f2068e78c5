//! The qstrs of a module: the names that its C source mentions as `MP_QSTR_…`.
//!
//! Upstream's build writes a C header for them before it compiles (`mpy_ld.py --preprocess`); the numbers
//! they get there are their places in the module's table, so the linker reads them back from it.

use std::collections::BTreeSet;

use super::release::Release;

const PREFIX: &str = "MP_QSTR_";
const OBJECT_PREFIX: &str = "MP_OBJ_NEW_QSTR(";

/// The qstrs of a module, in the order of its tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Qstrs {
    /// Those whose number it uses.
    pub values: Vec<String>,
    /// Those that it uses as objects (`MP_OBJ_NEW_QSTR`), where the release has a table of its own for
    /// them.
    pub objects: Vec<String>,
}

impl Qstrs {
    /// Collects the qstrs of C sources.
    pub fn collect<'a>(sources: impl IntoIterator<Item = &'a [u8]>, release: &Release) -> Qstrs {
        let (mut values, mut objects) = (BTreeSet::new(), BTreeSet::new());
        for source in sources {
            for line in source.split(|byte| matches!(byte, b'\n' | b'\r')) {
                let mut rest = line.to_vec();
                if release.has_qstr_objects() {
                    while let Some((start, name, end)) = next_object(&rest) {
                        objects.insert(name);
                        rest.drain(start..end);
                    }
                }
                collect_values(&rest, &mut values);
            }
        }
        let fixed: BTreeSet<String> = static_names(release).into_iter().collect();
        values.retain(|name| !fixed.contains(name));
        Qstrs { values: values.into_iter().collect(), objects: objects.into_iter().collect() }
    }

    /// Reads them back from the header that [`config_header`] or upstream's tool wrote.
    pub fn of_header(header: &str) -> Qstrs {
        let mut qstrs = Qstrs::default();
        for line in header.lines() {
            let Some(rest) = line.strip_prefix("#define ") else { continue };
            let mut words = rest.splitn(2, ' ');
            let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
            if let Some(name) = name.strip_prefix("MP_OBJ_NEW_QSTR_MP_QSTR_") {
                qstrs.objects.push(name.to_owned());
            } else if let Some(name) = name.strip_prefix(PREFIX)
                && value.starts_with("(mp_native_")
            {
                qstrs.values.push(name.to_owned());
            }
        }
        qstrs
    }
}

/// The names of the qstrs that every firmware has, without `MP_QSTR_`.
fn static_names(release: &Release) -> Vec<String> {
    release.static_qstrs.iter().map(|text| identifier(text, release)).collect()
}

/// A qstr's text as C identifiers have it (`qstr_escape` of `py/makeqstrdata.py`).
fn identifier(text: &str, release: &Release) -> String {
    let mut name = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_alphanumeric() || character == '_' {
            name.push(character);
            continue;
        }
        let html = match character {
            '"' => Some("quot"),
            '&' => Some("amp"),
            '<' => Some("lt"),
            '>' => Some("gt"),
            _ => None,
        };
        let own = release.character_names.iter().find(|(one, _)| *one == character);
        match own.map(|(_, name)| name.as_str()).or(html) {
            Some(word) => name.push_str(&format!("_{word}_")),
            None => name.push_str(&format!("_0x{:02x}_", u32::from(character))),
        }
    }
    name
}

fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

fn find(haystack: &[u8], needle: &str) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle.as_bytes())
}

fn collect_values(line: &[u8], values: &mut BTreeSet<String>) {
    let mut rest = line;
    while let Some(start) = find(rest, PREFIX) {
        rest = rest.get(start + PREFIX.len()..).unwrap_or(&[]);
        let end = rest.iter().take_while(|byte| is_word(byte)).count();
        let (name, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        values.insert(String::from_utf8_lossy(name).into_owned());
        rest = after;
    }
}

/// The next `MP_OBJ_NEW_QSTR(MP_QSTR_name)`: where it starts, the name, and where it ends.
fn next_object(line: &[u8]) -> Option<(usize, String, usize)> {
    let whole = format!("{OBJECT_PREFIX}{PREFIX}");
    let mut from = 0;
    loop {
        let start = from + find(line.get(from..)?, &whole)?;
        let name_start = start + whole.len();
        let name: Vec<u8> = line.get(name_start..)?.iter().copied().take_while(is_word).collect();
        let end = name_start + name.len();
        if line.get(end) == Some(&b')') {
            return Some((start, String::from_utf8_lossy(&name).into_owned(), end + 1));
        }
        from = name_start;
    }
}

/// The header that a module's C sources are compiled with (`$(MOD).config.h`), as upstream's tool writes it
/// for the release. `word_qstrs` says that qstrs in the code are words, as ESP32 needs them.
pub fn config_header(qstrs: &Qstrs, release: &Release, word_qstrs: bool) -> String {
    let mut text = "#include <stdint.h>\n\
        typedef uintptr_t mp_uint_t;\n\
        typedef intptr_t mp_int_t;\n\
        typedef uintptr_t mp_off_t;\n"
        .to_owned();
    let in_code = release.has_qstrs_in_code();
    // Entry 0 is the module's own name where there is a table beside the code.
    let (table, objects, first) = match in_code {
        true => ("mp_native_qstr_val_table", "mp_native_qstr_obj_table", 0),
        false => ("mp_native_qstr_table", "mp_native_obj_table", 1),
    };
    for (index, name) in static_names(release).iter().enumerate() {
        text.push_str(&format!("#define {PREFIX}{name} ({})\n", index + 1));
    }
    for (index, name) in qstrs.values.iter().enumerate() {
        text.push_str(&format!("#define {PREFIX}{name} ({table}[{}])\n", index + first));
    }
    for (index, name) in qstrs.objects.iter().enumerate() {
        text.push_str(&format!(
            "#define MP_OBJ_NEW_QSTR_{PREFIX}{name} ((mp_obj_t){objects}[{index}])\n"
        ));
    }
    let number = if in_code && word_qstrs { "uint32_t" } else { "uint16_t" };
    text.push_str(&format!("extern const {number} {table}[];\n"));
    text.push_str(&format!("extern const mp_uint_t {objects}[];\n"));
    text
}
