use std::process::Command;

use super::*;

fn write_file(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn header(workspace: &Path, inputs: Inputs) -> Header {
    Header {
        schema: SCHEMA,
        port: "esp32".to_owned(),
        board: "BOARD".to_owned(),
        variant: None,
        workspace: workspace.to_owned(),
        newest: 0,
        inputs,
    }
}

fn age(path: &Path) -> u64 {
    seconds(&fs::metadata(path).unwrap())
}

/// Sets everything back, as if it had been written earlier.
fn make_older(directory: &Path, by: u64) {
    for (path, metadata) in members(directory).unwrap() {
        if metadata.is_file() {
            let time = UNIX_EPOCH + Duration::from_secs(seconds(&metadata) - by);
            File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
        }
    }
}

fn tool(name: &str) -> bool {
    let found = Command::new(name).arg("--version").output().is_ok();
    assert!(found || std::env::var_os("MPB_REQUIRE_TOOLS").is_none(), "{name} is not installed");
    found
}

/// A project of two sources, one of which includes a header.
fn project(workspace: &Path) {
    write_file(
        &workspace.join("source/CMakeLists.txt"),
        "cmake_minimum_required(VERSION 3.16)\nproject(p C)\nadd_executable(p a.c b.c)\n\
         target_compile_definitions(p PRIVATE EXTRA=${EXTRA})\n",
    );
    write_file(&workspace.join("source/a.c"), "int b(void);\nint main(void) { return b(); }\n");
    write_file(&workspace.join("source/b.c"), "#include \"b.h\"\nint b(void) { return B; }\n");
    write_file(&workspace.join("source/b.h"), "#define B 1\n");
}

/// Configures and builds, and returns how many files were compiled.
fn build(workspace: &Path, extra: &str) -> usize {
    let run = |command: &mut Command| {
        let output = command.current_dir(workspace).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let define = format!("-DEXTRA={extra}");
    run(Command::new("cmake").args(["-G", "Ninja", "-S", "source", "-B", "build", &define]));
    let said = run(Command::new("ninja").args(["-C", "build"]));
    said.matches("Building C object").count()
}

#[test]
fn a_restored_build_compiles_what_differs_and_nothing_else() {
    if !tool("cmake") || !tool("ninja") || !tool("gcc") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().join("work");
    let file = directory.path().join("build.tar.zst");
    {
        let first = Workspace::at(&at).unwrap();
        project(first.path());
        make_older(first.path(), 1000);
        let inputs = settle_in(first.path(), &Inputs::default()).unwrap();
        assert_eq!(build(first.path(), "1"), 2);
        write(header(first.path(), inputs), first.path(), &file).unwrap();
    }
    assert!(!at.exists());

    // What is changed after copying, the flag that is given, and how many files that concerns.
    type Case<'a> = (&'a dyn Fn(&Path), &'a str, usize);
    let cases: [Case<'_>; 5] = [
        (&|_| {}, "1", 0),
        (&|it| write_file(&it.join("source/b.h"), "#define B 2\n"), "1", 1),
        (&|it| write_file(&it.join("source/a.c"), "int main(void) { return 0; }\n"), "1", 1),
        (&|it| fs::rename(it.join("source/b.h"), it.join("source/B.h")).unwrap(), "1", 1),
        (&|_| {}, "2", 2),
    ];
    // Its files are as old as this second.
    std::thread::sleep(Duration::from_millis(1100));
    for (index, (change, extra, expected)) in cases.into_iter().enumerate() {
        let mut archive = open(&file).unwrap();
        let (header, mut members) = read_header(&mut archive, &file).unwrap();
        let workspace = header.place().unwrap();
        unpack(&mut members, &workspace, &file).unwrap();
        project(workspace.path());
        change(workspace.path());
        if workspace.path().join("source/B.h").exists() {
            write_file(
                &workspace.path().join("source/b.c"),
                "#include \"B.h\"\nint b(void) { return B; }\n",
            );
        }
        settle_in(workspace.path(), &header.inputs).unwrap();
        assert_eq!(build(workspace.path(), extra), expected, "case {index}");
    }
}

#[test]
fn only_files_that_are_what_they_were_get_their_old_time() {
    let directory = tempfile::tempdir().unwrap();
    let workspace = directory.path();
    write_file(&workspace.join("same"), "same");
    write_file(&workspace.join("changed"), "before");
    write_file(&workspace.join("build/object"), "object");
    make_older(workspace, 5000);
    let before = settle_in(workspace, &Inputs::default()).unwrap();
    assert_eq!(before.0.keys().collect::<Vec<_>>(), ["changed", "same"]);
    let old = age(&workspace.join("same"));

    write_file(&workspace.join("same"), "same");
    write_file(&workspace.join("changed"), "after");
    // As a program is that was copied from Nix's store.
    let read_only = fs::Permissions::from_mode(0o555);
    fs::set_permissions(workspace.join("same"), read_only).unwrap();
    settle_in(workspace, &before).unwrap();
    assert_eq!(age(&workspace.join("same")), old);
    assert!(age(&workspace.join("changed")) > old);
}

#[test]
fn where_it_cannot_be_restored_everything_is_built() {
    let directory = tempfile::tempdir().unwrap();
    let taken = header(directory.path(), Inputs::default());
    let reason = taken.place().unwrap_err();
    assert!(reason.starts_with("it has to be at "), "{reason}");
    let mut future = header(&directory.path().join("new"), Inputs::default());
    future.newest = now() + 60;
    assert!(future.place().unwrap_err().contains("in the future"));
}

#[test]
fn what_is_no_saved_build_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let plain = zstd::encode_all(&b"not a tar archive"[..], LEVEL).unwrap();
    let mut empty = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL).unwrap());
    let mut member = tar::Header::new_gnu();
    member.set_size(0);
    empty.append_data(&mut member, "other", io::empty()).unwrap();
    let empty = empty.into_inner().unwrap().finish().unwrap();
    for (bytes, expected) in [
        (b"text".to_vec(), "no saved build"),
        (plain, "no saved build"),
        (empty, "does not begin with"),
    ] {
        fs::write(&file, bytes).unwrap();
        let mut archive = open(&file).unwrap();
        let error = read_header(&mut archive, &file).err().unwrap();
        assert!(error.message().contains(expected), "{error}");
        assert_eq!(error.kind(), crate::error::Kind::Input);
    }
}
