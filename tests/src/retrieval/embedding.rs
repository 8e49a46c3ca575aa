//! Asking an embeddings endpoint, over the wire.

use serde_json::json;
use shared::{Error, config::Env, retrieval::embed::Embedder};

use super::{reqwest, unit};
use crate::support::embeddings;

fn embedder(vectors: &embeddings::Fake) -> Embedder {
    let env =
        Env::from([("EMBEDDING_MODEL", "words"), ("EMBEDDING_API_KEY", "secret-key")])
            .with("EMBEDDING_BASE_URL", &vectors.url());
    Embedder::from_env(&env, reqwest()).unwrap().unwrap()
}

#[tokio::test]
async fn passages_are_embedded_in_batches_and_in_order() {
    let vectors = embeddings::Fake::start();
    let texts: Vec<_> = (0..200).map(|it| format!("passage {it}")).collect();
    let found = embedder(&vectors).passages(&texts).await.unwrap();
    let sizes: Vec<_> = vectors.calls().iter().map(|it| it.texts.len()).collect();
    assert_eq!(sizes, [96, 96, 8]);
    assert_eq!(found.len(), texts.len());
    for (text, vector) in texts.iter().zip(&found) {
        for (one, other) in vector.iter().zip(unit(&embeddings::vector(text))) {
            assert!((one - other).abs() < 1e-6, "{text}");
        }
    }
    let first = &vectors.calls()[0];
    assert_eq!(first.authorization.as_deref(), Some("Bearer secret-key"));
    assert_eq!(first.model, "words");
}

#[tokio::test]
async fn an_ingest_asks_a_busy_provider_again_and_a_reader_does_not_wait() {
    let vectors = embeddings::Fake::start();
    let embedder = embedder(&vectors);
    let busy =
        json!({ "error": { "code": "rate_limit_exceeded", "message": "slow down" } });
    vectors.then(429, Some("0"), busy.clone());
    vectors.then(503, Some("0"), json!({}));
    embedder.passages(&["text".to_owned()]).await.unwrap();
    assert_eq!(vectors.calls().len(), 3);

    vectors.then(429, Some("0"), busy);
    let chain = embedder.question("text").await.unwrap_err().chain();
    assert_eq!(vectors.calls().len(), 4);
    assert_eq!(chain, "embeddings is unavailable: status 429, rate_limit_exceeded");
}

#[tokio::test]
async fn a_refused_key_ends_an_ingest_at_once_and_is_never_repeated() {
    let mut vectors = embeddings::Fake::start();
    let embedder = embedder(&vectors);
    let told =
        json!({ "error": { "code": "invalid_api_key", "message": "secret-key?" } });
    vectors.then(401, Some("0"), told);
    let chain = embedder.passages(&["text".to_owned()]).await.unwrap_err().chain();
    assert_eq!(vectors.calls().len(), 1);
    assert_eq!(chain, "embeddings is unavailable: status 401, invalid_api_key");

    let port = vectors.url();
    vectors.stop();
    let chain = embedder.question("a private question").await.unwrap_err().chain();
    for secret in ["secret-key", "private", port.as_str()] {
        assert!(!chain.contains(secret), "{chain}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_what_was_asked_for_is_an_error() {
    let vectors = embeddings::Fake::start();
    let embedder = embedder(&vectors);
    for body in [
        json!({ "data": [] }),
        json!({ "data": [{ "index": 0, "embedding": [0.0, 0.0] }] }),
        json!({ "data": [{ "index": 0, "embedding": ["0.1"] }] }),
        json!({ "embeddings": [[1.0]] }),
        json!("ok"),
    ] {
        vectors.then(200, None, body.clone());
        let found = embedder.question("text").await;
        let is_down =
            matches!(found, Err(Error::Unavailable { service: "embeddings", .. }));
        assert!(is_down, "{body}");
    }
}
