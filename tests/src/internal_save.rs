//! `internal-save` through the door: who may, what is stored, and storing once.

use axum::Router;
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use shared::db::Client;
use uuid::Uuid;

use crate::support::{
    self, Reply, database,
    house::{self, FRONT, KEY, bearer},
};

const SAVE: &str = "/api/v1/conversations/internal-save";
const NOBODY_THERE: &str = "postgresql://app@%2Fnonexistent/book";

struct House {
    db: Client,
    router: Router,
}

impl House {
    async fn new() -> Self {
        let url = database::fresh().await;
        let router = support::router(house::settings(&url));
        Self { db: database::client(&url).await, router }
    }

    async fn save(&self, headers: &[(&str, &str)], body: Value) -> Reply {
        support::call(&self.router, "POST", SAVE, headers, body).await
    }

    async fn count(&self, sql: &str) -> i64 {
        database::count(&self.db, sql).await
    }

    async fn messages(&self) -> i64 {
        self.count("select count(*) from messages").await
    }

    /// A registered reader, with the header that proves it.
    async fn reader(&self) -> (Uuid, String) {
        let id = house::account(&self.db).await;
        (id, bearer(id))
    }
}

fn body(user: &str) -> Value {
    json!({ "user_id": user, "query": "What moves?", "response": "Ownership does." })
}

fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    body[field] = value.into();
    body
}

#[tokio::test]
async fn a_trusted_server_saves_for_a_user_it_names() {
    let house = House::new().await;
    let saved = house.save(&[FRONT], body("user_2abc")).await;
    assert_eq!(saved.status, 201);
    assert_json_snapshot!(
        saved.json(),
        { ".id" => "[uuid]", ".conversation_id" => "[uuid]" },
        @r#"
    {
      "conversation_id": "[uuid]",
      "id": "[uuid]",
      "message": "Conversation saved successfully",
      "user_id": "user_2abc"
    }
    "#
    );
    let made =
        "select count(*) from users where issuer = 'service' and subject = 'user_2abc'";
    assert_eq!(house.count(made).await, 1);

    let conversation = saved.json()["conversation_id"].clone();
    let second = with(body("user_2abc"), "conversation_id", conversation.clone());
    let second = house.save(&[FRONT], second).await;
    assert_eq!(
        (second.status, second.json()["conversation_id"].clone()),
        (201, conversation)
    );
    assert_ne!(second.json()["id"], saved.json()["id"]);
    assert_eq!(house.messages().await, 4);
    assert_eq!(house.count("select count(*) from conversations").await, 1);
    assert_eq!(house.count(made).await, 1);
}

#[tokio::test]
async fn a_reader_saves_for_itself_and_for_nobody_else() {
    let house = House::new().await;
    let (reader, token) = house.reader().await;
    let (other, _) = house.reader().await;
    let headers = [("authorization", token.as_str())];
    let saved = house.save(&headers, body(&reader.to_string())).await;
    assert_eq!(saved.status, 201);
    assert_eq!(saved.json()["user_id"], reader.to_string());

    for user in [&other.to_string(), "user_2abc", ""] {
        let refused = house.save(&headers, body(user)).await;
        assert_eq!(refused.problem(), (403, "forbidden".into()), "{user}");
    }
    let gone = Uuid::now_v7();
    let token = bearer(gone);
    let refused = house.save(&[("authorization", &token)], body(&gone.to_string())).await;
    assert_eq!(refused.problem(), (401, "unauthorized".into()), "the account is gone");
    assert_eq!(house.messages().await, 2);
}

#[tokio::test]
async fn guests_and_wrong_keys_save_nothing() {
    let house = House::new().await;
    for headers in [
        &[][..],
        &[("x-api-key", "")],
        &[("x-api-key", "the key of somebody else")],
        &[("authorization", "Bearer x"), FRONT],
    ] {
        let refused = house.save(headers, body("user_2abc")).await;
        assert_eq!(refused.problem(), (401, "unauthorized".into()), "{headers:?}");
        assert!(!refused.text.contains(KEY));
    }
    assert_eq!(house.messages().await, 0);
    assert_eq!(house.count("select count(*) from users").await, 0);
}

#[tokio::test]
async fn an_unknown_and_a_foreign_conversation_are_the_same_404() {
    let house = House::new().await;
    let saved = house.save(&[FRONT], body("user_2abc")).await.json();
    let foreign = saved["conversation_id"].as_str().unwrap();
    let mut answers = Vec::new();
    for conversation in [foreign, &Uuid::now_v7().to_string(), "no-id-of-ours"] {
        let body = with(body("user_2abd"), "conversation_id", conversation);
        let refused = house.save(&[FRONT], body).await;
        assert_eq!(refused.problem(), (404, "not-found".into()), "{conversation}");
        answers.push(refused.json()["detail"].clone());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(house.messages().await, 2);
}

#[tokio::test]
async fn texts_have_1_to_10000_characters_or_nothing_is_stored() {
    let house = House::new().await;
    let (most, more) = ("ü".repeat(10_000), "ü".repeat(10_001));
    for field in ["query", "response"] {
        for text in ["", "   ", "a\0b", &more] {
            let refused = house.save(&[FRONT], with(body("u"), field, text)).await;
            assert_eq!(refused.status, 422);
            assert_eq!(refused.json()["errors"][0]["field"], field);
            assert!(text.trim().is_empty() || !refused.text.contains(text));
        }
        let wrong_type = house.save(&[FRONT], with(body("u"), field, 7)).await;
        assert_eq!(wrong_type.status, 422);
    }
    for user in ["", "a\0b", &"x".repeat(129)] {
        let refused = house.save(&[FRONT], body(user)).await;
        assert_eq!(refused.json()["errors"][0]["field"], "user_id", "{user:?}");
    }
    assert_eq!(house.messages().await, 0);
    assert_eq!(house.count("select count(*) from users").await, 0);

    let longest =
        with(with(body("u"), "query", most.as_str()), "response", most.as_str());
    assert_eq!(house.save(&[FRONT], longest).await.status, 201);
    let html = with(body("u"), "query", "<script>'; drop table users; --</script>");
    assert_eq!(house.save(&[FRONT], html).await.status, 201);
    assert_eq!(house.messages().await, 4);
}

#[tokio::test]
async fn a_repeat_returns_the_first_result_and_stores_once() {
    let house = House::new().await;
    let headers = [FRONT, ("idempotency-key", "order-66")];
    let first = house.save(&headers, body("user_2abc")).await;
    assert_eq!(first.status, 201);
    let repeat = house.save(&headers, body("user_2abc")).await;
    assert_eq!((repeat.status, repeat.json()), (201, first.json()));
    assert_eq!(house.messages().await, 2);

    let changed = with(body("user_2abc"), "response", "Nothing does.");
    let refused = house.save(&headers, changed.clone()).await;
    assert_eq!(refused.problem(), (409, "idempotency-key-reused".into()));
    assert_eq!(house.messages().await, 2);
    let other_key = house.save(&[FRONT, ("idempotency-key", "order-67")], changed).await;
    assert_eq!(other_key.status, 201);
    assert_ne!(other_key.json()["id"], first.json()["id"]);

    let keyless = house.save(&[FRONT], body("user_2abc")).await;
    let again = house.save(&[FRONT], body("user_2abc")).await;
    assert_ne!(
        keyless.json()["id"],
        again.json()["id"],
        "without a key nothing is a repeat"
    );
}

#[tokio::test]
async fn a_key_belongs_to_its_caller() {
    let house = House::new().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (reader, token) = house.reader().await;
        let headers = [("authorization", token.as_str()), ("idempotency-key", "1")];
        let saved = house.save(&headers, body(&reader.to_string())).await;
        assert_eq!(saved.status, 201);
        ids.push(saved.json()["id"].clone());
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn repeats_at_the_same_moment_store_once() {
    let house = House::new().await;
    let headers = [FRONT, ("idempotency-key", "all-at-once")];
    let all = futures_util::future::join_all(
        (0..12).map(|_| house.save(&headers, body("user_2abc"))),
    );
    let all = all.await;
    for reply in &all {
        assert_eq!((reply.status, reply.json()), (201, all[0].json()));
    }
    assert_eq!(house.messages().await, 2);
    assert_eq!(house.count("select count(*) from conversations").await, 1);
}

#[tokio::test]
async fn a_key_runs_out_after_24_hours_and_starts_again() {
    let house = House::new().await;
    let headers = [FRONT, ("idempotency-key", "daily")];
    let first = house.save(&headers, body("user_2abc")).await;
    let age = "with old as (
                 update idempotency_keys
                 set created_at = created_at - interval '24 hours 1 second'
                 returning 1)
               select count(*) from old";
    assert_eq!(house.count(age).await, 1);
    let changed = with(body("user_2abc"), "response", "Nothing does.");
    let second = house.save(&headers, changed.clone()).await;
    assert_eq!(second.status, 201);
    assert_ne!(second.json()["id"], first.json()["id"]);
    let repeat = house.save(&headers, changed).await;
    assert_eq!(repeat.json(), second.json());
    assert_eq!(house.messages().await, 4);
}

#[tokio::test]
async fn a_request_that_was_refused_gives_its_key_back() {
    let house = House::new().await;
    let headers = [FRONT, ("idempotency-key", "mended")];
    let unknown = with(body("user_2abc"), "conversation_id", Uuid::now_v7().to_string());
    assert_eq!(house.save(&headers, unknown).await.status, 404);
    assert_eq!(house.save(&headers, body("user_2abc")).await.status, 201);
    let long = "k".repeat(256);
    for key in ["", "a b", &long] {
        let refused = house.save(&[FRONT, ("idempotency-key", key)], body("u")).await;
        assert_eq!(refused.json()["errors"][0]["field"], "Idempotency-Key", "{key:?}");
    }
}

#[tokio::test]
async fn what_was_deleted_since_does_not_come_back_by_a_repeat() {
    let house = House::new().await;
    let headers = [FRONT, ("idempotency-key", "forgotten")];
    let first = house.save(&headers, body("user_2abc")).await;
    let delete =
        "with gone as (delete from messages returning 1) select count(*) from gone";
    assert_eq!(house.count(delete).await, 2);
    let repeat = house.save(&headers, body("user_2abc")).await;
    assert_eq!((repeat.status, repeat.json()), (201, first.json()));
    assert_eq!(house.messages().await, 0);
}

#[tokio::test]
async fn without_postgres_the_exchange_waits_in_the_fallback() {
    let directory = tempfile::tempdir().unwrap();
    let storage = format!("file:{}", directory.path().display());
    let away =
        support::router(house::settings(NOBODY_THERE).with("FALLBACK_STORAGE", &storage));
    let headers = [FRONT, ("idempotency-key", "outage")];
    let save = || support::call(&away, "POST", SAVE, &headers, body("user_2abc"));
    let (saved, repeat) = (save().await, save().await);
    assert_eq!(saved.status, 201);
    assert_eq!(saved.json()["user_id"], "user_2abc");
    assert_eq!(saved.json()["message"], "Conversation saved successfully");
    assert_eq!(repeat.json(), saved.json());
    assert_eq!(directory.path().read_dir().unwrap().count(), 1, "one file for both");

    // The same request after the outage is still the same exchange.
    let house = House::new().await;
    let home = house.save(&headers, body("user_2abc")).await;
    assert_eq!((home.status, home.json()), (201, saved.json()));
}

#[tokio::test]
async fn without_postgres_and_fallback_it_is_503() {
    let router = support::router(house::settings(NOBODY_THERE));
    for headers in [&[FRONT][..], &[FRONT, ("idempotency-key", "k")]] {
        let body = body("user_2abc");
        let down = support::call(&router, "POST", SAVE, headers, body).await;
        assert_eq!(down.problem(), (503, "unavailable".into()));
        let text = &down.text;
        assert!(!text.contains("nonexistent") && !text.contains("Ownership"));
    }
}

#[tokio::test]
async fn a_fallback_never_takes_what_postgres_refused() {
    let directory = tempfile::tempdir().unwrap();
    let storage = format!("file:{}", directory.path().display());
    let url = database::fresh().await;
    let router =
        support::router(house::settings(&url).with("FALLBACK_STORAGE", &storage));
    let unknown = with(body("user_2abc"), "conversation_id", Uuid::now_v7().to_string());
    for headers in [&[FRONT][..], &[FRONT, ("idempotency-key", "k")]] {
        let refused =
            support::call(&router, "POST", SAVE, headers, unknown.clone()).await;
        assert_eq!(refused.problem(), (404, "not-found".into()));
    }
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
}
