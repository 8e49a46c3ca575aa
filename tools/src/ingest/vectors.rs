//! The vectors of a run: those of the old shelf, those that an unfinished run has kept, and
//! those that are made now.
//!
//! What is made is written to a file beside the shelf, batch by batch, so that a run that
//! failed or was killed is not paid twice. The file goes when the shelf has been written.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use shared::retrieval::{
    Passage,
    embed::{BATCH, Embedder},
    shelf::Shelf,
};

use crate::Outcome;

/// What identifies a text.
type Key = [u8; 32];

/// How the file begins; the model's name follows.
const MAGIC: &str = "lectern vectors 1 ";

/// Vectors by the text that they stand for.
pub(super) struct Vectors {
    known: HashMap<Key, Vec<f32>>,
    kept: Option<Kept>,
}

/// The file beside the shelf. It is locked: two runs must not write the same book.
struct Kept {
    file: File,
    path: PathBuf,
}

/// The model, and the dimension that was asked of it (0 is the model's own).
pub(super) type Meaning<'a> = (&'a str, u32);

impl Vectors {
    /// Those of the old shelf, if the same model made them with as many numbers, and those
    /// that an unfinished run has kept beside it.
    pub(super) fn known(
        shelf: &Path,
        old: Option<&Shelf>,
        before: &[Passage],
        meaning: Option<Meaning<'_>>,
    ) -> Self {
        let old = old.filter(|it| {
            meaning.is_some_and(|(model, dimension)| {
                it.header().embedding_model.as_deref() == Some(model)
                    && [0, it.header().dimension].contains(&dimension)
                    && it.verify_vectors().is_ok()
            })
        });
        let pairs = old.into_iter().flat_map(|shelf| {
            let pair =
                |it: &Passage| Some((key(&it.indexed_text()), shelf.vector(&it.id)?));
            before.iter().filter_map(pair)
        });
        let mut known: HashMap<_, _> = pairs.collect();
        if let Some(meaning) = meaning {
            let kept = read(&fs::read(beside(shelf)).unwrap_or_default(), meaning).0;
            let [new, old] = [&kept, &known].map(|it| it.values().next().map(Vec::len));
            if new.is_some() && old.is_some() && new != old {
                // A run that was told to embed everything again has not come to its end.
                known.clear();
            }
            known.extend(kept);
        }
        Self { known, kept: None }
    }

    /// Adds vectors that were found elsewhere, of a book of the same model.
    pub(super) fn add(&mut self, them: impl IntoIterator<Item = (String, Vec<f32>)>) {
        for (text, vector) in them {
            self.known.entry(key(&text)).or_insert(vector);
        }
    }

    /// The vector of a passage.
    pub(super) fn of(&self, passage: &Passage) -> Option<&Vec<f32>> {
        self.known.get(&key(&passage.indexed_text()))
    }

    /// The texts without a vector, each once, in order.
    pub(super) fn missing(&self, passages: &[Passage]) -> Vec<String> {
        let mut seen = HashSet::new();
        passages
            .iter()
            .map(Passage::indexed_text)
            .filter(|text| !self.known.contains_key(&key(text)) && seen.insert(key(text)))
            .collect()
    }

    /// Embeds what is missing and keeps it beside the shelf at `place`. Vectors of another length than
    /// the known ones are an error, because the endpoint is not the one that made those;
    /// with `is_forced` everything is embedded again. Returns how many texts were sent.
    pub(super) async fn embed(
        &mut self,
        (embedder, meaning): (&Embedder, Meaning<'_>),
        mut missing: Vec<String>,
        passages: &[Passage],
        (place, is_forced): (&Path, bool),
        progress: &ProgressBar,
    ) -> Outcome<usize> {
        if missing.is_empty() {
            return Ok(0);
        }
        let mut kept = Kept::open(place, meaning)?;
        let known = self.known.values().next().map(Vec::len);
        let mut sent = 0;
        progress.set_length(missing.len() as u64);
        while sent < missing.len() {
            let batch = &missing[sent..missing.len().min(sent + BATCH)];
            let made = made(embedder, batch, sent, missing.len()).await?;
            let size = made.first().map(Vec::len);
            if sent == 0 && known.is_some() && size != known {
                if !is_forced {
                    return Err(mismatch(meaning.0, size, known, place).into());
                }
                self.known.clear();
                kept.clear(meaning)?;
            }
            kept.add(batch, &made)?;
            sent += batch.len();
            progress.set_position(sent as u64);
            self.known.extend(batch.iter().map(|it| key(it)).zip(made));
            if sent <= BATCH && known.is_some() && size != known {
                missing.truncate(sent);
                missing.extend(self.missing(passages));
                progress.set_length(missing.len() as u64);
            }
        }
        progress.finish_and_clear();
        self.kept = Some(kept);
        Ok(sent)
    }

    /// The book is complete: what was kept for another try is not needed any more.
    pub(super) fn finish(self, place: &Path) {
        // It is only a help; the next run takes no harm from it.
        fs::remove_file(self.kept.map_or_else(|| beside(place), |it| it.path)).ok();
    }
}

/// The vectors of one batch, as many as texts and equally long.
async fn made(
    embedder: &Embedder,
    batch: &[String],
    sent: usize,
    all: usize,
) -> Outcome<Vec<Vec<f32>>> {
    let made = embedder.passages(batch).await.map_err(|err| {
        let cause = err.chain();
        format!(
            "embedding failed after {sent} of {all} passages: {cause} (check \
             EMBEDDING_PROVIDER, EMBEDDING_BASE_URL and the key; the old index is untouched, and the \
             next run goes on from here)"
        )
    })?;
    let size = made.first().map(Vec::len);
    if made.len() != batch.len() || made.iter().any(|vector| Some(vector.len()) != size) {
        return Err(
            "the embeddings endpoint leaves out passages or mixes dimensions; the \
                    old index is untouched"
                .into(),
        );
    }
    Ok(made)
}

fn mismatch(
    model: &str,
    size: Option<usize>,
    known: Option<usize>,
    shelf: &Path,
) -> String {
    let (size, known) = (size.unwrap_or(0), known.unwrap_or(0));
    let shelf = shelf.display();
    format!(
        "{model} now makes vectors of {size} numbers, but those of the book in {shelf} have \
         {known}: check EMBEDDING_BASE_URL, EMBEDDING_MODEL and EMBEDDING_DIMENSIONS, or \
         embed the whole book again with --force; the old index is untouched"
    )
}

impl Kept {
    /// Opens the file beside `shelf` to add to it what this model makes. What another model
    /// has made, and a last record that was cut short, go.
    fn open(shelf: &Path, meaning: Meaning<'_>) -> Outcome<Self> {
        let path = beside(shelf);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .map_err(|err| format!("{}: {err}", folder.display()))?;
        }
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file = open.map_err(|err| format!("{}: {err}", path.display()))?;
        // Some network drives have no locks; nobody else is likely to write there.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let shelf = shelf.display();
            return Err(format!("{shelf}: another ingest is writing this book").into());
        }
        let mut kept = Self { file, path };
        kept.trim(meaning)?;
        Ok(kept)
    }

    fn trim(&mut self, meaning: Meaning<'_>) -> Outcome {
        let mut bytes = Vec::new();
        self.did(|file| file.read_to_end(&mut bytes).map(drop))?;
        let whole = read(&bytes, meaning).1;
        if whole == 0 {
            return self.clear(meaning);
        }
        self.did(|file| {
            file.set_len(whole as u64)?;
            file.seek(SeekFrom::Start(whole as u64)).map(drop)
        })
    }

    fn clear(&mut self, meaning: Meaning<'_>) -> Outcome {
        self.did(|file| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(heading(meaning).as_bytes())
        })
    }

    fn add(&mut self, texts: &[String], vectors: &[Vec<f32>]) -> Outcome {
        let mut bytes = Vec::new();
        for (text, vector) in texts.iter().zip(vectors) {
            bytes.extend(key(text));
            bytes.extend((vector.len() as u32).to_le_bytes());
            bytes.extend(vector.iter().flat_map(|it| it.to_le_bytes()));
        }
        self.did(|file| file.write_all(&bytes))
    }

    fn did(&mut self, what: impl FnOnce(&mut File) -> std::io::Result<()>) -> Outcome {
        what(&mut self.file)
            .map_err(|err| format!("{}: {err}", self.path.display()).into())
    }
}

/// `book.shelf.vectors`.
fn beside(shelf: &Path) -> PathBuf {
    let mut name = shelf.file_name().unwrap_or_default().to_owned();
    name.push(".vectors");
    shelf.with_file_name(name)
}

fn heading((model, dimension): Meaning<'_>) -> String {
    format!("{MAGIC}{dimension} {model}\n")
}

fn key(text: &str) -> Key {
    Sha256::digest(text).into()
}

/// The whole records of the file and the bytes that they and the heading take; nothing of a
/// file of another model.
fn read(bytes: &[u8], meaning: Meaning<'_>) -> (HashMap<Key, Vec<f32>>, usize) {
    let mut known = HashMap::new();
    let heading = heading(meaning);
    let Some(mut rest) = bytes.strip_prefix(heading.as_bytes()) else {
        return (known, 0);
    };
    let mut length = None;
    while let Some((key, after)) = rest.split_first_chunk::<32>()
        && let Some((count, after)) = after.split_first_chunk::<4>()
        && let count = u32::from_le_bytes(*count) as usize
        && *length.get_or_insert(count) == count
        && let Some((numbers, after)) = after.split_at_checked(count * 4)
    {
        let (numbers, _) = numbers.as_chunks::<4>();
        let vector: Vec<f32> = numbers.iter().map(|it| f32::from_le_bytes(*it)).collect();
        if vector.is_empty() || vector.iter().any(|it| !it.is_finite()) {
            break;
        }
        known.insert(*key, vector);
        rest = after;
    }
    (known, bytes.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_again_but_for_a_record_that_was_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = folder.path().join("book.shelf");
        let meaning = ("model@2", 2);
        let texts = ["one".to_owned(), "two".to_owned()];
        let mut kept = Kept::open(&shelf, meaning).unwrap();
        kept.add(&texts, &[vec![1.0, 0.0], vec![0.6, 0.8]]).unwrap();
        drop(kept);
        let whole = fs::read(beside(&shelf)).unwrap();
        assert_eq!(read(&whole, meaning).0[&key("two")], [0.6, 0.8]);
        for cut in 1..44 {
            fs::write(beside(&shelf), &whole[..whole.len() - cut]).unwrap();
            let mut kept = Kept::open(&shelf, meaning).unwrap();
            kept.add(&texts[1..], &[vec![0.6, 0.8]]).unwrap();
            drop(kept);
            assert_eq!(fs::read(beside(&shelf)).unwrap(), whole, "{cut}");
        }
    }

    #[test]
    fn what_another_model_made_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = folder.path().join("book.shelf");
        let mut kept = Kept::open(&shelf, ("one", 0)).unwrap();
        kept.add(&["a".to_owned()], &[vec![1.0]]).unwrap();
        drop(kept);
        let bytes = fs::read(beside(&shelf)).unwrap();
        assert_eq!(read(&bytes, ("two", 0)), (HashMap::new(), 0));
        Kept::open(&shelf, ("two", 0)).unwrap();
        assert_eq!(fs::read(beside(&shelf)).unwrap(), heading(("two", 0)).as_bytes());
    }

    #[test]
    fn two_runs_do_not_write_the_same_book() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = folder.path().join("book.shelf");
        let first = Kept::open(&shelf, ("one", 0)).unwrap();
        let err = Kept::open(&shelf, ("one", 0)).err().unwrap().to_string();
        assert!(err.contains("another ingest"), "{err}");
        drop(first);
        assert!(Kept::open(&shelf, ("one", 0)).is_ok());
    }
}
