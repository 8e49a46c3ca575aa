//! What a reader does with a thread: a name, a thumb, and its end.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{House, items, kinds, thread};
use crate::support::house::OIL;

#[tokio::test]
async fn a_name_that_the_reader_gave_stays() {
    let house = House::new("Every four hours [1].").await;
    let first = house.create(OIL).await;
    let id = thread(&first);
    assert!(first[0]["thread"].get("title").is_none());
    assert_eq!(first.last().unwrap()["thread"]["title"], OIL);
    let params = json!({ "thread_id": id, "title": " On\n wicks " });
    let renamed = house.see("threads.update", params).await;
    assert_eq!(renamed["title"], "On wicks");
    let asked = items(&first)[0]["id"].clone();
    for turn in [
        house.add(&id, "Why?").await,
        house
            .stream(
                "threads.retry_after_item",
                json!({ "thread_id": id, "item_id": asked }),
            )
            .await,
    ] {
        assert!(!kinds(&turn).contains(&"thread.updated"));
    }
    assert_eq!(house.thread(&id).await["title"], "On wicks");
}

#[tokio::test]
async fn a_thumb_is_kept_for_every_answer_that_is_named() {
    let house = House::new("Every four hours [1].").await;
    let first = house.create(OIL).await;
    let id = thread(&first);
    let second = house.add(&id, "Why?").await;
    let (asked, first) = (items(&first)[0]["id"].clone(), items(&first)[1]["id"].clone());
    let second = items(&second)[1]["id"].clone();
    let judge = |reader, items: Value, kind| {
        let params = json!({ "thread_id": id, "item_ids": items, "kind": kind });
        house.send(reader, "items.feedback", params)
    };
    let given = async || {
        let sql = "select kind from feedback order by message_id";
        let rows = house.db.query_typed(sql, &[]).await.unwrap();
        rows.iter().map(|it| it.get(0)).collect::<Vec<String>>()
    };
    for (kind, kept) in [("positive", ["positive"; 2]), ("negative", ["negative"; 2])] {
        let reply = judge("ada", json!([first, second, first]), kind).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, "{}"));
        assert_eq!(given().await, kept);
    }
    let nobodys = Uuid::now_v7();
    for (reader, items, kind, status) in [
        ("bob", json!([first]), "positive", 404),
        ("ada", json!([first, asked]), "positive", 404),
        ("ada", json!([first, nobodys]), "positive", 404),
        ("ada", json!(["msg_1"]), "positive", 404),
        ("ada", json!([]), "positive", 200),
        ("ada", json!([first]), "neutral", 400),
    ] {
        assert_eq!(judge(reader, items, kind).await.status, status);
    }
    assert_eq!(given().await, ["negative"; 2], "all or none");
}

#[tokio::test]
async fn deleting_is_done_once_and_by_its_owner() {
    let house = House::new("Every four hours [1].").await;
    let id = thread(&house.create(OIL).await);
    for (reader, left) in [("bob", 1), ("ada", 0), ("ada", 0)] {
        let reply =
            house.send(reader, "threads.delete", json!({ "thread_id": id })).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, "{}"));
        assert_eq!(house.count("conversations").await, left);
    }
    assert_eq!(
        house.see("threads.delete", json!({ "thread_id": "thr_none" })).await,
        json!({})
    );
    let params = json!({ "thread_id": id });
    assert_eq!(house.send("ada", "threads.get_by_id", params).await.status, 404);
}
