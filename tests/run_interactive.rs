//! `run` on a terminal: a session with a person.

mod common;
#[path = "common/firmware.rs"]
mod firmware;
#[path = "common/running.rs"]
mod running;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use firmware::firmware;
use running::{directory, left_over, mpb, own_copy};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, tcgetattr};

/// A session on a terminal of its own.
struct Session {
    keys: File,
    child: Child,
    before: Termios,
    seen: String,
}

impl Session {
    fn start(firmware: &Path, more: &[&str]) -> Session {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let end = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let before = tcgetattr(&end).unwrap();
        let child = mpb(firmware)
            .args(more)
            .stdin(Stdio::from(end.try_clone().unwrap()))
            .stdout(Stdio::from(end.try_clone().unwrap()))
            .stderr(Stdio::from(end))
            .spawn()
            .unwrap();
        Session { keys: File::from(terminal), child, before, seen: String::new() }
    }

    /// Waits until the screen shows this, and forgets it up to there.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
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

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end; the terminal must be as it was.
    fn end(mut self) -> Option<i32> {
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

#[test]
fn keys_go_to_the_target_until_the_session_is_ended() {
    for board in ["VIRT_RV32", "MPS2_AN385"] {
        let Some(firmware) = firmware(board) else { continue };
        let copy = own_copy(&firmware);
        let mut session = Session::start(copy.path(), &[]);
        session.wait_for("Ctrl-] ends the session");
        session.wait_for(">>> ");
        session.press("print(6 * 7)\r");
        session.wait_for("\r\n42\r\n>>> ");
        // The target's own line editing.
        session.press("x = 'abd\u{7f}c'; print(x)\r");
        session.wait_for("\r\nabc\r\n>>> ");
        session.press("if x:\r");
        session.wait_for("... ");
        session.press("\u{3}");
        session.wait_for(">>> ");
        session.press("\u{1d}");
        assert_eq!(session.end(), Some(0));
        assert_eq!(left_over(copy.path()), [""; 0]);
    }
}

#[test]
fn a_mounted_directory_outlives_a_soft_reset() {
    let Some(firmware) = firmware("VIRT_RV32") else { return };
    let files = directory(&[("helper.py", "value = 'from the host'\n")]);
    let mut session = Session::start(&firmware, &["--mount", files.path().to_str().unwrap()]);
    session.wait_for(">>> ");
    session.press("import helper; helper.value\r");
    session.wait_for("\r\n'from the host'\r\n>>> ");
    session.press("\u{4}");
    session.wait_for("soft reboot");
    session.wait_for("mounting again");
    session.wait_for(">>> ");
    session.press("helper\r");
    session.wait_for("NameError");
    session.wait_for(">>> ");
    session.press("import helper; helper.value\r");
    session.wait_for("\r\n'from the host'\r\n>>> ");
    // On the emulated boards that ends the emulator, and so the session.
    session.press("import machine; machine.reset()\r");
    assert_eq!(session.end(), Some(0));
}

#[test]
fn a_program_of_this_machine_has_the_terminal_itself() {
    let Some(firmware) = firmware("unix") else { return };
    let files = directory(&[("helper.py", "value = 'from here'\n")]);
    let mut session = Session::start(&firmware, &["--mount", files.path().to_str().unwrap()]);
    session.wait_for(">>> ");
    session.press("import helper; helper.value\r");
    session.wait_for("'from here'");
    session.wait_for(">>> ");
    session.press("\u{4}");
    assert_eq!(session.end(), Some(0));
}

#[test]
fn what_only_programs_have_is_refused() {
    let Some(firmware) = firmware("unix") else { return };
    for more in [&["--timeout", "5"][..], &["--json"], &["argument"]] {
        let mut session = Session::start(&firmware, more);
        session.wait_for("has no meaning in an interactive session");
        session.wait_for("--exec");
        assert_eq!(session.end(), Some(2));
    }
}
