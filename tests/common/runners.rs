//! What runs native modules of each architecture: the unix port, QEMU's boards, and for Xtensa a small port of
//! our own (`tests/xtensa`).

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use rustix::fs::{FlockOperation, flock};

use super::common::command;
use super::firmware::firmware;
use super::natmod::{path_with_xtensawin, succeeds};

/// What runs an architecture's code.
#[derive(Debug, Clone, Copy)]
pub enum Runner {
    /// The unix port, as the tests' firmware of that name.
    Unix(&'static str),
    /// A board that QEMU emulates.
    Board(&'static str),
    /// Our port for Xtensa, by its ABI, and QEMU's name of the processor.
    Xtensa(&'static str, &'static str),
}

pub const RUNNERS: [(&str, Runner); 10] = [
    ("x64", Runner::Unix("unix")),
    ("x86", Runner::Unix("unix-32bit")),
    ("armv6m", Runner::Board("MPS2_AN385")),
    ("armv7m", Runner::Board("MPS2_AN385")),
    ("armv7emsp", Runner::Board("MPS2_AN500")),
    ("armv7emdp", Runner::Board("MPS2_AN500")),
    ("xtensa", Runner::Xtensa("call0", "lx106")),
    ("xtensawin", Runner::Xtensa("windowed", "de233_fpu")),
    ("rv32imc", Runner::Board("VIRT_RV32")),
    ("rv64imc", Runner::Board("VIRT_RV64")),
];

/// What stands before `gcc` in the name of the compiler for the ESP8266 that has a whole runtime.
pub fn call0_prefix() -> PathBuf {
    PathBuf::from(std::env::var_os("MPB_XTENSA").unwrap()).join("bin/xtensa-call0-elf-")
}

/// Whether there are compilers for both ABIs of Xtensa, with their libraries.
pub fn xtensa_compilers() -> bool {
    let there = std::env::var_os("MPB_XTENSA").is_some_and(|made| Path::new(&made).is_dir());
    assert!(
        there || std::env::var_os("MPB_REQUIRE_TOOLS").is_none(),
        "MPB_XTENSA names no directory that tests/xtensa/toolchain made"
    );
    if !there {
        eprintln!("skipped: MPB_XTENSA names no directory that tests/xtensa/toolchain made");
    }
    there
}

/// Our port for an ABI, built once for a tree.
fn xtensa_port(tree: &Path, abi: &str) -> PathBuf {
    let made = PathBuf::from(std::env::var_os("MPB_XTENSA").unwrap());
    let build = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("xtensa-port-{abi}"));
    fs::create_dir_all(&build).unwrap();
    let lock = File::create(build.with_extension("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    // Beside links under names that makefiles can use, whatever the paths are.
    let port = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/xtensa/port");
    let libgcc = made.join(abi).join("libgcc.a");
    succeeds(Command::new("cp").args(["-r", "--update"]).args([&port, &build]));
    for (name, path) in [("tree", tree), ("libgcc.a", &libgcc)] {
        let link = build.join(name);
        if fs::read_link(&link).ok().as_deref() != Some(path) {
            let _ = fs::remove_file(&link);
            // What was built from another one may be newer than this one.
            let _ = fs::remove_dir_all(build.join("build"));
            symlink(path, link).unwrap();
        }
    }
    let mut make = Command::new("make");
    make.current_dir(&build).args(["-j2", "-C", "port", "MICROPYTHON=../tree", "BUILD=../build"]);
    make.arg(format!("ABI={abi}")).arg("LIBGCC=../libgcc.a");
    succeeds(make.env("PATH", path_with_xtensawin().unwrap()).env("PYTHONDONTWRITEBYTECODE", "1"));
    build.join("build/micropython")
}

/// The command that runs a script from standard input, for a program of this machine.
pub fn program(tree: &Path, runner: Runner) -> Vec<String> {
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    match runner {
        Runner::Unix(name) => vec![text(firmware(name).unwrap().join("micropython"))],
        Runner::Xtensa(abi, cpu) => {
            vec!["qemu-xtensa".into(), "-cpu".into(), cpu.into(), text(xtensa_port(tree, abi))]
        }
        Runner::Board(_) => panic!("a board has no standard input"),
    }
}

/// Does something with each architecture and what runs it, all of them at once: most of the time they wait
/// for serial lines.
pub fn on_every_architecture(action: impl Fn(&'static str, Runner) + Sync) {
    thread::scope(|scope| {
        for (arch, runner) in RUNNERS {
            let action = &action;
            scope.spawn(move || action(arch, runner));
        }
    });
}

/// A module to import: its name and its file.
pub type Module = (String, PathBuf);

/// Runs a Python script that can import modules, on what runs an architecture, and returns what it prints.
/// The tree is the one that the port for Xtensa is built from.
pub fn run_with(tree: &Path, runner: Runner, modules: &[Module], code: &str) -> String {
    let board = match runner {
        Runner::Unix(board) | Runner::Board(board) => board,
        Runner::Xtensa(..) => return run_injected(&program(tree, runner), modules, code),
    };
    let directory = tempfile::tempdir().unwrap();
    for (name, file) in modules {
        fs::copy(file, directory.path().join(format!("{name}.mpy"))).unwrap();
    }
    let mut command = command::mpb();
    command.arg("run").arg(firmware(board).unwrap()).arg("--mount").arg(directory.path());
    let output = succeeds(command.args(["--timeout", "120", "--exec", code]));
    String::from_utf8(output.stdout).unwrap()
}

/// The same for a program that reads its script from standard input: the modules are in the script.
fn run_injected(program: &[String], modules: &[Module], code: &str) -> String {
    let mut files = String::new();
    for (name, file) in modules {
        write!(files, "\"{name}.mpy\": b\"").unwrap();
        for byte in fs::read(file).unwrap() {
            write!(files, "\\x{byte:02x}").unwrap();
        }
        files.push_str("\", ");
    }
    let script = INJECTED.replace("CONTENTS", &files) + code + "\n";
    let mut child = Command::new(&program[0])
        .args(&program[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{modules:?}: {:?} {said}", output.status);
    said
}

/// A file system with some files in it.
const INJECTED: &str = r#"
import io, sys, vfs
FILES_BY_NAME = {CONTENTS}
class OneFile(io.IOBase):
    def __init__(self, data):
        self.data = data
        self.at = 0
    def readinto(self, buffer):
        data = self.data[self.at:self.at + len(buffer)]
        buffer[:len(data)] = data
        self.at += len(data)
        return len(data)
    def ioctl(self, request, argument):
        return 0
class FileSystem:
    def mount(self, readonly, mkfs):
        pass
    def stat(self, path):
        if path.strip("/") not in FILES_BY_NAME:
            raise OSError(2)
        return (0x8000,) + (0,) * 9
    def open(self, path, mode):
        return OneFile(FILES_BY_NAME[path.strip("/")])
vfs.mount(FileSystem(), "/injected")
sys.path.insert(0, "/injected")
"#;

// Each test program uses some of these.
const _: fn(&Path, Runner) -> Vec<String> = program;
