//! `image assemble`, `split` and `show`, against MicroPython's makeimg.py and esptool.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
mod inputs;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::command::{stderr, stdout};
use inputs::{Rng, json, mpb, tool};
use micropython_builder::image::flash::FlashImage;
use micropython_builder::image::partition::{Options, Table};
use ring::digest::{SHA256, digest};
use tempfile::TempDir;

/// A build directory as ESP-IDF leaves one, with contents of our own.
struct Build {
    directory: TempDir,
    chip: &'static str,
    table_offset: u32,
}

const TABLE: &str = "nvs,data,nvs,,24K\nphy_init,data,phy,,4K\n\
    factory,app,factory,,0x20000\nvfs,data,fat,,1M\n";

impl Build {
    fn new(chip: &'static str, bootloader_offset: u32, table_offset: u32) -> Build {
        let build = Build { directory: TempDir::new().unwrap(), chip, table_offset };
        build.table(TABLE);
        build.write("bootloader/bootloader.bin", &Rng(1).bytes(20_000));
        build.write("micropython.bin", &Rng(2).bytes(70_001));
        build.write(
            "sdkconfig",
            format!(
                "# Automatically generated\nCONFIG_IDF_TARGET_ARCH=\"riscv\"\n\
                CONFIG_IDF_TARGET=\"{chip}\"\nCONFIG_BOOTLOADER_OFFSET_IN_FLASH={bootloader_offset:#x}\n\
                CONFIG_PARTITION_TABLE_OFFSET={table_offset:#x}\n"
            )
            .as_bytes(),
        );
        let part = |offset: String, file: &str| serde_json::json!({"offset": offset, "file": file, "encrypted": "false"});
        let application = (table_offset + 0x8000).next_multiple_of(0x1_0000);
        let arguments = serde_json::json!({
            "write_flash_args": ["--flash_mode", "dio"],
            "flash_settings": {"flash_mode": "dio", "flash_size": "4MB", "flash_freq": "80m"},
            "bootloader": part(format!("{bootloader_offset:#x}"), "bootloader/bootloader.bin"),
            "app": part(format!("{application:#x}"), "micropython.bin"),
            "partition-table": part(format!("{table_offset:#x}"), "partition_table/partition-table.bin"),
            "extra_esptool_args": {"after": "hard_reset", "stub": true, "chip": chip}
        });
        build.write("flasher_args.json", arguments.to_string().as_bytes());
        build
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path(name)).ok()
    }

    fn write(&self, name: &str, data: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = String::from_utf8(self.read(name).unwrap()).unwrap();
        assert!(text.contains(from), "{text}");
        self.write(name, text.replace(from, to).as_bytes());
    }

    fn table(&self, csv: &str) {
        let options = Options { table_offset: self.table_offset, ..Options::default() };
        let table = Table::from_csv(csv, &options).unwrap();
        let binary = table.to_binary(true).unwrap();
        self.write("partition_table/partition-table.bin", &binary);
    }

    fn has_uf2(&self) -> bool {
        matches!(self.chip, "esp32s2" | "esp32s3")
    }

    /// Our own tool, from the build directory to `firmware.bin` in it.
    fn assemble(&self, arguments: &[&str]) -> Output {
        let directory = self.directory.path().as_os_str();
        let mut all = vec!["image".into(), "assemble".into(), directory.to_owned()];
        all.extend(["--out".into(), self.path("firmware.bin").into_os_string()]);
        all.extend(arguments.iter().map(Into::into));
        mpb(all)
    }

    /// Upstream's tool, to `expected.bin`.
    fn makeimg(&self, tree: &Path, idf: &Path) -> Output {
        Command::new("python3")
            .arg(tree.join("ports/esp32/makeimg.py"))
            .args(["sdkconfig", "bootloader/bootloader.bin", "partition_table/partition-table.bin"])
            .args(["micropython.bin", "expected.bin", "expected.uf2"])
            .current_dir(self.directory.path())
            .env("IDF_PATH", idf)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap()
    }
}

/// All that makeimg.py asks of ESP-IDF: the rows of a partition table.
const TABLE_READER: &str = r#"
import struct
APP_TYPE = 0
class Row:
    def __init__(self, data):
        _, self.type, _, self.offset, self.size, name = struct.unpack("<HBBLL16s", data[:28])
        self.name = name.rstrip(b"\0").decode()
class PartitionTable:
    @classmethod
    def from_binary(cls, data):
        rows = [data[at:at + 32] for at in range(0, len(data), 32)]
        return [Row(row) for row in rows if row[:2] == b"\xaa\x50"]
"#;

/// The tree with makeimg.py, and a directory that passes for ESP-IDF.
fn oracle() -> Option<(PathBuf, TempDir)> {
    let tree = common::micropython()?;
    if !common::require("python3") {
        return None;
    }
    let idf = TempDir::new().unwrap();
    let tools = idf.path().join("components/partition_table");
    fs::create_dir_all(&tools).unwrap();
    fs::write(tools.join("gen_esp32part.py"), TABLE_READER).unwrap();
    Some((tree, idf))
}

#[test]
fn images_are_what_makeimg_writes() {
    let Some((tree, idf)) = oracle() else { return };
    for (chip, bootloader_offset, table_offset) in [
        ("esp32", 0x1000, 0x8000),
        ("esp32s2", 0x1000, 0x8000),
        ("esp32s3", 0, 0x8000),
        ("esp32c3", 0, 0xc000),
        ("esp32c5", 0x2000, 0x8000),
        ("esp32p4", 0x2000, 0x10000),
    ] {
        let build = Build::new(chip, bootloader_offset, table_offset);
        let upstream = build.makeimg(&tree, idf.path());
        assert!(upstream.status.success(), "{}", stdout(&upstream));
        let uf2 = build.path("micropython.uf2");
        let arguments = ["--json", "--uf2", uf2.to_str().unwrap()];
        let ours = build.assemble(if build.has_uf2() { &arguments } else { &arguments[..1] });
        assert!(ours.status.success(), "{}", stderr(&ours));
        let image = build.read("firmware.bin").unwrap();
        assert!(build.read("expected.bin").unwrap() == image, "{chip}");
        assert!(build.read("expected.uf2") == build.read("micropython.uf2"), "{chip}");
        let answer = json(&ours);
        assert_eq!((&answer["schema"], &answer["offset"]), (&1.into(), &bootloader_offset.into()));
        assert_eq!(answer["size"], image.len());
        assert_eq!(answer["sha256"], inputs::hex(digest(&SHA256, &image).as_ref()));
        assert_eq!(answer["parts"][2]["size"], 70_001);
        assert_eq!(answer["parts"][2]["limit"], 0x2_0000);
    }
}

#[test]
fn sizes_up_to_the_last_byte_are_taken_and_one_more_is_refused() {
    let Some((tree, idf)) = oracle() else { return };
    let build = Build::new("esp32", 0x1000, 0x8000);
    for (part, size, over) in [
        ("bootloader/bootloader.bin", 0x7000, None),
        ("bootloader/bootloader.bin", 0x7001, Some("is 1 byte too large")),
        ("micropython.bin", 0x2_0000, None),
        ("micropython.bin", 0x2_0003, Some("is 3 bytes too large")),
    ] {
        build.write("bootloader/bootloader.bin", &[1]);
        build.write(part, &Rng(3).bytes(size));
        build.write("firmware.bin", b"the last good one");
        let upstream = build.makeimg(&tree, idf.path());
        let ours = build.assemble(&[]);
        assert_eq!(upstream.status.success(), over.is_none(), "{part} {size}");
        let image = build.read("firmware.bin").unwrap();
        match over {
            None => assert!(build.read("expected.bin").unwrap() == image, "{part} {size}"),
            Some(message) => {
                assert_eq!(ours.status.code(), Some(3));
                assert!(stderr(&ours).contains(message), "{}", stderr(&ours));
                assert_eq!(image, b"the last good one");
            }
        }
    }
}

#[test]
fn the_first_application_partition_is_the_applications() {
    let Some((tree, idf)) = oracle() else { return };
    let build = Build::new("esp32s3", 0, 0x8000);
    build.table("nvs,data,nvs,,24K\nota_1,app,ota_1,0x40000,0x20000\nota_0,app,ota_0,,0x20000\n");
    assert!(build.makeimg(&tree, idf.path()).status.success());
    let ours = build.assemble(&[]);
    assert!(ours.status.success(), "{}", stderr(&ours));
    assert_eq!(build.read("expected.bin"), build.read("firmware.bin"));
    assert!(stderr(&ours).contains("the build itself would flash it at 0x10000"));
}

#[test]
fn a_table_without_nvs_is_no_obstacle() {
    let build = Build::new("esp32c3", 0, 0x8000);
    build.table("factory,app,factory,,0x20000\n");
    let ours = build.assemble(&[]);
    assert!(ours.status.success(), "{}", stderr(&ours));
    assert_eq!(build.read("firmware.bin").unwrap().len(), 0x1_0000 + 70_001);
}

#[test]
fn explicit_parts_need_no_build_directory() {
    let build = Build::new("esp32", 0x1000, 0x8000);
    assert!(build.assemble(&[]).status.success());
    let out = build.path("explicit.bin");
    let run = |offset: &str| {
        mpb([
            "image".as_ref(),
            "assemble".as_ref(),
            "--bootloader".as_ref(),
            build.path("bootloader/bootloader.bin").as_os_str(),
            "--bootloader-offset".as_ref(),
            offset.as_ref(),
            "--partition-table".as_ref(),
            build.path("partition_table/partition-table.bin").as_os_str(),
            "--application".as_ref(),
            build.path("micropython.bin").as_os_str(),
            "-o".as_ref(),
            out.as_os_str(),
        ])
    };
    assert!(run("4K").status.success());
    assert_eq!(build.read("explicit.bin"), build.read("firmware.bin"));
    let output = run("0x8000");
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("not below the partition table"), "{}", stderr(&output));
    assert_eq!(mpb(["image", "assemble", "-o", "x"]).status.code(), Some(2));
}

#[test]
fn a_build_directory_that_contradicts_itself_is_refused() {
    type Spoil = fn(&Build);
    let cases: [(Spoil, &str); 9] = [
        (|build| fs::remove_file(build.path("sdkconfig")).unwrap(), "it has no sdkconfig"),
        (|build| fs::remove_file(build.path("flasher_args.json")).unwrap(), "no flasher_args.json"),
        (|build| build.write("flasher_args.json", b"{}"), "is not what ESP-IDF writes"),
        (|build| build.edit("sdkconfig", "FLASH=0x1000", "FLASH=0x0"), "sdkconfig says 0x0"),
        (|build| build.edit("sdkconfig", "=0x8000", "=lots"), "expected a number"),
        (|build| build.edit("sdkconfig", "\"esp32\"", "\"esp32c3\""), "sdkconfig says esp32c3"),
        (
            |build| build.edit("flasher_args.json", "\"chip\":\"esp32\"", "\"chip\":\"z80\""),
            "\"z80\"",
        ),
        (|build| build.write("micropython.bin", b""), "is empty"),
        (
            |build| build.write("partition_table/partition-table.bin", TABLE.as_bytes()),
            "is no binary partition table",
        ),
    ];
    for (spoil, message) in cases {
        let build = Build::new("esp32", 0x1000, 0x8000);
        spoil(&build);
        let output = build.assemble(&[]);
        assert_eq!(output.status.code(), Some(3), "{message}");
        assert!(stderr(&output).contains(message), "{message}: {}", stderr(&output));
        assert!(stderr(&output).contains("hint") || message == "is empty");
        assert!(build.read("firmware.bin").is_none());
    }
    let build = Build::new("esp32c3", 0, 0x8000);
    let output = build.assemble(&["--uf2", "never.uf2"]);
    assert!(output.status.code() == Some(3) && !Path::new("never.uf2").exists());
}

#[test]
fn nothing_is_left_where_nothing_can_be_written() {
    let build = Build::new("esp32", 0x1000, 0x8000);
    let locked = build.path("locked");
    fs::create_dir(&locked).unwrap();
    let into = |directory: &Path| {
        mpb([
            "image".as_ref(),
            "assemble".as_ref(),
            build.directory.path().as_os_str(),
            "-o".as_ref(),
            directory.join("firmware.bin").as_os_str(),
        ])
    };
    let output = into(&build.path("missing"));
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("no such file or directory"), "{}", stderr(&output));
    fs::create_dir(locked.join("firmware.bin")).unwrap();
    assert!(stderr(&into(&locked)).contains("is a directory"));
    fs::remove_dir(locked.join("firmware.bin")).unwrap();
    assert!(into(&locked).status.success());
    let made = fs::metadata(locked.join("firmware.bin")).unwrap().permissions().mode();
    fs::write(locked.join("plain"), b"").unwrap();
    let plain = fs::metadata(locked.join("plain")).unwrap().permissions().mode();
    assert_eq!(made, plain, "as private as any other file");
    assert_eq!(fs::read_dir(&locked).unwrap().count(), 2);
}

/// A build directory whose parts are real images.
fn real_build(python: &Path) -> Build {
    let build = Build::new("esp32c3", 0, 0x8000);
    let scratch = TempDir::new().unwrap();
    let application = inputs::esp_image(python, "esp32c3", &inputs::elf(scratch.path()));
    fs::copy(application, build.path("micropython.bin")).unwrap();
    let bootloader = inputs::bootloader(python, "esp32c3", scratch.path());
    fs::copy(bootloader, build.path("bootloader/bootloader.bin")).unwrap();
    build
}

fn python_and_compiler() -> Option<PathBuf> {
    let python = common::python(&["esptool"])?;
    common::require("riscv64-unknown-elf-gcc").then_some(python)
}

#[test]
fn an_image_is_split_into_what_it_was_made_of() {
    let Some(python) = python_and_compiler() else { return };
    let build = real_build(&python);
    let output = build.assemble(&[]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    tool(
        Command::new(&python)
            .args(["-m", "esptool", "--chip", "esp32c3", "image_info"])
            .arg(build.path("firmware.bin")),
    );
    let split = |file: &str| {
        mpb([
            "image".as_ref(),
            "split".as_ref(),
            "--json".as_ref(),
            build.path(file).as_os_str(),
            "-o".as_ref(),
            build.path("parts").as_os_str(),
        ])
    };
    let answer = split("firmware.bin");
    assert!(answer.status.success(), "{}", stderr(&answer));
    let parts =
        ["bootloader/bootloader.bin", "partition_table/partition-table.bin", "micropython.bin"];
    for part in parts {
        let name = part.rsplit('/').next().unwrap();
        assert!(build.read(part) == build.read(&format!("parts/{name}")), "{part}");
    }
    assert_eq!(json(&answer)["parts"][2]["role"], "application");

    // What a device's whole flash holds: data after the application, and erased bytes to the end.
    let mut dump = build.read("firmware.bin").unwrap();
    dump.resize(0x3_0000, 0xff);
    dump.extend_from_slice(b"some files");
    dump.resize(4 << 20, 0xff);
    build.write("dump.bin", &dump);
    let answer = split("dump.bin");
    assert_eq!(json(&answer)["parts"][3]["path"], "vfs.bin");
    assert_eq!(build.read("parts/vfs.bin").unwrap(), b"some files");
    assert!(build.read("micropython.bin") == build.read("parts/micropython.bin"));

    let answer = split("micropython.bin");
    assert_eq!(answer.status.code(), Some(3));
    assert!(stderr(&answer).contains("is no flash image"), "{}", stderr(&answer));
}

#[test]
fn where_an_image_starts_in_flash_follows_from_its_contents() {
    let Some(python) = python_and_compiler() else { return };
    let build = real_build(&python);
    assert!(build.assemble(&[]).status.success());
    let image = build.read("firmware.bin").unwrap();
    for erased in [0, 0x1000, 0x2000] {
        // The same parts, seen from an image that begins elsewhere.
        let shifted =
            [vec![0xff; erased], image[..0x6000].to_vec(), image[0x8000..].to_vec()].concat();
        let found = FlashImage::read(&shifted.as_slice()).unwrap().unwrap();
        assert!(found.offset_known);
        assert_eq!(found.offset + erased as u64, 0x2000);
        assert_eq!(found.table_offset, 0x8000);
    }
    let show = |name: &str| {
        mpb(["image".as_ref(), "show".as_ref(), "--json".as_ref(), build.path(name).as_os_str()])
    };
    let answer = json(&show("firmware.bin"));
    assert_eq!((&answer["chip"], &answer["offset"]), (&"esp32c3".into(), &0.into()));
    let regions = answer["regions"].as_array().unwrap();
    let named = |what: &str| {
        regions.iter().find(|region| region["what"].as_str().unwrap().starts_with(what)).unwrap()
    };
    let size = build.read("micropython.bin").unwrap().len();
    assert_eq!(
        (&named("factory")["used"], &named("factory")["free"]),
        (&size.into(), &(0x2_0000 - size).into())
    );
    assert_eq!(named("vfs")["used"], serde_json::Value::Null);
    assert_eq!(show("micropython.bin").status.code(), Some(3));

    build.write("cut.bin", &image[..image.len() - 100]);
    let output = mpb(["inspect".as_ref(), build.path("cut.bin").as_os_str()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("application \"factory\": cut off"), "{}", stderr(&output));
}

#[test]
fn parts_for_different_chips_are_refused() {
    let Some(python) = python_and_compiler() else { return };
    let build = real_build(&python);
    let scratch = TempDir::new().unwrap();
    let other = inputs::bootloader(&python, "esp32c6", scratch.path());
    fs::copy(other, build.path("bootloader/bootloader.bin")).unwrap();
    let output = build.assemble(&[]);
    assert_eq!(output.status.code(), Some(3));
    let message = "the bootloader is for ESP32-C6, the application for ESP32-C3";
    assert!(stderr(&output).contains(message), "{}", stderr(&output));
    assert!(build.read("firmware.bin").is_none());
}
