//! Threads and items, page by page.

use serde_json::{Value, json};

use super::{House, ids, items, thread};

#[tokio::test]
async fn threads_and_items_come_in_pages() {
    let house = House::new("Every four hours [1].").await;
    let long = house.create("Question 0").await;
    let id = thread(&long);
    let mut said: Vec<String> = Vec::new();
    for n in 0..12 {
        let turn = if n == 0 {
            long.clone()
        } else {
            house.add(&id, &format!("Question {n}")).await
        };
        said.extend(items(&turn).iter().map(|it| it["id"].as_str().unwrap().to_owned()));
    }
    let whole = house.thread(&id).await;
    assert_eq!(ids(&whole["items"]), said[..20]);
    assert_eq!(whole["items"]["has_more"], true);
    assert_eq!(whole["items"]["after"], said[19]);

    let list = async |params: Value| {
        let mut all = json!({ "thread_id": id });
        all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
        house.see("items.list", all).await
    };
    let rest = list(json!({ "order": "asc", "after": said[19], "limit": null })).await;
    assert_eq!(
        (ids(&rest), &rest["has_more"]),
        (said[20..].iter().map(String::as_str).collect(), &json!(false))
    );
    assert!(rest.get("after").is_none());
    said.reverse();
    let newest = list(json!({ "limit": 2, "order": null, "after": null })).await;
    assert_eq!(
        (ids(&newest), &newest["after"]),
        (vec![said[0].as_str(), &said[1]], &json!(said[1]))
    );
    let older = list(json!({ "limit": 22, "order": "desc", "after": said[1] })).await;
    assert_eq!((ids(&older).len(), &older["has_more"]), (22, &json!(false)));
    assert_eq!(ids(&list(json!({ "limit": 9999 })).await).len(), 24);

    for n in 1..4 {
        house.create(&format!("Thread {n}")).await;
    }
    let page = house.see("threads.list", json!({ "limit": 9999 })).await;
    let titles: Vec<_> =
        page["data"].as_array().unwrap().iter().map(|it| it["title"].clone()).collect();
    assert_eq!(titles, ["Thread 3", "Thread 2", "Thread 1", "Question 0"]);
    assert_eq!(page["data"][0]["items"], json!({ "data": [], "has_more": false }));
    let all = ids(&page);
    let first = house.see("threads.list", json!({ "limit": 3 })).await;
    assert_eq!((ids(&first), &first["after"]), (all[..3].to_vec(), &json!(all[2])));
    let next = house.see("threads.list", json!({ "limit": 0, "after": all[2] })).await;
    assert_eq!((ids(&next), &next["has_more"]), (all[3..].to_vec(), &json!(false)));
    let oldest = house.see("threads.list", json!({ "order": "asc", "limit": 1 })).await;
    assert_eq!((ids(&oldest), &oldest["has_more"]), (all[3..].to_vec(), &json!(true)));
}
