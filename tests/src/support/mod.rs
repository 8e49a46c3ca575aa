//! What the tests lean on: routers with their own settings, a real Postgres, fake peers on
//! loopback, and emulators of the platforms.

pub(crate) mod binaries;
pub(crate) mod book;
pub(crate) mod bundle;
pub(crate) mod client;
pub(crate) mod database;
pub(crate) mod dice;
pub(crate) mod embeddings;
pub(crate) mod event;
pub(crate) mod house;
pub(crate) mod lambda;
pub(crate) mod model;
pub(crate) mod open;
pub(crate) mod openapi;
pub(crate) mod peer;
pub(crate) mod pgbouncer;
pub(crate) mod qdrant;
pub(crate) mod routing;
pub(crate) mod stage;
pub(crate) mod vercel;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request},
};
use serde_json::Value;
use shared::{App, config::Env, http};

pub(crate) use binaries::binary;
pub(crate) use open::{Open, eventually};

/// The whole bundle behind the whole edge, as the platforms mount it.
pub(crate) fn router(env: Env) -> Router {
    http::mount(shared::routes(), Box::leak(Box::new(App::new(env))))
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// Status and code of a problem.
    pub(crate) fn problem(&self) -> (u16, String) {
        (self.status, self.json()["code"].as_str().unwrap_or("no code").to_owned())
    }

    /// The payloads of a stream of server-sent events.
    pub(crate) fn events(&self) -> Vec<Value> {
        let data = self.text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|it| serde_json::from_str(it).unwrap()).collect()
    }
}

/// One request through `oneshot`, as the platforms call it. `body: Null` sends none.
pub(crate) async fn call(
    router: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> Reply {
    send(router, request(method, path, headers, &body)).await
}

/// A request with a JSON body, or with none.
pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Request<Body> {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let mut request = Request::builder()
        .method(method.parse::<Method>().unwrap())
        .uri(path)
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

/// One request, made by hand, and the whole answer.
pub(crate) async fn send(router: &Router, request: Request<Body>) -> Reply {
    Open::send(router, request).await.rest().await
}

/// Runs the built `lectern` with these settings and nothing else; it must succeed.
pub(crate) async fn lectern(args: &[&str], env: &Env) -> String {
    let output = tokio::process::Command::new(binary("lectern"))
        .args(args)
        .env_clear()
        .envs(env.pairs())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "lectern {args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
