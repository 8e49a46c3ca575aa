//! One turn: what is streamed, and what is read later.

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::{House, events, items, kinds, message, text, thread};
use crate::support::{
    self,
    house::{FRONT, OIL},
    model::{Fake, Reply as Said},
};

#[tokio::test]
async fn a_first_message_is_a_thread_an_answer_and_a_title() {
    let house =
        House::new("Every 😀 |four hours [1]. [2][1], |and `v[1]` stays [9].").await;
    let params = json!({ "input": message(OIL) });
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
    let first = house.create(OIL).await;
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
    let own =
        support::call(&house.router, "GET", &path, &[FRONT], Value::Null).await.json();
    assert_eq!(own["title"], OIL);
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
    let body = json!({ "message": { "content": OIL, "user_id": "ada" } });
    let simple =
        support::call(&house.router, "POST", "/api/v1/chat", &[FRONT], body).await.json();
    let id = &simple["response"]["conversation_id"];
    let items = &house.thread(id).await["items"]["data"];
    assert_eq!(items[0]["content"], json!([{ "type": "input_text", "text": OIL }]));
    assert_eq!(text(&items[1]), "Every four hours and `v[1]`.");
    let annotation = &items[1]["content"][0]["annotations"][0];
    assert_eq!(annotation["index"], 16);
    let source = &simple["response"]["sources"][0];
    assert_eq!(annotation["source"]["data"]["href"], source["url"]);
    assert_eq!(annotation["source"]["id"], source["id"]);

    // What somebody else answered cites nothing of ours.
    let saved = json!({ "user_id": "ada", "query": "q", "response": "As [1] says." });
    let path = "/api/v1/conversations/internal-save";
    let saved = support::call(&house.router, "POST", path, &[FRONT], saved).await.json();
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
