//! `hash` against `nix hash path`, over trees that hold what trees can hold.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::command::{failed, mpb, succeed};
use common::{micropython, require};
use micropython_builder::source::{Sha256Hash, nar};
use rustix::fs::{CWD, FileType, Mode, OFlags};

/// A small generator of numbers (xorshift64*), so that a failing tree can be made again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| self.next().to_le_bytes())
            .take(count / 8 + 1)
            .flatten()
            .collect();
        bytes.truncate(count);
        bytes
    }

    /// Any bytes but zero and the slash, and sorted by nothing.
    fn name(&mut self) -> OsString {
        const NAMES: [&[u8]; 10] =
            [b"a", b"A", b"a b", b"a.b", b"a-b", b"\xc3\xa4", b"\xff\xfe", b"\n", b"-", b"\x01"];
        if self.below(3) == 0 {
            return OsString::from_vec(self.pick(&NAMES).to_vec());
        }
        let length = 1 + self.below(24);
        let mut name = self.bytes(length);
        name.iter_mut().filter(|byte| matches!(byte, 0 | b'/')).for_each(|byte| *byte = b'x');
        if matches!(name.as_slice(), b"." | b"..") {
            name.push(b'x');
        }
        OsString::from_vec(name)
    }
}

/// Sizes on both sides of the archive's padding and of the buffers of readers.
const SIZES: [usize; 19] = [
    0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 4095, 4096, 65_535, 65_536, 65_537, 131_071, 131_072,
    131_073,
];

const TARGETS: [&[u8]; 5] = [b"a", b"../..", b"/nowhere", b"\xff/\x01", b"."];

/// Only the owner's bit counts: the others are there to mislead.
const MODES: [u32; 8] = [0o644, 0o755, 0o444, 0o500, 0o611, 0o655, 0o700, 0o4744];

fn grow(random: &mut Random, directory: &Path, depth: usize) {
    for _ in 0..random.below(9) {
        let path = directory.join(random.name());
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match random.below(6) {
            0 | 1 if depth > 0 => {
                fs::create_dir(&path).unwrap();
                grow(random, &path, depth - 1);
            }
            0 => fs::create_dir(&path).unwrap(),
            1 => {
                let target = random.pick(&TARGETS);
                symlink(OsString::from_vec(target.to_vec()), &path).unwrap();
            }
            _ => {
                let size = *random.pick(&SIZES);
                fs::write(&path, random.bytes(size)).unwrap();
                let mode = *random.pick(&MODES);
                fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            }
        }
    }
}

fn ours(arguments: &[&Path]) -> Output {
    mpb().arg("hash").args(arguments).output().unwrap()
}

fn our_hash(path: &Path) -> String {
    succeed(mpb().arg("hash").arg(path))
}

fn nix(arguments: &[&str], path: &Path) -> Output {
    let home = tempfile::tempdir().unwrap();
    Command::new("nix")
        .args(["--extra-experimental-features", "nix-command"])
        .args(arguments)
        .arg(path)
        // No daemon and nothing of this machine's store is needed.
        .env("NIX_REMOTE", home.path().join("store"))
        .env("HOME", home.path())
        .output()
        .unwrap()
}

fn nix_hash(path: &Path) -> String {
    let output = nix(&["hash", "path"], path);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn generated_trees_hash_as_nix_hashes_them() {
    if !require("nix") {
        return;
    }
    for seed in 1..=40 {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        fs::create_dir(&root).unwrap();
        grow(&mut Random(seed), &root, 4);
        assert_eq!(our_hash(&root), nix_hash(&root), "seed {seed}");
    }
}

#[test]
fn what_a_path_itself_can_be() {
    if !require("nix") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("file"), "content").unwrap();
    fs::write(at("program"), "content").unwrap();
    fs::set_permissions(at("program"), Permissions::from_mode(0o755)).unwrap();
    fs::write(at("others"), "content").unwrap();
    fs::set_permissions(at("others"), Permissions::from_mode(0o655)).unwrap();
    fs::create_dir(at("empty")).unwrap();
    symlink("empty", at("link")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    for name in ["file", "program", "others", "empty", "empty/", "link", "link/", "dangling"] {
        assert_eq!(our_hash(&at(name)), nix_hash(&at(name)), "{name}");
    }
    assert_eq!(our_hash(&at("file")), our_hash(&at("others")));
    assert_ne!(our_hash(&at("file")), our_hash(&at("program")));
}

#[test]
fn deep_trees_hash_as_nix_hashes_them() {
    if !require("nix") {
        return;
    }
    // Deeper than the number of directories that are kept open, with something on the way back.
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let mut path = root.clone();
    for level in 0..300 {
        fs::create_dir(&path).unwrap();
        fs::write(path.join("z"), level.to_string()).unwrap();
        fs::write(path.join("a"), "").unwrap();
        path.push("d");
    }
    assert_eq!(our_hash(&root), nix_hash(&root));
}

/// Nix cannot follow here: the paths are longer than the system allows, and there are more
/// directories than can be open at once. The archive is simple enough to be put together here.
#[test]
fn paths_may_be_longer_than_the_system_allows() {
    const LEVELS: usize = 3000;
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    fs::create_dir(&root).unwrap();
    nest(&root, LEVELS);
    let found = nar::nar_hash(&root);
    // The standard library keeps every level open while it removes a tree: too many here.
    assert!(Command::new("rm").arg("-r").arg(&root).status().unwrap().success());

    let mut archive = Vec::new();
    let mut put = |words: &[&str]| {
        for word in words {
            archive.extend((word.len() as u64).to_le_bytes());
            archive.extend(word.as_bytes());
            archive.extend(vec![0; word.len().next_multiple_of(8) - word.len()]);
        }
    };
    put(&["nix-archive-1"]);
    for _ in 0..LEVELS {
        put(&["(", "type", "directory", "entry", "(", "name", "d", "node"]);
    }
    put(&["(", "type", "directory", ")"]);
    for _ in 0..LEVELS {
        put(&[")", ")"]);
    }
    let file = directory.path().join("archive");
    fs::write(&file, archive).unwrap();
    assert_eq!(found.unwrap(), Sha256Hash::of_file(&file).unwrap());
}

/// Makes directories below each other, each from within the one above.
fn nest(root: &Path, levels: usize) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut at = rustix::fs::open(root, flags, Mode::empty()).unwrap();
    for _ in 0..levels {
        rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, "d", flags, Mode::empty()).unwrap();
    }
}

#[test]
fn the_archive_itself_is_nixs() {
    if !require("nix-store") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    fs::create_dir(&root).unwrap();
    grow(&mut Random(7), &root, 3);
    let mut archive = Vec::new();
    nar::write(&root, &mut archive).unwrap();
    let dumped = Command::new("nix-store").arg("--dump").arg(&root).output().unwrap();
    assert!(dumped.status.success());
    assert!(archive == dumped.stdout, "the archives differ");
}

#[test]
fn micropythons_tree_hashes_as_nix_hashes_it() {
    let Some(tree) = micropython() else { return };
    if require("nix") {
        assert_eq!(our_hash(&tree), nix_hash(&tree));
    }
}

#[test]
fn notations_agree_with_nixs() {
    if !require("nix") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    for seed in 1..=8 {
        fs::write(&file, Random(seed).bytes(100)).unwrap();
        let hash = Sha256Hash::of_file(&file).unwrap();
        let nix = |form: &str| {
            let output = nix(&["hash", "file", form], &file);
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(hash.to_sri(), nix("--sri"));
        assert_eq!(hash.to_hex(), nix("--base16"));
        assert_eq!(hash.to_base32(), nix("--base32"));
        assert_eq!(nix("--base32").parse::<Sha256Hash>().unwrap(), hash);
    }
}

#[test]
fn several_paths_get_a_line_each() {
    let directory = tempfile::tempdir().unwrap();
    let first = directory.path().join("first");
    let second = directory.path().join(OsString::from_vec(b"sec\xffond".to_vec()));
    fs::write(&first, "1").unwrap();
    fs::write(&second, "2").unwrap();
    let output = ours(&[&first, &second]);
    let mut expected = Vec::new();
    for path in [&first, &second] {
        expected.extend(our_hash(path).trim_end().as_bytes());
        expected.extend(b"  ");
        expected.extend(path.as_os_str().as_bytes());
        expected.push(b'\n');
    }
    assert_eq!(output.stdout, expected);

    let output = ours(&[Path::new("--json"), &first]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["schema"], 1);
    assert_eq!(value["hashes"][0]["sri"], our_hash(&first).trim_end());
}

fn fails(path: &Path, expected: &str) {
    let output = ours(&[path]);
    failed(&output, 3, &[expected]);
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn what_is_no_tree_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("inner/socket");
    fails(&socket, "no such file or directory");
    fs::create_dir(directory.path().join("inner")).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    fails(directory.path(), &format!("{} is a socket, expected a file", socket.display()));
    fs::remove_file(&socket).unwrap();
    rustix::fs::mknodat(CWD, &socket, FileType::Fifo, Mode::RWXU, 0).unwrap();
    fails(directory.path(), "is a named pipe, expected a file");
}

#[test]
fn a_file_that_changes_meanwhile_is_an_error() {
    /// Writes to a file of the tree when the first bytes of its content arrive.
    struct Meddler(PathBuf, u64);
    impl Write for Meddler {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if bytes.len() > 100_000 {
                fs::File::options().write(true).open(&self.0)?.set_len(self.1)?;
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    for (size, expected) in [(150_000, "it became shorter"), (350_000, "it was written to")] {
        fs::write(&file, vec![0; 300_000]).unwrap();
        let error = nar::write(directory.path(), &mut Meddler(file.clone(), size)).unwrap_err();
        assert!(error.message().ends_with(expected), "{error}");
    }
}
