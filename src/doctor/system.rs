//! The machine's package manager, and the command that installs with it.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// How software is installed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// Debian, Ubuntu and their descendants: `apt-get`.
    Debian,
    /// Fedora and its relatives: `dnf`.
    Fedora,
    /// Arch Linux and its descendants: `pacman`.
    Arch,
    /// macOS: Homebrew.
    Homebrew,
    /// NixOS: a shell with the packages in it.
    Nix,
    /// Anything else.
    Unknown,
}

/// What a package is called on each system; `None` where it is not known, or not needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packages {
    pub(super) debian: Option<&'static str>,
    pub(super) fedora: Option<&'static str>,
    pub(super) arch: Option<&'static str>,
    pub(super) homebrew: Option<&'static str>,
    pub(super) nix: Option<&'static str>,
}

impl Packages {
    pub(super) const NONE: Packages =
        Packages { debian: None, fedora: None, arch: None, homebrew: None, nix: None };

    /// A package that has one name everywhere.
    pub(super) const fn same(name: &'static str) -> Packages {
        let name = Some(name);
        Packages { debian: name, fedora: name, arch: name, homebrew: name, nix: name }
    }
}

impl System {
    /// The system this program runs on, by `/etc/os-release`
    /// ([os-release(5)](https://www.freedesktop.org/software/systemd/man/latest/os-release.html)).
    pub fn detect() -> System {
        if cfg!(target_os = "macos") {
            return System::Homebrew;
        }
        let read = |path| fs::read_to_string(Path::new(path)).ok();
        let text = read("/etc/os-release").or_else(|| read("/usr/lib/os-release"));
        text.map_or(System::Unknown, |text| System::from_os_release(&text))
    }

    /// The system that an `os-release` file describes: by `ID`, or else by `ID_LIKE`.
    fn from_os_release(text: &str) -> System {
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.trim().split_once('='))
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value.trim_matches(['"', '\'']).to_lowercase())
        };
        let names =
            [value("ID"), value("ID_LIKE")].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let system = names.split_whitespace().find_map(|name| match name {
            "debian" | "ubuntu" => Some(System::Debian),
            "fedora" | "rhel" | "centos" => Some(System::Fedora),
            "arch" | "archlinux" => Some(System::Arch),
            "nixos" => Some(System::Nix),
            _ => None,
        });
        system.unwrap_or(System::Unknown)
    }

    /// What a package is called here.
    pub(super) fn package(self, packages: &Packages) -> Option<&'static str> {
        match self {
            System::Debian => packages.debian,
            System::Fedora => packages.fedora,
            System::Arch => packages.arch,
            System::Homebrew => packages.homebrew,
            System::Nix => packages.nix,
            System::Unknown => None,
        }
    }

    /// The command that installs packages; `None` when there are none.
    pub(super) fn install_command(self, packages: &[&str], setting: Setting) -> Option<String> {
        if packages.is_empty() {
            return None;
        }
        let packages = packages.join(" ");
        let sudo = if setting.root { "" } else { "sudo " };
        Some(match self {
            System::Debian if setting.stale => {
                format!("{sudo}apt-get update && {sudo}apt-get install {packages}")
            }
            System::Debian => format!("{sudo}apt-get install {packages}"),
            System::Fedora => format!("{sudo}dnf install {packages}"),
            System::Arch => format!("{sudo}pacman -S --needed {packages}"),
            System::Homebrew => format!("brew install {packages}"),
            System::Nix => format!("nix-shell -p {packages}"),
            System::Unknown => return None,
        })
    }
}

/// What an install command depends on besides the packages.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Setting {
    /// The user is root.
    pub(super) root: bool,
    /// The package manager has no list of packages yet, as in a fresh container.
    pub(super) stale: bool,
}

impl Setting {
    pub(super) fn detect() -> Setting {
        let lists = fs::read_dir("/var/lib/apt/lists");
        let stale = lists.is_ok_and(|entries| {
            !entries
                .filter_map(|entry| entry.ok())
                .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
        });
        Setting { root: rustix::process::geteuid().is_root(), stale }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_known_by_themselves_or_their_kin() {
        for (text, system) in [
            ("PRETTY_NAME=\"Debian\"\nID=debian\n", System::Debian),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", System::Debian),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", System::Fedora),
            ("ID=manjaro\nID_LIKE=arch\n", System::Arch),
            ("ID=nixos\n", System::Nix),
            ("ID=alpine\nVERSION_ID=3\n", System::Unknown),
            ("", System::Unknown),
        ] {
            assert_eq!(System::from_os_release(text), system, "{text}");
        }
    }

    #[test]
    fn the_command_is_one_that_can_be_pasted() {
        let command = |system: System, root, stale| {
            system.install_command(&["a", "b"], Setting { root, stale }).unwrap()
        };
        assert_eq!(command(System::Debian, false, false), "sudo apt-get install a b");
        assert_eq!(command(System::Debian, true, true), "apt-get update && apt-get install a b");
        assert_eq!(command(System::Fedora, false, true), "sudo dnf install a b");
        assert_eq!(command(System::Arch, true, false), "pacman -S --needed a b");
        assert_eq!(command(System::Homebrew, false, false), "brew install a b");
        assert_eq!(command(System::Nix, false, false), "nix-shell -p a b");
        assert_eq!(System::Unknown.install_command(&["a"], Setting::default()), None);
        assert_eq!(System::Debian.install_command(&[], Setting::default()), None);
    }
}
