//! A retry takes the place of the answer that broke off.

use serde_json::json;

use super::{STREAM, as_user, bundle, post, question};
use crate::support::{
    self,
    house::OIL,
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
