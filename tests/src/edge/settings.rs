//! Settings that are missing, unreadable or not for a platform: said in the log, by name, and
//! never to the caller.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{CHAT, HEALTH, KEY, LOGIN, OIL, RAG, REGISTER, SAVE, SECRET, STREAM, fine};
use crate::support::{
    binaries::{Process, binary, free_port},
    book,
    client::{Answer, Call, Connection},
    database,
    vercel::Instance,
};

const NOWHERE: &str = "postgresql://app@%2Fnowhere/x";

/// The executable behind a path.
pub(super) fn function(path: &str) -> &'static str {
    match path {
        REGISTER => "auth_register",
        LOGIN => "auth_login",
        SAVE => "conversations_internal_save",
        CHAT => "chat",
        STREAM => "chat_stream",
        RAG => "rag_query",
        _ => "health",
    }
}

/// The built function behind a path, as a plain process.
pub(super) async fn start(
    path: &str,
    settings: &[(&str, &str)],
) -> (Process, SocketAddr) {
    let port = free_port();
    let text = port.to_string();
    let env = settings.iter().copied().chain([("PORT", text.as_str())]);
    let env: Vec<_> = env.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let process = Process::spawn(&binary(function(path)), &[], &env);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    // Not every level of the log says that it listens.
    while tokio::net::TcpStream::connect(address).await.is_err() {
        tokio::task::yield_now().await;
    }
    (process, address)
}

pub(super) async fn send(address: SocketAddr, call: &Call) -> Answer {
    Connection::open(address).await.send(call).await.unwrap().answer().await
}

/// Settings with which every function works.
async fn complete() -> Vec<(&'static str, String)> {
    let set = |name, value: &str| (name, value.to_owned());
    vec![
        set("DATABASE_URL", &database::fresh().await),
        set("BOOK_SHELF", &book::shelf().await),
        set("JWT_SECRET_KEY", SECRET),
        set("INTERNAL_API_KEY", KEY),
        set("ALLOW_GUESTS", "yes"),
        set("BCRYPT_COST", "10"),
        set("EMBEDDING_PROVIDER", "none"),
        set("LLM_PROVIDER", "scripted"),
        set("LLM_SCRIPT", "Every four hours [1]."),
    ]
}

/// A request that the function answers when it is set up.
fn call(path: &str) -> Call {
    match path {
        HEALTH => Call::get("/health?deep=1"),
        _ => Call::post(path, &fine(path)),
    }
    .header("x-api-key", KEY)
}

/// 503 `misconfigured`, the name in the log beside the request's id and nowhere else.
fn assert_named(answer: &Answer, log: &str, setting: &str) {
    answer.assert_problem(503, "misconfigured");
    assert!(!answer.text().contains(setting), "{}", answer.text());
    let id = answer.header("x-request-id");
    let line = log.lines().find(|it| it.contains(setting));
    let line = line.unwrap_or_else(|| panic!("no word of {setting} in:\n{log}"));
    assert!(line.contains(id), "{id} is not in {line}");
}

#[tokio::test]
async fn a_setting_that_is_missing_or_bad_is_named_in_the_log_alone() {
    let settings = complete().await;
    for (paths, setting, value) in [
        (&[REGISTER, LOGIN, SAVE, CHAT, STREAM][..], "DATABASE_URL", ""),
        (&[REGISTER, CHAT], "DATABASE_URL", "mysql://app@db/x"),
        (&[REGISTER, SAVE], "DATABASE_URL", "postgresql://app@db/x?sslrootcert=/x"),
        (&[LOGIN], "JWT_SECRET_KEY", ""),
        (&[LOGIN], "JWT_SECRET_KEY", "31 bytes are one too few, truly"),
        (&[LOGIN], "JWT_EXPIRATION_HOURS", "a day"),
        (&[REGISTER, LOGIN], "BCRYPT_COST", "40"),
        (&[CHAT, STREAM, RAG, SAVE], "ALLOW_GUESTS", "perhaps"),
        (&[CHAT, STREAM], "LLM_PROVIDER", "an oracle"),
        (&[CHAT, STREAM], "LLM_SCRIPT", ""),
        (&[CHAT, STREAM], "PROMPT_FILE", "/nowhere/prompt.txt"),
        (&[CHAT, STREAM], "DAILY_ANSWERS", "many"),
        (&[CHAT, RAG], "BOOK_BASE_URL", "ftp://book.example"),
        (&[CHAT, STREAM, RAG], "BOOK_SHELF", "/nowhere/book.shelf"),
        (&[CHAT, RAG], "EMBEDDING_PROVIDER", "magic"),
        (&[CHAT, RAG], "QDRANT_URL", "no address"),
        (&[RAG], "FUSION_K", "many"),
        (&[HEALTH], "ALLOW_GUESTS", "perhaps"),
    ] {
        let mut settings: Vec<(&str, &str)> =
            settings.iter().map(|(k, v)| (*k, v.as_str())).collect();
        settings.retain(|(name, _)| *name != setting);
        settings.push((setting, value));
        for path in paths {
            let (mut process, address) = start(path, &settings).await;
            let answer = send(address, &call(path)).await;
            process.signal(rustix::process::Signal::TERM);
            process.wait().await;
            assert_named(&answer, &process.output(), setting);
        }
    }
}

#[tokio::test]
async fn a_token_needs_the_secret_and_the_internal_key_does_not() {
    let settings = complete().await;
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(k, v)| (*k, v.as_str()))
        .filter(|(name, _)| *name != "JWT_SECRET_KEY")
        .collect();
    let (process, address) = start(CHAT, &settings).await;
    assert_eq!(send(address, &call(CHAT)).await.status(), 200);
    let bearer = Call::post(CHAT, &fine(CHAT)).header("authorization", "Bearer a.b.c");
    let answer = send(address, &bearer).await;
    process.printed("JWT_SECRET_KEY").await;
    assert_named(&answer, &process.output(), "JWT_SECRET_KEY");
}

#[tokio::test]
async fn shallow_health_answers_whatever_is_missing() {
    let (_process, address) = start(HEALTH, &[]).await;
    let answer = send(address, &Call::get(HEALTH)).await;
    assert_eq!(answer.status(), 200);
    let health = answer.json();
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["components"]["database"], "missing");
    assert!(health["timestamp"].as_str().unwrap().ends_with('Z'));
    assert!(health["version"].is_string());
    let deep = send(address, &Call::get("/health?deep=1").header("x-api-key", "")).await;
    deep.assert_problem(401, "unauthorized");
}

/// The function on Vercel with some settings changed, and everything that it says.
async fn on_vercel(
    path: &str,
    changed: &[(&str, &str)],
    call: &Call,
) -> (Answer, String) {
    let settings = complete().await;
    let mut settings: Vec<(&str, &str)> =
        settings.iter().map(|(k, v)| (*k, v.as_str())).collect();
    settings.retain(|(name, _)| !changed.iter().any(|it| it.0 == *name));
    settings.extend(changed);
    let mut instance = Instance::start(function(path), &settings).await;
    let answer = instance.call(call).await;
    instance.process.signal(rustix::process::Signal::TERM);
    instance.process.wait().await;
    let said = instance.process.output() + &instance.logs().concat();
    (answer, said)
}

#[tokio::test]
async fn a_platform_refuses_cheap_hashes() {
    for path in [REGISTER, LOGIN] {
        let (answer, said) = on_vercel(path, &[("BCRYPT_COST", "9")], &call(path)).await;
        assert_named(&answer, &said, "BCRYPT_COST");
    }
    let (answer, _) = on_vercel(REGISTER, &[], &call(REGISTER)).await;
    assert_eq!(answer.status(), 201);
}

#[tokio::test]
async fn a_platforms_disk_is_no_fallback() {
    let folder = tempfile::tempdir().unwrap();
    let storage = format!("file:{}", folder.path().display());
    let away = [("DATABASE_URL", NOWHERE), ("FALLBACK_STORAGE", storage.as_str())];
    let (answer, said) = on_vercel(SAVE, &away, &call(SAVE)).await;
    assert_named(&answer, &said, "FALLBACK_STORAGE");

    let body = json!({ "message": { "content": OIL, "user_id": "reader-1" } });
    let ask = Call::post(CHAT, &body).header("x-api-key", KEY);
    let (answer, said) = on_vercel(CHAT, &away, &ask).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json()["response"]["saved"], false);
    assert_eq!(answer.json()["response"]["degraded"], json!(["database"]));
    assert!(said.contains("FALLBACK_STORAGE"), "{said}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn trace_is_refused_on_a_platform_and_said_so() {
    let (answer, said) = on_vercel(CHAT, &[("LOG_LEVEL", "TRACE")], &call(CHAT)).await;
    assert_eq!(answer.status(), 200);
    assert!(said.contains("LOG_LEVEL"), "{said}");
    for line in said.lines().filter(|it| it.starts_with('{')) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(
            matches!(line["level"].as_str(), Some("INFO" | "WARN" | "ERROR")),
            "{line}"
        );
    }
}
