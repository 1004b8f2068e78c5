//! What a component's files, manifest and lock are: the component manager's own code is the oracle.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/oracle.rs"]
mod oracle;

use std::fs;
use std::path::{Path, PathBuf};

use micropython_builder::component::condition::Situation;
use micropython_builder::component::files::Defaults;
use micropython_builder::component::glob::FinalStars;
use micropython_builder::component::manifest::{Manifest, project_hash};
use micropython_builder::component::{Lock, component_hash};
use oracle::{Dice, ask};
use serde_json::{Value, json};

const NAMES: [&str; 26] = [
    "a",
    "b",
    "c.c",
    "x.h",
    "src",
    "docs",
    "build",
    "build_x",
    "dist",
    ".git",
    ".github",
    "x.pyc",
    "__pycache__",
    "sdkconfig",
    "sdkconfig.old",
    ".DS_Store",
    "with space",
    "ümlaut",
    "日本",
    "[x]",
    "a-b",
    "tab\there",
    "quote\"d",
    "back\\slash",
    ".component_hash",
    "CHECKSUMS.json",
];

const PATTERNS: [&str; 24] = [
    "**/*",
    "*",
    "src/**/*",
    "**/src/**/*",
    "docs",
    "docs/",
    "docs/**/*.c",
    "**/*.h",
    "**/x.?",
    "**/[a-c]*",
    "**/[!a-c]*",
    "**/[[]x]",
    "./src//a",
    "build/**/*",
    "**/a",
    "*/a",
    "**/**/b",
    "**/*.pyc",
    "../a",
    "**/.component_hash",
    "**/with space",
    "**/ü*",
    "a*b",
    "nothing",
];

const IGNORES: [&str; 16] = [
    "*.c",
    "!x.h",
    "/src",
    "docs/",
    "build*",
    "# remark",
    "",
    "a",
    "!a",
    "**/b",
    "src/**",
    "*.py[co]",
    "with\\ space",
    "日本",
    "[ab]",
    "/docs/a",
];

/// A directory tree with whatever the dice say.
fn tree(dice: &mut Dice, root: &Path, depth: usize, gitignore: bool) {
    fs::create_dir_all(root).unwrap();
    for _ in 0..1 + dice.roll(6) {
        let path = root.join(dice.one(&NAMES));
        if path.exists() {
            continue;
        }
        if depth > 0 && dice.roll(2) == 0 {
            tree(dice, &path, depth - 1, gitignore);
        } else {
            fs::write(&path, format!("{}", dice.roll(1000))).unwrap();
        }
    }
    if gitignore && dice.roll(3) == 0 {
        fs::write(root.join(".gitignore"), dice.some(&IGNORES, 5).join("\n")).unwrap();
    }
}

const HASHES: &str = r#"
import json, sys
from idf_component_tools.hash_tools.calculate import hash_dir
from idf_component_tools.manager import ManifestManager
answers = []
for root in json.load(sys.stdin):
    manifest = ManifestManager(root, 'test').load()
    gitignore, include, exclude = manifest.use_gitignore, manifest.include_set, manifest.exclude_set
    kept = exclude | {'**/.component_hash', '**/CHECKSUMS.json'}
    answers.append([
        hash_dir(root, gitignore, include, kept, exclude_default=False),
        hash_dir(root, gitignore, include, exclude),
    ])
print(json.dumps({'answers': answers, 'python': list(sys.version_info[:2])}))
"#;

#[test]
fn generated_trees_have_the_managers_hash() {
    let Some(python) = common::python(&["idf_component_tools"]) else { return };
    if !common::require("git") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut dice = Dice(0x5eed);
    let roots: Vec<PathBuf> = (0..120)
        .map(|number| {
            let root = directory.path().join(format!("t{number}"));
            let gitignore = number % 3 == 0;
            tree(&mut dice, &root, 3, gitignore);
            let mut unique = |most| {
                let mut patterns = dice.some(&PATTERNS, most);
                patterns.sort_by_key(|it| it.to_lowercase());
                patterns.dedup_by_key(|it| it.to_lowercase());
                patterns
            };
            let (mut include, exclude) = (unique(2), unique(3));
            include.retain(|it| !it.starts_with(".."));
            let mut files = json!({"include": include, "exclude": exclude});
            if gitignore {
                files["use_gitignore"] = json!(true);
            }
            fs::write(root.join("idf_component.yml"), json!({ "files": files }).to_string())
                .unwrap();
            if number % 4 == 0 {
                std::os::unix::fs::symlink("idf_component.yml", root.join("link")).unwrap();
                std::os::unix::fs::symlink(".", root.join("loop")).unwrap();
            }
            root
        })
        .collect();
    let answer = ask(&python, HASHES, &json!(roots));
    let stars = final_stars(&answer["python"]);
    let mut distinct = std::collections::BTreeSet::new();
    for (root, expected) in roots.iter().zip(answer["answers"].as_array().unwrap()) {
        for (defaults, expected) in
            [Defaults::Kept, Defaults::LeftOut].into_iter().zip(expected.as_array().unwrap())
        {
            let hash = component_hash(root, defaults, stars).unwrap().to_string();
            let manifest = fs::read_to_string(root.join("idf_component.yml")).unwrap();
            assert_eq!(
                hash,
                expected.as_str().unwrap(),
                "{} {defaults:?} {manifest}",
                root.display()
            );
            distinct.insert(hash);
        }
    }
    assert!(distinct.len() > 150, "the trees are too much alike: {}", distinct.len());
}

fn final_stars(python: &Value) -> FinalStars {
    if python[1].as_u64().unwrap() >= 13 { FinalStars::Everything } else { FinalStars::Directories }
}

#[test]
fn a_final_double_star_means_what_the_python_says() {
    let Some(python) = common::python(&["idf_component_tools"]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("t");
    fs::create_dir_all(root.join("docs/deep")).unwrap();
    for file in ["a", "docs/b", "docs/deep/c"] {
        fs::write(root.join(file), file).unwrap();
    }
    fs::write(root.join("idf_component.yml"), "files: {exclude: ['docs/**']}").unwrap();
    let answer = ask(&python, HASHES, &json!([root]));
    let hash = component_hash(&root, Defaults::Kept, final_stars(&answer["python"])).unwrap();
    assert_eq!(json!(hash), answer["answers"][0][0]);
}

#[test]
fn names_that_are_not_utf_8_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let directory = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"\xff");
    if fs::write(directory.path().join(name), "x").is_err() {
        return;
    }
    let error =
        component_hash(directory.path(), Defaults::Kept, FinalStars::default()).unwrap_err();
    assert!(error.message().contains("is not UTF-8"), "{error}");
}

const MANIFESTS: &str = r#"
import json, os, sys, tempfile
from idf_component_tools.manager import ManifestManager
from idf_component_tools.utils import ProjectRequirements
answers = []
for text in json.load(sys.stdin):
    with tempfile.TemporaryDirectory() as d:
        with open(os.path.join(d, 'idf_component.yml'), 'w', encoding='utf-8') as f:
            f.write(text)
        try:
            m = ManifestManager(d, 'main')
            if not m.is_valid:
                answers.append(None)
                continue
            r = ProjectRequirements([m.load()])
            answers.append([r.manifest_hash, r.direct_dep_names, {x.name: x.version_spec for x in m.load().requirements}])
        except Exception as e:
            answers.append(None)
print(json.dumps(answers))
"#;

#[test]
fn manifests_have_the_managers_hash_and_dependencies() {
    let Some(python) = common::python(&["idf_component_tools"]) else { return };
    let texts = [
        "",
        "# nothing\n",
        "version: \"1.2.3~0\"\ndescription: Größe \"x\"\nurl: https://Example.com\nissues: https://example.com/a?b\n",
        "dependencies:\n  idf: \">=5.0\"\n  mdns: \"~1.1.0\"\n",
        "dependencies:\n  a/bb:\n    version: \"^1.0\"\n    rules:\n      - if: \"target in [esp32s2, esp32s3]\"\n      - if: idf_version >=5.3\n        version: \"~1.2.0\"\n",
        "dependencies:\n  a/bb:\n    matches:\n      - if: target == esp32\n        version: \"1.0.0\"\n      - if: target == esp32s3\n        version: \"2.0.0\"\n    version: \"3.0.0\"\n",
        "dependencies:\n  a/bb:\n    matches:\n      - if: target == esp32\n  a/cc:\n    rules:\n      - if: target == esp32\n",
        "dependencies:\n  tinyusb:\n    git: https://example.com/x.git\n    version: branch/name\n    path: sub\n",
        "dependencies:\n  xx/yy:\n    require: public\n    service_url: https://example.com/api\n    version: '*'\n    pre_release: true\n",
        "dependencies:\n  xx/yy:\n    version: null\n    public: true\n",
        "files:\n  exclude: [b, a]\n  use_gitignore: true\n  include: []\ntargets: [esp32]\ntags: [abc]\nunknown: 1\n",
        "repository: https://example.com/a.git\nrepository_info: {path: p, commit_sha: abcdefabcdefabcdefabcdefabcdefabcdefabcd}\n",
        "examples:\n  - path: ./x\n  - path: ../y\n",
        "maintainers:\n  - Jane <jane@example.com>\nlicense: MIT\n",
        // What the manager refuses.
        "version: 1.10\n",
        "version: 1.0\n",
        "- a\n",
        "dependencies: [a]\n",
        "dependencies:\n  a/bb: 1.0\n",
        "dependencies:\n  a__b: '1.0.0'\n",
        "dependencies:\n  a/bb:\n    nonsense: 1\n",
        "dependencies:\n  a/bb: '>=1.0, <2.0'\n",
        "dependencies:\n  a/bb:\n    rules:\n      - if: target =\n",
        "dependencies:\n  a/bb:\n    rules:\n      - version: '1'\n",
        "dependencies:\n  a/bb:\n    public: true\n    require: public\n",
        "dependencies:\n  a/bb:\n    require: maybe\n",
        "a: [\n",
        "dependencies:\n  a/bb: '1'\n  a/bb: '2'\n",
    ];
    let answers = ask(&python, MANIFESTS, &json!(texts));
    let situation =
        Situation { target: "esp32s3".to_owned(), idf_version: "5.5.1".parse().unwrap() };
    let mut refused = 0;
    for (text, expected) in texts.iter().zip(answers.as_array().unwrap()) {
        let manifest = match Manifest::parse(text.as_bytes(), "manifest") {
            Ok(manifest) => manifest,
            Err(error) => {
                assert!(expected.is_null(), "{text}\n{error}");
                refused += 1;
                continue;
            }
        };
        assert!(!expected.is_null(), "the manager refuses\n{text}");
        assert_eq!(json!(project_hash([("main", &manifest)])), expected[0], "{text}");
        let mut needed = serde_json::Map::new();
        for dependency in &manifest.dependencies {
            if let Some(version) = dependency.version_in(&situation).unwrap() {
                needed.insert(dependency.name.clone(), json!(version));
            }
        }
        assert_eq!(Value::Object(needed.clone()), expected[2], "{text}");
        let mut names: Vec<&String> = needed.keys().collect();
        names.sort();
        assert_eq!(json!(names), expected[1], "{text}");
    }
    assert!(refused > 10);
}

const LOCKS: &str = r#"
import json, os, sys, tempfile
from idf_component_tools.lock import LockManager
q = json.load(sys.stdin)
answers = []
for text in q:
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, 'dependencies.lock')
        with open(path, 'w') as f: f.write(text)
        manager = LockManager(path)
        solution = manager.load()
        changed = manager.dump(solution)
        answers.append([changed, {c.name: str(c.version) for c in solution.dependencies}])
print(json.dumps(answers))
"#;

#[test]
fn the_manager_reads_our_locks_and_leaves_them_alone() {
    let Some(python) = common::python(&["idf_component_tools"]) else { return };
    let hash = "0123456789abcdef".repeat(4);
    let text = format!(
        "dependencies:\n  idf:\n    source: {{type: idf}}\n    version: 5.5.1\n  mdns:\n    component_hash: {hash}\n    \
         dependencies:\n    - {{name: idf, require: private, version: '>=5.0'}}\n    - name: a/bb\n      \
         registry_url: https://components.espressif.com\n      require: public\n      rules:\n      - if: target in [esp32s3]\n      \
         version: '*'\n    source: {{type: service, registry_url: https://components.espressif.com/}}\n    \
         targets: [esp32, esp32s3]\n    version: 1.7.6~1\n  xx/tinyusb:\n    component_hash: {hash}\n    \
         source: {{type: git, git: 'https://example.com/x.git', path: .}}\n    version: '{}'\n\
         direct_dependencies: [espressif/mdns, idf, xx/tinyusb]\nmanifest_hash: {hash}\ntarget: esp32s3\nversion: 2.0.0\n",
        "0123456789".repeat(4)
    );
    let lock = Lock::parse(text.as_bytes(), "lock").unwrap();
    let written = lock.to_text().unwrap();
    let answers = ask(&python, LOCKS, &json!([written]));
    assert_eq!(answers[0][0], json!(false), "the manager would write it differently:\n{written}");
    assert_eq!(
        answers[0][1],
        json!({"idf": "5.5.1", "espressif/mdns": "1.7.6~1", "xx/tinyusb": "0123456789".repeat(4)})
    );
}
