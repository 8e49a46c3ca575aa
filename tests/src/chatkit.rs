//! ChatKit's threads and items through the door: streams event by event, and what is read later.

use std::time::Duration;

use axum::{Router, body::Body, http::Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use shared::{config::Env, db::Client};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tower::ServiceExt;
use uuid::Uuid;

use crate::support::{
    self, Reply, book,
    client::Events,
    database,
    model::{Fake, Reply as Said, Step, texts},
};

const PATH: &str = "/api/chatkit";
const KEY: &str = "an internal key";
const WICK: &str = "How often is the wick trimmed?";

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
        let url = model.openai_url();
        let (provider, key) = (("LLM_PROVIDER", "openai"), ("LLM_API_KEY", "sk-test"));
        Self::with(&[provider, key, ("LLM_BASE_URL", &url), ("LLM_MODEL", "fake-1")])
            .await
    }

    async fn with(settings: &[(&str, &str)]) -> Self {
        let url = database::fresh().await;
        let env = Env::from([
            ("ALLOW_GUESTS", "1"),
            ("BOOK_BASE_URL", "https://book.example/"),
            ("CONDENSE_TIMEOUT", "0"),
            ("EMBEDDING_PROVIDER", "none"),
            ("INTERNAL_API_KEY", KEY),
            ("JWT_SECRET_KEY", "a secret that is known to these tests only"),
        ]);
        let env = env.with("DATABASE_URL", &url).with("BOOK_SHELF", &book::shelf().await);
        let env = settings.iter().fold(env, |env, (name, value)| env.with(name, value));
        let db = database::client(&url).await;
        Self { router: support::router(env.clone()), env, db }
    }

    /// A request of a reader whom a trusted server names.
    async fn send(&self, reader: &str, kind: &str, params: Value) -> Reply {
        let path = format!("{PATH}?user_id={reader}");
        let body = json!({ "type": kind, "params": params, "metadata": null });
        support::call(&self.router, "POST", &path, &[("x-api-key", KEY)], body).await
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

/// What happens, in one word each.
fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().map(|it| {
        let kind = it["update"]["type"].as_str().or(it["type"].as_str()).unwrap();
        kind.strip_prefix("assistant_message.content_part.").unwrap_or(kind)
    });
    kinds.collect()
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

#[tokio::test]
async fn a_first_message_is_a_thread_an_answer_and_a_title() {
    let house =
        House::new("Every 😀 |four hours [1]. [2][1], |and `v[1]` stays [9].").await;
    let params = json!({ "input": message(WICK) });
    let reply = house.send("ada", "threads.create", params).await;
    for (name, value) in
        [("cache-control", "no-cache, no-transform"), ("x-accel-buffering", "no")]
    {
        assert_eq!(reply.headers[name], value);
    }
    let events = events(&reply);
    let answer = items(&events).pop().unwrap();
    assert_eq!(answer["id"], reply.headers["x-message-id"].to_str().unwrap());
    let deltas: String =
        events.iter().filter_map(|it| it["update"]["delta"].as_str()).collect();
    assert_eq!(text(&answer), deltas);
    insta::assert_json_snapshot!(events, {
        ".**.id" => "[id]",
        ".**.item_id" => "[id]",
        ".**.thread_id" => "[id]",
        ".**.created_at" => "[time]",
    });
}

#[tokio::test]
async fn what_was_streamed_is_what_is_read_later() {
    let house = House::new("Every 😀 four |hours [1], `v[1]` stays.").await;
    let first = house.create(WICK).await;
    let id = thread(&first);
    let mut said = items(&first);
    let written = json!({
        "content": [
            { "type": "input_text", "text": "And in " },
            { "type": "input_tag", "id": "fog", "text": "Fog signals", "data": { "page": "2" },
              "group": "Chapters", "interactive": true },
        ],
        "attachments": [],
        "quoted_text": "the bell is struck",
        "inference_options": { "tool_choice": { "id": "search" }, "model": "large" },
    });
    let params = json!({ "thread_id": id, "input": written });
    let second = house.stream("threads.add_user_message", params).await;
    said.extend(items(&second));
    for (key, value) in written.as_object().unwrap() {
        assert_eq!(&said[2][key], value, "{key}");
    }
    assert_eq!(
        kinds(&second)[..3],
        ["thread.item.done", "stream_options", "progress_update"]
    );
    assert_eq!(
        *kinds(&second).last().unwrap(),
        "thread.item.done",
        "the title is no news"
    );
    let read = house.thread(&id).await;
    assert_eq!(read["items"]["data"], json!(said));
    assert_eq!(read["created_at"], first[0]["thread"]["created_at"]);
    for item in &said {
        let time = item["created_at"].as_str().unwrap();
        assert!(time.ends_with('Z') && OffsetDateTime::parse(time, &Rfc3339).is_ok());
        assert!(Uuid::parse_str(item["id"].as_str().unwrap()).is_ok());
    }
    let added = second.iter().find(|it| it["type"] == "thread.item.added").unwrap();
    assert_eq!(added["item"]["created_at"], said[3]["created_at"]);

    // The same history in our own protocol: its texts, and its markers.
    let path = format!("/api/v1/conversations/{}?user_id=ada", id.as_str().unwrap());
    let key = [("x-api-key", KEY)];
    let own = support::call(&house.router, "GET", &path, &key, Value::Null).await.json();
    assert_eq!(own["title"], WICK);
    assert_eq!(own["messages"][1]["content"], "Every 😀 four hours [1], `v[1]` stays.");
    assert_eq!(own["messages"][2]["content"], "And in Fog signals");
    assert_eq!(own["messages"][2]["id"], said[2]["id"]);
}

#[tokio::test]
async fn a_quotation_is_the_first_source() {
    let model = Fake::start();
    let house = House::asking(&model).await;
    model.reply(Said::says(&["It spits [1]."]));
    let mut input = message("Why not?");
    input["quoted_text"] = "Never fill a burning lamp".into();
    let events = house.stream("threads.create", json!({ "input": input })).await;
    let source = &items(&events)[1]["content"][0]["annotations"][0]["source"];
    assert_eq!(source["data"]["quote"], "Never fill a burning lamp");
    assert_eq!(source["data"]["path"], "lamps/oil.md");
    let asked = model.requests().pop().unwrap().body.to_string();
    assert!(asked.contains("Never fill a burning lamp"), "{asked}");
}

#[tokio::test]
async fn an_answer_to_another_client_has_no_markers_here() {
    let house = House::new("Every four hours [1] and `v[1]`.").await;
    let body = json!({ "message": { "content": WICK, "user_id": "ada" } });
    let key = [("x-api-key", KEY)];
    let simple =
        support::call(&house.router, "POST", "/api/v1/chat", &key, body).await.json();
    let id = &simple["response"]["conversation_id"];
    let items = &house.thread(id).await["items"]["data"];
    assert_eq!(items[0]["content"], json!([{ "type": "input_text", "text": WICK }]));
    assert_eq!(text(&items[1]), "Every four hours and `v[1]`.");
    let annotation = &items[1]["content"][0]["annotations"][0];
    assert_eq!(annotation["index"], 16);
    let source = &simple["response"]["sources"][0];
    assert_eq!(annotation["source"]["data"]["href"], source["url"]);
    assert_eq!(annotation["source"]["id"], source["id"]);

    // What somebody else answered cites nothing of ours.
    let saved = json!({ "user_id": "ada", "query": "q", "response": "As [1] says." });
    let path = "/api/v1/conversations/internal-save";
    let saved = support::call(&house.router, "POST", path, &key, saved).await.json();
    let items = &house.thread(&saved["conversation_id"]).await["items"]["data"];
    assert_eq!(text(&items[1]), "As [1] says.");
}

#[tokio::test]
async fn quoted_passages_keep_their_code() {
    let house = House::with(&[("LLM_PROVIDER", "extractive")]).await;
    let events = house.create("How often is the bell struck in fog?").await;
    let answer = items(&events).pop().unwrap();
    assert!(text(&answer).contains("strokes[2] = pause"), "{answer}");
    assert!(!text(&answer).contains("[1]"), "{answer}");
    assert_eq!(house.thread(&thread(&events)).await["items"]["data"][1], answer);
}

#[tokio::test]
async fn threads_and_items_come_in_pages() {
    let house = House::new("Every four hours [1].").await;
    let long = house.create("Question 0").await;
    let id = thread(&long);
    let mut said: Vec<String> = Vec::new();
    for n in 0..12 {
        let turn = if n == 0 {
            long.clone()
        } else {
            house.add(&id, &format!("Question {n}")).await
        };
        said.extend(items(&turn).iter().map(|it| it["id"].as_str().unwrap().to_owned()));
    }
    let whole = house.thread(&id).await;
    assert_eq!(ids(&whole["items"]), said[..20]);
    assert_eq!(whole["items"]["has_more"], true);
    assert_eq!(whole["items"]["after"], said[19]);

    let list = async |params: Value| {
        let mut all = json!({ "thread_id": id });
        all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
        house.see("items.list", all).await
    };
    let rest = list(json!({ "order": "asc", "after": said[19], "limit": null })).await;
    assert_eq!(
        (ids(&rest), &rest["has_more"]),
        (said[20..].iter().map(String::as_str).collect(), &json!(false))
    );
    assert!(rest.get("after").is_none());
    said.reverse();
    let newest = list(json!({ "limit": 2, "order": null, "after": null })).await;
    assert_eq!(
        (ids(&newest), &newest["after"]),
        (vec![said[0].as_str(), &said[1]], &json!(said[1]))
    );
    let older = list(json!({ "limit": 22, "order": "desc", "after": said[1] })).await;
    assert_eq!((ids(&older).len(), &older["has_more"]), (22, &json!(false)));
    assert_eq!(ids(&list(json!({ "limit": 9999 })).await).len(), 24);

    for n in 1..4 {
        house.create(&format!("Thread {n}")).await;
    }
    let page = house.see("threads.list", json!({ "limit": 9999 })).await;
    let titles: Vec<_> =
        page["data"].as_array().unwrap().iter().map(|it| it["title"].clone()).collect();
    assert_eq!(titles, ["Thread 3", "Thread 2", "Thread 1", "Question 0"]);
    assert_eq!(page["data"][0]["items"], json!({ "data": [], "has_more": false }));
    let all = ids(&page);
    let first = house.see("threads.list", json!({ "limit": 3 })).await;
    assert_eq!((ids(&first), &first["after"]), (all[..3].to_vec(), &json!(all[2])));
    let next = house.see("threads.list", json!({ "limit": 0, "after": all[2] })).await;
    assert_eq!((ids(&next), &next["has_more"]), (all[3..].to_vec(), &json!(false)));
    let oldest = house.see("threads.list", json!({ "order": "asc", "limit": 1 })).await;
    assert_eq!((ids(&oldest), &oldest["has_more"]), (all[3..].to_vec(), &json!(true)));
}

#[tokio::test]
async fn a_name_that_the_reader_gave_stays() {
    let house = House::new("Every four hours [1].").await;
    let first = house.create(WICK).await;
    let id = thread(&first);
    assert!(first[0]["thread"].get("title").is_none());
    assert_eq!(first.last().unwrap()["thread"]["title"], WICK);
    let params = json!({ "thread_id": id, "title": " On\n wicks " });
    let renamed = house.see("threads.update", params).await;
    assert_eq!(renamed["title"], "On wicks");
    let asked = items(&first)[0]["id"].clone();
    for turn in [
        house.add(&id, "Why?").await,
        house
            .stream(
                "threads.retry_after_item",
                json!({ "thread_id": id, "item_id": asked }),
            )
            .await,
    ] {
        assert!(!kinds(&turn).contains(&"thread.updated"));
    }
    assert_eq!(house.thread(&id).await["title"], "On wicks");
}

#[tokio::test]
async fn a_thumb_is_kept_for_every_answer_that_is_named() {
    let house = House::new("Every four hours [1].").await;
    let first = house.create(WICK).await;
    let id = thread(&first);
    let second = house.add(&id, "Why?").await;
    let (asked, first) = (items(&first)[0]["id"].clone(), items(&first)[1]["id"].clone());
    let second = items(&second)[1]["id"].clone();
    let judge = |reader, items: Value, kind| {
        let params = json!({ "thread_id": id, "item_ids": items, "kind": kind });
        house.send(reader, "items.feedback", params)
    };
    let given = async || {
        let sql = "select kind from feedback order by message_id";
        let rows = house.db.query_typed(sql, &[]).await.unwrap();
        rows.iter().map(|it| it.get(0)).collect::<Vec<String>>()
    };
    for (kind, kept) in [("positive", ["positive"; 2]), ("negative", ["negative"; 2])] {
        let reply = judge("ada", json!([first, second, first]), kind).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, "{}"));
        assert_eq!(given().await, kept);
    }
    let nobodys = Uuid::now_v7();
    for (reader, items, kind, status) in [
        ("bob", json!([first]), "positive", 404),
        ("ada", json!([first, asked]), "positive", 404),
        ("ada", json!([first, nobodys]), "positive", 404),
        ("ada", json!(["msg_1"]), "positive", 404),
        ("ada", json!([]), "positive", 200),
        ("ada", json!([first]), "neutral", 400),
    ] {
        assert_eq!(judge(reader, items, kind).await.status, status);
    }
    assert_eq!(given().await, ["negative"; 2], "all or none");
}

#[tokio::test]
async fn deleting_is_done_once_and_by_its_owner() {
    let house = House::new("Every four hours [1].").await;
    let id = thread(&house.create(WICK).await);
    for (reader, left) in [("bob", 1), ("ada", 0), ("ada", 0)] {
        let reply =
            house.send(reader, "threads.delete", json!({ "thread_id": id })).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, "{}"));
        assert_eq!(house.count("conversations").await, left);
    }
    assert_eq!(
        house.see("threads.delete", json!({ "thread_id": "thr_none" })).await,
        json!({})
    );
    let params = json!({ "thread_id": id });
    assert_eq!(house.send("ada", "threads.get_by_id", params).await.status, 404);
}

#[tokio::test]
async fn a_retry_takes_the_place_of_all_that_followed() {
    let model = Fake::start();
    let house = House::asking(&model).await;
    let mut turns: Vec<Vec<Value>> = Vec::new();
    for answer in ["One [1].", "Two [1].", "Three [1]."] {
        model.reply(Said::says(&[answer]));
        turns.push(match turns.first() {
            None => house.create(WICK).await,
            Some(first) => {
                house.add(&thread(first), &format!("Number {}?", turns.len())).await
            }
        });
    }
    let (id, asked) = (thread(&turns[0]), items(&turns[1])[0].clone());
    let params = json!({ "thread_id": id, "item_id": asked["id"] });

    // The model is away before its first word and there is nothing else to say: nothing is lost.
    let silent = house.env.clone().with("BOOK_SHELF", "/nowhere/book.shelf");
    let path = format!("{PATH}?user_id=ada");
    let body = json!({ "type": "threads.retry_after_item", "params": params });
    let key = [("x-api-key", KEY)];
    let failed = support::call(&support::router(silent), "POST", &path, &key, body).await;
    assert_eq!(kinds(&events(&failed)).last(), Some(&"error"));
    assert_eq!(ids(&house.thread(&id).await["items"]).len(), 6);
    model.reply(Said::Cut(texts(&["It begins [1] "])));
    let broken = house.stream("threads.retry_after_item", params.clone()).await;
    assert_eq!(kinds(&broken).last(), Some(&"error"));
    let read = house.thread(&id).await;
    assert_eq!(
        (ids(&read["items"]).len(), text(&read["items"]["data"][6])),
        (7, "It begins ")
    );

    model.reply(Said::says(&["Better [1]."]));
    let retry = house.stream("threads.retry_after_item", params.clone()).await;
    let answer = items(&retry).pop().unwrap();
    assert_eq!(items(&retry).len(), 1);
    assert_eq!(
        kinds(&retry)[..3],
        ["stream_options", "progress_update", "thread.item.added"]
    );
    let read = house.thread(&id).await["items"]["data"].clone();
    let mut left = items(&turns[0]);
    left.extend([asked.clone(), answer]);
    assert_eq!(read, json!(left));
    let told = model.requests().pop().unwrap().body.to_string();
    assert!(told.contains("One [1].") && !told.contains("Two [1]."), "{told}");

    for (thread_id, item_id) in [
        (id.clone(), json!("msg_none")),
        (id.clone(), json!(Uuid::now_v7())),
        (id.clone(), read[1]["id"].clone()),
        (json!("thr_none"), asked["id"].clone()),
    ] {
        let params = json!({ "thread_id": thread_id, "item_id": item_id });
        let reply = house.send("ada", "threads.retry_after_item", params).await;
        assert_eq!(
            (reply.status, reply.json()["code"].as_str()),
            (404, Some("not_found"))
        );
    }
    assert_eq!(house.send("bob", "threads.retry_after_item", params).await.status, 404);
}

#[tokio::test]
async fn each_refusal_is_json_with_a_code_and_words() {
    let house = House::new("Every four hours [1].").await;
    let id = thread(&house.create(WICK).await);
    let with = |change: &str, value: Value| {
        let mut input = message(WICK);
        input[change] = value;
        json!({ "type": "threads.create", "params": { "input": input } })
    };
    let mut without = message(WICK);
    without.as_object_mut().unwrap().remove("attachments");
    let create =
        |input: Value| json!({ "type": "threads.create", "params": { "input": input } });
    let of = |kind: &str| json!({ "type": kind, "params": {} });
    let many = vec![json!({ "type": "input_text", "text": "x" }); 4001];
    let tag = json!([{ "type": "input_tag", "id": "t", "text": "x", "data": { "x": "x".repeat(70_000) } }]);
    for (body, status, code) in [
        (of("threads.nope"), 400, "invalid_request"),
        (json!({ "type": "threads.get_by_id" }), 400, "invalid_request"),
        (of("threads.get_by_id"), 400, "invalid_request"),
        (json!({ "params": {} }), 400, "invalid_request"),
        (json!([]), 400, "invalid_request"),
        (of("attachments.create"), 400, "invalid_request"),
        (of("attachments.delete"), 400, "invalid_request"),
        (of("input.transcribe"), 400, "invalid_request"),
        (of("threads.custom_action"), 400, "invalid_request"),
        (of("threads.sync_custom_action"), 400, "invalid_request"),
        (of("threads.add_client_tool_output"), 400, "invalid_request"),
        (of("threads.add_structured_input"), 400, "invalid_request"),
        (create(without), 400, "invalid_request"),
        (with("content", json!([])), 400, "invalid_request"),
        (
            with("content", json!([{ "type": "input_text", "text": "\0" }])),
            400,
            "invalid_request",
        ),
        (with("content", json!(many)), 400, "invalid_request"),
        (with("content", tag), 400, "invalid_request"),
        (with("content", json!([{ "type": "input_image" }])), 400, "invalid_request"),
        (with("quoted_text", json!("x".repeat(8001))), 400, "invalid_request"),
        (with("attachments", json!(["atc_none"])), 404, "not_found"),
        (
            json!({ "type": "threads.list", "params": { "limit": -1 } }),
            400,
            "invalid_request",
        ),
        (
            json!({ "type": "threads.list", "params": { "order": "up" } }),
            400,
            "invalid_request",
        ),
        (
            json!({ "type": "threads.list", "params": { "after": "thr_none" } }),
            404,
            "not_found",
        ),
        (
            json!({ "type": "threads.get_by_id", "params": { "thread_id": "thr_none" } }),
            404,
            "not_found",
        ),
        (
            json!({ "type": "items.list", "params": { "thread_id": Uuid::now_v7() } }),
            404,
            "not_found",
        ),
        (
            json!({ "type": "threads.update", "params": { "thread_id": id, "title": " " } }),
            400,
            "invalid_request",
        ),
        (
            json!({ "type": "threads.add_user_message", "params": { "thread_id": "thr_none", "input": message("x") } }),
            404,
            "not_found",
        ),
    ] {
        let path = format!("{PATH}?user_id=ada");
        let key = [("x-api-key", KEY)];
        let reply = support::call(&house.router, "POST", &path, &key, body.clone()).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text);
        assert_eq!(reply.headers["content-type"], "application/json");
        let told = reply.json();
        assert_eq!(told["code"], code, "{body}");
        assert!(told["message"].as_str().unwrap().len() > 10, "{told}");
        assert_eq!(told["request_id"], reply.headers["x-request-id"].to_str().unwrap());
    }
    for (kind, body) in [("application/json", "{nope"), ("text/plain", "{}")] {
        let request = Request::post(format!("{PATH}?user_id=ada"))
            .header("content-type", kind)
            .header("x-api-key", KEY)
            .body(Body::from(body));
        let reply = support::send(&house.router, request.unwrap()).await;
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (400, &json!("invalid_request"))
        );
    }
    assert_eq!(
        (house.count("conversations").await, house.count("messages").await),
        (1, 2)
    );
}

#[tokio::test]
async fn only_known_readers_come_in_and_each_to_their_own() {
    let house = House::new("Every four hours [1].").await;
    let id = thread(&house.create(WICK).await);
    let list = json!({ "type": "threads.list", "params": {} });
    let named = format!("{PATH}?user_id=ada");
    for (path, headers, status, code) in [
        (PATH, vec![], 401, "unauthorized"),
        (named.as_str(), vec![], 401, "unauthorized"),
        (PATH, vec![("authorization", "Bearer nobody")], 401, "unauthorized"),
        (&named, vec![("x-api-key", "wrong")], 401, "unauthorized"),
        (PATH, vec![("x-api-key", KEY)], 400, "invalid_request"),
    ] {
        let reply =
            support::call(&house.router, "POST", path, &headers, list.clone()).await;
        assert_eq!((reply.status, &reply.json()["code"]), (status, &json!(code)));
    }
    let theirs = json!({ "thread_id": id, "item_id": id, "title": "x", "input": message("x"),
        "item_ids": [id], "kind": "positive" });
    let nobodys = json!({ "thread_id": Uuid::now_v7(), "item_id": id, "title": "x",
        "input": message("x"), "item_ids": [id], "kind": "positive" });
    for kind in [
        "threads.get_by_id",
        "threads.add_user_message",
        "threads.retry_after_item",
        "threads.update",
        "items.list",
        "items.feedback",
    ] {
        let said = async |reader, params: &Value| {
            let reply = house.send(reader, kind, params.clone()).await;
            let mut told = reply.json();
            told.as_object_mut().unwrap().remove("request_id");
            (reply.status, told)
        };
        let foreign = said("bob", &theirs).await;
        assert_eq!(foreign.0, 404, "{kind}");
        assert_eq!(foreign, said("ada", &nobodys).await, "{kind}");
    }
    assert_eq!(
        house.send("bob", "threads.list", json!({})).await.json()["data"],
        json!([])
    );
}

#[tokio::test]
async fn a_failure_has_words_for_the_reader_and_loses_nothing() {
    let house = House::new("It begins [1] |{{fail}}").await;
    let broken = house.create(WICK).await;
    let error = broken.last().unwrap();
    let words = "The answer broke off. Please ask again.";
    let custom = json!({ "type": "error", "code": "custom", "message": words, "allow_retry": true });
    assert_eq!(*error, custom);
    assert_eq!(text(&items(&broken)[1]), "It begins ");
    assert_eq!(
        house.thread(&thread(&broken)).await["items"]["data"],
        json!(items(&broken))
    );

    // Without a word of the answer the question is there all the same.
    let house =
        House::with(&[("LLM_PROVIDER", "extractive"), ("BOOK_SHELF", "/nowhere")]).await;
    let silent = house.create(WICK).await;
    assert_eq!(
        kinds(&silent),
        [
            "thread.created",
            "thread.item.done",
            "stream_options",
            "progress_update",
            "error"
        ]
    );
    let read = house.thread(&thread(&silent)).await;
    assert_eq!(read["items"]["data"], json!(items(&silent)));
    assert_eq!(read["title"], Value::Null, "no answer has named it yet");

    let house = House::new("{{panic}}").await;
    let bug = house.create(WICK).await;
    let error = json!({ "type": "error", "code": "stream.error", "allow_retry": true });
    assert_eq!(*bug.last().unwrap(), error);
    assert_eq!(ids(&house.thread(&thread(&bug)).await["items"]).len(), 1);
}

#[tokio::test]
async fn a_reader_is_told_that_the_model_is_away() {
    let house = House::new("{{fail}}").await;
    let events = house.create(WICK).await;
    let notice = events.iter().find(|it| it["type"] == "notice").unwrap();
    assert!(
        notice["message"].as_str().unwrap().starts_with("The model is away"),
        "{notice}"
    );
    assert_eq!(*kinds(&events).last().unwrap(), "thread.updated");
}

#[tokio::test]
async fn without_its_database_it_answers_and_says_what_is_missing() {
    let house = House::new("Every four hours [1].").await;
    let away = house.env.clone().with("DATABASE_URL", "postgresql://app@%2Fnowhere/x");
    let house = House { router: support::router(away.clone()), env: away, ..house };
    let events = house.create(WICK).await;
    assert_eq!(text(&items(&events)[1]), "Every four hours.");
    let notice = events.last().unwrap();
    assert_eq!(
        (&notice["type"], &notice["level"]),
        (&json!("notice"), &json!("warning"))
    );
    let list = house.send("ada", "threads.list", json!({})).await;
    assert_eq!((list.status, &list.json()["code"]), (503, &json!("unavailable")));
}

/// A stream that is still coming.
struct Reading {
    body: Body,
    cut: Events,
    found: Vec<Value>,
}

impl Reading {
    async fn start(house: &House, kind: &str, params: Value) -> Self {
        let body = json!({ "type": kind, "params": params }).to_string();
        let request = Request::post(format!("{PATH}?user_id=ada"))
            .header("content-type", "application/json")
            .header("x-api-key", KEY)
            .body(Body::from(body));
        let response = house.router.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        let (cut, found) = (Events::default(), Vec::new());
        Self { body: response.into_body(), cut, found }
    }

    /// Reads until such an event has come.
    async fn until(&mut self, kind: &str) -> &mut Self {
        while !kinds(&self.found).contains(&kind) {
            let frame = self.body.frame().await.expect("more comes").unwrap();
            self.found.extend(self.cut.push(&frame.into_data().unwrap()));
        }
        self
    }

    async fn rest(mut self) -> Vec<Value> {
        while let Some(frame) = self.body.frame().await {
            self.found.extend(self.cut.push(&frame.unwrap().into_data().unwrap()));
        }
        self.found
    }
}

/// What the history says of the newest answer, once it is no longer being made.
async fn settled(house: &House, thread: &Value) -> String {
    let id = thread.as_str().unwrap();
    let path = format!("/api/v1/conversations/{id}?user_id=ada");
    loop {
        let key = [("x-api-key", KEY)];
        let read =
            support::call(&house.router, "GET", &path, &key, Value::Null).await.json();
        let status =
            read["messages"].as_array().and_then(|it| it.last()?["status"].as_str());
        match status {
            Some("running") | None => tokio::time::sleep(Duration::from_millis(20)).await,
            Some(status) => return status.to_owned(),
        }
    }
}

#[tokio::test]
async fn a_thread_shows_what_there_is_of_an_answer_and_takes_a_name_meanwhile() {
    let model = Fake::start();
    let house = House::asking(&model).await;
    let steps = model.stepped();
    let mut reading =
        Reading::start(&house, "threads.create", json!({ "input": message(WICK) })).await;
    steps.send(Step::Text("Every four hours [1], ".to_owned())).unwrap();
    let id = thread(&reading.until("annotation_added").await.found);
    let shown = loop {
        let shown = house.thread(&id).await["items"]["data"].clone();
        match shown.as_array().unwrap().len() {
            2 => break shown,
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert_eq!(shown[0], items(&reading.found)[0]);
    assert_eq!(text(&shown[1]), "Every four hours, ");
    assert_eq!(shown[1]["content"][0]["annotations"][0]["index"], 16);
    let named = json!({ "thread_id": id, "title": "On wicks" });
    assert_eq!(house.see("threads.update", named).await["title"], "On wicks");
    drop(steps);
    let told = reading.rest().await;
    assert_eq!(told.last().unwrap()["thread"]["title"], "On wicks");
    let read = house.thread(&id).await;
    assert_eq!(
        (&read["title"], &read["items"]["data"]),
        (&json!("On wicks"), &json!(items(&told)))
    );
}

#[tokio::test]
async fn hanging_up_stops_an_answer_and_the_next_one_knows() {
    let model = Fake::start();
    let house = House::asking(&model).await;
    let steps = model.stepped();
    let mut reading =
        Reading::start(&house, "threads.create", json!({ "input": message(WICK) })).await;
    steps.send(Step::Text("Every four hours [1], ".to_owned())).unwrap();
    let id = thread(&reading.until("annotation_added").await.found);
    drop(reading);
    model.hung_up().await;
    assert_eq!(settled(&house, &id).await, "stopped");
    let read = house.thread(&id).await;
    assert_eq!(read.get("title"), None, "a title comes with a whole answer");
    let read = read["items"]["data"].clone();
    assert_eq!(text(&read[1]), "Every four hours, ");
    assert!(!read.to_string().contains("stopped this answer"), "{read}");

    model.reply(Said::says(&["Then noon [1]."]));
    let next = house.add(&id, "When is the tank filled?").await;
    assert_eq!(text(&items(&next)[1]), "Then noon.");
    assert_eq!(house.thread(&id).await["title"], WICK);
    let told = model.requests().pop().unwrap().body.to_string();
    assert!(
        told.contains("Every four hours [1], ") && told.contains("The reader stopped"),
        "{told}"
    );

    // Before its first word there is nothing to show but the question.
    let steps = model.stepped();
    let params = json!({ "thread_id": id, "input": message("And the lens?") });
    let mut reading = Reading::start(&house, "threads.add_user_message", params).await;
    reading.until("progress_update").await;
    drop(reading);
    assert_eq!(settled(&house, &id).await, "stopped");
    assert_eq!(house.thread(&id).await["items"]["data"].as_array().unwrap().len(), 5);
    drop(steps);
}

#[tokio::test]
async fn what_is_kept_of_an_answer_whose_maker_died_has_no_markers_either() {
    let model = Fake::start();
    let house = House::asking(&model).await;
    let steps = model.stepped();
    let mut reading =
        Reading::start(&house, "threads.create", json!({ "input": message(WICK) })).await;
    steps.send(Step::Text("Every four hours [1], ".to_owned())).unwrap();
    let id = thread(&reading.until("annotation_added").await.found);
    // To everybody else a maker is dead that has not been seen for a while.
    let forsaken = "update runs set seen_at = seen_at - interval '1 minute'
                    where exists (select 1 from run_batches where content <> '')";
    let items = loop {
        house.db.execute_typed(forsaken, &[]).await.unwrap();
        let thread =
            house.send("ada", "threads.get_by_id", json!({ "thread_id": id })).await;
        let kept = "messages where status = 'interrupted'";
        if house.count(kept).await == 1 {
            break thread.json()["items"]["data"].clone();
        }
    };
    assert_eq!(text(&items[1]), "Every four hours, ");
    assert_eq!(items[1]["content"][0]["annotations"][0]["index"], 16);
    assert_eq!(items[0], self::items(&reading.found)[0]);
    drop(steps);
}

#[tokio::test]
async fn a_message_that_is_sent_again_is_asked_once() {
    let model = Fake::start();
    let house = House::asking(&model).await;
    let steps = model.stepped();
    let params = json!({ "input": message(WICK) });
    let mut first = Reading::start(&house, "threads.create", params.clone()).await;
    first.until("stream_options").await;
    let second = Reading::start(&house, "threads.create", params.clone()).await;
    steps.send(Step::Text("Every four hours [1].".to_owned())).unwrap();
    drop(steps);
    let first = first.rest().await;
    for again in [second.rest().await, house.stream("threads.create", params).await] {
        assert_eq!(again, first);
    }
    assert_eq!(
        (house.count("conversations").await, house.count("messages").await),
        (1, 2)
    );

    model.reply(Said::says(&["Because [1]."]));
    let id = thread(&first);
    let (next, again) = (house.add(&id, "Why?").await, house.add(&id, "Why?").await);
    assert_eq!(next, again);
    assert_eq!(model.requests().len(), 2);

    // Another reader's message, and one to another thread, are others.
    let other =
        house.send("bob", "threads.create", json!({ "input": message(WICK) })).await;
    assert_ne!(thread(&events(&other)), id);
    let elsewhere = thread(&house.create("What is rouge for?").await);
    assert_ne!(items(&house.add(&elsewhere, "Why?").await), items(&next));
}

#[tokio::test]
async fn a_message_that_was_cut_off_and_is_sent_again_is_answered_in_its_place() {
    let model = Fake::start();
    let house = House::asking(&model).await;
    let steps = model.stepped();
    let params = json!({ "input": message(WICK) });
    let mut cut = Reading::start(&house, "threads.create", params.clone()).await;
    steps.send(Step::Text("Every ".to_owned())).unwrap();
    let id = thread(&cut.until("text_delta").await.found);
    let asked = items(&cut.found);
    drop(cut);
    assert_eq!(settled(&house, &id).await, "stopped");
    model.reply(Said::says(&["Every four hours [1]."]));
    let again = house.stream("threads.create", params).await;
    assert_eq!((thread(&again), &items(&again)[0]), (id.clone(), &asked[0]));
    assert_eq!(text(&items(&again)[1]), "Every four hours.");
    assert_eq!(house.thread(&id).await["items"]["data"], json!(items(&again)));
    assert_eq!(house.count("conversations").await, 1);
}
