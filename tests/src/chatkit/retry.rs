//! A retry takes the place of all that followed.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{House, PATH, events, ids, items, kind, kinds, text, thread};
use crate::support::{
    self, eventually,
    house::{FRONT, OIL},
    model::{Fake, Reply as Said, texts},
};

#[tokio::test]
async fn a_retry_takes_the_place_of_all_that_followed() {
    let model = Fake::start();
    let house = House::asking(&model).await;
    let mut turns: Vec<Vec<Value>> = Vec::new();
    for answer in ["One [1].", "Two [1].", "Three [1]."] {
        model.reply(Said::says(&[answer]));
        turns.push(match turns.first() {
            None => house.create(OIL).await,
            Some(first) => {
                house.add(&thread(first), &format!("Number {}?", turns.len())).await
            }
        });
    }
    let (id, asked) = (thread(&turns[0]), items(&turns[1])[0].clone());
    let params = json!({ "thread_id": id, "item_id": asked["id"] });

    // The model is away before its first word and there is nothing else to say: nothing is lost.
    let silent = house.env.clone().with("BOOK_SHELF", "/nowhere/book.shelf");
    let path = format!("{PATH}?user_id=ada");
    let body = json!({ "type": "threads.retry_after_item", "params": params });
    let failed =
        support::call(&support::router(silent), "POST", &path, &[FRONT], body).await;
    assert_eq!(kinds(&events(&failed)).last(), Some(&"error"));
    assert_eq!(ids(&house.thread(&id).await["items"]).len(), 6);
    model.reply(Said::Cut(texts(&["It begins [1] "])));
    let broken = house.stream("threads.retry_after_item", params.clone()).await;
    assert_eq!(kinds(&broken).last(), Some(&"error"));
    let read = house.thread(&id).await;
    assert_eq!(
        (ids(&read["items"]).len(), text(&read["items"]["data"][6])),
        (7, "It begins ")
    );

    // Stopped before its first word it takes nothing away either.
    let (steps, logged) = (model.stepped(), house.count("interaction_logs").await);
    let mut live = house.open("threads.retry_after_item", params.clone()).await;
    live.until(|it| kind(it) == "progress_update").await;
    drop(live);
    eventually(async || (house.count("interaction_logs").await > logged).then_some(()))
        .await;
    drop(steps);
    assert_eq!(ids(&house.thread(&id).await["items"]).len(), 7);

    model.reply(Said::says(&["Better [1]."]));
    let retry = house.stream("threads.retry_after_item", params.clone()).await;
    let answer = items(&retry).pop().unwrap();
    assert_eq!(items(&retry).len(), 1);
    assert_eq!(
        kinds(&retry)[..3],
        ["stream_options", "progress_update", "thread.item.added"]
    );
    let read = house.thread(&id).await["items"]["data"].clone();
    let mut left = items(&turns[0]);
    left.extend([asked.clone(), answer]);
    assert_eq!(read, json!(left));
    let told = model.requests().pop().unwrap().body.to_string();
    assert!(told.contains("One [1].") && !told.contains("Two [1]."), "{told}");

    for (thread_id, item_id) in [
        (id.clone(), json!("msg_none")),
        (id.clone(), json!(Uuid::now_v7())),
        (id.clone(), read[1]["id"].clone()),
        (json!("thr_none"), asked["id"].clone()),
    ] {
        let params = json!({ "thread_id": thread_id, "item_id": item_id });
        let reply = house.send("ada", "threads.retry_after_item", params).await;
        assert_eq!(reply.problem(), (404, "not_found".into()));
    }
    assert_eq!(house.send("bob", "threads.retry_after_item", params).await.status, 404);
}
