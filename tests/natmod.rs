//! `natmod`: what it writes, what it leaves alone, and what bad input gets.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/natmod.rs"]
mod natmod;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use common::command::{mpb, stderr};
use natmod::{Tools, answering, module, module_with, record, succeeds};

/// A cache of this test's own, so that nothing is there from other runs.
fn own_cache(command: &mut Command, cache: &Path) {
    command.env("MICROPYTHON_BUILDER_CACHE", cache);
}

fn twice_plus_one() -> String {
    answering("", "2 * n + 1")
}

#[test]
fn a_record_tells_what_was_built() {
    let Some(tools) = Tools::find() else { return };
    let module = module(&[("mymodule.c", &twice_plus_one())]);
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("dist");
    let output =
        succeeds(tools.natmod(module.path(), &out).args(["--arch", "x64,rv64imc", "--json"]));
    let record = record(&out);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap(), record);
    let file = &record["files"][0];
    assert_eq!(file["path"], "mymodule-mpy6.3-x64.mpy");
    for (key, value) in [("module", "mymodule"), ("arch", "x64"), ("mpy_version", "6.3")] {
        assert_eq!(file[key], value);
    }
    assert!(file["micropython"].as_str().unwrap().starts_with("v1."));
    assert!(file["toolchain"].as_str().unwrap().contains("gcc"));
    let bytes = fs::read(out.join("mymodule-mpy6.3-x64.mpy")).unwrap();
    assert_eq!(file["size"], bytes.len());
    let sha256 = Command::new("sha256sum").arg(out.join("mymodule-mpy6.3-x64.mpy")).output();
    assert!(
        String::from_utf8(sha256.unwrap().stdout)
            .unwrap()
            .starts_with(file["sha256"].as_str().unwrap())
    );
    assert_eq!(&bytes[..4], b"M\x06\x0b\x1f");
    // Releases before v1.28.0 have none for 64-bit RISC-V, and that is no failure.
    if record["files"].as_array().unwrap().len() == 1 {
        assert_eq!(record["not_supported"][0]["arch"], "rv64imc");
        assert!(stderr(&output).contains("not supported"));
    }
    assert_eq!(record["failed"].as_array().unwrap().len(), 0);
    // The user's directory is as it was.
    let names: Vec<_> =
        fs::read_dir(module.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_are_not_built_again() {
    let Some(tools) = Tools::find() else { return };
    let top = tempfile::tempdir().unwrap();
    // Something that no earlier run has built.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let unique = format!("2 * n + {}", now.subsec_nanos());
    let source = [
        ("mymodule.c", answering("", &unique)),
        ("extra.py", "def thrice(x):\n    return 3 * x\n".into()),
    ];
    let source: Vec<(&str, &str)> =
        source.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let (one, other) = (module(&source), module(&source));
    let build = |module: &Path, out: &str, arguments: &[&str]| {
        let out = top.path().join(out);
        let mut command = tools.natmod(module, &out);
        command.args(["--arch", "x64"]).args(arguments);
        let said = stderr(&succeeds(&mut command));
        (fs::read(out.join("mymodule-mpy6.3-x64.mpy")).unwrap(), said.contains("unchanged"))
    };
    let (first, _) = build(one.path(), "a", &["--rebuild"]);
    let (again, unchanged) = build(one.path(), "a", &[]);
    assert!(unchanged && again == first);
    // Elsewhere, with odd characters on the way, and really built.
    let odd = top.path().join("it's $HOME  \"two\"");
    fs::create_dir(&odd).unwrap();
    let moved = odd.join("the module");
    succeeds(Command::new("cp").arg("-r").arg(other.path()).arg(&moved));
    let (elsewhere, unchanged) = build(&moved, "it's $HOME  \"two\"/out put", &["--rebuild"]);
    assert!(!unchanged && elsewhere == first);
    // What decides the bytes decides whether it is built again.
    let (flags, unchanged) = build(one.path(), "b", &["--make-arg", "CFLAGS_EXTRA=-DX=1"]);
    assert!(!unchanged && flags == first);
    fs::write(one.path().join("mymodule.c"), answering("", &format!("{unique} + 1"))).unwrap();
    let (changed, unchanged) = build(one.path(), "a", &[]);
    assert!(!unchanged && changed != first);
}

#[test]
fn both_linkers_give_the_same_bytes_and_only_one_needs_python() {
    let Some(tools) = Tools::find() else { return };
    let extra = "def thrice(x):\n    return 3 * x\n";
    let module = module(&[("mymodule.c", &twice_plus_one()), ("extra.py", extra)]);
    let top = tempfile::tempdir().unwrap();
    let build = |linker: &str, python: &Path| {
        let out = top.path().join(linker);
        let mut command = mpb();
        command.arg("natmod").arg(module.path()).arg("--micropython").arg(&tools.tree);
        command.arg("--out").arg(&out).args(["--linker", linker, "--arch", "x64,x86", "--python"]);
        succeeds(command.arg(python).arg("--rebuild"));
        let record = record(&out);
        assert_eq!(record["linker"], linker);
        record["files"].as_array().unwrap().clone()
    };
    let own = build("own", Path::new("/usr/bin/false"));
    assert_eq!(own.len(), 2);
    assert_eq!(build("upstream", &tools.python), own);
}

#[test]
fn sources_are_rewritten_where_that_is_wanted() {
    let Some(tools) = Tools::find() else { return };
    let code = answering("static const int table[] = {5, 6, 7};", "table[n]");
    let module = module(&[("mymodule.c", &code)]);
    let top = tempfile::tempdir().unwrap();
    let build = |number: usize, options: &[&str]| {
        let out = top.path().join(number.to_string());
        let mut command = tools.natmod(module.path(), &out);
        let said = stderr(&succeeds(command.args(["--arch", "x64"]).args(options)));
        (record(&out), said)
    };
    let told = "static const: a section in mymodule.c for table";
    // No linker mixes anything up on this architecture.
    for (number, options) in
        [&[][..], &["--linker", "upstream"], &["--static-const", "off"]].into_iter().enumerate()
    {
        let (record, said) = build(number, options);
        assert!(record.get("static_const").is_none(), "{options:?}: {record}");
        assert!(!said.contains(told), "{said}");
    }
    let (record, said) = build(3, &["--static-const", "on"]);
    assert!(said.contains(told), "{said}");
    let object = &record["static_const"][0];
    assert_eq!((&object["file"], &object["line"]), (&"mymodule.c".into(), &2.into()));
    assert_eq!(object["name"], "table");
    assert!(object["section"].as_str().unwrap().starts_with(".rodata.table."), "{object}");
    assert_eq!(record["files"][0]["static_const"], true);
    assert_eq!(fs::read_to_string(module.path().join("mymodule.c")).unwrap(), code);

    // What was rewritten is in the log of what could not be built, too.
    let broken = answering("static const int table[] = {5, 6, 7};", "tabel[n]");
    fs::write(module.path().join("mymodule.c"), broken).unwrap();
    let out = top.path().join("broken");
    let mut command = tools.natmod(module.path(), &out);
    command.args(["--arch", "x64", "--static-const", "on"]);
    assert_eq!(command.output().unwrap().status.code(), Some(4));
    let log = fs::read_to_string(top.path().join("broken.logs/mpy6.3-x64.log")).unwrap();
    assert!(log.starts_with("linked by natmod-link ") && log.contains(told), "{log}");
}

#[test]
fn results_are_no_sources() {
    let Some(tools) = Tools::find() else { return };
    let module = module(&[("mymodule.c", &twice_plus_one())]);
    let (out, cache) = (module.path().join("dist"), tempfile::tempdir().unwrap());
    // Objects of an earlier make, newer than any source, and for another architecture.
    fs::create_dir(module.path().join("build")).unwrap();
    fs::write(module.path().join("build/mymodule.o"), "no object").unwrap();
    for unchanged in [false, true] {
        let mut command = tools.natmod(Path::new("."), Path::new("dist"));
        own_cache(&mut command, cache.path());
        let output = succeeds(command.current_dir(module.path()).args(["--arch", "x64"]));
        assert_eq!(stderr(&output).contains("unchanged"), unchanged);
        assert!(out.join("mymodule-mpy6.3-x64.mpy").is_file());
    }
}

#[test]
fn names_and_targets_are_the_users() {
    let Some(tools) = Tools::find() else { return };
    let lines = ".PHONY: other\nother:\n\t$(MAKE) CFLAGS_EXTRA=-DOTHER $(MOD).mpy\n\techo newest >zzz.mpy\n\
                 all:\n\n";
    let code = answering("#ifndef OTHER\n#error \"the wrong target\"\n#endif", "n");
    let module = module_with(lines, &[("mymodule.c", &code)]);
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("dist");
    succeeds(tools.natmod(module.path(), &out).args([
        "--arch",
        "x64",
        "--make-target",
        "other",
        "--output-name",
        "thing-1.2",
    ]));
    // The file that MOD names, not the newest.
    let bytes = fs::read(out.join("thing-1.2-mpy6.3-x64.mpy")).unwrap();
    assert_eq!(&bytes[..4], b"M\x06\x0b\x1f");
}

#[test]
fn a_target_may_run_make_again() {
    let Some(tools) = Tools::find() else { return };
    let top = tempfile::tempdir().unwrap();
    let here = top.path().join("module");
    fs::create_dir(&here).unwrap();
    fs::write(here.join("mymodule.c"), twice_plus_one()).unwrap();
    for name in ["earlier.mpy", "mymodule.mpy"] {
        fs::write(here.join(name), "from another time").unwrap();
    }
    let inner = "ifeq ($(MAKECMDGOALS),inner)\nMOD = mymodule\nSRC = mymodule.c\n\
                 include $(MPY_DIR)/py/dynruntime.mk\ninner: all\nendif\n";
    fs::write(
        here.join("Makefile"),
        format!("help:\n\techo help\nmpy:\n\t$(MAKE) inner\ntwo: mpy\n\tcp mymodule.mpy two.mpy\n{inner}"),
    )
    .unwrap();
    let out = top.path().join("dist");
    let mut command = tools.natmod(&here, &out);
    succeeds(command.args(["--arch", "x64", "--make-target", "mpy"]));
    assert_eq!(record(&out)["files"][0]["path"], "mymodule-mpy6.3-x64.mpy");
    for (target, says) in [
        ("two", "`make two` left several .mpy files: mymodule, two"),
        ("help", "`make help` ended well and left no new .mpy file"),
    ] {
        let mut command = tools.natmod(&here, &out);
        let output = command.args(["--arch", "x64", "--make-target", target]).output().unwrap();
        assert_eq!(output.status.code(), Some(4));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

#[test]
fn files_outside_come_along_from_a_root() {
    let Some(tools) = Tools::find() else { return };
    let top = tempfile::tempdir().unwrap();
    fs::create_dir_all(top.path().join("repository/src/module")).unwrap();
    let here = |name: &str| top.path().join("repository").join(name);
    fs::write(here("src/shared.c"), "int shared(int n) { return n + 7; }\n").unwrap();
    fs::write(here("src/module/mymodule.c"), answering("int shared(int);", "shared(n)")).unwrap();
    fs::write(
        here("src/module/Makefile"),
        "MOD = mymodule\nSRC = mymodule.c ../shared.c\ninclude $(MPY_DIR)/py/dynruntime.mk\n",
    )
    .unwrap();
    let out = top.path().join("dist");
    let mut alone = tools.natmod(&here("src/module"), &out);
    let output = alone.args(["--arch", "x64"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("--root"), "{}", stderr(&output));
    assert!(!out.exists());
    let mut command = tools.natmod(&here("src/module"), &out);
    succeeds(command.args(["--arch", "x64", "--root"]).arg(top.path().join("repository")));
    assert!(out.join("mymodule-mpy6.3-x64.mpy").is_file());
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let Some(tools) = Tools::find() else { return };
    let module = module(&[("mymodule.c", &twice_plus_one())]);
    let top = tempfile::tempdir().unwrap();
    let out = top.path().join("dist");
    let mut runs: Vec<_> = (0..3)
        .map(|_| {
            let mut command = tools.natmod(module.path(), &out);
            command.args(["--arch", "x64,x86", "--rebuild"]).stderr(std::process::Stdio::null());
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for run in &mut runs {
        run.wait().unwrap();
    }
    let record = record(&out);
    assert!(record["files"].as_array().unwrap().iter().any(|file| file["arch"] == "x64"));
    let left: Vec<_> =
        fs::read_dir(top.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".dist")), "{left:?}");
}

#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    let Some(tools) = Tools::find() else { return };
    let makefile = "MOD = m\nSRC = m.c\nwait:\n\ttouch '$(STARTED)'\n\tsleep 1000\n\
                    include $(MPY_DIR)/py/dynruntime.mk\n";
    let top = tempfile::tempdir().unwrap();
    fs::create_dir(top.path().join("module")).unwrap();
    fs::write(top.path().join("module/Makefile"), makefile).unwrap();
    let (out, started) = (top.path().join("dist"), top.path().join("started"));
    let temporary = top.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let mut command = tools.natmod(&top.path().join("module"), &out);
    command.args(["--arch", "x64", "--make-arg"]).arg(format!("STARTED={}", started.display()));
    let mut run = command.env("TMPDIR", &temporary).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !started.exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_raw(run.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert!(!out.exists());
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}

#[test]
fn source_trees_are_only_read() {
    let Some(tools) = Tools::find() else { return };
    let module = module(&[("mymodule.c", &twice_plus_one()), ("more.py", "x = 1\n")]);
    fs::set_permissions(module.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let before = micropython_builder::source::nar_hash(&tools.tree).unwrap();
    let out = tempfile::tempdir().unwrap();
    succeeds(tools.natmod(module.path(), &out.path().join("dist")).args([
        "--arch",
        "x64",
        "--rebuild",
    ]));
    assert_eq!(micropython_builder::source::nar_hash(&tools.tree).unwrap(), before);
    fs::set_permissions(module.path(), fs::Permissions::from_mode(0o755)).unwrap();
}
