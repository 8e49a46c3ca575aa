//! What is asked: odd, wrong, or by somebody who may not.

use serde_json::json;

use super::{CHAT, STREAM, ask, logged, question};
use crate::support::{
    self, database,
    house::{self, OIL},
};

#[tokio::test]
async fn text_that_looks_like_code_is_answered_like_any_text() {
    let (env, url) = house::bundle(&[]).await;
    for text in [
        "'; drop table users; -- wick",
        "<script>alert(1)</script> wick",
        "what does `--release` do to the wick?",
        "wick ${HOME} {{x}} %s \\",
        "wick 🕯\u{202e}\u{200b}",
    ] {
        let reply = ask(&env, CHAT, question(text)).await;
        assert_eq!(reply.status, 200, "{text}: {}", reply.text);
        assert_eq!(logged(&url, "request_content").await, text);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said_by_field() {
    let (env, url) = house::bundle(&[]).await;
    let long = "x".repeat(4001);
    for (body, field) in [
        (json!({}), "message"),
        (json!({ "message": {} }), "message.content"),
        (json!({ "message": { "content": 7 } }), "message.content"),
        (question("  "), "message.content"),
        (question(&long), "message.content"),
        (question("a\0b"), "message.content"),
        (json!({ "query_text": "" }), "query_text"),
        (json!({ "query_text": "x", "message": { "content": "x" } }), "query_text"),
        (json!({ "query_text": "x", "context_mode": "page" }), "context_mode"),
        (json!({ "query_text": "x", "context_mode": "selected-text" }), "selected_text"),
        (
            json!({ "query_text": "x", "context_mode": "selected-text",
                    "selected_text": "y".repeat(8001) }),
            "selected_text",
        ),
        (
            json!({ "query_text": "x",
                    "history": vec![json!({ "role": "user", "content": "y" }); 11] }),
            "history",
        ),
        (
            json!({ "query_text": "x", "history": [{ "role": "system", "content": "y" }] }),
            "history[0].role",
        ),
    ] {
        for path in [CHAT, STREAM] {
            let reply = ask(&env, path, body.clone()).await;
            assert_eq!(reply.status, 422, "{body}: {}", reply.text);
            assert_eq!(reply.json()["errors"][0]["field"], field, "{}", reply.text);
            assert_eq!(reply.headers["content-type"], "application/problem+json");
        }
    }
    let db = database::client(&url).await;
    assert_eq!(database::count(&db, "select count(*) from interaction_logs").await, 0);
}

#[tokio::test]
async fn strangers_stay_out_and_nobody_speaks_for_another() {
    let (signing, _) = house::bundle(&[]).await;
    let env = signing.clone().with("JWT_SECRET_KEY", "");
    let closed = env.clone().with("ALLOW_GUESTS", "0");
    for (env, headers, status) in [
        (&closed, vec![], 401),
        (&env, vec![("authorization", "Bearer nonsense")], 503),
        (&env, vec![("x-api-key", "wrong")], 401),
        (&env, vec![("authorization", "Basic x")], 503),
    ] {
        for path in [CHAT, STREAM, "/api/v1/rag/query"] {
            let router = support::router((*env).clone());
            let reply =
                support::call(&router, "POST", path, &headers, question(OIL)).await;
            assert_eq!(reply.status, status, "{path} {headers:?}: {}", reply.text);
        }
    }
    let headers = [("authorization", "Bearer nonsense")];
    let router = support::router(signing);
    let reply = support::call(&router, "POST", CHAT, &headers, question(OIL)).await;
    assert_eq!(reply.status, 401, "{}", reply.text);
}
