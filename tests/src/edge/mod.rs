//! The contract's table walked through the door: every path, every fault, and what may never
//! be said.

mod bodies;
mod outages;
mod paths;
mod secrets;
mod settings;
mod tokens;

use axum::{
    Router,
    body::Body,
    http::{Method, Request},
};
use serde_json::{Value, json};
use shared::config::Env;
use uuid::Uuid;

use crate::support::{
    self, Reply, book, database,
    house::{self, FRONT, KEY, OIL, SECRET},
};

const REGISTER: &str = "/api/v1/auth/register";
const LOGIN: &str = "/api/v1/auth/login";
const SAVE: &str = "/api/v1/conversations/internal-save";
const CHAT: &str = "/api/v1/chat";
const STREAM: &str = "/api/v1/chat/stream";
const RAG: &str = "/api/v1/rag/query";
const HEALTH: &str = "/health";

/// The routes that take a body.
const POSTED: [&str; 6] = [REGISTER, LOGIN, SAVE, CHAT, STREAM, RAG];

const PASSWORD: &str = "correct horse battery";

/// Settings of a whole bundle, which two other sites may call.
async fn env(database: &str) -> Env {
    house::settings(database)
        .with("ALLOWED_ORIGINS", "https://book.example, https://beta.book.example/")
        .with("BOOK_SHELF", &book::shelf().await)
}

/// A whole bundle on a database of its own.
async fn bundle() -> Router {
    support::router(env(&database::fresh().await).await)
}

/// A body that the route takes.
fn fine(path: &str) -> Value {
    match path {
        REGISTER | LOGIN => {
            json!({ "email": "reader@example.org", "password": PASSWORD })
        }
        SAVE => json!({ "user_id": "user_2abc", "query": "q", "response": "a" }),
        RAG => json!({ "query": OIL }),
        _ => json!({ "query_text": OIL }),
    }
}

/// A request as the server in front sends it.
async fn post(router: &Router, path: &str, body: Value) -> Reply {
    support::call(router, "POST", path, &[FRONT], body).await
}

/// A request with exactly these headers and bytes.
async fn raw(
    router: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Reply {
    let method: Method = method.parse().unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    support::send(router, request.body(body.into()).unwrap()).await
}

/// Fails unless this is a problem with every member of the contract and none besides.
#[track_caller]
fn assert_problem(reply: &Reply, status: u16, code: &str) {
    let text = &reply.text;
    assert_eq!(reply.status, status, "{text}");
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    let problem = reply.json();
    assert_eq!(problem["code"], code, "{text}");
    assert_eq!(problem["status"], status);
    assert_eq!(problem["request_id"], reply.headers["x-request-id"].to_str().unwrap());
    let id = Uuid::parse_str(problem["request_id"].as_str().unwrap()).unwrap();
    assert_eq!(id.get_version_num(), 7);
    for member in ["type", "title", "detail"] {
        assert_ne!(problem[member].as_str().unwrap_or_default(), "", "{member}: {text}");
    }
    assert_eq!(problem["message"], problem["detail"]);
    let mut members: Vec<_> = problem.as_object().unwrap().keys().collect();
    members.sort();
    let mut expected =
        vec!["code", "detail", "message", "request_id", "status", "title", "type"];
    if status == 422 {
        expected.insert(2, "errors");
        for error in problem["errors"].as_array().unwrap() {
            assert_ne!(error["field"].as_str().unwrap(), "", "{text}");
            assert_ne!(error["message"].as_str().unwrap(), "", "{text}");
            assert_eq!(error.as_object().unwrap().len(), 2, "{text}");
        }
    }
    assert_eq!(members, expected);
    for inner in ["SQLSTATE", "panicked", ".rs", "serde", "postgres", "struct", "Option"]
    {
        assert!(!text.contains(inner), "an inner word: {text}");
    }
}

/// The paths of the refused fields.
fn fields(reply: &Reply) -> Vec<String> {
    let problem = reply.json();
    let errors = problem["errors"].as_array().unwrap().iter();
    errors.map(|it| it["field"].as_str().unwrap().to_owned()).collect()
}
