//! Clients of earlier systems find their paths and their fields.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use super::{ALL, House};

#[tokio::test]
async fn clients_of_earlier_systems_find_their_fields() {
    let house = House::new().await;
    let reader = house.reader().await;
    let body = json!({ "title": "Moves" });
    let made = house.ask(&reader, "POST", "/api/chats/create", body).await;
    assert_eq!(made.status, 201);
    assert_json_snapshot!(
        made.json(),
        {
            ".id" => "[uuid]", ".chatId" => "[uuid]", ".chat_id" => "[uuid]",
            ".userId" => "[uuid]", ".createdAt" => "[seconds]",
        },
        @r#"
        {
          "chatId": "[uuid]",
          "chat_id": "[uuid]",
          "createdAt": "[seconds]",
          "id": "[uuid]",
          "title": "Moves",
          "userId": "[uuid]"
        }
        "#
    );
    let chat = made.json();
    assert!(chat["createdAt"].as_i64().unwrap() > 1_700_000_000);
    assert_eq!(chat["userId"], reader.id.to_string());
    let id = chat["chat_id"].as_str().unwrap();
    house.say(&reader, Some(id), ["What is a move?", "A change of owner."]).await;
    assert_eq!(house.see(&reader, "/api/chats").await, json!([chat]));

    let one = format!("/api/chats/{id}");
    assert_json_snapshot!(
        house.see(&reader, &one).await,
        { "[].messageId" => "[uuid]", "[].timestamp" => "[time]" },
        @r#"
        [
          {
            "content": "What is a move?",
            "media_type": null,
            "media_url": null,
            "messageId": "[uuid]",
            "role": "user",
            "timestamp": "[time]"
          },
          {
            "content": "A change of owner.",
            "media_type": null,
            "media_url": null,
            "messageId": "[uuid]",
            "role": "assistant",
            "timestamp": "[time]"
          }
        ]
        "#
    );
    let renamed = house.ask(&reader, "PATCH", &one, json!({ "title": "Owners" })).await;
    assert_eq!((renamed.status, renamed.json()["title"].as_str()), (200, Some("Owners")));
    assert_eq!(renamed.json()["chatId"], chat["chatId"]);

    let gone = house.ask(&reader, "DELETE", &one, Value::Null).await;
    assert_eq!(gone.status, 200);
    assert_eq!(gone.json(), json!({ "message": "Chat deleted successfully" }));
    assert_eq!(house.see(&reader, "/api/chats").await, json!([]));
}

#[tokio::test]
async fn an_audit_of_an_earlier_system_and_short_addresses_work() {
    let house = House::new().await;
    let reader = house.reader().await;
    let id = &house.create(&reader, "Owners").await;
    house.say(&reader, Some(id), ["What is a move?", "A change of owner."]).await;
    assert_json_snapshot!(
        house.see(&reader, &format!("/api/conversations/{id}")).await,
        {
            ".conversation.conversation_id" => "[uuid]", ".conversation.user_id" => "[uuid]",
            ".conversation.created_at" => "[time]",
            ".messages[].id" => "[uuid]", ".messages[].created_at" => "[time]",
        },
        @r#"
        {
          "conversation": {
            "archived": false,
            "conversation_id": "[uuid]",
            "created_at": "[time]",
            "status": "in-progress",
            "title": "Owners",
            "user_id": "[uuid]"
          },
          "messages": [
            {
              "content": {
                "text": "What is a move?"
              },
              "created_at": "[time]",
              "id": "[uuid]",
              "role": "user"
            },
            {
              "content": {
                "text": "A change of owner."
              },
              "created_at": "[time]",
              "id": "[uuid]",
              "role": "assistant"
            }
          ]
        }
        "#
    );

    assert_eq!(house.see(&reader, "/conversations").await, house.see(&reader, ALL).await);
    let same = house.see(&reader, &format!("{ALL}/{id}")).await;
    assert_eq!(house.see(&reader, &format!("/conversations/{id}")).await, same);
    let other =
        house.ask(&reader, "POST", "/conversations", json!({ "title": "x" })).await;
    assert_eq!(other.status, 201);
    let path = format!("/conversations/{}", other.json()["id"].as_str().unwrap());
    assert_eq!(house.ask(&reader, "DELETE", &path, Value::Null).await.status, 204);
}
