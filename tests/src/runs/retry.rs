//! A retry takes the place of the answer that broke off, or that is still being written.

use serde_json::{Value, json};
use shared::conversations::{Owner, runs};

use super::{LIST, STREAM, as_user, bundle, chat, post, question};
use crate::support::{
    self, database, eventually,
    house::{self, OIL},
    model::{Fake, Reply as Said, Step, say},
};

#[tokio::test]
async fn a_retry_takes_the_place_of_the_answer_that_broke_off() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let here = support::router(env.clone());
    let ask = async |conversation: Option<&str>, retry: bool| {
        let mut body = question("ann");
        body["conversation_id"] = json!(conversation);
        body["retry"] = json!(retry);
        let reply = post(&here, STREAM, &[], body).await.rest().await;
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
    let kept = as_user(&env, "ann", "GET", &path).await.json();
    let messages = kept["messages"].as_array().unwrap();
    let told: Vec<_> =
        messages.iter().map(|it| (&it["content"], &it["status"])).collect();
    let complete = json!("complete");
    assert_eq!(
        told,
        [(&json!(OIL), &complete), (&json!("Every four hours, always [1]."), &complete)]
    );
}

/// Asks, loses the connection in the middle, which stops nothing by itself, and asks once more,
/// given the conversation's id.
async fn gives_way(
    path: &str,
    user: &str,
    first: Value,
    again: impl Fn(&Value) -> Value,
) {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let here = support::router(env.clone());
    let steps = model.stepped();
    let mut live = post(&here, path, &[], first).await;
    say(&steps, "Every four hours [1].");
    live.until(|it| it.to_string().contains("four hours")).await;
    drop(live);
    let list = as_user(&env, user, "GET", LIST).await.json();
    let conversation = &list["data"][0]["id"];
    model.reply(Said::says(&["Every four hours, always [1]."]));
    post(&here, path, &[], again(conversation)).await.rest().await;
    model.hung_up().await;
    let path = format!("{LIST}/{}", conversation.as_str().unwrap());
    let kept = as_user(&env, user, "GET", &path).await.json();
    assert_eq!(contents(&kept), [OIL, "Every four hours, always [1]."], "{kept}");
    drop(steps);
}

#[tokio::test]
async fn asked_once_more_an_answer_that_is_still_written_gives_way() {
    gives_way(STREAM, "ann", question("ann"), |conversation| {
        let mut again = question("ann");
        again["conversation_id"] = conversation.clone();
        again["retry"] = json!(true);
        again
    })
    .await;
    gives_way("/api/chat", "ann", chat("chat-1", "ann"), |_| {
        let mut again = chat("chat-1", "ann");
        again["trigger"] = json!("regenerate-message");
        again
    })
    .await;
}

#[tokio::test]
async fn a_maker_that_is_late_disturbs_nothing() {
    let model = Fake::start();
    let (env, url) = bundle(&model).await;
    let db = database::client(&url).await;
    let here = support::router(env.clone());
    for (user, is_retry) in [("ann", true), ("bob", false)] {
        let steps = model.stepped();
        let mut late = post(&here, STREAM, &[], question(user)).await;
        say(&steps, "Every four hours [1].");
        late.next().await;
        let conversation = late.conversation.clone();
        let path = format!("{LIST}/{conversation}");
        // It was frozen, or lost the database, for longer than the lease.
        eventually(async || {
            let forsaken = "update runs set seen_at = seen_at - interval '1 minute'
                            where exists (select 1 from run_batches where run_id = id)";
            db.batch_execute(forsaken).await.unwrap();
            let kept = as_user(&env, user, "GET", &path).await.json();
            (kept["messages"][1]["status"] == "interrupted").then_some(())
        })
        .await;
        let mut next = question(user);
        next["conversation_id"] = json!(conversation);
        next["retry"] = json!(is_retry);
        if !is_retry {
            next["message"]["content"] = json!("And the lens?");
        }
        model.reply(Said::says(&["Something else [1]."]));
        post(&here, STREAM, &[], next).await.rest().await;
        say(&steps, " It spits [1].");
        drop(steps);
        late.rest().await;
        let kept = as_user(&env, user, "GET", &path).await.json();
        let whole = "Every four hours [1]. It spits [1].";
        let expected: &[&str] = if is_retry {
            &[OIL, "Something else [1]."]
        } else {
            &[OIL, whole, "And the lens?", "Something else [1]."]
        };
        assert_eq!(contents(&kept), expected, "{kept}");
        let logged = "select count(*) from interaction_logs
                      where error_code is null and response_content like '%spits [1].'";
        assert_eq!(database::count(&db, logged).await, if is_retry { 1 } else { 2 });
    }
}

fn contents(conversation: &Value) -> Vec<&str> {
    let messages = conversation["messages"].as_array().unwrap();
    messages.iter().map(|it| it["content"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_retry_brings_home_what_a_dead_maker_left() {
    let model = Fake::start();
    let (env, url) = bundle(&model).await;
    let here = support::router(env.clone());
    let first = post(&here, STREAM, &[], question("ann")).await.rest().await;
    let conversation = first.headers["x-conversation-id"].to_str().unwrap().to_owned();
    let dead = house::exchange(
        Owner::Named("ann".to_owned()),
        conversation.parse().unwrap(),
        ["And the lens?", ""],
    );
    runs::open(&database::pool(&url), &dead, None, false).await.unwrap();
    let begun = "insert into run_batches select id, 1, '[]', 'It is po', '[]', '[]'
                 from runs where ended_at is null";
    database::client(&url).await.batch_execute(begun).await.unwrap();
    let mut again = question("ann");
    again["message"]["content"] = json!("And the lens?");
    again["conversation_id"] = json!(conversation);
    again["retry"] = json!(true);
    model.reply(Said::says(&["Polished at noon [1]."]));
    post(&here, STREAM, &[], again).await.rest().await;
    let kept =
        as_user(&env, "ann", "GET", &format!("{LIST}/{conversation}")).await.json();
    assert_eq!(
        contents(&kept)[2..],
        ["And the lens?", "Polished at noon [1]."],
        "{kept}"
    );
}
