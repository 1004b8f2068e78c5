//! What the tests of this module share.

use std::io::ErrorKind;
use std::process::Command;

/// What a tool prints, for tests in which it is the oracle. `None` when it is not installed; that
/// is a failure when `MPB_REQUIRE_TOOLS` is set.
pub(super) fn output(command: &mut Command) -> Option<String> {
    let tool = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            assert!(std::env::var_os("MPB_REQUIRE_TOOLS").is_none(), "{tool} is not installed");
            eprintln!("skipped: {tool} is not installed");
            None
        }
        Err(error) => panic!("cannot run {tool}: {error}"),
    }
}
