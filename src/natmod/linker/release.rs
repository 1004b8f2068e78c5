//! What differs between MicroPython releases, as a source tree tells it.

use std::fs;
use std::path::Path;

use super::python;
use crate::error::{Error, Result};
use crate::natmod::{Arch, MpyVersion};
use crate::source;

/// A release, as far as native modules for it depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its number: 1.28 is `(1, 28)`.
    pub number: (u32, u32),
    /// The `.mpy` version that it loads.
    pub mpy_version: MpyVersion,
    /// The strings that every firmware has, the first of which has the number 1
    /// (`static_qstr_list` of `py/makeqstrdata.py`).
    pub static_qstrs: Vec<String>,
    /// How characters that no C identifier has are written in a qstr's name (`codepoint2name` of
    /// `py/makeqstrdata.py`), besides those with a name in HTML.
    pub character_names: Vec<(char, String)>,
    /// The objects that a module refers to by name, with their index in the table of functions that
    /// the firmware gives it (`mp_fun_table_t` of `py/nativeglue.h`).
    pub objects: Vec<(String, u8)>,
}

impl Release {
    /// Reads a source tree, v1.18 or later.
    ///
    /// # Errors
    /// When it is no such tree, or has a version of the format that is unknown.
    pub fn of_tree(tree: &Path) -> Result<Release> {
        let number = source::number(tree)?;
        let read = |path: &str| -> Result<String> {
            let path = tree.join(path);
            let bytes = fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let unreadable =
            |what: &str| Error::input(format!("cannot find {what} in {}", tree.display()));
        let mpy_version = MpyVersion::of_tree(tree)?;
        if !matches!(mpy_version.major, 5 | 6) {
            return Err(Error::input(format!(
                "{} loads .mpy version {mpy_version}; native modules are linked for 5 and 6",
                tree.display()
            )));
        }
        let strings = read("py/makeqstrdata.py")?;
        let static_qstrs = python::string_list(&strings, "static_qstr_list")
            .ok_or_else(|| unreadable("static_qstr_list"))?;
        let objects = objects(&read("py/nativeglue.h")?)
            .ok_or_else(|| unreadable("the objects of mp_fun_table_t"))?;
        Ok(Release {
            number,
            mpy_version,
            static_qstrs,
            character_names: python::character_names(&strings),
            objects,
        })
    }

    /// The number of a string that every firmware has.
    pub(super) fn static_qstr(&self, text: &str) -> Option<usize> {
        Some(1 + self.static_qstrs.iter().position(|one| one == text)?)
    }

    /// The index of an object in the firmware's table.
    pub(super) fn object(&self, name: &str) -> Option<u8> {
        self.objects.iter().find(|(object, _)| object == name).map(|(_, index)| *index)
    }

    /// Whether the jump to the module's entry takes as few bytes as it can; before v1.28 it had the
    /// same size however far it went, but on ARMv6-M before v1.24.
    pub(super) fn has_short_jumps(&self, arch: Arch) -> bool {
        self.number >= (1, 28) || (arch == Arch::Armv6m && self.number < (1, 24))
    }

    /// Whether qstrs are words and half-words in the code that the loader fills in, as before version 6,
    /// rather than a table beside it.
    pub(super) fn has_qstrs_in_code(&self) -> bool {
        self.mpy_version.major < 6
    }

    /// Whether `MP_OBJ_NEW_QSTR(MP_QSTR_x)` is an entry of a table of objects, as before v1.21.
    pub(super) fn has_qstr_objects(&self) -> bool {
        self.number < (1, 21)
    }
}

/// The fields of `mp_fun_table_t` that are objects: `type_str` is index 74, say, and a module calls it
/// `mp_type_str`.
fn objects(header: &str) -> Option<Vec<(String, u8)>> {
    let (_, body) = header.split_once("typedef struct _mp_fun_table_t {")?;
    let (body, _) = body.split_once("} mp_fun_table_t;")?;
    let code: String = body
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| [line.split("//").next().unwrap_or(line), " "])
        .collect();
    let mut objects = Vec::new();
    // The last piece is what follows the last field.
    let fields = code.split(';').collect::<Vec<_>>();
    for (index, field) in fields.iter().enumerate().take(fields.len() - 1) {
        if field.contains('(') {
            continue;
        }
        let name = field.rsplit([' ', '*', '\n']).find(|word| !word.is_empty())?;
        if name.starts_with("type_") || name.starts_with("stream_") {
            objects.push((format!("mp_{name}"), u8::try_from(index).ok()?));
        }
    }
    (!objects.is_empty()).then_some(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_numbered_among_all_fields() {
        let header = "typedef struct _mp_fun_table_t {\n\
            mp_const_obj_t const_none; // first; not this\n\
            void *(*memset_)(void *s, int c, size_t n);\n\
            #if defined(__GNUC__)\nNORETURN // two; three\n#endif\n\
            void (*raise_msg)(const mp_obj_type_t *exc_type, const char *msg);\n\
            const mp_print_t *plat_print;\n\
            const mp_obj_type_t *type_type;\n\
            const mp_obj_fun_builtin_var_t *stream_read_obj;\n\
            } mp_fun_table_t;";
        let expected = [("mp_type_type".to_owned(), 4), ("mp_stream_read_obj".to_owned(), 5)];
        assert_eq!(objects(header).unwrap(), expected);
        assert_eq!(objects("typedef struct _mp_fun_table_t { int a; } mp_fun_table_t;"), None);
    }
}
