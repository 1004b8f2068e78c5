//! `run` on a terminal: a session with a person.

mod common;
#[path = "common/firmware.rs"]
mod firmware;
#[path = "common/running.rs"]
mod running;
#[path = "common/terminal.rs"]
mod terminal;

use std::path::Path;

use firmware::firmware;
use running::{directory, left_over, mpb, own_copy};
use terminal::Session;

fn start(firmware: &Path, more: &[&str]) -> Session {
    Session::start(mpb(firmware).args(more))
}

#[test]
fn keys_go_to_the_target_until_the_session_is_ended() {
    for board in ["VIRT_RV32", "MPS2_AN385"] {
        let Some(firmware) = firmware(board) else { continue };
        let copy = own_copy(&firmware);
        let mut session = start(copy.path(), &[]);
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
    let mut session = start(&firmware, &["--mount", files.path().to_str().unwrap()]);
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
    let mut session = start(&firmware, &["--mount", files.path().to_str().unwrap()]);
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
        let mut session = start(&firmware, more);
        session.wait_for("has no meaning in an interactive session");
        session.wait_for("--exec");
        assert_eq!(session.end(), Some(2));
    }
}
