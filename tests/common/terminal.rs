//! A program on a terminal of its own, with a person at it.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, tcgetattr};

/// A session on a terminal of its own.
pub struct Session {
    keys: File,
    child: Child,
    before: Termios,
    seen: String,
}

impl Session {
    /// Starts a program there.
    pub fn start(command: &mut Command) -> Session {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let path = Path::new(OsStr::from_bytes(name.as_bytes()));
        let end = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let before = tcgetattr(&end).unwrap();
        let child = command
            .stdin(Stdio::from(end.try_clone().unwrap()))
            .stdout(Stdio::from(end.try_clone().unwrap()))
            .stderr(Stdio::from(end))
            .spawn()
            .unwrap();
        Session { keys: File::from(terminal), child, before, seen: String::new() }
    }

    /// Waits until the screen shows this, and forgets it up to there.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + Duration::from_secs(120);
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            assert!(Instant::now() < until, "waited for {text:?} in vain, seen:\n{}", self.seen);
            let mut ready = [PollFd::new(&self.keys, PollFlags::IN)];
            let moment = Timespec { tv_sec: 1, tv_nsec: 0 };
            if poll(&mut ready, Some(&moment)).unwrap() > 0 {
                let mut buffer = [0; 4096];
                let count = self.keys.read(&mut buffer).unwrap_or(0);
                assert!(count > 0, "it ended before {text:?}, seen:\n{}", self.seen);
                self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        }
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end; the terminal must be as it was.
    pub fn end(mut self) -> Option<i32> {
        let code = self.child.wait().unwrap().code();
        let after = tcgetattr(&self.keys).unwrap();
        assert_eq!(
            (after.local_modes, after.input_modes, after.output_modes),
            (self.before.local_modes, self.before.input_modes, self.before.output_modes)
        );
        code
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Only a test that failed leaves one running.
        let _ = self.child.kill();
    }
}
