//! `build --static-const`: a firmware's C modules answer the same with the rewrite and without.

#[path = "common/building.rs"]
mod building;
mod common;

use std::fs;
use std::path::{Path, PathBuf};

use building::{MINIMAL, build, hash, record};
use common::command::{mpb, repository, stderr, succeed};
use common::{micropython, require};
use object::{Object, ObjectSection, SectionFlags};

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

/// Builds a board with the module, boots it, reads back what is in the tables, and returns what the build said.
fn built_and_asked(board: &str, out: &Path, module: &Path, more: &[&str]) -> String {
    let mut command = build(board, &micropython().unwrap(), out, more);
    let output = command.arg("--user-c-modules").arg(module).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let mut run = mpb();
    let code = "import tables; print(tables.at(0), tables.at(1))";
    run.arg("run").arg(out).args(["--exec", code]);
    assert_eq!(succeed(run), "(1, 10, 115, 111) (2, 20, 116, 116)\n");
    stderr(&output)
}

#[test]
fn a_program_has_the_same_bytes_with_the_rewrite_and_without() {
    if micropython().is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let module = module_with_tables(directory.path());
    let before = hash(&module);
    let go = |when: &str| {
        let out = directory.path().join(when);
        let more = [MINIMAL.as_slice(), &["--static-const", when]].concat();
        let said = built_and_asked("unix", &out, &module, &more);
        (out, said)
    };
    let (on, said) = go("on");
    let (off, said_without) = go("off");
    assert_eq!(loaded(&on.join("micropython")), loaded(&off.join("micropython")));
    assert_eq!(hash(&module), before, "the user's files were written to");
    for line in ["tables/more.c for table\n", "tables/tables.c for table, text\n"] {
        assert!(said.contains(&format!("static const: a section in {line}")), "{said}");
    }
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
}

#[test]
fn a_board_answers_with_the_rewrite() {
    if !require("riscv64-unknown-elf-gcc") || !require("qemu-system-riscv32") {
        return;
    }
    if micropython().is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let module = module_with_tables(directory.path());
    let out = directory.path().join("out");
    // The board's own manifest asks for micropython-lib.
    let manifest = repository("examples/hello/manifest.py");
    let more = ["--static-const", "on", "--manifest", manifest.to_str().unwrap()];
    built_and_asked("VIRT_RV32", &out, &module, &more);
    assert_eq!(record(&out)["static_const"].as_array().unwrap().len(), 3);
}
