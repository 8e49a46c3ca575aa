//! What the vendors' clients do at our doors: hang up, send again, stop at once, and bring along
//! what is none of ours.

use std::time::{Duration, Instant};

use axum::{body::Body, http::Request};
use serde_json::{Value, json};
use shared::config::Env;

use crate::support::{
    self, Open, Reply, database, eventually,
    house::{self, FRONT, OIL},
    model::{Fake, Reply as Said, Step, say},
};

const COMPLETIONS: &str = "/v1/chat/completions";
const CHAT: &str = "/api/chat";
/// What OpenAI's wire says at `max_tokens`, and Gemini's.
const CUT: [&str; 2] = [
    r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#,
    r#"{"candidates":[{"finishReason":"MAX_TOKENS"}]}"#,
];

/// A bundle with this model, and its database.
async fn bundle(model: &Fake) -> (Env, String) {
    let (env, url) = house::bundle(&[]).await;
    (house::asking(env, model), url)
}

/// One question of `useChat`, for a reader or for nobody.
fn chat(user: Option<&str>, chat: &str, message: &str) -> Value {
    let message = json!({ "id": message, "role": "user",
        "parts": [{ "type": "text", "text": OIL }] });
    json!({ "id": chat, "messages": [message], "trigger": "submit-message", "user_id": user })
}

fn completion(more: &Value) -> Value {
    let mut body =
        json!({ "model": "book", "messages": [{ "role": "user", "content": OIL }] });
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    body
}

/// Everything, to the end: as the trusted server where the body names a reader.
async fn post(env: &Env, path: &str, body: Value) -> Reply {
    let names_a_reader =
        ["user", "user_id", "client_user_id"].iter().any(|it| body[*it].is_string());
    let headers: &[_] = if names_a_reader { &[FRONT] } else { &[] };
    support::call(&support::router(env.clone()), "POST", path, headers, body).await
}

/// The head of a stream, whose body is still to be read.
async fn open(env: &Env, path: &str, body: &Value) -> Open {
    let mut request = Request::post(path).header("content-type", "application/json");
    if ["user", "user_id"].iter().any(|it| body[*it].is_string()) {
        request = request.header(FRONT.0, FRONT.1);
    }
    let request = request.body(Body::from(body.to_string())).unwrap();
    Open::send(&support::router(env.clone()), request).await
}

/// Whether an event tells these words.
fn tells(words: &str) -> impl Fn(&Value) -> bool {
    move |event| event.to_string().contains(words)
}

/// Waits until so many rows are there.
async fn rows(url: &str, count: &str, wanted: i64) {
    let db = database::client(url).await;
    eventually(async || (database::count(&db, count).await == wanted).then_some(()))
        .await;
}

/// Waits until the model was asked so often.
async fn asked(model: &Fake, times: usize) {
    eventually(async || (model.requests().len() == times).then_some(())).await;
}

#[tokio::test]
async fn who_can_only_hang_up_stops_the_answer_with_it() {
    let streams = json!({ "stream": true });
    let anns = json!({ "stream": true, "user": "ann" });
    for (path, body) in [
        (COMPLETIONS, completion(&streams)),
        (COMPLETIONS, completion(&anns)),
        (CHAT, chat(None, "chat-1", "m-1")),
        ("/chat", chat(None, "chat-1", "m-1")),
    ] {
        for has_begun in [true, false] {
            let model = Fake::start();
            let (env, url) = bundle(&model).await;
            let steps = model.stepped();
            let mut live = open(&env, path, &body).await;
            if has_begun {
                say(&steps, "Every four hours [1].");
                live.until(tells("Every four")).await;
            } else {
                asked(&model, 1).await;
            }
            drop(live);
            let hung_up = tokio::time::timeout(Duration::from_secs(1), model.hung_up());
            hung_up.await.unwrap_or_else(|_| panic!("{path} goes on"));
            let stopped = "select count(*) from interaction_logs
                           where metadata ->> 'reason' = 'stopped'";
            rows(&url, stopped, 1).await;
        }
    }
}

#[tokio::test]
async fn a_known_readers_chat_is_finished_without_them() {
    let model = Fake::start();
    let (env, url) = bundle(&model).await;
    let steps = model.stepped();
    let mut live = open(&env, CHAT, &chat(Some("ann"), "chat-1", "m-1")).await;
    say(&steps, "Every four ");
    live.until(tells("Every four")).await;
    drop(live);
    tokio::time::sleep(Duration::from_millis(100)).await;
    say(&steps, "hours [1].");
    drop(steps);
    let whole = "select count(*) from messages
                 where status = 'complete' and content ->> 'text' = 'Every four hours [1].'";
    rows(&url, whole, 1).await;
}

#[tokio::test]
async fn an_answer_that_its_client_has_left_is_no_answer_to_its_next_attempt() {
    let model = Fake::start();
    let (env, url) = bundle(&model).await;
    let steps = model.stepped();
    let body = completion(&json!({ "stream": true, "user": "ann" }));
    let attempt = |times: &str| {
        let request = Request::post(COMPLETIONS)
            .header("content-type", "application/json")
            .header("x-stainless-retry-count", times)
            .header(FRONT.0, FRONT.1)
            .body(Body::from(body.to_string()))
            .unwrap();
        let router = support::router(env.clone());
        async move { Open::send(&router, request).await }
    };
    let live = attempt("0").await;
    asked(&model, 1).await;
    drop(live);
    model.hung_up().await;
    rows(&url, "select count(*) from runs where ended_at is not null", 1).await;
    drop(steps);
    model.reply(Said::says(&["Every four hours [1]."]));
    let mut again = attempt("1").await;
    again.until(tells("Every four hours")).await;
    assert_eq!(model.requests().len(), 2);
}

#[tokio::test]
async fn a_message_that_is_sent_twice_is_asked_once() {
    let model = Fake::start();
    let (env, url) = bundle(&model).await;
    let db = database::client(&url).await;
    let kept = "select count(*) from messages";
    let body = chat(Some("ann"), "chat-1", "m-1");
    let steps = model.stepped();
    let say = async {
        asked(&model, 1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        say(&steps, "Every four hours [1].");
        drop(steps);
    };
    let send = || post(&env, CHAT, body.clone());
    let (one, two, ()) = tokio::join!(send(), send(), say);
    let late = send().await;
    assert!(one.text.contains("Every four hours [1]."), "{}", one.text);
    for again in [two, late] {
        let parts = |text: &str| text.replace(&status("retrieving"), "");
        assert_eq!(parts(&again.text), parts(&one.text), "a whole message, and the same");
    }
    assert_eq!(model.requests().len(), 1);
    assert_eq!(database::count(&db, kept).await, 2);

    // The same words in another message, in another chat, by another reader, or asked once more
    // are another question.
    let mut anew = body.clone();
    anew["trigger"] = json!("regenerate-message");
    for other in [
        chat(Some("ann"), "chat-1", "m-2"),
        chat(Some("ann"), "chat-2", "m-1"),
        chat(Some("bob"), "chat-1", "m-1"),
        anew,
        chat(None, "chat-1", "m-1"),
        chat(None, "chat-1", "m-1"),
    ] {
        assert_eq!(post(&env, CHAT, other).await.status, 200);
    }
    assert_eq!(model.requests().len(), 7);
}

fn status(phase: &str) -> String {
    let data = json!({ "phase": phase });
    let part =
        json!({ "type": "data-status", "id": "status", "data": data, "transient": true });
    format!("data: {part}\n\n")
}

#[tokio::test]
async fn a_stop_is_heard_as_soon_as_the_stream_is_open() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    for n in 0..10 {
        let (name, steps) = (format!("chat-{n}"), model.stepped());
        let mut body = chat(Some("ann"), &name, "m-1");
        if n % 2 == 1 {
            // One that the client did not name.
            body["messages"][0]["id"] = Value::Null;
        }
        let live = open(&env, CHAT, &body).await;
        // A beacon of a page that is being left says that its body is text.
        let request = Request::post(format!("{CHAT}/{name}/stop?user_id=ann"))
            .header("content-type", "text/plain;charset=UTF-8")
            .header(FRONT.0, FRONT.1)
            .body(Body::from("{}"))
            .unwrap();
        let reply = support::send(&support::router(env.clone()), request).await;
        assert_eq!((reply.status, reply.json()), (200, json!({ "success": true })));
        let began = Instant::now();
        let told = live.rest().await.text;
        assert!(told.contains(r#""type":"abort""#), "{told}");
        assert!(began.elapsed() < Duration::from_secs(2));
        drop(steps);
    }
}

#[tokio::test]
async fn an_answer_that_the_model_had_no_room_for_says_so() {
    for (cut, provider) in CUT.into_iter().zip(["openai", "gemini"]) {
        let model = Fake::start();
        let (env, _) = bundle(&model).await;
        let env = env.with("LLM_PROVIDER", provider);
        let env = if provider == "gemini" {
            env.with("LLM_BASE_URL", &model.url())
        } else {
            env
        };
        let next = || {
            let text = Step::Text("Every four hours [1]. And th".to_owned());
            model.reply(Said::Whole(vec![text, Step::Event(cut.to_owned())]));
        };
        next();
        let whole = post(&env, COMPLETIONS, completion(&json!({}))).await.json();
        assert_eq!(whole["choices"][0]["finish_reason"], "length", "{whole}");
        next();
        let body = completion(&json!({ "stream": true }));
        let stream = post(&env, COMPLETIONS, body).await;
        assert!(stream.text.contains(r#""finish_reason":"length""#), "{}", stream.text);
        next();
        let body = chat(Some("ann"), "chat-1", "m-1");
        let parts = post(&env, CHAT, body.clone()).await;
        assert!(parts.text.contains(r#""finishReason":"length""#), "{}", parts.text);
        // Told again, it still says so.
        assert_eq!(post(&env, CHAT, body).await.text, parts.text);
        next();
        let simple = json!({ "query_text": OIL });
        let simple = post(&env, "/api/v1/chat", simple).await.json();
        assert_eq!(simple["response"]["truncated"], true, "{simple}");
        assert_eq!(simple["response"]["content"], "Every four hours [1]. And th");
    }
}

#[tokio::test]
async fn parts_that_are_no_question_are_passed_over_and_a_picture_is_not() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let text = json!({ "type": "text", "text": OIL });
    for (message, status) in [
        (
            json!({ "parts": [{ "type": "data-page", "data": { "path": "a.md" } }, text] }),
            200,
        ),
        (json!({ "parts": [text, { "type": "step-start" }, { "type": "x" }] }), 200),
        (json!({ "parts": null, "content": OIL }), 200),
        (json!({ "content": [text] }), 200),
        (json!({ "parts": [text, { "type": "file", "url": "data:," }] }), 422),
        (json!({ "parts": [text, { "type": "image/png", "text": "gs://a.png" }] }), 422),
        (json!({ "content": [text, { "type": "image", "image": "data:," }] }), 422),
        (json!({ "parts": [{ "type": "data-page", "data": {} }] }), 422),
        (json!({ "content": [["text", OIL]] }), 422),
    ] {
        let mut body = json!({ "messages": [message] });
        body["messages"][0]["role"] = json!("user");
        for path in [CHAT, "/chat"] {
            let reply = post(&env, path, body.clone()).await;
            assert_eq!(reply.status, status, "{message} {}", reply.text);
        }
    }
}

#[tokio::test]
async fn what_a_program_would_take_for_kept_is_refused() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let schema = json!({ "type": "json_schema", "json_schema": { "name": "x" } });
    for (more, param) in [
        (json!({ "response_format": schema }), Some("response_format")),
        (
            json!({ "response_format": { "type": "json_object" } }),
            Some("response_format"),
        ),
        (json!({ "response_format": { "type": "text" } }), None),
        (json!({ "n": 2 }), Some("n")),
        (json!({ "n": 1 }), None),
        (json!({ "model": 7 }), Some("model")),
        (
            json!({ "messages": [{ "role": "user", "content": [[OIL]] }] }),
            Some("messages[0].content[0]"),
        ),
        (json!({ "model": "gpt-of-theirs", "temperature": 2, "tools": [] }), None),
    ] {
        let reply = post(&env, COMPLETIONS, completion(&more)).await;
        assert_eq!(
            reply.status,
            if param.is_some() { 400 } else { 200 },
            "{}",
            reply.text
        );
        assert_eq!(reply.json()["error"]["param"].as_str(), param);
    }
}

#[tokio::test]
async fn a_server_in_front_says_whose_conversation_it_means() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let router = support::router(env);
    let named = json!({ "metadata": { "conversation_id": uuid::Uuid::now_v7() } });
    let reply =
        support::call(&router, "POST", COMPLETIONS, &[FRONT], completion(&named)).await;
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("user")));
    let nobodys = chat(None, "chat-1", "m-1");
    let reply = support::call(&router, "POST", CHAT, &[FRONT], nobodys).await;
    assert_eq!(reply.status, 422);
    assert!(reply.json()["message"].as_str().unwrap().starts_with("user_id is missing"));
    // Without a name of a chat there is nothing to mistake.
    let mut asked = chat(None, "", "m-1");
    asked["id"] = Value::Null;
    assert_eq!(support::call(&router, "POST", CHAT, &[FRONT], asked).await.status, 200);
}

#[tokio::test]
async fn a_whole_answer_that_breaks_off_speaks_to_its_reader() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    for path in [COMPLETIONS, "/api/v1/chat"] {
        model.reply(Said::Cut(vec![Step::Text("Every ".to_owned())]));
        let mut body = completion(&json!({}));
        body["query_text"] = json!(OIL);
        let reply = post(&env, path, body).await;
        assert_eq!(reply.status, 503);
        assert!(reply.text.contains("The answer broke off. Please ask again."));
        assert!(reply.text.contains(r#""code":"unavailable""#), "{}", reply.text);
    }
}

#[tokio::test]
async fn an_empty_id_of_an_older_client_is_a_new_conversation() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let body =
        json!({ "conversation_id": "", "user_message": OIL, "client_user_id": "ann" });
    let reply = post(&env, "/api/ai/chat", body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(reply.json()["conversation_id"].is_string());
}
