//! What a tree says about one board: its metadata, variants, microcontroller and flash.

use std::path::{Component, Path, PathBuf};

use super::cmake::Script;
use super::make::Makefile;
use super::metadata::{self, Metadata};
use super::scan::{Layout, Place};
use super::{Board, BuildSystem, Machine, Variant, flash, header};

const BOARD_JSON: &str = "board.json";

/// What a board's build files say with one variant.
enum Settings {
    Make(Makefile),
    Cmake(Script),
    Unknown,
}

/// A board while it is being described.
struct Subject<'a> {
    name: &'a str,
    layout: Layout,
    /// Where it is described.
    directory: PathBuf,
    /// The same, relative to the tree.
    relative: String,
}

impl Subject<'_> {
    fn board_json(&self) -> Option<String> {
        let there = self.directory.join(BOARD_JSON).exists();
        (there && self.layout == Layout::Directory)
            .then(|| format!("{}/{BOARD_JSON}", self.relative))
    }
}

/// Describes the board that a port declares.
pub(super) fn board(place: &mut Place<'_>, name: String, layout: Layout) -> Board {
    let port = format!("ports/{}", place.port);
    let relative = match layout {
        Layout::Directory => format!("{port}/boards/{name}"),
        Layout::File => format!("{port}/boards"),
        Layout::Condition | Layout::Port => port,
    };
    let directory = place.tree.join(&relative);
    let subject = Subject { name: &name, layout, directory, relative };
    let board_json = subject.board_json();
    let metadata = read_metadata(place, &subject, board_json.as_deref());
    let settings = settings(place, &subject, None);
    let variants = match layout {
        Layout::Directory => board_variants(place, &subject, &metadata, &settings),
        Layout::Port => port_variants(place),
        Layout::File | Layout::Condition => Vec::new(),
    };
    let variants = match variants {
        empty if empty.is_empty() => vec![Variant {
            name: None,
            description: None,
            default: true,
            flash_size: flash_size(place, &subject, &settings),
        }],
        variants => variants,
    };
    Board {
        port: place.port.to_owned(),
        mcu: metadata.mcu.clone().or_else(|| mcu_name(&subject, &settings)),
        machine: machine(&settings),
        documentation: documentation(place, &subject),
        flashing: flashing(place, &subject, &metadata),
        board_json,
        directory: subject.relative,
        metadata,
        variants,
        name,
    }
}

fn read_metadata(
    place: &mut Place<'_>,
    subject: &Subject<'_>,
    board_json: Option<&str>,
) -> Metadata {
    let Some(shown) = board_json else { return Metadata::default() };
    metadata::read(&subject.directory.join(BOARD_JSON), shown).unwrap_or_else(|message| {
        place.warn(message);
        Metadata::default()
    })
}

/// Reads the build files as a build of the board would.
fn settings(place: &mut Place<'_>, subject: &Subject<'_>, variant: Option<&str>) -> Settings {
    match (place.build_system, subject.layout) {
        (Some(BuildSystem::Cmake), Layout::Directory) => cmake_settings(place, subject, variant),
        (Some(BuildSystem::Make), Layout::Directory | Layout::File | Layout::Condition) => {
            let mut arguments = vec![("BOARD", subject.name)];
            arguments.extend(variant.map(|variant| ("BOARD_VARIANT", variant)));
            place.read_makefile(&arguments).map_or(Settings::Unknown, Settings::Make)
        }
        _ => Settings::Unknown,
    }
}

/// The board's and the variant's file, in the order in which the port's `CMakeLists.txt` has them.
fn cmake_settings(place: &Place<'_>, subject: &Subject<'_>, variant: Option<&str>) -> Settings {
    let board_file = subject.directory.join("mpconfigboard.cmake");
    if !board_file.is_file() {
        return Settings::Unknown;
    }
    // Relative to the port: paths need not be text, values have to be.
    let directory = format!("boards/{}", subject.name);
    let mut variables = vec![
        ("MICROPY_DIR", "../.."),
        ("MICROPY_PORT_DIR", "."),
        ("MICROPY_BOARD", subject.name),
        ("MICROPY_BOARD_DIR", &directory),
    ];
    if let Some(variant) = variant {
        variables.extend([("MICROPY_BOARD_VARIANT", variant), ("BOARD_VARIANT", variant)]);
    }
    let mut script = Script::new(&place.directory, &variables);
    script.include(&board_file);
    let variant_file = match variant {
        Some(variant) => format!("mpconfigvariant_{variant}.cmake"),
        None => "mpconfigvariant.cmake".to_owned(),
    };
    let variant_file = subject.directory.join(variant_file);
    if variant_file.is_file() {
        script.include(&variant_file);
    }
    Settings::Cmake(script)
}

/// The board as it is, then its variants: first those of `board.json`, in its order.
fn board_variants(
    place: &mut Place<'_>,
    subject: &Subject<'_>,
    metadata: &Metadata,
    base: &Settings,
) -> Vec<Variant> {
    let buildable = buildable_variants(place, subject, base);
    let mut named: Vec<(String, Option<String>)> = Vec::new();
    for (name, description) in &metadata.variants {
        if buildable.contains(name) {
            let description = Some(description.clone()).filter(|text| !text.is_empty());
            named.push((name.clone(), description));
        } else {
            place.warn(format!(
                "{}/{BOARD_JSON} names the variant {name}, but no build file does: it cannot be built",
                subject.relative
            ));
        }
    }
    for name in buildable {
        if !named.iter().any(|(known, _)| *known == name) {
            named.push((name, None));
        }
    }
    let mut variants = vec![Variant {
        name: None,
        description: None,
        default: true,
        flash_size: flash_size(place, subject, base),
    }];
    for (name, description) in named {
        let settings = settings(place, subject, Some(&name));
        let flash_size = flash_size(place, subject, &settings);
        variants.push(Variant { name: Some(name), description, default: false, flash_size });
    }
    variants
}

/// The variants that the build files know, sorted.
fn buildable_variants(
    place: &mut Place<'_>,
    subject: &Subject<'_>,
    base: &Settings,
) -> Vec<String> {
    let extension = match place.build_system {
        Some(BuildSystem::Cmake) => ".cmake",
        _ => ".mk",
    };
    let files = place.list(&subject.directory, Path::is_file);
    let mut names: Vec<String> = files
        .iter()
        .filter_map(|file| file.strip_prefix("mpconfigvariant_")?.strip_suffix(extension))
        .map(str::to_owned)
        .collect();
    match base {
        Settings::Make(makefile) => names.extend(
            makefile
                .comparisons()
                .iter()
                .filter(|found| {
                    found.variable == "BOARD_VARIANT" && found.file == "mpconfigboard.mk"
                })
                .map(|found| found.value.clone()),
        ),
        Settings::Cmake(script) => names.extend(
            script
                .comparisons()
                .iter()
                .filter(|(name, _)| name == "MICROPY_BOARD_VARIANT" || name == "BOARD_VARIANT")
                .map(|(_, value)| value.clone())
                .filter(|value| !value.is_empty()),
        ),
        Settings::Unknown => {}
    }
    names.sort();
    names.dedup();
    names
}

/// The directories in a port's `variants/`, the Makefile's default first.
fn port_variants(place: &mut Place<'_>) -> Vec<Variant> {
    let directory = place.directory.join("variants");
    let is_variant = |path: &Path| {
        ["mpconfigvariant.mk", "mpconfigvariant.h"].iter().any(|file| path.join(file).is_file())
    };
    let names = place.list(&directory, is_variant);
    let default = place.makefile.as_ref().and_then(|makefile| makefile.value("VARIANT"));
    let mut variants: Vec<Variant> = names
        .into_iter()
        .map(|name| Variant {
            default: Some(&name) == default.as_ref(),
            name: Some(name),
            description: None,
            flash_size: None,
        })
        .collect();
    variants.sort_by_key(|variant| !variant.default);
    variants
}

fn flash_size(place: &Place<'_>, subject: &Subject<'_>, settings: &Settings) -> Option<u64> {
    match settings {
        Settings::Make(makefile) => flash::of_makefile(&place.directory, subject.name, makefile),
        Settings::Cmake(script) if script.value("SDKCONFIG_DEFAULTS").is_some() => {
            flash::of_sdkconfig(&place.directory, script)
        }
        Settings::Cmake(script) if place.port == "rp2" => {
            flash::of_pico_board(&place.directory, subject.name, script)
        }
        Settings::Cmake(_) | Settings::Unknown => None,
    }
}

/// `MICROPY_HW_MCU_NAME`, for boards without a `board.json`.
fn mcu_name(subject: &Subject<'_>, settings: &Settings) -> Option<String> {
    const NAME: &str = "MICROPY_HW_MCU_NAME";
    if let Settings::Make(makefile) = settings
        && let Some(name) = makefile.string_definition("CFLAGS", NAME)
    {
        return Some(name);
    }
    if subject.layout != Layout::Directory {
        return None;
    }
    let definition = header::definition(&subject.directory.join("mpconfigboard.h"), &[], NAME)?;
    let name = definition.value.strip_prefix('"')?.strip_suffix('"')?;
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

/// `QEMU_ARCH` and `QEMU_MACHINE`, as the qemu port's boards set them.
fn machine(settings: &Settings) -> Option<Machine> {
    let Settings::Make(makefile) = settings else { return None };
    Some(Machine {
        architecture: makefile.value("QEMU_ARCH")?,
        name: makefile.value("QEMU_MACHINE")?,
    })
}

/// The pages in a board's own directory, relative to the tree.
fn documentation(place: &mut Place<'_>, subject: &Subject<'_>) -> Vec<String> {
    if subject.layout != Layout::Directory {
        return Vec::new();
    }
    let files = place.list(&subject.directory, Path::is_file);
    files
        .into_iter()
        .filter(|name| matches!(name.to_lowercase().as_str(), "board.md" | "readme.md"))
        .map(|name| format!("{}/{name}", subject.relative))
        .collect()
}

/// The pages on flashing that a `board.json` names, relative to the tree.
fn flashing(place: &mut Place<'_>, subject: &Subject<'_>, metadata: &Metadata) -> Vec<String> {
    let mut pages = Vec::new();
    for page in &metadata.deploy {
        match inside(&subject.relative, page).filter(|page| place.tree.join(page).is_file()) {
            Some(page) => pages.push(page),
            None => place.warn(format!(
                "{}/{BOARD_JSON} names the page {page}, which is not there",
                subject.relative
            )),
        }
    }
    pages
}

/// `directory/path` without `.` and `..`; `None` when it leads out of the tree.
fn inside(directory: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = directory.split('/').collect();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_named_from_the_top_of_the_tree() {
        let board = "ports/esp32/boards/X";
        assert_eq!(inside(board, "../deploy.md").as_deref(), Some("ports/esp32/boards/deploy.md"));
        assert_eq!(inside(board, "./a/b.md").as_deref(), Some("ports/esp32/boards/X/a/b.md"));
        assert_eq!(inside(board, "../../../../../etc/passwd"), None);
        assert_eq!(inside(board, "/etc/passwd"), None);
    }
}
