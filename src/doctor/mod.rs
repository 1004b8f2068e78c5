//! What this machine has of what each capability needs, and the command that installs the rest.

mod probe;
mod system;
mod table;

use std::thread;

use serde::Serialize;

use crate::error::{Error, Result};
use system::Setting;
use table::Tool;

pub(crate) use probe::on_path;
pub use probe::{Finding, PathText};
pub use system::System;
pub use table::{CAPABILITIES, Capability};

/// What was found.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// The machine's package manager.
    pub system: System,
    /// Whether everything that was asked for is there.
    pub complete: bool,
    /// The capabilities that were asked for.
    pub capabilities: Vec<Checkup>,
    /// The command that installs what is missing; `None` when nothing is, or no package is known.
    pub install: Option<String>,
    /// Tools that are missing and that no known package of this system brings.
    pub without_package: Vec<&'static str>,
    /// Tools that are there and do not work.
    pub broken: Vec<&'static str>,
}

/// What was found of one capability.
#[derive(Debug, Serialize)]
pub struct Checkup {
    /// The capability's name.
    pub name: &'static str,
    /// What it is.
    pub title: &'static str,
    /// Whether all of its tools are there.
    pub complete: bool,
    /// Its tools.
    pub tools: Vec<Item>,
}

/// What was found of one tool.
#[derive(Debug, Clone, Serialize)]
pub struct Item {
    /// The program's or library's name.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
    /// The package of this system that brings it.
    pub package: Option<&'static str>,
}

/// Finds a capability by name.
pub fn capability(name: &str) -> Option<&'static Capability> {
    CAPABILITIES.iter().find(|capability| capability.name == name)
}

/// Looks for everything that the capabilities need; with none given, for all that this system can
/// have. Tools are asked at the same time, each with a time limit.
///
/// # Errors
/// When the user interrupts.
pub fn diagnose(capabilities: &[&'static Capability]) -> Result<Diagnosis> {
    let system = System::detect();
    let wanted: Vec<&Capability> = if capabilities.is_empty() {
        let can_have =
            |capability: &&Capability| system == System::Debian || !capability.debian_only;
        CAPABILITIES.iter().filter(can_have).collect()
    } else {
        capabilities.to_vec()
    };
    let needed =
        |tool: &&Tool| wanted.iter().any(|capability| capability.tools.contains(&tool.name));
    let items = examine(table::TOOLS.iter().filter(needed).collect(), system)?;
    let checkups: Vec<Checkup> = wanted
        .into_iter()
        .map(|capability| {
            let tools: Vec<Item> = capability
                .tools
                .iter()
                .filter_map(|name| items.iter().find(|item| item.name == *name).cloned())
                .collect();
            Checkup {
                name: capability.name,
                title: capability.title,
                complete: tools.iter().all(|item| item.finding.is_ok()),
                tools,
            }
        })
        .collect();
    // Installing does not mend what is there and fails.
    let is_broken = |item: &Item| matches!(item.finding, Finding::Broken { .. });
    let missing = || items.iter().filter(|item| !item.finding.is_ok() && !is_broken(item));
    let mut packages: Vec<&str> = missing().filter_map(|item| item.package).collect();
    packages.sort_unstable();
    packages.dedup();
    Ok(Diagnosis {
        system,
        complete: items.iter().all(|item| item.finding.is_ok()),
        install: system.install_command(&packages, Setting::detect()),
        without_package: missing()
            .filter(|item| item.package.is_none())
            .map(|item| item.name)
            .collect(),
        broken: items.iter().filter(|item| is_broken(item)).map(|item| item.name).collect(),
        capabilities: checkups,
    })
}

/// The command that installs a program or library here, for the hint of an error that misses it.
/// `None` when no package is known.
pub fn install_hint(name: &str) -> Option<String> {
    let system = System::detect();
    let package = system.package(&table::tool(name)?.packages)?;
    let command = system.install_command(&[package], Setting::detect())?;
    Some(format!("`{command}` installs it"))
}

/// The command that installs what a capability lacks here; `None` when nothing is known to, or nothing
/// is missing.
pub fn install_command(capability: &str) -> Option<String> {
    diagnose(&[self::capability(capability)?]).ok()?.install
}

fn examine(tools: Vec<&'static Tool>, system: System) -> Result<Vec<Item>> {
    let findings = thread::scope(|scope| {
        let threads: Vec<_> = tools
            .iter()
            .map(|tool| scope.spawn(|| probe::examine(tool.name, &tool.probe, tool.minimum)))
            .collect();
        let results = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(Error::internal("a probe ended unexpectedly")))
        });
        results.collect::<Result<Vec<Finding>>>()
    })?;
    let items = tools.into_iter().zip(findings).map(|(tool, finding)| Item {
        name: tool.name,
        purpose: tool.purpose,
        finding,
        package: system.package(&tool.packages),
    });
    Ok(items.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_given_for_what_a_package_brings() {
        assert_eq!(install_hint("no-such-tool"), None);
        let hint = install_hint("qemu-system-riscv32");
        match System::detect() {
            System::Unknown => assert_eq!(hint, None),
            _ => assert!(hint.is_some_and(|hint| hint.contains("qemu"))),
        }
    }
}
