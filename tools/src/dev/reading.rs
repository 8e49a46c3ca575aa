//! Ingesting the book at the start, if its shelf is missing or stale.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use shared::{App, config::Env, retrieval::embed::Embedder};

use crate::{
    Outcome,
    ingest::{self, Job, Summary},
};

/// The book as it is served now.
pub(super) struct Reading {
    /// The settings that go with it.
    pub env: Env,
    /// What was ingested.
    pub summary: Summary,
    /// Why it is searched by words alone, against the settings.
    pub lacks_embeddings: Option<String>,
}

/// Ingests the book. When the embeddings cannot be had, this run serves an index of words
/// alone from a file of its own: the one with the vectors that were paid for stays, and the
/// next start tries again.
pub(super) async fn read(book: &Path, data: &Path, env: Env) -> Outcome<Reading> {
    let mut job = Job {
        from: book.to_owned(),
        shelf: PathBuf::from(env.need("BOOK_SHELF")?),
        to: ingest::Target::Shelf,
        source: ingest::SOURCE.to_owned(),
        language: None,
        dry_run: true,
        kind: None,
        allow_missing_includes: true,
        force: true,
    };
    let planned = ingest::build(&job, &env, &ProgressBar::hidden()).await?;
    if planned.is_up_to_date {
        return Ok(Reading { env, summary: planned, lacks_embeddings: None });
    }
    job.dry_run = false;
    let why = if planned.embedded == 0 { None } else { failure(&env).await? };
    let why = match why {
        Some(why) => why,
        None => match ingest::build(&job, &env, &bar()?).await {
            Ok(summary) => return Ok(Reading { env, summary, lacks_embeddings: None }),
            Err(err) if planned.embedded == 0 => return Err(err),
            Err(err) => err.to_string(),
        },
    };
    job.shelf = data.canonicalize()?.join("words.shelf");
    let words_only = env.clone().with("EMBEDDING_PROVIDER", "none");
    let summary = ingest::build(&job, &words_only, &ProgressBar::hidden()).await?;
    let env = words_only.with("BOOK_SHELF", &job.shelf.to_string_lossy());
    Ok(Reading { env, summary, lacks_embeddings: Some(why) })
}

/// Why the embeddings cannot be had, asked with one question: an ingest has more patience
/// with a provider that does not answer than a person at a terminal.
async fn failure(env: &Env) -> Outcome<Option<String>> {
    let env = env.clone().or("EMBEDDING_TIMEOUT", "15");
    let http = App::new(env.clone()).http();
    let Some(embedder) = Embedder::from_env(&env, http)? else { return Ok(None) };
    let refused = embedder.question("Is anybody there?").await.err();
    Ok(refused.map(|err| err.chain()))
}

fn bar() -> Outcome<ProgressBar> {
    let style = ProgressStyle::with_template("embedding {wide_bar} {pos}/{len} {eta}")?;
    Ok(ProgressBar::new(0).with_style(style))
}
