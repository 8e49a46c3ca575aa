//! An answer is told again: from its start, from a place in it, and only to its reader.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{STREAM, as_user, bundle, come_back, post, question};
use crate::support::{
    self, database,
    house::OIL,
    model::{Fake, say},
};

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
    let mut live = post(&here, STREAM, &[], question("ann")).await;
    say(&steps, "Every four ");
    assert_eq!(live.next().await["content"], "Every four ");
    say(&steps, "hours [1].");
    live.next().await;

    let run = format!("/api/v1/chat/runs/{}", live.id);
    let follow = async |place: Option<&str>| {
        let place = place.map(|it| ("last-event-id", it));
        come_back(&env, "ann", "GET", &run, place.as_slice()).await
    };
    let second = format!("{}:2", live.id);
    let (mut from_start, mut from_second) =
        (follow(None).await, follow(Some(&second)).await);
    // Both are on their way while the rest is said.
    assert_eq!(from_start.next().await["content"], "Every four ");
    assert_eq!(from_second.next().await["content"], "hours [1].");
    say(&steps, " It spits [1].");
    drop(steps);
    let id = live.id.clone();
    let told = live.rest().await.text;
    let (from_start, from_second) = (from_start.rest().await, from_second.rest().await);
    assert_eq!(from_start.text, told, "it is the same to the byte");
    assert_eq!(from_start.headers["x-message-id"], id.as_str());
    assert!(frames(&told)[0].starts_with(&format!("id: {id}:2\ndata: ")), "{told}");
    assert_eq!(from_second.text, frames(&told)[1..].concat());

    // It is over by now, and still there, for the number alone too.
    assert_eq!(follow(None).await.rest().await.text, told);
    assert_eq!(follow(Some("2")).await.rest().await.text, frames(&told)[1..].concat());
    let last = frames(&told).last().unwrap().to_string();
    assert!(last.starts_with("data: ") && last.contains("success"), "{last}");
    // Whoever has heard more than there is is told the end.
    for place in ["99", "4294967295"] {
        assert_eq!(follow(Some(place)).await.rest().await.text, last);
    }
}

#[tokio::test]
async fn a_question_that_is_sent_again_with_its_place_is_not_asked_again() {
    let model = Fake::start();
    let (env, url) = bundle(&model).await;
    let here = support::router(env.clone());
    let live = post(&here, STREAM, &[], question("ann")).await;
    let place = format!("{}:2", live.id);
    let told = live.rest().await.text;
    let again = post(&here, STREAM, &[("last-event-id", &place)], question("ann")).await;
    assert_eq!(again.rest().await.text, frames(&told)[1..].concat());
    assert_eq!(model.requests().len(), 1);

    // Somebody else's place is none: then it is a question.
    let other = post(&here, STREAM, &[("last-event-id", &place)], question("bob")).await;
    assert_ne!(other.id, place[..36]);
    other.rest().await;
    let db = database::client(&url).await;
    let rows = db.query_typed("select id from interaction_logs", &[]).await.unwrap();
    assert_eq!(rows.len(), 2);
}

#[tokio::test]
async fn only_its_reader_finds_an_answer_again() {
    let model = Fake::start();
    let (env, _) = bundle(&model).await;
    let here = support::router(env.clone());
    let live = post(&here, STREAM, &[], question("ann")).await;
    let run = format!("/api/v1/chat/runs/{}", live.id);
    live.rest().await;
    let nobody = format!("/api/v1/chat/runs/{}", Uuid::now_v7());
    for (user, path) in
        [("bob", run.as_str()), ("ann", &nobody), ("ann", "/api/v1/chat/runs/x")]
    {
        for (method, path) in [("GET", path.to_owned()), ("POST", format!("{path}/stop"))]
        {
            let reply = as_user(&env, user, method, &path).await;
            assert_eq!(reply.problem(), (404, "not-found".into()));
        }
    }
    let guest = support::call(&here, "GET", &run, &[], Value::Null).await;
    assert_eq!(guest.status, 404);
    for place in ["x", "-1", "01890000-0000-7000-8000-000000000000:1"] {
        let place = [("last-event-id", place)];
        let reply = come_back(&env, "ann", "GET", &run, &place).await.rest().await;
        assert_eq!(reply.problem(), (422, "invalid".into()), "{place:?}");
    }

    // A guest's answer is found by whoever was told its name.
    let reply =
        support::call(&here, "POST", STREAM, &[], json!({ "query_text": OIL })).await;
    let run =
        format!("/api/v1/chat/runs/{}", reply.headers["x-message-id"].to_str().unwrap());
    let again = support::call(&here, "GET", &run, &[], Value::Null).await;
    assert_eq!(again.text, reply.text);
    assert_eq!(as_user(&env, "ann", "GET", &run).await.status, 404);
}

#[tokio::test]
async fn without_the_run_log_an_answer_is_told_once() {
    let model = Fake::start();
    let (env, url) = bundle(&model).await;
    let env = env.with("RUN_LOG", "off");
    let live = post(&support::router(env.clone()), STREAM, &[], question("ann")).await;
    let run = format!("/api/v1/chat/runs/{}", live.id);
    let told = live.rest().await.text;
    assert!(!told.contains("id: "), "{told}");
    assert_eq!(as_user(&env, "ann", "GET", &run).await.status, 404);
    let db = database::client(&url).await;
    assert!(db.query_typed("select id from runs", &[]).await.unwrap().is_empty());
    let odd = support::router(env.with("RUN_LOG", "maybe"));
    let reply =
        support::call(&odd, "POST", STREAM, &[], json!({ "query_text": OIL })).await;
    assert_eq!(reply.problem(), (503, "misconfigured".into()));
}

#[tokio::test]
async fn who_follows_waits_for_a_database_that_is_away_for_a_moment() {
    let model = Fake::start();
    let (env, url) = bundle(&model).await;
    let name = url.rsplit_once('/').unwrap().1.to_owned();
    let admin = database::client(&database::cluster().url("postgres")).await;
    let steps = model.stepped();
    let mut live =
        post(&support::router(env.clone()), STREAM, &[], question("ann")).await;
    say(&steps, "Every ");
    live.next().await;
    let run = format!("/api/v1/chat/runs/{}", live.id);
    let mut following = come_back(&env, "ann", "GET", &run, &[]).await;
    following.next().await;
    let allow = async |allowed: bool| {
        let sql = format!("alter database {name} allow_connections {allowed}");
        admin.batch_execute(&sql).await.unwrap();
    };
    allow(false).await;
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname";
    admin.batch_execute(&format!("{cut} = '{name}'")).await.unwrap();
    say(&steps, "four hours [1].");
    live.next().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    allow(true).await;
    drop(steps);
    let told = live.rest().await.text;
    assert_eq!(following.rest().await.text, told);
    assert!(told.contains("\"saved\":true"), "{told}");
}
