//! What `flash` says, for people.

use std::fmt::Write;

use crate::flash::ports::Port;
use crate::flash::several::Flashed;

/// Ports, one a line.
pub(super) fn ports(ports: &[Port]) -> String {
    ports.iter().map(|port| format!("{}\n", port.describe())).collect()
}

/// What was done to a board, or with `--dry-run` would be.
pub(super) fn flashed(board: &Flashed) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    if board.dry_run {
        let _ = writeln!(
            text,
            "{:<16} {:>10} {:>10} {:>10} {:>10}",
            "PART", "OFFSET", "SIZE", "TO WRITE", "THERE"
        );
        for part in &board.done.parts {
            let offset = format!("0x{:x}", part.offset);
            let _ = writeln!(
                text,
                "{:<16} {offset:>10} {:>10} {:>10} {:>10}",
                part.name, part.size, part.written, part.skipped
            );
        }
        if board.erased {
            text.push_str("all of the flash would be erased first\n");
        } else if board.filesystem_erased {
            text.push_str("the files on the board would be erased\n");
        }
    }
    let _ = write!(text, "{}: {}", board.port, board.found.describe());
    if board.dry_run {
        let _ = writeln!(
            text,
            ": {} bytes to write, {} there already",
            board.done.written(),
            board.done.skipped()
        );
        return text;
    }
    if board.up_to_date {
        let _ = write!(text, " had it already: {} bytes verified", board.done.skipped());
    } else {
        let erased = match (board.erased, board.filesystem_erased) {
            (true, _) => "erased, ",
            (_, true) => "filesystem erased, ",
            _ => "",
        };
        let _ = write!(
            text,
            ": {erased}{} bytes written, {} there already, verified",
            board.done.written(),
            board.done.skipped()
        );
    }
    let _ = writeln!(text, ", in {:.1} s", board.done.seconds);
    text
}
