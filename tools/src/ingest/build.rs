//! Makes the index of a book and puts it in place of the old one.

use std::{
    collections::{HashMap, HashSet},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use indicatif::ProgressBar;
use shared::{
    App,
    config::Env,
    retrieval::{
        Passage, bm25,
        embed::{BATCH, Embedder},
        shelf::{self, Entry, Header, Shelf, Unreadable},
        tokens::{self, Tokeniser},
    },
};

use super::{
    collection, language,
    plan::{self, PageChange},
    read,
};
use crate::Outcome;

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
}

/// Reads, splits, embeds and writes. The old index is served until the new one is complete,
/// and stays if anything fails. Unchanged passages are not embedded again, and an unchanged
/// book is not written again.
pub async fn build(job: &Job, env: &Env, progress: &ProgressBar) -> Outcome<Summary> {
    let pages = read::book(&job.from)?;
    let new = plan::passages(&pages, &job.source);
    if new.is_empty() {
        return Err(format!("{}: all pages are empty", job.from.display()).into());
    }
    let old = open(&job.shelf)?;
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

    let mut vectors = Vectors::new(old.as_ref(), &before, meaning);
    let missing = vectors.missing(&passages, embedder.is_some());
    let reused = if embedder.is_some() { passages.len() - missing.len() } else { 0 };
    let mut summary = Summary {
        pages: pages.len(),
        passages: passages.len(),
        embedded: missing.len(),
        reused,
        changes: plan::changes(&before, &passages),
        version,
        language,
        model,
        is_up_to_date,
    };
    if job.dry_run || is_up_to_date && job.to == Target::Shelf {
        return Ok(summary);
    }
    if let Some(embedder) = &embedder {
        summary.embedded = vectors.embed(embedder, missing, &passages, progress).await?;
        summary.reused = passages.len().saturating_sub(summary.embedded);
    }
    let (header, entries) = index(&summary, passages, &vectors);
    if !is_up_to_date {
        if let Some(folder) = job.shelf.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|err| format!("{}: {err}", folder.display()))?;
        }
        shelf::write(&job.shelf, &header, &entries)?;
    }
    if job.to == Target::Qdrant {
        collection::publish(env, &header, &entries).await?;
    }
    Ok(summary)
}

/// The shelf that is there. One that this build cannot read is made anew; a file that is no
/// shelf is not overwritten, because a slip of the hand must not cost somebody a chapter.
fn open(path: &Path) -> Outcome<Option<Shelf>> {
    match Shelf::read(path) {
        Ok(shelf) => Ok(Some(shelf)),
        Err(Unreadable::Io(err)) if err.kind() == ErrorKind::NotFound => Ok(None),
        Err(err @ (Unreadable::Io(_) | Unreadable::Foreign)) => {
            Err(format!("{}: {err}; it is not overwritten", path.display()).into())
        }
        Err(_) => Ok(None),
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

/// Vectors by the text that they stand for.
struct Vectors(HashMap<String, Vec<f32>>);

impl Vectors {
    /// Those of the old shelf, if the same model made them with as many numbers.
    fn new(
        old: Option<&Shelf>,
        before: &[Passage],
        meaning: Option<(&str, u32)>,
    ) -> Self {
        let old = old.filter(|it| {
            meaning.is_some_and(|(model, dimension)| {
                it.header().embedding_model.as_deref() == Some(model)
                    && [0, it.header().dimension].contains(&dimension)
                    && it.verify_vectors().is_ok()
            })
        });
        let pairs = old.into_iter().flat_map(|shelf| {
            let pair = |it: &Passage| Some((it.indexed_text(), shelf.vector(&it.id)?));
            before.iter().filter_map(pair)
        });
        Self(pairs.collect())
    }

    /// The texts without a vector, each once, in order.
    fn missing(&self, passages: &[Passage], is_wanted: bool) -> Vec<String> {
        let mut seen = HashSet::new();
        let texts = passages.iter().filter(|_| is_wanted).map(Passage::indexed_text);
        texts
            .filter(|text| !self.0.contains_key(text) && seen.insert(text.clone()))
            .collect()
    }

    /// Embeds what is missing, and everything if the endpoint's vectors have changed their
    /// dimension under the same name. Returns how many texts were sent.
    async fn embed(
        &mut self,
        embedder: &Embedder,
        mut missing: Vec<String>,
        passages: &[Passage],
        progress: &ProgressBar,
    ) -> Outcome<usize> {
        let known = self.0.values().next().map(Vec::len);
        let mut sent = 0;
        progress.set_length(missing.len() as u64);
        while sent < missing.len() {
            let batch = &missing[sent..missing.len().min(sent + BATCH)];
            let made = embedder.passages(batch).await.map_err(|err| {
                let all = missing.len();
                let hint = "check EMBEDDING_PROVIDER and EMBEDDING_BASE_URL";
                let cause = err.chain();
                format!(
                    "embedding failed after {sent} of {all} passages: {cause} ({hint}; \
                     the old index is untouched)"
                )
            })?;
            if made.len() != batch.len() {
                return Err(
                    "the embeddings endpoint left out a passage; the old index is \
                            untouched"
                        .into(),
                );
            }
            let size = made.first().map(Vec::len);
            if made.iter().any(|vector| Some(vector.len()) != size) {
                return Err(
                    "the embeddings endpoint mixes dimensions; the old index is \
                            untouched"
                        .into(),
                );
            }
            sent += batch.len();
            progress.set_position(sent as u64);
            self.0.extend(batch.iter().cloned().zip(made));
            if known.is_some() && size != known && sent <= BATCH {
                self.0.retain(|_, vector| Some(vector.len()) == size);
                missing.truncate(sent);
                missing.extend(self.missing(passages, true));
                progress.set_length(missing.len() as u64);
            }
        }
        progress.finish_and_clear();
        Ok(sent)
    }
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
            dense: vectors.0.get(&passage.indexed_text()).cloned(),
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
