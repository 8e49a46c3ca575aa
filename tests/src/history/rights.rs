//! Whose history it is: who may call each route, and who finds nothing there.

use std::collections::HashSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{ALL, House};
use crate::support::{
    self,
    house::{self, FRONT, bearer},
};

const NOBODY: &[(&str, &str)] = &[];

#[tokio::test]
async fn nobody_sees_or_touches_what_is_not_theirs() {
    let house = House::new().await;
    let (owner, stranger) = (house.reader().await, house.reader().await);
    let said = house.say(&owner, None, ["Mine?", "Yours."]).await;
    let named = support::call(
        &house.router,
        "POST",
        &format!("{ALL}?user_id=user_2abc"),
        &[FRONT],
        json!({ "title": "theirs" }),
    )
    .await;
    let of_named = named.json()["id"].as_str().unwrap().to_owned();
    let mut answers = HashSet::new();
    for id in [&said.conversation, &of_named, &Uuid::now_v7().to_string(), "no-id", "%FF"]
    {
        for (method, path, body) in [
            ("GET", format!("{ALL}/{id}"), Value::Null),
            ("PATCH", format!("{ALL}/{id}"), json!({ "title": "taken" })),
            ("DELETE", format!("{ALL}/{id}"), Value::Null),
            ("GET", format!("{ALL}/{id}/export"), Value::Null),
            ("GET", format!("{ALL}?after={id}"), Value::Null),
            ("GET", format!("/conversations/{id}"), Value::Null),
            ("DELETE", format!("/conversations/{id}"), Value::Null),
            ("GET", format!("/api/chats/{id}"), Value::Null),
            ("PATCH", format!("/api/chats/{id}"), json!({ "title": "taken" })),
            ("DELETE", format!("/api/chats/{id}"), Value::Null),
            ("GET", format!("/api/conversations/{id}"), Value::Null),
        ] {
            let reply = house.ask(&stranger, method, &path, body).await;
            assert_eq!(reply.problem(), (404, "not-found".into()), "{method} {path}");
            answers.insert(reply.json()["detail"].to_string());
        }
    }
    assert_eq!(answers.len(), 1, "{answers:?}");

    let mut answers = HashSet::new();
    let mine = house.say(&stranger, None, ["Mine?", "Yes."]).await;
    for (conversation, message) in [
        (&said.conversation, &said.answer),
        (&mine.conversation, &said.answer),
        (&said.conversation, &mine.answer),
        (&mine.conversation, &mine.question),
        (&mine.conversation, &Uuid::now_v7().to_string()),
        (&mine.conversation, &"no-id".to_owned()),
    ] {
        let path = format!("{ALL}/{conversation}/messages/{message}/feedback");
        let reply =
            house.ask(&stranger, "POST", &path, json!({ "kind": "negative" })).await;
        assert_eq!(reply.problem(), (404, "not-found".into()), "{path}");
        answers.insert(reply.json()["detail"].to_string());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(house.count("select count(*) from feedback").await, 0);
    assert_eq!(house.count("select count(*) from conversations").await, 3);
    assert_eq!(
        house.count("select count(*) from conversations where title = 'taken'").await,
        0
    );
}

/// Every route with a body that it takes.
fn routes(id: &str) -> Vec<(&'static str, String, Value)> {
    let title = json!({ "title": "x" });
    vec![
        ("GET", ALL.to_owned(), Value::Null),
        ("POST", ALL.to_owned(), title.clone()),
        ("GET", format!("{ALL}/{id}"), Value::Null),
        ("PATCH", format!("{ALL}/{id}"), title.clone()),
        ("DELETE", format!("{ALL}/{id}"), Value::Null),
        ("GET", format!("{ALL}/{id}/export"), Value::Null),
        ("POST", format!("{ALL}/{id}/messages/{id}/feedback"), json!({ "kind": null })),
        ("GET", "/conversations".to_owned(), Value::Null),
        ("POST", "/conversations".to_owned(), title.clone()),
        ("GET", format!("/conversations/{id}"), Value::Null),
        ("DELETE", format!("/conversations/{id}"), Value::Null),
        ("GET", "/api/chats".to_owned(), Value::Null),
        ("POST", "/api/chats/create".to_owned(), title.clone()),
        ("GET", format!("/api/chats/{id}"), Value::Null),
        ("PATCH", format!("/api/chats/{id}"), title),
        ("DELETE", format!("/api/chats/{id}"), Value::Null),
        ("GET", format!("/api/conversations/{id}"), Value::Null),
    ]
}

#[tokio::test]
async fn every_route_wants_a_known_reader() {
    let house = House::new().await;
    let (reader, other) = (house.reader().await, house.reader().await);
    let gone = bearer(Uuid::now_v7());
    let id = house.create(&reader, "kept").await;
    for (method, path, body) in routes(&id) {
        for headers in [
            NOBODY,
            &[("authorization", "Bearer nonsense")],
            &[("authorization", "Bearer nonsense"), FRONT],
            &[("x-api-key", "another key")],
            &[("authorization", &gone)],
        ] {
            let reply =
                support::call(&house.router, method, &path, headers, body.clone()).await;
            assert_eq!(
                reply.problem(),
                (401, "unauthorized".into()),
                "{method} {path} {headers:?}"
            );
        }
        // A guest's `user_id` is no name, and a token's reader cannot be another.
        let named = format!("{path}?user_id={}", reader.id);
        let reply =
            support::call(&house.router, method, &named, NOBODY, body.clone()).await;
        assert_eq!(reply.problem(), (401, "unauthorized".into()), "{method} {named}");
        let reply = house.ask(&other, method, &named, body.clone()).await;
        assert_eq!(reply.problem(), (403, "forbidden".into()), "{method} {named}");
        // The server in front must say whose history it means.
        let reply =
            support::call(&house.router, method, &path, &[FRONT], body.clone()).await;
        assert_eq!(reply.problem(), (422, "invalid".into()), "{method} {path}");
        assert_eq!(reply.json()["errors"][0]["field"], "user_id");
        let slash = format!("{path}/");
        let reply = support::call(&house.router, method, &slash, NOBODY, body).await;
        assert_eq!(reply.status, 401, "{slash}");
        let wrong = support::call(&house.router, "PUT", &path, NOBODY, Value::Null).await;
        assert_eq!(wrong.problem(), (405, "method-not-allowed".into()), "{path}");
    }
    assert_eq!(house.count("select count(*) from conversations").await, 1);
    assert_eq!(house.count("select count(*) from users").await, 2);
}

#[tokio::test]
async fn a_trusted_server_names_the_reader_in_the_query_or_in_the_body() {
    let house = House::new().await;
    let call = async |method: &str, path: &str, body: Value| {
        support::call(&house.router, method, path, &[FRONT], body).await
    };
    let user = "user_2abc";
    let empty = call("GET", &format!("{ALL}?user_id={user}"), Value::Null).await;
    assert_eq!((empty.status, empty.json()["data"].clone()), (200, json!([])));
    assert_eq!(
        house.count("select count(*) from users").await,
        0,
        "reading makes nobody"
    );
    let made = call("POST", ALL, json!({ "title": "one", "user_id": user })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let one = format!("{ALL}/{id}");
    let body = json!({ "title": "two", "user_id": user });
    assert_eq!(call("PATCH", &one, body).await.json()["title"], "two");
    let by = format!("?client_user_id={user}");
    assert_eq!(
        call("GET", &format!("{one}{by}"), Value::Null).await.json()["title"],
        "two"
    );
    let other = call("GET", &format!("{one}?user_id=user_3"), Value::Null).await;
    assert_eq!(other.problem(), (404, "not-found".into()));
    let long =
        call("GET", &format!("{ALL}?user_id={}", "x".repeat(129)), Value::Null).await;
    assert_eq!(long.problem(), (422, "invalid".into()));
    assert_eq!(call("DELETE", &format!("{one}{by}"), Value::Null).await.status, 204);
    assert_eq!(
        house.count("select count(*) from users where subject = 'user_2abc'").await,
        1
    );
}

#[tokio::test]
async fn without_a_database_every_route_is_unavailable_and_says_nothing_inside() {
    let router = support::router(house::settings("postgresql://app@%2Fnonexistent/book"));
    let headers = [("authorization", &*bearer(Uuid::now_v7()))];
    for (method, path, body) in routes(&Uuid::now_v7().to_string()) {
        let reply = support::call(&router, method, &path, &headers, body).await;
        assert_eq!(reply.problem(), (503, "unavailable".into()), "{method} {path}");
        assert!(!reply.text.contains("nonexistent"));
    }
}
