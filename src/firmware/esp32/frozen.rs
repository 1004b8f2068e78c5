//! Where frozen modules lie in the program: behind everything else.
//!
//! The linker puts read-only data where its object comes in the order of the link. A frozen module that
//! becomes a word longer then moves everything behind it, all code that speaks of that is other code, and
//! almost the whole flash is to be written again. So the object of the frozen modules goes last in its
//! sections, by a linker fragment for ESP-IDF's ldgen, which upstream's `MICROPY_USER_LDFRAGMENTS` takes. The
//! archive that it is in has the name of the main component, which CMake knows.

use std::fs;

use crate::error::{Error, Result};
use crate::firmware::job::Job;

/// What goes into the workspace's `tools/`.
const FILES: [(&str, &str); 2] = [
    ("frozen.cmake", include_str!("frozen.cmake")),
    ("frozen.lf.in", include_str!("frozen.lf.in")),
];

/// The first line of the copy of the port's `esp32_common.cmake`.
const INCLUDE: &str = "include(${CMAKE_CURRENT_LIST_DIR}/../../../tools/frozen.cmake)\n";

/// Makes the copy of the port place them so. A port from before it took fragments stays as it is.
///
/// # Errors
/// When a file of the workspace cannot be read or written.
pub(super) fn place_last(job: &Job<'_>) -> Result<()> {
    let common = job.workspace.port("esp32").join("esp32_common.cmake");
    let text = match fs::read_to_string(&common) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", &common, &error)),
    };
    if !text.contains("MICROPY_USER_LDFRAGMENTS") {
        return Ok(());
    }
    let tools = job.workspace.tools()?;
    let files = FILES.map(|(name, text)| (tools.join(name), text.to_owned()));
    for (path, text) in files.into_iter().chain([(common, format!("{INCLUDE}{text}"))]) {
        fs::write(&path, text).map_err(|error| Error::io("write", &path, &error))?;
    }
    Ok(())
}
