//! A USB with serial devices on it, as Linux shows it below `/sys/class/tty` and `/dev`: for host programs that run with
//! [`super::lines::preload`].

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

/// What a device says of itself, and what the system calls its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub port: &'static str,
    pub vid: u16,
    pub pid: u16,
    pub serial: &'static str,
    pub product: &'static str,
}

/// The USB.
#[derive(Debug, Clone)]
pub struct Bus(Arc<TempDir>);

/// A device in a socket of the USB.
#[derive(Debug, Clone)]
pub struct Plugged {
    pub bus: Bus,
    /// The number of the socket at the first bus's hub.
    pub socket: u8,
    /// What it is while a program of its own runs on it, and while its loader does.
    pub program: Identity,
    pub loader: Identity,
}

impl Bus {
    pub fn new() -> Bus {
        let bus = Bus(Arc::new(tempfile::tempdir().unwrap()));
        for directory in ["class/tty", "dev", "bus/usb", "devices"] {
            fs::create_dir_all(bus.path().join(directory)).unwrap();
        }
        bus
    }

    /// A device with a terminal behind it, or anything that is a file.
    pub fn plug(&self, socket: u8, identity: Identity, terminal: &Path) {
        let device = self.path().join(format!("devices/1-{socket}"));
        let interface = device.join("interface");
        fs::create_dir_all(&interface).unwrap();
        for (name, value) in [
            ("idVendor", format!("{:04x}", identity.vid)),
            ("idProduct", format!("{:04x}", identity.pid)),
            ("serial", identity.serial.to_owned()),
            ("product", identity.product.to_owned()),
            ("busnum", "1".to_owned()),
            ("devpath", socket.to_string()),
        ] {
            fs::write(device.join(name), value + "\n").unwrap();
        }
        let _ = symlink(self.path().join("bus/usb"), interface.join("subsystem"));
        let class = self.path().join("class/tty").join(identity.port);
        fs::create_dir(&class).unwrap();
        symlink(&interface, class.join("device")).unwrap();
        symlink(terminal, self.path().join("dev").join(identity.port)).unwrap();
    }

    pub fn pull(&self, identity: Identity) {
        fs::remove_dir_all(self.path().join("class/tty").join(identity.port)).unwrap();
        fs::remove_file(self.path().join("dev").join(identity.port)).unwrap();
    }

    /// Shows it to a host program.
    pub fn show(&self, command: &mut Command) {
        command.env("SIMULATED_USB", self.path());
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Plugged {
    pub fn identity(&self, loader: bool) -> Identity {
        if loader { self.loader } else { self.program }
    }
}
