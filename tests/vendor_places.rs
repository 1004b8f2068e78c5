//! `vendor` from mirrors, git repositories, and the repositories that uploads came from.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/registry.rs"]
mod registry;
#[path = "common/server.rs"]
mod server;
#[path = "common/vendoring.rs"]
mod vendoring;

use std::fs;
use std::process::Command;

use common::command::outcome;
use micropython_builder::component::Lock;
use micropython_builder::component::plan::Plan;
use micropython_builder::component::vendor::{check, vendor};
use micropython_builder::error::Kind;
use micropython_builder::pins::Components;
use micropython_builder::report::Silent;
use micropython_builder::source::nar_hash;
use registry::{Registry, files, tgz};
use serde_json::{Value, json};
use server::Reply;
use vendoring::{command, get, options, place, vendor_with};

#[test]
fn another_registry_is_asked_where_its_files_are() {
    let registry = Registry::new();
    let entry = registry.publish("espressif/one", "1.0.0", &files("1", 10), false, json!({}));
    let about =
        json!({"components_base_url": registry.url(), "info": "", "status": "ok", "version": "1"});
    registry.answer("/registry/api", vec![Reply::Whole(about.to_string().into())]);
    let mut options = options(&registry);
    options.settings.storage_urls.clear();
    options.settings.registry_url = Some(registry.server.url("registry/"));
    let out = tempfile::tempdir().unwrap();
    vendor_with(&entry, out.path(), &options).unwrap();
    registry.answer("/registry/api", vec![Reply::Whole(b"{}".to_vec())]);
    let error = vendor_with(&entry, &out.path().join("x"), &options).unwrap_err();
    assert!(error.message().contains("does not answer as a component registry does"), "{error}");
}

#[test]
fn a_mirror_may_be_a_directory() {
    let registry = Registry::new();
    let entry = registry.publish("espressif/one", "1.0.0", &files("1", 10), false, json!({}));
    let mirror = tempfile::Builder::new().prefix("mirror %").tempdir().unwrap();
    for (path, replies) in registry.routes.lock().unwrap().iter() {
        let path = mirror.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match &replies[0] {
            Reply::Whole(body) | Reply::Served { body, .. } => fs::write(path, body).unwrap(),
            other => panic!("{other:?}"),
        }
    }
    let (_directory, file, out) = place(&[&entry]);
    let url = format!("file://{}", mirror.path().display()).replace('%', "%25").replace(' ', "%20");
    let mut vendor = command(&registry);
    vendor.args(["vendor", "--lock"]).arg(&file).arg("--out").arg(&out);
    let (code, _, stderr) = outcome(vendor.env("IDF_COMPONENT_STORAGE_URL", url));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(registry.server.asked().len(), 0);
}

const COMMIT: &str = "0f23456789012345678901234567890123456789";

#[test]
fn git_sources_come_from_the_forge_or_with_git() {
    let registry = Registry::new();
    let mut tree = files("1", 10);
    // Left out of what is taken from a git repository, although the archive has them.
    tree.push((".github/workflows/x.yml".to_owned(), b"x".to_vec()));
    tree.push(("build/out.o".to_owned(), b"x".to_vec()));
    let root = registry.plant(&tree);
    use micropython_builder::component::{component_hash, files::Defaults, glob::FinalStars};
    let hash = component_hash(&root, Defaults::LeftOut, FinalStars::default()).unwrap();
    let lock_of = |url: &str, commit: &str, path: &str| {
        format!(
            "dependencies:\n  some/thing:\n    component_hash: {hash}\n    source: {{type: git, git: '{url}', path: {path}}}\n    \
             version: '{commit}'\nversion: 2.0.0\n"
        )
    };
    let plan_of = |text: &str| {
        let mut plan = Plan::default();
        let lock = Lock::parse(text.as_bytes(), "lock").unwrap();
        plan.add_lock(&lock, "lock", &Components::empty()).unwrap();
        plan
    };
    let archive = tgz(
        &tree.iter().map(|(path, content)| (format!("sub/dir/{path}"), content.clone())).collect(),
        "thing-0123/",
    );
    registry.answer(&format!("/owner/thing/archive/{COMMIT}.tar.gz"), vec![Reply::Whole(archive)]);
    let out = tempfile::tempdir().unwrap();
    let url = registry.server.url("owner/thing.git");
    let plan = plan_of(&lock_of(&url, COMMIT, "sub/dir"));
    let from_forge = vendor(&plan, out.path(), &options(&registry), &Silent).unwrap();
    assert!(!out.path().join("some__thing/build").exists());
    assert!(check(&plan, out.path()).unwrap().is_ok());

    if !common::require("git") {
        return;
    }
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
    // What `git archive` would leave out or change belongs to a checkout all the same.
    fs::write(root.join(".gitattributes"), "src export-ignore\n* export-subst\n").unwrap();
    fs::write(root.join("subst"), "$Format:%H$\n").unwrap();
    let hash = component_hash(&root, Defaults::LeftOut, FinalStars::default()).unwrap();
    git(&["init", "--quiet"]);
    git(&["add", "--all", "--force"]);
    git(&["commit", "--quiet", "-m", "x"]);
    let commit = git(&["rev-parse", "HEAD"]);
    let url = format!("file://{}", root.display());
    let text = format!(
        "dependencies:\n  some/thing:\n    component_hash: {hash}\n    source: {{type: git, git: '{url}', path: .}}\n    \
         version: '{commit}'\nversion: 2.0.0\n"
    );
    let plan = plan_of(&text);
    let out = tempfile::tempdir().unwrap();
    let with_git = vendor(&plan, out.path(), &options(&registry), &Silent).unwrap();
    assert_ne!(from_forge.nar, with_git.nar);
    assert_eq!(fs::read_to_string(out.path().join("some__thing/subst")).unwrap(), "$Format:%H$\n");
    let error = vendor(
        &plan_of(&lock_of(&url, COMMIT, ".")),
        &out.path().join("x"),
        &options(&registry),
        &Silent,
    );
    assert_eq!(error.unwrap_err().kind(), Kind::Source);
}

#[test]
fn the_repository_of_an_upload_gives_what_the_registry_serves() {
    let registry = Registry::new();
    // What the registry serves: the manifest sorted, with keys added and one dropped.
    let served: registry::Files = [
        ("idf_component.yml", "dependencies:\n  idf: '>=5.0'\ndescription: made up, with a text that is long enough to be folded at a width of eighty\n  columns\nrepository: git://example.org/thing.git\nrepository_info:\n  commit_sha: 0f23456789012345678901234567890123456789\n  path: sub\nversion: 1.0.0~2\n"),
        ("src/a.c", "int a;\n"),
        ("lib/pb/pb.c", "int pb;\n"),
        ("lib/pb/.git", "gitdir: ../x\n"),
        ("examples/common/main/idf_component.yml", "dependencies:\n  me/thing:\n    version: '*'\n"),
        ("examples/common/main/main.c", "int main;\n"),
    ]
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .to_vec();
    let entry = registry.publish("me/thing", "1.0.0~2", &served, false, json!({}));
    let out = tempfile::tempdir().unwrap();
    let from_registry = get(&registry, &[&entry], out.path()).unwrap();

    let repository: registry::Files = [
        ("sub/idf_component.yml", "# remark\nversion: \"1.0.0\"\ndescription: \"made up, with a text that is long enough to be folded at a width of eighty columns\"\ndependencies: {idf: \">=5.0\"}\nexamples: [{path: ../common}]\n"),
        ("sub/src/a.c", "int a;\n"),
        ("sub/docs/unwanted.md", "x\n"),
        ("sub/build/unwanted.o", "x\n"),
        ("sub/.github/unwanted.yml", "x\n"),
        ("common/main/idf_component.yml", "dependencies:\n  # nearby\n  me/thing: {version: \"*\", override_path: ../..}\n"),
        ("common/main/main.c", "int main;\n"),
        ("elsewhere/x", "x\n"),
    ]
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .to_vec();
    let submodule = vec![("pb.c".to_owned(), b"int pb;\n".to_vec())];
    registry.answer(
        &format!("/o/thing/archive/{COMMIT}.tar.gz"),
        vec![Reply::Whole(tgz(&repository, "thing-0/"))],
    );
    registry.answer(
        &format!("/o/pb/archive/{COMMIT}.tar.gz"),
        vec![Reply::Whole(tgz(&submodule, "pb-0/"))],
    );
    registry.answer("/components/me/thing.json", vec![Reply::Status(403)]);
    let pins = json!({
        "schema": 1,
        "components": {"me/thing": {"1.0.0~2": {
            "component_hash": entry.hash,
            "nar": nar_hash(&out.path().join("me__thing")).unwrap(),
            "sources": [{"kind": "registry"}, {
                "kind": "repository", "url": registry.server.url("o/thing"), "commit": COMMIT, "path": "sub",
                "submodules": [{"path": "sub/lib/pb", "url": registry.server.url("o/pb"), "commit": COMMIT, "git_file": "gitdir: ../x\n"}],
                "copy": [{"from": "common", "to": "sub/examples/common"}],
                "remove": ["sub/docs"],
                "examples": true,
                "manifest": {
                    "drop": ["examples"],
                    "set": {"version": "1.0.0~2", "repository": "git://example.org/thing.git",
                            "repository_info": {"commit_sha": COMMIT, "path": "sub"}},
                },
            }],
        }}},
    });
    let (directory, file, out) = place(&[&entry]);
    let pin_file = directory.path().join("pins.json");
    fs::write(&pin_file, pins.to_string()).unwrap();
    let vendor = || {
        let mut vendor = command(&registry);
        vendor.args(["vendor", "--json", "--lock"]).arg(&file).arg("--out").arg(&out);
        vendor.env("IDF_COMPONENT_API_TIMEOUT", "5").arg("--pins").arg(&pin_file);
        outcome(&mut vendor)
    };
    let (code, stdout, stderr) = vendor();
    assert_eq!(code, 0, "{stderr}");
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answer["nar"], json!(from_registry.nar));
    assert_eq!(answer["components"][0]["pinned"], true);
    assert!(answer["components"][0]["from"].as_str().unwrap().contains("/o/thing"), "{answer}");

    // A pin that is wrong, of files whose component hash is right.
    let mut wrong = pins.clone();
    wrong["components"]["me/thing"]["1.0.0~2"]["nar"] = json!(from_registry.nar);
    fs::write(&pin_file, wrong.to_string()).unwrap();
    fs::remove_dir_all(&out).unwrap();
    let (code, _, stderr) = vendor();
    assert_eq!(code, 5);
    assert!(stderr.contains("the NAR hash of me/thing 1.0.0~2 differs from its pin"), "{stderr}");
    assert!(!out.join("me__thing").exists());
}
