//! What is refused, in which words, and who does not come in.

use axum::{body::Body, http::Request};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{House, PATH, message, thread};
use crate::support::{
    self,
    house::{FRONT, OIL},
};

#[tokio::test]
async fn each_refusal_is_json_with_a_code_and_words() {
    let house = House::new("Every four hours [1].").await;
    let id = thread(&house.create(OIL).await);
    let with = |change: &str, value: Value| {
        let mut input = message(OIL);
        input[change] = value;
        json!({ "type": "threads.create", "params": { "input": input } })
    };
    let mut without = message(OIL);
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
        let reply =
            support::call(&house.router, "POST", &path, &[FRONT], body.clone()).await;
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
            .header(FRONT.0, FRONT.1)
            .body(Body::from(body));
        let reply = support::send(&house.router, request.unwrap()).await;
        assert_eq!(reply.problem(), (400, "invalid_request".into()));
    }
    assert_eq!(
        (house.count("conversations").await, house.count("messages").await),
        (1, 2)
    );
}

#[tokio::test]
async fn only_known_readers_come_in_and_each_to_their_own() {
    let house = House::new("Every four hours [1].").await;
    let id = thread(&house.create(OIL).await);
    let list = json!({ "type": "threads.list", "params": {} });
    let named = format!("{PATH}?user_id=ada");
    for (path, headers, status, code) in [
        (PATH, vec![], 401, "unauthorized"),
        (named.as_str(), vec![], 401, "unauthorized"),
        (PATH, vec![("authorization", "Bearer nobody")], 401, "unauthorized"),
        (&named, vec![("x-api-key", "wrong")], 401, "unauthorized"),
        (PATH, vec![FRONT], 400, "invalid_request"),
    ] {
        let reply =
            support::call(&house.router, "POST", path, &headers, list.clone()).await;
        assert_eq!(reply.problem(), (status, code.into()));
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
