//! The real build of an ESP32 board, where the environment says where ESP-IDF is (docs/esp32.md).

mod common;
#[allow(dead_code)]
mod device;
#[allow(dead_code)]
#[path = "common/esp_idf.rs"]
mod esp_idf;
#[allow(dead_code)]
mod flashing;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use common::command::{mpb, repository, succeed};
use common::require;
use device::Device;
use device::chip::Chip;
use esp_idf::EspIdf;
use micropython_builder::component::component_hash;
use micropython_builder::component::files::Defaults;
use micropython_builder::component::glob::FinalStars;
use serde_json::{Value, json};

/// What the tests here need, or none, with a word on what is missing.
fn runnable() -> Option<EspIdf> {
    let real = EspIdf::named();
    if real.is_none() {
        eprintln!("not run: MPB_ESP_IDF and its companions name no ESP-IDF (docs/esp32.md)");
    }
    real.filter(|_| require("unshare"))
}

/// The image parts lie at their offsets in `firmware.bin`, and 0xff between them.
fn check_image(out: &Path, record: &Value) {
    let files = record["files"].as_array().unwrap();
    let read = |file: &Value| fs::read(out.join(file["path"].as_str().unwrap())).unwrap();
    let of = |role: &str| files.iter().find(|file| file["role"] == role).unwrap();
    let firmware = of("firmware");
    let start = firmware["offset"].as_u64().unwrap();
    let mut expected = Vec::new();
    for role in ["bootloader", "partition-table", "application"] {
        let at = usize::try_from(of(role)["offset"].as_u64().unwrap() - start).unwrap();
        assert!(at >= expected.len(), "{role} begins before the part before it ends");
        expected.resize(at, 0xff);
        expected.extend(read(of(role)));
    }
    assert!(read(firmware) == expected, "firmware.bin is not made of its parts");
}

/// Upstream's own script makes the same image.
fn check_makeimg(real: &EspIdf, out: &Path) {
    let build = PathBuf::from(format!("{}.build/build", out.display()));
    let image = build.join("upstream.bin");
    let mut command = Command::new(&real.python);
    command.arg(real.micropython.join("ports/esp32/makeimg.py"));
    for input in ["sdkconfig", "bootloader/bootloader.bin", "partition_table/partition-table.bin"] {
        command.arg(build.join(input));
    }
    command.arg(build.join("micropython.bin")).arg(&image).arg(build.join("upstream.uf2"));
    command.env("IDF_PATH", &real.idf).env("PYTHONDONTWRITEBYTECODE", "1");
    succeed(&mut command);
    assert!(
        fs::read(image).unwrap() == fs::read(out.join("firmware.bin")).unwrap(),
        "makeimg.py makes another image"
    );
}

fn check_record(real: &EspIdf, record: &Value) {
    assert_eq!(record["board"], "ESP32_GENERIC_C3");
    assert_eq!(record["frozen_modules"], json!(["hello.py"]));
    assert_eq!(record["user_c_modules"][0]["name"], "triangle");
    let idf = &record["esp_idf"];
    let locked = idf["components"].as_array().unwrap();
    assert!(!locked.is_empty());
    for component in locked {
        let directory = component["name"].as_str().unwrap().replace('/', "__");
        let root = real.components.join(directory);
        let hash = component_hash(&root, Defaults::Kept, FinalStars::Directories).unwrap();
        assert_eq!(component["component_hash"], hash.to_string());
    }
    let sizes = idf["sizes"].as_array().unwrap();
    assert_eq!(sizes[0]["archive"], "libmain.a", "MicroPython is the largest part of it");
    let partitions = idf["partitions"].as_array().unwrap();
    let used: Vec<u64> = partitions.iter().filter_map(|it| it["used"].as_u64()).collect();
    let files = record["files"].as_array().unwrap();
    let application = files.iter().find(|file| file["role"] == "application").unwrap();
    assert_eq!(used, [application["size"].as_u64().unwrap()]);
    // All that is in the image but alignment, headers and checksums.
    let counted: u64 = sizes
        .iter()
        .flat_map(|size| ["text", "rodata", "data"].map(|part| size[part].as_u64().unwrap()))
        .sum();
    assert!(counted <= used[0] && counted * 10 > used[0] * 9, "{counted} of {used:?}");
}

/// The build of the board with the network cut off.
fn build(real: &EspIdf, out: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net"]);
    command.arg(env!("CARGO_BIN_EXE_micropython-builder"));
    real.build(&mut command, out);
    command
}

/// With the example's modules.
fn build_hello(real: &EspIdf, out: &Path) -> Command {
    build_modules(real, &repository("examples/hello"), out)
}

/// With the frozen modules of a directory, and the example's C module.
fn build_modules(real: &EspIdf, directory: &Path, out: &Path) -> Command {
    let mut command = build(real, out);
    command.arg("--manifest").arg(directory.join("manifest.py"));
    command.arg("--user-c-modules").arg(repository("examples/modules"));
    command
}

#[test]
fn a_build_that_begins_with_a_saved_one_gives_the_same_and_compiles_little() {
    let Some(real) = runnable() else { return };
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let saved = place("stock.tar.zst");
    succeed(build(&real, &place("stock")).arg("--save-build").arg(&saved));

    let began = Instant::now();
    let mut again = build_hello(&real, &place("again"));
    succeed(again.arg("--from-build").arg(&saved).arg("--keep-build"));
    let again_took = began.elapsed();
    let log = fs::read_to_string(place("again.build/build.log")).unwrap();
    let compiled: Vec<&str> = log.lines().filter(|line| line.contains("Building ")).collect();
    let of_idf = compiled.iter().filter(|line| line.contains("esp-idf/")).count()
        - compiled.iter().filter(|line| line.contains("esp-idf/main/")).count();
    assert_eq!(of_idf, 0, "{compiled:#?}");

    let began = Instant::now();
    succeed(&mut build_hello(&real, &place("whole")));
    let whole_took = began.elapsed();
    for entry in fs::read_dir(place("whole")).unwrap() {
        let name = entry.unwrap().file_name();
        let [again, whole] = ["again", "whole"].map(|it| fs::read(place(it).join(&name)).unwrap());
        assert!(again == whole, "{} is not the same", name.display());
    }
    eprintln!(
        "ran: {} files compiled in {again_took:?}; everything took {whole_took:?}",
        compiled.len()
    );
    changes_of_frozen_modules_move_little(&real, directory.path(), &saved);
}

/// A frozen module that gets longer is flashed over the one before with at most a quarter of the bytes: what lies
/// behind it stays where it is.
fn changes_of_frozen_modules_move_little(real: &EspIdf, directory: &Path, saved: &Path) {
    let modules = directory.join("modules");
    fs::create_dir(&modules).unwrap();
    for name in ["manifest.py", "hello.py"] {
        fs::copy(repository("examples/hello").join(name), modules.join(name)).unwrap();
    }
    let module = modules.join("hello.py");
    let before = fs::read_to_string(&module).unwrap();
    let longer = before.replace("built by", "with a longer text, built by");
    let function = format!("{before}\n\ndef another(value):\n    return [value, 'one more']\n");
    let device = Device::new(Chip::Esp32c3).revision(0, 4).start();
    let flash = |out: &Path| {
        let sent = device.stats().received;
        flashing::done(&flashing::flash(out, device.port(), &["--json"]));
        device.stats().received - sent
    };
    let first = flash(&directory.join("again"));
    for (name, text) in [("longer", longer), ("function", function)] {
        assert_ne!(text, before);
        fs::write(&module, text).unwrap();
        let out = directory.join(name);
        succeed(build_modules(real, &modules, &out).arg("--from-build").arg(saved));
        let sent = flash(&out);
        assert!(sent * 4 <= first, "{name}: {sent} of {first} bytes");
        eprintln!("ran: {name}: {sent} of {first} bytes sent");
    }
}

#[test]
fn a_real_board_is_built_without_a_network_and_answers() {
    let Some(real) = runnable() else { return };
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let printed = succeed(build_hello(&real, &out).args(["--keep-build", "--json"]));
    let record: Value = serde_json::from_str(&printed).unwrap();
    check_record(&real, &record);
    check_image(&out, &record);
    check_makeimg(&real, &out);
    eprintln!("ran: built ESP32_GENERIC_C3 with the network cut off; makeimg.py agrees");

    let Some(qemu) = &real.qemu else { return };
    let run = |script: &Path| {
        let mut run = mpb();
        run.arg("run").arg(&out).arg("--emulator").arg(qemu);
        succeed(run.arg("--script").arg(script))
    };
    let answer = run(&repository("examples/hello/ask.py"));
    assert!(answer.contains("on esp32, built by micropython-builder"), "{answer}");
    assert!(answer.contains("[0, 1, 3, 6, 10, 15, 21, 28, 36, 45]"), "{answer}");
    // Many times what the firmware's buffer for input holds.
    let long = directory.path().join("long.py");
    let lines: String = (0..200).map(|n| format!("x{n} = {n}  # {}\n", "-".repeat(60))).collect();
    fs::write(&long, format!("{lines}print(x7 + x199)\n")).unwrap();
    assert_eq!(run(&long), "206\n");
    eprintln!("ran: booted it in {} and asked its modules", qemu.display());
}
