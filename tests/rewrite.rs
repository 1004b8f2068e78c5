//! `rewrite`: files in place, `--check`, `--diff`, `--json`, and what bad input gets.

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use common::command::{failed, mpb, stderr, succeeded};
use common::require;
use serde_json::Value;
use tempfile::TempDir;

const TABLE: &[u8] =
    b"// \xe9\r\nstatic const char table[] = \"\xff\";\r\nint f(int i) { return table[i]; }\r\n";

fn rewrite(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = mpb();
    command.arg("rewrite").args(arguments).current_dir(directory).output().unwrap()
}

/// A module with a file that changes, one that does not, a header for both, and files of other kinds.
fn module() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir_all(root.join("src/.git")).unwrap();
    fs::write(root.join("src/table.c"), TABLE).unwrap();
    fs::set_permissions(root.join("src/table.c"), fs::Permissions::from_mode(0o640)).unwrap();
    let header = "static const int shared[] = {1};\n";
    fs::write(root.join("src/shared.h"), header).unwrap();
    fs::write(root.join("src/once.h"), "static const int once[] = {1};\n").unwrap();
    fs::write(root.join("src/both.h"), "static const int both[] = {1};\n").unwrap();
    fs::write(root.join("src/both.cpp"), "#include \"both.h\"\n").unwrap();
    fs::write(
        root.join("src/a.c"),
        "#include \"shared.h\"\n#include \"once.h\"\n#include \"both.h\"\n",
    )
    .unwrap();
    fs::write(root.join("src/b.c"), "#include \"shared.h\"\nstatic int n = 1;\n").unwrap();
    for other in ["c.cpp", "c.cc", "table.c.orig", "Makefile", ".git/x.c"] {
        fs::write(root.join("src").join(other), header).unwrap();
    }
    directory
}

/// The contents of all files below a directory.
fn contents(root: &Path) -> Vec<(String, Vec<u8>)> {
    let files = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().map(Result::unwrap);
    files
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let name = entry.path().strip_prefix(root).unwrap().display().to_string();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn files_are_changed_in_place_and_only_those() {
    let directory = module();
    let before = contents(directory.path());
    let output = rewrite(directory.path(), &["src"]);
    let listed = succeeded(&output);
    let said = stderr(&output);
    assert!(listed.starts_with("src/once.h:1: once .rodata.once."), "{listed}");
    assert!(listed.contains("src/table.c:2: table .rodata.table."), "{listed}");
    assert_eq!(listed.lines().count(), 2);
    assert!(said.contains("src/shared.h:1: shared stays as it is: its file is included"), "{said}");
    assert!(said.contains("src/both.h:1: both stays as it is: its file is included"), "{said}");
    assert!(said.ends_with("2 objects in 2 of 6 files got a section\n"), "{said}");

    for ((name, before), (_, after)) in before.iter().zip(contents(directory.path())) {
        let changes = name == "src/table.c" || name == "src/once.h";
        assert_eq!(*before != after, changes, "{name}");
    }
    let after = fs::read(directory.path().join("src/table.c")).unwrap();
    let start = b"// \xe9\r\nstatic const char table[] __attribute__((__section__(\".rodata.table.";
    assert!(after.starts_with(start), "{}", String::from_utf8_lossy(&after));
    assert!(after.ends_with(b"\"))) = \"\xff\";\r\nint f(int i) { return table[i]; }\r\n"));
    let mode = fs::metadata(directory.path().join("src/table.c")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);

    let after = contents(directory.path());
    assert_eq!(succeeded(&rewrite(directory.path(), &["src"])), "");
    assert_eq!(contents(directory.path()), after);
}

#[test]
fn check_says_by_its_exit_code_whether_something_would_change() {
    let directory = module();
    let before = contents(directory.path());
    let output = rewrite(directory.path(), &["--check", "src"]);
    failed(&output, 3, &["2 objects in 2 of 6 files would get a section"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
    assert_eq!(contents(directory.path()), before);
    succeeded(&rewrite(directory.path(), &["src"]));
    succeeded(&rewrite(directory.path(), &["--check", "src"]));
}

#[test]
fn a_diff_makes_of_the_files_what_the_rewrite_makes_of_them() {
    if !require("patch") {
        return;
    }
    let (patched, rewritten) = (module(), module());
    // The last line of a file need not end.
    for directory in [&patched, &rewritten] {
        fs::write(directory.path().join("src/end.c"), "int a;\nstatic const int end = 1;").unwrap();
    }
    let before = contents(patched.path());
    let output = rewrite(patched.path(), &["--diff", "src"]);
    assert!(output.status.success());
    assert_eq!(contents(patched.path()), before);
    let diff = patched.path().join("diff");
    fs::write(&diff, &output.stdout).unwrap();
    let patch = Command::new("patch")
        .args(["-p1", "--binary", "-i", "diff"])
        .current_dir(patched.path())
        .output()
        .unwrap();
    assert!(patch.status.success(), "{patch:?}");
    fs::remove_file(diff).unwrap();
    succeeded(&rewrite(rewritten.path(), &["src"]));
    assert_eq!(contents(patched.path()), contents(rewritten.path()));

    let checked = rewrite(module().path(), &["--diff", "--check", "src"]);
    assert_eq!(checked.status.code(), Some(3));
    assert!(
        checked.stdout.starts_with(b"--- a/src/once.h\n+++ b/src/once.h\n@@ -1 +1 @@\n-static")
    );
    let coloured = rewrite(module().path(), &["--diff", "--color", "always", "src"]).stdout;
    let text = String::from_utf8_lossy(&coloured);
    assert!(text.contains("\u{1b}[31m-static") && text.contains("\u{1b}[32m+static"), "{text}");
    // Without the colours it is the same, byte for byte.
    let plain = rewrite(module().path(), &["--diff", "src"]).stdout;
    let mut stripped = Vec::new();
    let mut rest = coloured.as_slice();
    while let Some(at) = rest.iter().position(|byte| *byte == 0x1b) {
        stripped.extend_from_slice(&rest[..at]);
        let end = rest[at..].iter().position(|byte| *byte == b'm').unwrap();
        rest = &rest[at + end + 1..];
    }
    stripped.extend_from_slice(rest);
    assert_eq!(stripped, plain);
}

#[test]
fn json_tells_all_of_it() {
    let directory = module();
    fs::write(directory.path().join("src/odd.c"), "static const int t = 1; /* open").unwrap();
    let json = succeeded(&rewrite(directory.path(), &["--diff", "--json", "src"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["written"], false);
    let file = |name: &str| {
        let files = json["files"].as_array().unwrap();
        files.iter().find(|file| file["path"] == name).cloned().unwrap()
    };
    assert_eq!(file("src/table.c")["objects"][0]["name"], "table");
    assert_eq!(file("src/table.c")["objects"][0]["line"], 2);
    assert_eq!(file("src/shared.h")["kept"][0]["name"], "shared");
    assert_eq!(file("src/shared.h")["objects"].as_array().unwrap().len(), 0);
    assert_eq!(file("src/odd.c")["left"]["reason"], "a comment is not closed");
    assert_eq!(json["files"].as_array().unwrap().len(), 5);
}

#[test]
fn firmware_is_given_the_sections_of_its_compiler() {
    let directory = tempfile::tempdir().unwrap();
    let source = "static const char a[] = \"\";\nstatic const char *const b = \"\";\n";
    fs::write(directory.path().join("a.c"), source).unwrap();
    let output = rewrite(directory.path(), &["--for", "firmware", "--check", "a.c"]);
    failed(&output, 3, &["b stays as it is: it may hold addresses"]);
    assert!(output.stdout.ends_with(b"a.c:1: a .rodata.a\n"));
}

#[test]
fn a_file_is_found_through_a_symlink_and_counted_once() {
    let directory = module();
    let root = directory.path();
    symlink("src/table.c", root.join("link.c")).unwrap();
    symlink("../src/table.c", root.join("src/inner.c")).unwrap();
    let output = rewrite(root, &["link.c", "src/table.c", "src"]);
    assert_eq!(succeeded(&output).lines().count(), 2);
    assert!(root.join("link.c").is_symlink());
    assert!(root.join("src/inner.c").is_symlink());
    let after = fs::read(root.join("link.c")).unwrap();
    assert_eq!(after.windows(11).filter(|window| window == b"__section__").count(), 1);
}

#[test]
fn bad_input_is_refused_before_anything_is_written() {
    let directory = module();
    let root = directory.path();
    fs::create_dir(root.join("empty")).unwrap();
    symlink("gone.c", root.join("dangling.c")).unwrap();
    fs::write(root.join("fixed.c"), "static const int t = 1;\n").unwrap();
    fs::set_permissions(root.join("fixed.c"), fs::Permissions::from_mode(0o444)).unwrap();
    fs::write(root.join("image.c"), b"\x7fELF\0\0static const int t = 1;").unwrap();
    fs::write(root.join("open.c"), "static const int t = 1;\nchar *s = \"open;\n").unwrap();
    let before = contents(root);
    let go = |path: &str| rewrite(root, &["src", path]);
    failed(&go("nowhere"), 3, &["cannot read nowhere: no such file"]);
    failed(&go("empty"), 3, &["empty holds no C files", "hint:"]);
    failed(&go("src/Makefile"), 3, &["src/Makefile is no C file", "hint:"]);
    failed(&go("src/c.cpp"), 3, &["src/c.cpp is no C file", "hint:"]);
    failed(&go("dangling.c"), 3, &["cannot read dangling.c: no such file"]);
    failed(&go("fixed.c"), 3, &["fixed.c is read-only", "hint: make it writable: chmod u+w"]);
    failed(&rewrite(root, &[]), 2, &["PATH"]);
    failed(&rewrite(root, &["--for", "windows", "src"]), 2, &["natmod"]);
    assert_eq!(contents(root), before);

    let output = rewrite(root, &["image.c", "open.c"]);
    assert_eq!(succeeded(&output), "");
    let said = stderr(&output);
    assert!(said.contains("image.c:1: the file stays as it is: it holds a zero byte"), "{said}");
    assert!(said.contains("open.c:2: the file stays as it is: a quote is not closed"), "{said}");
    assert_eq!(contents(root), before);
    let quiet = rewrite(root, &["--quiet", "open.c"]);
    assert!(quiet.stderr.is_empty() && quiet.stdout.is_empty());
}
