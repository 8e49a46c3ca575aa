//! A thumb for an answer, with a reason or without.

use serde_json::{Value, json};

use super::{ALL, House};

#[tokio::test]
async fn feedback_is_kept_changed_and_taken_back() {
    let house = House::new().await;
    let reader = house.reader().await;
    let said = house.say(&reader, None, ["Why?", "So."]).await;
    let one = format!("{ALL}/{}", said.conversation);
    let path = format!("{one}/messages/{}/feedback", said.answer);
    for (given, kept) in [
        (
            json!({ "kind": "negative", "reason": " too short " }),
            json!({ "kind": "negative", "reason": "too short" }),
        ),
        (json!({ "kind": "positive" }), json!({ "kind": "positive", "reason": null })),
        (json!({ "kind": null, "reason": "never mind" }), Value::Null),
        (json!({ "kind": null }), Value::Null),
    ] {
        let reply = house.ask(&reader, "POST", &path, given).await;
        assert_eq!((reply.status, reply.text.as_str()), (204, ""));
        let whole = house.see(&reader, &one).await;
        assert_eq!(whole["messages"][1]["feedback"], kept);
        assert_eq!(whole["messages"][0]["feedback"], Value::Null);
    }
    house.ask(&reader, "POST", &path, json!({ "kind": "negative" })).await;
    house.ask(&reader, "DELETE", &one, Value::Null).await;
    assert_eq!(house.count("select count(*) from feedback").await, 0);
}
