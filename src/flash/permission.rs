//! Why a port cannot be opened, and what mends it on this system.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::Error;

/// The page that tells what mends permissions.
const PAGE: &str = "docs/flash.md#permissions";

/// The error for a port that cannot be opened.
pub(super) fn cannot_open(path: &str, error: &serialport::Error) -> Error {
    let place = Path::new(path);
    let Ok(found) = fs::metadata(place) else {
        return Error::device(format!("there is no port {path}"))
            .hint("`micropython-builder flash --list-ports` lists the ports that there are");
    };
    if error.kind() == serialport::ErrorKind::Io(io::ErrorKind::PermissionDenied) {
        let nixos = Path::new("/etc/NIXOS").exists();
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        return denied(path, group(&groups, found.gid()), nixos);
    }
    if error.kind() == serialport::ErrorKind::NoDevice {
        let by = users(path).unwrap_or_else(|| "another program".to_owned());
        return Error::device(format!("{path} is in use by {by}"))
            .hint("end that program, or give another port with `--port`");
    }
    let text = crate::error::lower_first(&error.to_string());
    Error::device(format!("cannot open {path}: {text}"))
        .hint("`micropython-builder flash --list-ports` lists the ports that there are")
}

/// The other programs that have a port open, as far as this user may see them.
pub(super) fn users(path: &str) -> Option<String> {
    let holders = holders(Path::new("/proc"), Path::new(path));
    (!holders.is_empty()).then(|| holders.join(" and "))
}

/// The error for a port that belongs to a group that the user is not in.
fn denied(path: &str, group: Option<&str>, nixos: bool) -> Error {
    let error = Error::device(format!("cannot open {path}: permission denied"));
    let error = match (group.filter(|group| *group != "root"), nixos) {
        (Some(group), true) => error.hint(format!(
            "it belongs to the group {group}: `users.users.NAME.extraGroups = [ \"{group}\" ];`, or import `nixosModules.udev` of this flake"
        )),
        (Some(group), false) => error.hint(format!(
            "it belongs to the group {group}: `sudo usermod --append --groups {group} \"$USER\"`, then log in again"
        )),
        (None, true) => error.hint("import `nixosModules.udev` of this flake, which gives boards to whoever is logged in"),
        (None, false) => error.hint("install the udev rules of this program: `sudo cp 70-micropython-builder.rules /etc/udev/rules.d/ && sudo udevadm control --reload && sudo udevadm trigger`"),
    };
    error.hint(format!("{PAGE} has all ways"))
}

/// The name of a group, from the text of `/etc/group`.
fn group(groups: &str, number: u32) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(number)).then_some(name)
    })
}

/// The programs that have a file open, `NAME (process NUMBER)`, as far as this user may see them.
fn holders(processes: &Path, file: &Path) -> Vec<String> {
    let Ok(file) = file.canonicalize() else { return Vec::new() };
    let Ok(entries) = fs::read_dir(processes) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let number = entry.file_name();
        let Some(number) = number.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if number == std::process::id() {
            continue;
        }
        let Ok(open) = fs::read_dir(entry.path().join("fd")) else { continue };
        if open.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|it| it == file)) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            found.push((number, name.trim().to_owned()));
        }
    }
    found.sort_unstable();
    found.into_iter().map(|(number, name)| format!("{name} (process {number})")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mends_a_refusal_depends_on_the_system() {
        let cases = [
            (Some("dialout"), false, "usermod --append --groups dialout"),
            (Some("uucp"), true, "extraGroups = [ \"uucp\" ]"),
            (Some("root"), false, "70-micropython-builder.rules"),
            (None, true, "nixosModules.udev"),
        ];
        for (group, nixos, expected) in cases {
            let error = denied("/dev/ttyUSB0", group, nixos);
            assert_eq!(error.message(), "cannot open /dev/ttyUSB0: permission denied");
            assert!(error.hints()[0].contains(expected), "{:?}", error.hints());
        }
    }

    #[test]
    fn groups_are_found_by_number() {
        let groups = "root:x:0:\ndialout:x:20:me,you\nbroken\n";
        assert_eq!(group(groups, 20), Some("dialout"));
        assert_eq!(group(groups, 21), None);
    }

    #[test]
    fn holders_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let port = root.join("ttyX");
        fs::write(&port, "").unwrap();
        for (number, name, opens) in [("7", "screen\n", &port), ("8", "init\n", &root)] {
            let process = root.join(number);
            fs::create_dir_all(process.join("fd")).unwrap();
            fs::write(process.join("comm"), name).unwrap();
            std::os::unix::fs::symlink(opens, process.join("fd/3")).unwrap();
        }
        assert_eq!(holders(&root, &port), ["screen (process 7)"]);
    }
}
