//! `POST /api/v1/rag/query`, through its door.

use serde_json::{Value, json};
use shared::config::Env;

use crate::{
    retrieval::{Book, book_at},
    support::{self, embeddings, qdrant},
};

const PATH: &str = "/api/v1/rag/query";

/// A bundle with a shelf of its own, open to guests.
fn bundle(book: &Book) -> Env {
    Env::from([("ALLOW_GUESTS", "yes"), ("BOOK_BASE_URL", "https://book.example/")])
        .with("BOOK_SHELF", book.shelf())
}

async fn ask(env: Env, body: Value) -> support::Reply {
    support::call(&support::router(env), "POST", PATH, &[], body).await
}

#[tokio::test]
async fn a_question_gets_passages_with_their_place_in_the_book() {
    let book = book_at("v1", false);
    let reply =
        ask(bundle(&book), json!({ "query": " Which lantern burns oil? " })).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let mut answer = reply.json();
    answer["results"].as_array_mut().unwrap().truncate(1);
    insta::assert_json_snapshot!(answer, {
        ".took_ms.embed" => "[ms]",
        ".took_ms.search" => "[ms]",
        ".results[].id" => "[id]",
        ".results[].score" => insta::rounded_redaction(4),
        ".results[].scores.lexical" => "[bm25]",
    }, @r#"
    {
      "book_version": "v1",
      "degraded": [],
      "query": " Which lantern burns oil? ",
      "results": [
        {
          "end": 62,
          "id": "[id]",
          "path": "lamps/oil.md",
          "score": 0.0164,
          "scores": {
            "lexical": "[bm25]"
          },
          "start": 10,
          "text": "An oil lantern burns lamp oil through a cotton wick.",
          "title": "Lamps > Oil",
          "url": "https://book.example/lamps/oil.html#here"
        }
      ],
      "took_ms": {
        "embed": "[ms]",
        "search": "[ms]"
      }
    }
    "#);
}

#[tokio::test]
async fn the_answer_is_the_same_twice() {
    let book = book_at("v1", false);
    let body = json!({ "query": "lamp oil", "top_k": 50, "unknown": { "field": 1 } });
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut answer = ask(bundle(&book), body.clone()).await.json();
        answer["took_ms"].take();
        answers.push(answer);
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0]["results"].as_array().unwrap().len() > 3);
}

#[tokio::test]
async fn a_filter_keeps_to_a_part_of_the_book() {
    let book = book_at("v1", false);
    let paths = async |filter: Value| {
        let body = json!({ "query": "lamp oil sea", "top_k": 50, "filter": filter });
        let answer = ask(bundle(&book), body).await.json();
        let results = answer["results"].as_array().unwrap().clone();
        results
            .iter()
            .map(|it| it["path"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(paths(Value::Null).await.iter().any(|it| !it.starts_with("sea/")));
    let sea = paths(json!({ "path_prefix": "sea" })).await;
    assert!(!sea.is_empty() && sea.iter().all(|it| it.starts_with("sea/")), "{sea:?}");
    assert!(paths(json!({ "path_prefix": "se" })).await.is_empty());
    assert!(paths(json!({ "source": "another" })).await.is_empty());
}

#[tokio::test]
async fn every_mode_says_which_scores_it_has() {
    let vectors = embeddings::Fake::start();
    let book = book_at("v1", true);
    let env = bundle(&book)
        .with("EMBEDDING_BASE_URL", &vectors.url())
        .with("EMBEDDING_MODEL", "words");
    for (mode, dense, lexical) in
        [("hybrid", true, true), ("dense", true, false), ("lexical", false, true)]
    {
        let body = json!({ "query": "Which lantern burns oil?", "mode": mode });
        let answer = ask(env.clone(), body).await.json();
        let scores = &answer["results"][0]["scores"];
        assert_eq!(scores["dense"].is_number(), dense, "{mode}: {answer}");
        assert_eq!(scores["lexical"].is_number(), lexical, "{mode}: {answer}");
        assert_eq!(answer["degraded"], json!([]), "{mode}");
    }
    assert_eq!(vectors.calls().len(), 2, "one for each mode that needs it");
}

#[tokio::test]
async fn each_fault_in_the_body_gets_its_documented_answer() {
    let book = book_at("v1", false);
    let long = "ö".repeat(4001);
    let cases = [
        (json!({}), 422, "query"),
        (json!({ "query": "" }), 422, "query"),
        (json!({ "query": long }), 422, "query"),
        (json!({ "query": 7 }), 422, "query"),
        (json!({ "query": "q", "top_k": 0 }), 422, "top_k"),
        (json!({ "query": "q", "top_k": 51 }), 422, "top_k"),
        (json!({ "query": "q", "top_k": 2.5 }), 422, "top_k"),
        (json!({ "query": "q", "mode": "semantic" }), 422, "mode"),
        (json!({ "query": "q", "filter": "ch04" }), 422, "filter"),
        (json!({ "query": "q", "filter": { "path": "ch04" } }), 422, "filter"),
        (json!({ "query": "q", "history": "earlier" }), 422, "history"),
        (json!(["q"]), 422, ""),
    ];
    for (body, status, field) in cases {
        let reply = ask(bundle(&book), body.clone()).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text);
        assert_eq!(reply.headers["content-type"], "application/problem+json");
        let named = reply.json()["errors"][0]["field"].as_str().unwrap().to_owned();
        assert!(named.starts_with(field), "{body} names {named}");
    }
}

#[tokio::test]
async fn text_that_looks_like_sql_or_html_is_a_question_like_any() {
    let book = book_at("v1", false);
    for query in ["'; drop table users; --", "<script>alert(1)</script>", "((((", "\u{0}"]
    {
        let reply = ask(bundle(&book), json!({ "query": query })).await;
        assert_eq!(reply.status, 200, "{query:?}: {}", reply.text);
        assert_eq!(reply.json()["query"], query);
    }
}

#[tokio::test]
async fn a_stranger_is_refused_where_guests_are_not_let_in() {
    let book = book_at("v1", false);
    let env = bundle(&book).with("ALLOW_GUESTS", "no");
    let env = env.with("INTERNAL_API_KEY", "a-key-of-the-house-0123456789");
    let router = support::router(env);
    let asked = json!({ "query": "lamp" });
    let bare = support::call(&router, "POST", PATH, &[], asked.clone()).await;
    assert_eq!(bare.status, 401);
    let key = [("x-api-key", "a-key-of-the-house-0123456789")];
    let internal = support::call(&router, "POST", PATH, &key, asked.clone()).await;
    assert_eq!(internal.status, 200, "{}", internal.text);
    let wrong = [("x-api-key", "another")];
    assert_eq!(support::call(&router, "POST", PATH, &wrong, asked).await.status, 401);
}

#[tokio::test]
async fn without_any_book_the_answer_is_an_honest_503() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("none.shelf");
    let env = Env::from([("ALLOW_GUESTS", "yes")])
        .with("BOOK_SHELF", nowhere.to_str().unwrap());
    let reply = ask(env, json!({ "query": "lamp" })).await;
    assert_eq!(reply.status, 503, "{}", reply.text);
    assert!(!reply.text.contains("none.shelf"), "{}", reply.text);
}

#[tokio::test]
async fn with_qdrant_down_the_shelf_answers_and_says_so() {
    let mut qdrant = qdrant::Fake::start();
    qdrant.stop();
    let book = book_at("v1", false);
    let env = bundle(&book).with("QDRANT_URL", &qdrant.url());
    let asked = json!({ "query": "lamp oil" });
    let answer = ask(env.clone(), asked.clone()).await.json();
    assert_eq!(answer["degraded"], json!(["qdrant"]));
    assert!(!answer["results"].as_array().unwrap().is_empty());

    let alone = env.with("BOOK_SHELF", "/nowhere/book.shelf");
    let reply = ask(alone, asked).await;
    assert_eq!((reply.status, reply.json()["code"].as_str()), (503, Some("unavailable")));
    assert!(!reply.text.contains("127.0.0.1"), "{}", reply.text);
}

#[tokio::test]
async fn a_collection_that_lectern_did_not_write_has_no_book_version_and_no_path_filter()
{
    let vectors = embeddings::Fake::start();
    let qdrant = crate::retrieval::foreign();
    let env = Env::from([("ALLOW_GUESTS", "yes"), ("EMBEDDING_MODEL", "words")])
        .with("QDRANT_URL", &qdrant.url())
        .with("EMBEDDING_BASE_URL", &vectors.url())
        .with("BOOK_SHELF", "/nowhere/book.shelf");
    let answer = ask(env.clone(), json!({ "query": "robots sense" })).await.json();
    let first = &answer["results"][0];
    assert_eq!(first["text"], "Robots sense and act.", "{answer}");
    assert_eq!(first["title"], "Robots > Sensing");
    assert_eq!(first["path"], "docs/01-intro.md");
    assert!(answer.get("book_version").is_none(), "{answer}");
    assert!(first.get("url").is_none(), "{answer}");

    let filtered = json!({ "query": "robots", "filter": { "path_prefix": "docs" } });
    let reply = ask(env, filtered).await;
    assert_eq!(reply.status, 422, "{}", reply.text);
    assert_eq!(reply.json()["errors"][0]["field"], "filter.path_prefix");
}

/// A reranker on loopback that likes the last passage best; what it was sent is kept.
async fn reranker() -> (String, std::sync::Arc<std::sync::Mutex<Vec<Value>>>) {
    use axum::{Json, Router, extract::State, routing::post};
    type Sent = std::sync::Arc<std::sync::Mutex<Vec<Value>>>;
    async fn rerank(State(sent): State<Sent>, Json(body): Json<Value>) -> Json<Value> {
        let count = body["documents"].as_array().unwrap().len();
        let result = |at| json!({ "index": at, "relevance_score": at as f64 / 100.0 });
        sent.lock().unwrap().push(body);
        Json(json!({ "results": (0..count).map(result).collect::<Vec<_>>() }))
    }
    let sent = Sent::default();
    let app = Router::new().route("/v2/rerank", post(rerank)).with_state(sent.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v2/rerank", listener.local_addr().unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async { axum::serve(listener, app).await.unwrap() });
    tasks.detach_all();
    (url, sent)
}

fn ids(reply: &support::Reply) -> Vec<Value> {
    let answer = reply.json();
    answer["results"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect()
}

#[tokio::test]
async fn a_reranker_has_the_last_word_while_it_is_there() {
    let book = book_at("v1", false);
    let body = json!({ "query": "Which lantern burns oil?", "top_k": 50 });
    let fused = ask(bundle(&book), body.clone()).await;
    assert!(ids(&fused).len() > 1, "{}", fused.text);

    let (url, sent) = reranker().await;
    let env = bundle(&book).with("RERANK_URL", &url).with("RERANK_MODEL", "m");
    let reranked = ask(env.clone(), body.clone()).await;
    let backwards: Vec<_> = ids(&fused).into_iter().rev().collect();
    assert_eq!(ids(&reranked), backwards);
    assert_eq!(reranked.json()["degraded"], json!([]));
    assert_eq!(sent.lock().unwrap()[0]["query"], "Which lantern burns oil?");

    // One leg alone is that leg's own ranking.
    let words = json!({ "query": "oil", "mode": "lexical" });
    assert_eq!(ask(env, words).await.status, 200);
    assert_eq!(sent.lock().unwrap().len(), 1);

    let down = bundle(&book).with("RERANK_URL", "http://127.0.0.1:1/rerank");
    let fallen = ask(down.with("RERANK_MODEL", "m"), body).await;
    assert_eq!(ids(&fallen), ids(&fused));
    assert_eq!(fallen.json()["degraded"], json!(["reranker"]));
}
