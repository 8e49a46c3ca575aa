//! The conversation or the account goes while its answer is written.

use serde_json::{Value, json};
use shared::config::Env;

use super::{STREAM, ask_as, last, question};
use crate::support::{
    self, database, eventually,
    house::{self, FRONT, OIL, asking},
    model::{Fake, say},
};

/// Asks, and does this while the model is silent; then it says its words.
async fn meanwhile(
    env: &Env,
    model: &Fake,
    call: (&[(&str, &str)], Value),
    deed: impl Future<Output = ()>,
) -> Value {
    let steps = model.stepped();
    let before = model.requests().len();
    let router = support::router(env.clone());
    let answer = support::call(&router, "POST", STREAM, call.0, call.1);
    let while_it_is_written = async {
        eventually(async || (model.requests().len() > before).then_some(())).await;
        deed.await;
        say(&steps, "Every four hours [1].");
        drop(steps);
    };
    let (reply, ()) = tokio::join!(answer, while_it_is_written);
    let answer = last(&reply);
    assert_eq!(answer["content"], "Every four hours [1].");
    answer
}

#[tokio::test]
async fn a_conversation_that_is_deleted_stays_so_and_its_answer_is_logged() {
    let (env, url) = house::bundle(&[]).await;
    let model = Fake::start();
    let env = asking(env, &model);
    let first = last(&ask_as(&env, "ada", STREAM, OIL, json!({})).await);
    let conversation = first["conversation_id"].as_str().unwrap();
    let body = json!({ "message": { "content": "And why?", "user_id": "ada" },
        "conversation_id": conversation });
    let path = format!("/api/v1/conversations/{conversation}?user_id=ada");
    let key = [FRONT];
    let router = support::router(env.clone());
    let delete = async {
        let gone = support::call(&router, "DELETE", &path, &key, Value::Null).await;
        assert_eq!(gone.status, 204, "{}", gone.text);
    };
    let answer = meanwhile(&env, &model, (&key, body), delete).await;
    assert_eq!((&answer["saved"], answer.get("conversation_id")), (&json!(false), None));
    let db = database::client(&url).await;
    assert_eq!(database::count(&db, "select count(*) from conversations").await, 0);
    assert_eq!(
        database::count(
            &db,
            "select count(*) from interaction_logs where response_content <> ''"
        )
        .await,
        2
    );
}

#[tokio::test]
async fn an_account_that_goes_leaves_a_log_row_without_a_word() {
    let (env, url) = house::bundle(&[]).await;
    let model = Fake::start();
    let env = asking(env, &model);
    let db = database::client(&url).await;
    let token = house::bearer(house::account(&db).await);
    let leave = async { db.batch_execute("delete from users").await.unwrap() };
    let call = (&[("authorization", token.as_str())][..], question(OIL));
    let answer = meanwhile(&env, &model, call, leave).await;
    assert_eq!(answer["saved"], false);
    let rows = "select count(*) from interaction_logs
                where user_id is null and request_content = '' and response_content = ''
                  and agent_model = 'fake-1'";
    assert_eq!(database::count(&db, rows).await, 1);
}
