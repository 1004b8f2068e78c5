//! Where pages are walked through: a clone, a home, and what stands in for the network and for boards.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use micropython_builder::source::{self, Sha256Hash, nar_hash};
use serde_json::Value;
use tempfile::TempDir;

use super::block::{Block, Kind, blocks};
use super::said::difference;
use crate::common::command::succeed;
use crate::common::micropython;
use crate::server::{Reply, Routes, Server};
use crate::{archives, device};

/// The release that the pages speak of. The suite's MicroPython stands in for it.
const RELEASE: &str = "v1.28.0";

/// Longer than any command of the pages takes on a busy machine, in seconds.
const LIMIT: &str = "600";

/// What it would compile is the program under test.
const CARGO: &str = "\
#!/bin/sh
case $* in
'build --release '*) mkdir -p target/release && ln -sf \"$(command -v micropython-builder)\" target/release/ ;;
'install --locked --path .') ;;
*) echo \"cargo $*: nothing stands in for that\" >&2; exit 1 ;;
esac
";

/// A clone of the repository to type commands in, and a home.
pub struct Place {
    directory: TempDir,
    release: &'static StandIn,
    cache: PathBuf,
    /// Where programs are looked for first.
    path: Vec<PathBuf>,
    /// Whether nothing else is on PATH.
    path_ends: bool,
    environment: Vec<(OsString, OsString)>,
    /// What a page says, and what is there instead.
    instead: Vec<(String, String)>,
    /// Boards on the desk.
    devices: Vec<device::Device>,
}

impl Place {
    /// None where there is no MicroPython, as with `common::micropython`.
    pub fn new() -> Option<Place> {
        let release = StandIn::get()?;
        let directory = tempfile::tempdir().unwrap();
        let place = Place {
            path: vec![directory.path().join("bin")],
            path_ends: false,
            directory,
            release,
            cache: release.cache.clone(),
            environment: Vec::new(),
            instead: Vec::new(),
            devices: Vec::new(),
        };
        for name in ["home", "bin"] {
            fs::create_dir(place.directory.path().join(name)).unwrap();
        }
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("nix/testing/checkout");
        succeed(Command::new(checkout).arg(place.clone()));
        let program = Path::new(env!("CARGO_BIN_EXE_micropython-builder"));
        symlink(program, place.path[0].join("micropython-builder")).unwrap();
        place.executable("cargo", CARGO);
        place.executable("rustc", "#!/bin/sh\necho rustc 9.0.0\n");
        Some(place)
    }

    pub fn clone(&self) -> PathBuf {
        self.directory.path().join("clone")
    }

    pub fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// The tree that stands in for the release.
    pub fn tree(&self) -> &Path {
        &self.release.tree
    }

    /// Nothing was fetched yet.
    pub fn empty_cache(&mut self) {
        self.cache = self.home().join(".cache/micropython-builder");
    }

    /// A program that is found first.
    fn executable(&self, name: &str, text: &str) {
        let path = self.path[0].join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    /// Programs are looked for here as well.
    pub fn on_path(&mut self, directory: PathBuf) {
        self.path.push(directory);
    }

    /// Programs are found here and nowhere else.
    pub fn only_path(&mut self, directory: PathBuf) {
        self.path.push(directory);
        self.path_ends = true;
    }

    /// Types a command that a reader has typed before.
    pub fn type_before(&self, command: &str) {
        let (code, printed) = self.type_in(command);
        assert_eq!(code, Some(0), "{command}\n{printed}");
    }

    pub fn environment(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.environment.push((name.into(), value.as_ref().to_owned()));
    }

    /// In place of what a page says, something else is typed, and shown as the page says it.
    pub fn instead(&mut self, of: &str, typed: impl Into<String>) {
        self.instead.push((of.to_owned(), typed.into()));
    }

    /// A board at this port.
    pub fn plug_in(&mut self, port: &str, setup: device::Setup) {
        let device = setup.start();
        self.instead(port, device.port().to_str().unwrap());
        self.devices.push(device);
    }

    /// Types what a page says to type, block after block, and fails with everything that is not as it says.
    pub fn walk(&self, page: &str) {
        let faults: Vec<String> =
            blocks(page).iter().filter_map(|block| self.go_through(block)).collect();
        assert!(faults.is_empty(), "\n{}", faults.join("\n\n"));
    }

    /// The first thing of a block that is not as the page says.
    fn go_through(&self, block: &Block) -> Option<String> {
        if block.kind == Kind::Other || block.marks.not_run.is_some() {
            return None;
        }
        let exchanges = block.exchanges();
        for (number, exchange) in exchanges.iter().enumerate() {
            let (code, printed) = self.type_in(&exchange.command);
            let last = number + 1 == exchanges.len();
            let expected = if last { block.marks.exit_code } else { 0 };
            if code != Some(expected) {
                return Some(format!(
                    "{}: exit code {code:?}, not {expected}, of\n{}\n{printed}",
                    block.place, exchange.command
                ));
            }
            let vary = block.marks.numbers_vary;
            if let Some(difference) = difference(&exchange.printed, &printed, vary) {
                return Some(format!("{}: {}\n{difference}", block.place, exchange.command));
            }
        }
        None
    }

    /// How a command ends, and what stands on the terminal then.
    fn type_in(&self, command: &str) -> (Option<i32>, String) {
        let (mut terminal, into) = std::io::pipe().unwrap();
        let others = std::env::var_os("PATH").filter(|_| !self.path_ends).unwrap_or_default();
        let path = self.path.iter().cloned().chain(std::env::split_paths(&others));
        let mut child = Command::new("timeout")
            .args([LIMIT, "bash", "-euo", "pipefail", "-c", &self.as_typed(command)])
            .current_dir(self.clone())
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("HOME", self.home())
            .env("MICROPYTHON_BUILDER_PINS", &self.release.pins)
            .env("MICROPYTHON_BUILDER_CACHE", &self.cache)
            .env_remove("MICROPYTHON")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(into.try_clone().unwrap())
            .stderr(into)
            .spawn()
            .unwrap();
        let mut printed = Vec::new();
        // Ends when the last process that may still write does: the command itself is done with its arguments.
        terminal.read_to_end(&mut printed).unwrap();
        let status = child.wait().unwrap();
        (status.code(), self.as_shown(&String::from_utf8(printed).unwrap()))
    }

    fn as_typed(&self, command: &str) -> String {
        let replace = |text: String, (of, typed): &(String, String)| text.replace(of, typed);
        self.instead.iter().fold(command.to_owned(), replace)
    }

    /// What was printed, as it would be where nothing is stood in for.
    fn as_shown(&self, printed: &str) -> String {
        let instead = self.instead.iter().map(|(of, typed)| (typed.as_str(), of.as_str()));
        let replaced = instead
            .chain([(self.cache.to_str().unwrap(), "/home/me/.cache/micropython-builder")])
            .chain([(self.home().to_str().unwrap(), "/home/me")])
            .fold(printed.to_owned(), |text, (typed, of)| text.replace(typed, of));
        self.release.as_release(&replaced)
    }
}

/// Pins a directory in place of a source, and serves it. Returns the hash that was pinned, and its own.
fn replace(pin: &mut Value, directory: &Path, replies: &Routes) -> (Sha256Hash, Sha256Hash) {
    let text = |key: &str| pin[key].as_str().unwrap().to_owned();
    let (owner, repo, commit) = (text("owner"), text("repo"), text("commit"));
    let pinned = text("nar").parse().unwrap();
    let nar = nar_hash(directory).unwrap();
    pin["nar"] = nar.to_sri().into();
    let reply = Reply::Whole(archives::of_tree(directory, &commit));
    replies.lock().unwrap().insert(format!("/{owner}/{repo}/{commit}.tar.gz"), [reply].into());
    (pinned, nar)
}

/// A micropython-lib whose packages are empty: those that boards of the pages require.
fn library(place: &Path) -> PathBuf {
    let library = place.join("micropython-lib");
    let unittest = library.join("python-stdlib/unittest");
    fs::create_dir_all(&unittest).unwrap();
    fs::write(unittest.join("unittest.py"), "").unwrap();
    fs::write(unittest.join("manifest.py"), "module('unittest.py')\n").unwrap();
    fs::write(library.join("README.md"), "It is there.\n").unwrap();
    library
}

/// The suite's MicroPython, served on loopback under the name of the release, with pins that fit it.
struct StandIn {
    tree: PathBuf,
    pins: PathBuf,
    cache: PathBuf,
    /// How it and the release are called, and their hashes.
    names: Vec<(String, String)>,
    _server: Server,
}

impl StandIn {
    /// One for all pages.
    fn get() -> Option<&'static StandIn> {
        static STAND_IN: OnceLock<Option<StandIn>> = OnceLock::new();
        STAND_IN.get_or_init(|| micropython().map(|tree| StandIn::of(&tree))).as_ref()
    }

    fn of(tree: &Path) -> StandIn {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
        let (pins, cache) = (place.join("pins"), place.join("cache"));
        fs::create_dir_all(&pins).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let pinned = fs::read(root.join("nix/pins/micropython.json")).unwrap();
        let mut all: Value = serde_json::from_slice(&pinned).unwrap();
        let release = &mut all["releases"][RELEASE];
        let replies = Routes::default();
        let (pinned, nar) = replace(release, tree, &replies);
        replace(&mut release["submodules"]["lib/micropython-lib"], &library(&place), &replies);
        let server = Server::routes(replies);
        all["archives"] = vec![server.url("{owner}/{repo}/{commit}.tar.gz")].into();
        fs::write(pins.join("micropython.json"), all.to_string()).unwrap();
        let number = source::version(tree).unwrap().number();
        let names = vec![
            (nar.to_sri(), pinned.to_sri()),
            // In names of directories.
            (nar.to_hex()[..16].to_owned(), pinned.to_hex()[..16].to_owned()),
            (number, RELEASE.trim_start_matches('v').to_owned()),
        ];
        StandIn { tree: tree.to_owned(), pins, cache, names, _server: server }
    }

    /// A text about it, as one about the release.
    fn as_release(&self, text: &str) -> String {
        let replace = |text: String, (of, is): &(String, String)| text.replace(of, is);
        self.names.iter().fold(text.to_owned(), replace)
    }
}
