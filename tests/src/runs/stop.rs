//! A stop reaches the instance that makes the answer, and ends the call to the model.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{STREAM, as_user, bundle, chat, post, question};
use crate::support::{
    self, database,
    model::{Fake, Step, say},
};

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
            post(&support::router(env.clone()), STREAM, &[], question("ann")).await;
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
        let reply = as_user(&env, "ann", "POST", &stop).await;
        assert_eq!(reply.json(), json!({ "message_id": live.id, "status": "stopping" }));
        model.hung_up().await;

        let id = live.id.clone();
        let last = live.rest().await.events().pop().unwrap();
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
        let kept = as_user(&env, "ann", "GET", &path).await.json();
        assert_eq!(kept["messages"][1]["status"], "stopped");
        assert_eq!(kept["messages"][1]["content"], said);
        let reply = as_user(&env, "ann", "POST", &stop).await;
        assert_eq!(reply.json()["status"], "ended");
        drop(steps);
    }
}

#[tokio::test]
async fn the_sdk_stops_the_answer_that_it_means() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let steps = model.stepped();
    let here = support::router(env.clone());
    let mut live = post(&here, "/api/chat", &[], chat("chat-1", "ann")).await;
    say(&steps, "Every four hours [1].");
    live.until(|it| it["type"] == "text-delta").await;
    let stop = async |body: Value| {
        let path = "/api/chat/chat-1/stop?user_id=ann";
        let reply = post(&here, path, &[], body).await.rest().await;
        assert_eq!(reply.json(), json!({ "success": true }));
    };
    stop(json!({ "activeStreamId": Uuid::nil() })).await;
    say(&steps, " It spits.");
    live.next().await;
    stop(json!({ "activeStreamId": live.id })).await;
    model.hung_up().await;
    let text = live.rest().await.text;
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
