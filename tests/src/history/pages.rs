//! The list, page by page, while others write.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
};

use futures_util::future::join_all;
use serde_json::Value;

use super::{ALL, House, ids};
use crate::support::{database, pgbouncer};

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let house = House::new().await;
    let (reader, other) = (house.reader().await, house.reader().await);
    house.create(&other, "not yours").await;
    let mut made = Vec::new();
    for n in 0..7 {
        made.insert(0, house.create(&reader, &n.to_string()).await);
    }
    // At the same moment the ids decide.
    let tie = "update conversations set last_message_at = '2026-01-01' where title < '4'";
    house.db.batch_execute(tie).await.unwrap();
    assert_eq!(ids(&house.see(&reader, ALL).await), made);
    for limit in 1..=8 {
        let (mut seen, mut path) = (Vec::new(), format!("{ALL}?limit={limit}"));
        loop {
            let page = house.see(&reader, &path).await;
            let on_page = ids(&page);
            seen.extend(on_page.clone());
            assert_eq!(page["has_more"], seen.len() < 7);
            let Some(after) = page["after"].as_str() else { break };
            assert_eq!(Some(after), on_page.last().map(String::as_str));
            assert_eq!(on_page.len(), limit);
            path = format!("{ALL}?limit={limit}&after={after}");
        }
        assert_eq!(seen, made, "limit {limit}");
    }
}

#[tokio::test]
async fn a_place_with_its_time_outlives_activity_and_deletion() {
    let house = House::new().await;
    let reader = house.reader().await;
    let mut made = Vec::new();
    for n in 0..6 {
        made.insert(0, house.create(&reader, &n.to_string()).await);
    }
    let first = house.see(&reader, &format!("{ALL}?limit=2")).await;
    assert_eq!(ids(&first), made[..2]);
    let (id, at) = (&made[1], first["data"][1]["last_message_at"].as_str().unwrap());
    let next = format!("{ALL}?limit=2&after={id}");
    // The last one of the page moves to the top: by its id alone the list begins again.
    house.say(&reader, Some(id), ["More?", "Yes."]).await;
    assert_eq!(ids(&house.see(&reader, &next).await), [&*made[0], &*made[2]]);
    let next = format!("{next}&at={at}");
    assert_eq!(ids(&house.see(&reader, &next).await), made[2..4]);
    house.ask(&reader, "DELETE", &format!("{ALL}/{id}"), Value::Null).await;
    assert_eq!(ids(&house.see(&reader, &next).await), made[2..4]);
    // Somebody else's place is only a time.
    let foreign = house.create(&house.reader().await, "theirs").await;
    let page =
        house.see(&reader, &format!("{ALL}?limit=2&after={foreign}&at={at}")).await;
    assert!(ids(&page).iter().all(|it| made.contains(it)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_pages_while_others_write_misses_nothing_that_rests() {
    let url = database::fresh().await;
    let house = House::at(&pgbouncer::pooled(&url)).await;
    let reader = house.reader().await;
    let resting: HashSet<_> = join_all((0..20).map(|_| house.create(&reader, "rests")))
        .await
        .into_iter()
        .collect();
    let active = join_all((0..10).map(|_| house.create(&reader, "active"))).await;
    let over = AtomicBool::new(false);
    let writers = async {
        for _ in 0..5 {
            let said =
                active.iter().map(|it| house.say(&reader, Some(it), ["More?", "Yes."]));
            join_all(said).await;
        }
        over.store(true, Ordering::Relaxed);
    };
    let pager = async {
        let mut looks = 0;
        while looks == 0 || !over.load(Ordering::Relaxed) {
            let (mut seen, mut path) = (Vec::new(), format!("{ALL}?limit=3"));
            loop {
                let page = house.see(&reader, &path).await;
                seen.extend(ids(&page).into_iter().filter(|it| resting.contains(it)));
                let Some(last) = page["data"].as_array().unwrap().last() else { break };
                if page["has_more"] == false {
                    break;
                }
                let part = |key: &str| last[key].as_str().unwrap().to_owned();
                let (after, at) = (part("id"), part("last_message_at"));
                path = format!("{ALL}?limit=3&after={after}&at={at}");
            }
            assert_eq!(seen.len(), resting.len(), "each one, once");
            assert_eq!(seen.iter().collect::<HashSet<_>>().len(), resting.len());
            looks += 1;
        }
    };
    tokio::join!(writers, pager);
}
