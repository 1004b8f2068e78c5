//! What the tests of `natmod` share.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::common::command::{mpb, stderr};
use super::common::{micropython, python, require};

/// What a test of `natmod` needs for this machine's own architecture; none as with [`require`].
pub struct Tools {
    pub tree: PathBuf,
    pub python: PathBuf,
}

impl Tools {
    pub fn find() -> Option<Tools> {
        let there = ["make", "gcc"].into_iter().all(require);
        let python = python(&["elftools", "ar"])?;
        Some(Tools { tree: micropython()?, python }).filter(|_| there)
    }

    /// `natmod MODULE --out OUT` with the tree and the Python of the tests.
    pub fn natmod(&self, module: &Path, out: &Path) -> Command {
        let mut command = self.natmod_alone(module, out);
        command.arg("--micropython").arg(&self.tree);
        command
    }

    /// The same without a MicroPython.
    pub fn natmod_alone(&self, module: &Path, out: &Path) -> Command {
        let mut command = mpb();
        command.arg("natmod").arg(module).arg("--out").arg(out);
        command.arg("--python").arg(&self.python);
        if let Some(path) = path_with_xtensawin() {
            command.env("PATH", path);
        }
        command
    }

    /// One of upstream's examples.
    pub fn example(&self, name: &str) -> PathBuf {
        self.tree.join("examples/natmod").join(name)
    }
}

/// PATH with the compilers for Xtensa that `tests/xtensa/toolchain` made, where `MPB_XTENSA` names them.
pub fn path_with_xtensawin() -> Option<std::ffi::OsString> {
    let bin = PathBuf::from(std::env::var_os("MPB_XTENSA")?).join("bin");
    let path = std::env::var_os("PATH")?;
    std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path))).ok()
}

/// A directory with a module: a Makefile with `MOD = mymodule`, and the sources.
pub fn module(sources: &[(&str, &str)]) -> TempDir {
    module_with("", sources)
}

/// The same, with more lines in the Makefile before the include.
pub fn module_with(lines: &str, sources: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let names: Vec<&str> = sources.iter().map(|(name, _)| *name).collect();
    let compiled: Vec<&str> =
        names.into_iter().filter(|name| name.ends_with(".c") || name.ends_with(".py")).collect();
    let makefile = format!(
        "MOD = mymodule\nSRC = {}\nARCH ?= x64\n{lines}\ninclude $(MPY_DIR)/py/dynruntime.mk\n",
        compiled.join(" ")
    );
    for (name, text) in [("Makefile", makefile.as_str())].iter().chain(sources) {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

/// A module whose `answer()` is the value of an expression in C; more code may stand before it.
pub fn answering(before: &str, expression: &str) -> String {
    format!(
        "#include \"py/dynruntime.h\"\n{before}\n\
         static mp_obj_t answer(mp_obj_t x) {{\n    int n = mp_obj_get_int(x);\n    (void)n;\n    \
         return mp_obj_new_int({expression});\n}}\n\
         static MP_DEFINE_CONST_FUN_OBJ_1(answer_obj, answer);\n\
         mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {{\n    \
         MP_DYNRUNTIME_INIT_ENTRY\n    \
         mp_store_global(MP_QSTR_answer, MP_OBJ_FROM_PTR(&answer_obj));\n    \
         MP_DYNRUNTIME_INIT_EXIT\n}}\n"
    )
}

/// The record in a directory of modules.
pub fn record(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("natmod.json")).unwrap()).unwrap()
}

#[track_caller]
pub fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", stderr(&output));
    output
}

// Each test program uses some of these.
const _: fn(&Tools, &str) -> PathBuf = Tools::example;
const _: fn(&Tools, &Path, &Path) -> Command = Tools::natmod;
const _: fn(&[(&str, &str)]) -> TempDir = module;
const _: fn(&str, &str) -> String = answering;
const _: fn(&Path) -> Value = record;
const _: fn(&mut Command) -> Output = succeeds;
