//! The plug: a line with its modem lines under the name that a host opens.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::line::Line;
use super::lines;
use super::session::Shared;

/// Something plugged in. Dropping it pulls the plug: the name is gone, and who has it open is cut off.
pub struct Plug {
    pub line: Line,
    port: PathBuf,
    lines: Option<JoinHandle<()>>,
}

impl Plug {
    pub fn new(port: &Path, shared: &Arc<Mutex<Shared>>) -> Plug {
        let line = Line::new();
        let shared = Arc::clone(shared);
        let lines = lines::serve(line.name(), move |what, bits| {
            shared.lock().unwrap().lines.message(what, bits)
        });
        symlink(line.name(), port).unwrap();
        Plug { line, port: port.to_owned(), lines: Some(lines) }
    }
}

impl Drop for Plug {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.port);
        // The modem lines go first: with the terminal, its number is free for another device.
        lines::hang_up(self.line.name());
        if let Some(lines) = self.lines.take() {
            let _ = lines.join();
        }
    }
}
