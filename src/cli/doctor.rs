//! `doctor`: what is installed, what is missing for what, and the command that installs it.

use std::fmt::Write;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde::Serialize;

use super::output::Output;
use crate::doctor::{self, CAPABILITIES, Capability, Checkup, Diagnosis, Finding, Item};
use crate::error::{Kind, Result};

const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();

const EXAMPLES: &str = "\
Examples:
  micropython-builder doctor
  micropython-builder doctor build-qemu-riscv run
  micropython-builder doctor --json run | jq -r .install

Exits with 0 when everything asked for is there, with 3 when something is missing.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// What you want to do; without it, everything this system can do
    #[arg(value_name = "CAPABILITY", value_parser = names())]
    capabilities: Vec<String>,
}

fn names() -> PossibleValuesParser {
    let values = CAPABILITIES.iter();
    PossibleValuesParser::new(
        values.map(|capability| PossibleValue::new(capability.name).help(capability.title)),
    )
}

#[derive(Serialize)]
struct Json<'a> {
    schema: u32,
    #[serde(flatten)]
    diagnosis: &'a Diagnosis,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let capabilities: Vec<&Capability> =
        arguments.capabilities.iter().filter_map(|name| doctor::capability(name)).collect();
    let diagnosis = doctor::diagnose(&capabilities)?;
    if output.json() {
        output.data_json(&Json { schema: 1, diagnosis: &diagnosis })?;
    } else {
        output.data(report(&diagnosis))?;
    }
    Ok(ExitCode::from(if diagnosis.complete { 0 } else { Kind::Input.exit_code() }))
}

fn report(diagnosis: &Diagnosis) -> String {
    let items = || diagnosis.capabilities.iter().flat_map(|checkup| &checkup.tools);
    let names = items().map(|item| item.name.len()).max().unwrap_or(0);
    let states = items().map(|item| state(item).len()).max().unwrap_or(0);
    let mut text = String::new();
    for checkup in &diagnosis.capabilities {
        let _ = writeln!(text, "{}: {}, {}", checkup.name, checkup.title, verdict(checkup));
        for item in &checkup.tools {
            let style = if item.finding.is_ok() { GREEN } else { RED };
            let state = state(item);
            let line = format!(
                "  {:names$}  {style}{state}{style:#}{:pad$}  {}",
                item.name,
                "",
                explanation(item),
                pad = states.saturating_sub(state.len()),
            );
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text.push('\n');
    }
    text.push_str(&remedy(diagnosis));
    text
}

fn verdict(checkup: &Checkup) -> String {
    if checkup.complete {
        format!("{GREEN}ready{GREEN:#}")
    } else {
        format!("{RED}not ready{RED:#}")
    }
}

fn state(item: &Item) -> String {
    match &item.finding {
        Finding::Ok { version, .. } => version.clone().unwrap_or_else(|| "ok".to_owned()),
        Finding::TooOld { version, .. } => format!("{version} is too old"),
        Finding::Broken { .. } => "does not work".to_owned(),
        Finding::Missing { .. } => "missing".to_owned(),
    }
}

fn explanation(item: &Item) -> String {
    match &item.finding {
        Finding::Ok { path, .. } => path.clone(),
        Finding::TooOld { minimum, path, .. } => format!("{path}; {minimum} or later is needed"),
        Finding::Broken { reason, path } => format!("{path}: {reason}"),
        Finding::Missing { needs: None } => item.purpose.to_owned(),
        Finding::Missing { needs: Some(tool) } => {
            format!("{}; looked for when {tool} is there", item.purpose)
        }
    }
}

fn remedy(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    if diagnosis.complete {
        text.push_str("everything is there\n");
    }
    if let Some(command) = &diagnosis.install {
        let _ = writeln!(text, "this installs what is missing:\n  {command}");
    }
    if !diagnosis.without_package.is_empty() {
        let _ = writeln!(
            text,
            "no package of this system is known for: {}",
            diagnosis.without_package.join(", ")
        );
    }
    if !diagnosis.broken.is_empty() {
        let _ = writeln!(text, "repair, or take off PATH: {}", diagnosis.broken.join(", "));
    }
    text
}
