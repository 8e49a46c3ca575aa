//! Where an exchange waits while Postgres is away (`FALLBACK_STORAGE`).

use std::{
    io::{ErrorKind, Result as IoResult},
    path::{Path, PathBuf},
};

use tokio::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::AsyncWriteExt,
};

use super::Exchange;
use crate::{
    Error, Result,
    config::{Env, Platform},
};

/// A directory on a disk that lasts, in which each exchange is a JSON file.
pub struct Fallback {
    dir: PathBuf,
}

impl Fallback {
    /// Reads `FALLBACK_STORAGE`; `None` when unset. `file:` on Vercel or Lambda is
    /// misconfigured: their disks do not last.
    pub fn from_env(env: &Env) -> Result<Option<Self>> {
        match env.get("FALLBACK_STORAGE") {
            None => Ok(None),
            Some(_) if env.platform() != Platform::Local => {
                Err(Error::Misconfigured("FALLBACK_STORAGE"))
            }
            Some(value) => Self::parse(value).map(Some),
        }
    }

    /// Reads `file:<directory>` (also `file:///<directory>`).
    pub fn parse(value: &str) -> Result<Self> {
        let path = value.strip_prefix("file:").unwrap_or_default();
        match path.strip_prefix("//").unwrap_or(path) {
            "" => Err(Error::Misconfigured("FALLBACK_STORAGE")),
            dir => Ok(Self { dir: dir.into() }),
        }
    }

    /// Keeps one exchange until `lectern replay`. It is on the disk when this returns, whole:
    /// the file appears under its name only when it is complete.
    pub async fn keep(&self, exchange: &Exchange) -> Result<()> {
        let json = serde_json::to_vec(exchange)
            .map_err(|err| Error::Internal(format!("an exchange is no JSON: {err}")))?;
        write(&self.dir, &exchange.id.to_string(), &json)
            .await
            .map_err(|err| Error::unavailable("storage", err))
    }

    /// What waits, oldest first: the ids begin with their time.
    pub async fn waiting(&self) -> IoResult<Vec<PathBuf>> {
        let mut entries = match fs::read_dir(&self.dir).await {
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut files = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            // What is not complete has another ending, and was never promised to anybody.
            if entry.path().extension().is_some_and(|it| it == "json") {
                files.push(entry.path());
            }
        }
        files.sort();
        Ok(files)
    }

    /// One exchange that waits.
    pub async fn read(&self, file: &Path) -> IoResult<Exchange> {
        Ok(serde_json::from_slice(&fs::read(file).await?)?)
    }

    /// Forgets an exchange that is home. Another replay may have been faster.
    pub async fn done(&self, file: &Path) -> IoResult<()> {
        match fs::remove_file(file).await {
            Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// Readable by nobody else: these are readers' words.
async fn write(dir: &Path, name: &str, bytes: &[u8]) -> IoResult<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).await?;
    let (part, whole) =
        (dir.join(format!("{name}.part")), dir.join(format!("{name}.json")));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .await?;
    file.write_all(bytes).await?;
    file.sync_all().await?;
    fs::rename(&part, &whole).await?;
    // The name is in the directory, and that has to last too.
    File::open(dir).await?.sync_all().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platforms_disk_is_refused() {
        let outcome = |pairs: [(&str, &str); 2]| Fallback::from_env(&Env::from(pairs));
        let file = ("FALLBACK_STORAGE", "file:/var/lib/lectern");
        for platform in [("VERCEL", "1"), ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")] {
            assert!(matches!(
                outcome([file, platform]),
                Err(Error::Misconfigured("FALLBACK_STORAGE"))
            ));
        }
        let plain = outcome([file, ("PORT", "1")]).unwrap().unwrap();
        assert_eq!(plain.dir, Path::new("/var/lib/lectern"));
    }

    #[test]
    fn other_storages_are_misconfigured_and_none_is_none() {
        for value in ["memory", "file:", "s3://bucket"] {
            let outcome = Fallback::parse(value);
            assert!(matches!(outcome, Err(Error::Misconfigured("FALLBACK_STORAGE"))));
        }
        assert!(matches!(Fallback::from_env(&Env::default()), Ok(None)));
        let with_three_slashes = Fallback::parse("file:///srv/wait").unwrap();
        assert_eq!(with_three_slashes.dir, Path::new("/srv/wait"));
    }
}
