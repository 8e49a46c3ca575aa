//! Answers that are told again, followed and stopped by another instance than makes them.

mod killed;
mod lease;
mod meanwhile;
mod resume;
mod retry;
mod stop;

use axum::Router;
use serde_json::{Value, json};
use shared::config::Env;

use crate::support::{
    self, Open, Reply,
    house::{self, FRONT, OIL},
    model::Fake,
};

const STREAM: &str = "/api/v1/chat/stream";
const LIST: &str = "/api/v1/conversations";

/// A bundle with this model, and its database.
async fn bundle(model: &Fake) -> (Env, String) {
    let (env, url) = house::bundle(&[]).await;
    (house::asking(env, model), url)
}

/// A question that the server in front sends.
async fn post(
    router: &Router,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> Open {
    let headers = [&[FRONT], headers].concat();
    Open::send(router, support::request("POST", path, &headers, &body)).await
}

fn question(user: &str) -> Value {
    json!({ "message": { "content": OIL, "user_id": user } })
}

/// The same as the AI SDK sends it, in the chat of this name.
fn chat(name: &str, user: &str) -> Value {
    json!({ "id": name, "user_id": user, "messages": [
        { "role": "user", "parts": [{ "type": "text", "text": OIL }] }] })
}

/// What another instance says to this reader, from the head on.
async fn come_back(
    env: &Env,
    user: &str,
    method: &str,
    path: &str,
    more: &[(&str, &str)],
) -> Open {
    let headers = [&[FRONT], more].concat();
    let path = format!("{path}?user_id={user}");
    let request = support::request(method, &path, &headers, &Value::Null);
    Open::send(&support::router(env.clone()), request).await
}

/// The same, whole.
async fn as_user(env: &Env, user: &str, method: &str, path: &str) -> Reply {
    come_back(env, user, method, path, &[]).await.rest().await
}
