//! `source`: releases from a server on loopback that behaves well and badly, and directories.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "common/archives.rs"]
mod archives;
mod common;
#[path = "common/releases.rs"]
mod releases;
#[path = "common/server.rs"]
mod server;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use common::command::{failed, stderr};
use micropython_builder::error::Kind;
use micropython_builder::report::Silent;
use micropython_builder::source::{Limits, Origin, Request, Sha256Hash, nar_hash};
use releases::{COMMIT, VERSION, World};
use serde_json::{Value, json};
use server::{Reply, Server};
use tar::EntryType;

fn release() -> Request {
    Request::parse(OsStr::new(VERSION)).unwrap()
}

#[test]
fn a_release_is_got_once() {
    let world = World::new();
    let server = Server::start(vec![world.whole()]);
    let sources = world.sources(&[&server]);
    let tree = sources.get(&release(), &Silent).unwrap();
    assert_eq!(nar_hash(&tree.path).unwrap(), world.nar);
    assert_eq!(tree.epoch, Some(1_700_000_000));
    let origin = Origin::Release { release: VERSION.to_owned(), commit: COMMIT.to_owned() };
    assert_eq!(tree.origin, origin);
    assert_eq!(server.asked()[0].path, format!("/micropython/micropython/{COMMIT}.tar.gz"));

    let again = sources.get(&Request::Release("1.99".to_owned()), &Silent).unwrap();
    assert_eq!(again.path, tree.path);
    assert_eq!(server.asked().len(), 1);
    assert_eq!(world.cached().len(), 1, "{:?}", world.cached());
}

#[test]
fn a_broken_download_is_continued() {
    let world = World::new();
    let server = Server::start(vec![world.broken(1000), world.broken(2000), world.whole()]);
    world.sources(&[&server]).get(&release(), &Silent).unwrap();
    let asked: Vec<_> = server.asked().into_iter().map(|it| (it.range, it.if_range)).collect();
    let tag = || Some("\"1\"".to_owned());
    assert_eq!(asked, [(None, None), (Some(1000), tag()), (Some(3000), tag())]);
}

#[test]
fn another_run_continues_what_one_began() {
    let world = World::new();
    let server = Server::start(vec![
        world.broken(1000),
        Reply::Status(503),
        Reply::Status(503),
        Reply::Status(503),
        world.whole(),
    ]);
    let sources = world.sources(&[&server]);
    let error = sources.get(&release(), &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Source);
    assert!(error.message().contains("503"), "{error}");
    assert!(error.hints().iter().any(|hint| hint.contains("1000 bytes")), "{:?}", error.hints());
    assert_eq!(world.cached().len(), 2, "{:?}", world.cached());

    world.sources(&[&server]).get(&release(), &Silent).unwrap();
    assert_eq!(server.asked().last().unwrap().range, Some(1000));
    assert_eq!(world.cached().len(), 1, "{:?}", world.cached());
}

#[test]
fn a_download_that_was_complete_is_not_repeated() {
    let world = World::new();
    let server = Server::start(vec![world.broken(world.archive.len()), world.whole()]);
    // As after an interrupt while unpacking: here, because the archive seemed too large.
    let sources = world.sources(&[&server]).limits(Limits { bytes: 10, members: 10 });
    let error = sources.get(&release(), &Silent).unwrap_err();
    assert!(error.message().contains("larger than 10 bytes"), "{error}");
    assert!(world.cached().is_empty(), "{:?}", world.cached());

    let name = format!("micropython-{VERSION}-{}.tar.part", &world.nar.to_hex()[..16]);
    let part = world.cache().join("downloads").join(name);
    fs::write(&part, &world.archive).unwrap();
    let url = server.url(&format!("micropython/micropython/{COMMIT}.tar.gz"));
    fs::write(format!("{}.from", part.display()), format!("{url}\n\"1\"")).unwrap();
    world.sources(&[&server]).get(&release(), &Silent).unwrap();
    assert_eq!(server.asked().last().unwrap().range, Some(world.archive.len()));
}

#[test]
fn a_server_that_ignores_ranges_is_started_over() {
    let world = World::new();
    let server = Server::start(vec![world.broken(1000), Reply::Whole(world.archive.clone())]);
    world.sources(&[&server]).get(&release(), &Silent).unwrap();
    assert_eq!(server.asked()[1].range, Some(1000));
}

#[test]
fn a_file_that_was_replaced_is_started_over() {
    let world = World::new();
    let old = Reply::Broken { body: vec![7; 5000], tag: "\"0\"", after: 4000 };
    let server = Server::start(vec![old, world.whole()]);
    world.sources(&[&server]).get(&release(), &Silent).unwrap();
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn pieces_that_do_not_fit_are_got_again() {
    let world = World::new();
    let old = Reply::Broken { body: vec![7; 5000], tag: "W/\"0\"", after: 4000 };
    let server = Server::start(vec![old, Reply::Rest(world.archive.clone()), world.whole()]);
    world.sources(&[&server]).get(&release(), &Silent).unwrap();
    let ranges: Vec<_> = server.asked().into_iter().map(|it| it.range).collect();
    assert_eq!(ranges, [None, Some(4000), None]);
}

#[test]
fn errors_of_the_server_pass() {
    let world = World::new();
    let server = Server::start(vec![Reply::Status(500), Reply::Status(429), world.whole()]);
    world.sources(&[&server]).get(&release(), &Silent).unwrap();
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn what_is_not_there_is_not_asked_for_again() {
    let world = World::new();
    let server = Server::start(vec![Reply::Status(404)]);
    let error = world.sources(&[&server]).get(&release(), &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Source);
    assert!(error.message().ends_with("the server answered 404 Not Found"), "{error}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn the_next_place_is_tried() {
    let world = World::new();
    let (first, second) =
        (Server::start(vec![Reply::Status(404)]), Server::start(vec![world.whole()]));
    world.sources(&[&first, &second]).get(&release(), &Silent).unwrap();
    assert_eq!((first.asked().len(), second.asked().len()), (1, 1));
}

#[test]
fn redirects_are_followed_but_not_forever() {
    let world = World::new();
    let server = Server::start(vec![Reply::Redirect("/elsewhere".to_owned()), world.whole()]);
    world.sources(&[&server]).get(&release(), &Silent).unwrap();
    assert_eq!(server.asked()[1].path, "/elsewhere");

    let world = World::new();
    let server = Server::start(vec![Reply::Redirect("/round".to_owned())]);
    let error = world.sources(&[&server]).get(&release(), &Silent).unwrap_err();
    assert!(error.message().ends_with("it redirects in circles"), "{error}");
    assert!(server.asked().len() < 10);
}

#[test]
fn silence_is_not_waited_for() {
    let stall = Duration::from_millis(500);
    for silent in [
        |_: &World| Reply::Hang,
        |world: &World| Reply::Silent { body: world.archive.clone(), tag: "\"1\"", after: 1000 },
    ] {
        let world = World::new();
        let server = Server::start(vec![silent(&world), world.whole()]);
        world.sources_after(&[&server], stall).get(&release(), &Silent).unwrap();
        assert!(server.asked().len() > 1);
    }
    let world = World::new();
    let server = Server::start(vec![Reply::Hang]);
    let error = world.sources_after(&[&server], stall).get(&release(), &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Source);
    assert!(error.message().ends_with("did not answer in time"), "{error}");
}

#[test]
fn a_wrong_hash_is_refused_and_nothing_kept() {
    let mut world = World::new();
    let pinned = Sha256Hash::from_bytes([1; 32]);
    let found = std::mem::replace(&mut world.nar, pinned);
    let server = Server::start(vec![world.whole()]);
    let output = world.command(&server).arg(VERSION).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{message}");
    assert!(output.stdout.is_empty());
    for hash in [pinned, found] {
        assert!(message.contains(&hash.to_sri()), "{message}");
    }
    assert!(world.cached().is_empty(), "{:?}", world.cached());
}

#[test]
fn runs_at_the_same_time_share_one_download() {
    let world = World::new();
    let server = Server::start(vec![world.whole()]);
    let get = || world.sources(&[&server]).get(&release(), &Silent).unwrap().path;
    let paths = thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(get)).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(paths.iter().all(|path| *path == paths[0]), "{paths:?}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_tree_that_was_changed_is_got_again() {
    let world = World::new();
    let server = Server::start(vec![world.whole()]);
    let sources = world.sources(&[&server]);
    let path = sources.get(&release(), &Silent).unwrap().path;
    fs::write(path.join("py/mpconfig.h"), "mine").unwrap();
    assert_eq!(sources.get(&release(), &Silent).unwrap().path, path);
    assert_eq!(nar_hash(&path).unwrap(), world.nar);
    let aside = PathBuf::from(format!("{}.changed-1", path.display()));
    assert_eq!(fs::read_to_string(aside.join("py/mpconfig.h")).unwrap(), "mine");
}

#[test]
fn an_interrupt_ends_a_hanging_download() {
    let world = World::new();
    let silent = Reply::Silent { body: world.archive.clone(), tag: "\"1\"", after: 1000 };
    let server = Server::start(vec![silent, world.whole()]);
    let mut child = world
        .command(&server)
        .arg(VERSION)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let part = world.cache().join("downloads");
    let received = || {
        fs::read_dir(&part).into_iter().flatten().flatten().any(|entry| {
            entry.path().extension() == Some(OsStr::new("part"))
                && entry.metadata().is_ok_and(|data| data.len() == 1000)
        })
    };
    let limit = Instant::now() + Duration::from_secs(60);
    while !received() && Instant::now() < limit {
        thread::sleep(Duration::from_millis(10));
    }
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));

    let output = world.command(&server).arg(VERSION).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(server.asked().last().unwrap().range, Some(1000));
}

#[test]
fn submodules_are_got_by_their_pins() {
    let world = World::new();
    let server = Server::start(vec![world.whole()]);
    let output = world
        .command(&server)
        .args(["--json", VERSION, "--submodule", "lib/known"])
        .output()
        .unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["schema"], &value["version"]), (&json!(1), &json!(VERSION)));
    assert_eq!(value["nar"], json!(world.nar));
    assert_eq!(value["origin"]["commit"], COMMIT);
    let path = Path::new(value["submodules"]["lib/known"].as_str().unwrap());
    assert_eq!(nar_hash(path).unwrap(), world.nar);
    assert!(server.asked()[1].path.starts_with("/o/known/f123"), "{:?}", server.asked());

    for (path, code, expected) in [
        ("lib/unknown", 5, "is not known, so it cannot be verified"),
        ("lib/none", 3, "has no submodule lib/none"),
        ("../..", 3, "has no submodule ../.."),
    ] {
        let output = world.command(&server).args([VERSION, "--submodule", path]).output().unwrap();
        failed(&output, code, &[expected]);
    }
    // What the tree itself contains comes first.
    let output = world.command(&server).args([VERSION, "--submodule", "lib"]).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().ends_with("/lib\n"));
}

#[test]
fn what_is_no_source_is_refused() {
    let world = World::new();
    let server = Server::start(vec![world.whole()]);
    let file = world.directory.path().join("file");
    fs::write(&file, "").unwrap();
    for (argument, expected) in [
        (OsStr::new("v1.97.3"), "pinned releases near it: v1.98.0, v1.99.0"),
        (OsStr::new("mian"), "'mian' is neither a directory nor a release"),
        (OsStr::new("./no/where"), "there is no directory ./no/where"),
        (OsStr::new("debian:"), "'' is not the name of a Debian suite"),
        (OsStr::new("debian:a b"), "'a b' is not the name of a Debian suite"),
        (file.as_os_str(), "is a file, expected a MicroPython source tree"),
        (world.directory.path().as_os_str(), "py/mpconfig.h, mpy-cross, ports are missing"),
    ] {
        let output = world.command(&server).arg(argument).output().unwrap();
        failed(&output, 3, &[expected, "hint:"]);
    }
    assert!(server.asked().is_empty());
}

/// The start of a `.tar.xz` that wants a dictionary of 4 GiB.
const XZ_OF_4_GIB: &[u8] =
    b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01\x28\0\0\0\xe6\xa0\x11\xb3";

#[test]
fn hostile_archives_are_refused() {
    use EntryType as T;
    use archives::of_members as members;
    let cut = |mut bytes: Vec<u8>, length: usize| {
        bytes.truncate(length);
        bytes
    };
    let whole = World::new().archive;
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (members(&[("t/../../evil", T::Regular, "x")]), "leads out of the tree"),
        (members(&[("/evil", T::Regular, "x")]), "has an absolute path"),
        (members(&[("t/link", T::Symlink, "../evil")]), "a symlink that leads out of the tree"),
        (members(&[("t/link", T::Symlink, "/etc")]), "a symlink that leads out of the tree"),
        (members(&[("t/link", T::Symlink, "")]), "a symlink that leads out of the tree"),
        (
            members(&[("t/a/up", T::Symlink, ".."), ("t/a/out", T::Symlink, "up/../evil")]),
            "a symlink that leads out of the tree",
        ),
        (
            members(&[("t/link", T::Symlink, "d"), ("t/link/evil", T::Regular, "x")]),
            "link is there twice",
        ),
        (members(&[("t/a", T::Regular, "x"), ("t/a", T::Regular, "y")]), "a is there twice"),
        (members(&[("t/a", T::Symlink, "x"), ("t/a", T::Symlink, "y")]), "a is there twice"),
        (members(&[("t/a", T::Regular, "x"), ("t/a/b", T::Regular, "y")]), "a is there twice"),
        (members(&[("t/a", T::Link, "/etc/passwd")]), "is a hard link"),
        (members(&[("t/a", T::Char, "")]), "is a device or a named pipe"),
        (members(&[("t/a", T::Fifo, "")]), "is a device or a named pipe"),
        (members(&[("t/a", T::new(b'V'), "")]), "is of type 'V'"),
        (members(&[("t/a", T::Regular, ""), ("u/b", T::Regular, "")]), "beside the archive's top"),
        (members(&[("t/a", T::Regular, &"x".repeat(2_000_001))]), "larger than 2000000 bytes"),
        (members(&vec![("t/d", T::Directory, ""); 1001]), "more than 1000 members"),
        (members(&[]), "the archive is empty"),
        (b"<html>please log in</html>".to_vec(), "neither a .tar.gz, .tar.xz nor .zip file"),
        (Vec::new(), "neither a .tar.gz, .tar.xz nor .zip file"),
        (XZ_OF_4_GIB.to_vec(), "memory limit reached"),
        (cut(whole.clone(), whole.len() / 2), "the archive is damaged"),
        (cut(whole.clone(), 5), "the archive is damaged"),
    ];
    for (body, expected) in cases {
        let world = World::new();
        let server = Server::start(vec![Reply::Whole(body)]);
        let error = world
            .sources(&[&server])
            .limits(Limits { bytes: 2_000_000, members: 1000 })
            .get(&release(), &Silent)
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Source, "{error}");
        assert!(error.message().contains(expected), "{error}\nexpected: {expected}");
        assert!(world.cached().is_empty(), "{expected}: {:?}", world.cached());
        assert!(!world.directory.path().join("evil").exists(), "{expected}");
        assert!(!world.cache().join("evil").exists(), "{expected}");
    }
}
