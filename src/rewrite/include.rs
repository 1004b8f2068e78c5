//! Which files are compiled once only: sources that nobody includes, and headers that one of those
//! includes once. An object of any other file is several objects, which one section cannot tell apart.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use memchr::{memchr, memmem, memrchr};

/// Who includes what, by file name: a search path can lead anywhere.
#[derive(Debug, Default)]
pub(super) struct Includes {
    /// For each name how often it is included, and by a file of which name.
    included: HashMap<Vec<u8>, (usize, Vec<u8>)>,
    /// Whether some file includes what a macro says, and so perhaps any header.
    computed: bool,
}

impl Includes {
    /// Notes what a file includes. What is included in a comment counts, which does no harm.
    pub(super) fn add(&mut self, path: &Path, source: &[u8]) {
        let includer = name_of(path);
        for at in memmem::find_iter(source, b"include") {
            let before = source.get(..at).unwrap_or_default();
            let line = memrchr(b'\n', before).map_or(0, |newline| newline + 1);
            let before = before.get(line..).unwrap_or_default().trim_ascii_end();
            if !before.ends_with(b"#") && !before.ends_with(b"%:") {
                continue;
            }
            let rest = source.get(at + b"include".len()..).unwrap_or_default();
            let rest = rest.strip_prefix(b"_next").unwrap_or(rest);
            let end = memchr(b'\n', rest).unwrap_or(rest.len());
            match included_name(rest.get(..end).unwrap_or_default()) {
                Some(name) => {
                    let entry = self.included.entry(name.to_vec()).or_default();
                    entry.0 += 1;
                    includer.clone_into(&mut entry.1);
                }
                None => self.computed = true,
            }
        }
    }

    /// Whether a file is compiled once only.
    pub(super) fn is_compiled_once(&self, path: &Path) -> bool {
        const DEEPEST: usize = 64;
        let mut name = name_of(path);
        let mut header = is_header(name);
        for _ in 0..DEEPEST {
            match self.included.get(name) {
                None => return !header,
                Some((1, includer)) if header && !self.computed => name = includer,
                Some(_) => return false,
            }
            header = is_header(name);
        }
        false
    }
}

fn name_of(path: &Path) -> &[u8] {
    path.file_name().unwrap_or_default().as_bytes()
}

fn is_header(name: &[u8]) -> bool {
    Path::new(OsStr::from_bytes(name)).extension().is_some_and(|extension| extension == "h")
}

/// The file name in `"dir/name"` or `<dir/name>`.
fn included_name(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start();
    let close = match text.first()? {
        b'"' => b'"',
        b'<' => b'>',
        _ => return None,
    };
    let inner = text.get(1..)?;
    let inner = inner.get(..memchr(close, inner)?)?;
    inner.rsplit(|byte| *byte == b'/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_compiled_once_if_one_source_includes_it_once() {
        let mut includes = Includes::default();
        includes.add(Path::new("a.c"), b"#include \"once.h\"\n #  include <dir/twice.h>\n");
        includes.add(Path::new("b.c"), b"#include \"twice.h\"\n%: include_next \"part.c\"\n");
        includes.add(Path::new("once.h"), b"#include \"below.h\"\n// include \"text.h\"\n");
        includes.add(Path::new("twice.h"), b"#include \"shared.h\"\n");
        includes.add(Path::new("self.h"), b"#include \"self.h\"\n");
        for (name, once) in [
            ("a.c", true),
            ("sub/b.c", true),
            ("once.h", true),
            ("below.h", true),
            ("twice.h", false),
            ("shared.h", false),
            ("part.c", false),
            ("text.h", false),
            ("unused.h", false),
            ("self.h", false),
        ] {
            assert_eq!(includes.is_compiled_once(Path::new(name)), once, "{name}");
        }
        includes.add(Path::new("c.c"), b"#include CONFIG\n");
        assert!(!includes.is_compiled_once(Path::new("once.h")));
        assert!(includes.is_compiled_once(Path::new("a.c")));
    }
}
