//! The settings that nobody has to make for `lectern dev`.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use shared::config::Env;
use uuid::Uuid;

use crate::Outcome;

/// Fills in what is unset. Secrets are made once and kept in `data`, so that tokens outlive a
/// restart.
pub(super) fn fill(env: Env, data: &Path, address: &str) -> Outcome<Env> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(data)
        .map_err(|err| format!("{} cannot be made: {err}", data.display()))?;
    let data = data.canonicalize()?;
    let shelf = data.join("book.shelf");
    let fallback = format!("file:{}", data.join("fallback").display());
    Ok(env
        .or("ALLOW_GUESTS", "1")
        .or("ALLOWED_ORIGINS", "*")
        .or("BOOK_BASE_URL", &format!("{address}/book/"))
        .or("BOOK_SHELF", &shelf.to_string_lossy())
        .or("BOOK_TITLE", "The Lectern manual")
        .or("FALLBACK_STORAGE", &fallback)
        .or("INTERNAL_API_KEY", &secret(&data.join("internal-api-key"))?)
        .or("JWT_SECRET_KEY", &secret(&data.join("jwt-secret"))?))
}

/// The secret in `file`, made on first use: 244 random bits.
fn secret(file: &Path) -> Outcome<String> {
    if let Ok(kept) = fs::read_to_string(file)
        && kept.len() >= 64
    {
        return Ok(kept);
    }
    let made = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let mut options = fs::OpenOptions::new();
    let mut out =
        options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    out.write_all(made.as_bytes())?;
    Ok(made)
}
