//! A conversation as a file.

use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::{Value, json};
use shared::conversations::{Owner, Status, store};

use super::{ALL, House};
use crate::support::house;

#[tokio::test]
async fn an_export_is_a_file_with_everything_that_was_said() {
    let house = House::new().await;
    let reader = house.reader().await;
    let id = house.create(&reader, "Moves: a/b \"c\"").await;
    let mut turn = house::exchange(
        Owner::User(reader.id),
        id.parse().unwrap(),
        ["Is `a < b`?\n# no heading", "Yes [1], and **so** [2]."],
    );
    turn.status = Status::Interrupted;
    turn.sources = json!([
        { "n": 1, "title": "Ownership > [Moves]", "url": "https://book.example/04#moves",
          "quote": "A move.\nIs a move." },
        { "n": 2, "title": "The selection", "quote": "so" },
    ]);
    store::save(&house.pool, &turn, None).await.unwrap();
    let at = "2026-01-31 10:00:00.25+00";
    house
        .db
        .batch_execute(&format!(
            "update conversations set created_at = '{at}', last_message_at = '{at}';
             update messages set created_at = '{at}'"
        ))
        .await
        .unwrap();

    let path = format!("{ALL}/{id}/export");
    let file = house.ask(&reader, "GET", &path, Value::Null).await;
    assert_eq!(file.status, 200);
    assert_eq!(file.headers["content-type"], "text/markdown; charset=utf-8");
    assert_eq!(
        file.headers["content-disposition"],
        "attachment; filename=\"moves-a-b-c-2026-01-31.md\""
    );
    assert_snapshot!(file.text, @r#"
    # Moves: a/b "c"

    ## Reader, 2026-01-31T10:00:00Z

    > Is `a < b`?
    > # no heading

    ## Lectern, 2026-01-31T10:00:00Z (interrupted)

    > Yes [1], and **so** [2].

    Sources:

    - [1] [Ownership > \[Moves\]](<https://book.example/04#moves>)
      > A move.
      > Is a move.
    - [2] The selection
      > so
    "#);
    let same = house.ask(&reader, "GET", &format!("{path}?format=md"), Value::Null).await;
    assert_eq!(same.text, file.text);

    let file =
        house.ask(&reader, "GET", &format!("{path}?format=json"), Value::Null).await;
    assert_eq!(file.headers["content-type"], "application/json");
    assert_eq!(
        file.headers["content-disposition"],
        "attachment; filename=\"moves-a-b-c-2026-01-31.json\""
    );
    assert_eq!(file.json(), house.see(&reader, &format!("{ALL}/{id}")).await);
    assert_json_snapshot!(
        file.json(),
        { ".id" => "[uuid]", ".messages[].id" => "[uuid]", ".messages[].sources" => "[2]" },
        @r#"
        {
          "created_at": "2026-01-31T10:00:00.25Z",
          "id": "[uuid]",
          "last_message_at": "2026-01-31T10:00:00.25Z",
          "message_count": 2,
          "messages": [
            {
              "content": "Is `a < b`?\n# no heading",
              "created_at": "2026-01-31T10:00:00.25Z",
              "feedback": null,
              "id": "[uuid]",
              "role": "user",
              "sources": "[2]",
              "status": "complete"
            },
            {
              "content": "Yes [1], and **so** [2].",
              "created_at": "2026-01-31T10:00:00.25Z",
              "feedback": null,
              "id": "[uuid]",
              "role": "assistant",
              "sources": "[2]",
              "status": "interrupted"
            }
          ],
          "title": "Moves: a/b \"c\""
        }
        "#
    );
}

#[tokio::test]
async fn nothing_that_was_said_passes_for_another_part_of_an_export() {
    let house = House::new().await;
    let reader = house.reader().await;
    let id = house.create(&reader, "<img src=x> ![a](b) `C#` & *snake_case* #").await;
    let question = "A <b>bold</b> `Vec<u8>` \\<i> <https://book.example> a < b <!-- open\r\
        ## Lectern, 2026-01-31T10:00:00Z\r\n\r\nForged.\n```html\n<!-- code";
    let answer = "- a list:\n\n```rust\nlet a: Vec<u8>;  \nlet b";
    let mut turn =
        house::exchange(Owner::User(reader.id), id.parse().unwrap(), [question, answer]);
    turn.status = Status::Stopped;
    turn.sources = json!([{
        "n": 1, "title": "*Moves* ](x) <b>", "url": "https://book.example/a b>c\\\n<é#moves",
        "quote": "A </details>\r# move.\n\n~~~",
    }]);
    store::save(&house.pool, &turn, None).await.unwrap();
    let at = "2026-01-31 10:00:00+00";
    let sql = format!("update messages set created_at = '{at}'");
    house.db.batch_execute(&sql).await.unwrap();
    let path = format!("{ALL}/{id}/export");
    let file = house.ask(&reader, "GET", &path, Value::Null).await;
    assert_snapshot!(file.text, @r#"
    # \<img src=x> !\[a\](b) \`C\#\` \& \*snake\_case\* \#

    ## Reader, 2026-01-31T10:00:00Z

    > A \<b>bold\</b> `Vec<u8>` \<i> <https://book.example> a < b \<!-- open
    > ## Lectern, 2026-01-31T10:00:00Z
    >
    > Forged.
    > ```html
    > <!-- code

    ## Lectern, 2026-01-31T10:00:00Z (stopped)

    > - a list:
    >
    > ```rust
    > let a: Vec<u8>;  
    > let b

    Sources:

    - [1] [\*Moves\* \](x) \<b>](<https://book.example/a%20b%3Ec%5C%0A%3Cé#moves>)
      > A \</details>
      > # move.
      >
      > ~~~
    "#);
}
