//! Whole sets of questions, ranked alike wherever the book lies: the manual with drafted
//! questions, a book that is made to be hard to rank, and sets of the owner's own.

use std::{fs, path::Path, time::Duration};

use qdrant_client::qdrant::DeleteCollectionBuilder;
use serde_json::Value;
use shared::{
    config::Env,
    retrieval::{
        self, Filter, Found, Mode, Passage, Query, qdrant::Settings, shelf::Shelf,
    },
};
use tools::ingest::collection::publish;
use uuid::Uuid;

use super::{Book, book_of, passage, reqwest, settings};
use crate::support::{self, binaries::repository, book, embeddings, qdrant};

/// A book and what is asked of it.
struct Set {
    book: Book,
    questions: Vec<String>,
    /// Parts of the book that a question is held to, in turn.
    parts: Vec<Filter>,
}

impl Set {
    fn new(passages: Vec<Passage>, questions: Vec<String>, parts: &[&str]) -> Self {
        let part =
            |it: &&str| Filter { path_prefix: Some((*it).to_owned()), source: None };
        let label = Filter { path_prefix: None, source: Some("notes".to_owned()) };
        let parts = parts.iter().map(part).chain([label]).collect();
        Self { book: book_of(passages, "0123456789abcdef", true), questions, parts }
    }

    /// Every question by words and meaning, and once more: by words, by meaning, or by both in
    /// a part of the book and after the question before it, in turn.
    fn queries(&self) -> impl Iterator<Item = Query> {
        let parts = self.parts.iter().cycle();
        self.questions.iter().zip(parts).enumerate().flat_map(|(n, (text, part))| {
            let asked =
                |mode| Query { text: text.clone(), top_k: 50, mode, ..Query::default() };
            let again = match n % 3 {
                0 => asked(Mode::Lexical),
                1 => asked(Mode::Dense),
                _ => Query {
                    history: vec![self.questions[n - 1].clone()],
                    filter: part.clone(),
                    ..asked(Mode::Hybrid)
                },
            };
            [asked(Mode::Hybrid), again]
        })
    }

    /// Asks the shelf and the collection in `qdrant`'s settings everything, and wants the same
    /// passages with the same fused scores in the same order from both.
    async fn ranks_alike_in(&self, qdrant: Env) {
        let vectors = embeddings::Fake::start();
        let settings = [
            ("EMBEDDING_MODEL", "words"),
            ("EMBEDDING_BASE_URL", &vectors.url()),
            ("BOOK_SHELF", self.book.shelf()),
        ];
        let here = Env::from(settings);
        let there =
            settings.into_iter().fold(qdrant, |env, (name, it)| env.with(name, it));
        let here = retrieval::Book::from_env(&here, reqwest()).unwrap();
        let there = retrieval::Book::from_env(&there, reqwest()).unwrap();
        let mut found = 0;
        for query in self.queries() {
            let (here, there) = (here.find(&query).await, there.find(&query).await);
            let (here, there) = (here.unwrap(), there.unwrap());
            assert!(there.degraded.is_empty(), "{:?}: {query:?}", there.degraded);
            assert_eq!(ranked(&there), ranked(&here), "{query:?}");
            for (one, other) in there.hits.iter().zip(&here.hits) {
                assert_eq!(one.passage, other.passage);
                alike(one.dense, other.dense, &query);
                alike(one.lexical, other.lexical, &query);
            }
            found += here.hits.len();
        }
        assert!(
            found > 10 * self.questions.len(),
            "{found} passages: nothing to compare"
        );
    }

    /// The same in a fake server.
    async fn ranks_alike(&self) {
        let fake = qdrant::Fake::start();
        publish(&settings(&fake), &self.book.header, &self.book.entries).await.unwrap();
        self.ranks_alike_in(settings(&fake)).await;
    }

    /// The same in the server that `env` names, in a collection of a random name, which goes
    /// when all is well.
    async fn ranks_alike_in_a_real_server(&self, env: &Env) {
        let name = format!("lectern-test-{}", Uuid::now_v7().simple());
        let env = env.clone().with("QDRANT_COLLECTION", &name);
        publish(&env, &self.book.header, &self.book.entries).await.unwrap();
        self.ranks_alike_in(env.clone()).await;
        let timeout = Duration::from_secs(10);
        let client = Settings::from_env(&env).unwrap().client(timeout, timeout).unwrap();
        let made = format!("{name}-0123456789abcdef");
        client.delete_collection(DeleteCollectionBuilder::new(made)).await.unwrap();
    }
}

fn ranked(found: &Found) -> Vec<(Uuid, f64)> {
    found.hits.iter().map(|it| (it.passage.id, it.score)).collect()
}

/// Two implementations add up the same products in another order.
fn alike(one: Option<f32>, other: Option<f32>, query: &Query) {
    let difference = one.zip(other).map_or(0.0, |(one, other)| (one - other).abs());
    let is_alike = one.is_some() == other.is_some() && difference < 1e-4;
    assert!(is_alike, "{one:?} {other:?}: {query:?}");
}

/// The manual, and the questions that `lectern eval --init` drafts for it.
async fn manual() -> Set {
    let folder = tempfile::tempdir().unwrap();
    let shelf = folder.path().join("manual.shelf");
    book::ingest(&repository().join("docs"), &shelf).await;
    let env = Env::from([("EMBEDDING_PROVIDER", "none")])
        .with("BOOK_SHELF", shelf.to_str().unwrap());
    let drafts = folder.path().join("questions.jsonl");
    support::lectern(&["eval", "--init", "--out", drafts.to_str().unwrap()], &env).await;
    let questions = lines(&drafts).iter().map(|it| text(it, "text")).collect();
    let mut passages: Vec<Passage> = Shelf::open(&shelf).unwrap().passages().collect();
    passages.iter_mut().step_by(3).for_each(|it| "notes".clone_into(&mut it.source));
    Set::new(passages, questions, &["settings", "deploy-vercel", "decisions/"])
}

/// A book of words drawn by a seed: pages that repeat each other word by word, pages that no
/// score tells apart though their words differ in order, scripts with and without spaces.
fn drawn() -> Set {
    const WORDS: [&str; 36] = [
        "lamp",
        "wick",
        "oil",
        "keeper",
        "the",
        "of",
        "fog_signal",
        "HttpClient",
        "storm",
        "sea",
        "Linse",
        "Wärter",
        "größe",
        "naïve",
        "свет",
        "море",
        "лампа",
        "φάρος",
        "दीपक",
        "समुद्र",
        "तेल",
        "مصباح",
        "زيت",
        "منارة",
        "灯塔",
        "看守人",
        "油灯",
        "ランプ",
        "灯台守",
        "등대",
        "기름",
        "ประภาคาร",
        "🔥",
        "v2.1",
        "1860",
        "x",
    ];
    let mut seed = 20_260_801_u64;
    let mut draw = move |below: usize| {
        // Knuth's MMIX generator; its high bits are the good ones.
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let mut some = |least: usize, most: usize| -> Vec<&str> {
        let count = least + draw(most - least);
        (0..count).map(|_| WORDS[draw(WORDS.len())]).collect()
    };
    let mut passages = Vec::new();
    for n in 0..40 {
        let words = some(4, 60);
        let forward = words.join(" ");
        let backward: Vec<&str> = words.into_iter().rev().collect();
        for (copy, text) in
            [&forward, &forward, &backward.join(" ")].into_iter().enumerate()
        {
            let path = format!("part{}/page-{n}-{copy}.md", n % 4);
            let mut made = passage((&path, "A page", text));
            if n % 3 == 0 {
                "notes".clone_into(&mut made.source);
            }
            passages.push(made);
        }
    }
    let mut questions: Vec<String> = (0..60).map(|_| some(1, 7).join(" ")).collect();
    questions.extend(
        ["unheard-of", "the of", "???", "灯", "HTTPCLIENT fog"].map(String::from),
    );
    Set::new(passages, questions, &["part0", "part1/page-1", "nowhere"])
}

#[tokio::test]
async fn every_question_about_the_manual_is_ranked_alike() {
    manual().await.ranks_alike().await;
}

#[tokio::test]
async fn every_question_about_a_book_that_is_hard_to_rank_is_ranked_alike() {
    drawn().ranks_alike().await;
}

/// Against a real server, when `QDRANT_URL` names one.
#[tokio::test]
async fn a_real_server_ranks_both_sets_as_the_shelf_does() {
    let env = Env::process();
    if env.get("QDRANT_URL").is_some() {
        for set in [manual().await, drawn()] {
            set.ranks_alike_in_a_real_server(&env).await;
        }
    }
}

/// `QUESTION_SETS=set:other cargo test -p tests every_question_of_a_set -- --ignored`: folders
/// with `docs.jsonl` (`id`, `title`, `text`) and `queries.jsonl` (`text`).
#[tokio::test]
#[ignore = "needs the folders of question sets in QUESTION_SETS"]
async fn every_question_of_a_set_is_ranked_alike() {
    let env = Env::process();
    for folder in
        env.get("QUESTION_SETS").expect("QUESTION_SETS names folders").split(':')
    {
        let folder = Path::new(folder);
        let passages = lines(&folder.join("docs.jsonl"));
        let passages = passages
            .iter()
            .map(|it| {
                // A title that is empty is read back from Qdrant as the path.
                let (id, title) = (text(it, "id"), text(it, "title"));
                let title = if title.is_empty() { &id } else { &title };
                passage((&id, title, &text(it, "text")))
            })
            .collect();
        let questions = lines(&folder.join("queries.jsonl"));
        let questions = questions.iter().map(|it| text(it, "text")).collect();
        let set = Set::new(passages, questions, &["a"]);
        set.ranks_alike().await;
        if env.get("QDRANT_URL").is_some() {
            set.ranks_alike_in_a_real_server(&env).await;
        }
    }
}

/// One JSON object a line.
fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(line: &Value, key: &str) -> String {
    line[key].as_str().unwrap().to_owned()
}
