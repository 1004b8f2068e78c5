//! A device on a serial port.

use std::fs::File;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::termios::{ControlModes, OptionalActions, speed, tcgetattr, tcsetattr};

use super::Pipes;
use crate::error::{Error, Result};

/// How fast MicroPython's serial consoles are; USB takes no notice of it.
const BAUD: u32 = speed::B115200;

/// Opens a serial port for a conversation with the MicroPython on it.
///
/// # Errors
/// When there is no such port, or it cannot be used.
pub fn open(path: &Path) -> Result<Pipes> {
    let fail = |error: std::io::Error| {
        let refused = error.kind() == std::io::ErrorKind::PermissionDenied;
        let error = Error::io("open", path, &error);
        if refused {
            error.hint(
                "serial ports belong to a group, `dialout` on most systems: become its member",
            )
        } else {
            error
        }
    };
    let is_port = path.metadata().map_err(fail)?.file_type().is_char_device();
    if !is_port {
        return Err(Error::input(format!("{} is no serial port", path.display())));
    }
    let flags = OFlags::NOCTTY.bits() as i32;
    let port = File::options().read(true).write(true).custom_flags(flags).open(path);
    let port = port.map_err(fail)?;
    let cannot = |error: rustix::io::Errno| {
        Error::device(format!("{} is no serial port that can be used: {error}", path.display()))
    };
    let mut settings = tcgetattr(&port).map_err(cannot)?;
    settings.make_raw();
    settings.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
    settings.set_speed(BAUD).map_err(cannot)?;
    tcsetattr(&port, OptionalActions::Now, &settings).map_err(cannot)?;
    let copy = port.try_clone().map_err(fail)?;
    Pipes::new(copy, port)
}
