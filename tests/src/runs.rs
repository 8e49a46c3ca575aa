//! Answers that are told again, followed and stopped by another instance than makes them.

use std::time::Instant;

use axum::{Router, body::Body};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use shared::config::Env;
use tower::ServiceExt;
use uuid::Uuid;

use crate::support::{
    self, Reply, book,
    client::Events,
    database,
    model::{Fake, Reply as Said, Step},
};

const STREAM: &str = "/api/v1/chat/stream";
const KEY: &str = "an internal key";
const OIL: &str = "How often is the wick trimmed?";

/// A bundle with this model, and its database.
pub(crate) async fn bundle(model: &Fake) -> (Env, String) {
    let url = database::fresh().await;
    let env = Env::from([
        ("ALLOW_GUESTS", "1"),
        ("BOOK_BASE_URL", "https://book.example/"),
        ("CONDENSE_TIMEOUT", "0"),
        ("EMBEDDING_PROVIDER", "none"),
        ("INTERNAL_API_KEY", KEY),
        ("LLM_PROVIDER", "openai"),
        ("LLM_API_KEY", "sk-test"),
        ("LLM_MODEL", "fake-1"),
        ("LLM_BASE_URL", &model.openai_url()),
    ]);
    (env.with("DATABASE_URL", &url).with("BOOK_SHELF", &book::shelf().await), url)
}

const LIST: &str = "/api/v1/conversations";

/// A stream that is still coming.
struct Open {
    id: String,
    /// Where it will be kept, as the simple protocol says.
    conversation: String,
    body: Body,
    events: Events,
    /// Everything so far, as it came.
    text: String,
}

impl Open {
    async fn post(
        router: &Router,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Self {
        let mut request = axum::http::Request::post(path)
            .header("content-type", "application/json")
            .header("x-api-key", KEY);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let id = response.headers()["x-message-id"].to_str().unwrap().to_owned();
        let conversation = response.headers().get("x-conversation-id");
        let conversation = conversation.map_or("", |it| it.to_str().unwrap()).to_owned();
        let (events, text) = <_>::default();
        Self { id, conversation, body: response.into_body(), events, text }
    }

    /// The next event.
    async fn next(&mut self) -> Value {
        loop {
            let chunk = self.body.frame().await.expect("it goes on").unwrap();
            let chunk = chunk.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            if let Some(event) = self.events.push(&chunk).pop() {
                return event;
            }
        }
    }

    /// Everything, to the end.
    async fn whole(mut self) -> String {
        let rest = self.body.collect().await.unwrap().to_bytes();
        self.text.push_str(std::str::from_utf8(&rest).unwrap());
        self.text
    }
}

fn question(user: &str) -> Value {
    json!({ "message": { "content": OIL, "user_id": user } })
}

async fn as_user(
    env: &Env,
    user: &str,
    method: &str,
    path: &str,
    more: &[(&str, &str)],
) -> Reply {
    let mut headers = vec![("x-api-key", KEY)];
    headers.extend(more);
    let path = format!("{path}?user_id={user}");
    support::call(&support::router(env.clone()), method, &path, &headers, Value::Null)
        .await
}

fn say(steps: &std::sync::mpsc::Sender<Step>, text: &str) {
    steps.send(Step::Text(text.to_owned())).unwrap();
}

/// The frames of a stream, each with its id.
fn frames(text: &str) -> Vec<&str> {
    text.split_inclusive("\n\n").collect()
}

#[tokio::test]
async fn another_instance_tells_an_answer_from_its_start_or_from_anywhere() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let steps = model.stepped();
    let here = support::router(env.clone());
    let mut live = Open::post(&here, STREAM, &[], question("ann")).await;
    say(&steps, "Every four ");
    assert_eq!(live.next().await["content"], "Every four ");
    say(&steps, "hours [1].");
    live.next().await;

    let run = format!("/api/v1/chat/runs/{}", live.id);
    let follow = async |place: Option<String>| {
        let place: Vec<_> =
            place.iter().map(|it| ("last-event-id", it.as_str())).collect();
        as_user(&env, "ann", "GET", &run, &place).await
    };
    let first = format!("{}:2", live.id);
    let ended = async {
        // Both are on their way while the rest is said.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        say(&steps, " It spits [1].");
        drop(steps);
    };
    let (from_start, from_second, ()) =
        tokio::join!(follow(None), follow(Some(first.clone())), ended);
    let id = live.id.clone();
    let told = live.whole().await;
    assert_eq!(from_start.text, told, "it is the same to the byte");
    assert_eq!(from_start.headers["x-message-id"], id.as_str());
    assert!(frames(&told)[0].starts_with(&format!("id: {id}:2\ndata: ")), "{told}");
    assert_eq!(from_second.text, frames(&told)[1..].concat());

    // It is over by now, and still there, for the number alone too.
    assert_eq!(follow(None).await.text, told);
    assert_eq!(follow(Some("2".to_owned())).await.text, frames(&told)[1..].concat());
    let last = frames(&told).last().unwrap().to_string();
    assert!(last.starts_with("data: ") && last.contains("success"), "{last}");
    // Whoever has heard more than there is is told the end.
    for place in ["99", "4294967295"] {
        assert_eq!(follow(Some(place.to_owned())).await.text, last);
    }
}

#[tokio::test]
async fn a_question_that_is_sent_again_with_its_place_is_not_asked_again() {
    let model = Fake::start();
    let (env, url) = bundle(&model).await;
    let here = support::router(env.clone());
    let live = Open::post(&here, STREAM, &[], question("ann")).await;
    let place = format!("{}:2", live.id);
    let told = live.whole().await;
    let again =
        Open::post(&here, STREAM, &[("last-event-id", &place)], question("ann")).await;
    assert_eq!(again.whole().await, frames(&told)[1..].concat());
    assert_eq!(model.requests().len(), 1);

    // Somebody else's place is none: then it is a question.
    let other =
        Open::post(&here, STREAM, &[("last-event-id", &place)], question("bob")).await;
    assert_ne!(other.id, place[..36]);
    other.whole().await;
    let db = database::client(&url).await;
    let rows = db.query_typed("select id from interaction_logs", &[]).await.unwrap();
    assert_eq!(rows.len(), 2);
}

#[tokio::test]
async fn a_stop_from_another_instance_ends_the_call_to_the_model() {
    for (is_counted, usage) in [
        (true, json!({ "input_tokens": 70, "output_tokens": 3, "estimated": false })),
        (false, Value::Null),
    ] {
        let model = Fake::start();
        let (env, url) = bundle(&model).await;
        let steps = model.stepped();
        let mut live =
            Open::post(&support::router(env.clone()), STREAM, &[], question("ann")).await;
        say(&steps, "Every four hours [1].");
        live.next().await;
        if is_counted {
            let count = json!({ "choices": [], "usage": { "prompt_tokens": 70,
                "completion_tokens": 3, "total_tokens": 73 } });
            steps.send(Step::Event(count.to_string())).unwrap();
            say(&steps, " Then");
            live.next().await;
        }
        let run = format!("/api/v1/chat/runs/{}", live.id);
        let stop = format!("{run}/stop");
        let reply = as_user(&env, "ann", "POST", &stop, &[]).await;
        assert_eq!(reply.json(), json!({ "message_id": live.id, "status": "stopping" }));
        model.hung_up().await;

        let (id, text) = (live.id.clone(), live.whole().await);
        let last: Value =
            serde_json::from_str(text.trim_end().rsplit_once("data: ").unwrap().1)
                .unwrap();
        let said = if is_counted {
            "Every four hours [1]. Then"
        } else {
            "Every four hours [1]."
        };
        assert_eq!(
            (&last["content"], &last["status"]),
            (&json!(said), &json!("success"))
        );
        assert_eq!((&last["stopped"], &last["saved"]), (&json!(true), &json!(true)));
        assert_eq!(last["sources"].as_array().unwrap().len(), 1);
        if is_counted {
            assert_eq!(last["usage"], usage);
        } else {
            assert_eq!(last["usage"]["estimated"], true);
            assert_eq!(last["usage"]["output_tokens"], 6, "{} / 4", said.len());
        }
        let db = database::client(&url).await;
        let row = db
            .query_typed_one("select id, usage from interaction_logs", &[])
            .await
            .unwrap();
        assert_eq!(row.get::<_, Uuid>(0).to_string(), id);
        assert_eq!(row.get::<_, Value>(1), last["usage"]);

        let conversation = last["conversation_id"].as_str().unwrap();
        let path = format!("/api/v1/conversations/{conversation}");
        let kept = as_user(&env, "ann", "GET", &path, &[]).await.json();
        assert_eq!(kept["messages"][1]["status"], "stopped");
        assert_eq!(kept["messages"][1]["content"], said);
        let reply = as_user(&env, "ann", "POST", &stop, &[]).await;
        assert_eq!(reply.json()["status"], "ended");
        drop(steps);
    }
}

#[tokio::test]
async fn a_reader_who_opens_the_conversation_sees_what_is_being_written() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let steps = model.stepped();
    let here = support::router(env.clone());
    let body = json!({ "id": "chat-1", "user_id": "ann", "messages": [
        { "role": "user", "parts": [{ "type": "text", "text": OIL }] }] });
    let mut live = Open::post(&here, "/api/chat", &[], body).await;
    let start = live.next().await;
    let conversation =
        start["messageMetadata"]["conversationId"].as_str().unwrap().to_owned();
    say(&steps, "Every four hours [1]");
    while live.next().await["type"] != "text-delta" {}

    let path = format!("/api/v1/conversations/{conversation}");
    let seen = loop {
        let reply = as_user(&env, "ann", "GET", &path, &[]).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let seen = reply.json();
        if seen["messages"][1]["content"] != "" {
            break seen;
        }
    };
    assert_eq!((&seen["title"], &seen["message_count"]), (&json!(OIL), &json!(2)));
    assert_eq!(seen["messages"][0]["content"], OIL);
    let answer = &seen["messages"][1];
    assert_eq!(answer["id"], live.id);
    assert_eq!(answer["status"], "running");
    assert_eq!(answer["content"], "Every four hours [1]");
    assert_eq!(answer["sources"][0]["path"], "lamps/oil.md");
    let list = as_user(&env, "ann", "GET", LIST, &[]).await.json();
    assert_eq!(list["data"][0]["id"], json!(conversation));
    assert_eq!(list["data"][0]["title"], OIL);
    let stranger = as_user(&env, "bob", "GET", &path, &[]).await;
    assert_eq!(stranger.status, 404);
    assert_eq!(as_user(&env, "bob", "GET", LIST, &[]).await.json()["data"], json!([]));

    // The SDK's own way back: the whole message once more, whichever name the chat has.
    drop(steps);
    for name in ["chat-1", &conversation] {
        let again = format!("/api/chat/{name}/stream");
        let resumed = as_user(&env, "ann", "GET", &again, &[]).await;
        if resumed.status == 204 {
            // It has come to its end in the meantime.
            continue;
        }
        assert_eq!(resumed.headers["x-vercel-ai-ui-message-stream"], "v1");
        assert!(resumed.text.starts_with("data: {\"messageId\""), "{}", resumed.text);
        assert!(resumed.text.ends_with("data: [DONE]\n\n"));
    }
    live.whole().await;
    let nothing = as_user(&env, "ann", "GET", "/api/chat/chat-1/stream", &[]).await;
    assert_eq!((nothing.status, nothing.text.as_str()), (204, ""));
    let kept = as_user(&env, "ann", "GET", &path, &[]).await.json();
    assert_eq!(kept["messages"][1]["status"], "complete");
}

#[tokio::test]
async fn somebody_elses_chat_is_not_found_and_a_new_name_is_no_mistake() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let steps = model.stepped();
    let here = support::router(env.clone());
    let chat = Uuid::new_v4().to_string();
    let asked = |name: &str, user: &str| {
        json!({ "id": name, "user_id": user, "messages": [
            { "role": "user", "parts": [{ "type": "text", "text": OIL }] }] })
    };
    let mut live = Open::post(&here, "/api/chat", &[], asked(&chat, "ann")).await;
    let conversation = loop {
        let part = live.next().await;
        if let Some(id) = part["messageMetadata"]["conversationId"].as_str() {
            break id.to_owned();
        }
    };
    say(&steps, "Every four hours [1].");
    let is_not_bobs = async || {
        for name in [&chat, &conversation] {
            for (method, action) in [("GET", "stream"), ("POST", "stop")] {
                let path = format!("/api/chat/{name}/{action}");
                let reply = as_user(&env, "bob", method, &path, &[]).await;
                assert_eq!(reply.status, 404, "{method} {path}: {}", reply.text);
                let guest = support::call(&here, method, &path, &[], Value::Null).await;
                assert_eq!(guest.status, 404, "{method} {path}: {}", guest.text);
            }
            let headers = [("x-api-key", KEY)];
            let body = asked(name, "bob");
            let reply = support::call(&here, "POST", "/api/chat", &headers, body).await;
            assert_eq!(reply.status, 404, "{name}: {}", reply.text);
        }
    };
    is_not_bobs().await;
    drop(steps);
    live.whole().await;
    is_not_bobs().await;

    let unknown = Uuid::new_v4().to_string();
    for name in ["chat-1", &unknown] {
        let path = format!("/api/chat/{name}/stream");
        assert_eq!(as_user(&env, "bob", "GET", &path, &[]).await.status, 204);
        let path = format!("/api/chat/{name}/stop");
        assert_eq!(as_user(&env, "bob", "POST", &path, &[]).await.status, 200);
    }
}

#[tokio::test]
async fn the_sdk_stops_the_answer_that_it_means() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let steps = model.stepped();
    let here = support::router(env.clone());
    let body = json!({ "id": "chat-1", "user_id": "ann", "messages": [
        { "role": "user", "parts": [{ "type": "text", "text": OIL }] }] });
    let mut live = Open::post(&here, "/api/chat", &[], body).await;
    say(&steps, "Every four hours [1].");
    while live.next().await["type"] != "text-delta" {}
    let stop = async |body: Value| {
        let headers = [("x-api-key", KEY)];
        let path = "/api/chat/chat-1/stop?user_id=ann";
        let reply = support::call(&here, "POST", path, &headers, body).await;
        assert_eq!(reply.json(), json!({ "success": true }));
    };
    stop(json!({ "activeStreamId": Uuid::nil() })).await;
    say(&steps, " It spits.");
    live.next().await;
    stop(json!({ "activeStreamId": live.id })).await;
    model.hung_up().await;
    let text = live.whole().await;
    let parts: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .collect();
    let kinds: Vec<_> = parts.iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert!(kinds.ends_with(&["finish-step", "message-metadata", "abort"]), "{kinds:?}");
    assert!(text.ends_with("data: [DONE]\n\n"));
    stop(Value::Null).await;
    drop(steps);
}

#[tokio::test]
async fn a_conversation_that_is_only_beginning_can_be_gone_on_with_and_deleted() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let steps = model.stepped();
    let here = support::router(env.clone());
    let mut live = Open::post(&here, STREAM, &[], question("ann")).await;
    say(&steps, "Every four hours [1]");
    live.next().await;
    let conversation = live.conversation.clone();
    let mut body = question("ann");
    body["conversation_id"] = json!(conversation);
    let second = Open::post(&here, STREAM, &[], body).await.whole().await;
    assert!(second.contains(&conversation), "{second}");
    let path = format!("/api/v1/conversations/{conversation}");
    let stranger = as_user(&env, "bob", "DELETE", &path, &[]).await;
    assert_eq!(stranger.status, 404);
    assert_eq!(as_user(&env, "ann", "DELETE", &path, &[]).await.status, 204);
    model.hung_up().await;
    let told = live.whole().await;
    assert!(told.contains("\"saved\":false"), "{told}");
    assert_eq!(as_user(&env, "ann", "GET", &path, &[]).await.status, 404);
    drop(steps);

    // The same before anything of it was kept.
    let steps = model.stepped();
    let live = Open::post(&here, STREAM, &[], question("ann")).await;
    let path = format!("/api/v1/conversations/{}", live.conversation);
    while as_user(&env, "ann", "GET", &path, &[]).await.status == 404 {}
    assert_eq!(as_user(&env, "ann", "DELETE", &path, &[]).await.status, 204);
    live.whole().await;
    assert_eq!(as_user(&env, "ann", "GET", &path, &[]).await.status, 404);
    drop(steps);
}

#[tokio::test]
async fn an_answer_that_was_taken_for_dead_is_whole_in_the_end() {
    let model = Fake::start();
    let (env, url) = bundle(&model).await;
    let db = database::client(&url).await;
    for user in ["ann", ""] {
        let steps = model.stepped();
        let here = support::router(env.clone());
        let mut body = question(user);
        if user.is_empty() {
            body = json!({ "query_text": OIL });
        }
        let mut live = Open::post(&here, STREAM, &[], body).await;
        say(&steps, "Every four hours [1].");
        live.next().await;
        // Its maker was frozen, or lost the database, for longer than the lease.
        let id: Uuid = live.id.parse().unwrap();
        let settled = loop {
            db.batch_execute(
                "update runs set seen_at = seen_at - interval '1 minute'
                 where ended_at is null and exists (select 1 from run_batches)",
            )
            .await
            .unwrap();
            tools::prune::prune(&env).await.unwrap();
            let row = db
                .query_typed_opt(
                    "select error_code from interaction_logs where id = $1",
                    &[(&id, tokio_postgres::types::Type::UUID)],
                )
                .await
                .unwrap();
            if let Some(row) = row {
                break row.get::<_, Option<String>>(0);
            }
        };
        assert_eq!(settled.as_deref(), Some("interrupted"));
        say(&steps, " It spits [1].");
        drop(steps);
        let told = live.whole().await;
        let row = db
            .query_typed_one(
                "select response_content, error_code from interaction_logs where id = $1",
                &[(&id, tokio_postgres::types::Type::UUID)],
            )
            .await
            .unwrap();
        assert_eq!(row.get::<_, &str>(0), "Every four hours [1]. It spits [1].");
        assert_eq!(row.get::<_, Option<&str>>(1), None);
        if user.is_empty() {
            continue;
        }
        let last: Value =
            serde_json::from_str(told.trim_end().rsplit_once("data: ").unwrap().1)
                .unwrap();
        let path = format!(
            "/api/v1/conversations/{}",
            last["conversation_id"].as_str().unwrap()
        );
        let kept = as_user(&env, user, "GET", &path, &[]).await.json();
        assert_eq!(kept["messages"].as_array().unwrap().len(), 2, "{kept}");
        assert_eq!(kept["messages"][1]["content"], "Every four hours [1]. It spits [1].");
        assert_eq!(kept["messages"][1]["status"], "complete");
    }
}

#[tokio::test]
async fn only_its_reader_finds_an_answer_again() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let here = support::router(env.clone());
    let live = Open::post(&here, STREAM, &[], question("ann")).await;
    let run = format!("/api/v1/chat/runs/{}", live.id);
    live.whole().await;
    let nobody = format!("/api/v1/chat/runs/{}", Uuid::now_v7());
    for (user, path) in
        [("bob", run.as_str()), ("ann", &nobody), ("ann", "/api/v1/chat/runs/x")]
    {
        for (method, path) in [("GET", path.to_owned()), ("POST", format!("{path}/stop"))]
        {
            let reply = as_user(&env, user, method, &path, &[]).await;
            assert_eq!((reply.status, &reply.json()["code"]), (404, &json!("not-found")));
        }
    }
    let guest = support::call(&here, "GET", &run, &[], Value::Null).await;
    assert_eq!(guest.status, 404);
    for place in ["x", "-1", "01890000-0000-7000-8000-000000000000:1"] {
        let reply = as_user(&env, "ann", "GET", &run, &[("last-event-id", place)]).await;
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (422, &json!("invalid")),
            "{place}"
        );
    }

    // A guest's answer is found by whoever was told its name.
    let reply =
        support::call(&here, "POST", STREAM, &[], json!({ "query_text": OIL })).await;
    let run =
        format!("/api/v1/chat/runs/{}", reply.headers["x-message-id"].to_str().unwrap());
    let again = support::call(&here, "GET", &run, &[], Value::Null).await;
    assert_eq!(again.text, reply.text);
    assert_eq!(as_user(&env, "ann", "GET", &run, &[]).await.status, 404);
}

#[tokio::test]
async fn without_the_run_log_an_answer_is_told_once() {
    let model = Fake::start();
    let (env, url) = bundle(&model).await;
    let env = env.with("RUN_LOG", "off");
    let live =
        Open::post(&support::router(env.clone()), STREAM, &[], question("ann")).await;
    let run = format!("/api/v1/chat/runs/{}", live.id);
    let told = live.whole().await;
    assert!(!told.contains("id: "), "{told}");
    assert_eq!(as_user(&env, "ann", "GET", &run, &[]).await.status, 404);
    let db = database::client(&url).await;
    assert!(db.query_typed("select id from runs", &[]).await.unwrap().is_empty());
    let odd = support::router(env.with("RUN_LOG", "maybe"));
    let reply =
        support::call(&odd, "POST", STREAM, &[], json!({ "query_text": OIL })).await;
    assert_eq!((reply.status, &reply.json()["code"]), (503, &json!("misconfigured")));
}

#[tokio::test]
async fn a_retry_takes_the_place_of_the_answer_that_broke_off() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let here = support::router(env.clone());
    let ask = async |conversation: Option<&str>, retry: bool| {
        let mut body = question("ann");
        body["conversation_id"] = json!(conversation);
        body["retry"] = json!(retry);
        let reply =
            support::call(&here, "POST", STREAM, &[("x-api-key", KEY)], body).await;
        let conversation = reply.headers["x-conversation-id"].to_str().unwrap();
        (conversation.to_owned(), reply.events().pop().unwrap())
    };
    let steps = model.stepped();
    say(&steps, "Every four hours [1].");
    steps.send(Step::Drop).unwrap();
    let (conversation, broken) = ask(None, false).await;
    assert_eq!(broken["status"], "error");

    model.reply(Said::says(&["Every four hours, always [1]."]));
    let (same, whole) = ask(Some(&conversation), true).await;
    assert_eq!(same, conversation);
    assert_eq!(whole["conversation_id"], conversation);
    let path = format!("/api/v1/conversations/{conversation}");
    let kept = as_user(&env, "ann", "GET", &path, &[]).await.json();
    let messages = kept["messages"].as_array().unwrap();
    let told: Vec<_> =
        messages.iter().map(|it| (&it["content"], &it["status"])).collect();
    let complete = json!("complete");
    assert_eq!(
        told,
        [(&json!(OIL), &complete), (&json!("Every four hours, always [1]."), &complete)]
    );
}

/// Milliseconds until `done`.
async fn ms(done: impl Future<Output = ()>) -> f64 {
    let began = Instant::now();
    done.await;
    began.elapsed().as_secs_f64() * 1000.0
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[tokio::test]
#[ignore = "prints a measurement"]
#[expect(clippy::print_stdout, reason = "it is there to print")]
async fn what_the_run_log_costs_and_how_soon_a_stop_is_felt() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let logged = support::router(env.clone());
    let silent = support::router(env.clone().with("RUN_LOG", "off"));
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for n in 0..200 {
        for (router, all) in [(&logged, &mut with), (&silent, &mut without)] {
            let steps = model.stepped();
            say(&steps, "Every four hours.");
            let body = question(&format!("ann-{n}"));
            let mut live = None;
            all.push(
                ms(async {
                    let mut open = Open::post(router, STREAM, &[], body).await;
                    open.next().await;
                    live = Some(open);
                })
                .await,
            );
            drop(steps);
            live.unwrap().whole().await;
        }
    }
    let mut waits = Vec::new();
    for n in 0..20 {
        let (model, user) = (Fake::start(), format!("bob-{n}"));
        let steps = model.stepped();
        let env = env.clone().with("LLM_BASE_URL", &model.openai_url());
        let mut live =
            Open::post(&support::router(env.clone()), STREAM, &[], question(&user)).await;
        say(&steps, "Every four hours.");
        live.next().await;
        let stop = format!("/api/v1/chat/runs/{}/stop", live.id);
        waits.push(
            ms(async {
                assert_eq!(as_user(&env, &user, "POST", &stop, &[]).await.status, 200);
                model.hung_up().await;
            })
            .await,
        );
        live.whole().await;
        drop(steps);
    }
    let (with, without) = (median(with), median(without));
    println!("first text: {with:.2} ms recorded, {without:.2} ms not (medians of 200)");
    let longest = waits.iter().copied().fold(0.0, f64::max);
    let usual = median(waits);
    println!(
        "from stop to the model's closed connection: {usual:.0} ms, at most {longest:.0} ms"
    );
}
