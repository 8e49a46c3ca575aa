//! Both legs of Qdrant, and one order wherever the book lies.

use std::path::Path;

use qdrant_client::qdrant::QueryPoints;
use shared::retrieval::{Filter, Leg, passage, qdrant::Collection, shelf::Shelf};
use tools::ingest::collection::publish;

use super::{Book, QUESTIONS, asked, book_at, foreign, published, settings};

#[tokio::test]
async fn both_legs_go_out_in_one_request_each_with_the_filter() {
    let book = book_at("0123456789abcdef", true);
    let (qdrant, collection) = published(&book).await;
    let (dense, sparse) = asked(QUESTIONS[0]);
    let filter =
        Filter { path_prefix: Some("lamps".into()), source: Some("manual".into()) };
    let found = collection.legs(Some(&dense), &sparse, &filter, 10).await.unwrap();

    assert_eq!(qdrant.methods(), ["Scroll", "QueryBatch"]);
    assert!(
        qdrant.calls().iter().all(|it| it.api_key.as_deref() == Some("key-of-the-house"))
    );
    let batch = qdrant.store(|it| it.batches.pop().unwrap());
    let using = |it: &QueryPoints| it.using.clone().unwrap();
    let names: Vec<_> = batch.query_points.iter().map(using).collect();
    assert_eq!(names, ["dense", "lexical"]);
    for leg in &batch.query_points {
        assert_eq!(leg.filter.as_ref().unwrap().must.len(), 2);
        assert!(leg.limit >= Some(10));
    }
    assert!(!found.dense.is_empty() && !found.lexical.is_empty());
    assert!(found.passages.values().all(|it| it.path.starts_with("lamps/")));

    collection.legs(Some(&dense), &sparse, &Filter::default(), 10).await.unwrap();
    assert_eq!(
        qdrant.methods(),
        ["Scroll", "QueryBatch", "QueryBatch"],
        "learnt only once"
    );
}

#[tokio::test]
async fn a_passage_comes_back_whole() {
    let book = book_at("0123456789abcdef", true);
    let (_qdrant, collection) = published(&book).await;
    let (dense, _) = asked("lamp");
    let found = collection.legs(Some(&dense), &[], &Filter::default(), 50).await.unwrap();
    assert_eq!(found.passages.len(), book.entries.len());
    for entry in &book.entries {
        assert_eq!(found.passages[&entry.passage.id], entry.passage);
    }
    assert_eq!(found.book_version.as_deref(), Some("0123456789abcdef"));
    let info = collection.info().await.unwrap();
    let edition = info.edition.as_ref().unwrap();
    assert_eq!(edition.language, "eng");
    assert!((edition.mean_len - book.header.mean_len).abs() < f32::EPSILON);
}

#[tokio::test]
async fn qdrant_and_the_shelf_rank_alike() {
    let book = book_at("0123456789abcdef", true);
    let (_qdrant, collection) = published(&book).await;
    agree(&book, &collection).await;
}

/// The same ids in the same order from both, leg by leg, and scores that agree to 1e-4.
async fn agree(book: &Book, collection: &Collection) {
    let shelf = Shelf::open(Path::new(book.shelf())).unwrap();
    let parts = [None, Some("sea"), Some("lamps/gas"), Some("nowhere")];
    for (question, part) in QUESTIONS.iter().flat_map(|q| parts.map(|part| (q, part))) {
        let filter = Filter { path_prefix: part.map(str::to_owned), source: None };
        let (dense, sparse) = asked(question);
        // One cuts between the twins, which only their ids tell apart.
        for limit in [1, 3, 50] {
            let there =
                collection.legs(Some(&dense), &sparse, &filter, limit).await.unwrap();
            let here = shelf.dense(&dense, &filter, limit);
            alike(&there.dense, &here, &format!("dense, {question}, {part:?}"));
            let here = shelf.lexical(&sparse, &filter, limit);
            alike(&there.lexical, &here, &format!("lexical, {question}, {part:?}"));
        }
    }
}

fn alike(there: &Leg, here: &Leg, what: &str) {
    assert_eq!(there.len(), here.len(), "{what}");
    for (place, (one, other)) in there.iter().zip(here).enumerate() {
        assert_eq!(one.0, other.0, "{what}, place {place}: {one:?} {other:?}");
        assert!((one.1 - other.1).abs() < 1e-4, "{what}: {one:?} {other:?}");
    }
}

#[tokio::test]
async fn a_version_switched_between_two_questions_is_named_with_its_passages() {
    let old = book_at("0123456789abcdef", true);
    let (qdrant, collection) = published(&old).await;
    let (dense, sparse) = asked(QUESTIONS[0]);
    let version = async || {
        let found = collection.legs(Some(&dense), &sparse, &Filter::default(), 5).await;
        found.unwrap().book_version.unwrap()
    };
    assert_eq!(version().await, "0123456789abcdef");
    let new = book_at("fedcba9876543210", true);
    publish(&settings(&qdrant), &new.header, &new.entries).await.unwrap();
    assert_eq!(version().await, "fedcba9876543210");
    let info = collection.info().await.unwrap();
    assert_eq!(info.edition.as_ref().unwrap().version, "fedcba9876543210");
}

#[tokio::test]
async fn a_book_without_embeddings_is_asked_for_its_words_alone() {
    let book = book_at("0123456789abcdef", false);
    let (qdrant, collection) = published(&book).await;
    let (dense, sparse) = asked(QUESTIONS[0]);
    let found =
        collection.legs(Some(&dense), &sparse, &Filter::default(), 5).await.unwrap();
    assert!(found.dense.is_empty() && !found.lexical.is_empty());
    assert_eq!(qdrant.store(|it| it.batches.pop().unwrap().query_points.len()), 1);
}

#[tokio::test]
async fn a_collection_of_somebody_else_is_read_by_meaning_and_never_written() {
    let qdrant = foreign();
    let collection = Collection::from_env(&settings(&qdrant)).unwrap();
    let (dense, sparse) = asked("robots sense");
    let ask = async || {
        collection.legs(Some(&dense), &sparse, &Filter::default(), 2).await.unwrap()
    };
    let found = ask().await;
    let again = ask().await;
    assert_eq!(found.dense.len(), 2);
    assert_eq!(found.dense, again.dense, "the same ids for the same numbers");
    assert!(found.lexical.is_empty());
    assert_eq!(found.book_version, None);
    assert_eq!(found.passages[&found.dense[0].0].text, "Robots sense and act.");
    assert!(collection.info().await.unwrap().edition.is_none());
    let reads = ["Scroll", "QueryBatch"];
    assert!(qdrant.methods().iter().all(|it| reads.contains(&it.as_str())));
    let batch = qdrant.store(|it| it.batches.pop().unwrap());
    assert_eq!(batch.query_points[0].using, None, "the unnamed vector");
}

#[test]
fn prefixes_in_the_payload_are_the_ones_that_a_filter_asks_for() {
    assert!(passage::prefixes("sea/fog.md").contains(&"sea".to_owned()));
}
