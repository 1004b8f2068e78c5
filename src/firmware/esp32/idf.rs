//! An ESP-IDF tree and what it needs: its version, the target's compiler, the Python with its packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::component::resolve::idf_version;
use crate::component::version::Version;
use crate::error::{Error, Kind, Result};
use crate::firmware::job::Job;
use crate::firmware::submodule;
use crate::process;
use crate::upstream::copy;

/// The Python modules that ESP-IDF's build imports, with the packages that have them.
const MODULES: &[(&str, &str)] = &[
    ("esptool", "esptool"),
    ("idf_component_manager", "idf-component-manager"),
    ("kconfgen", "esp-idf-kconfig"),
    ("pyparsing", "pyparsing"),
];

const NEWER: &str = "take a newer ESP-IDF; MicroPython's ports/esp32/README.md says which";

/// An ESP-IDF tree.
#[derive(Debug)]
pub(super) struct Idf {
    /// The tree, absolute. It is only read.
    pub path: PathBuf,
    /// Its version: `5.5.1`.
    pub version: Version,
    /// The Python that has its packages.
    pub python: PathBuf,
}

impl Idf {
    /// Opens the tree of a build, and checks what can be checked before configuring.
    pub(super) fn open(job: &Job<'_>) -> Result<Idf> {
        let given = job.request.esp32.idf.as_ref().ok_or_else(|| {
            Error::usage("the esp32 port is built with ESP-IDF, and none was given").hint(
                "give its tree with --idf DIR (or IDF_PATH=DIR): \
                 `git clone --recursive -b v5.5.1 https://github.com/espressif/esp-idf`",
            )
        })?;
        let path = given.canonicalize().map_err(|error| {
            Error::io("find ESP-IDF at", given, &error)
                .hint("give its tree with --idf DIR, or IDF_PATH=DIR")
        })?;
        let version = idf_version(&path)?;
        for place in [path.as_path(), job.workspace.path()] {
            check_place(place)?;
        }
        check_submodules(&path)?;
        let python = job.request.esp32.python.clone().unwrap_or_else(|| "python3".into());
        let python = locate(python)?;
        check_python(&python)?;
        Ok(Idf { path, version, python })
    }

    /// The submodules whose directories are empty, as far as can be told. Most builds do without some:
    /// other chips' libraries.
    pub(super) fn absent_submodules(&self) -> Vec<String> {
        let listed = copy::submodules(&self.path).unwrap_or_default();
        let absent = listed.iter().filter(|path| !submodule::present(&self.path, path));
        absent.map(|path| path.display().to_string()).collect()
    }

    /// Checks that the chip is more to this ESP-IDF than a preview. Only idf.py knows the difference,
    /// and with it MicroPython's own makefile, which builds without `--preview`.
    pub(super) fn check_target(&self, target: &str) -> Result<()> {
        let file = self.path.join("tools/idf_py_actions/constants.py");
        let text = fs::read_to_string(file).unwrap_or_default();
        let list =
            text.split_once("\nPREVIEW_TARGETS = [").and_then(|(_, rest)| rest.split_once(']'));
        let previews = list.map(|(list, _)| list).unwrap_or_default();
        let name = |item: &str| item.trim().trim_matches(['\'', '"']) == target;
        if previews.split(',').any(name) {
            return Err(Error::input(format!(
                "ESP-IDF {} has the chip {target} as a preview only, which MicroPython is not built for",
                self.version
            ))
            .hint(NEWER));
        }
        Ok(())
    }

    /// The target's C compiler, as ESP-IDF's toolchain file names it, which must be on PATH.
    pub(super) fn compiler(&self, target: &str) -> Result<String> {
        let file = self.path.join(format!("tools/cmake/toolchain-{target}.cmake"));
        let text = fs::read_to_string(&file).map_err(|_| {
            Error::input(format!("ESP-IDF {} does not know the chip {target}", self.version))
                .hint(NEWER)
        })?;
        let compiler = text.lines().find_map(|line| {
            let value = line.trim().strip_prefix("set(CMAKE_C_COMPILER")?;
            Some(value.trim().trim_end_matches(')').to_owned())
        });
        let compiler = compiler.ok_or_else(|| {
            Error::input(format!("{} does not set CMAKE_C_COMPILER", file.display()))
        })?;
        let output =
            process::output(Command::new(&compiler).arg("-dumpversion"), Duration::from_secs(20));
        match output {
            Ok(output) if output.status.success() => Ok(compiler),
            Err(error) if error.kind() == Kind::Interrupted => Err(error),
            _ => Err(Error::input(format!(
                "the compiler for {target}, {compiler}, is not on PATH or does not run"
            ))
            .hint(format!(
                "`{}/install.sh {target}` gets Espressif's; then `. {}/export.sh`",
                self.path.display(),
                self.path.display()
            ))),
        }
    }
}

/// ESP-IDF's own build files split paths at spaces and take some characters as theirs.
fn check_place(path: &Path) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "/._-+@,~".contains(c);
    match path.to_str() {
        Some(text) if text.chars().all(fine) => Ok(()),
        _ => Err(Error::input(format!(
            "ESP-IDF cannot build in or from {}: its path has characters that its build files cannot hold",
            path.display()
        ))
        .hint("use a path of letters, digits, `-`, `_` and `.` only, for ESP-IDF and for --out")),
    }
}

/// Submodules without which nothing builds: an ESP-IDF cloned without `--recursive` lacks them all.
fn check_submodules(idf: &Path) -> Result<()> {
    const NEEDED: &[&str] = &[
        "components/mbedtls/mbedtls",
        "components/lwip/lwip",
        "components/heap/tlsf",
        "components/bt/host/nimble/nimble",
    ];
    let missing: Vec<&str> =
        NEEDED.iter().filter(|path| !submodule::present(idf, Path::new(path))).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::input(format!("{} lacks submodules: {}", idf.display(), missing.join(" ")))
        .hint(format!("`git -C {} submodule update --init --recursive`", idf.display())))
}

/// Where a program is. The build runs elsewhere, with a `python` of its own first on PATH.
fn locate(program: PathBuf) -> Result<PathBuf> {
    let mut place = program.clone();
    if program.components().count() == 1 {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places = std::env::split_paths(&path).map(|directory| directory.join(&program));
        match places.find(|place| place.is_file()) {
            Some(found) => place = found,
            // Starting it will say that it is missing.
            None => return Ok(program),
        }
    }
    std::path::absolute(&place).map_err(|error| Error::io("resolve", &place, &error))
}

fn check_python(python: &Path) -> Result<()> {
    let names: Vec<&str> = MODULES.iter().map(|(module, _)| *module).collect();
    let script = format!(
        "import importlib.util as u; print(' '.join(n for n in {names:?} if u.find_spec(n) is None))"
    );
    let named = "name the Python of ESP-IDF's own environment with --python FILE";
    let output =
        process::output(Command::new(python).args(["-c", &script]), Duration::from_secs(60))
            .map_err(|error| if error.kind() == Kind::Input { error.hint(named) } else { error })?;
    if !output.status.success() {
        let last = output.stderr.lines().last().unwrap_or("it said nothing");
        return Err(Error::input(format!("{} is no Python that runs: {last}", python.display()))
            .hint(named));
    }
    let lacks = |module: &str| output.stdout.split_whitespace().any(|missing| missing == module);
    let packages: Vec<&str> =
        MODULES.iter().filter(|(module, _)| lacks(module)).map(|(_, package)| *package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    Err(Error::input(format!(
        "{} lacks packages that ESP-IDF's build imports: {}",
        python.display(),
        packages.join(", ")
    ))
    .hint(format!("`{} -m pip install {}`", python.display(), packages.join(" ")))
    .hint(format!("or {named}")))
}
