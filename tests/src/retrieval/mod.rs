//! The book in Qdrant and on the shelf: a small book of our own, and what is asked of it.

mod embedding;
mod evidence;
mod outages;
mod publishing;
mod ranking;
mod sets;

use std::path::Path;

use qdrant_client::{
    Payload,
    qdrant::{
        CreateCollectionBuilder, Distance, PointStruct, UpsertPointsBuilder, Value,
        VectorParamsBuilder,
    },
};
use shared::{
    config::Env,
    retrieval::{
        self, Mode, Passage, Query, bm25,
        qdrant::Collection,
        shelf::{self, Entry, Header},
        tokens::{self, Tokeniser},
    },
};
use tempfile::TempDir;
use tools::ingest::collection::publish;
use uuid::Uuid;

use crate::support::{embeddings, qdrant};

/// A small book, with a shelf in a folder of its own.
pub struct Book {
    header: Header,
    entries: Vec<Entry>,
    shelf: String,
    _folder: TempDir,
}

impl Book {
    /// What `BOOK_SHELF` is set to.
    pub fn shelf(&self) -> &str {
        &self.shelf
    }
}

/// Pages, headings and texts of the small book.
const PAGES: [(&str, &str, &str); 12] = [
    (
        "lamps/oil.md",
        "Lamps > Oil",
        "An oil lantern burns lamp oil through a cotton wick.",
    ),
    ("lamps/oil.md", "Lamps > Wick", "Trim the wick before the lamp is lit, not after."),
    ("lamps/gas.md", "Lamps > Gas", "A gas lamp needs a mantle and steady pressure."),
    (
        "lamps/gas.md",
        "Lamps > Mantle",
        "The mantle is brittle; never touch a burnt mantle.",
    ),
    ("sea/fog.md", "Sea > Fog", "In fog the keeper sounds the horn twice a minute."),
    ("sea/fog.md", "Sea > Horn", "The horn runs on compressed air from the oil engine."),
    ("sea/storm.md", "Sea > Storm", "Before a storm the lamp is checked every hour."),
    (
        "sea/storm.md",
        "Sea > Shutters",
        "Close the shutters on the weather side of the sea wall.",
    ),
    ("keeper.md", "Keeper", "The keeper writes the log: oil used, ships seen, weather."),
    ("keeper.md", "Keeper > Leave", "A keeper on leave hands the log to the relief."),
    // Two that no score can tell apart.
    ("twins/one.md", "Twins", "Spare parts lie in the tower cellar."),
    ("twins/two.md", "Twins", "Spare parts lie in the tower cellar."),
];

const QUESTIONS: [&str; 8] = [
    "Which lantern burns oil?",
    "how often does the horn sound in fog",
    "brittle mantle",
    "where are spare parts",
    "keeper log oil",
    "storm shutters sea",
    "what does the lamp need before it is lit",
    "the",
];

/// The small book as version `version`, its shelf written.
pub fn book_at(version: &str, dense: bool) -> Book {
    book_of(PAGES.iter().map(|it| passage(*it)).collect(), version, dense)
}

/// These passages as a book, its shelf written.
fn book_of(passages: Vec<Passage>, version: &str, dense: bool) -> Book {
    let tokeniser = Tokeniser::new("eng");
    let tokens: Vec<_> =
        passages.iter().map(|it| tokeniser.tokens(&it.indexed_text())).collect();
    let all: usize = tokens.iter().map(Vec::len).sum();
    let mean_len = all as f32 / passages.len() as f32;
    let entries = passages.into_iter().zip(tokens).map(|(passage, tokens)| Entry {
        sparse: bm25::document(&tokens, mean_len),
        dense: dense.then(|| unit(&embeddings::vector(&passage.indexed_text()))),
        passage,
    });
    let header = Header {
        book_version: version.to_owned(),
        language: "eng".to_owned(),
        tokeniser: tokens::VERSION,
        embedding_model: dense.then(|| "words".to_owned()),
        dimension: if dense { embeddings::DIMENSION as u32 } else { 0 },
        mean_len,
    };
    let folder = tempfile::tempdir().unwrap();
    let shelf = folder.path().join("book.shelf").to_str().unwrap().to_owned();
    let book = Book { header, entries: entries.collect(), shelf, _folder: folder };
    shelf::write(Path::new(book.shelf()), &book.header, &book.entries).unwrap();
    book
}

fn passage((path, title, text): (&str, &str, &str)) -> Passage {
    Passage {
        id: Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{path} {title}").as_bytes()),
        path: path.to_owned(),
        anchor: "here".to_owned(),
        link: format!("{}.html#here", path.trim_end_matches(".md")),
        title: title.to_owned(),
        text: text.to_owned(),
        source: "manual".to_owned(),
        start: 10,
        end: 10 + text.chars().count() as u32,
        lead: 0,
    }
}

fn unit(vector: &[f32]) -> Vec<f32> {
    let norm = vector.iter().map(|it| it * it).sum::<f32>().sqrt();
    vector.iter().map(|it| it / norm).collect()
}

fn settings(qdrant: &qdrant::Fake) -> Env {
    Env::from([("QDRANT_API_KEY", "key-of-the-house")]).with("QDRANT_URL", &qdrant.url())
}

/// Both legs' questions, made by the code that a request uses.
fn asked(question: &str) -> (Vec<f32>, Vec<(u32, f32)>) {
    let sparse = bm25::query(&Tokeniser::new("eng"), question, None);
    (unit(&embeddings::vector(question)), sparse)
}

async fn published(book: &Book) -> (qdrant::Fake, Collection) {
    let qdrant = qdrant::Fake::start();
    publish(&settings(&qdrant), &book.header, &book.entries).await.unwrap();
    qdrant.forget_calls();
    let collection = Collection::from_env(&settings(&qdrant)).unwrap();
    (qdrant, collection)
}

async fn find(env: &Env, question: &str, mode: Mode) -> shared::Result<retrieval::Found> {
    let book = retrieval::Book::from_env(env, reqwest())?;
    let query = Query { text: question.to_owned(), top_k: 50, mode, ..Query::default() };
    book.find(&query).await
}

/// The client that every route of the app uses.
fn reqwest() -> reqwest::Client {
    shared::App::new(Env::default()).http()
}

/// A collection as other ingest scripts leave it: counted ids, one unnamed vector, field
/// names of their own.
pub fn foreign() -> qdrant::Fake {
    let qdrant = qdrant::Fake::start();
    let size = embeddings::DIMENSION as u64;
    let made = CreateCollectionBuilder::new("book")
        .vectors_config(VectorParamsBuilder::new(size, Distance::Cosine))
        .build();
    let points: Vec<_> = [
        ("Robots sense and act.", "Sensing"),
        ("A motor turns a joint.", "Motion"),
        ("Balance keeps a walking machine upright.", "Motion"),
    ]
    .into_iter()
    .zip(1_u64..)
    .map(|((text, heading), id)| {
        let payload = [
            ("chunk_id", format!("c-{id}")),
            ("content", text.to_owned()),
            ("file_path", "docs/01-intro.md".to_owned()),
            ("chapter", "Robots".to_owned()),
            ("heading", heading.to_owned()),
        ];
        let payload = payload.map(|(name, it)| (name, it.into()));
        let payload: Payload =
            std::collections::HashMap::<&str, Value>::from(payload).into();
        PointStruct::new(id, embeddings::vector(text), payload)
    })
    .collect();
    qdrant.store(|it| {
        it.create(made).unwrap();
        it.upsert(UpsertPointsBuilder::new("book", points).build()).unwrap();
    });
    qdrant
}
