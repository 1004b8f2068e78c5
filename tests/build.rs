//! `build`: real firmware from real MicroPython, and what bad input gets.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{micropython, require};
use object::{Object, ObjectSection, SectionFlags};
use serde_json::Value;
use tempfile::TempDir;

const WITHOUT_SUBMODULES: [&str; 6] = [
    "--make-arg",
    "MICROPY_PY_BTREE=0",
    "--make-arg",
    "MICROPY_PY_SSL=0",
    "--make-arg",
    "MICROPY_SSL_MBEDTLS=0",
];

fn mpb() -> Command {
    Command::new(env!("CARGO_BIN_EXE_micropython-builder"))
}

/// A file or directory of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn build(board: &str, tree: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = mpb();
    command.args(["build", board, "--micropython"]).arg(tree).arg("--out").arg(out).args(more);
    command
}

/// With the example's frozen module, and no `require`, which the source package cannot serve.
fn build_hello(board: &str, tree: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = build(board, tree, out, more);
    command.arg("--manifest").arg(repository("examples/hello/manifest.py"));
    command.arg("--user-c-modules").arg(repository("examples/modules"));
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn succeed(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Fails with this exit code, a message and a hint that hold these words, and no output directory.
#[track_caller]
fn fail(mut command: Command, code: i32, words: &[&str]) -> String {
    let output = command.output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
    text
}

fn record(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("firmware.json")).unwrap()).unwrap()
}

fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Builds a board with a frozen module that calls a user C module, boots it, and reads both back.
fn build_boot_and_ask(board: &str, more: &[&str]) -> Option<tempfile::TempDir> {
    let tree = micropython()?;
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    succeed(build_hello(board, &tree, &out, more));
    let mut run = mpb();
    run.arg("run").arg(&out).arg("--script").arg(repository("examples/hello/ask.py"));
    let answer = succeed(run);
    assert!(answer.contains("built by micropython-builder"), "{answer}");
    assert!(answer.contains("[0, 1, 3, 6, 10, 15, 21, 28, 36, 45]"), "{answer}");
    let record = record(&out);
    assert_eq!(record["board"], board);
    assert_eq!(record["frozen_modules"], serde_json::json!(["hello.py"]));
    assert_eq!(record["user_c_modules"][0]["name"], "triangle");
    Some(directory)
}

#[test]
fn a_riscv_board_is_built_and_answers() {
    if require("riscv64-unknown-elf-gcc") && require("qemu-system-riscv32") {
        build_boot_and_ask("VIRT_RV32", &[]);
    }
}

#[test]
fn an_arm_board_is_built_and_answers() {
    if require("arm-none-eabi-gcc") && require("qemu-system-arm") {
        build_boot_and_ask("MPS2_AN385", &[]);
    }
}

#[test]
fn the_unix_port_is_built_and_answers() {
    if require("pkg-config") {
        build_boot_and_ask("unix", &WITHOUT_SUBMODULES);
    }
}

#[test]
fn two_builds_in_two_places_have_the_same_bytes_and_leave_the_source_alone() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let hash = |path: &Path| {
        let mut hash = mpb();
        hash.arg("hash").arg(path);
        succeed(hash)
    };
    let before = hash(&tree);
    let one = directory.path().join("one");
    let two = directory.path().join("an öther place/it's $two");
    fs::create_dir_all(two.parent().unwrap()).unwrap();
    succeed(build_hello("unix", &tree, &one, &WITHOUT_SUBMODULES));
    succeed(build_hello("unix", &tree, &two, &WITHOUT_SUBMODULES));
    assert_eq!(hash(&one), hash(&two));
    assert_eq!(hash(&tree), before, "the source tree was written to");
    assert_eq!(names_in(directory.path()), ["an öther place", "one"]);
}

#[test]
fn a_firmware_is_replaced_and_the_build_directory_kept_on_request() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let minimal = |more: &[&str]| {
        let mut command = build("unix", &tree, &out, more);
        command.args(["--variant", "minimal"]);
        command
    };
    succeed(minimal(&[]));
    assert_eq!(names_in(&out), ["firmware.json", "micropython", "micropython.map"]);
    let printed = succeed(minimal(&["--keep-build", "--json"]));
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed, record(&out));
    assert_eq!(names_in(directory.path()), ["out", "out.build"]);
    assert!(directory.path().join("out.build/build/micropython").is_file());
}

#[test]
fn symbols_go_where_they_are_asked_for_and_not_into_the_record() {
    if !require("riscv64-unknown-elf-gcc") {
        return;
    }
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let (out, symbols) = (directory.path().join("out"), directory.path().join("symbols"));
    let more = ["--symbols", symbols.to_str().unwrap()];
    // What an emulator boots stays where it is looked for.
    succeed(build_hello("VIRT_RV32", &tree, &out, &more));
    assert_eq!(names_in(&out), ["firmware.elf", "firmware.json"]);
    assert_eq!(names_in(&symbols), ["firmware.map"]);
    assert_eq!(record(&out)["files"].as_array().unwrap().len(), 1);
    fs::write(symbols.join("notes.txt"), "mine").unwrap();
    let command = build_hello("VIRT_RV32", &tree, &out, &more);
    fail(command, 3, &["holds other files than ELF files and maps", "--symbols"]);
    assert_eq!(names_in(&symbols), ["firmware.map", "notes.txt"]);
}

#[test]
fn submodules_that_the_tree_lacks_are_taken_from_where_they_are_given() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let given = directory.path().join("berkeley-db");
    let header = given.join("include/berkeley-db/db.h");
    fs::create_dir_all(header.parent().unwrap()).unwrap();
    let option = |path: &str, place: &Path| format!("{path}={}", place.display());
    let build = |option: &str| {
        let mut more = vec!["--submodule", option];
        // Of the three, only the one that is given is built in.
        more.extend(WITHOUT_SUBMODULES.iter().filter(|it| **it != "MICROPY_PY_BTREE=0"));
        more.remove(more.iter().position(|it| *it == "--make-arg").unwrap());
        build_hello("unix", &tree, &out, &more)
    };
    let path = "lib/berkeley-db-1.xx";
    fs::write(header, "#error this is the one that was given\n").unwrap();
    fail(build(&option(path, &given)), 4, &["this is the one that was given"]);

    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for (given, code, words) in [
        (option(path, &empty), 3, ["is empty", "give a checkout"]),
        (option(path, Path::new("/nowhere")), 3, ["/nowhere", path]),
        (option("lib/nothing", &empty), 3, ["has no submodule lib/nothing", "lib/mbedtls"]),
        (path.to_owned(), 2, ["expected PATH=DIR", "--submodule"]),
    ] {
        fail(build(&given), code, &words);
    }
    assert!(!out.exists());
}

#[test]
fn builds_with_makefiles_are_neither_saved_nor_begun_with_saved_ones() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    for option in ["--save-build", "--from-build"] {
        let command = build_hello("VIRT_RV32", &tree, &out, &[option, "build.tar.zst"]);
        fail(command, 2, &["of the port qemu can be neither saved", "leave --save-build"]);
    }
}

#[test]
fn a_patch_changes_the_firmware_and_is_recorded() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let patch = directory.path().join("banner.patch");
    let source =
        fs::read_to_string(tree.join("ports/unix/variants/minimal/mpconfigvariant.h")).unwrap();
    let lines = source.lines().count();
    let last = source.lines().last().unwrap();
    fs::write(
        &patch,
        format!(
            "--- a/ports/unix/variants/minimal/mpconfigvariant.h\n+++ b/ports/unix/variants/minimal/mpconfigvariant.h\n\
             @@ -{lines},1 +{lines},2 @@\n {last}\n+#define MICROPY_PLATFORM_VERSION_PATCHED (1)\n"
        ),
    )
    .unwrap();
    let out = directory.path().join("out");
    let mut command =
        build("unix", &tree, &out, &["--variant", "minimal", "--keep-build", "--patch"]);
    command.arg(&patch);
    succeed(command);
    assert_eq!(record(&out)["patches"][0]["name"], "banner.patch");
    let patched = directory
        .path()
        .join("out.build/micropython/ports/unix/variants/minimal/mpconfigvariant.h");
    assert!(fs::read_to_string(patched).unwrap().contains("PATCHED"));
    assert_eq!(
        fs::read_to_string(tree.join("ports/unix/variants/minimal/mpconfigvariant.h")).unwrap(),
        source
    );
}

#[test]
fn bad_input_is_refused_with_what_mends_it() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let out = place.join("out");
    let file = |name: &str, text: &str| -> String {
        fs::write(place.join(name), text).unwrap();
        place.join(name).to_str().unwrap().to_owned()
    };
    fs::create_dir(place.join("empty")).unwrap();
    let empty = place.join("empty").to_str().unwrap().to_owned();
    let manifest = file("fine.py", "");
    let go = |more: &[&str]| build("unix", &tree, &out, more);

    fail(
        build("unix", &place.join("empty"), &out, &[]),
        3,
        &["is not a MicroPython source tree", "hint:"],
    );
    fail(build("unix", &place.join("nowhere"), &out, &[]), 3, &["nowhere", "hint:"]);
    fail(build("VIRT_RV23", &tree, &out, &[]), 3, &["VIRT_RV23", "VIRT_RV32"]);
    fail(go(&["--variant", "minimall"]), 3, &["minimall", "minimal"]);
    fail(build("PYBV11", &tree, &out, &[]), 3, &["port stm32 is not supported yet"]);
    fail(go(&["--manifest", "nowhere.py"]), 3, &["the manifest nowhere.py does not exist"]);
    let requires = file("requires.py", "require('unittest')");
    fail(
        build("VIRT_RV32", &tree, &out, &["--manifest", &requires]),
        3,
        &["requires \"unittest\" of micropython-lib", "--micropython-lib DIR"],
    );
    let broken = file("broken.py", "freeze(");
    fail(
        build("VIRT_RV32", &tree, &out, &["--manifest", &broken]),
        3,
        &["the frozen manifest cannot be used", "broken.py"],
    );
    fail(go(&["--micropython-lib", &empty]), 3, &["is no micropython-lib"]);
    fail(go(&["--user-c-modules", &empty]), 3, &["holds no user C module", "micropython.mk"]);
    fail(go(&["--patch", "nowhere.patch"]), 3, &["nowhere.patch"]);
    let stale =
        file("stale.patch", "--- a/py/obj.c\n+++ b/py/obj.c\n@@ -1,1 +1,1 @@\n-no such line\n+x\n");
    fail(go(&["--patch", &stale]), 3, &["stale.patch does not apply", "hint:"]);
    fail(
        go(&["--manifest", &manifest]),
        3,
        &["lib/berkeley-db-1.xx", "--make-arg MICROPY_PY_BTREE=0"],
    );
    fail(go(&["--make-arg", "BOARD"]), 2, &["not of the form NAME=VALUE"]);
    fail(go(&["--make-arg", "BUILD=x"]), 2, &["set by --out"]);
    fail(go(&["--time-limit", "soon"]), 2, &["--time-limit"]);

    fs::create_dir(&out).unwrap();
    fs::write(out.join("thesis.txt"), "years of work").unwrap();
    fail(go(&["--manifest", &manifest]), 3, &["holds other files", "hint:"]);
    assert_eq!(names_in(&out), ["thesis.txt"]);
    assert_eq!(
        names_in(place),
        ["broken.py", "empty", "fine.py", "out", "requires.py", "stale.patch"],
        "something was left behind"
    );
}

/// A user C module of two files, each with a table of the same name.
fn module_with_tables(directory: &Path) -> PathBuf {
    let module = directory.join("tables");
    fs::create_dir(&module).unwrap();
    let sources = "SRC_USERMOD_C += $(USERMOD_DIR)/tables.c $(USERMOD_DIR)/more.c\n";
    fs::write(module.join("micropython.mk"), sources).unwrap();
    fs::write(
        module.join("tables.c"),
        "#include \"py/runtime.h\"\n\
         static uint16_t const table[] = {1, 2, 3};\n\
         static const char /* ; */ text[] = \"static const char x[] = {1};\";\n\
         static const char *const names[] = {\"one\", \"two\"};\n\
         int more(int i);\n\
         static mp_obj_t at(mp_obj_t i_in) {\n\
             int i = mp_obj_get_int(i_in);\n\
             mp_obj_t all[] = {mp_obj_new_int(table[i]), mp_obj_new_int(more(i)), mp_obj_new_int(text[i]), mp_obj_new_int(names[i][0])};\n\
             return mp_obj_new_tuple(4, all);\n\
         }\n\
         static MP_DEFINE_CONST_FUN_OBJ_1(at_obj, at);\n\
         static const mp_rom_map_elem_t globals_table[] = {\n\
             { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_tables) },\n\
             { MP_ROM_QSTR(MP_QSTR_at), MP_ROM_PTR(&at_obj) },\n\
         };\n\
         static MP_DEFINE_CONST_DICT(globals, globals_table);\n\
         const mp_obj_module_t tables_module = { .base = { &mp_type_module }, .globals = (mp_obj_dict_t *)&globals };\n\
         MP_REGISTER_MODULE(MP_QSTR_tables, tables_module);\n",
    )
    .unwrap();
    fs::write(
        module.join("more.c"),
        "static const int table[] = {10, 20, 30};\nint more(int i);\nint more(int i) { return *(&table[1] + i - 1); }\n",
    )
    .unwrap();
    module
}

/// What of an ELF file is loaded: the sections' contents, by name.
fn loaded(program: &Path) -> Vec<(String, Vec<u8>)> {
    let data = fs::read(program).unwrap();
    let file = object::File::parse(data.as_slice()).unwrap();
    let sections = file.sections().filter(|section| {
        let SectionFlags::Elf { sh_flags } = section.flags() else { return false };
        // The build identifier is a hash of all the file, with the names of sections in it.
        sh_flags & u64::from(object::elf::SHF_ALLOC) != 0
            && section.name() != Ok(".note.gnu.build-id")
    });
    sections
        .map(|section| (section.name().unwrap().to_owned(), section.data().unwrap().to_vec()))
        .collect()
}

/// Builds a board with and without the static-const rewrite, and asks both what is in the tables. Returns
/// the two firmware directories, and what they are in.
fn with_and_without_rewrite(board: &str, more: &[&str]) -> Option<(PathBuf, PathBuf, TempDir)> {
    let tree = micropython()?;
    let directory = tempfile::tempdir().unwrap();
    let module = module_with_tables(directory.path());
    let hash = |path: &Path| {
        let mut hash = mpb();
        hash.arg("hash").arg(path);
        succeed(hash)
    };
    let before = hash(&module);
    let go = |when: &str| {
        let out = directory.path().join(when);
        let mut command = build_hello(board, &tree, &out, more);
        command.args(["--static-const", when, "--user-c-modules"]).arg(&module);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let mut run = mpb();
        run.arg("run")
            .arg(&out)
            .args(["--exec", "import tables; print(tables.at(0), tables.at(1))"]);
        assert_eq!(succeed(run), "(1, 10, 115, 111) (2, 20, 116, 116)\n");
        (out, stderr(&output))
    };
    let (on, said) = go("on");
    let (off, said_without) = go("off");
    assert_eq!(hash(&module), before, "the user's files were written to");
    assert!(said.contains("static const: a section in tables/more.c for table\n"), "{said}");
    assert!(
        said.contains("static const: a section in tables/tables.c for table, text\n"),
        "{said}"
    );
    assert!(!said_without.contains("static const"), "{said_without}");
    assert_eq!(
        record(&on)["static_const"],
        serde_json::json!([
            {"file": "tables/more.c", "line": 1, "name": "table", "section": ".rodata.table"},
            {"file": "tables/tables.c", "line": 2, "name": "table", "section": ".rodata.table"},
            {"file": "tables/tables.c", "line": 3, "name": "text", "section": ".rodata.text"},
        ])
    );
    assert_eq!(record(&off).get("static_const"), None);
    assert_eq!(record(&on)["user_c_modules"], record(&off)["user_c_modules"]);
    Some((on, off, directory))
}

#[test]
fn with_the_static_const_rewrite_the_unix_port_has_the_same_bytes() {
    if !require("pkg-config") {
        return;
    }
    if let Some((on, off, _kept)) = with_and_without_rewrite("unix", &WITHOUT_SUBMODULES) {
        assert_eq!(loaded(&on.join("micropython")), loaded(&off.join("micropython")));
    }
}

#[test]
fn with_the_static_const_rewrite_a_riscv_board_answers_the_same() {
    if require("riscv64-unknown-elf-gcc") && require("qemu-system-riscv32") {
        with_and_without_rewrite("VIRT_RV32", &[]);
    }
}

#[test]
fn a_failing_build_shows_the_first_error_and_keeps_the_last_firmware() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("broken");
    fs::create_dir(&module).unwrap();
    fs::write(module.join("micropython.mk"), "SRC_USERMOD_C += $(USERMOD_DIR)/broken.c\n").unwrap();
    fs::write(module.join("broken.c"), "this is no C;\n").unwrap();
    let out = directory.path().join("out");
    succeed(build("unix", &tree, &out, &["--variant", "minimal"]));
    let before = record(&out);
    let mut command = build("unix", &tree, &out, &["--variant", "minimal", "--user-c-modules"]);
    command.arg(&module);
    fail(command, 4, &["broken.c:1:1: error:", "the whole log:"]);
    assert_eq!(record(&out), before);
    assert_eq!(names_in(directory.path()), ["broken", "out", "out.log"]);
}

/// A user C module whose compilation never ends.
fn endless_module(directory: &Path) -> PathBuf {
    let module = directory.join("endless");
    fs::create_dir(&module).unwrap();
    fs::write(module.join("micropython.mk"), "$(BUILD)/genhdr/qstr.i.last: endless\nendless:\n\techo begun > $(USER_C_MODULES)/../../begun; sleep 1000\n").unwrap();
    module
}

/// The processes that work in or below a directory.
fn processes_below(directory: &Path) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| fs::read_link(process.path().join("cwd")).ok())
        .filter(|cwd| cwd.starts_with(directory))
        .collect()
}

#[track_caller]
fn nothing_is_left(directory: &Path) {
    let started = Instant::now();
    while !processes_below(directory).is_empty() && started.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(processes_below(directory), Vec::<PathBuf>::new());
}

#[test]
fn a_build_that_hangs_is_ended_by_its_time_limit() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let module = endless_module(directory.path());
    let out = directory.path().join("out");
    // mpy-cross first, so that the limit is the hanging build's alone.
    succeed(build("unix", &tree, &directory.path().join("warm"), &["--variant", "minimal"]));
    let mut command = build(
        "unix",
        &tree,
        &out,
        &["--variant", "minimal", "--time-limit", "25", "--user-c-modules"],
    );
    command.arg(&module);
    fail(command, 4, &["did not end within its time limit", "--time-limit"]);
    nothing_is_left(directory.path());
    assert_eq!(names_in(directory.path()), ["begun", "endless", "out.log", "warm"]);
}

#[test]
fn an_interrupted_build_leaves_nothing_behind() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let module = endless_module(directory.path());
    let out = directory.path().join("out");
    let mut command = build("unix", &tree, &out, &["--variant", "minimal", "--user-c-modules"]);
    let mut child = command.arg(&module).stderr(Stdio::piped()).spawn().unwrap();
    let begun = directory.path().join("begun");
    let started = Instant::now();
    while !begun.exists() {
        assert!(started.elapsed() < Duration::from_secs(300), "the build did not begin");
        thread::sleep(Duration::from_millis(50));
    }
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    nothing_is_left(directory.path());
    assert_eq!(names_in(directory.path()), ["begun", "endless"]);
}

#[test]
fn a_full_disk_is_named_and_nothing_is_left() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs -o size=16m small {0} && {{ (cd {0} && ! \"$@\" && ls -A); s=$?; umount {0}; exit $s; }}",
        directory.path().display()
    );
    // Root may mount; anyone else may in a name space of their own, which a chroot forbids to root.
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let mut command = if is_root {
        Command::new("sh")
    } else if require("unshare") {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh"]);
        unshare
    } else {
        return;
    };
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_micropython-builder")]);
    command
        .args(["build", "unix", "--variant", "minimal", "--out", "out", "--micropython"])
        .arg(&tree);
    let output = command.output().unwrap();
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("no space left on device"), "{text}");
    assert!(text.contains("hint: free some space"), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "something was left behind");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let blocked = directory.path().join("file");
    fs::write(&blocked, "").unwrap();
    fail(
        build("unix", &tree, &blocked.join("out"), &["--variant", "minimal"]),
        3,
        &["cannot", blocked.to_str().unwrap()],
    );
    // Root may write anywhere; anyone else gets a clear refusal.
    let closed = directory.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(closed.join("probe"), "").is_err() {
        fail(
            build("unix", &tree, &closed.join("out"), &["--variant", "minimal"]),
            3,
            &["permission denied"],
        );
    }
}
