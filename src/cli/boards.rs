//! `boards`: the boards of a MicroPython tree, as a table, one in full, or as JSON.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::json;

use super::output::{Output, print_warning};
use super::tree::TreeArgument;
use crate::board::{self, Board, Catalogue, Port, Variant};
use crate::error::Result;
use crate::source::Sources;

const EXAMPLES: &str = "\
Examples:
  micropython-builder boards --micropython ~/micropython
  micropython-builder boards --micropython ~/micropython --port rp2
  micropython-builder boards --micropython ~/micropython ESP32_GENERIC
  micropython-builder boards --micropython ~/micropython --json | jq -r '.boards[].name'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Show this board in full; without it, all boards are listed
    #[arg(value_name = "BOARD")]
    name: Option<String>,
    /// Only the boards of this port: `esp32`, `rp2`, `qemu`, …
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    #[command(flatten)]
    tree: TreeArgument,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let mut catalogue = board::scan(&arguments.tree.get(&Sources::of_user()?, output)?.path)?;
    let port = arguments.port.as_deref();
    if let Some(port) = port {
        catalogue.find_port(port)?;
    }
    let text = match arguments.name.as_deref() {
        Some(name) => {
            let (port, board) = catalogue.find_board(name, port)?;
            let (text, port, name) = (in_full(port, board), port.name.clone(), board.name.clone());
            keep(&mut catalogue, &port, Some(&name));
            text
        }
        None => {
            if let Some(port) = port {
                keep(&mut catalogue, port, None);
            }
            table(&catalogue.boards)
        }
    };
    for warning in &catalogue.warnings {
        print_warning(warning);
    }
    if output.json() {
        output.data_json(&json!({
            "schema": 1,
            "tree": catalogue.tree.to_string_lossy(),
            "version": catalogue.version,
            "ports": catalogue.ports,
            "boards": catalogue.boards,
            "warnings": catalogue.warnings,
        }))?;
    } else {
        output.data(text)?;
        if arguments.name.is_none() {
            output.say(summary(&catalogue));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Keeps what is about one port, or one of its boards.
fn keep(catalogue: &mut Catalogue, port: &str, name: Option<&str>) {
    catalogue.ports.retain(|kept| kept.name == port);
    catalogue
        .boards
        .retain(|board| board.port == port && name.is_none_or(|name| board.name == name));
    let directory = match (name, catalogue.boards.first()) {
        (Some(_), Some(board)) => board.directory.clone(),
        _ => format!("ports/{port}"),
    };
    catalogue.warnings.retain(|warning| warning.contains(&format!("{directory}/")));
}

fn summary(catalogue: &Catalogue) -> String {
    let version =
        catalogue.version.as_deref().map_or(String::new(), |version| format!(" {version}"));
    format!(
        "{} boards and {} builds in {} of MicroPython{version}",
        catalogue.boards.len(),
        catalogue.builds().count(),
        match catalogue.ports.len() {
            1 => "1 port".to_owned(),
            count => format!("{count} ports"),
        },
    )
}

fn table(boards: &[Board]) -> String {
    let mut rows = vec![["PORT", "BOARD", "MCU", "FLASH", "VARIANTS"].map(str::to_owned)];
    rows.extend(boards.iter().map(|board| {
        let flash = default(board).and_then(|variant| variant.flash_size);
        let variants: Vec<String> = board
            .variants
            .iter()
            .filter_map(|variant| match (variant.name.as_deref()?, variant.default) {
                (name, true) => Some(format!("{name} (default)")),
                (name, false) => Some(name.to_owned()),
            })
            .collect();
        [
            board.port.clone(),
            board.name.clone(),
            processor(board).to_owned(),
            flash.map_or("-".to_owned(), size),
            variants.join(", "),
        ]
    }));
    aligned(&rows, "")
}

fn default(board: &Board) -> Option<&Variant> {
    board.variants.iter().find(|variant| variant.default).or(board.variants.first())
}

fn processor(board: &Board) -> &str {
    let architecture = board.machine.as_ref().map(|machine| machine.architecture.as_str());
    board.mcu.as_deref().or(architecture).unwrap_or("-")
}

fn in_full(port: &Port, board: &Board) -> String {
    let metadata = &board.metadata;
    let mut text = format!("{} ({})\n", board.name, port.name);
    let product = [metadata.vendor.as_deref(), metadata.product.as_deref()];
    let product: Vec<&str> = product.into_iter().flatten().collect();
    if !product.is_empty() {
        let _ = writeln!(text, "{}", product.join(", "));
    }
    let features = [metadata.features.as_slice(), metadata.features_non_filterable.as_slice()];
    let machine = board.machine.as_ref();
    let machine =
        machine.map(|machine| format!("{} on qemu-system-{}", machine.name, machine.architecture));
    let build_system = port.build_system.map(|system| match system {
        board::BuildSystem::Cmake => "cmake".to_owned(),
        board::BuildSystem::Make => "make".to_owned(),
    });
    let mut rows = Vec::new();
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            rows.push([name.to_owned(), value]);
        }
    };
    row("mcu", board.mcu.clone());
    row("machine", machine);
    row("flash", default(board).and_then(|variant| variant.flash_size).map(size));
    row("features", Some(features.concat().join(", ")));
    row("built with", build_system);
    row("directory", Some(board.directory.clone()));
    row("about", Some(board.documentation.join(", ")));
    row("flashing", Some(board.flashing.join(", ")));
    row("port docs", Some(port.documentation.join(", ")));
    row("web page", metadata.url.clone());
    row("manual", metadata.docs.clone());
    row("pictures", Some(metadata.images.join(", ")));
    text.push_str(&aligned(&rows, "  "));
    if board.variants.len() > 1 {
        text.push('\n');
        text.push_str(&variants(board));
    }
    text
}

fn variants(board: &Board) -> String {
    let mut rows = vec![["VARIANT", "FLASH", "DESCRIPTION"].map(str::to_owned)];
    rows.extend(board.variants.iter().map(|variant| {
        let description = variant.description.clone().unwrap_or_default();
        [
            variant.name.clone().unwrap_or_else(|| "(none)".to_owned()),
            variant.flash_size.map_or("-".to_owned(), size),
            if variant.default { format!("{description} (default)") } else { description }
                .trim()
                .to_owned(),
        ]
    }));
    aligned(&rows, "  ")
}

/// Columns as wide as their widest cell, the last one as it is.
fn aligned<const N: usize>(rows: &[[String; N]], indent: &str) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from(indent);
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A flash size for a person: `4 MiB`, `512 KiB`.
fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    match bytes {
        bytes if bytes >= MIB && bytes.is_multiple_of(MIB) => format!("{} MiB", bytes / MIB),
        bytes if bytes >= KIB && bytes.is_multiple_of(KIB) => format!("{} KiB", bytes / KIB),
        bytes => format!("{bytes} bytes"),
    }
}
