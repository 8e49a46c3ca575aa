//! The newest fifty, however many are made at once.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::try_join_all;
use shared::conversations::{Owner, store};
use uuid::Uuid;

use super::{ALL, House, ids};
use crate::support::{database, house, pgbouncer};

/// Creates and saves at once, while a reader looks: never a 51st, and the newest stay.
async fn many_at_once(url: &str) {
    let house = House::at(url).await;
    let reader = house.reader().await;
    let over = AtomicBool::new(false);
    let writers = async {
        let made = try_join_all((0..60).map(|n| {
            let (house, reader) = (&house, &reader);
            async move {
                let title = n.to_string();
                if n % 3 == 0 {
                    let id = Uuid::now_v7();
                    let turn =
                        house::exchange(Owner::User(reader.id), id, [&title, "Yes."]);
                    store::save(&house.pool, &turn, None).await.map(|_| id.to_string())
                } else {
                    Ok(house.create(reader, &title).await)
                }
            }
        }));
        let made = made.await.unwrap();
        over.store(true, Ordering::Relaxed);
        made
    };
    let watcher = async {
        while !over.load(Ordering::Relaxed) {
            let sql = format!(
                "select count(*) from conversations where user_id = '{}'",
                reader.id
            );
            assert!(house.count(&sql).await <= 50);
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let (made, ()) = tokio::join!(writers, watcher);
    let kept = ids(&house.see(&reader, &format!("{ALL}?limit=50")).await);
    assert_eq!(kept.len(), 50);
    assert!(kept.iter().all(|it| made.contains(it)));

    // One after the other the order is known: the newest is in front, the oldest goes.
    let newest = house.create(&reader, "newest").await;
    let now = ids(&house.see(&reader, &format!("{ALL}?limit=50")).await);
    assert_eq!((now.len(), &now[0]), (50, &newest));
    assert_eq!(now[1..], kept[..49]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creating_obeys_the_fifty_like_a_save() {
    many_at_once(&database::fresh().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creating_obeys_the_fifty_behind_pgbouncer_too() {
    let url = database::fresh().await;
    many_at_once(&pgbouncer::pooled(&url)).await;
}
