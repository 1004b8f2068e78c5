//! `vendor` with registries, archives and disks that are at fault.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/disk.rs"]
mod disk;
#[path = "common/registry.rs"]
mod registry;
#[path = "common/server.rs"]
mod server;
#[path = "common/vendoring.rs"]
mod vendoring;

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use common::command::outcome;
use disk::on_a_disk_of;
use micropython_builder::component::vendor::{check, vendor};
use micropython_builder::error::Kind;
use micropython_builder::report::Silent;
use micropython_builder::source::Limits;
use registry::{Entry, Registry, files, tgz, zip};
use serde_json::json;
use server::Reply;
use vendoring::{command, get, options, place, plan, vendor_with};

#[test]
fn files_that_differ_from_the_lock_never_arrive() {
    let registry = Registry::new();
    let good = registry.publish("espressif/good", "1.0.0", &files("1", 10), false, json!({}));
    let (_directory, file, out) = place(&[&good]);
    let mut changed = files("1", 10);
    changed[2].1.push(b'!');
    registry.answer(&good.url, vec![Reply::Whole(zip(&changed))]);
    let mut vendor = command(&registry);
    vendor.args(["vendor", "--lock"]).arg(&file).arg("--out").arg(out.join("of/esp32"));
    let (code, stdout, stderr) = outcome(&mut vendor);
    assert_eq!((code, stdout.as_str()), (5, ""));
    assert!(stderr.contains("its hash differs from the lock"), "{stderr}");
    assert!(stderr.contains(&good.hash.to_string()), "{stderr}");
    assert!(!out.exists(), "a directory with nothing in it stays");

    // The registry's own word counts before anything is downloaded.
    let other = registry.publish("espressif/other", "1.0.0", &files("2", 10), false, json!({}));
    let wanted = Entry { hash: good.hash, ..other };
    let error = get(&registry, &[&wanted], &out).unwrap_err();
    assert!(error.message().contains("is another one than the lock's"), "{error}");
}

/// The other one removes the directory, for it got nothing.
#[test]
fn a_run_that_waited_for_another_has_a_directory() {
    let registry = Registry::new();
    let entry = registry.publish("espressif/one", "1.0.0", &files("1", 10), false, json!({}));
    let (_directory, file, out) = place(&[&entry]);
    fs::create_dir(&out).unwrap();
    let other = fs::File::open(&out).unwrap();
    other.lock().unwrap();
    let mut vendor = command(&registry);
    vendor.args(["vendor", "--lock"]).arg(&file).arg("--out").arg(&out);
    let mut child = vendor.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("waiting for another run") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it does not wait");
    }
    fs::remove_dir(&out).unwrap();
    drop(other);
    io::copy(&mut said, &mut io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(check(&plan(&[&entry]), &out).unwrap().is_ok());
}

#[test]
fn withdrawn_and_missing_versions() {
    let registry = Registry::new();
    let gone = json!({"yanked_at": "2024-02-02", "yanked_message": "it bites"});
    let yanked = registry.publish("espressif/yanked", "1.0.0", &files("1", 10), false, gone);
    let (_directory, file, out) = place(&[&yanked]);
    let mut vendor = command(&registry);
    vendor.args(["vendor", "--lock"]).arg(&file).arg("--out").arg(&out);
    let (code, _, stderr) = outcome(&mut vendor);
    assert_eq!(code, 0, "a lock that names a withdrawn version still builds: {stderr}");
    assert!(
        stderr.contains("espressif/yanked 1.0.0 was withdrawn on 2024-02-02: it bites"),
        "{stderr}"
    );

    let missing = Entry { version: "2.0.0".to_owned(), ..yanked };
    let mut options = options(&registry);
    options.settings.registry_url = Some(registry.url());
    let about = json!({"components_base_url": registry.url()});
    registry.answer("/api", vec![Reply::Whole(about.to_string().into())]);
    let out = out.join("other");
    let error = vendor_with(&missing, &out, &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Source);
    assert!(error.message().contains("has no espressif/yanked 2.0.0, it has 1.0.0"), "{error}");
    assert!(error.hints().iter().any(|hint| hint.contains("lock")), "{:?}", error.hints());

    let unknown = Entry { name: "espressif/unknown".to_owned(), ..missing };
    let error = vendor_with(&unknown, &out, &options).unwrap_err();
    assert!(error.message().contains("the registry has no component espressif/unknown"), "{error}");
}

#[test]
fn servers_that_stumble_are_asked_again() {
    let registry = Registry::new();
    let body = files("1", 300_000);
    let entry = registry.publish("espressif/big", "1.0.0", &body, false, json!({}));
    let index = "/components/espressif/big.json";
    let whole = registry.routes.lock().unwrap()[index][0].clone();
    registry.answer(index, vec![Reply::Status(500), Reply::Status(503), whole]);
    let archive = zip(&body);
    let (tag, after) = ("\"1\"", 100_000);
    registry.answer(
        &entry.url,
        vec![
            Reply::Status(502),
            Reply::Broken { body: archive.clone(), tag, after },
            Reply::Silent { body: archive.clone(), tag, after: 50_000 },
            Reply::Served { body: archive, tag },
        ],
    );
    let out = tempfile::tempdir().unwrap();
    get(&registry, &[&entry], out.path()).unwrap();
    let asked: Vec<Option<usize>> = registry
        .server
        .asked()
        .iter()
        .filter(|asked| asked.path == entry.url)
        .map(|asked| asked.range)
        .collect();
    assert_eq!(asked, [None, None, Some(100_000), Some(150_000)], "what arrived was not continued");
}

#[test]
fn servers_that_never_answer_well_are_given_up() {
    for (what, reply, expected) in [
        ("500", Reply::Status(500), "500 Internal Server Error"),
        ("hangs", Reply::Hang, "did not answer in time"),
        ("redirects", Reply::Redirect("/around".to_owned()), "redirects in circles"),
        (
            "no json",
            Reply::Whole(b"<html>log in</html>".to_vec()),
            "is not what a component registry serves",
        ),
        (
            "half json",
            Reply::Whole(b"{\"versions\": [".to_vec()),
            "is not what a component registry serves",
        ),
        ("other json", Reply::Whole(b"[]".to_vec()), "lists no versions"),
        (
            "strange versions",
            Reply::Whole(b"{\"versions\": [1, {\"version\": 2}]}".to_vec()),
            "it has no version",
        ),
    ] {
        let registry = Registry::new();
        let entry = registry.publish("espressif/one", "1.0.0", &files("1", 10), false, json!({}));
        registry.answer("/around", vec![Reply::Redirect("/around".to_owned())]);
        registry.answer("/components/espressif/one.json", vec![reply.clone()]);
        let out = tempfile::tempdir().unwrap();
        let mut options = options(&registry);
        options.settings.registry_url = Some(registry.url());
        let about = json!({"components_base_url": registry.url()});
        registry.answer("/api", vec![Reply::Whole(about.to_string().into())]);
        let error = vendor_with(&entry, out.path(), &options).unwrap_err();
        assert_eq!(error.kind(), Kind::Source, "{what}: {error}");
        assert!(error.message().contains(expected), "{what}: {error}");
        assert!(!out.path().join("espressif__one").exists(), "{what}");

        // The same from the server of the archives.
        let registry = Registry::new();
        let entry = registry.publish("espressif/one", "1.0.0", &files("1", 10), false, json!({}));
        registry.answer("/around", vec![Reply::Redirect("/around".to_owned())]);
        registry.answer(&entry.url, vec![reply]);
        let error = get(&registry, &[&entry], out.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Source, "{what}: {error}");
        assert!(!out.path().join("espressif__one").exists(), "{what}");
    }
}

/// An archive member that no component has a use for.
fn tar_with(kind: tar::EntryType, path: &[u8], target: Option<&str>, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    if let Some(target) = target {
        header.set_link_name(target).unwrap();
    }
    header.as_mut_bytes()[..path.len()].copy_from_slice(path);
    header.set_cksum();
    let mut archive = Vec::new();
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    gzip(&archive)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn archives_that_are_broken_or_hostile_are_refused() {
    use tar::EntryType as T;
    let good = files("1", 5000);
    let whole = zip(&good);
    let mut corrupt = whole.clone();
    let middle = corrupt.len() / 2;
    corrupt[middle..middle + 64].fill(0x55);
    let twice = {
        // The writer refuses a second member of one name: the name is changed afterwards.
        let mut files = good.clone();
        files.push(("src/b.c".to_owned(), b"b".to_vec()));
        let mut bytes = zip(&files);
        for at in 0..bytes.len() - 7 {
            if &bytes[at..at + 7] == b"src/b.c" {
                bytes[at + 4] = b'a';
            }
        }
        bytes
    };
    let outside = |name: &str| zip(&vec![(name.to_owned(), b"x".to_vec())]);
    let mut link = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    link.add_symlink("link", "../../../etc/passwd", zip::write::SimpleFileOptions::default())
        .unwrap();
    let link = link.finish().unwrap().into_inner();
    let zeros = vec![0; 3 << 20];
    for (what, archive) in [
        ("truncated zip", whole[..whole.len() / 2].to_vec()),
        ("corrupt zip", corrupt),
        ("empty file", Vec::new()),
        ("a login page", b"<html></html>".to_vec()),
        ("a member twice", twice),
        ("zip with ..", outside("../evil")),
        ("zip with .. inside", outside("a/../../evil")),
        ("zip with an absolute path", outside("/evil")),
        ("zip symlink out", link),
        ("zip bomb", zip(&vec![("zeros".to_owned(), zeros.clone())])),
        ("truncated tgz", {
            let all = tgz(&good, "");
            all[..all.len() / 2].to_vec()
        }),
        ("tar with ..", tar_with(T::Regular, b"../evil", None, b"x")),
        ("tar with an absolute path", tar_with(T::Regular, b"/evil", None, b"x")),
        ("tar symlink out", tar_with(T::Symlink, b"link", Some("/etc"), b"")),
        ("tar symlink up", tar_with(T::Symlink, b"a/link", Some("../../x"), b"")),
        ("tar hard link", tar_with(T::Link, b"link", Some("/etc/passwd"), b"")),
        ("tar device", tar_with(T::Char, b"dev", None, b"")),
        ("tar fifo", tar_with(T::Fifo, b"pipe", None, b"")),
        ("tar bomb", tar_with(T::Regular, b"zeros", None, &zeros)),
        ("name that is not UTF-8", tar_with(T::Regular, b"\xff\xfe", None, b"x")),
        (
            "manifest that is no YAML",
            tgz(&vec![("idf_component.yml".to_owned(), b"a: [".to_vec())], ""),
        ),
        (
            "manifest that includes files outside",
            tgz(
                &vec![("idf_component.yml".to_owned(), b"files: {include: ['../*']}".to_vec())],
                "",
            ),
        ),
    ] {
        let registry = Registry::new();
        let entry = registry.publish("espressif/one", "1.0.0", &good, false, json!({}));
        registry.answer(&entry.url, vec![Reply::Whole(archive)]);
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("a/b/out");
        let mut options = options(&registry);
        options.limits = Limits { bytes: 1 << 20, members: 100 };
        let error = vendor(&plan(&[&entry]), &out, &options, &Silent).unwrap_err();
        assert_eq!(error.kind(), Kind::Source, "{what}: {error}");
        assert!(!out.join("espressif__one").exists(), "{what}");
        let escaped = ["evil", "a/evil", "a/b/evil", "a/b/out/evil"];
        assert!(escaped.iter().all(|path| !directory.path().join(path).exists()), "{what}");
        assert!(!Path::new("/evil").exists(), "{what}");
    }
}

#[test]
fn too_many_members_are_refused() {
    let registry = Registry::new();
    let many = (0..200).map(|number| (format!("f{number}"), Vec::new())).collect();
    for old in [false, true] {
        let name = if old { "espressif/old" } else { "espressif/new" };
        let entry = registry.publish(name, "1.0.0", &many, old, json!({}));
        let mut options = options(&registry);
        options.limits.members = 100;
        let out = tempfile::tempdir().unwrap();
        let error = vendor(&plan(&[&entry]), out.path(), &options, &Silent).unwrap_err();
        assert!(error.message().contains("more than 100 members"), "{error}");
    }
}

#[test]
fn an_output_directory_that_cannot_be_written_is_named() {
    let registry = Registry::new();
    let one = registry.publish("espressif/one", "1.0.0", &files("1", 10), false, json!({}));
    let (directory, _, _) = place(&[]);
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let error = get(&registry, &[&one], &file.join("out")).unwrap_err();
    assert_eq!(error.kind(), Kind::Input);

    let locked = directory.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        eprintln!("skipped: this user may write everywhere");
        return;
    }
    let error = get(&registry, &[&one], &locked).unwrap_err();
    assert_eq!(error.kind(), Kind::Input);
    assert!(error.message().contains("permission denied"), "{error}");
}

#[test]
fn a_full_disk_is_reported_and_the_next_run_completes() {
    let registry = Registry::new();
    let entry = registry.publish("espressif/one", "1.0.0", &files("1", 3 << 20), false, json!({}));
    let (directory, file, _) = place(&[&entry]);
    let full = directory.path().join("full");
    fs::create_dir(&full).unwrap();
    let script = "\"$1\" vendor --lock \"$2\" --out \"$0/out\"; code=$?; mount -t tmpfs -o remount,size=64m none \"$0\" && \
                  \"$1\" vendor --lock \"$2\" --out \"$0/out\" >&2; echo $code $?";
    let Some(mut shell) = on_a_disk_of("4m", &full, script) else { return };
    shell.arg(env!("CARGO_BIN_EXE_micropython-builder")).arg(&file);
    shell.env("IDF_COMPONENT_STORAGE_URL", registry.url());
    let (_, stdout, stderr) = outcome(&mut shell);
    assert_eq!(stdout, "3 0\n", "{stderr}");
    assert!(stderr.contains("no space left on device"), "{stderr}");
}

#[test]
fn a_run_that_was_killed_is_continued() {
    let registry = Registry::new();
    let body = files("1", 400_000);
    let small = registry.publish("espressif/small", "1.0.0", &files("2", 10), false, json!({}));
    let big = registry.publish("espressif/big", "1.0.0", &body, false, json!({}));
    let archive = zip(&body);
    let (tag, after) = ("\"1\"", 200_000);
    registry.answer(
        &big.url,
        vec![
            Reply::Silent { body: archive.clone(), tag, after },
            Reply::Served { body: archive, tag },
        ],
    );
    let (_directory, file, out) = place(&[&small, &big]);
    let mut vendor = command(&registry);
    vendor.args(["vendor", "--lock"]).arg(&file).arg("--out").arg(&out);
    let mut child = vendor.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let arrived = || {
        let parts = fs::read_dir(out.join(".vendor")).into_iter().flatten().flatten();
        let mut parts = parts.filter(|it| it.path().extension().is_some_and(|it| it == "part"));
        parts.any(|part| part.metadata().is_ok_and(|data| data.len() == after as u64))
            && out.join("espressif__small").exists()
    };
    let patience = Instant::now() + Duration::from_secs(60);
    while !arrived() {
        assert!(Instant::now() < patience, "the download does not get on");
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!out.join("espressif__big").exists());

    let before = registry.server.asked().len();
    let (code, _, stderr) = outcome(vendor.stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert_eq!(code, 0, "{stderr}");
    assert!(check(&plan(&[&small, &big]), &out).unwrap().is_ok());
    let asked = registry.server.asked();
    let again = asked[before..].iter().find(|asked| asked.path == big.url).unwrap();
    assert_eq!(again.range, Some(after));
    assert!(asked[before..].iter().all(|asked| !asked.path.contains("small")));
}
