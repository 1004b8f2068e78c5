//! `vendor` of 20 components with 200 MB together, from a mirror on this disk, beside what bounds it:
//! unpacking the same archives and reading all files twice, once for each hash.
//!
//! Also prints how much memory the command took at most, for 20 MB and for 200 MB: it must not grow
//! with the components.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[allow(dead_code)]
mod figures;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use figures::{Figure, Section, pairs, seconds};
use micropython_builder::component::component_hash;
use micropython_builder::component::files::Defaults;
use micropython_builder::component::glob::FinalStars;
use micropython_builder::source::{Layout, Limits, nar_hash, unpack};
use serde_json::json;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const COMPONENTS: usize = 20;
const FILES: usize = 100;

struct World {
    directory: TempDir,
    archives: Vec<PathBuf>,
}

impl World {
    /// Components of `bytes` each, in a mirror that is a directory, and a lock of all of them.
    fn new(bytes: usize) -> World {
        let directory = tempfile::tempdir().unwrap();
        let mirror = directory.path().join("mirror");
        let index = mirror.join("components/bench");
        fs::create_dir_all(&index).unwrap();
        let mut lock = "version: 2.0.0\ndependencies:\n".to_owned();
        let mut archives = Vec::new();
        let mut noise = 1u64;
        for number in 0..COMPONENTS {
            let tree = directory.path().join("tree");
            let archive = mirror.join(format!("part{number:02}.zip"));
            let mut writer = ZipWriter::new(fs::File::create(&archive).unwrap());
            for file in 0..FILES {
                let path = format!("d{}/f{file}.c", file % 10);
                let mut content = Vec::with_capacity(bytes / FILES);
                while content.len() < bytes / FILES {
                    noise ^= noise << 13;
                    noise ^= noise >> 7;
                    noise ^= noise << 17;
                    // About as compressible as sources are.
                    content.extend_from_slice(&(noise & 0x0f0f_0f0f_0f0f_0f0f).to_le_bytes());
                }
                let target = tree.join(&path);
                fs::create_dir_all(target.parent().unwrap()).unwrap();
                fs::write(target, &content).unwrap();
                writer.start_file(path, SimpleFileOptions::default()).unwrap();
                writer.write_all(&content).unwrap();
            }
            writer.finish().unwrap();
            let hash = component_hash(&tree, Defaults::Kept, FinalStars::default()).unwrap();
            fs::remove_dir_all(&tree).unwrap();
            let release = json!({"version": "1.0.0", "component_hash": hash, "url": format!("part{number:02}.zip")});
            let document = json!({"versions": [release]}).to_string();
            fs::write(index.join(format!("part{number:02}.json")), document).unwrap();
            lock.push_str(&format!(
                "  bench/part{number:02}: {{component_hash: {hash}, source: {{type: service}}, version: 1.0.0}}\n"
            ));
            archives.push(archive);
        }
        fs::write(directory.path().join("lock"), lock).unwrap();
        World { directory, archives }
    }

    fn out(&self) -> PathBuf {
        let out = self.directory.path().join("out");
        if out.exists() {
            fs::remove_dir_all(&out).unwrap();
        }
        out
    }

    fn vendor(&self, out: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_micropython-builder"));
        let mirror = self.directory.path().join("mirror");
        command.env("IDF_COMPONENT_STORAGE_URL", format!("file://{}", mirror.display()));
        command.args(["--quiet", "vendor", "--lock"]).arg(self.directory.path().join("lock"));
        command.arg("--out").arg(out).stdout(Stdio::null());
        command
    }

    /// What cannot be done without, one after the other on one processor.
    fn bound(&self, out: &Path) {
        for archive in &self.archives {
            let into = out.join(archive.file_stem().unwrap());
            fs::create_dir_all(&into).unwrap();
            unpack(archive, &into, Layout::Flat, Limits::default()).unwrap();
            component_hash(&into, Defaults::Kept, FinalStars::default()).unwrap();
        }
        nar_hash(out).unwrap();
    }
}

/// The most memory that the command had at a time, in KiB, as the kernel counts it.
fn peak(mut command: Command) -> u64 {
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let found = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(found.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    peak
}

fn compare(world: &World) {
    let section = Section("Vendoring components");
    section.about(
        "Components of a mirror on this disk, so that no network is measured. The peer is no program but what \
         cannot be done without: unpacking the same archives and reading all files once for each of the two \
         hashes, one after the other on one processor. Components are done several at once, but the NAR hash of \
         the whole directory comes after them and is one hash; it would be faster if that were put together while \
         components arrive, in the order of their names.",
    );
    let figure = |what, ours| Figure {
        what,
        ours,
        peer: "unpacking the archives, hashing the files twice",
        unit: "s",
    };
    let vendor = |out: &Path| assert!(world.vendor(out).status().unwrap().success());
    let bound = || seconds(|| world.bound(&world.out()));
    let first = pairs(5, || seconds(|| vendor(&world.out())), bound);
    let command = "`micropython-builder vendor --lock … --out …`";
    section.figure(&figure("20 components, 200 MB", command), &first);
    let out = world.out();
    vendor(&out);
    let again: Vec<_> = first.iter().map(|pair| (seconds(|| vendor(&out)), pair.1)).collect();
    section.figure(&figure("the same again, all there", command), &again);
}

fn vendoring(criterion: &mut Criterion) {
    for bytes in [1_000_000, 10_000_000] {
        let world = World::new(bytes);
        let peak = peak(world.vendor(&world.out()));
        println!(
            "{COMPONENTS} components, {} MB together: at most {peak} KiB of memory",
            COMPONENTS * bytes / 1_000_000
        );
    }
    let world = World::new(10_000_000);
    compare(&world);
    if figures::only() {
        return;
    }
    let mut group = criterion.benchmark_group("200 MB in 20 components");
    group.sample_size(10);
    group.bench_function("vendor", |bencher| {
        bencher.iter(|| assert!(world.vendor(&world.out()).status().unwrap().success()));
    });
    group.bench_function("unpack and read twice", |bencher| {
        bencher.iter(|| world.bound(&world.out()))
    });
    group.bench_function("nothing to do", |bencher| {
        let out = world.out();
        assert!(world.vendor(&out).status().unwrap().success());
        bencher.iter(|| assert!(world.vendor(&out).status().unwrap().success()));
    });
    group.finish();
}

criterion_group!(benches, vendoring);
criterion_main!(benches);
