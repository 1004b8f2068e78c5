//! Partition tables, against ESP-IDF's gen_esp32part.py and an independent reader.
//!
//! No package carries gen_esp32part.py. `fixtures/gen_esp32part.txt` holds the SHA-256 of what it made
//! of generated tables; with `MPB_ESP_IDF` naming an ESP-IDF tree it is asked again, and with
//! `MPB_WRITE_FIXTURES=1` too, that file is written anew.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
mod inputs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::command::{stderr, stdout};
use inputs::{Rng, json, mpb, tool};
use micropython_builder::image::partition::{Options, Partition, SecureBoot, Table};
use ring::digest::{SHA256, digest};
use tempfile::TempDir;

const CASES: usize = 400;

/// A table as text, and what its meaning depends on.
struct Case {
    csv: Vec<u8>,
    options: Options,
}

const TYPES: &[&str] = &[
    "app",
    "data",
    "APP",
    "Data",
    "0",
    "1",
    "0x40",
    "64",
    "bootloader",
    "partition_table",
    "ap",
    "",
];
const APP_SUBTYPES: &[&str] = &[
    "factory", "test", "ota_0", "ota_1", "ota_15", "OTA_2", "0x10", "0x41", "tee_0", "", "ota_16",
];
const DATA_SUBTYPES: &[&str] = &[
    "nvs",
    "phy",
    "fat",
    "spiffs",
    "littlefs",
    "nvs_keys",
    "efuse",
    "undefined",
    "",
    "ota",
    "coredump",
    "tee_ota",
    "esphttpd",
    "0x99",
    "NVS",
    "nsv",
];
const SIZES: &[&str] = &[
    "24K",
    "1M",
    "0x6000",
    "64k",
    "0x1F0000",
    "2M",
    "1_048_576",
    "0x3000",
    "0x2000",
    "8K",
    "0x1000",
    "-0x100000",
    "-2M",
    "12K",
    "0x1001",
    "5",
    "",
    "010",
    "1.5M",
    "0x20_00",
    "-4K",
    "+4K",
    "4 K",
    "1kk",
    "0",
    "0xffffffff",
    "0x100000000",
];
const OFFSETS: &[&str] =
    &["0x9000", "0x10000", "0x110000", "0x200000", "0x9001", "36K", "0x18000", "0x8000", "-1"];
const FLAGS: &[&str] = &[
    "",
    "",
    "encrypted",
    "readonly",
    "encrypted:readonly",
    "readonly:encrypted",
    "enc",
    ":",
    "encrypted: readonly",
];
const NAMES: &[&str] = &[
    "nvs",
    "otadata",
    "phy_init",
    "factory",
    "ota_0",
    "ota_1",
    "vfs",
    "test",
    "data",
    "sixteen-bytes-ok",
    "éééééééé",
    "",
    "a b",
    "app",
    "romfs",
    "n1",
    "n2",
    "n3",
    "n4",
    "n5",
];

impl Case {
    /// The case with a number: mostly sound, with mistakes in between.
    fn new(number: usize) -> Case {
        let mut rng = Rng(number as u64);
        let care = *rng.pick(&[&80, &97, &100, &100, &100]);
        // The first of a list are the sound ones.
        fn choose<'a>(rng: &mut Rng, care: u64, from: &[&'a str], sound: usize) -> &'a str {
            let limit = if rng.chance(care) { sound } else { from.len() };
            from[rng.below(limit)]
        }
        let mut rows = Vec::new();
        for index in 0..=rng.below(8) {
            let kind = choose(&mut rng, care, TYPES, 8);
            let subtype = match kind {
                "bootloader" | "partition_table" => {
                    *rng.pick(&[&"primary", &"ota", &"recovery", &""])
                }
                "app" | "APP" | "0" => choose(&mut rng, care, APP_SUBTYPES, 8),
                "data" | "Data" | "1" => choose(&mut rng, care, DATA_SUBTYPES, 9),
                _ => *rng.pick(&[&"7", &"0x99", &""]),
            };
            let offset = if rng.chance(85) { "" } else { rng.pick(OFFSETS) };
            let size = choose(&mut rng, care, SIZES, 8);
            let flags = choose(&mut rng, care, FLAGS, 6);
            let name = NAMES[(index * 7 + number) % NAMES.len()];
            let name = if rng.chance(care) { name } else { "nvs" };
            let mut row = vec![name, kind, subtype, offset, size, flags];
            match rng.below(20) {
                0 if care < 100 => row.truncate(1 + rng.below(5)),
                1 => row.push("# a seventh column"),
                _ => {}
            }
            rows.push(row.join(rng.pick(&[",", ", ", " ,\t"])));
            if rng.chance(20) {
                rows.push((*rng.pick(&[&"# comment", &"", &"  ", &"\t#a,b"])).to_owned());
            }
        }
        let end = rng.pick(&["\n", "\n", "\r\n", "\r", "\u{b}", "\u{2028}"]);
        let text = rows.join(end) + rng.pick(&["", "\n"]);
        let csv = match rng.below(12) {
            0 => text.encode_utf16().flat_map(u16::to_le_bytes).fold(vec![0xff, 0xfe], push),
            1 => text.bytes().fold(vec![0xef, 0xbb, 0xbf], push),
            _ => text.into_bytes(),
        };
        Case { csv, options: options(&mut rng) }
    }

    /// What is made of it: binary and text again.
    fn convert(&self) -> Option<(Vec<u8>, String)> {
        let table = Table::parse(&self.csv, &self.options).ok()?;
        table.verify(&self.options).ok()?;
        Some((table.to_binary(self.options.md5).ok()?, table.to_csv()))
    }

    fn digest(&self) -> String {
        self.convert().map_or("refused".to_owned(), |(binary, csv)| {
            let made = [binary, csv.into_bytes()].concat();
            inputs::hex(digest(&SHA256, &made).as_ref())[..16].to_owned()
        })
    }
}

fn push(mut bytes: Vec<u8>, byte: u8) -> Vec<u8> {
    bytes.push(byte);
    bytes
}

fn options(rng: &mut Rng) -> Options {
    Options {
        table_offset: *rng.pick(&[&0x8000, &0x8000, &0x8000, &0xc000, &0x7000]),
        md5: rng.chance(85),
        secure_boot: *rng.pick(&[
            &None,
            &None,
            &None,
            &Some(SecureBoot::V1),
            &Some(SecureBoot::V2),
        ]),
        primary_bootloader_offset: *rng.pick(&[&None, &Some(0), &Some(0x1000), &Some(0x2000)]),
        recovery_bootloader_offset: *rng.pick(&[&None, &Some(0x3f_0000)]),
        flash_size: *rng.pick(&[&None, &Some(4 << 20), &Some(16 << 20)]),
        extra_subtypes: Vec::new(),
    }
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gen_esp32part.txt")
}

/// Asks gen_esp32part.py of an ESP-IDF tree for all cases at once.
const ORACLE: &str = r#"
import contextlib, hashlib, io, json, os, sys
sys.path.insert(0, os.path.join(sys.argv[1], "components", "partition_table"))
import gen_esp32part as tool

def digest(case):
    tool.quiet, tool.md5sum, tool.secure = True, case["md5"], case["secure"]
    tool.offset_part_table = case["offset"]
    tool.primary_bootloader_offset = primary = case["primary"]
    tool.recovery_bootloader_offset = case["recovery"]
    if primary is not None and primary >= case["offset"]:
        return "refused"
    try:
        table, _ = tool.PartitionTable.from_file(io.BytesIO(bytes.fromhex(case["csv"])))
        table.verify()
        if case["flash"]:
            table.verify_size_fits(case["flash"])
        made = table.to_binary() + table.to_csv().encode()
    except Exception:
        return "refused"
    return hashlib.sha256(made).hexdigest()[:16]

with contextlib.redirect_stderr(io.StringIO()):
    digests = [digest(case) for case in json.load(open(sys.argv[2]))]
print("\n".join(digests))
"#;

fn ask_oracle(idf: &Path) -> Vec<String> {
    let cases: Vec<serde_json::Value> = (0..CASES)
        .map(|number| {
            let Case { csv, options } = Case::new(number);
            serde_json::json!({
                "csv": inputs::hex(&csv),
                "md5": options.md5,
                "secure": options.secure_boot.map(|version| match version {
                    SecureBoot::V1 => "v1",
                    SecureBoot::V2 => "v2",
                }),
                "offset": options.table_offset,
                "primary": options.primary_bootloader_offset,
                "recovery": options.recovery_bootloader_offset,
                "flash": options.flash_size,
            })
        })
        .collect();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("cases.json");
    fs::write(&file, serde_json::to_vec(&cases).unwrap()).unwrap();
    let answer = tool(Command::new("python3").args(["-c", ORACLE]).args([idf, &file]));
    answer.lines().map(str::to_owned).collect()
}

#[test]
fn tables_are_what_gen_esp32part_makes() {
    let expected: Vec<String> = match std::env::var_os("MPB_ESP_IDF") {
        Some(idf) => {
            let answer = ask_oracle(Path::new(&idf));
            if std::env::var_os("MPB_WRITE_FIXTURES").is_some() {
                fs::write(fixture(), answer.join("\n") + "\n").unwrap();
            }
            eprintln!("asked gen_esp32part.py of {}", Path::new(&idf).display());
            answer
        }
        None => fs::read_to_string(fixture()).unwrap().lines().map(str::to_owned).collect(),
    };
    assert_eq!(expected.len(), CASES);
    let accepted = expected.iter().filter(|digest| *digest != "refused").count();
    assert!((CASES / 4..CASES * 3 / 4).contains(&accepted), "{accepted}");
    for (number, expected) in expected.iter().enumerate() {
        let case = Case::new(number);
        let csv = String::from_utf8_lossy(&case.csv);
        assert_eq!(&case.digest(), expected, "case {number}: {:?}\n{csv}", case.options);
    }
}

#[test]
fn another_reader_reads_what_is_written() {
    let mut read = 0;
    for number in 0..CASES {
        let case = Case::new(number);
        let Some((binary, csv)) = case.convert() else { continue };
        let table = Table::parse(&binary, &case.options).unwrap();
        let again = Table::parse(
            csv.as_bytes(),
            &Options { primary_bootloader_offset: Some(0), ..case.options.clone() },
        );
        // A bootloader's size is not in the text but follows from where it lies.
        if !csv.contains("bootloader") {
            assert_eq!(again.unwrap(), table, "{csv}");
        }
        // That reader panics at subtypes that it does not know, and wants an application and an MD5.
        let known = |partition: &Partition| match (partition.kind, partition.subtype) {
            (0, subtype) => matches!(subtype, 0 | 0x10..=0x20),
            (1, subtype) => matches!(subtype, 0..=6 | 0x80..=0x83),
            _ => false,
        };
        if !table.partitions.iter().all(known) {
            continue;
        }
        let Ok(theirs) = esp_idf_part::PartitionTable::try_from_bytes(binary) else { continue };
        read += 1;
        assert_eq!(theirs.partitions().len(), table.partitions.len());
        for (theirs, ours) in theirs.partitions().iter().zip(&table.partitions) {
            assert_eq!(theirs.name(), ours.name);
            assert_eq!((theirs.offset(), theirs.size()), (ours.offset, ours.size));
            assert_eq!(u8::from(theirs.ty()), ours.kind);
            let encrypted = theirs.flags().contains(esp_idf_part::Flags::ENCRYPTED);
            assert_eq!(encrypted, ours.encrypted);
        }
    }
    assert!(read > 20, "{read}");
}

/// Runs `image table` on a text and returns its exit code and message.
fn table(csv: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("table");
    fs::write(&path, csv).unwrap();
    let output = mpb(["image", "table", path.to_str().unwrap()]
        .into_iter()
        .chain(arguments.iter().copied()));
    (output.status.code(), stderr(&output))
}

#[test]
fn mistakes_are_told_with_what_mends_them() {
    let sound = "nvs,data,nvs,0x9000,0x6000,\nfactory,app,factory,0x10000,0x1F0000,\n";
    assert_eq!(table(sound, &["--flash-size", "4MB"]), (Some(0), String::new()));
    let cases: &[(&str, &[&str], &str)] = &[
        ("", &[], "the partition table has no partitions"),
        ("# nvs,data,nvs,0x9000,0x6000\n", &[], "the partition table has no partitions"),
        ("nvs,data,nvs,0x8000,0x6000", &[], "line 1: the partition \"nvs\" starts at 0x8000"),
        (
            "a,data,nvs,0x9000,0x6000\nb,data,fat,0xa000,4K",
            &[],
            "line 2: the partition \"b\" starts at 0xa000",
        ),
        ("f,app,factory,0x18000,1M", &[], "move it to 0x20000"),
        ("f,app,factory,0x10000,0x1001", &[], "expected a multiple of 0x1000"),
        (
            "f,app,factory,0x10000,0x1000",
            &["--secure-boot", "v1"],
            "expected a multiple of 0x10000",
        ),
        ("f,app,factory,0x10000,4M", &["--flash-size", "4MB"], "65536 bytes too many"),
        ("a-name-of-17-byte,data,nvs,,24K", &[], "has 17 bytes, at most 16 fit"),
        ("a,data,fat,,4K\na,data,phy,,4K", &[], "two partitions are named \"a\""),
        ("n,data,nsv,,24K", &[], "did you mean nvs?"),
        ("n,dta,nvs,,24K", &[], "did you mean data?"),
        ("n,app,factory,,24K,encryptd", &[], "the flag \"encryptd\" is unknown"),
        ("n,data,nvs,,", &[], "the size is missing"),
        ("n,data,nvs,,1.5M", &[], "the size \"1.5M\" is no number"),
        ("n,data,nvs,,8K", &[], "at least 0x3000 are needed"),
        ("o,data,ota,,0x1000", &[], "expected 0x2000"),
        ("b,bootloader,primary,,", &[], "--primary-bootloader-offset"),
        ("n,data,$SUBTYPE,,24K", &[], "the environment variable $SUBTYPE"),
        ("n,data,300,,24K", &[], "the subtype is 300, expected 0 to 255"),
        ("n,data,fat,,0x100000000", &[], "the size is 0x100000000"),
        ("n,0x40,fat,,4K", &[], "as a number from 0 to 0xfe"),
    ];
    for (csv, arguments, message) in cases {
        let (code, told) = table(csv, arguments);
        assert_eq!(code, Some(3), "{csv}: {told}");
        assert!(told.contains(message), "{csv}: {told}");
    }
    let (code, told) = table("my_app,app,mine,0x10000,1M", &["--extra-subtype", "app, mine, 0x41"]);
    assert_eq!((code, told.as_str()), (Some(0), ""));
    assert_eq!(table(sound, &["--extra-subtype", "app,mine,0x10"]).0, Some(2));
    let many = (0..95).fold(String::new(), |text, row| text + &format!("n{row},data,fat,,4K\n"));
    assert!(table(&many, &["--out", "/dev/null/x"]).1.contains("95 partitions, at most 94 fit"));
}

#[test]
fn a_table_is_converted_there_and_back() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).into_os_string().into_string().unwrap();
    fs::write(path("a.csv"), "nvs,data,nvs,,24K\nfactory,app,factory,,1M,encrypted\n").unwrap();
    let convert = |from: &str, to: &str| {
        let output = mpb(["image", "table", &path(from), "--out", &path(to)]);
        assert!(output.status.success(), "{}", stderr(&output));
    };
    convert("a.csv", "a.bin");
    convert("a.bin", "b.csv");
    convert("b.csv", "b.bin");
    assert_eq!(fs::read(path("a.bin")).unwrap(), fs::read(path("b.bin")).unwrap());
    let printed = mpb(["image", "table", "--to", "csv", &path("a.bin")]);
    assert_eq!(stdout(&printed), fs::read_to_string(path("b.csv")).unwrap());
    let answer = json(&mpb(["image", "table", "--json", &path("a.bin")]));
    assert_eq!((&answer["schema"], &answer["form"]), (&1.into(), &"binary".into()));
    assert_eq!(answer["partitions"][1]["subtype"], "factory");
    assert_eq!(answer["end"], 0x11_0000);

    let mut damaged = fs::read(path("a.bin")).unwrap();
    damaged[5] ^= 0x10;
    fs::write(path("a.bin"), &damaged).unwrap();
    let output = mpb(["image", "table", &path("a.bin"), "--out", &path("c.csv")]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("the MD5 is"), "{}", stderr(&output));
    assert!(!Path::new(&path("c.csv")).exists());
    let output = mpb(["inspect", "--json", &path("a.bin")]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(json(&output)["files"][0]["table"]["md5"], "wrong");
    assert_eq!(mpb(["image", "table", "--to", "binary", &path("a.csv")]).status.code(), Some(2));
}

#[test]
fn damaged_tables_are_refused_or_mean_what_they_say() {
    let mut rng = Rng(1);
    for number in 0..CASES {
        let case = Case::new(number);
        let binary = case.convert().map(|(binary, _)| binary[..224].to_vec()).unwrap_or_default();
        for _ in 0..10 {
            for sample in [&case.csv, &binary] {
                let Ok(table) = Table::parse(&rng.damage(sample), &case.options) else { continue };
                if table.verify(&case.options).is_err() {
                    continue;
                }
                let Ok(binary) = table.to_binary(true) else { continue };
                assert_eq!(Table::from_binary(&binary, true).unwrap(), table);
            }
        }
    }
}
