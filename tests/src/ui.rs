//! The AI SDK's UI message stream, byte for byte; and the two events of `POST /chat`.

use serde_json::{Value, json};
use shared::{config::Env, conversations::fallback::Fallback};
use uuid::Uuid;

use crate::support::{
    self, Reply, database,
    house::{self, FRONT, OIL},
    model::{Fake, Reply as Said},
};

const CHAT: &str = "/api/chat";

/// A bundle whose model says this.
async fn bundle(script: &str) -> (Env, String) {
    house::bundle(&[("LLM_PROVIDER", "scripted"), ("LLM_SCRIPT", script)]).await
}

fn said(role: &str, text: &str) -> Value {
    json!({ "id": "m", "role": role, "parts": [{ "type": "text", "text": text }] })
}

fn asking(text: &str) -> Value {
    json!({ "id": "chat-1", "messages": [said("user", text)], "trigger": "submit-message" })
}

/// Asks as a guest.
async fn ask(env: &Env, body: Value) -> Reply {
    support::call(&support::router(env.clone()), "POST", CHAT, &[], body).await
}

/// Asks as a reader whom a trusted server names.
async fn ask_as(env: &Env, user: &str, mut body: Value) -> Reply {
    body["user_id"] = user.into();
    let router = support::router(env.clone());
    support::call(&router, "POST", CHAT, &[FRONT], body).await
}

/// The parts of a message that ends with `[DONE]`.
fn parts(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.text);
    let body = reply.text.strip_suffix("data: [DONE]\n\n").expect("it ends with [DONE]");
    let parts: Vec<Value> = body
        .split("\n\n")
        .filter(|it| !it.is_empty())
        .map(|it| serde_json::from_str(it.strip_prefix("data: ").unwrap()).unwrap())
        .collect();
    assert!(!body.contains(":null"), "the SDK refuses nulls: {body}");
    parts
}

fn metadata(reply: &Reply) -> Value {
    let finish = parts(reply).pop().unwrap();
    assert_eq!(finish["type"], "finish");
    finish["messageMetadata"].clone()
}

#[tokio::test]
async fn a_message_is_parts_and_then_done() {
    let (env, _) = bundle("Every 😀 |four hours [1]. Not [9].").await;
    let reply = ask(&env, asking(OIL)).await;
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
        ("x-vercel-ai-ui-message-stream", "v1"),
    ] {
        assert_eq!(reply.headers[name], value);
    }
    let parts = parts(&reply);
    assert_eq!(parts[0]["messageId"], reply.headers["x-message-id"].to_str().unwrap());
    insta::assert_json_snapshot!(parts, {
        "[].messageId" => "[id]",
        "[].messageMetadata.usage.inputTokens" => "[count]",
        "[].messageMetadata.usage.outputTokens" => "[count]",
        "[].messageMetadata.usage.totalTokens" => "[count]",
        "[].messageMetadata.bookVersion" => "[version]",
        "[].providerMetadata.lectern.id" => "[id]",
        "[].providerMetadata.lectern.score" => insta::rounded_redaction(4),
    });
}

#[tokio::test]
async fn the_text_is_that_of_our_own_protocol() {
    let (env, _) = bundle("Every 😀 |four [|1] hours, [9].| Then `v[1]`.").await;
    let simple = json!({ "message": { "content": OIL } });
    let router = support::router(env.clone());
    let simple = support::call(&router, "POST", "/api/v1/chat", &[], simple).await.json();
    let content = simple["response"]["content"].as_str().unwrap().to_owned();
    let parts = parts(&ask(&env, asking(OIL)).await);
    let text: String = parts.iter().filter_map(|it| it["delta"].as_str()).collect();
    assert_eq!(text, content);
    let sources: Vec<_> = parts
        .iter()
        .filter(|it| it["type"] == "source-url")
        .map(|it| it["providerMetadata"]["lectern"].clone())
        .collect();
    assert_eq!(json!(sources), simple["response"]["sources"]);

    let body = json!({ "chatId": "c", "messages": [{ "role": "user", "parts": [
        { "text": OIL, "type": "text/plain", "mimeType": "text/plain" },
    ] }] });
    let chunks = support::call(&router, "POST", "/chat", &[], body).await;
    let mut events = chunks.events();
    let done = events.pop().unwrap();
    assert_eq!(done["type"], "done");
    assert_eq!(done["message_id"], chunks.headers["x-message-id"].to_str().unwrap());
    assert_eq!(done["sources"], simple["response"]["sources"]);
    let text: String = events
        .iter()
        .map(|it| {
            assert_eq!(it["type"], "chunk");
            it["content"].as_str().unwrap()
        })
        .collect();
    assert_eq!(text, content);
}

#[tokio::test]
async fn a_source_without_an_address_is_a_document() {
    let (env, _) = bundle("Every four hours [1].").await;
    let parts = parts(&ask(&env.with("BOOK_BASE_URL", ""), asking(OIL)).await);
    let source = parts.iter().find(|it| it["type"] == "source-document").unwrap();
    assert_eq!(
        (&source["sourceId"], &source["title"]),
        (&json!("1"), &json!("Oil lamps"))
    );
}

#[tokio::test]
async fn a_readers_chat_is_a_conversation_and_everyones_own() {
    let (env, url) = bundle("Every four hours [1].").await;
    let first = ask_as(&env, "ada", asking(OIL)).await;
    let conversation = metadata(&first)["conversationId"].clone();
    assert_eq!(parts(&first)[0]["messageMetadata"]["conversationId"], conversation);
    assert_eq!(metadata(&first)["saved"], true);

    // Both forms of body, and our own id in place of the client's.
    let by_our_id = json!({ "id": conversation, "message": said("user", "Why?") });
    let by_theirs = json!({ "id": "chat-1", "message": said("user", "And then?") });
    for body in [by_our_id, by_theirs] {
        let next = ask_as(&env, "ada", body).await;
        assert_eq!(metadata(&next)["conversationId"], conversation);
    }
    let others = ask_as(&env, "bob", asking(OIL)).await;
    assert_ne!(metadata(&others)["conversationId"], conversation);
    let stolen = json!({ "id": conversation, "message": said("user", OIL) });
    assert_eq!(ask_as(&env, "bob", stolen).await.status, 404);

    let db = database::client(&url).await;
    let of_ada = "select count(*) from messages join conversations c on c.id = conversation_id
                  join users u on u.id = user_id where subject = 'ada' and client_id = 'chat-1'";
    assert_eq!(database::count(&db, of_ada).await, 6);
    assert_eq!(database::count(&db, "select count(*) from conversations").await, 2);
}

#[tokio::test]
async fn two_first_questions_at_once_make_one_conversation() {
    let (env, url) = bundle("Every four hours [1].").await;
    let all = (0..6).map(|n| {
        let mut body = asking(OIL);
        body["messages"][0]["id"] = json!(format!("m-{n}"));
        ask_as(&env, "ada", body)
    });
    let replies = futures_util::future::join_all(all).await;
    let ids: std::collections::BTreeSet<_> =
        replies.iter().map(|it| metadata(it)["conversationId"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    let db = database::client(&url).await;
    assert_eq!(database::count(&db, "select count(*) from messages").await, 12);
    assert_eq!(database::count(&db, "select count(*) from conversations").await, 1);
    let logged = "select count(distinct conversation_id) from interaction_logs";
    assert_eq!(database::count(&db, logged).await, 1);
}

#[tokio::test]
async fn a_chat_that_went_on_without_postgres_comes_home_to_its_conversation() {
    let (env, url) = bundle("Every four hours [1].").await;
    let first = ask_as(&env, "ada", asking(OIL)).await;
    let conversation = metadata(&first)["conversationId"].clone();
    let waiting = tempfile::tempdir().unwrap();
    let storage = format!("file:{}", waiting.path().display());
    let away = env
        .clone()
        .with("DATABASE_URL", "postgresql://app@%2Fnowhere/x")
        .with("FALLBACK_STORAGE", &storage);
    let by_our_id =
        json!({ "id": conversation, "message": said("user", "Why the wick?") });
    for body in [asking("Which wick?"), by_our_id] {
        let late = ask_as(&away, "ada", body).await;
        assert_eq!(metadata(&late)["degraded"], json!(["database"]));
        assert_eq!(metadata(&late)["saved"], false);
    }
    let fallback = Fallback::parse(&storage).unwrap();
    tools::replay::replay(&env, &fallback).await.unwrap();
    let db = database::client(&url).await;
    assert_eq!(database::count(&db, "select count(*) from conversations").await, 1);
    assert_eq!(database::count(&db, "select count(*) from messages").await, 6);
}

#[tokio::test]
async fn regenerating_replaces_the_last_answer_and_no_other() {
    let (env, url) = house::bundle(&[]).await;
    let model = Fake::start();
    let env = house::asking(env, &model);
    let db = database::client(&url).await;
    let kept = async || {
        let rows = db
            .query_typed("select content ->> 'text' from messages order by seq", &[])
            .await
            .unwrap();
        rows.iter().map(|it| it.get(0)).collect::<Vec<String>>()
    };
    let mut again = asking("Why?");
    again["trigger"] = "regenerate-message".into();
    for (answer, body) in [
        ("One [1].", asking(OIL)),
        ("Two [1].", asking("Why?")),
        ("Three [1].", again.clone()),
    ] {
        model.reply(Said::says(&[answer]));
        assert_eq!(metadata(&ask_as(&env, "ada", body).await)["saved"], true);
    }
    assert_eq!(kept().await, [OIL, "One [1].", "Why?", "Three [1]."]);
    let asked = model.requests().pop().unwrap().body.to_string();
    assert!(asked.contains("One [1].") && !asked.contains("Two [1]."), "{asked}");

    // It is not the last question, so it is asked anew; a guest has nothing to replace.
    again["messages"] = json!([said("user", OIL)]);
    model.reply(Said::says(&["Four [1]."]));
    ask_as(&env, "ada", again.clone()).await;
    assert_eq!(kept().await.len(), 6);
    model.reply(Said::says(&["Five [1]."]));
    assert_eq!(ask(&env, again).await.status, 200);
}

#[tokio::test]
async fn a_message_that_was_edited_takes_its_place_and_what_follows_goes() {
    let (env, url) = bundle("Fine [1].").await;
    let db = database::client(&url).await;
    let kept = async || {
        let rows = db
            .query_typed("select content ->> 'text' from messages order by seq", &[])
            .await
            .unwrap();
        rows.iter().map(|it| it.get(0)).collect::<Vec<String>>()
    };
    let named = |id: &str, text: &str| {
        let mut message = said("user", text);
        message["id"] = id.into();
        message
    };
    let send = async |messages: Value, more: Value| {
        let mut body = json!({ "id": "chat-1", "messages": messages });
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        assert_eq!(metadata(&ask_as(&env, "ada", body).await)["saved"], true);
    };
    let (one, two, three) =
        (named("u1", OIL), named("u2", "Why?"), named("u3", "And the lens?"));
    for message in [&one, &two, &three] {
        send(json!([message]), json!({ "trigger": "submit-message" })).await;
    }
    assert_eq!(kept().await.len(), 6);

    // The second one, in other words.
    let edited = named("u2", "How?");
    send(json!([one, edited]), json!({ "trigger": "submit-message", "messageId": "u2" }))
        .await;
    assert_eq!(kept().await, [OIL, "Fine [1].", "How?", "Fine [1]."]);
    // The first one, in the same.
    send(json!([one]), json!({ "trigger": "regenerate-message", "messageId": "a1" }))
        .await;
    assert_eq!(kept().await, [OIL, "Fine [1]."]);
    // One that we do not know is new.
    send(json!([one, two]), json!({ "trigger": "submit-message", "messageId": "u9" }))
        .await;
    assert_eq!(kept().await.len(), 4);
}

#[tokio::test]
async fn a_guest_brings_its_history_and_a_reader_has_one() {
    let (env, _) = house::bundle(&[]).await;
    let model = Fake::start();
    let env = house::asking(env, &model);
    let mut body = asking("");
    body["messages"] = json!([
        said("user", OIL),
        { "id": "a", "role": "assistant", "parts": [
            { "type": "step-start" },
            { "type": "text", "text": "Told by the client.", "state": "done" },
            { "type": "source-url", "sourceId": "1", "url": "https://book.example/" },
        ] },
        said("user", "Why is the wick trimmed?"),
    ]);
    for (guest, told) in [(true, true), (false, false)] {
        model.reply(Said::says(&["It smokes [1]."]));
        let reply = if guest {
            ask(&env, body.clone()).await
        } else {
            ask_as(&env, "ada", body.clone()).await
        };
        assert_eq!(reply.status, 200, "{}", reply.text);
        let asked = model.requests().pop().unwrap().body.to_string();
        assert_eq!(asked.contains("Told by the client."), told);
    }
}

#[tokio::test]
async fn every_failure_can_be_read() {
    let (env, _) = bundle("Every |{{fail}}").await;
    let closed = env.clone().with("ALLOW_GUESTS", "0");
    let mut file = asking(OIL);
    file["messages"][0]["parts"] = json!([
        { "type": "text", "text": "What is this?" },
        { "type": "file", "mediaType": "image/png", "url": "data:," },
    ]);
    let long = json!({ "id": "x".repeat(129), "message": said("user", OIL) });
    for (env, reader, body, status, code) in [
        (&closed, false, asking(OIL), 401, "unauthorized"),
        (&env, false, json!({ "id": "x" }), 422, "invalid"),
        (&env, false, json!({ "messages": [] }), 422, "invalid"),
        (&env, false, file, 422, "invalid"),
        (&env, true, long, 422, "invalid"),
    ] {
        let reply =
            if reader { ask_as(env, "ada", body).await } else { ask(env, body).await };
        assert_eq!(reply.status, status, "{}", reply.text);
        assert_eq!(reply.headers["content-type"], "application/json");
        let body = reply.json();
        assert_eq!(body["code"], code);
        assert!(body["message"].as_str().unwrap().len() > 10);
        assert!(Uuid::parse_str(body["request_id"].as_str().unwrap()).is_ok());
    }
    let parts = parts(&ask(&env, asking(OIL)).await);
    let last = parts.last().unwrap();
    assert_eq!(last["type"], "error");
    assert_eq!(last["errorText"], "The answer broke off. Please ask again.");
}

#[tokio::test]
async fn a_chat_whose_name_cannot_be_read_has_nothing_to_resume_or_stop() {
    let (env, _) = bundle("Every four hours [1].").await;
    let router = support::router(env);
    let key = [FRONT];
    for name in ["%ff", "%00"] {
        let resume = format!("/api/chat/{name}/stream?user_id=ada");
        let reply = support::call(&router, "GET", &resume, &key, Value::Null).await;
        assert_eq!((reply.status, reply.text.as_str()), (204, ""));
        let stop = format!("/api/chat/{name}/stop?user_id=ada");
        let reply = support::call(&router, "POST", &stop, &key, Value::Null).await;
        assert_eq!((reply.status, reply.json()), (200, json!({ "success": true })));
    }
}
