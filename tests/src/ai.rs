//! `/api/ai/…`, as a server in front of an older backend calls it.

use insta::assert_json_snapshot;
use serde_json::{Value, json};
use shared::config::Env;

use crate::support::{
    self, Reply,
    house::{self, FRONT, OIL},
    model::{Fake, Reply as Said},
};

const CHAT: &str = "/api/ai/chat";
const START: &str = "/api/ai/start-conversation";
const ADA: &str = "2f1a4d4e-8c36-4c5c-9b1b-6a3b6a4a1b2c";

/// A bundle without guests, whose model says one sentence.
async fn bundle() -> Env {
    house::scripted(
        house::bundle(&[("ALLOW_GUESTS", "")]).await.0,
        "Every four hours [1].",
    )
}

async fn send(env: &Env, path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
    support::call(&support::router(env.clone()), "POST", path, headers, body).await
}

/// As the server in front; it must succeed.
async fn post(env: &Env, path: &str, body: Value) -> Value {
    let reply = send(env, path, &[FRONT], body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()
}

async fn greeting(env: &Env, body: Value) -> String {
    let begun = post(env, START, body).await;
    begun["ai_response"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_conversation_begins_with_a_greeting_and_goes_on_with_answers() {
    let env = bundle().await;
    let begun = post(&env, START, json!({ "client_user_id": ADA })).await;
    assert_json_snapshot!(begun, { ".conversation_id" => "[id]" }, @r#"
    {
      "ai_response": "Hello! What would you like to know about the book?",
      "conversation_id": "[id]",
      "meta": {
        "model": "none"
      },
      "usage": {}
    }
    "#);
    let id = begun["conversation_id"].clone();
    let body =
        json!({ "conversation_id": id, "user_message": OIL, "client_user_id": ADA });
    let answer = post(&env, CHAT, body).await;
    assert_eq!(answer["conversation_id"], id);
    assert_json_snapshot!("an_answer_with_what_its_meta_tells", answer, {
        ".conversation_id" => "[id]",
        ".meta.message_id" => "[id]",
        ".meta.sources[].id" => "[id]",
        ".meta.sources[].score" => insta::rounded_redaction(4),
        ".usage.prompt" => "[count]",
        ".usage.completion" => "[count]",
        ".usage.total" => "[count]",
    });

    // The history has it, as in every other protocol, and the greeting is no part of it.
    let path =
        format!("/api/conversations/{}?client_user_id={ADA}", id.as_str().unwrap());
    let router = support::router(env.clone());
    let kept = support::call(&router, "GET", &path, &[FRONT], Value::Null).await.json();
    assert_eq!(kept["conversation"]["title"], OIL);
    assert_eq!(kept["messages"].as_array().unwrap().len(), 2);
    assert_eq!(kept["messages"][1]["content"]["text"], answer["ai_response"]);
}

#[tokio::test]
async fn a_reader_with_a_token_needs_neither_key_nor_name() {
    let env = bundle().await;
    let account = json!({ "email": "ada@book.example", "password": "correct horse" });
    let router = support::router(env.clone());
    for path in ["register", "login"] {
        let path = format!("/api/v1/auth/{path}");
        support::call(&router, "POST", &path, &[], account.clone()).await;
    }
    let login = support::call(&router, "POST", "/api/v1/auth/login", &[], account).await;
    let login = login.json();
    let token = format!("Bearer {}", login["access_token"].as_str().unwrap());
    let headers = [("authorization", token.as_str())];
    let first = send(&env, CHAT, &headers, json!({ "message": OIL })).await.json();
    assert_eq!(first["response"], "Every four hours [1].");
    assert_eq!(first["meta"]["sources"][0]["n"], 1);
    let again = json!({ "conversation_id": first["conversation_id"], "message": OIL });
    let again = send(&env, CHAT, &headers, again).await.json();
    assert_eq!(again["conversation_id"], first["conversation_id"]);
    let other = json!({ "client_user_id": ADA });
    assert_eq!(send(&env, START, &headers, other).await.status, 403);
}

#[tokio::test]
async fn the_greeting_recalls_the_last_talk() {
    let env = bundle().await.with("BOOK_TITLE", "The lighthouse");
    let ada = json!({ "client_user_id": ADA });
    let asked = json!({ "user_message": OIL, "client_user_id": ADA });
    post(&env, CHAT, asked).await;
    // A conversation in which nothing was said is nothing to recall.
    post(&env, START, ada.clone()).await;
    assert_eq!(
        greeting(&env, ada).await,
        "Welcome back! Last time it was “How often is the wick trimmed?”. \
         What would you like to know about “The lighthouse” now?"
    );
    let told = json!({ "client_user_id": ADA, "history": ["What  burns?", "Oil."] });
    assert!(greeting(&env, told).await.contains("“What burns?”"));
    let stranger = json!({ "client_user_id": "somebody else" });
    assert!(greeting(&env, stranger).await.starts_with("Hello!"));
}

#[tokio::test]
async fn history_counts_until_the_conversation_has_its_own() {
    let fake = Fake::start();
    let env = house::asking(bundle().await, &fake);
    let begun = post(&env, START, json!({ "client_user_id": ADA })).await;
    let ask = json!({
        "conversation_id": begun["conversation_id"],
        "client_user_id": ADA,
        "user_message": OIL,
        "history": ["What does the lamp burn?", "Told by the client."],
    });
    fake.reply(Said::says(&["Every four hours [1]."]));
    post(&env, CHAT, ask.clone()).await;
    fake.reply(Said::says(&["As was said [1]."]));
    post(&env, CHAT, ask).await;
    let prompts: Vec<_> = fake.requests().iter().map(|it| it.body.to_string()).collect();
    assert!(prompts[0].contains("Reader: What does the lamp burn?"), "{}", prompts[0]);
    assert!(prompts[0].contains("Answer: Told by the client."), "{}", prompts[0]);
    assert!(prompts[1].contains("Answer: Every four hours [1]."), "{}", prompts[1]);
    assert!(!prompts[1].contains("Told by the client."), "{}", prompts[1]);
}

#[tokio::test]
async fn errors_have_the_statuses_and_the_form_that_its_callers_know() {
    let env = bundle().await;
    let gone = "00000000-0000-7000-8000-000000000000";
    let ada = json!({ "user_message": OIL, "client_user_id": ADA });
    let with = |name: &str, value: Value| {
        let mut body = ada.clone();
        body[name] = value;
        body
    };
    for (headers, path, body, status, detail) in [
        (&[FRONT][..], CHAT, json!({}), 400, "message or user_message must be sent."),
        (&[FRONT], CHAT, json!({ "message": OIL }), 400, "client_user_id is missing."),
        (&[FRONT], START, json!({}), 400, "client_user_id is missing."),
        (
            &[FRONT],
            CHAT,
            with("message", json!("Both?")),
            400,
            "user_message cannot be sent with message.",
        ),
        (
            &[FRONT],
            CHAT,
            with("user_message", json!(" ")),
            400,
            "user_message must not be empty.",
        ),
        (&[], CHAT, ada.clone(), 401, "Sign in first: this needs a valid token."),
        (
            &[("x-api-key", "wrong")],
            START,
            json!({}),
            401,
            "Sign in first: this needs a valid token.",
        ),
        (
            &[FRONT],
            CHAT,
            with("conversation_id", json!(gone)),
            404,
            "There is no such conversation.",
        ),
        (
            &[FRONT],
            CHAT,
            with("conversation_id", json!("7")),
            404,
            "There is no such conversation.",
        ),
        (
            &[FRONT],
            "/api/ai/nothing",
            json!({}),
            404,
            "There is nothing at this address.",
        ),
    ] {
        let reply = send(&env, path, headers, body).await;
        assert_eq!(reply.status, status, "{}", reply.text);
        assert_eq!(reply.headers["content-type"], "application/json");
        assert_eq!(reply.json()["detail"], detail);
    }
    // Guests have no history to begin, and nothing of a guest's question is kept.
    let open = env.with("ALLOW_GUESTS", "1");
    assert_eq!(send(&open, START, &[], json!({})).await.status, 401);
    let answer = send(&open, CHAT, &[], json!({ "message": OIL })).await.json();
    assert_eq!(answer["conversation_id"], Value::Null);
    assert_eq!(answer["response"], "Every four hours [1].");
    // Whatever we lean on and is not there is our own failure to these clients.
    let broken = open.with("DATABASE_URL", "no address");
    let reply = send(&broken, START, &[FRONT], json!({ "client_user_id": ADA })).await;
    assert_eq!(
        (reply.status, reply.json()["code"].clone()),
        (500, json!("misconfigured"))
    );
}
