//! `lock`: what the component manager itself would resolve is what this program has to resolve.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/registry.rs"]
mod registry;
#[path = "common/server.rs"]
mod server;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::command::{mpb, outcome};
use micropython_builder::component::Lock;
use micropython_builder::source::nar_hash;
use registry::{Registry, files};
use serde_json::{Value, json};
use server::Reply;
use tempfile::TempDir;

/// What the tests take for a MicroPython tree.
fn micropython(manifest: &str) -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir_all(tree.path().join("ports/esp32/main")).unwrap();
    fs::create_dir_all(tree.path().join("ports/esp32/lockfiles")).unwrap();
    fs::write(tree.path().join("ports/esp32/main/idf_component.yml"), manifest).unwrap();
    tree
}

fn command(registry: &Registry, tree: &Path) -> Command {
    let mut command = mpb();
    command.env("IDF_COMPONENT_STORAGE_URL", registry.url()).env_remove("MICROPYTHON_BUILDER_PINS");
    command.arg("lock").arg("--micropython").arg(tree);
    command
}

/// The lock that the component manager writes for a manifest, or what it says.
fn by_the_manager(
    python: &Path,
    registry: &Registry,
    manifest: &str,
    target: &str,
) -> Result<String, String> {
    let directory = tempfile::tempdir().unwrap();
    let project = directory.path();
    fs::create_dir(project.join("main")).unwrap();
    fs::write(project.join("main/CMakeLists.txt"), "").unwrap();
    fs::write(project.join("main/idf_component.yml"), manifest).unwrap();
    let mut manager = Command::new(python);
    manager.args(["-W", "ignore", "-m", "idf_component_manager.prepare_components"]);
    manager.current_dir(project).args(["--interface_version", "3", "--project_dir"]).arg(project);
    manager.args(["--lock_path", "dependencies.lock", "prepare_dependencies"]);
    manager.args(["--build_dir", ".", "--managed_components_list_file", "list.cmake"]);
    manager.env("IDF_TARGET", target).env("IDF_VERSION", "5.5.1").env("IDF_PATH", project);
    manager.env("IDF_COMPONENT_STORAGE_URL", registry.url());
    manager.env("IDF_COMPONENT_CACHE_PATH", project.join("cache"));
    let (code, stdout, stderr) = outcome(&mut manager);
    match code {
        0 => Ok(fs::read_to_string(project.join("dependencies.lock")).unwrap()),
        _ => Err(format!("{stdout}{stderr}")),
    }
}

fn needs(name: &str, spec: &str) -> Value {
    let (namespace, name) = name.split_once('/').unwrap();
    json!({"source": "service", "namespace": namespace, "name": name, "spec": spec, "require": true,
           "is_public": false, "registry_url": null, "rules": [], "matches": []})
}

fn needs_idf(spec: &str) -> Value {
    json!({"source": "idf", "namespace": null, "name": null, "spec": spec, "require": true,
           "is_public": false, "registry_url": null, "rules": [], "matches": []})
}

/// Components with versions of every kind.
fn world() -> Registry {
    let registry = Registry::new();
    let publish = |name: &str, version: &str, dependencies: Vec<Value>, more: Value| {
        let mut all = json!({ "dependencies": dependencies });
        for (key, value) in more.as_object().unwrap() {
            all[key] = value.clone();
        }
        registry.publish(name, version, &files(&format!("{name} {version}"), 10), false, all);
    };
    let nothing = json!({});
    for version in ["1.0.0", "1.1.0", "1.1.1~2", "1.2.0", "2.0.0", "2.1.0-rc.1"] {
        publish("espressif/base", version, vec![needs_idf(">=5.0")], nothing.clone());
    }
    publish("espressif/user", "1.0.0", vec![needs("espressif/base", "^1.0.0")], nothing.clone());
    publish("espressif/user", "2.0.0", vec![needs("espressif/base", "^2.0.0")], nothing.clone());
    publish("espressif/future", "1.0.0", vec![needs_idf(">=5.0")], nothing.clone());
    publish("espressif/future", "2.0.0", vec![needs_idf(">=6.0")], nothing.clone());
    publish("espressif/early", "1.0.0-beta.1", vec![], nothing.clone());
    publish("espressif/early", "1.0.0-beta.2", vec![], nothing);
    publish("espressif/chips", "1.0.0", vec![], json!({"targets": ["esp32s3", "esp32c3"]}));
    publish("espressif/chips", "2.0.0", vec![], json!({"targets": ["esp32p4"]}));
    publish("espressif/pulled", "1.0.0", vec![], json!({}));
    publish(
        "espressif/pulled",
        "1.0.1",
        vec![],
        json!({"yanked_at": "2024-01-01", "yanked_message": "no"}),
    );
    publish("espressif/newer", "1.0.0", vec![], json!({}));
    let unknown = json!({"build_metadata_keys": ["dependencies-*-teleport-type:string"]});
    publish("espressif/newer", "2.0.0", vec![], unknown);
    let mut ruled = needs("espressif/base", "~1.1.0");
    ruled["rules"] = json!([{"if": "target in [esp32s3]"}]);
    let mut matched = needs("espressif/pulled", "*");
    matched["matches"] = json!([{"if": "target == esp32c3", "version": "1.0.0"}]);
    let mut public = needs("espressif/early", ">=1.0.0-beta.1");
    public["is_public"] = json!(true);
    public["registry_url"] = json!("https://components.espressif.com");
    publish("espressif/ruled", "1.0.0", vec![ruled, matched, public], json!({}));
    registry
}

#[test]
fn the_manager_resolves_the_same_lock() {
    let Some(python) = common::python(&["idf_component_manager"]) else { return };
    let registry = world();
    let mut solved = 0;
    for (manifest, target) in [
        ("dependencies:\n  base: '*'\n", "esp32c3"),
        ("dependencies:\n  espressif/base: ~1.1.0\n  idf: '>=5.3'\n", "esp32"),
        ("dependencies:\n  user: '*'\n", "esp32"),
        ("dependencies:\n  user: '*'\n  base: '<2.0'\n", "esp32"),
        ("dependencies:\n  user: '*'\n  base: 1.1.1~2\n", "esp32"),
        ("dependencies:\n  future: '*'\n", "esp32"),
        ("dependencies:\n  chips: '*'\n", "esp32s3"),
        ("dependencies:\n  chips: '*'\n", "esp32p4"),
        ("dependencies:\n  pulled: '*'\n  newer: '*'\n", "esp32"),
        ("dependencies:\n  pulled: '==1.0.1'\n", "esp32"),
        ("dependencies:\n  early:\n    version: '*'\n    pre_release: true\n", "esp32"),
        ("dependencies:\n  base: '>=2.1.0-rc.1'\n", "esp32"),
        ("dependencies:\n  ruled: '*'\n", "esp32s3"),
        ("dependencies:\n  ruled: '*'\n", "esp32c3"),
        (
            "dependencies:\n  base:\n    version: '*'\n    rules:\n      - if: target == esp32\n        version: ~1.0.0\n",
            "esp32",
        ),
        (
            "dependencies:\n  base:\n    version: '*'\n    rules:\n      - if: target == esp32\n",
            "esp32c3",
        ),
        // What cannot be resolved.
        ("dependencies:\n  user: ^2.0.0\n  base: ^1.0.0\n", "esp32"),
        ("dependencies:\n  early: '*'\n", "esp32"),
        ("dependencies:\n  chips: '*'\n", "esp32"),
        ("dependencies:\n  base: '*'\n  idf: '>=6.0'\n", "esp32"),
        ("dependencies:\n  future: ^2.0.0\n", "esp32"),
        ("dependencies:\n  base: ^7.0.0\n", "esp32"),
    ] {
        let expected = by_the_manager(&python, &registry, manifest, target);
        let tree = micropython(manifest);
        let out = tree.path().join("lock");
        let mut lock = command(&registry, tree.path());
        lock.args(["--target", target, "--idf-version", "5.5.1", "--out"]).arg(&out);
        let (code, _, stderr) = outcome(&mut lock);
        match expected {
            Ok(expected) => {
                assert_eq!(code, 0, "{manifest}{stderr}");
                assert_eq!(fs::read_to_string(&out).unwrap(), expected, "{manifest}");
                solved += 1;
            }
            Err(said) => {
                assert_eq!(code, 3, "{manifest}{stderr}\nthe manager says {said}");
                assert!(stderr.contains("nothing fits together"), "{stderr}");
                assert!(!out.exists());
            }
        }
    }
    assert_eq!(solved, 16);
}

#[test]
fn a_failure_says_why() {
    let registry = world();
    for (manifest, expected) in [
        ("dependencies:\n  early: '*'\n", "1.0.0-beta.1 needs `pre_release: true`"),
        ("dependencies:\n  chips: '*'\n", "1.0.0 is for esp32s3, esp32c3"),
        ("dependencies:\n  pulled: '>1.0.0'\n", "1.0.1 was withdrawn"),
        ("dependencies:\n  base: ^7.0.0\n", "there are 1.0.0, 1.1.0"),
        ("dependencies:\n  idf: '>=6.0'\n", "idf >=6.0: there are 5.5.1"),
        ("dependencies:\n  here: {path: ../x}\n", "which a lock for other machines cannot name"),
        (
            "dependencies:\n  base: {version: '*', rules: [{if: \"${HOME} == x\"}]}\n",
            "environment variable",
        ),
    ] {
        let tree = micropython(manifest);
        let mut lock = command(&registry, tree.path());
        lock.args(["--target", "esp32", "--idf-version", "5.5.1", "--out", "/nonexistent/lock"]);
        let (code, _, stderr) = outcome(&mut lock);
        assert_eq!(code, 3, "{stderr}");
        assert!(stderr.contains(expected), "{expected}\n{stderr}");
    }
}

/// A tree with a lock of its own, made from its manifest.
fn locked_tree(registry: &Registry) -> (TempDir, PathBuf) {
    let tree = micropython("dependencies:\n  base: ^1.0.0\n  idf: '>=5.3'\n");
    let own = tree.path().join("ports/esp32/lockfiles/dependencies.lock.esp32c3");
    let mut lock = command(registry, tree.path());
    lock.args(["--target", "esp32c3", "--idf-version", "5.4.0", "--out"]).arg(&own);
    let (code, _, stderr) = outcome(&mut lock);
    assert_eq!(code, 0, "{stderr}");
    // Upstream has tested something older than the newest.
    let older = registry.routes.lock().unwrap()["/components/espressif/base.json"][0].clone();
    let Reply::Whole(index) = older else { panic!() };
    let index: Value = serde_json::from_slice(&index).unwrap();
    let hash = |version: &str| {
        let versions = index["versions"].as_array().unwrap();
        let found = versions.iter().find(|it| it["version"] == version).unwrap();
        found["component_hash"].as_str().unwrap().to_owned()
    };
    let text = fs::read_to_string(&own).unwrap();
    let text =
        text.replace(&hash("1.2.0"), &hash("1.1.0")).replace("version: 1.2.0", "version: 1.1.0");
    fs::write(&own, text).unwrap();
    (tree, own)
}

#[test]
fn what_upstream_locks_is_kept() {
    let registry = world();
    let (tree, own) = locked_tree(&registry);
    let before = registry.server.asked().len();
    let out = tree.path().join("new");
    let lock = |more: &[&str]| {
        let mut lock = command(&registry, tree.path());
        lock.args(["--target", "esp32c3", "--out"]).arg(&out).args(more);
        let (code, stdout, stderr) = outcome(&mut lock);
        assert_eq!(code, 0, "{stderr}");
        stdout
    };
    assert!(lock(&[]).contains("espressif/base 1.1.0"));
    assert_eq!(fs::read(&out).unwrap(), fs::read(&own).unwrap(), "nothing has changed");
    lock(&["--idf-version", "5.5.1"]);
    let expected = fs::read_to_string(&own).unwrap().replace("version: 5.4.0", "version: 5.5.1");
    assert_eq!(fs::read_to_string(&out).unwrap(), expected);
    assert_eq!(registry.server.asked().len(), before, "nothing had to be asked");
    assert!(lock(&["--upgrade"]).contains("espressif/base 1.2.0"));

    // Something new is asked for, what is there is kept.
    let extra = tree.path().join("idf_component.yml");
    fs::write(&extra, "dependencies:\n  future: '*'\n  base: '>=1.0.1'\n").unwrap();
    let stdout = lock(&["--manifest", extra.to_str().unwrap()]);
    assert!(
        stdout.contains("espressif/base 1.1.0") && stdout.contains("espressif/future 1.0.0"),
        "{stdout}"
    );
    // A manifest may be a pipe.
    let mut piped = command(&registry, tree.path());
    piped.args(["--target", "esp32c3", "--manifest", "/dev/stdin", "--out"]).arg(&out);
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"dependencies:\n  future: '*'\n").unwrap();
    drop(writer);
    let (code, stdout, stderr) = outcome(piped.stdin(reader));
    assert!(code == 0 && stdout.contains("espressif/future 1.0.0"), "{stdout}{stderr}");
    // Something that upstream's version does not satisfy.
    fs::write(&extra, "dependencies:\n  base: '>=1.1.1'\n").unwrap();
    assert!(lock(&["--manifest", extra.to_str().unwrap()]).contains("espressif/base 1.2.0"));
}

#[test]
fn what_cannot_be_asked_is_said_at_once() {
    if !common::require("git") {
        return;
    }
    let registry = world();
    let (tree, _) = locked_tree(&registry);
    let before = registry.server.asked().len();
    let extra = tree.path().join("idf_component.yml");
    fs::write(&extra, "dependencies:\n  some/thing: {git: 'file:///nonexistent/x.git'}\n").unwrap();
    let mut lock = command(&registry, tree.path());
    lock.args(["--target", "esp32c3", "--out", "x", "--manifest"]).arg(&extra);
    let (code, _, stderr) = outcome(&mut lock);
    assert_eq!(code, 5, "{stderr}");
    let expected = "git cannot ask file:///nonexistent/x.git: '/nonexistent/x.git' does not appear";
    assert!(stderr.contains(expected) && !stderr.contains("other versions"), "{stderr}");
    assert_eq!(registry.server.asked().len(), before, "what upstream locks had to be asked for");
}

#[test]
fn stale_locks_are_found_and_the_command_is_given() {
    let registry = world();
    let (tree, own) = locked_tree(&registry);
    let lock = |arguments: &[&str]| {
        let mut lock = command(&registry, tree.path());
        lock.args(["--target", "esp32c3", "--check", "--out"]).arg(&own).args(arguments);
        outcome(&mut lock)
    };
    assert_eq!(lock(&[]).0, 0);
    assert_eq!(lock(&["--idf-version", "5.5.0"]).0, 0);
    let (code, _, stderr) = lock(&["--idf-version", "4.4.0"]);
    assert_eq!(code, 3);
    assert!(stderr.contains("espressif/base in it needs ESP-IDF >=5.0, this is 4.4.0"), "{stderr}");

    let mut vendor = mpb();
    vendor.env("IDF_COMPONENT_STORAGE_URL", registry.url());
    vendor.args(["vendor", "--target", "esp32c3", "--micropython"]).arg(tree.path());
    vendor.arg("--out").arg(tree.path().join("managed"));
    assert_eq!(outcome(&mut vendor).0, 0);

    let manifest = tree.path().join("ports/esp32/main/idf_component.yml");
    fs::write(&manifest, "dependencies:\n  base: ^1.0.0\n  idf: '>=5.2'\n").unwrap();
    let (code, _, stderr) = lock(&[]);
    assert_eq!(code, 3);
    assert!(stderr.contains("is stale: the manifests were changed after it was made"), "{stderr}");
    assert!(stderr.contains("`micropython-builder lock --micropython"), "{stderr}");
    let (code, _, stderr) = outcome(&mut vendor);
    assert_eq!(code, 3);
    assert!(stderr.contains("is stale") && stderr.contains("micropython-builder lock"), "{stderr}");
    let (code, _, stderr) = outcome(vendor.args(["--target", "esp32s3"]));
    assert_eq!(code, 3, "{stderr}");
}

#[test]
fn pins_are_written_with_the_lock() {
    let registry = world();
    let tree = micropython("dependencies:\n  user: '*'\n");
    let (out, pins) = (tree.path().join("locks"), tree.path().join("pins.json"));
    let mut lock = command(&registry, tree.path());
    lock.args(["--json", "--target", "esp32,esp32s3", "--idf-version", "5.5.1", "--out"]).arg(&out);
    let (code, stdout, stderr) = outcome(lock.arg("--write-pins").arg(&pins));
    assert_eq!(code, 0, "{stderr}");
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answer["schema"], 1);
    assert_eq!(answer["locks"][1]["target"], "esp32s3");
    assert_eq!(answer["locks"][1]["components"][0]["name"], "espressif/base");
    assert_eq!(answer["components"].as_array().unwrap().len(), 2);
    assert!(Lock::read(&out.join("dependencies.lock.esp32s3")).unwrap().components.len() == 2);
    let pins: Value = serde_json::from_slice(&fs::read(pins).unwrap()).unwrap();
    let pin = &pins["components"]["espressif/base"]["2.0.0"];
    assert_eq!(pin["nar"], answer["components"][0]["nar"]);
    assert_eq!(pin["sources"], json!([{"kind": "registry"}]));
}

#[test]
fn branches_of_git_repositories_are_resolved() {
    if !common::require("git") {
        return;
    }
    let registry = world();
    let tree = files("git", 10);
    let root = registry.plant(&tree);
    let manifest = "dependencies:\n  idf: '>=5.0'\n  base: ~1.1.0\ntargets: [esp32c3]\n";
    fs::write(root.join("idf_component.yml"), manifest).unwrap();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(&root)
            .args(["-c", "user.name=x", "-c", "user.email=x@example.org"])
            .args(arguments);
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        let (code, stdout, stderr) = outcome(&mut git);
        assert_eq!(code, 0, "{stderr}");
        stdout.trim().to_owned()
    };
    git(&["init", "--quiet", "--initial-branch", "fix/branch"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "-m", "x"]);
    git(&["tag", "v1"]);
    git(&["tag", "-a", "annotated", "-m", "x"]);
    let commit = git(&["rev-parse", "HEAD"]);
    for reference in [
        "version: fix/branch, ",
        "version: v1, ",
        "version: annotated, ",
        &format!("version: '{commit}', "),
        "",
    ] {
        let manifest = format!(
            "dependencies:\n  some/thing: {{{reference}git: 'file://{}'}}\n",
            root.display()
        );
        let tree = micropython(&manifest);
        let out = tree.path().join("lock");
        let mut lock = command(&registry, tree.path());
        lock.args(["--target", "esp32c3", "--idf-version", "5.5.1", "--out"]).arg(&out);
        let (code, stdout, stderr) = outcome(&mut lock);
        assert_eq!(code, 0, "{stderr}");
        assert!(stdout.contains(&format!("some/thing {commit}")), "{stdout}");
        assert!(stdout.contains("espressif/base 1.1.1~2"), "{stdout}");
        // The manager locks the tag itself there, which is no commit.
        let python = common::python(&["idf_component_manager"]);
        if let Some(python) = python.filter(|_| !reference.contains("annotated")) {
            let expected = by_the_manager(&python, &registry, &manifest, "esp32c3").unwrap();
            assert_eq!(fs::read_to_string(&out).unwrap(), expected);
        }
        let managed = tree.path().join("managed");
        let mut vendor = mpb();
        vendor.env("IDF_COMPONENT_STORAGE_URL", registry.url()).arg("vendor");
        let (code, _, stderr) = outcome(vendor.arg("--lock").arg(&out).arg("--out").arg(&managed));
        assert_eq!(code, 0, "{stderr}");
        nar_hash(&managed).unwrap();
    }
    let missing = format!(
        "dependencies:\n  some/thing: {{version: none, git: 'file://{}'}}\n",
        root.display()
    );
    let tree = micropython(&missing);
    let mut lock = command(&registry, tree.path());
    let (code, _, stderr) =
        outcome(lock.args(["--target", "esp32c3", "--idf-version", "5.5.1", "--out", "x"]));
    assert_eq!(code, 5);
    assert!(stderr.contains("has no branch or tag none"), "{stderr}");
}

#[test]
fn usage() {
    let registry = world();
    let tree = micropython("dependencies:\n  base: '*'\n");
    let (code, _, stderr) =
        outcome(command(&registry, tree.path()).args(["--target", "esp32", "--out", "x"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("--idf-version VERSION or --idf DIR"), "{stderr}");
    let nowhere = tree.path().join("nowhere");
    let (code, _, _) = outcome(command(&registry, &nowhere).args([
        "--target",
        "esp32",
        "--idf-version",
        "5.5.1",
        "--out",
        "x",
    ]));
    assert_eq!(code, 3);
}
