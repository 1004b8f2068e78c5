//! `vendor`: what it lays out, keeps and checks.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/registry.rs"]
mod registry;
#[path = "common/server.rs"]
mod server;
#[path = "common/vendoring.rs"]
mod vendoring;

use std::fs;
use std::process::{Command, Output, Stdio};

use common::command::{names_in, outcome};
use micropython_builder::component::Lock;
use micropython_builder::component::vendor::check;
use micropython_builder::error::Kind;
use micropython_builder::source::nar_hash;
use registry::{Entry, Registry, contents, files, lock};
use serde_json::{Value, json};
use vendoring::{REGISTRY, command, get, place, plan};

#[test]
fn components_are_laid_out_alike_wherever_they_come_from() {
    let registry = Registry::new();
    let new = registry.publish("espressif/new", "1.7.6~1", &files("1", 1000), false, json!({}));
    let old = registry.publish("other/old", "1.0.0", &files("2", 10), true, json!({}));
    let (_directory, file, out) = place(&[&new, &old]);
    let mut vendor = command(&registry);
    vendor.args(["vendor", "--json", "--lock"]).arg(&file).arg("--out").arg(&out);
    let (code, stdout, stderr) = outcome(&mut vendor);
    assert_eq!(code, 0, "{stderr}");
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answer["schema"], 1);
    assert_eq!(answer["nar"], json!(nar_hash(&out).unwrap()));
    assert_eq!(answer["components"][0]["name"], "espressif/new");
    assert_eq!(answer["components"][0]["component_hash"], json!(new.hash));
    assert_eq!(answer["components"][1]["nar"], json!(nar_hash(&out.join("other__old")).unwrap()));

    let mut expected = files("1", 1000);
    expected.push((".component_hash".to_owned(), new.hash.to_string().into_bytes()));
    let mut expected: Vec<_> = expected
        .into_iter()
        .map(|(path, content)| (path, content.clone(), content.starts_with(b"#!")))
        .collect();
    expected.sort();
    assert_eq!(contents(&out.join("espressif__new")), expected);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 2, "something unfinished was left");

    // The same files in the other kind of archive, with other modes and times.
    let again = Registry::new();
    again.publish("espressif/new", "1.7.6~1", &files("1", 1000), true, json!({}));
    again.publish("other/old", "1.0.0", &files("2", 10), false, json!({}));
    let second = tempfile::tempdir().unwrap();
    let summary = get(&again, &[&new, &old], second.path()).unwrap();
    assert_eq!(json!(summary.nar), answer["nar"]);

    let mut check = command(&registry);
    check.args(["vendor", "--lock"]).arg(&file).arg("--check").arg(&out);
    let (code, stdout, _) = outcome(&mut check);
    assert_eq!(code, 0);
    assert!(stdout.contains("espressif/new 1.7.6~1 sha256-"), "{stdout}");
}

#[test]
fn a_lock_without_components_gives_an_empty_directory() {
    let registry = Registry::new();
    let (_directory, file, out) = place(&[]);
    let mut vendor = command(&registry);
    vendor.args(["vendor", "--lock"]).arg(&file).arg("--out").arg(&out);
    let (code, _, stderr) = outcome(&mut vendor);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(names_in(&out), Vec::<String>::new());
}

#[test]
fn what_is_there_and_right_is_not_fetched_again() {
    let registry = Registry::new();
    let one = registry.publish("espressif/one", "1.0.0", &files("1", 10), false, json!({}));
    let two = registry.publish("espressif/two", "1.0.0", &files("2", 10), false, json!({}));
    let out = tempfile::tempdir().unwrap();
    get(&registry, &[&one], out.path()).unwrap();
    let before = registry.server.asked().len();
    let summary = get(&registry, &[&one, &two], out.path()).unwrap();
    let asked: Vec<String> =
        registry.server.asked()[before..].iter().map(|asked| asked.path.clone()).collect();
    assert!(asked.iter().all(|path| path.contains("two")), "{asked:?}");
    assert!(summary.components[0].place.is_none() && summary.components[1].place.is_some());

    // What is no longer in the lock goes.
    get(&registry, &[&two], out.path()).unwrap();
    assert!(!out.path().join("espressif__one").exists());
}

#[test]
fn what_was_changed_by_hand_is_not_thrown_away() {
    let registry = Registry::new();
    let one = registry.publish("espressif/one", "1.0.0", &files("1", 10), false, json!({}));
    let two = registry.publish("espressif/two", "1.0.0", &files("1", 10), false, json!({}));
    let (_directory, file, out) = place(&[&one]);
    get(&registry, &[&one], &out).unwrap();
    let source = out.join("espressif__one/src/a.c");
    fs::write(&source, "mine").unwrap();

    let faults = check(&plan(&[&one]), &out).unwrap().unwrap_err();
    assert!(faults[0].contains("its hash differs"), "{faults:?}");
    let error = get(&registry, &[&one], &out).unwrap_err();
    assert_eq!(error.kind(), Kind::Input);
    assert!(error.message().ends_with("was changed by hand"), "{error}");
    let error = get(&registry, &[&two], &out).unwrap_err();
    assert!(error.message().ends_with("is no component of the lock"), "{error}");
    assert_eq!(fs::read_to_string(&source).unwrap(), "mine");

    let mut forced = command(&registry);
    forced.args(["vendor", "--force", "--lock"]).arg(&file).arg("--out").arg(&out);
    assert_eq!(outcome(&mut forced).0, 0);
    assert!(check(&plan(&[&one]), &out).unwrap().is_ok());
}

#[test]
fn a_check_names_every_fault() {
    let registry = Registry::new();
    let names = ["missing", "extra", "mode", "note", "right"];
    let entries: Vec<Entry> = names
        .iter()
        .map(|name| {
            registry.publish(
                &format!("espressif/{name}"),
                "1.0.0",
                &files(name, 10),
                false,
                json!({}),
            )
        })
        .collect();
    let entries: Vec<&Entry> = entries.iter().collect();
    let (_directory, file, out) = place(&entries);
    get(&registry, &entries, &out).unwrap();
    fs::remove_dir_all(out.join("espressif__missing")).unwrap();
    // Not covered by the hash, so only a look at the directory finds it.
    fs::write(out.join("espressif__extra/CHECKSUMS.json"), "{}").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(out.join("espressif__mode/src/a.c"), mode).unwrap();
    fs::remove_file(out.join("espressif__note/.component_hash")).unwrap();
    fs::write(out.join("stray"), "").unwrap();
    let mut check = command(&registry);
    check.args(["vendor", "--lock"]).arg(&file).arg("--check").arg(&out);
    let (code, _, stderr) = outcome(&mut check);
    assert_eq!(code, 5);
    for expected in [
        "espressif/missing 1.0.0 is missing",
        "espressif/extra 1.0.0: CHECKSUMS.json does not belong to it",
        "espressif/mode 1.0.0: src/a.c is executable",
        "espressif/note 1.0.0: it has no .component_hash",
        "stray is no component of the lock",
    ] {
        assert!(stderr.contains(expected), "{expected}\n{stderr}");
    }
    assert!(!stderr.contains("espressif/right"), "{stderr}");
}

#[test]
fn only_some_components_can_be_had() {
    let registry = Registry::new();
    let one = registry.publish("espressif/one", "1.0.0", &files("1", 10), false, json!({}));
    let two = registry.publish("espressif/two", "1.0.0", &files("2", 10), false, json!({}));
    let (_directory, file, out) = place(&[&one, &two]);
    let vendor = |name: &str| {
        let mut vendor = command(&registry);
        vendor.args(["vendor", "--component", name, "--lock"]).arg(&file).arg("--out").arg(&out);
        outcome(&mut vendor)
    };
    assert_eq!(vendor("one").0, 0);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    assert_eq!(vendor("espressif/two").0, 0);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 2);
    let (code, _, stderr) = vendor("three");
    assert_eq!(code, 3);
    assert!(stderr.contains("it has espressif/one, espressif/two"), "{stderr}");
}

#[test]
fn pins_are_written_and_used() {
    let registry = Registry::new();
    let entry = registry.publish("me/thing", "1.0.0", &files("1", 10), false, json!({}));
    let (directory, file, out) = place(&[&entry]);
    let pins = directory.path().join("pins.json");
    let vendor = |arguments: &[&str]| {
        let mut vendor = command(&registry);
        vendor
            .args(["vendor", "--lock"])
            .arg(&file)
            .arg("--out")
            .arg(&out)
            .args(arguments)
            .arg(&pins);
        outcome(&mut vendor)
    };
    let (code, _, stderr) = vendor(&["--write-pins"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("me/thing 1.0.0 is not pinned"), "{stderr}");
    let written: Value = serde_json::from_slice(&fs::read(&pins).unwrap()).unwrap();
    let pin = &written["components"]["me/thing"]["1.0.0"];
    assert_eq!(pin["component_hash"], json!(entry.hash));
    assert_eq!(pin["nar"], json!(nar_hash(&out.join("me__thing")).unwrap()));
    let (code, _, stderr) = vendor(&["--pins"]);
    assert_eq!(code, 0);
    assert!(!stderr.contains("not pinned"), "{stderr}");
}

#[test]
fn a_component_that_is_pinned_can_be_had_without_a_lock() {
    let registry = Registry::new();
    let one = registry.publish("espressif/one", "1.0.0", &files("1", 10), false, json!({}));
    let (directory, file, out) = place(&[&one]);
    let pins = directory.path().join("pins.json");
    let mut first = command(&registry);
    first.args(["vendor", "--lock"]).arg(&file).arg("--out").arg(&out);
    let (code, _, stderr) = outcome(first.arg("--write-pins").arg(&pins));
    assert_eq!(code, 0, "{stderr}");

    let vendor = |named: &str| {
        let again = directory.path().join(named.replace('/', "-"));
        let mut vendor = command(&registry);
        vendor.args(["vendor", "--pinned", named, "--pins"]).arg(&pins).arg("--out").arg(&again);
        let (code, _, stderr) = outcome(&mut vendor);
        (code, stderr, again)
    };
    let (code, stderr, again) = vendor("espressif/one@1.0.0");
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(nar_hash(&again).unwrap(), nar_hash(&out).unwrap());
    // Espressif's are meant where no namespace is given, as in manifests.
    assert_eq!(vendor("one@1.0.0").0, 0);
    for (named, expected, hint) in [
        ("espressif/one@1.0.1", "espressif/one 1.0.1 is not pinned", "are pinned 1.0.0"),
        ("espressif/other@1", "espressif/other 1 is not pinned", "--write-pins"),
    ] {
        let (code, stderr, _) = vendor(named);
        assert_eq!(code, 3, "{stderr}");
        assert!(stderr.contains(expected) && stderr.contains(hint), "{stderr}");
    }
    let (code, stderr, _) = vendor("espressif/one");
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("expected NAME@VERSION"), "{stderr}");
}

#[test]
fn locks_that_cannot_be_used_are_refused() {
    let registry = Registry::new();
    let one = registry.publish("espressif/one", "1.0.0", &files("1", 10), false, json!({}));
    let other = registry.publish("espressif/one", "1.1.0", &files("2", 10), false, json!({}));
    let (directory, file, out) = place(&[&one]);
    let second = directory.path().join("second");
    fs::write(&second, lock(&[&other], REGISTRY)).unwrap();
    let strange = directory.path().join("strange");
    fs::write(&strange, "version: 9.0.0\n").unwrap();
    let twice = directory.path().join("twice");
    fs::write(&twice, lock(&[&one, &one], REGISTRY)).unwrap();
    for (locks, expected) in [
        (vec![&file, &second], "two components of one name: espressif/one 1.0.0 of"),
        (vec![&strange], "is a lock file of format 9.0.0, formats 1.0.0 and 2.0.0 are known"),
        (vec![&twice], "the key \"espressif/one\" is there twice"),
    ] {
        let mut vendor = command(&registry);
        vendor.arg("vendor").arg("--out").arg(&out);
        for lock in locks {
            vendor.arg("--lock").arg(lock);
        }
        let (code, _, stderr) = outcome(&mut vendor);
        assert_eq!(code, 3, "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
        assert!(!out.exists());
    }
    let (code, _, stderr) = outcome(command(&registry).args(["vendor", "--out", "x"]));
    assert_eq!(code, 2, "{stderr}");
}

#[test]
fn two_runs_on_one_directory_do_not_disturb_each_other() {
    let registry = Registry::new();
    let entries: Vec<Entry> = (0..6)
        .map(|number| {
            let name = format!("espressif/part{number}");
            registry.publish(
                &name,
                "1.0.0",
                &files(&number.to_string(), 20_000),
                number % 2 == 0,
                json!({}),
            )
        })
        .collect();
    let entries: Vec<&Entry> = entries.iter().collect();
    let (_directory, file, out) = place(&entries);
    let spawn = || {
        let mut vendor = command(&registry);
        vendor.args(["vendor", "--lock"]).arg(&file).arg("--out").arg(&out);
        vendor.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let results: Vec<Output> = [spawn(), spawn(), spawn()]
        .into_iter()
        .map(|child| child.wait_with_output().unwrap())
        .collect();
    for output in &results {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == results[0].stdout, "the runs found different hashes");
    }
    assert!(check(&plan(&entries), &out).unwrap().is_ok());
    for entry in entries {
        let asked = registry.server.asked().iter().filter(|asked| asked.path == entry.url).count();
        assert_eq!(asked, 1, "{} was downloaded {asked} times", entry.name);
    }
}

#[test]
fn the_component_manager_takes_the_directory_without_network() {
    let Some(python) = common::python(&["idf_component_manager"]) else { return };
    let registry = Registry::new();
    let one = registry.publish("espressif/one", "1.0.0", &files("1", 10), false, json!({}));
    let two = registry.publish("other/two", "2.1.0", &files("2", 10), true, json!({}));
    let directory = tempfile::tempdir().unwrap();
    let project = directory.path();
    fs::create_dir(project.join("main")).unwrap();
    fs::write(project.join("main/CMakeLists.txt"), "").unwrap();
    let manifest = "dependencies:\n  espressif/one: ~1.0.0\n  other/two: '*'\n";
    fs::write(project.join("main/idf_component.yml"), manifest).unwrap();
    let parsed = micropython_builder::component::Manifest::parse(manifest.as_bytes(), "m").unwrap();
    let hash = micropython_builder::component::manifest::project_hash([("main", &parsed)]);
    let text = lock(&[&one, &two], REGISTRY)
        + &format!("manifest_hash: {hash}\ndirect_dependencies: [espressif/one, other/two]\n");
    let text = Lock::parse(text.as_bytes(), "lock").unwrap().to_text().unwrap();
    fs::write(project.join("dependencies.lock"), &text).unwrap();
    let managed = project.join("managed_components");
    let summary = get(&registry, &[&one, &two], &managed).unwrap();

    let mut manager = Command::new(python);
    manager.args(["-W", "ignore", "-m", "idf_component_manager.prepare_components"]);
    manager.current_dir(project);
    manager.args(["--interface_version", "3", "--project_dir"]).arg(project);
    manager.args(["--lock_path", "dependencies.lock", "prepare_dependencies"]);
    manager.args(["--build_dir", ".", "--managed_components_list_file", "list.cmake"]);
    manager.env("IDF_TARGET", "esp32c3").env("IDF_VERSION", "5.5.1").env("IDF_PATH", project);
    // Nobody listens there.
    manager
        .env("IDF_COMPONENT_STORAGE_URL", "http://127.0.0.1:9")
        .env("IDF_COMPONENT_CHECK_NEW_VERSION", "0");
    manager.env("IDF_COMPONENT_CACHE_PATH", project.join("cache"));
    let (code, stdout, stderr) = outcome(&mut manager);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(!stdout.contains("solving dependencies"), "{stdout}");
    assert_eq!(fs::read_to_string(project.join("dependencies.lock")).unwrap(), text);
    assert_eq!(nar_hash(&managed).unwrap(), summary.nar, "the manager changed something");
    let list = fs::read_to_string(project.join("list.cmake")).unwrap();
    assert!(
        list.contains("managed_components/espressif__one") && list.contains("other__two"),
        "{list}"
    );
}
