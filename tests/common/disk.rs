//! Disks that are too small.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use super::common::require;

/// A shell that mounts a disk of so many bytes (`16m`) at a directory, runs a script, `$0` being
/// the directory and `$@` the arguments that are added, and ends as the script does. None as with [`require`].
pub fn on_a_disk_of(size: &str, directory: &Path, script: &str) -> Option<Command> {
    // Root may mount; anyone else may in a name space of their own, which a chroot forbids to root.
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let mut shell = if is_root {
        Command::new("sh")
    } else if require("unshare") {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh"]);
        unshare
    } else {
        return None;
    };
    let script = format!(
        "mount -t tmpfs -o size={size} none \"$0\" && {{ ({script}); s=$?; umount \"$0\"; exit $s; }}"
    );
    shell.args(["-c", &script]).arg(directory);
    Some(shell)
}
