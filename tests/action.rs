//! The GitHub Action: its inputs and outputs, and what its script does with them.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/natmod.rs"]
mod natmod;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::command::stderr;
use natmod::{Tools, succeeds};
use serde_json::Value;

/// What the established action takes, in its own order; `artifact` is ours.
const INPUTS: [&str; 16] = [
    "architecture",
    "mpy-version",
    "micropython-version",
    "source-dir",
    "output-name",
    "make-target",
    "make-args",
    "mpy-cross-args",
    "static-const-workaround",
    "static-const-workaround-patterns",
    "cache-toolchains",
    "esp-idf-version",
    "esp-open-sdk-repo",
    "esp-open-sdk-branch",
    "parallel-builds",
    "micropython-repo",
];

const OUTPUTS: [&str; 9] = [
    "mpy-file",
    "mpy-files",
    "output-dir",
    "mpy-dir",
    "architecture",
    "architectures",
    "mpy-versions",
    "micropython-versions",
    "toolchain-cache-hit",
];

/// The names below a top-level key of `action.yml`.
fn names(key: &str) -> Vec<String> {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("action.yml")).unwrap();
    let lines = text.lines().skip_while(|line| *line != format!("{key}:")).skip(1);
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    lines
        .filter(|line| line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':'))
        .map(|line| line.trim().trim_end_matches(':').to_owned())
        .collect()
}

#[test]
fn inputs_and_outputs_are_those_of_the_established_action() {
    let mut inputs = names("inputs");
    inputs.retain(|name| name != "artifact");
    inputs.sort();
    let mut expected = INPUTS.to_vec();
    expected.sort();
    assert_eq!(inputs, expected);
    let mut outputs = names("outputs");
    outputs.sort();
    let mut expected = OUTPUTS.to_vec();
    expected.sort();
    assert_eq!(outputs, expected);
}

struct Action {
    tools: Tools,
    directory: tempfile::TempDir,
}

impl Action {
    /// A checkout with the example in `src`.
    fn new() -> Option<Action> {
        let tools = Tools::find()?;
        let directory = tempfile::tempdir().unwrap();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/natmod");
        succeeds(Command::new("cp").arg("-r").arg(example).arg(directory.path().join("src")));
        Some(Action { tools, directory })
    }

    /// Runs the build step as a runner would, and returns its outputs.
    fn build(&self, inputs: &[(&str, &str)]) -> (Output, BTreeMap<String, String>) {
        let outputs = self.directory.path().join("outputs");
        let _ = fs::remove_file(&outputs);
        let mut command =
            Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/action"));
        command.arg("build").current_dir(self.directory.path());
        command.env("MPB_PROGRAM", env!("CARGO_BIN_EXE_micropython-builder"));
        command.env("GITHUB_OUTPUT", &outputs);
        command.env("SOURCE_DIR", "src").env("MICROPYTHON_VERSION", &self.tools.tree);
        command.env("MICROPYTHON_REPO", "https://github.com/micropython/micropython");
        let output = command.envs(inputs.iter().copied()).output().unwrap();
        let text = fs::read_to_string(&outputs).unwrap_or_default();
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        (output, pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

#[test]
fn one_file_or_several_come_out() {
    let Some(action) = Action::new() else { return };
    let (output, outputs) = action.build(&[("ARCHITECTURE", "x64")]);
    assert!(output.status.success(), "{}", stderr(&output));
    let dist = action.directory.path().canonicalize().unwrap().join("src/dist");
    let file = dist.join("fletcher-mpy6.3-x64.mpy");
    assert!(file.is_file());
    assert_eq!(outputs["mpy-file"], file.to_str().unwrap());
    assert_eq!(outputs["architectures"], "[\"x64\"]");
    assert_eq!(outputs["mpy-versions"], "[\"6.3\"]");
    assert_eq!(outputs["mpy-dir"], action.tools.tree.to_str().unwrap());

    let (output, outputs) = action.build(&[
        ("ARCHITECTURE", "x86, x64"),
        ("OUTPUT_NAME", "fletcher-1.2"),
        ("MAKE_ARGS", "CFLAGS_EXTRA=-DA V=1"),
        ("PARALLEL", "0"),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(outputs["mpy-file"], dist.to_str().unwrap());
    let files: Vec<Value> = serde_json::from_str(&outputs["mpy-files"]).unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.as_str().unwrap()).collect();
    assert!(names.iter().all(|name| Path::new(name).is_file()));
    assert!(names[1].ends_with("/fletcher-1.2-mpy6.3-x64.mpy"), "{names:?}");
}

#[test]
fn a_build_that_fails_fails_the_step() {
    let Some(action) = Action::new() else { return };
    fs::write(action.directory.path().join("src/fletcher.c"), "int x = wrong;\n").unwrap();
    let (output, outputs) = action.build(&[("ARCHITECTURE", "x64")]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("fletcher.c:1"), "{}", stderr(&output));
    assert_eq!(outputs["mpy-files"], "[]");
}
