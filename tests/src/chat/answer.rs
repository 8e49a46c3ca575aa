//! What an answer is: its text, its citations, and when there is none.

use serde_json::json;
use uuid::Uuid;

use super::{CHAT, STREAM, ask, last, logged, question};
use crate::support::{
    book,
    house::{self, OIL, asking},
    model::{Fake, Reply as Said},
};

#[tokio::test]
async fn without_a_model_the_best_passages_are_quoted_and_linked() {
    let (env, _) = house::bundle(&[]).await;
    let reply = ask(&env, CHAT, question(OIL)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    insta::assert_json_snapshot!(reply.json(), {
        ".response.message_id" => "[id]",
        ".response.timestamp" => "[time]",
        ".response.book_version" => "[version]",
        ".response.sources[].id" => "[id]",
        ".response.sources[].score" => insta::rounded_redaction(4),
    });
    for source in reply.json()["response"]["sources"].as_array().unwrap() {
        let (start, end) =
            (source["start"].as_u64().unwrap(), source["end"].as_u64().unwrap());
        let path = source["path"].as_str().unwrap();
        assert_eq!(book::slice(path, start, end), source["quote"].as_str().unwrap());
    }
}

#[tokio::test]
async fn a_stream_tells_the_answer_piece_by_piece_and_then_whole() {
    let (env, _) = house::bundle(&[]).await;
    let reply = ask(&env, STREAM, question(OIL)).await;
    let whole = last(&reply);
    let id = reply.headers["x-message-id"].to_str().unwrap();
    assert_eq!(whole["message_id"], id);
    assert_eq!(Uuid::parse_str(id).unwrap().get_version_num(), 7);
    assert_eq!(whole.get("conversation_id"), None);
    assert_eq!(whole.get("saved"), None);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(reply.headers[name], value);
    }
}

#[tokio::test]
async fn numbers_that_point_to_nothing_never_leave() {
    let (env, _) = house::bundle(&[]).await;
    let model = Fake::start();
    model.reply(Said::says(&[
        "Every four hours [",
        "1",
        "] [9",
        "9].",
        " Really [1][77].",
    ]));
    let whole = last(&ask(&asking(env, &model), STREAM, question(OIL)).await);
    assert_eq!(whole["content"], "Every four hours [1] . Really [1].");
    assert_eq!(whole["sources"].as_array().unwrap().len(), 1);
    assert_eq!(whole["sources"][0]["n"], 1);
    let quote = whole["sources"][0]["quote"].as_str().unwrap();
    assert!(quote.contains("every four hours"), "{quote}");
    assert_eq!(whole["unsupported"], false);
    assert_eq!(whole["usage"]["estimated"], false);
}

#[tokio::test]
async fn an_answer_without_a_citation_is_unsupported() {
    let (env, url) = house::bundle(&[]).await;
    let model = Fake::start();
    model.reply(Said::says(&["I just know [42]."]));
    let whole = last(&ask(&asking(env, &model), STREAM, question(OIL)).await);
    assert_eq!(whole["unsupported"], true);
    assert_eq!(whole["sources"], json!([]));
    assert_eq!(logged(&url, "metadata->>'reason'").await, "no_valid_citation");
}

#[tokio::test]
async fn a_refusal_has_no_sources_and_its_signal_never_leaves() {
    let (env, url) = house::bundle(&[]).await;
    let model = Fake::start();
    model.reply(Said::says(&["NOT_IN", "_THE_BOOK", " [1]"]));
    let reply = ask(&asking(env, &model), STREAM, question("Is the wick of silk?")).await;
    let whole = last(&reply);
    assert_eq!(whole["refused"], true);
    assert_eq!(whole["sources"], json!([]));
    assert!(!reply.text.contains("NOT_IN"), "{}", reply.text);
    assert_eq!(logged(&url, "metadata->>'reason'").await, "model_refused");
}

#[tokio::test]
async fn a_question_that_finds_nothing_asks_no_model() {
    let (env, _) = house::bundle(&[]).await;
    let model = Fake::start();
    let whole = last(&ask(&asking(env, &model), STREAM, question("zzzz qqqq")).await);
    assert_eq!(whole["refused"], true);
    assert!(model.requests().is_empty());
}

#[tokio::test]
async fn a_question_that_the_book_hardly_covers_can_be_refused() {
    let (env, url) = house::bundle(&[]).await;
    let text = "Which wick suits a submarine reactor of plutonium?";
    assert_eq!(last(&ask(&env, STREAM, question(text)).await)["refused"], false);
    let strict = env.with("MIN_COVERAGE", "0.5");
    let refused = last(&ask(&strict, STREAM, question(text)).await);
    assert_eq!(refused["refused"], true);
    assert_eq!(refused["sources"], json!([]));
    assert!(refused["content"].as_str().unwrap().contains("https://book.example/"));
    assert_eq!(logged(&url, "metadata->>'reason'").await, "low_coverage");
    assert_eq!(last(&ask(&strict, STREAM, question(OIL)).await)["refused"], false);
}
