//! A component registry on loopback, with components made up for the tests.

use std::collections::VecDeque;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use micropython_builder::component::files::Defaults;
use micropython_builder::component::glob::FinalStars;
use micropython_builder::component::{ComponentHash, component_hash};
use serde_json::{Value, json};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::server::{Reply, Routes, Server};

/// The files of a component: paths and contents.
pub type Files = Vec<(String, Vec<u8>)>;

/// A file that is there: its path, its content, and whether it is executable.
pub type Found = (String, Vec<u8>, bool);

pub struct Registry {
    pub server: Server,
    pub routes: Routes,
    scratch: TempDir,
}

/// A version of a component in the registry.
pub struct Entry {
    pub name: String,
    pub version: String,
    pub hash: ComponentHash,
    pub url: String,
}

impl Registry {
    pub fn new() -> Registry {
        let routes: Routes = Arc::new(Mutex::default());
        let server = Server::routes(Arc::clone(&routes));
        Registry { server, routes, scratch: tempfile::tempdir().unwrap() }
    }

    pub fn url(&self) -> String {
        self.server.url("")
    }

    /// Answers a path with these replies, the last one again and again.
    pub fn answer(&self, path: &str, replies: Vec<Reply>) {
        self.routes.lock().unwrap().insert(path.to_owned(), VecDeque::from(replies));
    }

    /// Writes files to a directory of its own and returns it.
    pub fn plant(&self, files: &Files) -> PathBuf {
        let root = tempfile::tempdir_in(self.scratch.path()).unwrap().keep();
        for (path, content) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    /// Puts a version into the index of a component and serves its archive: a zip under the names
    /// of today, or a tar under those of old.
    pub fn publish(
        &self,
        name: &str,
        version: &str,
        files: &Files,
        old: bool,
        more: Value,
    ) -> Entry {
        let root = self.plant(files);
        let hash = component_hash(&root, Defaults::Kept, FinalStars::default()).unwrap();
        let short = name.replace('/', "__");
        let url = if old {
            format!("objects/{}.tgz", hash.to_string().get(..12).unwrap())
        } else {
            format!("components/{name}/{version}/{short}-v{}.zip", version.replace('~', "_"))
        };
        let archive = if old { tgz(files, "./") } else { zip(files) };
        self.answer(&format!("/{url}"), vec![Reply::Served { body: archive, tag: "\"1\"" }]);
        let mut release = json!({
            "version": version, "component_hash": hash, "url": url, "dependencies": [], "targets": null,
            "yanked_at": null, "yanked_message": null, "created_at": "2024-01-01T00:00:00Z",
            "checksums": format!("{url}.json"), "docs": {}, "license": null, "examples": [],
            "build_metadata_keys": ["version-type:string"],
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            release[key] = value.clone();
        }
        let checksums = json!({
            "version": "1.0", "algorithm": "sha256", "created_at": "2024-01-01",
            "files": files.iter().map(|(path, content)| {
                use micropython_builder::pins::Hasher;
                let mut hasher = Hasher::default();
                hasher.update(content);
                json!({"path": path, "size": content.len(), "hash": hasher.finish().to_hex()})
            }).collect::<Vec<_>>(),
        });
        self.answer(&format!("/{url}.json"), vec![Reply::Whole(checksums.to_string().into())]);
        self.list(name, release);
        Entry { name: name.to_owned(), version: version.to_owned(), hash, url: format!("/{url}") }
    }

    /// Adds a version to the index of a component.
    pub fn list(&self, name: &str, release: Value) {
        let path = format!("/components/{name}.json");
        let mut routes = self.routes.lock().unwrap();
        let mut index = match routes.get(&path).and_then(|replies| replies.front()) {
            Some(Reply::Whole(text)) => serde_json::from_slice(text).unwrap(),
            _ => {
                let (namespace, name) = name.split_once('/').unwrap();
                json!({"namespace": namespace, "name": name, "featured": false, "versions": []})
            }
        };
        index["versions"].as_array_mut().unwrap().push(release);
        routes.insert(path, VecDeque::from([Reply::Whole(index.to_string().into())]));
    }
}

/// Files of a component: a manifest, sources, names with spaces and beyond ASCII, a script, and
/// `bulk` bytes that cannot be compressed. Another `tag` makes other files.
pub fn files(tag: &str, bulk: usize) -> Files {
    let mut noise = 1u32;
    let noise = std::iter::repeat_with(move || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    });
    [
        ("idf_component.yml", format!("description: made up as {tag}\n").into_bytes()),
        ("CMakeLists.txt", b"idf_component_register(SRCS \"src/a.c\")\n".to_vec()),
        ("src/a.c", format!("char a[] = \"{tag}\";\n").into_bytes()),
        ("src/with space/\u{fc}.h", b"#pragma once\n".to_vec()),
        ("tools/gen.sh", b"#!/bin/sh\necho gen\n".to_vec()),
        ("bulk", noise.take(bulk).collect()),
    ]
    .map(|(path, content)| (path.to_owned(), content))
    .to_vec()
}

pub fn zip(files: &Files) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (index, (path, content)) in files.iter().enumerate() {
        // The modes of archives are whatever the packer's were.
        let mode = if index % 2 == 0 { 0o777 } else { 0o600 };
        writer.start_file(path, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub fn tgz(files: &Files, top: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o640);
        header.set_mtime(1_700_000_000);
        archive.append_data(&mut header, format!("{top}{path}"), content.as_slice()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

/// A lock file of these components of a registry.
pub fn lock(entries: &[&Entry], registry: &str) -> String {
    let mut text = "dependencies:\n".to_owned();
    for entry in entries {
        text.push_str(&format!(
            "  {}:\n    component_hash: {}\n    source: {{type: service, registry_url: '{registry}'}}\n    version: {}\n",
            entry.name, entry.hash, entry.version
        ));
    }
    text + "  idf: {source: {type: idf}, version: 5.5.1}\ntarget: esp32c3\nversion: 2.0.0\n"
}

/// The paths below a directory with their contents and whether they are executable.
pub fn contents(root: &Path) -> Vec<Found> {
    use std::os::unix::fs::PermissionsExt;
    let mut found: Vec<_> = walkdir::WalkDir::new(root)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| {
            let path = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let mode = entry.metadata().unwrap().permissions().mode();
            (path, fs::read(entry.path()).unwrap(), mode & 0o111 != 0)
        })
        .collect();
    found.sort();
    found
}

// Each test program uses some of these.
const _: fn(&Entry) -> String = |entry| entry.url.clone();
const _: fn(&[&Entry], &str) -> String = lock;
const _: fn(&Files, &str) -> Vec<u8> = tgz;
const _: fn(&Files) -> Vec<u8> = zip;
const _: fn(&Path) -> Vec<Found> = contents;
