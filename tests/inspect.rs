//! `inspect`: what files are, against the tools that made them.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
mod inputs;
#[path = "common/mpy_cross.rs"]
mod mpy_cross;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::command::{stderr, stdout};
use inputs::{Rng, json, mpb, tool};
use micropython_builder::image::uf2;
use micropython_builder::inspect::{Description, Kind, describe};
use serde_json::Value;
use tempfile::TempDir;

const SOURCE: &str = r#"
import micropython
TUPLE = ("a constant string that is too long for a qstr", 1.5, 2**99, (1, ("x", b"bytes")), None)
NATIVE
def double(a):
    return a * 2
VIPER
def triple(a) -> int:
    return int(a) * 3
class Thing:
    def method(self):
        return [i for i in range(3)]
"#;

/// The real mpy-cross of the MicroPython tree, built once.
fn mpy_cross() -> Option<(PathBuf, PathBuf)> {
    static BUILT: OnceLock<Option<(PathBuf, PathBuf)>> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let tree = common::micropython()?;
            if !common::require("make") || !common::require("gcc") || !common::require("python3") {
                return None;
            }
            let program = mpy_cross::mpy_cross(&tree);
            Some((tree, program))
        })
        .clone()
}

/// A module compiled for an architecture, or to bytecode.
fn compile(mpy_cross: &Path, directory: &Path, arch: Option<&str>) -> PathBuf {
    let (native, viper) = match arch {
        Some(_) => ("@micropython.native", "@micropython.viper"),
        None => ("", ""),
    };
    let text = SOURCE.replace("NATIVE", native).replace("VIPER", viper);
    let source = directory.join("module.py");
    fs::write(&source, text).unwrap();
    let mpy = directory.join(format!("{}.mpy", arch.unwrap_or("bytecode")));
    let mut command = Command::new(mpy_cross);
    command.args(arch.map(|arch| format!("-march={arch}")));
    tool(command.arg("-o").args([&mpy, &source]));
    mpy
}

/// What upstream's mpy-tool says of a file: header, tables, and the sizes of its code.
fn mpy_tool(tree: &Path, mpy: &Path) -> BTreeMap<&'static str, Value> {
    let text = tool(Command::new("python3").arg(tree.join("tools/mpy-tool.py")).arg("-d").arg(mpy));
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"))
    };
    let size = |line: &str| line.split(' ').next().unwrap().parse::<u64>().unwrap();
    let code = |name: &str| -> Vec<u64> {
        text.lines().filter_map(|line| line.trim_start().strip_prefix(name)).map(size).collect()
    };
    let (bytecode, native) = (code("raw bytecode: "), code("raw data: "));
    BTreeMap::from([
        ("header", field("header: ").into()),
        ("source", field("source_file: ").into()),
        ("qstrs", field("qstr_table[").trim_end_matches("]:").parse::<u64>().unwrap().into()),
        ("bytecode_functions", bytecode.len().into()),
        ("bytecode_size", bytecode.iter().sum::<u64>().into()),
        ("native_functions", native.len().into()),
        ("native_size", native.iter().sum::<u64>().into()),
    ])
}

#[test]
fn modules_are_what_mpy_tool_says_they_are() {
    let Some((tree, mpy_cross)) = mpy_cross() else { return };
    let directory = TempDir::new().unwrap();
    let archs = ["x86", "x64", "armv6m", "armv7m", "armv7emsp", "armv7emdp", "xtensa", "xtensawin"];
    for arch in archs.into_iter().map(Some).chain([None]) {
        let mpy = compile(&mpy_cross, directory.path(), arch);
        let output = mpb(["inspect".as_ref(), "--json".as_ref(), mpy.as_os_str()]);
        assert!(output.status.success(), "{}", stderr(&output));
        let found = &json(&output)["files"][0];
        assert_eq!((&found["kind"], &found["problems"]), (&"mpy".into(), &Value::Array(vec![])));
        let expected = mpy_tool(&tree, &mpy);
        for (name, value) in &expected {
            if *name != "header" {
                assert_eq!(&found["mpy"]["contents"][name], value, "{name} {arch:?}");
            }
        }
        let header: Vec<u8> = expected["header"]
            .as_str()
            .unwrap()
            .split(':')
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        assert_eq!(found["mpy"]["major_version"], header[1]);
        assert_eq!(found["mpy"]["small_int_bits"], header[3]);
        assert_eq!(found["mpy"]["arch"], arch.map_or(Value::Null, Value::from));
        let sys_mpy = arch.map(|_| u64::from(header[1]) | u64::from(header[2]) << 8);
        assert_eq!(found["mpy"]["sys_mpy"], sys_mpy.map_or(Value::Null, Value::from));
    }
}

#[test]
fn a_module_cut_off_anywhere_is_told_to_be() {
    let Some((_, mpy_cross)) = mpy_cross() else { return };
    let directory = TempDir::new().unwrap();
    for arch in [Some("x64"), None] {
        let bytes = fs::read(compile(&mpy_cross, directory.path(), arch)).unwrap();
        assert_eq!(describe(&bytes.as_slice()).unwrap().problems, [""; 0]);
        for length in 2..bytes.len() {
            let found = describe(&&bytes[..length]).unwrap();
            assert!(matches!(found.content, Kind::Mpy { .. }), "{length}");
            assert_ne!(found.problems, [""; 0], "{length}");
        }
        let longer = [bytes, vec![0]].concat();
        assert_eq!(
            describe(&longer.as_slice()).unwrap().problems,
            ["its end is followed by 1 byte"]
        );
    }
}

#[test]
fn a_module_is_checked_against_a_device() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("module");
    fs::write(&path, b"M\x06\x17\x1f\x00\x00\x00").unwrap();
    let inspect = |number: &str| mpb(["inspect", "--sys-mpy", number, path.to_str().unwrap()]);
    let armv7emsp = inspect("7942");
    assert!(armv7emsp.status.success(), "{}", stderr(&armv7emsp));
    assert!(stdout(&armv7emsp).contains("loads on the device"));
    let x64 = inspect("0xb06");
    assert_eq!(x64.status.code(), Some(3));
    assert!(stderr(&x64).contains("its native code is for armv7m, the device runs x64"));
    assert_eq!(inspect("many").status.code(), Some(2));
}

/// What esptool reads from an image, as JSON.
const ESPTOOL: &str = r#"
import json, sys
from esptool.bin_image import LoadFirmwareImage
image = LoadFirmwareImage(sys.argv[1], sys.argv[2])
hexed = lambda data: data.hex() if data else None
print(json.dumps({
    "chip_id": image.chip_id, "entry": image.entrypoint,
    "segments": [[s.addr, len(s.data)] for s in image.segments],
    "checksum": [image.checksum, image.calculate_checksum()],
    "sha256": [hexed(image.stored_digest), hexed(image.calc_digest)],
    "length": image.data_length + 32,
}))
"#;

#[test]
fn esp_images_are_what_esptool_says_they_are() {
    let Some(python) = common::python(&["esptool"]) else { return };
    if !common::require("riscv64-unknown-elf-gcc") {
        return;
    }
    let directory = TempDir::new().unwrap();
    for chip in ["esp32", "esp32s2", "esp32s3", "esp32c2", "esp32c3", "esp32c6", "esp32h2"] {
        let one_place = matches!(chip, "esp32c6" | "esp32h2");
        let rodata = if one_place { "0x42000020" } else { "0x3c000020" };
        let elf = inputs::elf_at(directory.path(), rodata);
        let path = inputs::esp_image(&python, chip, &elf);
        let script = ["-c", ESPTOOL, chip];
        let expected = tool(Command::new(&python).args(script).arg(&path));
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let output = mpb(["inspect".as_ref(), "--json".as_ref(), path.as_os_str()]);
        assert!(output.status.success(), "{}", stderr(&output));
        let found = &json(&output)["files"][0];
        let image = &found["image"];
        assert_eq!((&found["kind"], &image["chip"]), (&"esp-image".into(), &chip.into()));
        for name in ["chip_id", "entry", "length"] {
            assert_eq!(image[name], expected[name], "{chip} {name}");
        }
        let segments: Vec<Value> = image["segments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|segment| serde_json::json!([segment["address"], segment["size"]]))
            .collect();
        assert_eq!(Value::from(segments), expected["segments"], "{chip}");
        let checksum = format!("{:02x}", expected["checksum"][0].as_u64().unwrap());
        assert_eq!(image["checksum"]["stored"], checksum);
        assert_eq!(image["sha256"]["stored"], expected["sha256"][0]);
        assert_eq!(image["sha256"]["computed"], expected["sha256"][1]);
        assert_eq!(
            (&image["flash_mode"], &image["flash_size"]),
            (&"dio".into(), &(4 << 20).into())
        );
        let elf_sha256 = tool(Command::new("sha256sum").arg(&elf));
        let application = &image["application"];
        assert_eq!(application["elf_sha256"], elf_sha256.split(' ').next().unwrap());
        assert_eq!(application["project"], "micropython");
        assert_eq!(application["version"], "v1.99.0-7");
        assert_eq!(application["idf_version"], "v5.5.1");
        assert_eq!(found["micropython"]["machine"], "A tested board with ESP32C3");
    }
}

/// An ESP8266 image, as esptool writes those.
const ESP8266: &str = r#"
import sys
from esptool.bin_image import ESP8266ROMFirmwareImage, ImageSegment
image = ESP8266ROMFirmwareImage()
image.entrypoint = 0x40100004
image.flash_mode, image.flash_size_freq = 2, 0x40
image.segments = [ImageSegment(0x40100000, bytes(range(64))), ImageSegment(0x3ffe8000, b"data" * 9)]
image.save(sys.argv[1])
"#;

#[test]
fn esp8266_images_are_told_from_the_others() {
    let Some(python) = common::python(&["esptool"]) else { return };
    let directory = TempDir::new().unwrap();
    let base = directory.path().join("image-");
    tool(Command::new(&python).args(["-c", ESP8266]).arg(&base));
    let path = fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
    let found = describe(&fs::read(path).unwrap().as_slice()).unwrap();
    assert_eq!(found.problems, [""; 0]);
    let Kind::EspImage { image, .. } = found.content else { panic!("{found:?}") };
    assert_eq!(image.chip.as_deref(), Some("esp8266"));
    assert_eq!((image.entry, image.flash_size), (0x4010_0004, Some(4 << 20)));
    assert_eq!(image.segments.len(), 2);
    assert!(image.checksum.unwrap().valid);
}

#[test]
fn a_damaged_image_is_described_with_what_is_wrong() {
    let Some(python) = common::python(&["esptool"]) else { return };
    if !common::require("riscv64-unknown-elf-gcc") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let elf = inputs::elf(directory.path());
    let path = inputs::esp_image(&python, "esp32c3", &elf);
    let whole = fs::read(&path).unwrap();

    let mut flipped = whole.clone();
    flipped[0x30] ^= 1;
    fs::write(&path, &flipped).unwrap();
    let output = mpb(["inspect".as_ref(), "--json".as_ref(), path.as_os_str()]);
    assert_eq!(output.status.code(), Some(3));
    let found = &json(&output)["files"][0];
    assert_eq!(found["image"]["checksum"]["valid"], false);
    assert_eq!(found["image"]["sha256"]["valid"], false);
    assert_eq!(found["problems"].as_array().unwrap().len(), 2);
    assert!(stderr(&output).contains("the checksum is 0x"), "{}", stderr(&output));

    for length in (24..whole.len()).step_by(997).chain([whole.len() - 1, whole.len() - 33]) {
        let found = describe(&&whole[..length]).unwrap();
        assert!(matches!(found.content, Kind::EspImage { .. }), "{length}");
        assert!(found.problems[0].starts_with(&format!("cut off at {length} bytes")), "{found:?}");
    }
}

#[test]
fn uf2_files_are_what_uf2conv_made() {
    let Some(tree) = common::micropython() else { return };
    if !common::require("python3") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let (input, output) = (directory.path().join("in.bin"), directory.path().join("out"));
    let mut payload = Rng(5).bytes(1000);
    payload.extend_from_slice(b"MicroPython v1.2 on 2020-01-01; A board with a chip\r\n\0");
    fs::write(&input, &payload).unwrap();
    for (family, id, base) in
        [("RP2040", 0xe48b_ff56_u32, 0x1000_0000_u64), ("0x12345678", 0x1234_5678, 0x2000)]
    {
        tool(
            Command::new("python3")
                .arg(tree.join("tools/uf2conv.py"))
                .args(["-c", "-f", family, "-b", &format!("{base:#x}"), "-o"])
                .args([&output, &input]),
        );
        let answer = mpb(["inspect".as_ref(), "--json".as_ref(), output.as_os_str()]);
        assert!(answer.status.success(), "{}", stderr(&answer));
        let found = &json(&answer)["files"][0];
        let one = &found["uf2"]["families"][0];
        assert_eq!((&found["kind"], &one["id"]), (&"uf2".into(), &id.into()));
        assert_eq!(one["name"], if base == 0x2000 { Value::Null } else { family.into() });
        assert_eq!(one["blocks"], 5);
        assert_eq!(one["ranges"], serde_json::json!([{"start": base, "end": base + 1280}]));
        assert_eq!(found["micropython"]["machine"], "A board with a chip");
    }

    let whole = fs::read(&output).unwrap();
    let damaged: [(Vec<u8>, &str); 4] = [
        (whole[..whole.len() - 512].to_vec(), "there are 4 of 5 blocks"),
        (whole[..whole.len() - 1].to_vec(), "cut off: the block at 2048 has 511 bytes of 512"),
        ([&whole[..512], &whole[1024..]].concat(), "has the number 2, expected 1"),
        ([&whole[..512], &[0; 512], &whole[512..]].concat(), "the bytes at 512 are no UF2 block"),
    ];
    for (bytes, problem) in damaged {
        fs::write(&output, &bytes).unwrap();
        let answer = mpb(["inspect".as_ref(), output.as_os_str()]);
        assert_eq!(answer.status.code(), Some(3), "{problem}");
        assert!(stdout(&answer).contains(problem), "{}", stdout(&answer));
    }
}

#[test]
fn uf2_families_have_the_names_that_upstream_gives_them() {
    let Some(tree) = common::micropython() else { return };
    let list = fs::read(tree.join("tools/uf2families.json")).unwrap();
    let list: Vec<Value> = serde_json::from_slice(&list).unwrap();
    assert!(list.len() > 30);
    for family in list {
        let id = family["id"].as_str().unwrap().trim_start_matches("0x");
        let mut file = Vec::new();
        uf2::write(&&b"x"[..], u32::from_str_radix(id, 16).unwrap(), 0, &mut file).unwrap();
        let found = describe(&file.as_slice()).unwrap();
        let Kind::Uf2 { uf2 } = found.content else { panic!("{found:?}") };
        assert_eq!(uf2.families[0].name, family["short_name"].as_str());
    }
}

#[test]
fn elf_sizes_are_those_that_size_prints() {
    if !common::require("riscv64-unknown-elf-gcc") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let path = inputs::elf(directory.path());
    let sizes = tool(Command::new("riscv64-unknown-elf-size").arg(&path));
    let sizes: Vec<u64> = sizes
        .lines()
        .nth(1)
        .unwrap()
        .split_whitespace()
        .take(3)
        .map(|size| size.parse().unwrap())
        .collect();
    let output = mpb(["inspect".as_ref(), "--json".as_ref(), path.as_os_str()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let found = &json(&output)["files"][0];
    let elf = &found["elf"];
    assert_eq!(
        (&found["kind"], &elf["machine"], &elf["bits"], &elf["type"]),
        (&"elf".into(), &"riscv".into(), &32.into(), &"executable".into())
    );
    assert_eq!(serde_json::json!([elf["text"], elf["data"], elf["bss"]]), Value::from(sizes));
    assert_eq!(elf["entry"], 0x4038_0000);
    assert_eq!(found["micropython"]["version"], "v1.99.0-7");

    let whole = fs::read(&path).unwrap();
    for length in (5..whole.len()).step_by(411) {
        let found = describe(&&whole[..length]).unwrap();
        assert!(matches!(found.content, Kind::Elf { .. }), "{length}");
        assert_ne!(found.problems, [""; 0], "{length}");
    }
}

#[test]
fn this_program_is_an_elf_file_of_this_machine() {
    let own = env!("CARGO_BIN_EXE_micropython-builder");
    let output = mpb(["inspect", "--json", own]);
    assert!(output.status.success(), "{}", stderr(&output));
    let elf = &json(&output)["files"][0]["elf"];
    assert_eq!(elf["bits"], usize::BITS);
    assert!(elf["text"].as_u64().unwrap() > 100_000);
}

#[test]
fn what_is_unknown_is_said_to_be() {
    let directory = TempDir::new().unwrap();
    for (name, content) in
        [("notes.mpy", &b"My notes"[..]), ("firmware.uf2", b""), ("a.bin", b"\xe9\x03")]
    {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        let output = mpb(["inspect".as_ref(), path.as_os_str()]);
        assert_eq!(output.status.code(), Some(3), "{name}");
        assert!(stdout(&output).contains(": unknown, "), "{}", stdout(&output));
    }
    let log = b"\nMicroPython v1.25.0 on 2025-04-15; A board with a chip\n>>> ";
    let found = describe(&&log[..]).unwrap();
    assert!(matches!(found.content, Kind::Unknown { .. }));
}

#[test]
fn a_raw_binary_that_holds_micropython_is_recognised() {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&0x2002_0000_u32.to_le_bytes());
    bytes.extend_from_slice(&0x0802_0101_u32.to_le_bytes());
    bytes.resize(5000, 0);
    bytes.extend_from_slice(b"MicroPython v1.25.0 on 2025-04-15; A board with a chip\r\n\0");
    let found = describe(&bytes.as_slice()).unwrap();
    let Kind::Raw { vectors: Some(vectors) } = found.content else { panic!("{found:?}") };
    assert_eq!(vectors.reset, 0x0802_0101);
    assert_eq!(found.micropython.unwrap().version, "v1.25.0");
    assert_eq!(found.problems, [""; 0]);
}

#[test]
fn many_files_are_described_and_the_bad_ones_told() {
    let directory = TempDir::new().unwrap();
    let good = directory.path().join("good");
    fs::write(&good, b"M\x06\x00\x1f\x00\x00\x00").unwrap();
    let odd = directory.path().join(std::ffi::OsStr::from_bytes(b"o\xffd d"));
    fs::write(&odd, b"M\x06\x00\x1f\x00").unwrap();
    let missing = directory.path().join("missing");
    let output = mpb([
        "inspect".as_ref(),
        good.as_os_str(),
        missing.as_os_str(),
        odd.as_os_str(),
        directory.path().as_os_str(),
    ]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(stdout(&output).matches("bytecode, ").count(), 2);
    let told = stderr(&output);
    for part in
        ["no such file or directory", "cut off or damaged", "is a directory, expected a file"]
    {
        assert!(told.contains(part), "{told}");
    }
    let output =
        mpb(["--json".as_ref(), "inspect".as_ref(), good.as_os_str(), missing.as_os_str()]);
    let answer = json(&output);
    assert_eq!(answer["schema"], 1);
    assert_eq!(answer["files"].as_array().unwrap().len(), 2);
    assert!(answer["files"][1]["error"].as_str().unwrap().contains("no such file"));
}

/// Files of every kind, as far as the tools to make them are there.
fn samples(directory: &Path) -> Vec<Vec<u8>> {
    let csv = b"nvs,data,nvs,0x9000,0x6000,\nfactory,app,factory,0x10000,0x1F0000,encrypted\n";
    let table = micropython_builder::image::partition::Table::parse(csv, &Default::default());
    let table = table.unwrap().to_binary(true).unwrap();
    let mut uf2 = Vec::new();
    uf2::write(&Rng(2).bytes(700).as_slice(), 0xe48b_ff56, 0x1000_0000, &mut uf2).unwrap();
    let mut samples = vec![csv.to_vec(), table.clone(), uf2];
    if let Some((_, mpy_cross)) = mpy_cross() {
        for arch in [Some("x64"), None] {
            samples.push(fs::read(compile(&mpy_cross, directory, arch)).unwrap());
        }
    }
    if common::require("riscv64-unknown-elf-gcc")
        && let Some(python) = common::python(&["esptool"])
    {
        let elf = inputs::elf(directory);
        let application = fs::read(inputs::esp_image(&python, "esp32c3", &elf)).unwrap();
        let bootloader = fs::read(inputs::bootloader(&python, "esp32c3", directory)).unwrap();
        let mut flash = bootloader.clone();
        flash.resize(0x2000, 0xff);
        flash.extend_from_slice(&table);
        flash.resize(0xa000, 0xff);
        // The application begins where the table says, seen from a flash that begins at 0x6000.
        flash.extend_from_slice(&application);
        let found = describe(&flash.as_slice()).unwrap();
        let Kind::FlashImage { flash: read } = &found.content else { panic!("{found:?}") };
        assert_eq!((read.offset, read.offset_known), (0x6000, true));
        samples.extend([fs::read(elf).unwrap(), application, bootloader, flash]);
    }
    samples
}

#[test]
fn damaged_files_of_every_kind_are_described_without_a_fault() {
    let directory = TempDir::new().unwrap();
    let mut rng = Rng(20);
    let mut sound = 0;
    for sample in samples(directory.path()) {
        let rounds = if sample.len() > 20_000 { 400 } else { 4000 };
        for _ in 0..rounds {
            let damaged = rng.damage(&sample);
            let Description { size, problems, .. } = describe(&damaged.as_slice()).unwrap();
            assert_eq!(size, damaged.len() as u64);
            sound += usize::from(problems.is_empty());
        }
    }
    // Some damage is to bytes that nothing depends on, and some makes another valid file.
    assert!(sound > 0);
}
