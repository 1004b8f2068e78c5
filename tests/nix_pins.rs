//! The files of pins: all are written in one way, and those that only the flake reads fit each other.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use micropython_builder::pins::Sha256Hash;
use serde_json::Value;

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("nix").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(name: &str) -> Value {
    let value: Value = serde_json::from_str(&text(name)).unwrap();
    assert_eq!(value["schema"], 1, "{name}");
    value
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().unwrap().iter()
}

#[test]
fn files_are_sorted_and_indented_so_that_a_change_shows_as_what_it_is() {
    let files = ["esp-idf", "micropython", "python", "toolchains"];
    for name in files.map(|name| format!("pins/{name}.json")) {
        let name = name.as_str();
        // A map that sorts its keys, and whatever is in it.
        fn sorted(value: &Value) -> Value {
            match value {
                Value::Object(map) => {
                    let map: BTreeMap<_, _> =
                        map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
                    Value::Object(map.into_iter().collect())
                }
                other => other.clone(),
            }
        }
        let canonical = serde_json::to_string_pretty(&sorted(&json(name))).unwrap();
        assert!(text(name) == format!("{canonical}\n"), "{name}");
    }
}

#[test]
fn every_esp_idf_names_toolchains_and_rom_files_that_are_pinned() {
    let (idf, toolchains) = (json("pins/esp-idf.json"), json("pins/toolchains.json"));
    for (tag, release) in object(&idf["releases"]) {
        for (name, version) in object(&release["toolchains"]) {
            let version = version.as_str().unwrap();
            let archives = &toolchains["toolchains"][name]["versions"][version]["archives"];
            for system in ["aarch64-darwin", "aarch64-linux", "x86_64-darwin", "x86_64-linux"] {
                let hash = archives[system]["hash"].as_str();
                let hash = hash.unwrap_or_else(|| panic!("{tag}: {name} {version} {system}"));
                assert!(hash.parse::<Sha256Hash>().is_ok(), "{hash}");
            }
        }
        let rom = &idf["rom_elfs"][release["rom_elfs"].as_str().unwrap()];
        assert!(rom["hash"].as_str().unwrap().parse::<Sha256Hash>().is_ok(), "{tag}");
        if let Some(nar) = release["nar_with_submodules"].as_str() {
            assert!(nar.parse::<Sha256Hash>().is_ok(), "{tag}: {nar}");
        }
        assert_eq!(release["commit"].as_str().unwrap().len(), 40, "{tag}");
    }
}

#[test]
fn what_the_releases_with_locked_components_recommend_is_pinned() {
    let (idf, components) = (json("pins/esp-idf.json"), json("pins/components.json"));
    let micropython: Value = serde_json::from_str(&text("pins/micropython.json")).unwrap();
    for (release, _) in object(&components["releases"]) {
        let recommended = &micropython["releases"][release]["esp_idf"]["recommended"];
        let pinned = &idf["releases"][recommended.as_str().unwrap()];
        assert!(pinned["nar_with_submodules"].is_string(), "{release}: {recommended}");
    }
}

#[test]
fn boards_are_those_of_a_pinned_release_and_chips_those_with_components() {
    let (boards, components) = (json("boards/boards.json"), json("pins/components.json"));
    let release = boards["micropython"].as_str().unwrap();
    let targets = &components["releases"][release]["targets"];
    for (board, about) in object(&boards["ports"]["esp32"]) {
        let chip = about["mcu"].as_str().unwrap();
        assert!(targets[chip].is_object(), "{board}: {chip}");
    }
}

#[test]
fn python_packages_have_hashes() {
    for (name, package) in object(&json("pins/python.json")["packages"]) {
        let hash = package["hash"].as_str().unwrap();
        assert!(hash.parse::<Sha256Hash>().is_ok(), "{name}: {hash}");
    }
}
