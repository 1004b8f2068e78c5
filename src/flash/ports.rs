//! The serial ports of this machine, and which of them may have a board behind it.

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serialport::{SerialPortType, UsbPortInfo};

use crate::error::{Error, Result};
use crate::interrupt;

/// How long is waited for a port that is not there, or not there again.
pub const WAIT: Duration = Duration::from_secs(10);
/// How often is looked.
const PAUSE: Duration = Duration::from_millis(100);

/// The number of Espressif as a maker of USB devices.
const ESPRESSIF: u16 = 0x303a;

/// The makers of what Espressif chips are connected by.
const MAKERS: &[(u16, &str)] = &[
    (ESPRESSIF, "Espressif"),
    (0x10c4, "Silicon Labs CP210x"),
    (0x1a86, "WCH CH34x or CH91xx"),
    (0x0403, "FTDI"),
    (0x067b, "Prolific PL2303"),
];

/// A serial port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// The file, for example `/dev/ttyUSB0`.
    pub path: String,
    /// What USB says of it.
    pub usb: Option<Usb>,
    /// Whether it may have a chip of Espressif behind it, by its USB ids.
    pub candidate: bool,
}

/// What a USB device says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usb {
    /// The maker's number.
    pub vid: u16,
    /// The product's number.
    pub pid: u16,
    /// The serial number.
    pub serial: Option<String>,
    /// The maker.
    pub manufacturer: Option<String>,
    /// The product.
    pub product: Option<String>,
    /// The socket that it is plugged into: the bus, and the ports of the hubs on the way.
    pub location: Option<String>,
}

impl Port {
    /// A port by its path, with nothing known of it.
    pub fn unknown(path: impl Into<String>) -> Port {
        Port { path: path.into(), usb: None, candidate: false }
    }

    fn of_usb(path: String, usb: UsbPortInfo) -> Port {
        let usb = Usb {
            vid: usb.vid,
            pid: usb.pid,
            serial: usb.serial_number,
            manufacturer: usb.manufacturer,
            product: usb.product,
            location: usb.location.map(|location| location.to_string()),
        };
        let candidate = MAKERS.iter().any(|(vid, _)| *vid == usb.vid);
        Port { path, usb: Some(usb), candidate }
    }

    /// Whether it is the USB of a chip of Espressif's own, without a bridge between.
    pub fn is_chips_own(&self) -> bool {
        self.usb.as_ref().is_some_and(|usb| usb.vid == ESPRESSIF)
    }

    /// What it is, in words: `/dev/ttyACM0  303a:1001  Espressif USB JTAG/serial debug unit`.
    pub fn describe(&self) -> String {
        let Some(usb) = &self.usb else { return self.path.clone() };
        let maker = MAKERS.iter().find(|(vid, _)| *vid == usb.vid).map(|(_, name)| *name);
        let names = [usb.manufacturer.as_deref().or(maker), usb.product.as_deref()];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        let name = names.join(" ").replace('_', " ");
        format!("{}  {:04x}:{:04x}  {name}", self.path, usb.vid, usb.pid)
    }

    /// Whether another port is the same device, perhaps under a new name: it is in the same socket, or has the
    /// address of the same chip for its serial number.
    fn is(&self, other: &Port) -> bool {
        let (Some(ours), Some(theirs)) = (&self.usb, &other.usb) else {
            return self.path == other.path;
        };
        if ours.vid != theirs.vid {
            return false;
        }
        match (&ours.location, &theirs.location) {
            (Some(here), Some(there)) if here == there => true,
            _ if ours.address().is_some() => ours.address() == theirs.address(),
            (Some(_), Some(_)) => false,
            _ => self.path == other.path,
        }
    }
}

impl Usb {
    /// The serial number, where it is the address of a chip. The chip's own USB writes it with colons, MicroPython
    /// without; bridges without a number of their own all have the same short one.
    fn address(&self) -> Option<String> {
        let digits: String =
            self.serial.as_deref()?.chars().filter(|digit| !matches!(digit, ':' | '-')).collect();
        let is_address =
            digits.len() >= 12 && digits.chars().all(|digit| digit.is_ascii_hexdigit());
        is_address.then(|| digits.to_ascii_uppercase())
    }
}

/// The serial ports of this machine, the candidates first.
///
/// # Errors
/// When the system does not tell.
pub fn list() -> Result<Vec<Port>> {
    // Without it, serialport panics.
    if cfg!(target_os = "linux") && !Path::new("/sys/class/tty").is_dir() {
        return Ok(Vec::new());
    }
    let found = serialport::available_ports().map_err(|error| {
        Error::internal(format!("cannot list serial ports: {error}"))
            .hint("name the port with `--port`")
    })?;
    let mut ports: Vec<Port> = found
        .into_iter()
        .map(|port| match port.port_type {
            SerialPortType::UsbPort(usb) => Port::of_usb(port.port_name, usb),
            _ => Port::unknown(port.port_name),
        })
        .collect();
    ports.sort_by(|one, other| (!one.candidate, &one.path).cmp(&(!other.candidate, &other.path)));
    Ok(ports)
}

/// The port by a path, with what USB says of it. One that is not there yet is waited for.
///
/// # Errors
/// When it does not come, or the user interrupts.
pub fn named(path: &str, waiting: &mut dyn FnMut()) -> Result<Port> {
    let look = || {
        let real = Path::new(path).canonicalize().ok()?;
        let known = list().ok()?.into_iter().find(|port| Path::new(&port.path) == real);
        Some(Port { path: path.to_owned(), ..known.unwrap_or_else(|| Port::unknown(path)) })
    };
    wait(WAIT, waiting, look)?.ok_or_else(|| {
        Error::device(format!("there is no port {path}"))
            .hint("`micropython-builder flash --list-ports` lists the ports that there are")
    })
}

/// The same device after it was reset: its USB may have gone away and come back under another name.
///
/// # Errors
/// When it does not come back, or the user interrupts.
pub fn again(port: &Port) -> Result<Port> {
    let look = || {
        if port.usb.is_none() {
            return Path::new(&port.path).exists().then(|| port.clone());
        }
        let is = |other: &Port| port.is(other) && opens(&other.path);
        let mut same: Vec<Port> = list().ok()?.into_iter().filter(is).collect();
        // One device may have several ports.
        let at = same.iter().position(|other| other.path == real_path(&port.path)).unwrap_or(0);
        (!same.is_empty()).then(|| same.swap_remove(at))
    };
    wait(WAIT, &mut || (), look)?.ok_or_else(|| {
        Error::device(format!("the board on {} did not come back after its reset", port.path))
            .hint("unplug it and plug it in again")
    })
}

/// The same device, where its USB has become another one meanwhile: a program that has its own has taken a reset for the
/// request to start the loader, and the loader comes with its own, too. `None` where nothing has changed.
///
/// # Errors
/// When it does not come back, or the user interrupts.
pub fn changed(port: &Port) -> Result<Option<Port>> {
    if port.usb.is_none() {
        return Ok(None);
    }
    let now = again(port)?;
    let product = |port: &Port| port.usb.as_ref().map(|usb| usb.pid);
    let is_other = now.path != real_path(&port.path) || product(&now) != product(port);
    Ok(is_other.then_some(now))
}

/// What a name for a port stands for.
fn real_path(path: &str) -> String {
    let real = Path::new(path).canonicalize().ok();
    real.and_then(|real| Some(real.to_str()?.to_owned())).unwrap_or_else(|| path.to_owned())
}

/// Whether the system has finished setting up a port that has just appeared.
fn opens(path: &str) -> bool {
    let opened = std::fs::File::options().read(true).write(true).open(path);
    !opened.is_err_and(|error| {
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
    })
}

/// Looks until there is something or the time is over. `waiting` is called once before the first pause.
fn wait<T>(
    limit: Duration,
    waiting: &mut dyn FnMut(),
    mut look: impl FnMut() -> Option<T>,
) -> Result<Option<T>> {
    let end = Instant::now() + limit;
    let mut told = false;
    loop {
        if let Some(found) = look() {
            return Ok(Some(found));
        }
        interrupt::check()?;
        if Instant::now() >= end {
            return Ok(None);
        }
        if !std::mem::replace(&mut told, true) {
            waiting();
        }
        thread::sleep(PAUSE);
    }
}

/// Which port is meant when none is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The only candidate.
    One(Port),
    /// There are several candidates, or none among several ports: a person has to choose.
    Several(Vec<Port>),
    /// There is no port at all.
    None,
}

/// Chooses among ports: the only candidate by USB ids, whatever other ports there are.
pub fn choose(ports: Vec<Port>) -> Choice {
    let mut candidates: Vec<Port> = ports.iter().filter(|port| port.candidate).cloned().collect();
    match candidates.len() {
        0 if ports.is_empty() => Choice::None,
        0 => Choice::Several(ports),
        1 => candidates.pop().map_or(Choice::None, Choice::One),
        _ => Choice::Several(candidates),
    }
}

/// Waits until there is a port to choose, for a board that is being plugged in or comes back from a reset.
///
/// # Errors
/// When the system does not tell, or the user interrupts.
pub fn choice(waiting: &mut dyn FnMut()) -> Result<Choice> {
    let look = || match list().map(choose) {
        Ok(Choice::None) => None,
        other => Some(other),
    };
    wait(WAIT, waiting, look)?.unwrap_or(Ok(Choice::None))
}

/// The error for a choice that nobody can be asked to make.
pub fn undecided(choice: &Choice) -> Error {
    match choice {
        Choice::Several(ports) => {
            let listed: String =
                ports.iter().map(|port| format!("\n    {}", port.describe())).collect();
            let what = if ports.iter().any(|port| port.candidate) {
                "several ports may have a board behind them"
            } else {
                "no port has the USB ids of a known board"
            };
            Error::device(format!("{what}:{listed}"))
                .hint("name one with `--port`; several `--port` flash several boards at once")
        }
        _ => Error::device("no serial port was found, and so no board")
            .hint("plug the board in, with a cable that carries data; some boards need their BOOT button held meanwhile")
            .hint("in a container or a virtual machine, hand the port on to it and name it with `--port`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(path: &str, ids: Option<(u16, u16)>, serial: Option<&str>) -> Port {
        let Some((vid, pid)) = ids else { return Port::unknown(path) };
        Port::of_usb(
            path.to_owned(),
            UsbPortInfo {
                vid,
                pid,
                serial_number: serial.map(str::to_owned),
                manufacturer: None,
                product: Some("USB_JTAG".to_owned()),
                location: None,
            },
        )
    }

    #[test]
    fn the_only_candidate_is_chosen() {
        let esp = || port("/dev/ttyACM0", Some((0x303a, 0x1001)), None);
        let bridge = || port("/dev/ttyUSB0", Some((0x10c4, 0xea60)), None);
        let builtin = || port("/dev/ttyS0", None, None);
        let modem = || port("/dev/ttyACM9", Some((0x1199, 1)), None);
        assert_eq!(choose(vec![]), Choice::None);
        assert_eq!(choose(vec![esp()]), Choice::One(esp()));
        assert_eq!(choose(vec![builtin(), esp(), modem()]), Choice::One(esp()));
        assert_eq!(choose(vec![bridge(), esp()]), Choice::Several(vec![bridge(), esp()]));
        // One port that may be anything is not written to without being asked.
        assert_eq!(choose(vec![builtin()]), Choice::Several(vec![builtin()]));
    }

    #[test]
    fn a_device_is_known_again_by_its_socket_or_its_address() {
        let socket = |mut port: Port, location: &str| {
            if let Some(usb) = &mut port.usb {
                usb.location = Some(location.to_owned());
            }
            port
        };
        let before = port("/dev/ttyACM0", Some((0x303a, 0x1001)), Some("7C:DF:A1:00:11:22"));
        let after = |serial| port("/dev/ttyACM1", Some((0x303a, 0x4001)), Some(serial));
        assert!(before.is(&after("7cdfa1001122")));
        assert!(!before.is(&after("7cdfa1001123")));
        // The loader of an ESP32-S2 calls itself 0.
        assert!(socket(before.clone(), "1-2.1").is(&socket(after("0"), "1-2.1")));
        assert!(!socket(before.clone(), "1-2.1").is(&socket(after("0"), "1-2.2")));
        assert!(socket(before, "1-2.1").is(&socket(after("7CDFA1001122"), "1-3")));
        // Bridges of one maker all have the same number, or none.
        for serial in [Some("0001"), None] {
            let bridge = |path| port(path, Some((0x10c4, 0xea60)), serial);
            assert!(bridge("/dev/ttyUSB0").is(&bridge("/dev/ttyUSB0")));
            assert!(!bridge("/dev/ttyUSB0").is(&bridge("/dev/ttyUSB1")));
            let (one, other) = (bridge("/dev/ttyUSB0"), bridge("/dev/ttyUSB1"));
            assert!(socket(one.clone(), "1-2").is(&socket(other.clone(), "1-2")));
            assert!(!socket(one, "1-2").is(&socket(other, "1-3")));
        }
    }

    #[test]
    fn what_cannot_be_decided_is_listed() {
        let error = undecided(&Choice::Several(vec![
            port("/dev/ttyUSB0", Some((0x10c4, 0xea60)), None),
            port("/dev/ttyACM0", Some((0x303a, 0x1001)), None),
        ]));
        assert_eq!(error.kind().exit_code(), 6);
        for line in [
            "/dev/ttyUSB0  10c4:ea60  Silicon Labs CP210x USB JTAG",
            "/dev/ttyACM0  303a:1001  Espressif USB JTAG",
        ] {
            assert!(error.message().contains(line), "{error}");
        }
        assert!(undecided(&Choice::None).message().starts_with("no serial port"));
    }

    #[test]
    fn waiting_ends_when_something_comes() {
        let (mut looks, mut told) = (0, 0);
        let look = || {
            looks += 1;
            (looks > 2).then_some(looks)
        };
        assert_eq!(wait(WAIT, &mut || told += 1, look).unwrap(), Some(3));
        assert_eq!(told, 1);
        assert_eq!(wait(Duration::ZERO, &mut || (), || None::<()>).unwrap(), None);
    }
}
