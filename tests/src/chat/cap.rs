//! How many answers of the model a day may have.

use futures_util::future::join_all;
use serde_json::json;

use super::{CHAT, STREAM, ask, last, question};
use crate::support::{
    database,
    house::{self, OIL, asking},
    model::{Fake, Reply as Said},
};

#[tokio::test]
async fn past_the_days_cap_answers_are_quoted() {
    let (env, _) = house::bundle(&[]).await;
    let model = Fake::start();
    let env = asking(env, &model).with("DAILY_ANSWERS", "1");
    // What asks no model does not count.
    let nothing = last(&ask(&env, STREAM, question("Xylophon?")).await);
    assert_eq!(nothing["refused"], true);
    model.reply(Said::says(&["Every four hours [1]."]));
    assert_eq!(
        last(&ask(&env, STREAM, question(OIL)).await)["content"],
        "Every four hours [1]."
    );
    let capped = last(&ask(&env, STREAM, question(OIL)).await);
    assert!(capped["content"].as_str().unwrap().starts_with("**["), "{capped}");
    assert_eq!(capped["degraded"], json!(["daily_answers"]));
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn the_days_cap_holds_exactly_when_many_ask_at_once() {
    let (env, url) = house::bundle(&[]).await;
    let model = Fake::start();
    let env = asking(env, &model).with("DAILY_ANSWERS", "3");
    let asked = (0..8).map(|_| ask(&env, CHAT, question(OIL)));
    for reply in join_all(asked).await {
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    assert_eq!(model.requests().len(), 3);
    let db = database::client(&url).await;
    assert_eq!(database::count(&db, "select answers from daily_answers").await, 3);
}

#[tokio::test]
async fn a_follow_up_that_is_condensed_counts_once() {
    let (env, _) = house::bundle(&[]).await;
    let model = Fake::start();
    let env =
        asking(env, &model).with("DAILY_ANSWERS", "1").with("CONDENSE_TIMEOUT", "2");
    let mut body = question("And why?");
    body["history"] = json!([{ "role": "user", "content": OIL }]);
    model.reply(Said::says(&["Why is the wick trimmed?"]));
    model.reply(Said::says(&["It smokes [1]."]));
    let answer = last(&ask(&env, STREAM, body.clone()).await);
    assert_eq!(answer["content"], "It smokes [1].");
    ask(&env, STREAM, body).await;
    assert_eq!(model.requests().len(), 2);
}
