//! Asking the book, whole and streamed, with everything around it up or down.

mod answer;
mod away;
mod cap;
mod gone;
mod input;
mod memory;
mod selection;

use serde_json::{Value, json};
use shared::config::Env;

use crate::support::{self, Reply, database, house::FRONT};

const CHAT: &str = "/api/v1/chat";
const STREAM: &str = "/api/v1/chat/stream";

fn question(text: &str) -> Value {
    json!({ "message": { "content": text } })
}

/// Asks as a guest.
async fn ask(env: &Env, path: &str, body: Value) -> Reply {
    support::call(&support::router(env.clone()), "POST", path, &[], body).await
}

/// Asks as a reader whom a trusted server names.
async fn ask_as(env: &Env, user: &str, path: &str, text: &str, more: Value) -> Reply {
    let mut body = json!({ "message": { "content": text, "user_id": user } });
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    support::call(&support::router(env.clone()), "POST", path, &[FRONT], body).await
}

/// The last event of a stream, after a look at the others.
fn last(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text);
    let mut events = reply.events();
    let last = events.pop().unwrap();
    let text: String = events
        .iter()
        .map(|it| {
            assert_eq!(it["status"], "partial");
            it["content"].as_str().unwrap()
        })
        .collect();
    if last["status"] == "success" {
        assert_eq!(last["content"], text, "the deltas are not the answer");
    }
    last
}

/// A column of the newest log row, as text.
async fn logged(url: &str, column: &str) -> String {
    let db = database::client(url).await;
    let sql = format!(
        "select ({column})::text from interaction_logs order by request_timestamp desc limit 1"
    );
    db.query_typed_one(&sql, &[]).await.unwrap().get(0)
}
