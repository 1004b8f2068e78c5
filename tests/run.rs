//! `run`: real firmware in its emulator and as a program of this machine.

mod common;
#[path = "common/firmware.rs"]
mod firmware;
#[path = "common/running.rs"]
mod running;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use common::require;
use firmware::firmware;
use micropython_builder::firmware::record::{Role, describe_file};
use running::{directory, left_over, mpb, own_copy};
use tempfile::TempDir;

/// Two architectures and two UARTs, and the program of this machine.
const ALL: [&str; 3] = ["VIRT_RV32", "MPS2_AN385", "unix"];
const EMULATED: [&str; 2] = ["VIRT_RV32", "MPS2_AN385"];

/// Where a run takes longer than this, it hangs. Runs are ended earlier by their own limit.
const LIMIT: &str = "300";

/// The firmware of those boards that this machine can build and run.
fn available(boards: &[&str]) -> Vec<PathBuf> {
    boards.iter().filter_map(|board| firmware(board)).collect()
}

/// How a command ended and what it wrote.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn run(firmware: &Path, arguments: &[&str]) -> Ran {
    ran(mpb(firmware).args(["--timeout", LIMIT]).args(arguments).output().unwrap())
}

#[track_caller]
fn prints(firmware: &Path, arguments: &[&str], expected: &str) {
    let ran = run(firmware, arguments);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), (expected, ""), "{firmware:?}");
    assert_eq!(ran.code, Some(0));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn programs_run_in_the_order_given_in_one_interpreter() {
    let files = directory(&[("double.py", "x = x * 2\nprint('script', x)\n")]);
    let script = files.path().join("double.py");
    for firmware in available(&ALL) {
        let arguments =
            ["--exec", "x = 20 + 1", "--script", text(&script), "--exec", "print('exec', x)"];
        prints(&firmware, &arguments, "script 42\nexec 42\n");
        let greeting = "import frozen_hello; print(frozen_hello.greet('you'))";
        prints(&firmware, &["--exec", greeting], "hello you\n");
        prints(&firmware, &["--exec", ""], "");
    }
}

#[test]
fn the_minimal_variant_runs_programs_too() {
    let Some(firmware) = firmware("unix-minimal") else { return };
    let files = directory(&[("m.py", "value = 7\n")]);
    let mount = ["--mount", text(files.path())];
    prints(&firmware, &[&mount[..], &["--exec", "import m; print(m.value)"]].concat(), "7\n");
    prints(&firmware, &["--exec", "x = '\"\\\\'", "--exec", "print(x)"], "\"\\\n");
    let ran = run(&firmware, &["--exec", "print(1)", "--exec", "nothing"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(6), "1\n"));
    assert!(ran.stderr.ends_with("NameError: name not defined\n"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("error:"), "{}", ran.stderr);
}

#[test]
fn an_exception_ends_the_run_with_its_traceback() {
    let files = directory(&[("broken.py", "def f():\n    return 1 // 0\n\nf()\n")]);
    for firmware in available(&ALL) {
        let output = mpb(&firmware)
            .current_dir(&files)
            .args(["--exec", "print('before')", "--script", "broken.py"])
            .args(["--exec", "print('after')"])
            .output();
        let ran = ran(output.unwrap());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(6), "before\n"));
        assert_eq!(
            ran.stderr,
            "Traceback (most recent call last):\n  File \"broken.py\", line 4, in <module>\n  \
             File \"broken.py\", line 2, in f\nZeroDivisionError: divide by zero\n"
        );
        let ran = run(&firmware, &["--exec", "def f(:"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(6), ""));
        assert!(ran.stderr.ends_with("SyntaxError: invalid syntax\n"), "{}", ran.stderr);
    }
}

#[test]
fn sys_exit_is_told_apart() {
    let ways = [
        ("sys.exit()", 0, ""),
        ("sys.exit(0)", 0, ""),
        ("sys.exit(None)", 0, ""),
        ("sys.exit(False)", 0, ""),
        ("raise SystemExit", 0, ""),
        ("sys.exit(True)", 6, "exit status 1"),
        ("sys.exit(3)", 6, "exit status 3"),
    ];
    for firmware in available(&ALL) {
        for (how, code, words) in ways {
            let program = format!("import sys\nprint('{how}')\n{how}");
            let ran = run(&firmware, &["--exec", &program, "--exec", "print('after')"]);
            assert_eq!((ran.code, ran.stdout), (Some(code), format!("{how}\n")));
            assert!(ran.stderr.contains(words) && !ran.stderr.contains("Traceback"));
        }
    }
    for firmware in available(&EMULATED) {
        let ran = run(&firmware, &["--exec", "import sys; sys.exit('no caf\u{e9}')"]);
        assert_eq!(ran.code, Some(6));
        assert!(ran.stderr.contains("sys.exit: no caf\u{e9}"), "{}", ran.stderr);
    }
}

#[test]
fn arguments_and_standard_input_are_those_of_python() {
    if !require("python3") {
        return;
    }
    let files = directory(&[("a.py", "import sys\nprint(sys.argv, __name__)\n")]);
    let arguments = ["-x", "two words", "caf\u{e9}", "quo\"te\\"];
    let python = |first: &[&str]| {
        let output =
            Command::new("python3").args(first).args(arguments).current_dir(&files).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let show = "import sys; print([len(a) for a in sys.argv], sys.argv[1] == '-x')";
    for firmware in available(&ALL) {
        for (ours, theirs) in
            [(["--script", "a.py"], vec!["a.py"]), (["--exec", show], vec!["-c", show])]
        {
            let output =
                mpb(&firmware).current_dir(&files).args(ours).arg("--").args(arguments).output();
            let ran = ran(output.unwrap());
            // MicroPython shows what is not ASCII as escapes.
            assert_eq!(ran.stdout.replace("\\xe9", "\u{e9}"), python(&theirs), "{}", ran.stderr);
        }
        for more in [&[][..], &["--script", "-"]] {
            let mut command = mpb(&firmware);
            let mut child =
                command.args(more).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(b"for i in range(3):\n    print(i)\n").unwrap();
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.stdout, b"0\n1\n2\n");
        }
    }
}

#[test]
fn mounted_files_are_read_as_python_reads_them() {
    if !require("python3") {
        return;
    }
    let program = "\
import os, package.inner
from helper import value
print(value, package.inner.name, sorted(os.listdir()), sorted(os.listdir('package')))
text = lambda s: [ord(c) for c in s]
for n in (1, 2, 3, 5, 100, -1):
    with open('text.txt') as f:
        print(n, text(f.read(n)), text(f.readline()), text(f.read(n)), text(f.read()), text(f.read()))
with open('text.txt') as f:
    print([text(line) for line in f])
with open('data.bin', 'rb') as f:
    print(list(f.read(10)), f.tell(), f.seek(-20, 2), list(f.read(5)), f.seek(3), list(f.readline()))
    print(f.seek(700), list(f.read(500)), f.seek(10**5), list(f.read()))
    b = bytearray(1000)
    print(f.seek(5), f.readinto(b), list(b))
os.chdir('package')
print(open('inner.py').readlines(), sorted(os.listdir('..')), os.stat('inner.py')[6])
for name in ('nothing', '../package/nothing'):
    try:
        open(name)
    except OSError as e:
        print(e.errno)
";
    let files = directory(&[
        ("helper.py", "value = 42\n"),
        ("package/__init__.py", ""),
        ("package/inner.py", "name = __name__\n"),
        ("text.txt", "caf\u{e9} \u{20ac}\u{1f40d}\n\nthird line\nno end"),
        ("program.py", program),
    ]);
    let data: Vec<u8> = (0..1500u32).map(|i| (i * i / 7) as u8).collect();
    fs::write(files.path().join("data.bin"), data).unwrap();
    let python = Command::new("python3")
        .args(["-B", "program.py"])
        .env("PYTHONPATH", files.path())
        .current_dir(&files)
        .output()
        .unwrap();
    let expected = String::from_utf8(python.stdout).unwrap();
    assert_eq!(expected.lines().count(), 14, "{}", String::from_utf8_lossy(&python.stderr));
    let script = files.path().join("program.py");
    for firmware in available(&ALL) {
        prints(&firmware, &["--mount", text(files.path()), "--script", text(&script)], &expected);
    }
}

#[test]
fn a_mounted_directory_can_neither_be_left_nor_changed() {
    let outside = directory(&[("secret.py", "x = 1\n"), ("shared/own.py", "x = 2\n")]);
    let shared = outside.path().join("shared");
    symlink("../secret.py", shared.join("secret.py")).unwrap();
    symlink(outside.path(), shared.join("up")).unwrap();
    let program = "\
import os
print(os.listdir(), os.listdir('/'), os.getcwd())
def fails(what):
    try:
        what()
    except (OSError, ImportError) as e:
        return True
print(fails(lambda: open('secret.py')), fails(lambda: open('../secret.py')), fails(lambda: os.listdir('up')))
print(fails(lambda: __import__('secret')), fails(lambda: open('own.py', 'a')), fails(lambda: os.remove('own.py')))
print(fails(lambda: os.mkdir('d')), fails(lambda: os.rename('own.py', 'b')), fails(lambda: __import__('own')))
";
    for firmware in available(&EMULATED) {
        prints(
            &firmware,
            &["--mount", text(&shared), "--exec", program],
            "['own.py'] ['remote'] /remote\nTrue True True\nTrue True True\nTrue True None\n",
        );
    }
    assert_eq!(fs::read(shared.join("own.py")).unwrap(), b"x = 2\n");
}

#[test]
fn long_programs_and_long_output_arrive_whole() {
    let (mut program, mut sum) = (String::from("t = 0\n"), 0u64);
    for i in 0..250u64 {
        let noise: String =
            (0..150).map(|j| char::from(b'!' + ((i * 31 + j * 7) % 90) as u8)).collect();
        program.push_str(&format!("t = (t * 31 + {i}) % 1000003  # {noise}\n"));
        sum = (sum * 31 + i) % 1_000_003;
    }
    program.push_str("print(t)\nfor i in range(2000):\n    print('%05d' % i, 'x' * 44)\n");
    assert!(program.len() > 40_000);
    let lines: String = (0..2000).map(|i| format!("{i:05} {}\n", "x".repeat(44))).collect();
    let expected = format!("{sum}\n{lines}");
    assert!(expected.len() > 100_000);
    let files = directory(&[("long.py", &program)]);
    let script = files.path().join("long.py");
    for firmware in available(&ALL) {
        let ran = run(&firmware, &["--script", text(&script)]);
        assert!(ran.stdout == expected, "{firmware:?}: {} bytes: {}", ran.stdout.len(), ran.stderr);
    }
}

#[test]
fn every_byte_that_a_program_prints_passes_through() {
    let program = "import sys\nfor i in range(256):\n    if i != 13 and i < 128: sys.stdout.write(chr(i))\nprint('\\x04\\x04>\\x1e\\x1eabc 1 stat x')\n";
    let expected: Vec<u8> =
        (0..128).filter(|i| *i != 13).chain(*b"\x04\x04>\x1e\x1eabc 1 stat x\n").collect();
    for firmware in available(&ALL) {
        let output = mpb(&firmware).args(["--exec", program]).output().unwrap();
        assert_eq!(output.stdout, expected, "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_time_limit_ends_the_target_and_shows_its_last_lines() {
    let program = "for i in range(20): print('line', i)\nwhile True: pass";
    let started: Vec<(TempDir, Child)> = available(&ALL)
        .iter()
        .map(|firmware| {
            let copy = own_copy(firmware);
            let mut command = mpb(copy.path());
            command.args(["--timeout", "10", "--exec", program]);
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            (copy, child)
        })
        .collect();
    for (copy, child) in started {
        let ran = ran(child.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(6), "{}", ran.stderr);
        assert!(ran.stdout.ends_with("line 18\nline 19\n"), "{}", ran.stdout);
        assert!(ran.stderr.contains("within 10 seconds; its last lines:\n    line 10\n"));
        assert!(ran.stderr.contains("\n    line 19\nhint: `--timeout SECONDS`"), "{}", ran.stderr);
        assert_eq!(left_over(copy.path()), [""; 0]);
    }
}

/// Waits until a child has printed a line, and returns it.
fn first_line(child: &mut Child) -> String {
    let stdout = child.stdout.as_mut().unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    while stdout.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

#[test]
fn an_interrupt_leaves_no_process_behind() {
    use rustix::process::{Pid, Signal, kill_process};
    for firmware in available(&ALL) {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
            let copy = own_copy(&firmware);
            let mut child = mpb(copy.path())
                .args(["--timeout", LIMIT, "--exec", "print('begun')\nwhile True: pass"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            assert_eq!(first_line(&mut child), "begun");
            kill_process(Pid::from_child(&child), signal).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(130));
            assert_eq!(left_over(copy.path()), [""; 0]);
        }
    }
}

#[test]
fn an_emulator_that_ends_midway_is_an_error() {
    for firmware in available(&EMULATED) {
        let program = "import machine\nprint('last words')\nmachine.reset()\nprint('never')";
        let ran = run(&firmware, &["--exec", program]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(6), "last words\n"));
        assert!(ran.stderr.contains("ended before the program did"), "{}", ran.stderr);
        assert!(ran.stderr.contains("its last lines:\n    last words\n"), "{}", ran.stderr);
    }
    let Some(firmware) = firmware("MPS2_AN385") else { return };
    let ran = run(&firmware, &["--exec", "import machine; machine.mem32[0xffffff00]"]);
    assert_eq!(ran.code, Some(6));
    assert!(ran.stderr.contains("the firmware crashed; its last lines:\n    HardFault"));
}

/// A firmware directory whose program of this machine is a shell script.
fn scripted(script: &str) -> TempDir {
    let directory = directory(&[("micropython", &format!("#!/bin/sh\n{script}"))]);
    let program = directory.path().join("micropython");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let record = serde_json::json!({
        "schema": 1, "port": "unix", "board": "unix", "micropython": {"version": "v1.28.0"},
        "files": [describe_file(&program, Role::Executable, None).unwrap()],
    });
    fs::write(directory.path().join("firmware.json"), record.to_string()).unwrap();
    directory
}

#[test]
fn a_program_of_this_machine_may_end_in_any_way() {
    let traceback =
        "Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nKeyError: x\n";
    // v1.27 and later write it to standard output.
    let firmware = scripted(&format!("printf 'out\\n'; cat <<'E'\n{traceback}E\nexit 1\n"));
    let ran = run(firmware.path(), &["--exec", "1"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(6), "out\n", traceback));

    let ran = run(scripted("echo $0 there; kill -SEGV $$\n").path(), &["--exec", "1"]);
    assert_eq!(ran.code, Some(6));
    assert!(ran.stderr.contains("the program ended by signal: 11"), "{}", ran.stderr);
    assert!(ran.stderr.contains("micropython there\n"), "{}", ran.stderr);

    // What it leaves running holds its streams open, and is ended.
    let firmware = scripted("sleep 1000 & echo begun\n");
    let ran = run(firmware.path(), &["--exec", "1"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "begun\n"));
}

#[test]
fn a_reader_that_goes_away_does_not_change_the_outcome() {
    for firmware in available(&ALL) {
        let program = "for i in range(20000): print(i)\nraise ValueError(i)";
        let mut child = mpb(&firmware)
            .args(["--timeout", LIMIT, "--exec", program])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        assert_eq!(first_line(&mut child), "0");
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(6));
        assert!(String::from_utf8(output.stderr).unwrap().ends_with("ValueError: 19999\n"));
    }
}

#[test]
fn json_tells_how_it_went() {
    for firmware in available(&ALL) {
        let show = |program: &str| {
            let ran = run(&firmware, &["--json", "--exec", program]);
            let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
            assert_eq!(value["schema"], 1);
            (ran.code, value)
        };
        let (code, value) = show("print('caf\u{e9}')");
        assert_eq!((code, &value["outcome"]), (Some(0), &"done".into()));
        assert_eq!(value["stdout"], "caf\u{e9}\n");
        let (code, value) = show("x");
        assert_eq!((code, &value["outcome"]), (Some(6), &"raised".into()));
        assert!(value["traceback"].as_str().unwrap().contains("NameError"));
        let (code, value) = show("import sys; sys.exit(7)");
        assert_eq!((code, &value["exit"]), (Some(6), &7.into()));
    }
}

#[track_caller]
fn refuses(command: &mut Command, code: i32, words: &[&str]) {
    let ran = ran(command.output().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?} is not in:\n{}", ran.stderr);
    }
}

#[test]
fn bad_input_is_named() {
    let files = directory(&[("plain", ""), ("with:colon/m.py", "")]);
    let at = |name: &str| files.path().join(name);
    let firmware = scripted("exit 0\n");
    let fw = firmware.path();
    let code = ["--exec", "1"];
    refuses(mpb(&at("none")).args(code), 3, &["no firmware directory", "hint: "]);
    refuses(mpb(fw).args(["--script"]).arg(at("none")), 3, &["cannot read", "no such file"]);
    refuses(mpb(fw).args(code).arg("--mount").arg(at("none")), 3, &["cannot mount"]);
    refuses(mpb(fw).args(code).arg("--mount").arg(at("plain")), 3, &["not a directory"]);
    refuses(mpb(fw).args(code).arg("--mount").arg(at("with:colon")), 3, &["colon", "hint: "]);
    refuses(mpb(fw).args(code).args(["--timeout", "soon"]), 2, &["--timeout"]);

    fs::write(fw.join("micropython"), "#!/bin/sh\nexit 1\n").unwrap();
    refuses(mpb(fw).args(code), 3, &["is not the file that firmware.json records", "hint: "]);

    // Firmware that nothing here runs.
    let mut record: serde_json::Value =
        serde_json::from_slice(&fs::read(fw.join("firmware.json")).unwrap()).unwrap();
    record["port"] = "esp32".into();
    record["files"] = serde_json::json!([]);
    fs::write(fw.join("firmware.json"), record.to_string()).unwrap();
    refuses(mpb(fw).args(code), 3, &["port esp32", "has no emulator", "flash"]);

    // An emulator that is not there, and one that does not start the firmware.
    let elf = fw.join("firmware.elf");
    fs::write(&elf, "").unwrap();
    record["files"] = serde_json::json!([describe_file(&elf, Role::Elf, None).unwrap()]);
    record["emulator"] = serde_json::json!({"program": "qemu-system-riscv32", "arguments": []});
    fs::write(fw.join("firmware.json"), record.to_string()).unwrap();
    refuses(
        mpb(fw).args(code).env("PATH", files.path()),
        3,
        &["qemu-system-riscv32 is not installed", "apt-get install", "doctor"],
    );
    record["emulator"]["program"] = "/bin/false".into();
    fs::write(fw.join("firmware.json"), record.to_string()).unwrap();
    refuses(mpb(fw).args(code), 6, &["/bin/false ended before the program did (exit status: 1)"]);
}
