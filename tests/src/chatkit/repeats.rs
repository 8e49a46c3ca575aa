//! A message that is sent again is asked once.

use serde_json::json;

use super::{House, events, items, kind, message, settled, text, thread};
use crate::support::{
    house::OIL,
    model::{Fake, Reply as Said, say},
};

#[tokio::test]
async fn a_message_that_is_sent_again_is_asked_once() {
    let model = Fake::start();
    let house = House::asking(&model).await;
    let steps = model.stepped();
    let params = json!({ "input": message(OIL) });
    let mut first = house.open("threads.create", params.clone()).await;
    first.until(|it| kind(it) == "stream_options").await;
    let second = house.open("threads.create", params.clone()).await;
    say(&steps, "Every four hours [1].");
    drop(steps);
    let first = events(&first.rest().await);
    let third = house.stream("threads.create", params).await;
    for again in [events(&second.rest().await), third] {
        assert_eq!(again, first);
    }
    assert_eq!(
        (house.count("conversations").await, house.count("messages").await),
        (1, 2)
    );

    model.reply(Said::says(&["Because [1]."]));
    let id = thread(&first);
    let (next, again) = (house.add(&id, "Why?").await, house.add(&id, "Why?").await);
    assert_eq!(next, again);
    assert_eq!(model.requests().len(), 2);

    // Another reader's message, and one to another thread, are others.
    let other =
        house.send("bob", "threads.create", json!({ "input": message(OIL) })).await;
    assert_ne!(thread(&events(&other)), id);
    let elsewhere = thread(&house.create("What is rouge for?").await);
    assert_ne!(items(&house.add(&elsewhere, "Why?").await), items(&next));
}

#[tokio::test]
async fn a_message_that_was_cut_off_and_is_sent_again_is_answered_in_its_place() {
    let model = Fake::start();
    let house = House::asking(&model).await;
    let (_steps, cut, id) = house.half_told(&model).await;
    let asked = items(&cut.found);
    // At once: what there was is still being kept.
    drop(cut);
    model.reply(Said::says(&["Every four hours [1]."]));
    let again = house.create(OIL).await;
    assert_eq!((thread(&again), &items(&again)[0]), (id.clone(), &asked[0]));
    assert_eq!(text(&items(&again)[1]), "Every four hours.");
    assert_eq!(house.thread(&id).await["items"]["data"], json!(items(&again)));
    assert_eq!(house.count("conversations").await, 1);
}

#[tokio::test]
async fn the_same_words_later_are_another_message() {
    let house = House::new("Every four hours [1].").await;
    let id = thread(&house.create(OIL).await);
    let mut asked = Vec::new();
    for words in ["More.", "Why?", "More."] {
        asked.push(items(&house.add(&id, words).await)[0]["id"].clone());
    }
    assert_ne!(asked[0], asked[2]);
    assert_eq!(house.count("messages").await, 8);
    // A new thread with the words of the first.
    assert_ne!(thread(&house.create(OIL).await), id);
}

#[tokio::test]
async fn who_sends_a_message_again_can_stop_its_answer() {
    let model = Fake::start();
    let house = House::asking(&model).await;
    let (_steps, first, id) = house.half_told(&model).await;
    let params = json!({ "input": message(OIL) });
    let mut again = house.open("threads.create", params).await;
    again.until(|it| kind(it) == "annotation_added").await;
    drop(again);
    model.hung_up().await;
    assert_eq!(settled(&house, &id).await, "stopped");
    drop(first);
}

#[tokio::test]
async fn however_many_send_a_cut_off_message_again_it_is_asked_once_more() {
    let model = Fake::start();
    let house = House::asking(&model).await;
    let (_steps, cut, id) = house.half_told(&model).await;
    drop(cut);
    assert_eq!(settled(&house, &id).await, "stopped");
    model.reply(Said::says(&["Every four hours, always [1]."]));
    let all = futures_util::future::join_all((0..6).map(|_| house.create(OIL))).await;
    for again in &all {
        assert_eq!(thread(again), id);
        assert_eq!(text(&items(again)[1]), "Every four hours, always.");
    }
    assert_eq!(
        (house.count("conversations").await, house.count("messages").await),
        (1, 2)
    );
    assert_eq!(model.requests().len(), 2);
}
