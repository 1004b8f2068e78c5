//! The static-const rewrite of the copies of the user's C modules.
//!
//! Firmware is linked by GNU ld, which is right about local data, so this changes no firmware; it is there
//! so that one source gets one treatment, in firmware and in native modules.

use std::fs::File;
use std::io::Write;

use super::record::StaticConst;
use super::workspace::Workspace;
use crate::error::{Error, Result};
use crate::report::Report;
use crate::rewrite::{self, Changes, Purpose};

/// Rewrites the copies and says what was changed: to the report, to the log, and as what the record holds.
///
/// # Errors
/// When a copy cannot be read or written.
pub(super) fn rewrite(workspace: &Workspace, report: &dyn Report) -> Result<Vec<StaticConst>> {
    let changes = rewrite::plan_tree(&workspace.user_c_modules(), Purpose::Firmware)?;
    changes.write()?;
    let lines = lines(&changes);
    for line in &lines {
        report.step(line);
    }
    let log = workspace.log();
    File::options()
        .create(true)
        .append(true)
        .open(&log)
        .and_then(|mut file| lines.iter().try_for_each(|line| writeln!(file, "{line}")))
        .map_err(|error| Error::io("write", &log, &error))?;
    let objects = changes.objects();
    Ok(objects
        .map(|(file, object)| StaticConst {
            file: file.relative.to_string_lossy().into_owned(),
            line: object.line,
            name: object.name.clone(),
            section: object.section.clone(),
        })
        .collect())
}

/// A line for each file that changed, and for each that could not be read as C.
fn lines(changes: &Changes) -> Vec<String> {
    let line = |file: &rewrite::FileChanges| {
        let name = file.relative.display();
        if let Some(left) = file.rewritten.left {
            return Some(format!(
                "static const: {name} stays as it is: line {}: {}",
                left.line, left.why
            ));
        }
        let objects: Vec<&str> =
            file.rewritten.objects.iter().map(|object| object.name.as_str()).collect();
        (!objects.is_empty())
            .then(|| format!("static const: a section in {name} for {}", objects.join(", ")))
    };
    changes.files.iter().filter_map(line).collect()
}
