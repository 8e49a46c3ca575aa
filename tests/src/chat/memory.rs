//! What was said before, of a reader whom we know and of a guest.

use serde_json::json;
use uuid::Uuid;

use super::{CHAT, STREAM, ask, ask_as, last, question};
use crate::support::{
    database,
    house::{self, OIL, asking},
    model::{Fake, Reply as Said},
};

#[tokio::test]
async fn a_known_reader_is_remembered_and_a_stranger_sees_nothing() {
    let (env, url) = house::bundle(&[]).await;
    let model = Fake::start();
    let env = asking(env, &model);
    model.reply(Said::says(&["Every four hours [1]."]));
    let first = last(&ask_as(&env, "ada", STREAM, OIL, json!({})).await);
    assert_eq!(first["saved"], true);
    let conversation = first["conversation_id"].clone();

    model.reply(Said::says(&["Because it smokes [1]."]));
    let more = json!({ "conversation_id": conversation });
    let second = last(&ask_as(&env, "ada", STREAM, "And why?", more.clone()).await);
    assert_eq!(second["conversation_id"], conversation);
    let asked = model.requests().pop().unwrap().body.to_string();
    assert!(asked.contains(OIL) && asked.contains("Every four hours [1]."), "{asked}");

    let db = database::client(&url).await;
    assert_eq!(database::count(&db, "select count(*) from messages").await, 4);
    assert_eq!(database::count(&db, "select count(*) from interaction_logs").await, 2);

    for (user, more) in [
        ("bob", more),
        ("ada", json!({ "conversation_id": Uuid::now_v7() })),
        ("ada", json!({ "conversation_id": "x' or '1'='1" })),
    ] {
        let reply = ask_as(&env, user, CHAT, OIL, more).await;
        assert_eq!(reply.problem(), (404, "not-found".into()), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_follow_up_is_condensed_for_the_search_if_the_model_is_quick() {
    let (env, _) = house::bundle(&[]).await;
    let model = Fake::start();
    let env = asking(env, &model).with("CONDENSE_TIMEOUT", "5");
    let mut body = question("How is it cleaned?");
    body["history"] = json!([{ "role": "user", "content": "Tell me about the lens." }]);
    model.reply(Said::says(&["How is the Fresnel lens cleaned?"]));
    model.reply(Said::says(&["With rouge [1]."]));
    let whole = last(&ask(&env, STREAM, body.clone()).await);
    assert_eq!(whole["sources"][0]["path"], "lamps/lens.md");
    assert_eq!(model.requests().len(), 2);
    let usage = whole["usage"]["input_tokens"].as_u64().unwrap();

    // A first question is asked as it is; a model that is late changes nothing.
    model.reply(Said::says(&["With rouge [1]."]));
    let first = last(&ask(&env, STREAM, question("How is the lens cleaned?")).await);
    assert!(first["usage"]["input_tokens"].as_u64().unwrap() < usage);
    assert_eq!(model.requests().len(), 3);
    let hasty = env.with("CONDENSE_TIMEOUT", "0.05");
    let _never = model.stepped();
    model.reply(Said::says(&["With rouge [1]."]));
    let late = last(&ask(&hasty, STREAM, body).await);
    assert_eq!(late["sources"][0]["path"], "lamps/lens.md");
}

#[tokio::test]
async fn a_guests_history_is_given_to_the_model_and_not_kept() {
    let (env, url) = house::bundle(&[]).await;
    let model = Fake::start();
    model.reply(Said::says(&["Because it smokes [1]."]));
    let mut body = question("And why?");
    body["history"] = json!([
        { "role": "user", "content": OIL },
        { "role": "assistant", "content": "Every four hours." },
    ]);
    last(&ask(&asking(env, &model), STREAM, body).await);
    let asked = model.requests().pop().unwrap().body.to_string();
    assert!(asked.contains("Every four hours."), "{asked}");
    let db = database::client(&url).await;
    assert_eq!(database::count(&db, "select count(*) from messages").await, 0);
    assert_eq!(database::count(&db, "select count(*) from interaction_logs").await, 1);
}
