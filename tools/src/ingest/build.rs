//! Makes the index of a book and puts it in place of the old one.

use std::{collections::BTreeMap, io::ErrorKind, path::PathBuf};

use indicatif::ProgressBar;
use shared::{
    App,
    config::Env,
    retrieval::{
        Passage, bm25,
        embed::Embedder,
        shelf::{Entry, Header, Shelf, Unreadable},
        tokens::{self, Tokeniser},
    },
};

use super::{
    collection,
    kind::BookKind,
    language,
    plan::{self, PageChange},
    read::{self, Book},
    replace, served,
    vectors::Vectors,
};
use crate::Outcome;

/// The part of a book that may go without anybody having said so.
const LOST: f64 = 0.3;

/// So many includes that are missing are named.
const MISSING: usize = 20;

/// Where the index goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// A collection in Qdrant (`QDRANT_URL`), and the shelf beside it.
    Qdrant,
    /// One file.
    Shelf,
}

/// What to make of what.
#[derive(Clone, Debug)]
pub struct Job {
    /// The folder of pages, or one page.
    pub from: PathBuf,
    /// The shelf to write.
    pub shelf: PathBuf,
    /// Whether Qdrant gets the index too.
    pub to: Target,
    /// The label of these pages; those with another label stay on the shelf.
    pub source: String,
    /// The language as ISO 639-3; detected when absent.
    pub language: Option<String>,
    /// Only say what would change.
    pub dry_run: bool,
    /// What made the book; told by its files when absent.
    pub kind: Option<BookKind>,
    /// Do without what pages include and cannot be included.
    pub allow_missing_includes: bool,
    /// Delete much of the old book, or embed all of it again, if that is what it takes.
    pub force: bool,
}

/// What was done, or would be.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Pages that were read.
    pub pages: usize,
    /// Passages of the whole index, those of other sources included.
    pub passages: usize,
    /// Texts that were sent to be embedded; in a dry run, that would be.
    pub embedded: usize,
    /// Passages whose vectors were taken over.
    pub reused: usize,
    /// The pages that changed.
    pub changes: Vec<PageChange>,
    /// The version of the book.
    pub version: String,
    /// Its language, ISO 639-3.
    pub language: String,
    /// The embedding model; `None` makes a lexical index.
    pub model: Option<String>,
    /// The shelf already held exactly this.
    pub is_up_to_date: bool,
    /// Why a run without `--force` is refused, if it is.
    pub needs_force: Option<String>,
    /// What made the book.
    pub kind: BookKind,
    /// What is wrong with the book and can be lived with, with file and line.
    pub warnings: Vec<String>,
    /// How many of what were left out: `drafts`, `stubs`.
    pub left_out: BTreeMap<&'static str, usize>,
}

/// Reads, splits, embeds and writes. The old index is served until the new one is complete,
/// and stays if anything fails. Unchanged passages are not embedded again, and an unchanged
/// book is not written again.
pub async fn build(job: &Job, env: &Env, progress: &ProgressBar) -> Outcome<Summary> {
    let mut book =
        read::book(&job.from, job.kind, env.get("BOOK_BASE_URL").unwrap_or_default())?;
    has_its_includes(job, &mut book)?;
    let (new, repeats) = plan::passages(&book.pages, &job.source);
    if new.is_empty() {
        return Err(format!("{}: all pages are empty", job.from.display()).into());
    }
    if repeats > 0 {
        book.left_out.insert("repeated paragraphs", repeats);
    }
    let old = open(job, &mut book.warnings)?;
    let before: Vec<Passage> = old.iter().flat_map(Shelf::passages).collect();
    let passages = together(&before, new, &job.source);
    let language = match &job.language {
        Some(code) => code.clone(),
        None => language::detected(&passages),
    };
    let embedder = Embedder::from_env(env, App::new(env.clone()).http())?;
    let model = embedder.as_ref().map(|it| it.model().to_owned());
    // 0 is the model's own; the same model may be asked for shorter vectors.
    let dimension: u32 = env.parse("EMBEDDING_DIMENSIONS", 0)?;
    let meaning = model.as_deref().map(|model| (model, dimension));
    let version = plan::version(&passages, &language, meaning)?;
    let is_up_to_date =
        old.as_ref().is_some_and(|it| it.header().book_version == version);

    let mut vectors = Vectors::known(&job.shelf, old.as_ref(), &before, meaning);
    let mut missing =
        if model.is_some() { vectors.missing(&passages) } else { Vec::new() };
    if let Some(model) = model.as_deref().filter(|_| !missing.is_empty())
        && job.to == Target::Qdrant
    {
        vectors.add(served::vectors(env, model).await?);
        missing = vectors.missing(&passages);
    }
    let reused = if model.is_some() { passages.len() - missing.len() } else { 0 };
    let changes = plan::changes(&before, &passages);
    let mut summary = Summary {
        pages: book.pages.len(),
        passages: passages.len(),
        embedded: missing.len(),
        reused,
        needs_force: too_much_lost(job, &before, &changes),
        changes,
        version,
        language,
        model: model.clone(),
        is_up_to_date,
        kind: book.kind,
        warnings: book.warnings,
        left_out: book.left_out,
    };
    if job.dry_run || is_up_to_date && job.to == Target::Shelf {
        return Ok(summary);
    }
    if let Some(why) = summary.needs_force.as_ref().filter(|_| !job.force) {
        return Err(format!(
            "{}: {why}; look at them with --dry-run, and say --force if that is right; the \
             old index is untouched",
            job.from.display()
        )
        .into());
    }
    if let (Some(embedder), Some(meaning)) = (&embedder, meaning) {
        let place = (job.shelf.as_path(), job.force);
        let with = (embedder, meaning);
        summary.embedded =
            vectors.embed(with, missing, &passages, place, progress).await?;
        summary.reused = passages.len().saturating_sub(summary.embedded);
    }
    let (header, entries) = index(&summary, passages, &vectors);
    if job.to == Target::Qdrant {
        served::check(env, &header, &entries, job.force).await?;
    }
    if !is_up_to_date {
        replace::shelf(&job.shelf, &header, &entries)?;
    }
    if job.to == Target::Qdrant {
        collection::publish(env, &header, &entries).await?;
    }
    if model.is_some() {
        vectors.finish(&job.shelf);
    }
    Ok(summary)
}

/// A page without what it includes is not the page that its readers see.
fn has_its_includes(job: &Job, book: &mut Book) -> Outcome {
    if job.allow_missing_includes || book.missing.is_empty() {
        book.warnings.append(&mut book.missing);
        return Ok(());
    }
    let mut lines: Vec<&str> =
        book.missing.iter().take(MISSING).map(String::as_str).collect();
    let more = format!("and {} more", book.missing.len().saturating_sub(MISSING));
    if book.missing.len() > MISSING {
        lines.push(&more);
    }
    Err(format!(
        "{}\nmend the includes, or say --allow-missing-includes to go on without them; the \
         old index is untouched",
        lines.join("\n")
    )
    .into())
}

/// A wrong folder must not cost a book: what goes away without anything in its place is
/// counted, and much of it has to be wanted.
fn too_much_lost(
    job: &Job,
    before: &[Passage],
    changes: &[PageChange],
) -> Option<String> {
    let all = before.iter().filter(|it| it.source == job.source).count();
    let lost = plan::lost(changes);
    (lost as f64 > all as f64 * LOST).then(|| {
        let share = lost * 100 / all.max(1);
        format!("{lost} of {all} passages ({share} %) would be deleted")
    })
}

/// The shelf that is there. One that this build cannot read is made anew, with a warning; a
/// file that is no shelf is not overwritten, because a slip of the hand must not cost
/// somebody a chapter.
fn open(job: &Job, warnings: &mut Vec<String>) -> Outcome<Option<Shelf>> {
    let path = &job.shelf;
    match Shelf::read(path) {
        Ok(shelf) => Ok(Some(shelf)),
        Err(Unreadable::Io(err)) if err.kind() == ErrorKind::NotFound => Ok(None),
        Err(err @ (Unreadable::Io(_) | Unreadable::Foreign)) => {
            Err(format!("{}: {err}; it is not overwritten", path.display()).into())
        }
        Err(err) => {
            let (path, source) = (path.display(), &job.source);
            warnings.push(format!(
                "{path}: {err}. It is made anew with the pages of the source \"{source}\" \
                 alone: if it held other sources, ingest them again, too"
            ));
            Ok(None)
        }
    }
}

/// The passages of this run and those of other sources, in an order that does not depend on
/// which came first.
fn together(before: &[Passage], new: Vec<Passage>, source: &str) -> Vec<Passage> {
    let others = before.iter().filter(|it| it.source != source).cloned();
    let mut all: Vec<Passage> = others.chain(new).collect();
    all.sort_by(|a, b| (&a.source, &a.path, a.start).cmp(&(&b.source, &b.path, b.start)));
    all
}

/// The lexical weights of every passage and its vector.
fn index(
    summary: &Summary,
    passages: Vec<Passage>,
    vectors: &Vectors,
) -> (Header, Vec<Entry>) {
    let tokeniser = Tokeniser::new(&summary.language);
    let words: Vec<Vec<String>> =
        passages.iter().map(|it| tokeniser.tokens(&it.indexed_text())).collect();
    let sum: usize = words.iter().map(Vec::len).sum();
    let mean_len = sum as f32 / words.len().max(1) as f32;
    let entries: Vec<Entry> = passages
        .into_iter()
        .zip(&words)
        .map(|(passage, words)| Entry {
            sparse: bm25::document(words, mean_len),
            dense: vectors.of(&passage).cloned(),
            passage,
        })
        .collect();
    let dimension = entries.first().and_then(|it| it.dense.as_ref()).map_or(0, Vec::len);
    let header = Header {
        book_version: summary.version.clone(),
        language: summary.language.clone(),
        tokeniser: tokens::VERSION,
        embedding_model: summary.model.clone(),
        dimension: dimension as u32,
        mean_len,
    };
    (header, entries)
}
