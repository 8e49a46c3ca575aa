//! OpenAI's chat completions, byte for byte.

use std::time::Duration;

use serde_json::{Value, json};
use shared::config::Env;
use uuid::Uuid;

use crate::support::{
    self, Open, Reply, database, eventually,
    house::{self, FRONT, KEY, OIL},
    model::{Fake, Reply as Said, say, texts},
};

const COMPLETIONS: &str = "/v1/chat/completions";
const SCRIPT: &str = "Every 😀 four |hours [1].| Not `v[1]`, [9] and once more [1].";
const ANSWER: &str = "Every 😀 four hours [1]. Not `v[1]`,  and once more [1].";

/// A bundle whose model says [`SCRIPT`].
async fn bundle() -> (Env, String) {
    house::bundle(&[("LLM_PROVIDER", "scripted"), ("LLM_SCRIPT", SCRIPT)]).await
}

fn asking(text: &str) -> Value {
    json!({ "model": "book", "messages": [{ "role": "user", "content": text }] })
}

/// The same body with more members.
fn with(mut body: Value, more: &Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    body
}

async fn post(env: &Env, path: &str, bearer: Option<&str>, body: Value) -> Reply {
    let bearer = bearer.map(|it| format!("Bearer {it}"));
    let headers: Vec<_> =
        bearer.iter().map(|it| ("authorization", it.as_str())).collect();
    support::call(&support::router(env.clone()), "POST", path, &headers, body).await
}

/// The payloads of a stream, but for what differs from call to call.
fn payloads(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{}", reply.text);
    let lines = reply.text.split("\n\n").filter(|it| !it.is_empty());
    lines.map(|it| it.strip_prefix("data: ").unwrap().to_owned()).collect()
}

/// One attempt of OpenAI's client, which says how often it has tried before, for a reader who is
/// known: of two guests we cannot tell that they are one.
async fn attempt(env: &Env, times: &str, body: Value) -> Open {
    let bearer = format!("Bearer {KEY}");
    let headers = [("x-stainless-retry-count", times), ("authorization", &bearer)];
    let body = with(body, &json!({ "user": "ann" }));
    let request = support::request("POST", COMPLETIONS, &headers, &body);
    Open::send(&support::router(env.clone()), request).await
}

#[tokio::test]
async fn a_request_that_its_client_sends_again_is_answered_once() {
    let (env, url) = bundle().await;
    let model = Fake::start();
    let env = house::asking(env, &model);
    let db = database::client(&url).await;
    for (asked, streams) in [(1, false), (2, true)] {
        let body = asking(OIL);
        let steps = model.stepped();
        let going = async {
            let runs = "select count(*) from runs where ended_at is null";
            eventually(async || {
                let is_asked = model.requests().len() == asked;
                (is_asked && database::count(&db, runs).await > 0).then_some(())
            })
            .await;
        };
        tokio::select! {
            _ = attempt(&env, "0", body.clone()) => panic!("it is answered"),
            () = going => {}
        }
        let body = with(body, &json!({ "stream": streams }));
        let told = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            say(&steps, "Every four hours [1].");
            drop(steps);
        };
        let again = async { attempt(&env, "1", body.clone()).await.rest().await };
        let (reply, ()) = tokio::join!(again, told);
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert!(reply.text.contains("Every four hours [1]."), "{}", reply.text);
        assert_eq!(model.requests().len(), asked, "the model was asked again");
        let rows = "select count(*) from interaction_logs";
        assert_eq!(database::count(&db, rows).await, i64::try_from(asked).unwrap());
    }

    // The same question asked anew is a question of its own, and so is what failed before.
    let attempt =
        async |times, text| attempt(&env, times, asking(text)).await.rest().await;
    assert_eq!(attempt("0", OIL).await.status, 200);
    assert_eq!(model.requests().len(), 3);
    model.reply(Said::Cut(texts(&["Every "])));
    assert_eq!(attempt("0", "And the lens?").await.status, 503);
    assert_eq!(attempt("1", "And the lens?").await.status, 200);
    assert_eq!(model.requests().len(), 5);
}

#[tokio::test]
async fn a_completion_has_openais_form() {
    let (env, _) = bundle().await;
    let reply = post(&env, COMPLETIONS, None, asking(OIL)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let id = reply.headers["x-message-id"].to_str().unwrap();
    let body = reply.json();
    assert_eq!(body["id"], format!("chatcmpl-{id}"));
    assert!(body["created"].as_i64().unwrap() > 1_700_000_000);
    insta::assert_json_snapshot!(body, {
        ".id" => "[id]",
        ".created" => "[time]",
        ".usage.prompt_tokens" => "[count]",
        ".usage.completion_tokens" => "[count]",
        ".usage.total_tokens" => "[count]",
        ".lectern.book_version" => "[version]",
        ".lectern.sources[].id" => "[id]",
        ".lectern.sources[].score" => insta::rounded_redaction(4),
    });
}

#[tokio::test]
async fn a_stream_is_chunks_and_then_done() {
    let (env, _) = bundle().await;
    for (path, body) in [
        (COMPLETIONS, with(asking(OIL), &json!({ "stream": true }))),
        ("/chat/completions/stream", asking(OIL)),
    ] {
        let reply = post(&env, path, None, body).await;
        assert_eq!(reply.headers["content-type"], "text/event-stream");
        let mut payloads = payloads(&reply);
        assert_eq!(payloads.pop().unwrap(), "[DONE]");
        let chunks: Vec<Value> =
            payloads.iter().map(|it| serde_json::from_str(it).unwrap()).collect();
        assert!(chunks.iter().all(|it| it.get("usage").is_none()));
        assert!(chunks.iter().all(|it| it["id"] == chunks[0]["id"]));
        let deltas: Vec<_> = chunks.iter().map(|it| &it["choices"][0]["delta"]).collect();
        insta::allow_duplicates! {
            insta::assert_json_snapshot!(deltas);
        }
        let last = chunks.last().unwrap();
        assert_eq!(last["choices"][0]["finish_reason"], "stop");
        assert_eq!(last["lectern"]["sources"][0]["path"], "lamps/oil.md");
    }
}

#[tokio::test]
async fn usage_comes_when_it_is_asked_for_and_last() {
    let (env, _) = bundle().await;
    let model = Fake::start();
    model.reply(Said::says(&["Every four hours [1]."]));
    let env = house::asking(env, &model);
    let options = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let reply = post(&env, COMPLETIONS, None, with(asking(OIL), &options)).await;
    let payloads = payloads(&reply);
    let chunks: Vec<Value> = payloads[..payloads.len() - 1]
        .iter()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let (last, others) = chunks.split_last().unwrap();
    assert!(others.iter().all(|it| it["usage"].is_null() && it.get("usage").is_some()));
    assert_eq!(last["choices"], json!([]));
    let [prompt, completion, total] = ["prompt", "completion", "total"]
        .map(|it| last["usage"][format!("{it}_tokens")].clone());
    let count = |it: Value| it.as_u64().unwrap();
    assert_eq!(count(total), count(prompt) + count(completion));
}

#[tokio::test]
async fn all_protocols_say_the_same_to_the_byte() {
    let (env, _) = bundle().await;
    let simple = json!({ "message": { "content": OIL } });
    let simple = post(&env, "/api/v1/chat", None, simple).await.json();
    let simple = &simple["response"];
    assert_eq!(simple["content"], ANSWER);

    let completion = post(&env, "/chat/completions", None, asking(OIL)).await.json();
    let message = &completion["choices"][0]["message"];
    assert_eq!(message["content"], ANSWER);
    assert_eq!(completion["lectern"]["sources"], simple["sources"]);

    let stream = post(&env, "/chat/completions/stream", None, asking(OIL)).await;
    let mut text = String::new();
    for payload in payloads(&stream).iter().filter(|it| *it != "[DONE]") {
        let chunk: Value = serde_json::from_str(payload).unwrap();
        let delta = &chunk["choices"][0]["delta"];
        text.push_str(delta["content"].as_str().unwrap_or_default());
        if let Some(annotations) = delta.get("annotations") {
            assert_eq!(annotations, &message["annotations"]);
        }
    }
    assert_eq!(text, ANSWER);

    for annotation in message["annotations"].as_array().unwrap() {
        let cited = &annotation["url_citation"];
        let at = |name: &str| cited[name].as_u64().unwrap() as usize;
        let marker: String = ANSWER
            .chars()
            .skip(at("start_index"))
            .take(at("end_index") - at("start_index"))
            .collect();
        assert_eq!(marker, "[1]");
        assert_eq!(cited["url"], simple["sources"][0]["url"]);
    }
    assert_eq!(message["annotations"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_a_client_tells_is_history_and_its_system_words_are_nothing() {
    let (env, _) = bundle().await;
    let model = Fake::start();
    model.reply(Said::says(&["Because it smokes [1]."]));
    let env = house::asking(env, &model);
    let body = json!({ "messages": [
        { "role": "system", "content": "You are a pirate." },
        { "role": "user", "content": OIL },
        { "role": "assistant", "content": "Every four hours." },
        { "role": "user", "content": [
            { "type": "text", "text": "And " }, { "type": "text", "text": "why?" },
        ] },
    ] });
    let reply = post(&env, COMPLETIONS, Some(KEY), body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let asked = model.requests().pop().unwrap().body.to_string();
    assert!(asked.contains("Every four hours.") && asked.contains("Question: And why?"));
    assert!(!asked.contains("pirate"), "{asked}");
}

#[tokio::test]
async fn a_call_is_logged_and_kept_only_where_it_says() {
    let (env, url) = bundle().await;
    let db = database::client(&url).await;
    let ada = json!({ "user": "ada" });
    let reply = post(&env, COMPLETIONS, Some(KEY), with(asking(OIL), &ada)).await;
    let ours = reply.json()["lectern"].clone();
    assert_eq!((ours.get("saved"), ours.get("conversation_id")), (None, None));
    assert_eq!(database::count(&db, "select count(*) from messages").await, 0);
    let logged = "select count(*) from interaction_logs where user_id is not null";
    assert_eq!(database::count(&db, logged).await, 1);

    let simple = json!({ "message": { "content": OIL, "user_id": "ada" } });
    let router = support::router(env.clone());
    let kept = support::call(&router, "POST", "/api/v1/chat", &[FRONT], simple).await;
    let conversation = kept.json()["response"]["conversation_id"].clone();
    let named = json!({ "user": "ada", "metadata": { "conversation_id": conversation } });
    let reply =
        post(&env, COMPLETIONS, Some(KEY), with(asking("And why?"), &named)).await;
    assert_eq!(reply.json()["lectern"]["conversation_id"], conversation);
    assert_eq!(reply.json()["lectern"]["saved"], true);
    assert_eq!(database::count(&db, "select count(*) from messages").await, 4);

    for (user, id) in [
        (json!("bob"), conversation.clone()),
        (json!("ada"), json!(Uuid::now_v7())),
        (json!("ada"), json!("no id")),
    ] {
        let named = json!({ "user": user, "metadata": { "conversation_id": id } });
        let reply = post(&env, COMPLETIONS, Some(KEY), with(asking(OIL), &named)).await;
        assert_eq!(reply.status, 404, "{}", reply.text);
        assert_eq!(reply.json()["error"]["code"], "not_found");
    }
}

#[tokio::test]
async fn a_readers_token_is_a_key_too_and_user_changes_nothing() {
    let (env, url) = bundle().await;
    let router = support::router(env.clone());
    let account = json!({ "email": "ada@book.example", "password": "correct horse" });
    let path = "/api/v1/auth/register";
    assert_eq!(
        support::call(&router, "POST", path, &[], account.clone()).await.status,
        201
    );
    let login = support::call(&router, "POST", "/api/v1/auth/login", &[], account).await;
    let token = login.json()["access_token"].as_str().unwrap().to_owned();
    let body = with(asking(OIL), &json!({ "user": "somebody" }));
    let reply = post(&env, COMPLETIONS, Some(&token), body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let db = database::client(&url).await;
    let logged = "select count(*) from interaction_logs
                  join users on users.id = user_id where issuer = 'lectern'";
    assert_eq!(database::count(&db, logged).await, 1);
}

#[tokio::test]
async fn every_failure_is_an_error_object() {
    let (env, _) = bundle().await;
    let closed = env.clone().with("ALLOW_GUESTS", "0");
    let broken = env.clone().with("LLM_SCRIPT", "Every |{{fail}}");
    let unset = env.clone().with("LLM_SCRIPT", "");
    let image = json!({ "messages": [{ "role": "user", "content": [
        { "type": "text", "text": "What is this?" },
        { "type": "image_url", "image_url": { "url": "https://book.example/a.png" } },
    ] }] });
    let kind = "invalid_request_error";
    for (env, path, bearer, body, status, kind, param, code) in [
        (&closed, COMPLETIONS, None, asking(OIL), 401, kind, None, "invalid_api_key"),
        (&env, COMPLETIONS, Some("x"), asking(OIL), 401, kind, None, "invalid_api_key"),
        (&env, COMPLETIONS, None, json!({}), 400, kind, Some("messages"), "invalid"),
        (&env, COMPLETIONS, None, image, 400, kind, Some("messages[0]"), "invalid"),
        (&env, COMPLETIONS, None, asking(" "), 400, kind, Some("messages[0]"), "invalid"),
        (&env, "/v1/models", None, json!({}), 405, kind, None, "method_not_allowed"),
        (&env, "/v1/embeddings", None, json!({}), 404, kind, None, "not_found"),
        (&env, "/chat/completions/x", None, json!({}), 404, kind, None, "not_found"),
        (
            &env,
            COMPLETIONS,
            None,
            asking(&"x".repeat(1 << 20)),
            413,
            kind,
            None,
            "too_large",
        ),
        (
            &broken,
            COMPLETIONS,
            None,
            asking(OIL),
            503,
            "server_error",
            None,
            "unavailable",
        ),
        (
            &unset,
            COMPLETIONS,
            None,
            asking(OIL),
            503,
            "server_error",
            None,
            "misconfigured",
        ),
    ] {
        let reply = post(env, path, bearer, body).await;
        assert_eq!(reply.status, status, "{path} {}", reply.text);
        assert_eq!(reply.headers["content-type"], "application/json");
        assert!(Uuid::parse_str(reply.headers["x-request-id"].to_str().unwrap()).is_ok());
        let error = &reply.json()["error"];
        let named = [&error["type"], &error["param"], &error["code"]];
        assert_eq!(named, [&json!(kind), &json!(param), &json!(code)], "{path}");
        assert!(error["message"].as_str().unwrap().len() > 10);
        let retry = reply.headers.get("x-should-retry").map(|it| it.to_str().unwrap());
        assert_eq!(retry, (code == "misconfigured").then_some("false"));
    }
    let router = support::router(env);
    for (kind, body) in [("application/json", "{"), ("text/plain", "{}")] {
        let request = axum::http::Request::post(COMPLETIONS).header("content-type", kind);
        let reply = support::send(&router, request.body(body.into()).unwrap()).await;
        assert_eq!(reply.status, 400, "{}", reply.text);
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_with_an_error_and_without_done() {
    let (env, _) = bundle().await;
    let env = env.with("LLM_SCRIPT", "Every four |{{fail}}");
    let reply = post(&env, "/chat/completions/stream", None, asking(OIL)).await;
    let payloads = payloads(&reply);
    let last: Value = serde_json::from_str(payloads.last().unwrap()).unwrap();
    insta::assert_json_snapshot!(last, @r#"
    {
      "error": {
        "code": "unavailable",
        "message": "The answer broke off. Please ask again.",
        "param": null,
        "type": "server_error"
      }
    }
    "#);
}

#[tokio::test]
async fn a_browser_may_send_what_the_vendors_client_sends() {
    let (env, _) = bundle().await;
    let router = support::router(env.with("ALLOWED_ORIGINS", "https://app.example"));
    let wanted = "authorization,content-type,openai-organization,openai-project,\
                  x-stainless-lang,x-stainless-retry-count";
    let headers = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", wanted),
    ];
    let reply =
        support::call(&router, "OPTIONS", COMPLETIONS, &headers, Value::Null).await;
    let allowed = reply.headers["access-control-allow-headers"].to_str().unwrap();
    let allowed: Vec<_> = allowed.split(',').collect();
    assert!(wanted.split(',').all(|it| allowed.contains(&it)), "{allowed:?}");
}

#[tokio::test]
async fn the_book_is_the_one_model() {
    let (env, _) = bundle().await;
    let router = support::router(env);
    let get =
        async |path: &str| support::call(&router, "GET", path, &[], Value::Null).await;
    let models = get("/v1/models").await.json();
    insta::assert_json_snapshot!(models, @r#"
    {
      "data": [
        {
          "created": 1767225600,
          "id": "book",
          "object": "model",
          "owned_by": "lectern"
        }
      ],
      "object": "list"
    }
    "#);
    assert_eq!(get("/v1/models/book/").await.json(), models["data"][0]);
    for path in ["/v1/models/other", "/v1/models/%ff", "/v1/models/%00", "/v1/models/%"] {
        let reply = get(path).await;
        assert_eq!(
            (reply.status, reply.json()["error"]["code"].clone()),
            (404, json!("model_not_found"))
        );
    }
}

#[tokio::test]
async fn a_stream_that_was_closed_and_is_sent_again_is_asked_anew() {
    let (env, _) = bundle().await;
    let model = Fake::start();
    let env = house::asking(env, &model);
    // At once, and of no conversation.
    let body = with(asking(OIL), &json!({ "stream": true }));
    let steps = model.stepped();
    let mut live = attempt(&env, "0", body.clone()).await;
    say(&steps, "Every four hours [1].");
    live.until(|it| it.to_string().contains("four hours")).await;
    drop(live);
    model.reply(Said::says(&["Every four hours, always [1]."]));
    let again = attempt(&env, "1", body).await.rest().await;
    assert!(again.text.contains("always"), "{}", again.text);
    drop(steps);

    let path = "/api/v1/conversations?user_id=ann";
    let headers = [("x-api-key", KEY)];
    let router = support::router(env.clone());
    let made = support::call(&router, "POST", path, &headers, json!({})).await.json();
    let metadata = json!({ "conversation_id": made["id"] });
    let body = with(asking(OIL), &json!({ "stream": true, "metadata": metadata }));
    let _steps = {
        let steps = model.stepped();
        let mut live = attempt(&env, "0", body.clone()).await;
        say(&steps, "Every four hours [1].");
        live.until(|it| it.to_string().contains("four hours")).await;
        steps
    };
    model.hung_up().await;
    model.reply(Said::says(&["Every four hours, always [1]."]));
    let again = attempt(&env, "1", body).await.rest().await;
    assert!(again.text.contains("always"), "{}", again.text);
    let path =
        format!("/api/v1/conversations/{}?user_id=ann", made["id"].as_str().unwrap());
    let kept = support::call(&router, "GET", &path, &headers, Value::Null).await.json();
    assert_eq!(kept["messages"].as_array().unwrap().len(), 2, "{kept}");
}

#[tokio::test]
async fn an_answer_that_broke_off_and_is_sent_again_is_asked_in_its_place() {
    let (env, _) = bundle().await;
    let model = Fake::start();
    let env = house::asking(env, &model);
    let path = "/api/v1/conversations?user_id=ann";
    let router = support::router(env.clone());
    let made = support::call(&router, "POST", path, &[FRONT], json!({})).await.json();
    let metadata = json!({ "conversation_id": made["id"] });
    let body = with(asking(OIL), &json!({ "metadata": metadata }));
    model.reply(Said::Cut(texts(&["Every four "])));
    assert_eq!(attempt(&env, "0", body.clone()).await.rest().await.status, 503);
    // A second attempt comes to nothing at all.
    let mute = env.clone().with("BOOK_SHELF", "/nowhere/book.shelf");
    let nothing = attempt(&mute, "1", body.clone()).await.rest().await;
    assert_eq!(nothing.status, 503, "{}", nothing.text);
    model.reply(Said::says(&["Every four hours, always [1]."]));
    let again = attempt(&env, "2", body).await.rest().await;
    assert!(again.text.contains("always"), "{}", again.text);
    let path =
        format!("/api/v1/conversations/{}?user_id=ann", made["id"].as_str().unwrap());
    let kept = support::call(&router, "GET", &path, &[FRONT], Value::Null).await.json();
    assert_eq!(kept["messages"].as_array().unwrap().len(), 2, "{kept}");
}
