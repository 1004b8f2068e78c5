//! Finding a board by name, and what to say when it is not there.

use super::{Board, Build, Catalogue, Port};
use crate::error::{Error, Result};

/// How many names are suggested at most.
const SUGGESTIONS: usize = 5;

/// How alike two names have to be (Jaro-Winkler, 0 to 1) for one to be suggested for the other.
const ALIKE: f64 = 0.85;

impl Catalogue {
    /// Finds what can be built for a board: with the variant, or the board's default.
    ///
    /// # Errors
    /// When the port, board or variant is not there (the hint names those that are like it), or
    /// several ports have the board and none was named. All are [`Kind::Input`].
    ///
    /// [`Kind::Input`]: crate::error::Kind::Input
    pub fn find(&self, name: &str, port: Option<&str>, variant: Option<&str>) -> Result<Build<'_>> {
        let (port, board) = self.find_board(name, port)?;
        let chosen = match variant {
            Some(_) => board.variants.iter().find(|found| found.name.as_deref() == variant),
            None => board.variants.iter().find(|found| found.default).or(board.variants.first()),
        };
        match chosen {
            Some(variant) => Ok(Build { port, board, variant }),
            None => Err(unknown_variant(board, variant.unwrap_or_default())),
        }
    }

    /// Finds a board, and its port.
    ///
    /// # Errors
    /// As [`Catalogue::find`].
    pub fn find_board(&self, name: &str, port: Option<&str>) -> Result<(&Port, &Board)> {
        if let Some(port) = port {
            self.find_port(port)?;
        }
        let in_port = |board: &&Board| port.is_none_or(|port| board.port == port);
        let mut found = self.boards.iter().filter(|board| board.name == name).filter(in_port);
        let (first, second) = (found.next(), found.next());
        match (first, second) {
            (Some(board), None) => Ok((self.find_port(&board.port)?, board)),
            (Some(_), Some(_)) => Err(self.ambiguous(name)),
            (None, _) => Err(self.unknown_board(name, port)),
        }
    }

    /// Finds a port.
    ///
    /// # Errors
    /// When the tree does not have it.
    pub fn find_port(&self, name: &str) -> Result<&Port> {
        self.port(name).ok_or_else(|| {
            let names: Vec<&str> = self.ports.iter().map(|port| port.name.as_str()).collect();
            let error = Error::input(format!("there is no port {name:?} in {}", self.described()));
            let alike = suggestions(name, names.iter().copied());
            match alike.as_slice() {
                [] => error.hint(format!("its ports are {}", names.join(", "))),
                alike => error.hint(did_you_mean(alike)),
            }
        })
    }

    fn described(&self) -> String {
        match &self.version {
            Some(version) => format!("MicroPython {version} at {}", self.tree.display()),
            None => self.tree.display().to_string(),
        }
    }

    fn ambiguous(&self, name: &str) -> Error {
        let ports: Vec<&str> = self
            .boards
            .iter()
            .filter(|board| board.name == name)
            .map(|board| board.port.as_str())
            .collect();
        let choices: Vec<String> = ports.iter().map(|port| format!("`--port {port}`")).collect();
        Error::input(format!("the board {name} is in more than one port: {}", ports.join(", ")))
            .hint(format!("add {}", choices.join(" or ")))
    }

    fn unknown_board(&self, name: &str, port: Option<&str>) -> Error {
        let whose = port.map_or_else(String::new, |port| format!(" in the port {port}"));
        let mut error =
            Error::input(format!("there is no board {name:?}{whose} in {}", self.described()));
        let elsewhere = self.boards.iter().find(|board| board.name == name);
        if let Some(board) = elsewhere {
            return error.hint(format!("the port {} has it: `--port {}`", board.port, board.port));
        }
        if let Some(hint) = self.name_with_variant(name, port) {
            return error.hint(hint);
        }
        let in_port = self.boards.iter().filter(|board| port.is_none_or(|port| board.port == port));
        let mut names: Vec<&str> = in_port.map(|board| board.name.as_str()).collect();
        names.dedup();
        let alike = suggestions(name, names.iter().copied());
        if !alike.is_empty() {
            error = error.hint(did_you_mean(&alike));
        }
        let tree = self.tree.display();
        error.hint(format!("`micropython-builder boards --micropython {tree}` lists them all"))
    }

    /// `BOARD-VARIANT`, as upstream names its downloads, is no board's name.
    fn name_with_variant(&self, name: &str, port: Option<&str>) -> Option<String> {
        self.builds().find_map(|build| {
            let variant = build.variant.name.as_deref()?;
            let (board, rest) = name.split_at_checked(build.board.name.len())?;
            let same = board == build.board.name
                && rest.strip_prefix(['-', '_', ':', '/']) == Some(variant)
                && port.is_none_or(|port| build.board.port == port);
            same.then(|| {
                format!("{variant} is a variant of {board}: `{board} --variant {variant}`")
            })
        })
    }
}

fn unknown_variant(board: &Board, variant: &str) -> Error {
    let names: Vec<&str> =
        board.variants.iter().filter_map(|variant| variant.name.as_deref()).collect();
    let error = Error::input(format!("the board {} has no variant {variant:?}", board.name));
    if names.is_empty() {
        return error.hint("it has no variants: leave `--variant` out");
    }
    let alike = suggestions(variant, names.iter().copied());
    let error = if alike.is_empty() { error } else { error.hint(did_you_mean(&alike)) };
    error.hint(format!("its variants are {}", names.join(", ")))
}

/// The names most like `wanted`, best first. One that differs only in case, `-` or `_` is the
/// only one; a name that holds `wanted`, or is held by it, counts as alike.
fn suggestions<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let plain = |name: &str| -> String {
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let wanted = plain(wanted);
    let mut scored: Vec<(f64, &str)> = names
        .map(|name| {
            let name_plain = plain(name);
            let held =
                wanted.len() >= 3 && (name_plain.contains(&wanted) || wanted.contains(&name_plain));
            let lengths = [wanted.len(), name_plain.len()].map(|length| length as f64);
            let score = if name_plain == wanted {
                2.0
            } else if held {
                1.0 + lengths[0].min(lengths[1]) / lengths[0].max(lengths[1])
            } else {
                strsim::jaro_winkler(&wanted, &name_plain)
            };
            (score, name)
        })
        .filter(|(score, _)| *score >= ALIKE)
        .collect();
    scored.sort_by(|(a, x), (b, y)| b.total_cmp(a).then(x.cmp(y)));
    let exact = scored.iter().take_while(|(score, _)| *score >= 2.0).count();
    let count = if exact > 0 { exact } else { SUGGESTIONS };
    scored.into_iter().take(count).map(|(_, name)| name).collect()
}

fn did_you_mean(names: &[&str]) -> String {
    match names {
        [only] => format!("did you mean {only}?"),
        several => format!("did you mean one of {}?", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{BuildSystem, Variant};
    use crate::error::Kind;

    fn catalogue() -> Catalogue {
        let variant = |name: Option<&str>, default| Variant {
            name: name.map(str::to_owned),
            description: None,
            default,
            flash_size: None,
        };
        let port = |name: &str| Port {
            name: name.to_owned(),
            directory: format!("ports/{name}"),
            build_system: Some(BuildSystem::Make),
            default_board: None,
            documentation: Vec::new(),
        };
        let board = |port: &str, name: &str, variants: Vec<Variant>| Board {
            port: port.to_owned(),
            name: name.to_owned(),
            directory: String::new(),
            mcu: None,
            machine: None,
            documentation: Vec::new(),
            flashing: Vec::new(),
            board_json: None,
            metadata: super::super::Metadata::default(),
            variants,
        };
        let base = || vec![variant(None, true)];
        Catalogue {
            tree: "/tree".into(),
            version: Some("1.28.0".to_owned()),
            ports: ["esp32", "nrf", "qemu", "unix"].map(port).into(),
            boards: vec![
                board(
                    "esp32",
                    "ESP32_GENERIC",
                    vec![
                        variant(None, true),
                        variant(Some("OTA"), false),
                        variant(Some("D2WD"), false),
                    ],
                ),
                board("esp32", "ESP32_GENERIC_C3", base()),
                board("nrf", "MICROBIT", base()),
                board("qemu", "MICROBIT", base()),
                board("qemu", "VIRT_RV32", base()),
                board(
                    "unix",
                    "unix",
                    vec![variant(Some("standard"), true), variant(Some("minimal"), false)],
                ),
            ],
            warnings: Vec::new(),
        }
    }

    fn error(name: &str, port: Option<&str>, variant: Option<&str>) -> (String, Vec<String>) {
        let error = catalogue().find(name, port, variant).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        (error.message().to_owned(), error.hints().to_vec())
    }

    #[test]
    fn a_board_is_found_with_its_default_or_a_named_variant() {
        let catalogue = catalogue();
        let build = catalogue.find("unix", None, None).unwrap();
        assert_eq!(build.variant.name.as_deref(), Some("standard"));
        let build = catalogue.find("ESP32_GENERIC", None, None).unwrap();
        assert_eq!((build.variant.name.as_deref(), build.port.name.as_str()), (None, "esp32"));
        let build = catalogue.find("ESP32_GENERIC", Some("esp32"), Some("OTA")).unwrap();
        assert_eq!(build.variant.name.as_deref(), Some("OTA"));
        assert_eq!(catalogue.find("MICROBIT", Some("nrf"), None).unwrap().port.name, "nrf");
    }

    #[test]
    fn a_name_in_other_case_is_suggested_alone() {
        let (message, hints) = error("virt-rv32", None, None);
        assert_eq!(message, "there is no board \"virt-rv32\" in MicroPython 1.28.0 at /tree");
        assert_eq!(hints[0], "did you mean VIRT_RV32?");
        let (_, hints) = error("esp32generic", None, None);
        assert_eq!(hints[0], "did you mean ESP32_GENERIC?");
    }

    #[test]
    fn names_that_are_like_it_are_suggested() {
        let (_, hints) = error("GENERIC", None, None);
        assert_eq!(hints[0], "did you mean one of ESP32_GENERIC, ESP32_GENERIC_C3?");
        let (_, hints) = error("VRIT_RV32", None, None);
        assert_eq!(hints[0], "did you mean VIRT_RV32?");
        let (_, hints) = error("zzzz", None, None);
        assert_eq!(hints, ["`micropython-builder boards --micropython /tree` lists them all"]);
        let (_, hints) = error("", None, None);
        assert_eq!(hints.len(), 1);
    }

    #[test]
    fn a_board_of_several_ports_needs_the_port() {
        let (message, hints) = error("MICROBIT", None, None);
        assert_eq!(message, "the board MICROBIT is in more than one port: nrf, qemu");
        assert_eq!(hints, ["add `--port nrf` or `--port qemu`"]);
        let (_, hints) = error("VIRT_RV32", Some("nrf"), None);
        assert_eq!(hints, ["the port qemu has it: `--port qemu`"]);
        let (message, hints) = error("VIRT_RV32", Some("quemu"), None);
        assert_eq!(message, "there is no port \"quemu\" in MicroPython 1.28.0 at /tree");
        assert_eq!(hints, ["did you mean qemu?"]);
        let (_, hints) = error("VIRT_RV32", Some("avr"), None);
        assert_eq!(hints, ["its ports are esp32, nrf, qemu, unix"]);
    }

    #[test]
    fn an_unknown_variant_names_those_there_are() {
        let (message, hints) = error("ESP32_GENERIC", None, Some("ota"));
        assert_eq!(message, "the board ESP32_GENERIC has no variant \"ota\"");
        assert_eq!(hints, ["did you mean OTA?", "its variants are OTA, D2WD"]);
        let (_, hints) = error("ESP32_GENERIC_C3", None, Some("OTA"));
        assert_eq!(hints, ["it has no variants: leave `--variant` out"]);
        let (_, hints) = error("ESP32_GENERIC-OTA", None, None);
        assert_eq!(hints, ["OTA is a variant of ESP32_GENERIC: `ESP32_GENERIC --variant OTA`"]);
    }
}
