//! The static-const rewrite of the copies of the user's C modules.
//!
//! Firmware is linked by GNU ld, which is right about local data, so this changes no firmware; it is there
//! so that one source gets one treatment, in firmware and in native modules.

use std::fs::File;
use std::io::Write;

use super::workspace::Workspace;
use crate::error::{Error, Result};
use crate::report::Report;
use crate::rewrite::{self, ObjectRecord, Purpose};

/// Rewrites the copies and says what was changed: to the report, to the log, and as what the record holds.
///
/// # Errors
/// When a copy cannot be read or written.
pub(super) fn rewrite(workspace: &Workspace, report: &dyn Report) -> Result<Vec<ObjectRecord>> {
    let changes = rewrite::plan_tree(&workspace.user_c_modules(), Purpose::Firmware)?;
    changes.write()?;
    let lines = changes.lines();
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
    Ok(changes.record())
}
