//! Finding passages while all, some or nothing of what is configured works.
#![expect(clippy::float_cmp, reason = "equal sums in equal order are equal to the bit")]

use std::path::PathBuf;

use super::{
    super::{
        Filter,
        shelf::{self, Entry, Header},
        tokens,
    },
    *,
};

/// Nothing listens there.
const NOWHERE: &str = "http://127.0.0.1:1";

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("lectern-book-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

const TEXTS: [(&str, &str); 3] = [
    ("moves.md", "A move leaves the first variable without a value."),
    ("borrows.md", "A borrow lends a variable for a while."),
    ("crates.md", "A crate is a unit of compilation."),
];

/// Writes a shelf of [`TEXTS`]; with vectors, text n points along axis n.
fn write(folder: &Folder, model: Option<&str>) -> String {
    let tokeniser = Tokeniser::new("eng");
    let dimension = if model.is_some() { 3 } else { 0 };
    let entries: Vec<Entry> = TEXTS
        .iter()
        .enumerate()
        .map(|(number, (path, text))| {
            let mut axis = vec![0.0; 3];
            axis[number] = 1.0;
            Entry {
                passage: Passage {
                    id: Uuid::from_u128(number as u128 + 1),
                    path: (*path).into(),
                    anchor: "top".into(),
                    link: path.replace(".md", ".html#top"),
                    title: path.trim_end_matches(".md").into(),
                    text: (*text).into(),
                    source: "book".into(),
                    start: 0,
                    end: text.len() as u32,
                    lead: 0,
                },
                sparse: bm25::document(&tokeniser.tokens(text), 5.0),
                dense: model.map(|_| axis),
            }
        })
        .collect();
    let header = Header {
        book_version: "v1".into(),
        language: "eng".into(),
        tokeniser: tokens::VERSION,
        embedding_model: model.map(str::to_owned),
        dimension,
        mean_len: 5.0,
    };
    let path = folder.0.join("book.shelf");
    shelf::write(&path, &header, &entries).unwrap();
    path.to_str().unwrap().to_owned()
}

fn book(env: &Env) -> Book {
    Book::from_env(env, crate::tls::http_client()).unwrap()
}

fn ask(text: &str) -> Query {
    Query { text: text.into(), top_k: 5, ..Query::default() }
}

fn paths(found: &Found) -> Vec<&str> {
    found.hits.iter().map(|hit| hit.passage.path.as_str()).collect()
}

#[tokio::test]
async fn without_embeddings_on_either_side_words_are_enough_and_nothing_is_degraded() {
    let folder = Folder::new("plain");
    let book = book(&Env::from([("BOOK_SHELF", &*write(&folder, None))]));
    let found = book.find(&ask("Which variable is borrowed?")).await.unwrap();
    assert_eq!(paths(&found), ["borrows.md", "moves.md"]);
    assert_eq!(found.degraded, [""; 0]);
    assert_eq!(found.book_version.as_deref(), Some("v1"));
    assert_eq!(found.hits[0].score, 1.0 / 61.0);
    assert!(found.hits[0].lexical.is_some() && found.hits[0].dense.is_none());
    assert!(book.check().await.is_ok());
}

#[tokio::test]
async fn asking_for_embeddings_alone_falls_back_to_words_and_says_so() {
    let folder = Folder::new("dense");
    let book = book(&Env::from([("BOOK_SHELF", &*write(&folder, None))]));
    let query = Query { mode: Mode::Dense, ..ask("crate") };
    let found = book.find(&query).await.unwrap();
    assert_eq!(paths(&found), ["crates.md"]);
    assert_eq!(found.degraded, ["embeddings"]);
}

#[tokio::test]
async fn a_provider_that_is_down_degrades_to_words() {
    let folder = Folder::new("down");
    let env = Env::from([
        ("BOOK_SHELF", &*write(&folder, Some("m"))),
        ("EMBEDDING_PROVIDER", "ollama"),
        ("EMBEDDING_BASE_URL", NOWHERE),
        ("EMBEDDING_MODEL", "m"),
    ]);
    let book = book(&env);
    let found = book.find(&ask("crate")).await.unwrap();
    assert_eq!(paths(&found), ["crates.md"]);
    assert_eq!(found.degraded, ["embeddings"]);
    let query = Query { mode: Mode::Lexical, ..ask("crate") };
    let found = book.find(&query).await.unwrap();
    assert_eq!(found.degraded, [""; 0], "nobody wanted embeddings");
}

#[tokio::test]
async fn vectors_that_nobody_can_ask_are_a_loss_that_is_declared() {
    let folder = Folder::new("silent");
    let book = book(&Env::from([("BOOK_SHELF", &*write(&folder, Some("m")))]));
    let found = book.find(&ask("crate")).await.unwrap();
    assert_eq!(paths(&found), ["crates.md"]);
    assert_eq!(found.degraded, ["embeddings"]);
}

#[tokio::test]
async fn both_legs_are_fused_and_keep_their_raw_scores() {
    let folder = Folder::new("both");
    let env = Env::from([
        ("BOOK_SHELF", &*write(&folder, Some("m"))),
        ("EMBEDDING_PROVIDER", "ollama"),
        ("EMBEDDING_BASE_URL", NOWHERE),
        ("EMBEDDING_MODEL", "m"),
    ]);
    let book = book(&env);
    let Retriever::Shelf(place) = &book.index else { panic!("a shelf was configured") };
    let embedding = Embedding::new_with(Some(Some(vec![0.6, 0.0, 0.8])));
    let query = ask("What does a move leave?");
    let shelf = place.current().unwrap();
    let found = book.ask_shelf(&shelf, &query, &embedding).await.unwrap();
    assert_eq!(found.degraded, [""; 0]);
    assert_eq!(paths(&found), ["moves.md", "crates.md", "borrows.md"]);
    let best = &found.hits[0];
    assert_eq!((best.score, best.dense), (1.0 / 62.0 + 1.0 / 61.0, Some(0.6)));
    assert!(best.lexical.is_some());

    let query = Query { mode: Mode::Dense, ..query };
    let found = book.ask_shelf(&shelf, &query, &embedding).await.unwrap();
    assert_eq!(paths(&found), ["crates.md", "moves.md", "borrows.md"]);
    assert!(found.hits.iter().all(|hit| hit.lexical.is_none()));

    let short = Embedding::new_with(Some(Some(vec![1.0])));
    let found = book.ask_shelf(&shelf, &query, &short).await.unwrap();
    assert_eq!(found.degraded, ["embeddings"], "a vector of another dimension is no use");
}

#[tokio::test]
async fn the_shelf_answers_while_qdrant_is_down() {
    let folder = Folder::new("qdrant");
    let path = write(&folder, None);
    let env = Env::from([("BOOK_SHELF", &*path), ("QDRANT_URL", NOWHERE)]);
    let found = book(&env).find(&ask("crate")).await.unwrap();
    assert_eq!(paths(&found), ["crates.md"]);
    assert_eq!(found.degraded, ["qdrant"]);
    assert!(book(&env).check().await.is_err());

    let env = env.with("BOOK_SHELF", "/nowhere/book.shelf");
    let err = book(&env).find(&ask("crate")).await.unwrap_err();
    assert!(matches!(err, Error::Unavailable { service: "qdrant", .. }));
}

#[tokio::test]
async fn a_follow_up_is_searched_with_the_question_before_it() {
    let folder = Folder::new("history");
    let book = book(&Env::from([("BOOK_SHELF", &*write(&folder, None))]));
    let history = vec!["crate".to_owned(), "What is a borrow?".to_owned()];
    let query = Query { history, ..ask("And why?") };
    let found = book.find(&query).await.unwrap();
    assert_eq!(paths(&found), ["borrows.md"], "only the last question before counts");
    assert_eq!(standalone("And why?", None), "And why?");
    assert_eq!(standalone("b", Some("a")), "a\nb\nb");
}

#[tokio::test]
async fn a_filter_restricts_the_search() {
    let folder = Folder::new("filter");
    let book = book(&Env::from([("BOOK_SHELF", &*write(&folder, None))]));
    let under = |prefix: &str| Query {
        filter: Filter { path_prefix: Some(prefix.into()), source: None },
        ..ask("variable")
    };
    assert_eq!(paths(&book.find(&under("moves")).await.unwrap()), ["moves.md"]);
    assert!(book.find(&under("mov")).await.unwrap().hits.is_empty());
}

#[test]
fn links_are_joined_with_one_slash_and_encoded_where_they_must() {
    let url = |base: &str, link: &str| {
        let book = book(&Env::from([("BOOK_BASE_URL", base)]));
        let mut passage = Passage {
            id: Uuid::nil(),
            path: "p.md".into(),
            anchor: String::new(),
            link: link.into(),
            title: String::new(),
            text: String::new(),
            source: String::new(),
            start: 0,
            end: 0,
            lead: 0,
        };
        let url = book.url(&passage);
        passage.path.clear();
        assert!(!link.is_empty() || book.url(&passage).is_none(), "nowhere to go");
        url.unwrap_or_default()
    };
    let base = "https://book.example/en/";
    assert_eq!(
        url(base, "/ch04/moves.html#moves"),
        "https://book.example/en/ch04/moves.html#moves"
    );
    assert_eq!(url("/book", "a b/c?.html#x y"), "/book/a%20b/c%3F.html#x%20y");
    assert_eq!(url("/", "a.html"), "/a.html");
    assert_eq!(url(base, "100%.html"), "https://book.example/en/100%25.html");
    assert_eq!(url(base, "a%20b.html"), "https://book.example/en/a%20b.html");
    assert_eq!(
        url(base, "第一章#节"),
        "https://book.example/en/%E7%AC%AC%E4%B8%80%E7%AB%A0#%E8%8A%82"
    );
    assert_eq!(url(base, ""), "https://book.example/en/");
    assert_eq!(url(base, "https://other.example/a"), "https://other.example/a");
    assert_eq!(url("", "a.html"), "");
    let bad = Env::from([("BOOK_BASE_URL", "javascript:alert(1)")]);
    assert!(Book::from_env(&bad, crate::tls::http_client()).is_err());
}
