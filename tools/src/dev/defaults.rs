//! The settings that nobody has to make for `lectern dev`.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use shared::config::Env;
use uuid::Uuid;

use crate::Outcome;

/// Fills in what is unset. Secrets are made once and kept in `data`, so that tokens outlive a
/// restart.
pub(super) fn fill(
    env: Env,
    data: &Path,
    address: &str,
    title: Option<&str>,
) -> Outcome<Env> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(data).map_err(|err| {
        format!("{} cannot be made: {err}; choose another --data", data.display())
    })?;
    let data = data.canonicalize()?;
    let shelf = data.join("book.shelf");
    let fallback = format!("file:{}", data.join("fallback").display());
    let env = match title {
        Some(title) => env.or("BOOK_TITLE", title),
        None => env,
    };
    Ok(env
        .or("ALLOW_GUESTS", "1")
        .or("ALLOWED_ORIGINS", "*")
        .or("BOOK_BASE_URL", &format!("{address}/book/"))
        .or("BOOK_SHELF", &shelf.to_string_lossy())
        .or("FALLBACK_STORAGE", &fallback)
        .or("INTERNAL_API_KEY", &secret(&data.join("internal-api-key"))?)
        .or("JWT_SECRET_KEY", &secret(&data.join("jwt-secret"))?))
}

/// The secret in `file`, made on first use: 244 random bits. When two processes make it at the
/// same moment, one of them wins and the other takes its secret.
fn secret(file: &Path) -> Outcome<String> {
    if let Some(kept) = kept(file) {
        return Ok(kept);
    }
    let made = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let half = file.with_extension(Uuid::new_v4().simple().to_string());
    let secret = put(&made, &half, file);
    fs::remove_file(&half).ok();
    secret.map_err(|err| {
        format!("{} cannot be made: {err}; choose another --data", file.display()).into()
    })
}

fn put(made: &str, half: &Path, file: &Path) -> io::Result<String> {
    let mut options = fs::OpenOptions::new();
    let mut out = options.write(true).create_new(true).mode(0o600).open(half)?;
    out.write_all(made.as_bytes())?;
    if fs::hard_link(half, file).is_err() {
        if let Some(theirs) = kept(file) {
            return Ok(theirs);
        }
        // What is there was cut off, or this file system knows no links.
        fs::rename(half, file)?;
    }
    Ok(made.to_owned())
}

fn kept(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    (text.trim().len() >= 64).then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_made_once_also_by_many_and_is_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        let made: Vec<_> = std::thread::scope(|scope| {
            let all: Vec<_> =
                (0..8).map(|_| scope.spawn(|| secret(&file).unwrap())).collect();
            all.into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert!(made.iter().all(|it| *it == made[0]));
        assert_eq!(fs::read_to_string(&file).unwrap(), made[0]);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_secret_that_was_cut_off_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        fs::write(&file, "short").unwrap();
        assert_eq!(secret(&file).unwrap().len(), 64);
    }
}
