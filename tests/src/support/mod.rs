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
pub(crate) mod lambda;
pub(crate) mod model;
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
use http_body_util::BodyExt;
use serde_json::Value;
use shared::{App, config::Env, http};
use tower::ServiceExt;

pub(crate) use binaries::binary;

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
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let mut request = Request::builder()
        .method(method.parse::<Method>().unwrap())
        .uri(path)
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(router, request.body(body).unwrap()).await
}

/// One request, made by hand. Whatever comes back, the API's description must know it.
pub(crate) async fn send(router: &Router, request: Request<Body>) -> Reply {
    let (parts, body) = request.into_parts();
    let sent = body.collect().await.unwrap().to_bytes();
    let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
    let request = Request::from_parts(parts, Body::from(sent.clone()));
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let reply =
        Reply { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() };
    openapi::check(&method, &path, &sent, &reply);
    reply
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
