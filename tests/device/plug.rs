//! The plug: a line with its modem lines under the name that a host opens.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::line::Line;
use super::lines;
use super::session::Shared;
use super::usb::{Identity, Plugged};

/// Something plugged in. Dropping it pulls the plug: the name is gone, and who has it open is cut off.
pub struct Plug {
    pub line: Line,
    port: PathBuf,
    lines: Option<JoinHandle<()>>,
    usb: Option<(Plugged, Identity)>,
}

impl Plug {
    /// Under a name of its own, and perhaps on a USB as what it is there.
    pub fn new(port: &Path, shared: &Arc<Mutex<Shared>>, usb: Option<(Plugged, Identity)>) -> Plug {
        let line = Line::new();
        let shared = Arc::clone(shared);
        let lines = lines::serve(line.name(), move |what, bits| {
            shared.lock().unwrap().lines.message(what, bits)
        });
        symlink(line.name(), port).unwrap();
        if let Some((plugged, identity)) = &usb {
            plugged.bus.plug(plugged.socket, *identity, line.name());
        }
        Plug { line, port: port.to_owned(), lines: Some(lines), usb }
    }
}

impl Drop for Plug {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.port);
        if let Some((plugged, identity)) = &self.usb {
            plugged.bus.pull(*identity);
        }
        // The modem lines go first: with the terminal, its number is free for another device.
        lines::hang_up(self.line.name());
        if let Some(lines) = self.lines.take() {
            let _ = lines.join();
        }
    }
}
