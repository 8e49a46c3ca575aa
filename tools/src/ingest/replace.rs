//! Putting a new shelf in the place of the old one: written beside it, verified, renamed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use shared::retrieval::shelf::{self, Entry, Header, Shelf};

use crate::Outcome;

/// What a run that was killed has left is certainly nobody's after this time.
const STALE: Duration = Duration::from_hours(1);

/// Writes the shelf beside `path`, reads it back, and renames it. Readers see the old book or
/// the new one, whenever this is killed.
pub(super) fn shelf(path: &Path, header: &Header, entries: &[Entry]) -> Outcome {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let failed = |err: &std::io::Error| format!("{}: {err}", path.display());
    fs::create_dir_all(folder).map_err(|err| failed(&err))?;
    clear(folder, path);
    let draft = draft(path);
    let outcome = verified(&draft, header, entries).and_then(|()| {
        fs::rename(&draft, path).map_err(|err| failed(&err))?;
        // A renamed file is safe only once its folder is on the disk too.
        let synced = File::open(folder).and_then(|it| it.sync_all());
        synced.map_err(|err| failed(&err).into())
    });
    if outcome.is_err() {
        // It may never have come to be; the first error is the one to report.
        fs::remove_file(&draft).ok();
    }
    outcome
}

fn verified(draft: &Path, header: &Header, entries: &[Entry]) -> Outcome {
    shelf::write(draft, header, entries)?;
    let written =
        Shelf::read(draft).map_err(|err| format!("{}: {err}", draft.display()))?;
    let is_whole = written.len() == entries.len()
        && written.header() == header
        && written.verify_vectors().is_ok();
    if is_whole {
        return Ok(());
    }
    Err(format!("{}: the disk gave back another book than it was given", draft.display())
        .into())
}

/// `book.shelf.4711.tmp`, of this process.
fn draft(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// Removes the drafts of runs that are not running any more.
fn clear(folder: &Path, path: &Path) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let file = entry.file_name();
        let process = file
            .to_str()
            .and_then(|it| {
                it.strip_prefix(&*name)?.strip_prefix('.')?.strip_suffix(".tmp")
            })
            .and_then(|it| it.split('.').next()?.parse::<u32>().ok());
        let Some(process) = process else { continue };
        let age = entry.metadata().and_then(|it| it.modified()).ok();
        let age = age.and_then(|it| it.elapsed().ok()).unwrap_or_default();
        let has_ended =
            cfg!(target_os = "linux") && !Path::new(&format!("/proc/{process}")).exists();
        if process != std::process::id() && (has_ended || age > STALE) {
            // Somebody else may have been quicker.
            fs::remove_file(entry.path()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_drafts_of_processes_that_have_ended_are_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book.shelf");
        let own = draft(&path);
        // No process has so high a number.
        let gone = ["book.shelf.4194399.tmp", "book.shelf.4194399.tmp.4194399.tmp"];
        let kept = [
            "book.shelf",
            "book.shelf.vectors",
            "book.shelf.notes.tmp",
            "other.shelf.4194399.tmp",
        ];
        for name in gone.iter().chain(&kept) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::write(&own, "").unwrap();
        clear(folder.path(), &path);
        assert!(own.exists());
        let is_there = |it: &&str| folder.path().join(*it).exists();
        assert!(kept.iter().all(is_there));
        assert_eq!(gone.iter().any(is_there), !cfg!(target_os = "linux"));
    }
}
