//! What is wrong with a request is named, and never repeated.

use serde_json::{Value, json};

use super::{ALL, House};
use crate::support;

#[tokio::test]
async fn bad_input_is_named_and_never_repeated() {
    let house = House::new().await;
    let reader = house.reader().await;
    let said = house.say(&reader, None, ["Why?", "So."]).await;
    let one = format!("{ALL}/{}", said.conversation);
    let feedback = format!("{one}/messages/{}/feedback", said.answer);
    let (title, reason) = ("ü".repeat(201), "ü".repeat(1001));
    let q = "x".repeat(201);
    for (method, path, body, field) in [
        ("GET", format!("{ALL}?limit=0"), Value::Null, "limit"),
        ("GET", format!("{ALL}?limit=51"), Value::Null, "limit"),
        ("GET", format!("{ALL}?limit=-1"), Value::Null, "limit"),
        ("GET", format!("{ALL}?limit=x"), Value::Null, "limit"),
        ("GET", format!("{ALL}?limit="), Value::Null, "limit"),
        ("GET", format!("{ALL}?limit=99999999999999999999"), Value::Null, "limit"),
        ("GET", format!("{ALL}?q={q}"), Value::Null, "q"),
        ("GET", format!("{ALL}?q=a%00b"), Value::Null, "q"),
        ("GET", format!("{ALL}?at=yesterday"), Value::Null, "at"),
        ("GET", format!("{one}/export?format=pdf"), Value::Null, "format"),
        ("POST", ALL.to_owned(), json!({ "title": title }), "title"),
        ("POST", ALL.to_owned(), json!({ "title": "a\0b" }), "title"),
        ("POST", ALL.to_owned(), json!({ "title": 7 }), "title"),
        ("POST", ALL.to_owned(), json!({ "client_id": "" }), "client_id"),
        ("POST", ALL.to_owned(), json!({ "client_id": "a\0b" }), "client_id"),
        ("POST", ALL.to_owned(), json!({ "client_id": "x".repeat(129) }), "client_id"),
        ("PATCH", one.clone(), json!({}), "title"),
        ("PATCH", one.clone(), json!({ "title": null }), "title"),
        ("PATCH", one.clone(), json!({ "title": " " }), "title"),
        ("PATCH", one.clone(), json!({ "title": title }), "title"),
        ("PATCH", format!("/api/chats/{}", said.conversation), json!({}), "title"),
        ("POST", feedback.clone(), json!({}), "kind"),
        ("POST", feedback.clone(), json!({ "kind": "so-so" }), "kind"),
        (
            "POST",
            feedback.clone(),
            json!({ "kind": "positive", "reason": reason }),
            "reason",
        ),
        (
            "POST",
            feedback.clone(),
            json!({ "kind": "positive", "reason": "\0" }),
            "reason",
        ),
    ] {
        let reply = house.ask(&reader, method, &path, body.clone()).await;
        assert_eq!(reply.problem(), (422, "invalid".into()), "{method} {path} {body}");
        assert_eq!(reply.json()["errors"][0]["field"], field, "{method} {path} {body}");
        assert!(!reply.text.contains("so-so") && !reply.text.contains("üü"));
    }
    let bytes = |method: &str, path: &str, kind: &str, body: &'static str| {
        let request = axum::http::Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", &reader.token)
            .header("content-type", kind);
        support::send(&house.router, request.body(body.into()).unwrap())
    };
    for (method, path) in [("POST", ALL), ("PATCH", &*one), ("POST", &*feedback)] {
        let broken = bytes(method, path, "application/json", "{").await;
        assert_eq!(broken.problem(), (400, "malformed".into()), "{method} {path}");
        let form = bytes(method, path, "text/plain", "{\"title\":\"x\"}").await;
        assert_eq!(
            form.problem(),
            (415, "unsupported-media-type".into()),
            "{method} {path}"
        );
    }
    let empty = bytes("POST", ALL, "text/plain", "").await;
    assert_eq!(empty.status, 201, "no body needs no type");
    assert_eq!(house.count("select count(*) from conversations").await, 2);
    // The longest that are taken.
    let longest = json!({ "title": "ü".repeat(200) });
    assert_eq!(house.ask(&reader, "PATCH", &one, longest).await.status, 200);
    let longest = json!({ "kind": "positive", "reason": "ü".repeat(1000) });
    assert_eq!(house.ask(&reader, "POST", &feedback, longest).await.status, 204);
}
