//! What a reader gets while Qdrant or the embeddings are down, and what the log says.

use std::time::Duration;

use shared::{
    Error,
    config::Env,
    retrieval::{Filter, Mode, qdrant::Collection},
};
use tonic::Code;

use super::{QUESTIONS, book_at, find, published, settings};
use crate::support::embeddings;

#[tokio::test]
async fn with_embeddings_down_the_words_still_find_passages() {
    let mut vectors = embeddings::Fake::start();
    vectors.stop();
    let book = book_at("0123456789abcdef", true);
    let (qdrant, _) = published(&book).await;
    let shelf = Env::from([("EMBEDDING_MODEL", "words")])
        .with("EMBEDDING_BASE_URL", &vectors.url())
        .with("BOOK_SHELF", book.shelf());
    let both = shelf.clone().with("QDRANT_URL", &qdrant.url());
    for env in [shelf, both] {
        let found = find(&env, QUESTIONS[0], Mode::Hybrid).await.unwrap();
        assert_eq!(found.degraded, ["embeddings"]);
        assert_eq!(found.hits[0].passage.title, "Lamps > Oil");
        assert!(found.hits.iter().all(|it| it.dense.is_none() && it.lexical.is_some()));
    }
}

#[tokio::test]
async fn whatever_qdrant_fails_with_the_shelf_answers() {
    let book = book_at("0123456789abcdef", false);
    let (qdrant, _) = published(&book).await;
    let env = settings(&qdrant).with("BOOK_SHELF", book.shelf());
    for code in [Code::Unavailable, Code::Unauthenticated, Code::NotFound, Code::Internal]
    {
        qdrant.fail(code, "no");
        let found = find(&env, QUESTIONS[0], Mode::Hybrid).await.unwrap();
        assert_eq!(found.degraded, ["qdrant"], "{code:?}");
        assert_eq!(found.hits[0].passage.title, "Lamps > Oil");
        qdrant.recover();
        let found = find(&env, QUESTIONS[0], Mode::Hybrid).await.unwrap();
        assert!(found.degraded.is_empty(), "{code:?}");
    }
}

#[tokio::test]
async fn a_failure_is_logged_by_code_and_never_with_an_address_or_a_key() {
    let book = book_at("0123456789abcdef", false);
    let (mut qdrant, collection) = published(&book).await;
    qdrant.fail(Code::PermissionDenied, "read only");
    let chain = collection.check().await.unwrap_err().chain();
    assert_eq!(chain, "qdrant is unavailable: PermissionDenied: read only");
    qdrant.stop();
    let fresh = Collection::from_env(&settings(&qdrant)).unwrap();
    let chain = fresh.check().await.unwrap_err().chain();
    assert_eq!(chain, "qdrant is unavailable: cannot connect");
}

#[tokio::test]
async fn a_connection_that_was_lost_is_made_again() {
    let book = book_at("0123456789abcdef", false);
    let (mut qdrant, collection) = published(&book).await;
    collection.check().await.unwrap();
    qdrant.restart();
    collection.check().await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_down() {
    let book = book_at("0123456789abcdef", false);
    let (qdrant, collection) = published(&book).await;
    qdrant.delay(Duration::from_mins(1));
    let failure = collection.check().await.unwrap_err();
    assert!(matches!(failure, Error::Unavailable { service: "qdrant", .. }));
}

#[tokio::test]
async fn another_tokenisers_collection_is_not_asked() {
    let mut book = book_at("0123456789abcdef", false);
    book.header.tokeniser += 1;
    let (_qdrant, collection) = published(&book).await;
    let failure = collection.info().await.unwrap_err();
    assert!(failure.chain().contains("ingest again"), "{}", failure.chain());
}

#[tokio::test]
async fn a_question_of_another_dimension_names_the_setting() {
    let book = book_at("0123456789abcdef", true);
    let (_qdrant, collection) = published(&book).await;
    let failure = collection.legs(Some(&[1.0, 0.0]), &[], &Filter::default(), 5).await;
    assert!(matches!(failure, Err(Error::Misconfigured("EMBEDDING_MODEL"))));
}
