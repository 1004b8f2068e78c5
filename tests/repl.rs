//! The raw REPL against a target that keeps to the protocol and watches that the host does.

mod common;
#[path = "common/target.rs"]
mod target;

use std::time::{Duration, Instant};

use micropython_builder::error::{Error, Kind};
use micropython_builder::repl::{Captured, Exit, Fault, Outcome, Program, Repl};
use target::{End, Paste, Python, Target};

const LONG: Duration = Duration::from_secs(60);

/// Every way in which a target may take code.
const WAYS: [Paste; 5] =
    [Paste::Window(1), Paste::Window(7), Paste::Window(128), Paste::Refused, Paste::Unknown];

fn python(run: impl FnMut(&[u8]) -> (Vec<u8>, End) + 'static) -> Python {
    Box::new(run)
}

/// A target whose output is the code that it was given, between brackets.
fn echo() -> Python {
    python(|code| ([b"[", code, b"]"].concat(), End::Done))
}

fn connected(target: Target) -> Repl<Target> {
    let mut repl = Repl::new(target);
    repl.set_deadline(Some(Instant::now() + LONG));
    repl.enter_raw(LONG).unwrap();
    repl
}

fn exec(repl: &mut Repl<Target>, code: &[u8]) -> (Outcome, Vec<u8>) {
    let mut console = Captured::default();
    let outcome = repl.exec(code, &mut console).unwrap();
    (outcome, console.output)
}

#[test]
fn code_of_any_length_arrives_whole_within_the_window() {
    for paste in WAYS {
        let mut repl = connected(Target::new(paste, echo()));
        for length in [1, 6, 7, 8, 127, 128, 129, 256, 1000] {
            let code: Vec<u8> = (b' '..=b'~').cycle().take(length).collect();
            let expected = [b"[", code.as_slice(), b"]"].concat();
            assert_eq!(exec(&mut repl, &code), (Outcome::Done, expected), "{paste:?} {length}");
        }
    }
}

#[test]
fn no_code_at_all_does_not_restart_the_interpreter() {
    for paste in WAYS {
        let mut repl = connected(Target::new(paste, echo()));
        assert_eq!(exec(&mut repl, b""), (Outcome::Done, b"[\n]".to_vec()), "{paste:?}");
    }
}

#[test]
fn answers_may_come_byte_by_byte() {
    for paste in WAYS {
        let mut target = Target::new(
            paste,
            python(|_| (b"a\r\nb\r\n".to_vec(), End::Raises("Traceback:\nValueError: \u{e9}\n"))),
        );
        target.step = 1;
        let mut repl = connected(target);
        assert_eq!(
            exec(&mut repl, b"x = 1\nprint(x)\n"),
            (Outcome::Raised("Traceback:\nValueError: \u{e9}\n".into()), b"a\nb\n".to_vec())
        );
    }
}

#[test]
fn late_answers_to_earlier_calls_are_not_taken_for_code() {
    let mut target = Target::new(Paste::Window(16), echo());
    // It answers all calls at once when the third comes.
    target.deaf = 2;
    let mut repl = connected(target);
    assert_eq!(exec(&mut repl, b"1"), (Outcome::Done, b"[1]".to_vec()));
}

#[test]
fn a_target_may_refuse_code_while_it_is_sent() {
    for limit in [1, 20, 31, 32, 33, 64, 500] {
        let refuses = python(move |code| {
            let end = if code.starts_with(b"bad") { End::RefusedAfter(limit) } else { End::Done };
            (code.to_vec(), end)
        });
        let mut repl = connected(Target::new(Paste::Window(16), refuses));
        let mut bad = b"bad".to_vec();
        bad.resize(500, b'x');
        let (outcome, _) = exec(&mut repl, &bad);
        assert!(matches!(&outcome, Outcome::Raised(text) if text.contains("SyntaxError")));
        // And is spoken to as before.
        assert_eq!(exec(&mut repl, b"good"), (Outcome::Done, b"good".to_vec()), "{limit}");
    }
}

#[test]
fn system_exit_is_known_though_not_its_value() {
    for paste in WAYS {
        let exits = python(|code| match code {
            b"exit" => (b"bye\r\n".to_vec(), End::SystemExit),
            _ => (b"again".to_vec(), End::Done),
        });
        let mut repl = connected(Target::new(paste, exits));
        assert_eq!(exec(&mut repl, b"exit"), (Outcome::Exited(Exit::Unknown), b"bye\n".to_vec()));
        assert_eq!(exec(&mut repl, b"more"), (Outcome::Done, b"again".to_vec()));
    }
}

#[test]
fn a_traceback_may_hold_the_end_mark() {
    let raises = python(|_| (vec![], End::Raises("ValueError: a\u{4}b\n")));
    let mut repl = connected(Target::new(Paste::Window(16), raises));
    assert_eq!(exec(&mut repl, b"1"), (Outcome::Raised("ValueError: a\u{4}b\n".into()), vec![]));
}

#[test]
fn control_bytes_are_refused_before_anything_is_sent() {
    let mut repl = connected(Target::new(Paste::Window(16), echo()));
    for byte in 1..=5 {
        let code = [b"x = '", [byte].as_slice(), b"'"].concat();
        let Err(fault) = repl.exec(&code, &mut Captured::default()) else { panic!("was sent") };
        let error = Error::from(fault);
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.message().contains(&format!("0x0{byte} at offset 5")), "{error}");
    }
    assert_eq!(exec(&mut repl, b"\ttab"), (Outcome::Done, b"[\ttab]".to_vec()));
}

#[test]
fn a_stream_that_ends_or_falls_silent_is_told_apart() {
    let mut repl = connected(Target::new(
        Paste::Window(16),
        python(|_| (b"last words\r\n".to_vec(), End::Gone)),
    ));
    let mut console = Captured::default();
    assert!(matches!(repl.exec(b"1", &mut console), Err(Fault::Closed)));
    assert_eq!(console.output, b"last words\n");
    assert_eq!(repl.last_lines("it said"), "; it said:\n    last words");

    let mut repl =
        connected(Target::new(Paste::Refused, python(|_| (b"working".to_vec(), End::Hangs))));
    repl.set_deadline(Some(Instant::now() + Duration::from_millis(300)));
    let mut console = Captured::default();
    assert!(matches!(repl.exec(b"1", &mut console), Err(Fault::TimedOut)));
    assert_eq!(console.output, b"working");
}

#[test]
fn a_crash_report_ends_the_wait() {
    let crash = b"before\r\nHardFault exception caught:\r\nR0:   00000000 R1:   00000000\r\nxPSR: 61000003\r\n";
    let mut repl =
        connected(Target::new(Paste::Window(64), python(move |_| (crash.to_vec(), End::Hangs))));
    assert!(matches!(repl.exec(b"1", &mut Captured::default()), Err(Fault::Crashed)));
}

#[test]
fn a_window_of_nothing_is_a_fault_of_the_target() {
    let mut repl = connected(Target::new(Paste::Window(0), echo()));
    let Err(fault) = repl.exec(b"1", &mut Captured::default()) else { panic!("no window") };
    assert!(matches!(fault, Fault::Protocol(what) if what.contains("window of 0 bytes")));
}

#[test]
fn firmware_without_a_file_system_gets_programs_by_the_raw_repl() {
    let small = python(|code| {
        if code.windows(7).any(|word| word == b"binasci") {
            return (vec![], End::Raises("Traceback:\nImportError: no module named 'binascii'\n"));
        }
        match code {
            b"exit" => (vec![], End::SystemExit),
            _ => (code.to_vec(), End::Done),
        }
    });
    let mut repl = connected(Target::new(Paste::Unknown, small));
    let mut console = Captured::default();
    assert_eq!(repl.run(&Program::code("print(1)"), &mut console).unwrap(), Outcome::Done);
    assert_eq!(console.output, b"print(1)");
    assert_eq!(
        repl.run(&Program::code("exit"), &mut console).unwrap(),
        Outcome::Exited(Exit::Unknown)
    );
    let directory = tempfile::tempdir().unwrap();
    let error = Error::from(repl.mount(directory.path()).unwrap_err());
    assert_eq!(error.kind(), Kind::Device);
    assert_eq!(
        error.message(),
        "this firmware cannot mount a directory: ImportError: no module named 'binascii'"
    );
}
