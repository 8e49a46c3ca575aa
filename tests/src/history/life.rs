//! A conversation from its first day to its last.

use futures_util::future::join_all;
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use super::{ALL, House, ids};

#[tokio::test]
async fn a_conversation_is_made_read_renamed_and_deleted() {
    let house = House::new().await;
    let reader = house.reader().await;
    let body = json!({ "title": " On\nmoves " });
    let made = house.ask(&reader, "POST", ALL, body).await;
    assert_eq!(made.status, 201);
    assert_json_snapshot!(
        made.json(),
        { ".id" => "[uuid]", ".created_at" => "[time]", ".last_message_at" => "[time]" },
        @r#"
        {
          "created_at": "[time]",
          "id": "[uuid]",
          "last_message_at": "[time]",
          "message_count": 0,
          "title": "On moves"
        }
        "#
    );
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let one = format!("{ALL}/{id}");
    house.say(&reader, Some(&id), ["What is a move?", "A change of owner [1]."]).await;

    let whole = house.see(&reader, &one).await;
    assert_json_snapshot!(
        whole,
        {
            ".id" => "[uuid]", ".created_at" => "[time]", ".last_message_at" => "[time]",
            ".messages[].id" => "[uuid]", ".messages[].created_at" => "[time]",
        },
        @r#"
        {
          "created_at": "[time]",
          "id": "[uuid]",
          "last_message_at": "[time]",
          "message_count": 2,
          "messages": [
            {
              "content": "What is a move?",
              "created_at": "[time]",
              "feedback": null,
              "id": "[uuid]",
              "role": "user",
              "sources": [],
              "status": "complete"
            },
            {
              "content": "A change of owner [1].",
              "created_at": "[time]",
              "feedback": null,
              "id": "[uuid]",
              "role": "assistant",
              "sources": [],
              "status": "complete"
            }
          ],
          "title": "On moves"
        }
        "#
    );
    assert!(whole["last_message_at"].as_str().unwrap().ends_with('Z'));

    let other = house.say(&reader, None, ["Another?", "Yes."]).await.conversation;
    let renamed = house.ask(&reader, "PATCH", &one, json!({ "title": "Moves" })).await;
    assert_eq!(renamed.status, 200);
    assert_eq!(renamed.json()["title"], "Moves");
    assert_eq!(renamed.json()["message_count"], 2);
    assert_eq!(renamed.json()["last_message_at"], whole["last_message_at"]);
    let list = house.see(&reader, ALL).await;
    assert_eq!(ids(&list), [other, id.clone()], "renaming is no activity");
    assert_eq!(list["data"][1], renamed.json());
    assert_eq!(list["has_more"], false);
    assert!(list.get("after").is_none());

    let gone = house.ask(&reader, "DELETE", &one, Value::Null).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    let again = house.ask(&reader, "DELETE", &one, Value::Null).await;
    assert_eq!(again.problem(), (404, "not-found".into()));
    assert_eq!(house.count("select count(*) from messages").await, 2);
}

#[tokio::test]
async fn an_untitled_conversation_takes_its_first_question_as_its_title() {
    let house = House::new().await;
    let reader = house.reader().await;
    // Without a body at all, with an empty one, and with a title that is blank.
    for body in
        [Value::Null, json!({}), json!({ "title": " " }), json!({ "title": null })]
    {
        let made = house.ask(&reader, "POST", ALL, body).await;
        assert_eq!((made.status, made.json()["title"].as_str()), (201, Some("")));
        let id = made.json()["id"].as_str().unwrap().to_owned();
        for question in ["What is a move?", "And a borrow?"] {
            house.say(&reader, Some(&id), [question, "Well."]).await;
        }
        let whole = house.see(&reader, &format!("{ALL}/{id}")).await;
        assert_eq!(whole["title"], "What is a move?");
    }
    let named = house.create(&reader, "Mine").await;
    house.say(&reader, Some(&named), ["What is a move?", "Well."]).await;
    assert_eq!(house.see(&reader, &format!("{ALL}/{named}")).await["title"], "Mine");
}

#[tokio::test]
async fn a_clients_own_id_makes_one_conversation() {
    let house = House::new().await;
    let (reader, other) = (house.reader().await, house.reader().await);
    let body = json!({ "title": "First", "client_id": "thread-1" });
    let made =
        join_all((0..8).map(|_| house.ask(&reader, "POST", ALL, body.clone()))).await;
    for reply in &made {
        assert_eq!((reply.status, &reply.text), (201, &made[0].text));
    }
    let id = made[0].json()["id"].as_str().unwrap().to_owned();
    house.say(&reader, Some(&id), ["Who?", "You."]).await;
    let again = json!({ "title": "Second", "client_id": "thread-1" });
    let again = house.ask(&reader, "POST", ALL, again).await.json();
    assert_eq!((&again["id"], &again["title"]), (&json!(id), &json!("First")));
    assert_eq!(again["message_count"], 2);
    let theirs = house.ask(&other, "POST", ALL, body).await;
    assert_ne!(theirs.json()["id"], made[0].json()["id"]);
    assert_eq!(house.count("select count(*) from conversations").await, 2);
}
