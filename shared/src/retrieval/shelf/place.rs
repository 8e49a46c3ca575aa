//! Where the shelf lies, and the newest version of it.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use super::Shelf;
use crate::{Error, Result, config::Env};

/// The file's name when `BOOK_SHELF` names none.
const NAME: &str = "book.shelf";

/// A place for a shelf. The file is opened on first use, and again when another one was
/// renamed over it, so that a running server serves the new book without a restart.
pub struct Place {
    /// Tried in this order.
    candidates: Vec<PathBuf>,
    open: Mutex<Option<(Stamp, Arc<Shelf>)>>,
}

/// Tells one file from the next under the same name.
#[derive(Clone, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
}

impl Place {
    /// `BOOK_SHELF`, or `book.shelf`. A relative path is looked for in the working
    /// directory, in `LAMBDA_TASK_ROOT`, beside the executable and in `/opt` (a Lambda
    /// layer), in this order.
    pub fn from_env(env: &Env) -> Self {
        let path = Path::new(env.get("BOOK_SHELF").unwrap_or(NAME));
        let executable = std::env::current_exe().ok();
        let folders = [
            Some(Path::new("")),
            env.get("LAMBDA_TASK_ROOT").map(Path::new),
            executable.as_deref().and_then(Path::parent),
            Some(Path::new("/opt")),
        ];
        // Joining an absolute path to a folder gives that path.
        let mut candidates: Vec<_> =
            folders.into_iter().flatten().map(|folder| folder.join(path)).collect();
        candidates.dedup();
        Self { candidates, open: Mutex::default() }
    }

    /// One path and no other.
    pub fn at(path: &Path) -> Self {
        Self { candidates: vec![path.to_owned()], open: Mutex::default() }
    }

    /// Whether there is a file at all.
    pub fn exists(&self) -> bool {
        self.stamp().is_some()
    }

    /// The shelf as it lies there now. If the file vanished or the new one is unreadable, an
    /// older one that is still open goes on serving; else `Misconfigured`.
    pub fn current(&self) -> Result<Arc<Shelf>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.stamp();
        if let Some((opened, serving)) = &*open
            && stamp.as_ref().is_none_or(|stamp| stamp == opened)
        {
            return Ok(serving.clone());
        }
        let Some(stamp) = stamp else {
            tracing::error!(setting = "BOOK_SHELF", "there is no shelf: ingest a book");
            return Err(Error::Misconfigured("BOOK_SHELF"));
        };
        match (Shelf::open(&stamp.path), &mut *open) {
            (Ok(newest), open) => {
                let newest = Arc::new(newest);
                *open = Some((stamp, newest.clone()));
                Ok(newest)
            }
            // Remember the bad file, so that it is not verified for every question.
            (Err(_), Some((opened, serving))) => {
                *opened = stamp;
                Ok(serving.clone())
            }
            (Err(err), None) => Err(err),
        }
    }

    fn stamp(&self) -> Option<Stamp> {
        self.candidates.iter().find_map(|path| {
            let file = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
            let modified = file.modified().ok();
            Some(Stamp {
                path: path.clone(),
                inode: file.ino(),
                length: file.len(),
                modified,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_path_is_the_only_candidate() {
        let place = Place::from_env(&Env::from([("BOOK_SHELF", "/nowhere/a.shelf")]));
        assert_eq!(place.candidates, [Path::new("/nowhere/a.shelf")]);
        assert!(!place.exists());
        assert!(matches!(place.current(), Err(Error::Misconfigured("BOOK_SHELF"))));
    }

    #[test]
    fn a_relative_path_is_looked_for_in_the_documented_order() {
        let env = Env::from([("LAMBDA_TASK_ROOT", "/var/task")]);
        let candidates = Place::from_env(&env).candidates;
        assert_eq!(candidates[0], Path::new("book.shelf"));
        assert_eq!(candidates[1], Path::new("/var/task/book.shelf"));
        assert_eq!(candidates.last().unwrap(), Path::new("/opt/book.shelf"));
    }
}
