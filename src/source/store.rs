//! The cache of source trees: each under a name that holds its hash, put in place whole.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::nar::nar_hash;
use crate::cache::{self, Lock};
use crate::error::{Error, Result};
use crate::pins::Sha256Hash;
use crate::report::Report;

/// The directory that holds the trees.
#[derive(Debug, Clone)]
pub(super) struct Store {
    root: PathBuf,
}

impl Store {
    pub(super) fn new(root: PathBuf) -> Self {
        Store { root }
    }

    /// Its directory, which a lock has made.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a file or tree of the store.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The tree of that name, if it is there and still is what its hash says.
    pub(super) fn find(&self, name: &str, nar: Sha256Hash) -> Result<Option<PathBuf>> {
        let path = self.path(name);
        match fs::symlink_metadata(&path) {
            Ok(_) if nar_hash(&path)? == nar => Ok(Some(path)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cache::fault("read", &path, &error)),
        }
    }

    /// Waits until no other run is getting the tree of that name, and removes what a run that was
    /// killed left behind.
    pub(super) fn lock(&self, name: &str, report: &dyn Report) -> Result<Lock> {
        cache::create(&self.root)?;
        let path = self.root.join(format!(".{name}.lock"));
        let lock = Lock::acquire(&path, &format!("another run that gets {name}"), report)?;
        if lock.is_held() {
            self.sweep(name);
        }
        Ok(lock)
    }

    /// A directory to build the tree of that name in.
    pub(super) fn temporary(&self, name: &str) -> Result<TempDir> {
        tempfile::Builder::new()
            .prefix(&temporary_prefix(name))
            .tempdir_in(&self.root)
            .map_err(|error| cache::fault("create a directory in", &self.root, &error))
    }

    /// Puts a directory, whose hash has been compared, in its place.
    pub(super) fn place(
        &self,
        from: &Path,
        name: &str,
        nar: Sha256Hash,
        report: &dyn Report,
    ) -> Result<PathBuf> {
        let path = self.path(name);
        for _ in 0..2 {
            match fs::rename(from, &path) {
                Ok(()) => return Ok(path),
                Err(error) => match self.find(name, nar)? {
                    Some(path) => return Ok(path),
                    None if path.exists() => self.set_aside(&path, report)?,
                    None => return Err(Error::io("create", &path, &error)),
                },
            }
        }
        Err(Error::input(format!("cannot create {}: something keeps changing it", path.display())))
    }

    /// Moves a tree that somebody changed out of the way; it may hold somebody's work.
    fn set_aside(&self, path: &Path, report: &dyn Report) -> Result<()> {
        for number in 1.. {
            let mut name: OsString = path.as_os_str().to_owned();
            name.push(format!(".changed-{number}"));
            let aside = PathBuf::from(name);
            if !aside.exists() {
                fs::rename(path, &aside).map_err(|error| Error::io("move", path, &error))?;
                report.warn(&format!(
                    "{} was changed after it was verified; it is now {}",
                    path.display(),
                    aside.display()
                ));
                break;
            }
        }
        Ok(())
    }

    /// Removes temporary directories of that name. Only for the holder of its lock.
    fn sweep(&self, name: &str) {
        let prefix = temporary_prefix(name);
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                // What cannot be removed costs space, nothing else.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

fn temporary_prefix(name: &str) -> String {
    format!(".{name}.tmp-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Silent;

    fn tree(parent: &Path, content: &str) -> (PathBuf, Sha256Hash) {
        let path = parent.join("new");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("file"), content).unwrap();
        let hash = nar_hash(&path).unwrap();
        (path, hash)
    }

    #[test]
    fn a_changed_tree_is_replaced_and_kept_aside() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().join("sources"));
        let _lock = store.lock("x", &Silent).unwrap();
        let temporary = store.temporary("x").unwrap();
        let (new, hash) = tree(temporary.path(), "content");
        assert_eq!(store.find("x", hash).unwrap(), None);
        let path = store.place(&new, "x", hash, &Silent).unwrap();
        assert_eq!(store.find("x", hash).unwrap(), Some(path.clone()));

        fs::write(path.join("file"), "changed").unwrap();
        assert_eq!(store.find("x", hash).unwrap(), None);
        let (new, _) = tree(temporary.path(), "content");
        store.place(&new, "x", hash, &Silent).unwrap();
        assert_eq!(store.find("x", hash).unwrap(), Some(path));
        let aside = store.path("x.changed-1").join("file");
        assert_eq!(fs::read_to_string(aside).unwrap(), "changed");
    }

    #[test]
    fn a_tree_that_another_run_placed_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().to_owned());
        let (new, hash) = tree(root.path(), "content");
        let path = store.place(&new, "x", hash, &Silent).unwrap();
        let (again, _) = tree(root.path(), "content");
        assert_eq!(store.place(&again, "x", hash, &Silent).unwrap(), path);
        assert!(!store.path("x.changed-1").exists());
    }

    #[test]
    fn what_a_killed_run_left_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().to_owned());
        let left = store.temporary("x").unwrap().keep();
        let other = store.temporary("y").unwrap().keep();
        drop(store.lock("x", &Silent).unwrap());
        assert!(!left.exists() && other.exists());
    }
}
