//! `rewrite`.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::output::Output;
use crate::error::{Kind, Result};
use crate::rewrite::{Changes, FileChanges, Purpose, plan};

#[derive(Debug, clap::Args)]
#[command(
    about = "Give the static const objects of C files sections of their own",
    long_about = "Give the static const objects of C files sections of their own.\n\n\
        MicroPython's linker for native modules, mpy_ld.py, mixes up the static const data of several \
        files on xtensa and xtensawin: one file silently reads another's table. Here each such object at \
        file scope gets an attribute that names a section no other file has, and nothing else changes:\n\n  \
        static const uint8_t table[] = {1, 2};\n  \
        static const uint8_t table[] __attribute__((__section__(\".rodata.table.1c8f0a52\"))) = {1, 2};\n\n\
        Meant for those who build with an unmended linker. Strings and tables inside functions, which it \
        mixes up as well, cannot be helped this way. Whatever cannot be told for certain stays as it is, and is named.\n\n\
        Directories are searched for .c and .h files; give all files of a module, as headers \
        are rewritten only if a single source includes them.",
    after_help = "Examples:\n  \
        micropython-builder rewrite --diff .\n      \
        shows what would be changed below the current directory\n  \
        micropython-builder rewrite src/table.c src/module.c\n      \
        changes the files\n  \
        micropython-builder rewrite --check .\n      \
        exit code 3 if something would be changed, 0 otherwise"
)]
pub(super) struct Arguments {
    /// A C file, or a directory with C files somewhere below it
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Change nothing; exit code 3 if something would be changed
    #[arg(long)]
    check: bool,
    /// Change nothing; print the changes as a unified diff, for `patch -p1`
    #[arg(long)]
    diff: bool,
    /// What the files are compiled into
    #[arg(long = "for", value_name = "WHAT", default_value = "natmod")]
    purpose: Target,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Target {
    /// A native module (.mpy)
    Natmod,
    /// Firmware, as `build` does it: its linker needs no help, so only objects that hold no addresses
    /// are changed, and get the section that the compiler's -fdata-sections gives them
    Firmware,
}

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    /// Whether the files were written.
    written: bool,
    files: Vec<File<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    path: String,
    objects: Vec<Object<'a>>,
    kept: Vec<Kept<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Kept<'a>>,
}

#[derive(Serialize)]
struct Object<'a> {
    name: &'a str,
    line: usize,
    section: &'a str,
}

#[derive(Serialize)]
struct Kept<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    line: usize,
    reason: &'a str,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let purpose = match arguments.purpose {
        Target::Natmod => Purpose::NativeModule,
        Target::Firmware => Purpose::Firmware,
    };
    let changes = plan(&arguments.paths, purpose)?;
    let in_place = !arguments.check && !arguments.diff;
    if in_place {
        changes.write()?;
    }
    if output.json() {
        let files = changes.files.iter().map(File::of).collect();
        output.data_json(&Report { schema: 1, written: in_place, files })?;
    } else if arguments.diff {
        for file in changes.changed() {
            output.data_bytes(&diff(file, output.coloured()))?;
        }
    } else {
        output.data(listing(&changes))?;
    }
    tell(&changes, in_place, output);
    let dirty = changes.changed().next().is_some();
    let code = if arguments.check && dirty { Kind::Input.exit_code() } else { 0 };
    Ok(ExitCode::from(code))
}

/// One line for each object.
fn listing(changes: &Changes) -> String {
    let line = |(file, object): (&FileChanges, &crate::rewrite::Object)| {
        format!("{}:{}: {} {}\n", file.path.display(), object.line, object.name, object.section)
    };
    changes.objects().map(line).collect()
}

/// What stays and why, and how much there is in all.
fn tell(changes: &Changes, written: bool, output: &Output) {
    for file in &changes.files {
        let path = file.path.display();
        if let Some(left) = file.rewritten.left {
            output.say(format!("{path}:{}: the file stays as it is: {}", left.line, left.why));
        }
        for kept in &file.rewritten.kept {
            let name = kept.name.as_deref().unwrap_or("a declaration");
            output.say(format!("{path}:{}: {name} stays as it is: {}", kept.line, kept.why));
        }
    }
    let (objects, files) = (changes.objects().count(), changes.changed().count());
    let verb = match (written, objects) {
        (true, _) => "got",
        (false, _) => "would get",
    };
    output.say(match objects {
        0 => format!("nothing to change in {}", count(changes.read, "file")),
        _ => format!(
            "{} in {} of {} {verb} a section",
            count(objects, "object"),
            files,
            count(changes.read, "file")
        ),
    });
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

impl File<'_> {
    fn of(file: &FileChanges) -> File<'_> {
        let rewritten = &file.rewritten;
        File {
            path: file.path.to_string_lossy().into_owned(),
            objects: rewritten
                .objects
                .iter()
                .map(|it| Object { name: &it.name, line: it.line, section: &it.section })
                .collect(),
            kept: rewritten
                .kept
                .iter()
                .map(|it| Kept { name: it.name.as_deref(), line: it.line, reason: it.why })
                .collect(),
            left: rewritten.left.map(|it| Kept { name: None, line: it.line, reason: it.why }),
        }
    }
}

/// The unified diff of a file's changes, in its own bytes.
fn diff(file: &FileChanges, coloured: bool) -> Vec<u8> {
    let after = file.rewritten.text.as_deref().unwrap_or_default();
    let lines =
        |text| -> Vec<&[u8]> { <[u8]>::split_inclusive(text, |byte| *byte == b'\n').collect() };
    let (old, new) = (lines(&file.before), lines(after));
    let difference = TextDiff::configure().newline_terminated(true).diff_slices(&old, &new);
    let mut text = Vec::new();
    let bold = Style::new().bold();
    for (mark, prefix) in [("---", "a"), ("+++", "b")] {
        let mut line = format!("{mark} {prefix}/").into_bytes();
        line.extend_from_slice(relative(&file.path).as_os_str().as_bytes());
        put(&mut text, coloured.then_some(bold), &line);
        text.push(b'\n');
    }
    for hunk in difference.unified_diff().context_radius(3).iter_hunks() {
        let header = hunk.header().to_string();
        put(&mut text, coloured.then_some(AnsiColor::Cyan.on_default()), header.as_bytes());
        text.push(b'\n');
        for change in hunk.iter_changes() {
            let (mark, colour) = match change.tag() {
                ChangeTag::Equal => (b' ', None),
                ChangeTag::Delete => (b'-', Some(AnsiColor::Red.on_default())),
                ChangeTag::Insert => (b'+', Some(AnsiColor::Green.on_default())),
            };
            let line = change.value();
            let whole = line.strip_suffix(b"\n");
            let mut marked = vec![mark];
            marked.extend_from_slice(whole.unwrap_or(line));
            put(&mut text, colour.filter(|_| coloured), &marked);
            text.push(b'\n');
            if whole.is_none() {
                text.extend_from_slice(b"\\ No newline at end of file\n");
            }
        }
    }
    text
}

fn put(text: &mut Vec<u8>, style: Option<Style>, bytes: &[u8]) {
    let style = style.unwrap_or_default();
    text.extend_from_slice(style.render().to_string().as_bytes());
    text.extend_from_slice(bytes);
    text.extend_from_slice(style.render_reset().to_string().as_bytes());
}

/// A path as diffs have it: without a root, and without `.` at its beginning.
fn relative(path: &Path) -> &Path {
    let path = path.strip_prefix("/").unwrap_or(path);
    path.strip_prefix(".").unwrap_or(path)
}
