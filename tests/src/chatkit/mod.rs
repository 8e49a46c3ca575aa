//! ChatKit's threads and items through the door: streams event by event, and what is read later.

mod broken_off;
mod failures;
mod lists;
mod refusals;
mod repeats;
mod retry;
mod threads;
mod turn;

use std::sync::mpsc::Sender;

use axum::{Router, body::Body, http::Request};
use serde_json::{Value, json};
use shared::{config::Env, db::Client};

use crate::support::{
    self, Open, Reply, database, eventually,
    house::{self, FRONT, OIL},
    model::{Fake, Step, say},
};

const PATH: &str = "/api/chatkit";

struct House {
    env: Env,
    router: Router,
    db: Client,
}

impl House {
    /// A bundle whose model says this.
    async fn new(script: &str) -> Self {
        Self::with(&[("LLM_PROVIDER", "scripted"), ("LLM_SCRIPT", script)]).await
    }

    /// A bundle that asks this model.
    async fn asking(model: &Fake) -> Self {
        let (env, url) = house::bundle(&[]).await;
        Self::at(house::asking(env, model), &url).await
    }

    async fn with(settings: &[(&str, &str)]) -> Self {
        let (env, url) = house::bundle(settings).await;
        Self::at(env, &url).await
    }

    async fn at(env: Env, database: &str) -> Self {
        let db = database::client(database).await;
        Self { router: support::router(env.clone()), env, db }
    }

    /// A request of a reader whom a trusted server names.
    async fn send(&self, reader: &str, kind: &str, params: Value) -> Reply {
        support::send(&self.router, request(reader, kind, &params)).await
    }

    /// The same, whose answer is still coming.
    async fn open(&self, kind: &str, params: Value) -> Open {
        Open::send(&self.router, request("ada", kind, &params)).await
    }

    /// A first message whose answer has come as far as its first citation: what lets the model
    /// go on, the stream, and the thread.
    async fn half_told(&self, model: &Fake) -> (Sender<Step>, Open, Value) {
        let steps = model.stepped();
        let mut live =
            self.open("threads.create", json!({ "input": message(OIL) })).await;
        say(&steps, "Every four hours [1], ");
        live.until(|it| kind(it) == "annotation_added").await;
        let id = thread(&live.found);
        (steps, live, id)
    }

    /// A request that is answered at once.
    async fn see(&self, kind: &str, params: Value) -> Value {
        let reply = self.send("ada", kind, params).await;
        assert_eq!(reply.status, 200, "{kind}: {}", reply.text);
        reply.json()
    }

    /// A request that is answered by a stream.
    async fn stream(&self, kind: &str, params: Value) -> Vec<Value> {
        events(&self.send("ada", kind, params).await)
    }

    async fn create(&self, text: &str) -> Vec<Value> {
        self.stream("threads.create", json!({ "input": message(text) })).await
    }

    async fn add(&self, thread: &Value, text: &str) -> Vec<Value> {
        let params = json!({ "thread_id": thread, "input": message(text) });
        self.stream("threads.add_user_message", params).await
    }

    async fn thread(&self, id: &Value) -> Value {
        self.see("threads.get_by_id", json!({ "thread_id": id })).await
    }

    async fn count(&self, table: &str) -> i64 {
        database::count(&self.db, &format!("select count(*) from {table}")).await
    }
}

fn request(reader: &str, kind: &str, params: &Value) -> Request<Body> {
    let path = format!("{PATH}?user_id={reader}");
    let body = json!({ "type": kind, "params": params, "metadata": null });
    support::request("POST", &path, &[FRONT], &body)
}

fn message(text: &str) -> Value {
    let content = [json!({ "type": "input_text", "text": text })];
    json!({ "content": content, "attachments": [], "inference_options": {} })
}

fn events(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.headers["content-type"], "text/event-stream");
    assert!(!reply.text.contains(":null"), "absent members are left out: {}", reply.text);
    let foreign =
        reply.text.lines().find(|it| !it.is_empty() && !it.starts_with("data: "));
    assert_eq!(foreign, None, "only data lines are sent");
    reply.events()
}

/// What happens, in one word.
fn kind(event: &Value) -> &str {
    let kind = event["update"]["type"].as_str().or(event["type"].as_str()).unwrap();
    kind.strip_prefix("assistant_message.content_part.").unwrap_or(kind)
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(kind).collect()
}

fn thread(events: &[Value]) -> Value {
    assert_eq!(events[0]["type"], "thread.created");
    events[0]["thread"]["id"].clone()
}

/// The items that are done, in their order.
fn items(events: &[Value]) -> Vec<Value> {
    let done = events.iter().filter(|it| it["type"] == "thread.item.done");
    done.map(|it| it["item"].clone()).collect()
}

fn text(item: &Value) -> &str {
    item["content"][0]["text"].as_str().unwrap()
}

fn ids(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect()
}

/// What the history says of the newest answer, once it is no longer being made.
async fn settled(house: &House, thread: &Value) -> String {
    let id = thread.as_str().unwrap();
    let path = format!("/api/v1/conversations/{id}?user_id=ada");
    eventually(async || {
        let read =
            support::call(&house.router, "GET", &path, &[FRONT], Value::Null).await;
        let read = read.json();
        let status = read["messages"].as_array()?.last()?["status"].as_str()?;
        (status != "running").then(|| status.to_owned())
    })
    .await
}
