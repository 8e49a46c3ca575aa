//! Writing a version of the book to Qdrant: whole or not at all, and nothing of others'.

use qdrant_client::qdrant::CreateCollectionBuilder;
use shared::retrieval::{Filter, qdrant::Collection};
use tonic::Code;
use tools::ingest::collection::publish;

use super::{Book, asked, book_at, foreign, published, settings};
use crate::support::qdrant;

#[tokio::test]
async fn publishing_makes_indexes_and_switches_the_alias() {
    let book = book_at("0123456789abcdef", true);
    let (qdrant, _) = published(&book).await;
    qdrant.store(|it| {
        assert_eq!(it.aliases["book"], "book-0123456789abcdef");
        let made = &it.collections["book-0123456789abcdef"];
        assert_eq!(made.indexes, ["path_prefixes", "source"]);
        assert_eq!(made.points.len(), book.entries.len());
    });
}

#[tokio::test]
async fn publishing_the_same_version_again_writes_nothing() {
    let book = book_at("0123456789abcdef", true);
    let (qdrant, _) = published(&book).await;
    publish(&settings(&qdrant), &book.header, &book.entries).await.unwrap();
    let writes = ["Create", "Upsert", "UpdateAliases", "Delete"];
    assert!(!qdrant.methods().iter().any(|it| writes.contains(&it.as_str())));
}

#[tokio::test]
async fn older_versions_go_and_collections_of_others_stay() {
    let old = book_at("0123456789abcdef", false);
    let (qdrant, _) = published(&old).await;
    let others = ["book-notes", "book-de-0123456789abcdef", "shop-0123456789abcdef"];
    qdrant.store(|it| {
        for name in others {
            it.create(CreateCollectionBuilder::new(name).build()).unwrap();
        }
    });
    let new = book_at("fedcba9876543210", false);
    publish(&settings(&qdrant), &new.header, &new.entries).await.unwrap();
    qdrant.store(|it| {
        assert!(!it.collections.contains_key("book-0123456789abcdef"));
        assert!(it.collections.contains_key("book-fedcba9876543210"));
        assert!(others.iter().all(|name| it.collections.contains_key(*name)));
    });
}

#[tokio::test]
async fn killed_at_any_call_an_ingest_leaves_a_whole_version_and_the_next_one_finishes() {
    let old = book_at("0123456789abcdef", false);
    let new = book_at("fedcba9876543210", false);
    let mut killed = 0;
    for calls in 0.. {
        let (qdrant, _) = published(&old).await;
        let env = settings(&qdrant);
        qdrant.fail_after(calls, Code::PermissionDenied, "killed");
        let finished = publish(&env, &new.header, &new.entries).await.is_ok();
        qdrant.recover();
        // A fresh process asks for what is served now.
        let collection = Collection::from_env(&env).unwrap();
        let (_, sparse) = asked("lamp");
        let found = collection.legs(None, &sparse, &Filter::default(), 50).await.unwrap();
        let version = found.book_version.unwrap();
        let count = qdrant.store(|it| it.collection("book").unwrap().points.len());
        assert_eq!(count, old.entries.len(), "{version} is whole after {calls} calls");
        if finished {
            assert_eq!(version, "fedcba9876543210");
            break;
        }
        killed += 1;
        publish(&env, &new.header, &new.entries).await.unwrap();
        qdrant.store(|it| {
            assert_eq!(it.aliases["book"], "book-fedcba9876543210");
            assert_eq!(
                it.collections.len(),
                1,
                "nothing is left behind after {calls} calls"
            );
        });
    }
    assert!(killed >= 8, "{killed} ways to be killed");
}

#[tokio::test]
async fn entries_that_do_not_fit_are_refused_before_anything_is_written() {
    let qdrant = qdrant::Fake::start();
    let refused = async |book: &Book| {
        let outcome = publish(&settings(&qdrant), &book.header, &book.entries).await;
        outcome.unwrap_err().to_string()
    };
    let mut book = book_at("0123456789abcdef", true);
    book.entries[5].dense = Some(vec![1.0; 7]);
    assert!(refused(&book).await.contains("sea/fog.md: a vector of 7 numbers"));
    let mut book = book_at("0123456789abcdef", true);
    book.entries[5].dense = None;
    assert!(refused(&book).await.contains("a vector of 0 numbers in a book of 32"));
    let mut book = book_at("0123456789abcdef", true);
    book.entries.push(book.entries[0].clone());
    assert!(refused(&book).await.contains("same id"));
    book.entries.clear();
    assert!(refused(&book).await.contains("empty"));
    assert!(qdrant.calls().is_empty(), "{:?}", qdrant.calls());
}

#[tokio::test]
async fn a_plain_collection_of_the_aliass_name_is_left_alone() {
    let qdrant = foreign();
    let book = book_at("0123456789abcdef", false);
    let outcome = publish(&settings(&qdrant), &book.header, &book.entries).await;
    let why = outcome.unwrap_err().to_string();
    assert!(why.starts_with("QDRANT_COLLECTION: \"book\" is a collection"), "{why}");
    assert_eq!(qdrant.methods(), ["List"]);
}
