//! What may be seen and done of a conversation while its answer is written.

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{LIST, STREAM, as_user, bundle, chat, come_back, post, question};
use crate::support::{
    self, eventually,
    house::OIL,
    model::{Fake, say},
};

#[tokio::test]
async fn a_reader_who_opens_the_conversation_sees_what_is_being_written() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let steps = model.stepped();
    let here = support::router(env.clone());
    let mut live = post(&here, "/api/chat", &[], chat("chat-1", "ann")).await;
    let start = live.next().await;
    let conversation =
        start["messageMetadata"]["conversationId"].as_str().unwrap().to_owned();
    say(&steps, "Every four hours [1]");
    live.until(|it| it["type"] == "text-delta").await;

    let path = format!("/api/v1/conversations/{conversation}");
    let seen = eventually(async || {
        let reply = as_user(&env, "ann", "GET", &path).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        Some(reply.json()).filter(|it| it["messages"][1]["content"] != "")
    })
    .await;
    assert_eq!((&seen["title"], &seen["message_count"]), (&json!(OIL), &json!(2)));
    assert_eq!(seen["messages"][0]["content"], OIL);
    let answer = &seen["messages"][1];
    assert_eq!(answer["id"], live.id);
    assert_eq!(answer["status"], "running");
    assert_eq!(answer["content"], "Every four hours [1]");
    assert_eq!(answer["sources"][0]["path"], "lamps/oil.md");
    let list = as_user(&env, "ann", "GET", LIST).await.json();
    assert_eq!(list["data"][0]["id"], json!(conversation));
    assert_eq!(list["data"][0]["title"], OIL);
    let stranger = as_user(&env, "bob", "GET", &path).await;
    assert_eq!(stranger.status, 404);
    assert_eq!(as_user(&env, "bob", "GET", LIST).await.json()["data"], json!([]));

    // The SDK's own way back: the whole message once more, whichever name the chat has.
    let mut resumed = Vec::new();
    for name in ["chat-1", &conversation] {
        let stream = format!("/api/chat/{name}/stream");
        let mut again = come_back(&env, "ann", "GET", &stream, &[]).await;
        again.until(|it| it["type"] == "text-delta").await;
        resumed.push(again.rest());
    }
    drop(steps);
    let told = live.rest().await.text;
    assert!(told.ends_with("data: [DONE]\n\n"), "{told}");
    for again in join_all(resumed).await {
        assert_eq!(again.headers["x-vercel-ai-ui-message-stream"], "v1");
        assert_eq!(again.text, told);
    }
    let nothing = as_user(&env, "ann", "GET", "/api/chat/chat-1/stream").await;
    assert_eq!((nothing.status, nothing.text.as_str()), (204, ""));
    let kept = as_user(&env, "ann", "GET", &path).await.json();
    assert_eq!(kept["messages"][1]["status"], "complete");
}

#[tokio::test]
async fn somebody_elses_chat_is_not_found_and_a_new_name_is_no_mistake() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let steps = model.stepped();
    let here = support::router(env.clone());
    let name = Uuid::new_v4().to_string();
    let mut live = post(&here, "/api/chat", &[], chat(&name, "ann")).await;
    let start =
        live.until(|it| it["messageMetadata"]["conversationId"].is_string()).await;
    let conversation =
        start["messageMetadata"]["conversationId"].as_str().unwrap().to_owned();
    say(&steps, "Every four hours [1].");
    let is_not_bobs = async || {
        for name in [&name, &conversation] {
            for (method, action) in [("GET", "stream"), ("POST", "stop")] {
                let path = format!("/api/chat/{name}/{action}");
                let reply = as_user(&env, "bob", method, &path).await;
                assert_eq!(reply.status, 404, "{method} {path}: {}", reply.text);
                let guest = support::call(&here, method, &path, &[], Value::Null).await;
                assert_eq!(guest.status, 404, "{method} {path}: {}", guest.text);
            }
            let reply =
                post(&here, "/api/chat", &[], chat(name, "bob")).await.rest().await;
            assert_eq!(reply.status, 404, "{name}: {}", reply.text);
        }
    };
    is_not_bobs().await;
    drop(steps);
    live.rest().await;
    is_not_bobs().await;

    let unknown = Uuid::new_v4().to_string();
    for name in ["chat-1", &unknown] {
        let path = format!("/api/chat/{name}/stream");
        assert_eq!(as_user(&env, "bob", "GET", &path).await.status, 204);
        let path = format!("/api/chat/{name}/stop");
        assert_eq!(as_user(&env, "bob", "POST", &path).await.status, 200);
    }
}

#[tokio::test]
async fn a_conversation_that_is_only_beginning_can_be_gone_on_with_and_deleted() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let steps = model.stepped();
    let here = support::router(env.clone());
    let mut live = post(&here, STREAM, &[], question("ann")).await;
    say(&steps, "Every four hours [1]");
    live.next().await;
    let conversation = live.conversation.clone();
    let mut body = question("ann");
    body["conversation_id"] = json!(conversation);
    let second = post(&here, STREAM, &[], body).await.rest().await.text;
    assert!(second.contains(&conversation), "{second}");
    let path = format!("/api/v1/conversations/{conversation}");
    let stranger = as_user(&env, "bob", "DELETE", &path).await;
    assert_eq!(stranger.status, 404);
    assert_eq!(as_user(&env, "ann", "DELETE", &path).await.status, 204);
    model.hung_up().await;
    let run = format!("/api/v1/chat/runs/{}", live.id);
    let told = live.rest().await.text;
    assert!(told.contains("\"saved\":false"), "{told}");
    for path in [&path, &run] {
        assert_eq!(as_user(&env, "ann", "GET", path).await.status, 404);
    }
    drop(steps);

    // The same before anything of it was kept.
    let steps = model.stepped();
    let live = post(&here, STREAM, &[], question("ann")).await;
    let path = format!("/api/v1/conversations/{}", live.conversation);
    eventually(async || {
        let seen = as_user(&env, "ann", "GET", &path).await;
        (seen.status != 404).then_some(())
    })
    .await;
    assert_eq!(as_user(&env, "ann", "DELETE", &path).await.status, 204);
    live.rest().await;
    assert_eq!(as_user(&env, "ann", "GET", &path).await.status, 404);
    drop(steps);
}
