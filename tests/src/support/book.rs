//! A small book of our own, ingested once for all tests.

use std::{fs, path::Path, sync::LazyLock};

use indicatif::ProgressBar;
use shared::config::Env;
use tempfile::TempDir;
use tools::ingest::{self, Job, Target};

/// The pages, by path.
pub(crate) const PAGES: [(&str, &str); 3] = [
    (
        "lamps/oil.md",
        "# Oil lamps\n\nA keeper trims the wick every four hours, because a charred wick \
         smokes the lens. Whale oil was given up in 1860.\n\n## Filling\n\nFill the tank at \
         noon. Never fill a burning lamp; it spits.\n",
    ),
    (
        "lamps/lens.md",
        "# The lens\n\nThe Fresnel lens bends the light of one flame into a beam that is seen \
         for twenty miles. Clean it with rouge and chamois leather.\n",
    ),
    (
        "fog.md",
        "# Fog signals\n\nIn fog the bell is struck twice a minute. Ships answer with their \
         horn.\n\n```text\nstrokes[2] = pause\n```\n",
    ),
];

/// The path of the shelf, made when it is first asked for.
pub(crate) async fn shelf() -> String {
    static BOOK: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().unwrap());
    static MADE: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();
    let made = MADE.get_or_init(|| async {
        let pages = BOOK.path().join("pages");
        for (path, text) in PAGES {
            let file = pages.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let shelf = BOOK.path().join("book.shelf");
        ingest(&pages, &shelf).await;
        shelf.to_str().unwrap().to_owned()
    });
    made.await.clone()
}

/// Ingests a folder of English pages, for their words alone.
pub(crate) async fn ingest(pages: &Path, shelf: &Path) {
    ingest_in("eng", pages, shelf).await;
}

/// Ingests a folder of pages in a language (ISO 639-3), for their words alone.
pub(crate) async fn ingest_in(language: &str, pages: &Path, shelf: &Path) {
    let job = Job {
        from: pages.to_owned(),
        shelf: shelf.to_owned(),
        to: Target::Shelf,
        source: ingest::SOURCE.to_owned(),
        language: Some(language.to_owned()),
        dry_run: false,
        kind: None,
        allow_missing_includes: false,
        force: false,
    };
    let env = Env::from([("EMBEDDING_PROVIDER", "none")]);
    ingest::build(&job, &env, &ProgressBar::hidden()).await.unwrap();
}

/// What a page's source says between two code points.
pub(crate) fn slice(path: &str, start: u64, end: u64) -> String {
    let (_, text) = PAGES.iter().find(|(name, _)| *name == path).unwrap();
    let (start, end) = (start as usize, end as usize);
    text.chars().skip(start).take(end - start).collect()
}
