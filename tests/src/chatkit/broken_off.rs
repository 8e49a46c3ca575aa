//! An answer that is half told, stopped, or lost its maker.

use serde_json::json;

use super::{House, events, items, kind, message, settled, text};
use crate::support::{
    eventually,
    house::OIL,
    model::{Fake, Reply as Said},
};

#[tokio::test]
async fn a_thread_shows_what_there_is_of_an_answer_and_takes_a_name_meanwhile() {
    let model = Fake::start();
    let house = House::asking(&model).await;
    let (steps, live, id) = house.half_told(&model).await;
    let shown = eventually(async || {
        let shown = house.thread(&id).await["items"]["data"].clone();
        (shown.as_array().unwrap().len() == 2).then_some(shown)
    })
    .await;
    assert_eq!(shown[0], items(&live.found)[0]);
    assert_eq!(text(&shown[1]), "Every four hours, ");
    assert_eq!(shown[1]["content"][0]["annotations"][0]["index"], 16);
    let named = json!({ "thread_id": id, "title": "On wicks" });
    assert_eq!(house.see("threads.update", named).await["title"], "On wicks");
    drop(steps);
    let told = events(&live.rest().await);
    assert_eq!(told.last().unwrap()["thread"]["title"], "On wicks");
    let read = house.thread(&id).await;
    assert_eq!(
        (&read["title"], &read["items"]["data"]),
        (&json!("On wicks"), &json!(items(&told)))
    );
}

#[tokio::test]
async fn hanging_up_stops_an_answer_and_the_next_one_knows() {
    let model = Fake::start();
    let house = House::asking(&model).await;
    let (_steps, live, id) = house.half_told(&model).await;
    drop(live);
    model.hung_up().await;
    assert_eq!(settled(&house, &id).await, "stopped");
    let read = house.thread(&id).await;
    assert_eq!(read.get("title"), None, "a title comes with a whole answer");
    let read = read["items"]["data"].clone();
    assert_eq!(text(&read[1]), "Every four hours, ");
    assert!(!read.to_string().contains("stopped this answer"), "{read}");

    model.reply(Said::says(&["Then noon [1]."]));
    let next = house.add(&id, "When is the tank filled?").await;
    assert_eq!(text(&items(&next)[1]), "Then noon.");
    let named = next.last().unwrap();
    assert_eq!((kind(named), &named["thread"]["title"]), ("thread.updated", &json!(OIL)));
    assert_eq!(house.thread(&id).await["title"], OIL);
    let told = model.requests().pop().unwrap().body.to_string();
    assert!(
        told.contains("Every four hours [1], ") && told.contains("The reader stopped"),
        "{told}"
    );

    // Before its first word there is nothing to show but the question.
    let steps = model.stepped();
    let params = json!({ "thread_id": id, "input": message("And the lens?") });
    let mut live = house.open("threads.add_user_message", params).await;
    live.until(|it| kind(it) == "progress_update").await;
    drop(live);
    assert_eq!(settled(&house, &id).await, "stopped");
    assert_eq!(house.thread(&id).await["items"]["data"].as_array().unwrap().len(), 5);
    drop(steps);
}

#[tokio::test]
async fn what_is_kept_of_an_answer_whose_maker_died_has_no_markers_either() {
    let model = Fake::start();
    let house = House::asking(&model).await;
    let (steps, live, id) = house.half_told(&model).await;
    // To everybody else a maker is dead that has not been seen for a while.
    let forsaken = "update runs set seen_at = seen_at - interval '1 minute'
                    where exists (select 1 from run_batches where content <> '')";
    let items = eventually(async || {
        house.db.execute_typed(forsaken, &[]).await.unwrap();
        let thread = house.thread(&id).await;
        let kept = "messages where status = 'interrupted'";
        (house.count(kept).await == 1).then(|| thread["items"]["data"].clone())
    })
    .await;
    assert_eq!(text(&items[1]), "Every four hours, ");
    assert_eq!(items[1]["content"][0]["annotations"][0]["index"], 16);
    assert_eq!(items[0], self::items(&live.found)[0]);
    drop(steps);
}
