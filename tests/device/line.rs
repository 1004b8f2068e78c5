//! The line: a pseudo-terminal, of which the host opens one end as its serial port.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// What the line has at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Nothing,
    /// Nobody has the port open.
    Closed,
    Bytes(Vec<u8>),
}

#[derive(Debug)]
pub struct Line {
    device: File,
    name: PathBuf,
}

impl Line {
    pub fn new() -> Line {
        let device =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&device).unwrap();
        unlockpt(&device).unwrap();
        let name = ptsname(&device, Vec::new()).unwrap();
        // Neither echo nor lines, whatever is said before a host has opened it.
        let mut settings = tcgetattr(&device).unwrap();
        settings.make_raw();
        tcsetattr(&device, OptionalActions::Now, &settings).unwrap();
        let flags = fcntl_getfl(&device).unwrap();
        fcntl_setfl(&device, flags | OFlags::NONBLOCK).unwrap();
        let name = Path::new(OsStr::from_bytes(name.as_bytes())).to_path_buf();
        // A line that nobody has ever opened does not look closed otherwise.
        drop(File::open(&name).unwrap());
        Line { device: File::from(device), name }
    }

    /// Where the host's end is.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// The rate that the host has set, in bits per second.
    pub fn rate(&self) -> u32 {
        tcgetattr(&self.device).map_or(0, |settings| settings.output_speed())
    }

    /// Waits a little for what comes next.
    pub fn receive(&mut self, wait: Duration) -> Event {
        if !self.wait(PollFlags::IN, wait) {
            return Event::Nothing;
        }
        let mut buffer = [0; 4096];
        match self.device.read(&mut buffer) {
            Ok(0) => Event::Closed,
            Ok(count) => Event::Bytes(buffer[..count].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Event::Nothing,
            Err(_) => Event::Closed,
        }
    }

    /// Sends all bytes, as long as somebody is there and takes them within a while.
    pub fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.device.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.wait(PollFlags::OUT, Duration::from_secs(2)) {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }

    fn wait(&self, what: PollFlags, wait: Duration) -> bool {
        let mut ready = [PollFd::new(&self.device, what)];
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.as_nanos() as i64 };
        poll(&mut ready, Some(&wait)).is_ok_and(|count| count > 0)
    }
}
