//! The CMake project of a board: how it is configured and built.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use super::frozen;
use super::idf::Idf;
use super::prepare;
use crate::error::{Error, Result};
use crate::firmware::job::Job;
use crate::firmware::plan;
use crate::image::build_dir::size_in_bytes;
use crate::image::{Sdkconfig, partition};
use crate::upstream::make::{prefix_maps, shell_word};

/// The name of the user's partition table in the copied port.
const OWN_TABLE: &str = "micropython-builder-partitions.csv";

/// The settings that are added after the board's.
const OWN_SETTINGS: &str = "micropython-builder-sdkconfig";

/// The languages of the build, as CMake calls them.
const LANGUAGES: [&str; 3] = ["C", "CXX", "ASM"];

/// A configured board.
pub(super) struct Project<'a> {
    job: &'a Job<'a>,
    idf: &'a Idf,
    arguments: Vec<OsString>,
}

impl<'a> Project<'a> {
    /// Writes what the user adds into the copy of the port.
    pub(super) fn new(job: &'a Job<'a>, idf: &'a Idf) -> Result<Project<'a>> {
        add_settings(job)?;
        add_python(job, idf)?;
        if job.request.esp32.frozen_last {
            frozen::place_last(job)?;
        }
        fs::create_dir_all(job.workspace.path().join("home"))
            .map_err(|error| Error::io("write to", job.workspace.path(), &error))?;
        Ok(Project { job, idf, arguments: arguments(job, idf) })
    }

    pub(super) fn configure(&self) -> Command {
        let mut command = Command::new("cmake");
        command.args(&self.arguments);
        prepare(&mut command, self.job, self.idf);
        command
    }

    pub(super) fn ninja(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ninja");
        command.arg("-C").arg(self.job.workspace.build()).args(arguments);
        prepare(&mut command, self.job, self.idf);
        command
    }

    /// A line for the shell, in the build's environment.
    pub(super) fn script(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        prepare(&mut command, self.job, self.idf);
        command
    }

    /// Checks that CMake came to the chip that the checks before it were about.
    pub(super) fn check_target(&self, target: &str) -> Result<()> {
        let config = Sdkconfig::read(&self.job.workspace.build())?;
        match config.text("IDF_TARGET") {
            Some(found) if found != target => Err(Error::input(format!(
                "{} was taken for a board with the chip {target}, but CMake configured it for {found}",
                self.job.request.target.board
            ))
            .hint(format!("let its mpconfigboard.cmake say it plainly: set(IDF_TARGET {found})"))),
            _ => Ok(()),
        }
    }

    /// Checks that the configured partition table is one, and fits the configured flash.
    pub(super) fn check_partitions(&self) -> Result<()> {
        let config = Sdkconfig::read(&self.job.workspace.build())?;
        let Some(name) = config.text("PARTITION_TABLE_FILENAME") else { return Ok(()) };
        let path = self.job.workspace.port("esp32").join(name);
        let Ok(text) = fs::read(&path) else {
            // One of ESP-IDF's own tables, which it checks itself.
            return Ok(());
        };
        let options = partition::Options {
            table_offset: config
                .number("PARTITION_TABLE_OFFSET")?
                .unwrap_or(partition::DEFAULT_OFFSET),
            ..partition::Options::default()
        };
        let named = |error: Error| error.context(self.partition_table_name(name));
        let table = partition::Table::parse(&text, &options).map_err(named)?;
        match config.text("ESPTOOLPY_FLASHSIZE").and_then(size_in_bytes) {
            Some(size) => table.verify_fits(size).map_err(named),
            None => Ok(()),
        }
    }

    fn partition_table_name(&self, configured: &str) -> String {
        match &self.job.request.esp32.partition_table {
            Some(path) => format!("the partition table {}", path.display()),
            None => format!("the board's partition table {configured}"),
        }
    }
}

fn arguments(job: &Job<'_>, idf: &Idf) -> Vec<OsString> {
    let target = &job.request.target;
    let workspace = job.workspace.path();
    let mut arguments: Vec<OsString> = vec!["-G".into(), "Ninja".into(), "-S".into()];
    arguments.push(job.workspace.port("esp32").into());
    arguments.push("-B".into());
    arguments.push(job.workspace.build().into());
    let mut define = |name: &str, value: OsString| {
        let mut argument = OsString::from(format!("-D{name}="));
        argument.push(value);
        arguments.push(argument);
    };
    define("MICROPY_BOARD", target.board.clone().into());
    if let Some(variant) = &target.variant {
        define("MICROPY_BOARD_VARIANT", variant.into());
    }
    define("PYTHON", "python".into());
    define("Python3_EXECUTABLE", python(job).into());
    define("PROJECT_VER", job.request.source.version.into());
    define("PYTHON_DEPS_CHECKED", "1".into());
    define("CCACHE_ENABLE", "0".into());
    define("MICROPY_LIB_DIR", job.workspace.micropython_lib().into());
    if !job.request.manifests.is_empty() {
        define("MICROPY_FROZEN_MANIFEST", job.workspace.manifest().into());
    }
    if !job.modules.is_empty() {
        let mut list = OsString::new();
        for name in job.modules.keys() {
            if !list.is_empty() {
                list.push(";");
            }
            list.push(job.workspace.user_c_modules().join(name).join("micropython.cmake"));
        }
        define("USER_C_MODULES", list);
    }
    let maps = [prefix_maps(workspace, "."), prefix_maps(&idf.path, "/esp-idf")].concat();
    for language in LANGUAGES {
        // The user's flags are added: a later definition would take the place of this one.
        let name = format!("CMAKE_{language}_FLAGS");
        let own = plan::value(job.request, &name).map(OsString::from);
        let flags: Vec<OsString> = maps.iter().cloned().chain(own).collect();
        define(&name, flags.join(OsStr::new(" ")));
    }
    let added = |argument: &&String| {
        LANGUAGES.iter().any(|language| argument.starts_with(&format!("CMAKE_{language}_FLAGS=")))
    };
    let others = job.request.make_arguments.iter().filter(|argument| !added(argument));
    arguments.extend(others.map(|argument| format!("-D{argument}").into()));
    arguments
}

/// The chip of the board, as ESP-IDF calls it: `IDF_TARGET`, which the board's CMake file or the
/// variant's sets. Without it ESP-IDF builds for the ESP32 (`tools/cmake/targets.cmake`).
pub(super) fn target(job: &Job<'_>) -> Result<String> {
    let mut target = "esp32".to_owned();
    for path in board_files(job) {
        let text = fs::read_to_string(&path).map_err(|error| Error::io("read", &path, &error))?;
        let set = text.lines().rev().find_map(|line| {
            let words = line.trim().strip_prefix("set(")?.split_once(')')?.0;
            words.trim().strip_prefix("IDF_TARGET")?.split_whitespace().next().map(str::to_owned)
        });
        target = set.unwrap_or(target);
    }
    Ok(target)
}

/// The CMake files of the board and of its variant, in the order in which the port includes them.
fn board_files(job: &Job<'_>) -> Vec<PathBuf> {
    let board = job.workspace.port("esp32").join("boards").join(&job.request.target.board);
    let variant = match &job.request.target.variant {
        Some(variant) => Some(board.join(format!("mpconfigvariant_{variant}.cmake"))),
        None => Some(board.join("mpconfigvariant.cmake")).filter(|path| path.is_file()),
    };
    [board.join("mpconfigboard.cmake")].into_iter().chain(variant).collect()
}

/// Where `python` is, for a build that calls it by that name in some places and by its path in others.
fn python(job: &Job<'_>) -> PathBuf {
    job.workspace.path().join("tools/bin/python")
}

/// Puts a `python` first on the build's PATH that is the one with ESP-IDF's packages. A link would
/// not do: a virtual environment is found by the path that Python was started with.
fn add_python(job: &Job<'_>, idf: &Idf) -> Result<()> {
    let path = python(job);
    let fail = |error: std::io::Error| Error::io("write", &path, &error);
    let mut script = OsString::from("#!/bin/sh\nexec ");
    script.push(shell_word(idf.python.as_os_str()));
    script.push(" \"$@\"\n");
    fs::create_dir_all(job.workspace.tools()?.join("bin")).map_err(fail)?;
    fs::write(&path, script.as_bytes()).map_err(fail)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(fail)
}

/// Adds the user's settings after the board's and the variant's, by a line at the end of whichever
/// CMake file the port includes last.
fn add_settings(job: &Job<'_>) -> Result<()> {
    let esp32 = &job.request.esp32;
    if esp32.partition_table.is_none() && esp32.sdkconfig.is_empty() {
        return Ok(());
    }
    let port = job.workspace.port("esp32");
    let mut settings = Vec::new();
    if let Some(table) = &esp32.partition_table {
        let text = fs::read(table).map_err(|error| Error::io("read", table, &error))?;
        let to = port.join(OWN_TABLE);
        fs::write(&to, text).map_err(|error| Error::io("write", &to, &error))?;
        settings.extend_from_slice(
            format!(
                "CONFIG_PARTITION_TABLE_CUSTOM=y\nCONFIG_PARTITION_TABLE_CUSTOM_FILENAME=\"{OWN_TABLE}\"\n"
            )
            .as_bytes(),
        );
    }
    for file in &esp32.sdkconfig {
        settings.extend(fs::read(file).map_err(|error| Error::io("read", file, &error))?);
        settings.push(b'\n');
    }
    let to = port.join(OWN_SETTINGS);
    fs::write(&to, settings).map_err(|error| Error::io("write", &to, &error))?;

    let Some(last) = board_files(job).pop() else { return Ok(()) };
    let fail = |error: std::io::Error| Error::io("write", &last, &error);
    let mut file = fs::File::options().append(true).open(&last).map_err(fail)?;
    writeln!(
        file,
        "\nlist(APPEND SDKCONFIG_DEFAULTS ${{CMAKE_CURRENT_LIST_DIR}}/../../{OWN_SETTINGS})"
    )
    .map_err(fail)
}
