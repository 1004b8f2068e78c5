//! As much of MicroPython and ESP-IDF as `build` looks at before CMake runs, made up by the tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use micropython_builder::component::component_hash;
use micropython_builder::component::files::Defaults;
use micropython_builder::component::glob::FinalStars;
use micropython_builder::component::manifest::{Manifest, project_hash};
use serde_json::json;
use tempfile::TempDir;

use super::common::command::{self, failed, names_in, stderr};

pub fn mpb() -> Command {
    let mut command = command::mpb();
    command.env_remove("IDF_PATH").env_remove("SOURCE_DATE_EPOCH");
    command
}

pub fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub fn program(path: &Path, script: &str) {
    write(path, &format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

pub const MANIFEST: &str =
    "dependencies:\n  espressif/mdns: \"~1.1.0\"\n  idf:\n    version: \">=5.3.0\"\n";

/// As much of MicroPython, ESP-IDF, a compiler and a Python as is looked at before CMake runs.
/// CMake is a script that writes an `sdkconfig` and fails where `ninja` would begin.
pub struct Ground {
    directory: TempDir,
}

impl Ground {
    pub fn new() -> Ground {
        let ground = Ground { directory: tempfile::tempdir().unwrap() };
        ground.micropython();
        let idf = ground.path("idf");
        ground.idf_version("5.3.0");
        write(
            &idf.join("tools/cmake/toolchain-esp32c3.cmake"),
            "set(CMAKE_SYSTEM_NAME Generic)\nset(CMAKE_C_COMPILER riscv32-esp-elf-gcc)\n",
        );
        for submodule in ["mbedtls/mbedtls", "lwip/lwip", "heap/tlsf", "bt/host/nimble/nimble"] {
            write(&idf.join("components").join(submodule).join("README.md"), "there\n");
        }
        let tools = json!({"tools": [{"name": "riscv32-esp-elf",
            "versions": [{"name": "esp-13.2.0_20240530", "status": "recommended"}]}]});
        write(&idf.join("tools/tools.json"), &tools.to_string());
        ground.compiler("riscv32-esp-elf-gcc (crosstool-NG esp-13.2.0_20240530) 13.2.0");
        program(&ground.path("bin/python"), "exit 0");
        program(&ground.path("bin/mpy-cross"), "exit 0");
        ground.cmake("echo 'CMake Error: this is where the real one begins' >&2; exit 1");
        fs::create_dir(ground.path("work")).unwrap();
        ground
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn micropython(&self) {
        let tree = self.path("micropython");
        let version = "#define MICROPY_VERSION_MAJOR 1\n#define MICROPY_VERSION_MINOR 28\n\
            #define MICROPY_VERSION_MICRO 0\n#define MICROPY_VERSION_PRERELEASE 0\n";
        write(&tree.join("py/mpconfig.h"), version);
        write(&tree.join("mpy-cross/Makefile"), "");
        let port = tree.join("ports/esp32");
        write(&port.join("CMakeLists.txt"), "");
        write(&port.join("main/idf_component.yml"), MANIFEST);
        for (board, cmake) in [
            ("SOME_C3", "set(IDF_TARGET esp32c3)\n"),
            ("SOME_X9", "set(IDF_TARGET esp32x9)\n"),
            ("SOME", "# An ESP32.\n"),
        ] {
            let board = port.join("boards").join(board);
            write(&board.join("mpconfigboard.cmake"), cmake);
            write(&board.join("mpconfigboard.h"), "#define MICROPY_HW_BOARD_NAME \"Some\"\n");
        }
        let component = self.path("components/espressif__mdns");
        write(&component.join("idf_component.yml"), "version: 1.1.0\n");
        write(&component.join("mdns.c"), "int mdns;\n");
        let hash = component_hash(&component, Defaults::Kept, FinalStars::Directories).unwrap();
        write(&component.join(".component_hash"), &hash.to_string());
        self.lock(&hash.to_string(), ">=5.0");
    }

    pub fn lock(&self, component: &str, idf: &str) {
        let manifest = Manifest::parse(MANIFEST.as_bytes(), "").unwrap();
        let manifest = project_hash([("main", &manifest)]);
        let lock = format!(
            "dependencies:\n  espressif/mdns:\n    component_hash: {component}\n    dependencies:\n    \
             - name: idf\n      version: '{idf}'\n    source:\n      registry_url: https://example.org/\n      \
             type: service\n    version: 1.1.0\n  idf:\n    source:\n      type: idf\n    version: 5.5.1\n\
             manifest_hash: {manifest}\ntarget: esp32c3\nversion: 2.0.0\n"
        );
        write(&self.path("micropython/ports/esp32/lockfiles/dependencies.lock.esp32c3"), &lock);
    }

    pub fn idf_version(&self, version: &str) {
        let names = ["MAJOR", "MINOR", "PATCH"];
        let lines = names.iter().zip(version.split('.'));
        let text: String =
            lines.map(|(name, part)| format!("set(IDF_VERSION_{name} {part})\n")).collect();
        write(&self.path("idf/tools/cmake/version.cmake"), &text);
    }

    pub fn compiler(&self, says: &str) {
        program(&self.path("bin/riscv32-esp-elf-gcc"), &format!("echo '{says}'"));
    }

    pub fn cmake(&self, script: &str) {
        program(&self.path("bin/cmake"), script);
    }

    pub fn command(&self, board: &str) -> Command {
        let mut command = mpb();
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        command.env("PATH", path).current_dir(self.path("work"));
        command
            .args(["build", board, "--out", "out", "--mpy-cross"])
            .arg(self.path("bin/mpy-cross"));
        command.arg("--micropython").arg(self.path("micropython"));
        command
    }

    pub fn with_idf(&self) -> Command {
        let mut command = self.command("SOME_C3");
        command.arg("--idf").arg(self.path("idf")).arg("--python").arg(self.path("bin/python"));
        command
    }

    pub fn complete(&self) -> Command {
        let mut command = self.with_idf();
        command.arg("--components").arg(self.path("components"));
        command
    }

    /// Ends with this code; what it says holds these words, a hint among them; nothing is left behind.
    #[track_caller]
    pub fn refuses(&self, command: &mut Command, code: i32, words: &[&str]) {
        let output = command.output().unwrap();
        failed(&output, code, &[words, &["hint: "]].concat());
        let text = stderr(&output);
        assert_eq!(text.matches("error: ").count(), 1, "{text}");
        assert_eq!(output.stdout, b"");
        assert_eq!(names_in(&self.path("work")), Vec::<String>::new(), "something is left behind");
    }
}

// Each test program uses some of these.
const _: fn(&Ground, &mut Command, i32, &[&str]) = Ground::refuses;
