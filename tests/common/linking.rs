//! Native modules that upstream's makefile builds, with upstream's linker and with this one.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::common::{self, command};
use super::mpy_cross::mpy_cross;

/// What links in a module's directory to the tree, mpy-cross and this program are called.
const TREE: &str = ".micropython";
const MPY_CROSS: &str = ".mpy-cross";
const PROGRAM: &str = ".micropython-builder";

/// The architectures of MicroPython v1.25.
pub const ARCHS: [&str; 9] =
    ["x86", "x64", "armv6m", "armv7m", "armv7emsp", "armv7emdp", "xtensa", "xtensawin", "rv32imc"];

/// What compiles for an architecture, as `py/dynruntime.mk` names it.
pub fn compiler(arch: &str) -> &'static str {
    match arch {
        "x86" | "x64" => "gcc",
        "xtensa" => "xtensa-lx106-elf-gcc",
        "xtensawin" => "xtensa-esp32-elf-gcc",
        "rv32imc" | "rv64imc" => "riscv64-unknown-elf-gcc",
        _ => "arm-none-eabi-gcc",
    }
}

/// What building modules takes.
#[derive(Clone)]
pub struct Tools {
    pub tree: PathBuf,
    pub mpy_cross: PathBuf,
    /// The Python that upstream's linker runs with.
    pub python: PathBuf,
}

/// The tools, with mpy-cross built once; none when the machine lacks some.
pub fn tools() -> Option<Tools> {
    static TOOLS: OnceLock<Option<Tools>> = OnceLock::new();
    let find = || {
        let tree = common::micropython()?;
        let python = common::python(&["elftools", "ar"])?;
        if !common::require("make") || !common::require("gcc") {
            return None;
        }
        let mpy_cross = mpy_cross(&tree);
        Some(Tools { tree, mpy_cross, python })
    };
    TOOLS.get_or_init(find).clone()
}

/// Runs a command and returns what it printed on both streams.
pub fn try_run(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.concat();
    if output.status.success() { Ok(text) } else { Err(format!("{command:?}\n{text}")) }
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) -> String {
    try_run(command).unwrap_or_else(|text| panic!("{text}"))
}

/// This program as `py/dynruntime.mk` is to call it.
pub fn drop_in() -> [String; 2] {
    [
        format!("MPY_LD=./{PROGRAM} natmod-link --micropython $(MPY_DIR)"),
        format!("MPY_TOOL=./{PROGRAM} natmod-link"),
    ]
}

/// A directory for a module, with the cache of libraries that upstream's linker keeps in it and takes
/// seconds to fill.
fn place() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mpy_ld_cache");
    fs::create_dir_all(&cache).unwrap();
    symlink(cache, directory.path().join(".mpy_ld_cache")).unwrap();
    let program = env!("CARGO_BIN_EXE_micropython-builder");
    symlink(program, directory.path().join(PROGRAM)).unwrap();
    directory
}

/// The sources of a module in a directory of their own.
pub struct Module {
    directory: TempDir,
    variables: Vec<String>,
}

impl Module {
    /// A copy of an example of the tree.
    pub fn example(tools: &Tools, name: &str) -> Module {
        let directory = place();
        for entry in fs::read_dir(tools.tree.join("examples/natmod").join(name)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
        }
        Module { directory, variables: Vec::new() }
    }

    /// Sources by their names; all of them are compiled.
    pub fn sources(name: &str, sources: &BTreeMap<String, String>) -> Module {
        let directory = place();
        for (file, text) in sources {
            fs::write(directory.path().join(file), text).unwrap();
        }
        let compiled: Vec<&str> =
            sources.keys().map(String::as_str).filter(|file| !file.ends_with(".h")).collect();
        let makefile = format!(
            "MOD = {name}\nSRC = {}\nCFLAGS_EXTRA = -fwrapv\ninclude $(MPY_DIR)/py/dynruntime.mk\n",
            compiled.join(" ")
        );
        fs::write(directory.path().join("Makefile"), makefile).unwrap();
        Module { directory, variables: Vec::new() }
    }

    /// Sources made up at random, as they can be built for an architecture.
    pub fn generated(name: &str, sources: &BTreeMap<String, String>, arch: &str) -> Module {
        let module = Module::sources(name, sources);
        match arch {
            // Its compiler has a function for tables of jumps.
            "armv6m" => module.with("LINK_RUNTIME=1"),
            _ => module,
        }
    }

    /// Sets a variable of the makefile.
    pub fn with(mut self, variable: &str) -> Module {
        self.variables.push(variable.to_owned());
        self
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    fn make(
        &self,
        tools: &Tools,
        arch: &str,
        linker: &[String],
        target: Option<&str>,
    ) -> Result<String, String> {
        // Under names that makefiles can use, whatever the paths are.
        for (name, path) in [(TREE, &tools.tree), (MPY_CROSS, &tools.mpy_cross)] {
            let link = self.path().join(name);
            if !link.is_symlink() {
                symlink(path, link).unwrap();
            }
        }
        let mut make = Command::new("make");
        make.current_dir(self.path()).args(linker).args(&self.variables).args(target);
        make.arg(format!("MPY_DIR={TREE}")).arg(format!("MPY_CROSS=./{MPY_CROSS}"));
        make.arg(format!("PYTHON='{}'", tools.python.display()));
        // Upstream takes library members in the order of Python's hashes.
        make.env("PYTHONHASHSEED", "0").env_remove("MICROPYTHON");
        try_run(make.arg(format!("ARCH={arch}")).arg("BUILD=build"))
    }

    /// Builds it with upstream's linker: the bytes, or what it printed.
    pub fn with_upstream(&self, tools: &Tools, arch: &str) -> Result<Vec<u8>, String> {
        self.make(tools, arch, &[], None)?;
        Ok(fs::read(self.file()).unwrap())
    }

    /// Builds it with this linker: the bytes, or what it printed.
    pub fn with_ours(&self, tools: &Tools, arch: &str) -> Result<Vec<u8>, String> {
        self.make(tools, arch, &drop_in(), None)?;
        Ok(fs::read(self.file()).unwrap())
    }

    /// The arguments that the makefile gives to the linker, without those that name libraries.
    fn link_arguments(&self, tools: &Tools, arch: &str) -> [Vec<String>; 2] {
        const LINKER: &str = "LINKER";
        let linker = [format!("MPY_LD={LINKER}"), "-n".to_owned(), "-B".to_owned()];
        let commands = self.make(tools, arch, &linker, None).unwrap();
        let link = commands.lines().find(|line| line.contains("--qstrs")).unwrap();
        let words = link.split_whitespace().skip_while(|word| *word != LINKER).skip(1);
        let (libraries, others) = words.map(str::to_owned).partition(|word| word.starts_with("-l"));
        [others, libraries]
    }

    /// The library members that this linker links.
    pub fn members(&self, tools: &Tools, arch: &str) -> Vec<String> {
        let mut link = command::mpb();
        link.args(["--json", "--quiet", "natmod-link", "--micropython"]).arg(&tools.tree);
        link.args(self.link_arguments(tools, arch).concat()).current_dir(self.path());
        let report: serde_json::Value = serde_json::from_str(&run(&mut link)).unwrap();
        let members = report["members"].as_array().unwrap();
        members.iter().map(|member| member.as_str().unwrap().to_owned()).collect()
    }

    /// What upstream's linker makes of the object files and of library members given one by one.
    pub fn with_upstream_and_members(
        &self,
        tools: &Tools,
        arch: &str,
        members: &[String],
    ) -> Vec<u8> {
        let [arguments, _] = self.link_arguments(tools, arch);
        let mut link = Command::new(&tools.python);
        link.arg(tools.tree.join("tools/mpy_ld.py")).args(arguments).current_dir(self.path());
        for member in members {
            let (library, name) = member.strip_suffix(')').unwrap().split_once('(').unwrap();
            let archiver = compiler(arch).replace("gcc", "ar");
            run(Command::new(archiver).current_dir(self.path()).args(["x", library, name]));
            link.arg(name);
        }
        run(&mut link);
        fs::read(self.native()).unwrap()
    }

    /// Forgets what was linked, so that the next build links the same object files.
    pub fn unlink(&self) {
        fs::remove_file(self.file()).unwrap();
        fs::remove_file(self.native()).unwrap();
    }

    /// The only file of a directory of the module whose name ends so.
    fn only(&self, directory: &str, end: &str) -> PathBuf {
        let entries = fs::read_dir(self.path().join(directory)).unwrap();
        let mut found: Vec<PathBuf> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_str().unwrap().ends_with(end))
            .collect();
        assert_eq!(found.len(), 1, "{end}: {found:?}");
        found.remove(0)
    }

    /// The header that upstream's linker wrote, and the one that this one writes in its place. What was
    /// compiled with it stays up to date.
    pub fn headers(&self, tools: &Tools, arch: &str) -> [String; 2] {
        let path = self.only("build", ".config.h");
        let relative = format!("build/{}", path.file_name().unwrap().to_str().unwrap());
        let theirs = fs::read_to_string(&path).unwrap();
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        fs::remove_file(&path).unwrap();
        self.make(tools, arch, &drop_in(), Some(&relative)).unwrap();
        let ours = fs::read_to_string(&path).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        [theirs, ours]
    }

    /// The finished module.
    pub fn file(&self) -> PathBuf {
        self.only(".", ".mpy")
    }

    /// The module before Python files are merged into it.
    pub fn native(&self) -> PathBuf {
        self.only("build", ".native.mpy")
    }
}

/// Runs this program in a directory.
pub fn mpb(arguments: &[&str], directory: &Path) -> Output {
    command::mpb()
        .args(arguments)
        .current_dir(directory)
        .env_remove("MICROPYTHON")
        .output()
        .unwrap()
}

/// Compiles a C file with the flags that `py/dynruntime.mk` has for an architecture.
pub fn compile(directory: &Path, name: &str, arch: &str, flags: &[&str], source: &str) -> PathBuf {
    let own: &[&str] = match arch {
        "armv6m" => &["-mthumb", "-mcpu=cortex-m0"],
        "armv7m" => &["-mthumb", "-mcpu=cortex-m3"],
        "armv7emsp" => &["-mthumb", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"],
        "rv32imc" => &["-march=rv32imac", "-mabi=ilp32", "-mno-relax"],
        "x86" => &["-m32", "-fno-stack-protector"],
        _ => &[],
    };
    let end = if source.starts_with('.') { "s" } else { "c" };
    let file = directory.join(format!("{name}.{end}"));
    let object = directory.join(format!("{name}.o"));
    fs::write(&file, source).unwrap();
    let mut command = Command::new(compiler(arch));
    command.args(["-Os", "-ffreestanding", "-fpic", "-fno-common"]).args(own).args(flags);
    run(command.arg("-c").arg("-o").args([&object, &file]));
    object
}

// Each test program uses some of these.
const _: [&str; 9] = ARCHS;
const _: fn(&Tools, &str) -> Module = Module::example;
const _: fn(&Module, &Tools, &str) -> Result<Vec<u8>, String> = Module::with_upstream;
const _: fn(&Module, &Tools, &str) -> Result<Vec<u8>, String> = Module::with_ours;
const _: fn(&Module, &Tools, &str) -> [String; 2] = Module::headers;
const _: fn(&Module, &Tools, &str) -> Vec<String> = Module::members;
const _: fn(&Module, &Tools, &str, &[String]) -> Vec<u8> = Module::with_upstream_and_members;
const _: fn(&Module) = Module::unlink;
const _: fn(&[&str], &Path) -> Output = mpb;
const _: fn(&Path, &str, &str, &[&str], &str) -> PathBuf = compile;
const _: fn(&str, &BTreeMap<String, String>, &str) -> Module = Module::generated;
