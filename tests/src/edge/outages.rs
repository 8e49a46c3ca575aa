//! What a caller gets while something is silent, away, or dies in the middle.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use shared::config::Env;
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    CHAT, FRONT, LOGIN, OIL, RAG, REGISTER, SAVE, STREAM, assert_problem, env, fine, post,
};
use crate::{
    retrieval::book_at,
    support::{
        self, Reply,
        binaries::PATIENCE,
        database, embeddings,
        model::{Fake, Step},
        qdrant,
    },
};

/// A peer that takes every connection and never says a word.
async fn silent() -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut peer = JoinSet::new();
    peer.spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push(socket);
        }
    });
    (address, peer)
}

fn ask(path: &str, user: &str) -> Value {
    match path {
        RAG => json!({ "query": OIL }),
        _ => json!({ "message": { "content": OIL, "user_id": user } }),
    }
}

/// The answer's members, from whichever route.
fn answer(path: &str, reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    match path {
        CHAT => reply.json()["response"].clone(),
        STREAM => reply.events().pop().unwrap(),
        _ => reply.json(),
    }
}

/// Whether somebody will answer at all is the test; a request that hangs fails it.
async fn patiently(router: &axum::Router, path: &str, body: Value) -> Reply {
    let reply = tokio::time::timeout(PATIENCE, post(router, path, body)).await;
    reply.unwrap_or_else(|_| panic!("{path} hangs"))
}

fn waiting(folder: &Path) -> usize {
    folder.read_dir().unwrap().count()
}

#[tokio::test]
async fn a_silent_database_is_a_504_or_an_answer_without_it() {
    let (address, _peer) = silent().await;
    let url = format!("postgresql://app:secret@{address}/x");
    let env = env(&url).await.with("AGENT_TIMEOUT", "1");
    let router = support::router(env.clone());
    for path in [REGISTER, LOGIN, SAVE] {
        let reply = patiently(&router, path, fine(path)).await;
        assert_problem(&reply, 504, "timeout");
    }
    for path in [CHAT, STREAM] {
        let whole = answer(path, &patiently(&router, path, ask(path, "ada")).await);
        assert_eq!(whole["degraded"], json!(["database"]), "{path}");
        assert_eq!(whole["saved"], false);
        assert_ne!(whole["sources"], json!([]));
    }
    let folder = tempfile::tempdir().unwrap();
    let storage = format!("file:{}", folder.path().display());
    let router = support::router(env.with("FALLBACK_STORAGE", &storage));
    assert_eq!(patiently(&router, SAVE, fine(SAVE)).await.status, 201);
    answer(CHAT, &patiently(&router, CHAT, ask(CHAT, "ada")).await);
    assert_eq!(waiting(folder.path()), 2);
}

#[tokio::test]
async fn a_table_that_somebody_locked_is_a_silent_database() {
    let url = database::fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let storage = format!("file:{}", folder.path().display());
    let env = env(&url).await.with("AGENT_TIMEOUT", "1");
    let router = support::router(env.clone().with("FALLBACK_STORAGE", &storage));
    let locker = database::client(&url).await;
    locker
        .batch_execute("begin; lock table users, conversations, messages")
        .await
        .unwrap();
    for path in [REGISTER, LOGIN] {
        let reply = patiently(&router, path, fine(path)).await;
        assert_problem(&reply, 504, "timeout");
    }
    let whole = answer(CHAT, &patiently(&router, CHAT, ask(CHAT, "ada")).await);
    assert_eq!(whole["degraded"], json!(["database"]));
    assert_eq!(patiently(&router, SAVE, fine(SAVE)).await.status, 201);
    assert_eq!(waiting(folder.path()), 2);

    locker.batch_execute("commit").await.unwrap();
    support::lectern(&["replay", "--from", &storage], &env).await;
    assert_eq!(waiting(folder.path()), 0);
    // What the database did after nobody waited for it, and what came home, is one.
    let kept = "select count(*) from conversations";
    assert_eq!(database::count(&locker, kept).await, 2);
}

/// The parts of a reader's question that is answered while the test stands beside it.
struct Middle {
    url: String,
    env: Env,
    model: Fake,
    folder: tempfile::TempDir,
}

impl Middle {
    async fn new() -> Self {
        let (url, model) = (database::fresh().await, Fake::start());
        let folder = tempfile::tempdir().unwrap();
        let env = env(&url)
            .await
            .with("LLM_PROVIDER", "openai")
            .with("LLM_BASE_URL", &model.openai_url())
            .with("LLM_API_KEY", "sk-test")
            .with("LLM_MODEL", "fake-1")
            .with("FALLBACK_STORAGE", &format!("file:{}", folder.path().display()));
        Self { url, env, model, folder }
    }

    /// Asks, and does `meanwhile` after memory was read and before the model says a word.
    async fn ask(&self, path: &str, meanwhile: impl Future<Output = ()>) -> Value {
        let router = support::router(self.env.clone());
        let steps = self.model.stepped();
        let asked = self.model.requests().len();
        let meddling = async {
            while self.model.requests().len() == asked {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            meanwhile.await;
            steps.send(Step::Text("Every four hours [1].".to_owned())).unwrap();
            drop(steps);
        };
        let asking = post(&router, path, ask(path, "ada"));
        let both = async { tokio::join!(asking, meddling).0 };
        let reply = tokio::time::timeout(PATIENCE, both).await.expect("an answer");
        answer(path, &reply)
    }

    /// What waited is in the database, once.
    async fn comes_home(&self, number: u8) {
        assert_eq!(waiting(self.folder.path()), usize::from(number));
        for _ in 0..2 {
            support::lectern(&["replay"], &self.env).await;
            let client = database::client(&self.url).await;
            let kept = "select count(*) from messages where role = 'assistant'
                        and content ->> 'text' = 'Every four hours [1].'";
            assert_eq!(database::count(&client, kept).await, i64::from(number));
            let logged = "select count(*) from interaction_logs";
            assert_eq!(database::count(&client, logged).await, i64::from(number));
        }
        assert_eq!(waiting(self.folder.path()), 0);
    }
}

#[tokio::test]
async fn a_database_that_dies_between_memory_and_save_loses_nothing() {
    let middle = Middle::new().await;
    let name = middle.url.rsplit('/').next().unwrap();
    let admin = database::client(&database::cluster().url("postgres")).await;
    for path in [CHAT, STREAM] {
        let dies = async {
            let sql = format!(
                "alter database {name} allow_connections false;
                 select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = '{name}'"
            );
            admin.batch_execute(&sql).await.unwrap();
        };
        let whole = middle.ask(path, dies).await;
        assert_eq!(whole["content"], "Every four hours [1].");
        assert_eq!(whole["saved"], false, "{whole}");
        assert_eq!(whole["degraded"], json!(["database"]));
        let revived = format!("alter database {name} allow_connections true");
        admin.batch_execute(&revived).await.unwrap();
    }
    middle.comes_home(2).await;
}

#[tokio::test]
async fn a_save_that_waits_too_long_for_a_lock_goes_to_the_fallback() {
    let middle = Middle::new().await;
    let locker = database::client(&middle.url).await;
    let locks = async {
        locker
            .batch_execute("begin; lock table messages in exclusive mode")
            .await
            .unwrap();
    };
    let whole = middle.ask(STREAM, locks).await;
    assert_eq!(whole["saved"], false, "{whole}");
    assert_eq!(whole["degraded"], json!(["database"]));
    locker.batch_execute("commit").await.unwrap();
    middle.comes_home(1).await;
}

#[tokio::test]
async fn without_a_fallback_the_answer_still_comes_and_says_that_it_is_not_kept() {
    let mut middle = Middle::new().await;
    middle.env = middle.env.clone().with("FALLBACK_STORAGE", "");
    let locker = database::client(&middle.url).await;
    let locks = async {
        locker
            .batch_execute("begin; lock table messages in exclusive mode")
            .await
            .unwrap();
    };
    let whole = middle.ask(CHAT, locks).await;
    assert_eq!(
        (&whole["saved"], &whole["degraded"]),
        (&json!(false), &json!(["database"]))
    );
    assert_eq!(whole["content"], "Every four hours [1].");
    assert_eq!(waiting(middle.folder.path()), 0);
}

#[tokio::test]
async fn with_qdrant_away_the_shelf_answers_or_nobody_does() {
    let mut away = qdrant::Fake::start();
    away.stop();
    let env = env(&database::fresh().await).await.with("QDRANT_URL", &away.url());
    let router = support::router(env.clone());
    let shelfless = support::router(env.with("BOOK_SHELF", "/nowhere/book.shelf"));
    for path in [CHAT, STREAM, RAG] {
        let whole = answer(path, &patiently(&router, path, ask(path, "ada")).await);
        assert_eq!(whole["degraded"], json!(["qdrant"]), "{path}");
        let reply = patiently(&shelfless, path, ask(path, "ada")).await;
        assert_problem(&reply, 503, "unavailable");
    }
}

#[tokio::test]
async fn a_silent_qdrant_leaves_the_shelf_in_time_and_without_one_a_504() {
    let silent = qdrant::Fake::start();
    silent.delay(Duration::from_mins(1));
    let env = env(&database::fresh().await).await.with("QDRANT_URL", &silent.url());
    let env = env.with("AGENT_TIMEOUT", "1");
    let router = support::router(env.clone());
    let shelfless = support::router(env.with("BOOK_SHELF", "/nowhere/book.shelf"));
    for path in [CHAT, STREAM, RAG] {
        let whole = answer(path, &patiently(&router, path, ask(path, "ada")).await);
        assert_eq!(whole["degraded"], json!(["qdrant"]), "{path}");
        let reply = patiently(&shelfless, path, ask(path, "ada")).await;
        assert_problem(&reply, 504, "timeout");
    }
}

#[tokio::test]
async fn silent_embeddings_leave_the_words_also_when_the_deadline_is_near() {
    let (address, _peer) = silent().await;
    let book = book_at("0123456789abcdef", true);
    let env = env(&database::fresh().await)
        .await
        .with("BOOK_SHELF", book.shelf())
        .with("EMBEDDING_PROVIDER", "")
        .with("EMBEDDING_MODEL", "words")
        .with("EMBEDDING_BASE_URL", &format!("http://{address}/v1"));
    for limit in ["EMBEDDING_TIMEOUT", "AGENT_TIMEOUT"] {
        let router = support::router(env.clone().with(limit, "1"));
        for path in [CHAT, STREAM, RAG] {
            let whole = answer(path, &patiently(&router, path, ask(path, "ada")).await);
            assert_eq!(whole["degraded"], json!(["embeddings"]), "{path}");
        }
    }
}

#[tokio::test]
async fn everything_that_can_be_away_is_told_at_once() {
    let mut vectors = embeddings::Fake::start();
    vectors.stop();
    let mut away = qdrant::Fake::start();
    away.stop();
    let book = book_at("0123456789abcdef", true);
    let env = env("postgresql://app@%2Fnowhere/x")
        .await
        .with("BOOK_SHELF", book.shelf())
        .with("QDRANT_URL", &away.url())
        .with("EMBEDDING_PROVIDER", "")
        .with("EMBEDDING_MODEL", "words")
        .with("EMBEDDING_BASE_URL", &vectors.url())
        .with("LLM_PROVIDER", "scripted")
        .with("LLM_SCRIPT", "{{fail}}");
    let router = support::router(env);
    for path in [CHAT, STREAM] {
        let reply = support::call(
            &router,
            "POST",
            path,
            &[FRONT],
            json!({ "message": { "content": "how is the wick trimmed", "user_id": "ada" } }),
        );
        let whole = answer(path, &reply.await);
        let told = json!(["database", "qdrant", "embeddings", "llm"]);
        assert_eq!(whole["degraded"], told, "{path}");
        assert_eq!(whole["saved"], false);
        assert_ne!(whole["sources"], json!([]));
    }
}

#[tokio::test]
async fn a_deadline_that_has_passed_still_keeps_what_was_asked() {
    let (address, _peer) = silent().await;
    let url = database::fresh().await;
    let env = env(&url)
        .await
        .with("BOOK_SHELF", "/nowhere/book.shelf")
        .with("QDRANT_URL", &format!("http://{address}"))
        .with("AGENT_TIMEOUT", "1");
    let reply = patiently(&support::router(env), CHAT, ask(CHAT, "ada")).await;
    assert_problem(&reply, 504, "timeout");
    let client = database::client(&url).await;
    let logged = "select count(*) from interaction_logs where error_code = 'timeout'";
    assert_eq!(database::count(&client, logged).await, 1);
}
