//! What a reader is told when the model, the book or the database fails.

use serde_json::json;

use super::{House, ids, items, kinds, text, thread};
use crate::support::{self, house::OIL};

#[tokio::test]
async fn a_failure_has_words_for_the_reader_and_loses_nothing() {
    let house = House::new("It begins [1] |{{fail}}").await;
    let broken = house.create(OIL).await;
    let error = broken.last().unwrap();
    let words = "The answer broke off. Please ask again.";
    let custom = json!({ "type": "error", "code": "custom", "message": words, "allow_retry": true });
    assert_eq!(*error, custom);
    assert_eq!(text(&items(&broken)[1]), "It begins ");
    assert_eq!(
        house.thread(&thread(&broken)).await["items"]["data"],
        json!(items(&broken))
    );

    // Without a word of the answer the question is there all the same.
    let house =
        House::with(&[("LLM_PROVIDER", "extractive"), ("BOOK_SHELF", "/nowhere")]).await;
    let silent = house.create(OIL).await;
    assert_eq!(
        kinds(&silent),
        [
            "thread.created",
            "thread.item.done",
            "stream_options",
            "progress_update",
            "error"
        ]
    );
    let read = house.thread(&thread(&silent)).await;
    assert_eq!(read["items"]["data"], json!(items(&silent)));
    assert_eq!(read.get("title"), None, "no answer has named it yet");

    let house = House::new("{{panic}}").await;
    let bug = house.create(OIL).await;
    let error = json!({ "type": "error", "code": "stream.error", "allow_retry": true });
    assert_eq!(*bug.last().unwrap(), error);
    assert_eq!(ids(&house.thread(&thread(&bug)).await["items"]).len(), 1);
}

#[tokio::test]
async fn a_reader_is_told_that_the_model_is_away() {
    let house = House::new("{{fail}}").await;
    let events = house.create(OIL).await;
    let notice = events.iter().find(|it| it["type"] == "notice").unwrap();
    assert!(
        notice["message"].as_str().unwrap().starts_with("The model is away"),
        "{notice}"
    );
    assert_eq!(*kinds(&events).last().unwrap(), "thread.updated");
}

#[tokio::test]
async fn without_its_database_it_answers_and_says_what_is_missing() {
    let house = House::new("Every four hours [1].").await;
    let away = house.env.clone().with("DATABASE_URL", "postgresql://app@%2Fnowhere/x");
    let house = House { router: support::router(away.clone()), env: away, ..house };
    let events = house.create(OIL).await;
    assert_eq!(text(&items(&events)[1]), "Every four hours.");
    let notice = events.last().unwrap();
    assert_eq!(
        (&notice["type"], &notice["level"]),
        (&json!("notice"), &json!("warning"))
    );
    let list = house.send("ada", "threads.list", json!({})).await;
    assert_eq!(list.problem(), (503, "unavailable".into()));
}
