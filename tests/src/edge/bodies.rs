//! Bodies that do not fit, and bodies that only look as if they did not.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use uuid::Uuid;

use super::{
    CHAT, FRONT, LOGIN, OIL, PASSWORD, POSTED, RAG, REGISTER, SAVE, STREAM,
    assert_problem, bundle, fields, fine, post, raw,
};
use crate::support::{
    client::{Call, Connection},
    database,
};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_body_that_does_not_say_json_is_415() {
    let router = bundle().await;
    for path in POSTED {
        let body = fine(path).to_string();
        for kind in [
            None,
            Some(""),
            Some("text/plain"),
            Some("text/json"),
            Some("application/x-www-form-urlencoded"),
            Some("multipart/form-data; boundary=x"),
            Some("application/jsonp"),
            Some("json"),
        ] {
            let mut headers = vec![FRONT];
            headers.extend(kind.map(|it| ("content-type", it)));
            let reply = raw(&router, "POST", path, &headers, body.clone()).await;
            assert_problem(&reply, 415, "unsupported-media-type");
        }
        for kind in ["application/json; charset=utf-8", "Application/JSON"] {
            let headers = [FRONT, ("content-type", kind)];
            let reply = raw(&router, "POST", path, &headers, body.clone()).await;
            assert_ne!(reply.status, 415, "{kind}");
        }
    }
}

#[tokio::test]
async fn what_is_no_json_text_is_400() {
    let router = bundle().await;
    let headers = [FRONT, ("content-type", "application/json")];
    for path in POSTED {
        let good = fine(path).to_string();
        let trailing = format!("{good} more");
        let twice = format!("{good}{good}");
        // Half of a pair: JSON's grammar lets it pass, and no text holds it.
        let first = good.split('"').nth(1).unwrap();
        let half = format!(r#"{{"{first}":"\ud800"}}"#);
        let deep = format!(r#"{{"x":{}"#, "[".repeat(100_000));
        for body in [
            &b""[..],
            b"   ",
            b"{",
            b"{\"query\":\"x\"",
            b"{'query':'x'}",
            b"{\"query\":\"x\",}",
            b"{\"query\":NaN}",
            half.as_bytes(),
            b"{\"query\":\"a\nb\"}",
            b"\xef\xbb\xbf{}",
            b"{\"query\":\"\xff\xfe\"}",
            b"{\"query_text\":\"\xc3\"}",
            b"\xff",
            trailing.as_bytes(),
            twice.as_bytes(),
            deep.as_bytes(),
        ] {
            let reply = raw(&router, "POST", path, &headers, body.to_vec()).await;
            assert_problem(&reply, 400, "malformed");
        }
    }
}

#[tokio::test]
async fn over_one_mebibyte_is_413_and_one_mebibyte_is_read() {
    let router = bundle().await;
    let headers = [FRONT, ("content-type", "application/json")];
    for path in POSTED {
        for size in [MIB + 1, 5_000_000] {
            let reply = raw(&router, "POST", path, &headers, vec![b' '; size]).await;
            assert_problem(&reply, 413, "too-large");
        }
        let mut body = fine(path).to_string().into_bytes();
        body.resize(MIB, b' ');
        let reply = raw(&router, "POST", path, &headers, body).await;
        assert!(matches!(reply.status, 200 | 201), "{path}: {}", reply.text);
    }
}

/// The bundle on a real socket, until this is dropped.
async fn served() -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = bundle().await;
    let mut server = JoinSet::new();
    server.spawn(async move {
        shared::http::local::serve(listener, router).await.unwrap();
    });
    (address, server)
}

#[tokio::test]
async fn on_a_socket_every_fault_is_read_to_its_end_and_the_connection_lives_on() {
    let (address, _server) = served().await;
    let mut connection = Connection::open(address).await;
    let json = |call: Call| call.header("content-type", "application/json");
    for path in POSTED {
        let post = || json(Call::new("POST", path)).header(FRONT.0, FRONT.1);
        for (call, status, code) in [
            (post().bytes(vec![b' '; MIB + 1]), 413, "too-large"),
            (post().bytes(vec![b'"'; 5_000_000]), 413, "too-large"),
            (post().bytes(&b"{\"a\":\"\xff\"}"[..]), 400, "malformed"),
            (json(Call::new("PUT", path)).bytes("{}"), 405, "method-not-allowed"),
            (Call::new("TRACE", path), 405, "method-not-allowed"),
            (Call::new("POST", path).bytes("x"), 415, "unsupported-media-type"),
            (
                json(Call::new("POST", "/nowhere")).bytes(vec![b' '; 900_000]),
                404,
                "not-found",
            ),
        ] {
            let answer = connection.send(&call).await.unwrap().answer().await;
            answer.assert_problem(status, code);
        }
        let head = connection.send(&Call::new("HEAD", path)).await.unwrap();
        let answer = head.answer().await;
        assert_eq!((answer.status(), answer.text()), (405, ""));
    }
    let head = connection.send(&Call::new("HEAD", "/health")).await.unwrap();
    let answer = head.answer().await;
    assert_eq!((answer.status(), answer.text()), (200, ""));
    let get = connection.send(&Call::get("/health/")).await.unwrap().answer().await;
    assert_eq!(get.json()["status"], "healthy");
}

#[tokio::test]
async fn missing_fields_and_wrong_types_are_named_by_their_path() {
    let router = bundle().await;
    let secret = "an unusual word";
    for (path, body, expected) in [
        (REGISTER, json!({}), "email"),
        (REGISTER, json!({ "email": "a@b.example" }), "password"),
        (REGISTER, json!({ "email": 1, "password": secret }), "email"),
        (REGISTER, json!({ "email": null, "password": secret }), "email"),
        (REGISTER, json!({ "email": "a@b.example", "password": [secret] }), "password"),
        (
            REGISTER,
            json!({ "email": "a@b.example", "password": "é".repeat(37) }),
            "password",
        ),
        (LOGIN, json!({ "email": secret }), "password"),
        (LOGIN, json!({ "email": { secret: 1 }, "password": secret }), "email"),
        (SAVE, json!({}), "user_id"),
        (SAVE, json!({ "user_id": 7, "query": "q", "response": "a" }), "user_id"),
        (SAVE, json!({ "user_id": "u", "query": [], "response": "a" }), "query"),
        (SAVE, json!({ "user_id": "u", "query": "q" }), "response"),
        (SAVE, json!({ "user_id": "u", "query": "q", "response": "" }), "response"),
        (
            SAVE,
            json!({ "user_id": "u".repeat(129), "query": "q", "response": "a" }),
            "user_id",
        ),
        (
            SAVE,
            json!({ "user_id": "u", "query": "q", "response": "a", "conversation_id": 1 }),
            "conversation_id",
        ),
        (CHAT, json!({ "message": secret }), "message"),
        (
            CHAT,
            json!({ "message": { "content": "q", "metadata": secret } }),
            "message.metadata",
        ),
        (
            CHAT,
            json!({ "message": { "content": "q", "metadata": { "context": 1 } } }),
            "message.metadata.context",
        ),
        (CHAT, json!({ "message": { "content": "q", "user_id": 1 } }), "message.user_id"),
        (CHAT, json!({ "query_text": true }), "query_text"),
        (CHAT, json!({ "query_text": "q", "conversation_id": {} }), "conversation_id"),
        (CHAT, json!({ "query_text": "q", "history": secret }), "history"),
        (CHAT, json!({ "query_text": "q", "history": [1] }), "history[0]"),
        (
            CHAT,
            json!({ "query_text": "q", "history": [{ "role": "user" }] }),
            "history[0].content",
        ),
        (RAG, json!({}), "query"),
        (RAG, json!({ "query": "q", "top_k": secret }), "top_k"),
        (RAG, json!({ "query": "q", "top_k": 2.5 }), "top_k"),
        (RAG, json!({ "query": "q", "top_k": 51 }), "top_k"),
        (RAG, json!({ "query": "q", "mode": secret }), "mode"),
        (
            RAG,
            json!({ "query": "q", "filter": { "path_prefix": 1 } }),
            "filter.path_prefix",
        ),
        (RAG, json!({ "query": "q", "history": ["a", 2] }), "history[1]"),
        (RAG, json!("a text"), "body"),
    ] {
        let paths = if path == CHAT { vec![CHAT, STREAM] } else { vec![path] };
        for path in paths {
            let reply = post(&router, path, body.clone()).await;
            assert_problem(&reply, 422, "invalid");
            assert_eq!(fields(&reply), [expected], "{path} {body}: {}", reply.text);
            assert!(!reply.text.contains(secret), "{}", reply.text);
            for word in ["i64", "u32", "usize"] {
                assert!(!reply.text.contains(word), "our word: {}", reply.text);
            }
        }
    }
}

#[tokio::test]
async fn a_null_where_something_is_optional_is_nothing() {
    let router = bundle().await;
    let message = json!({ "content": OIL, "user_id": null, "metadata": null });
    for (path, body) in [
        (CHAT, json!({ "message": message, "conversation_id": null, "history": null })),
        (
            STREAM,
            json!({ "query_text": OIL, "selected_text": null, "context_mode": null,
                    "conversation_id": null, "history": null }),
        ),
        (
            CHAT,
            json!({ "message": { "content": OIL,
            "metadata": { "context": null, "selected_text": null } } }),
        ),
        (RAG, json!({ "query": OIL, "filter": { "path_prefix": null, "source": null } })),
        (
            SAVE,
            json!({ "user_id": "u", "query": "q", "response": "a", "conversation_id": null }),
        ),
    ] {
        let reply = post(&router, path, body).await;
        assert!(matches!(reply.status, 200 | 201), "{path}: {}", reply.text);
    }
}

#[tokio::test]
async fn text_that_looks_like_code_is_text_on_every_route() {
    let url = database::fresh().await;
    let router = crate::support::router(super::env(&url).await);
    for (n, odd) in [
        "'; drop table users; --",
        "' or '1'='1",
        "<script>alert(1)</script><img src=x onerror=alert(1)>",
        "$1 %s {{x}} ${HOME} $(id) `id` \\",
        "../../etc/passwd\u{202e}\u{200b}\u{feff}",
        "\u{1f56f}\u{0301} \u{fffd} \u{10ffff}",
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("reader{n}'--@example.org");
        let account = json!({ "email": email, "password": format!("{odd} and more") });
        assert_eq!(post(&router, REGISTER, account.clone()).await.status, 201, "{odd}");
        let signed_in = post(&router, LOGIN, account).await;
        assert_eq!(signed_in.json()["email"], email, "{}", signed_in.text);

        let body = json!({ "user_id": odd, "query": odd, "response": odd });
        let saved = post(&router, SAVE, body).await;
        assert_eq!(saved.status, 201, "{}", saved.text);
        assert_eq!(saved.json()["user_id"], odd);

        let found =
            post(&router, RAG, json!({ "query": odd, "filter": { "source": odd } }))
                .await;
        assert_eq!(found.status, 200, "{}", found.text);
        assert_eq!(found.json()["query"], odd);

        let conversation = saved.json()["conversation_id"].clone();
        let message = json!({ "content": format!("{odd} wick"), "user_id": odd });
        for path in [CHAT, STREAM] {
            let body = json!({ "message": message, "conversation_id": conversation });
            let reply = post(&router, path, body).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            let body = json!({ "message": message, "conversation_id": odd });
            assert_problem(&post(&router, path, body).await, 404, "not-found");
        }
        let answers = raw(
            &router,
            "GET",
            "/health",
            &[("x-api-key", "'; drop table users; --"), ("user-agent", "<script>")],
            "",
        );
        assert_eq!(answers.await.status, 200);
    }
    let client = database::client(&url).await;
    let six = "select count(*) from users where issuer = 'service'";
    assert_eq!(database::count(&client, six).await, 6);
    let kept = "select count(*) from messages where content ->> 'text' like '%drop table users; --'";
    assert_eq!(database::count(&client, kept).await, 2);
}

#[tokio::test]
async fn unknown_and_foreign_conversations_are_the_same_404() {
    let router = bundle().await;
    let saved = post(&router, SAVE, fine(SAVE)).await.json();
    let mut told = Vec::<Value>::new();
    for id in [
        saved["conversation_id"].clone(),
        json!(Uuid::now_v7()),
        json!(Uuid::nil()),
        json!("x"),
        json!(""),
        json!("x".repeat(10_000)),
        json!("a\0b"),
    ] {
        for path in [CHAT, STREAM, SAVE] {
            let body = match path {
                SAVE => json!({ "user_id": "another", "query": "q", "response": "a",
                                "conversation_id": id }),
                _ => json!({ "message": { "content": OIL, "user_id": "another" },
                             "conversation_id": id }),
            };
            let reply = post(&router, path, body).await;
            assert_problem(&reply, 404, "not-found");
            let mut problem = reply.json();
            problem.as_object_mut().unwrap().remove("request_id");
            told.push(problem);
        }
    }
    assert!(told.iter().all(|it| *it == told[0]), "{told:?}");
}

#[tokio::test]
async fn a_password_of_73_bytes_is_refused_at_one_door_and_wrong_at_the_other() {
    let router = bundle().await;
    let long = json!({ "email": "reader@example.org", "password": "x".repeat(73) });
    assert_problem(&post(&router, REGISTER, long.clone()).await, 422, "invalid");
    let wrong = post(&router, LOGIN, long).await;
    assert_problem(&wrong, 401, "wrong-credentials");
    let most = json!({ "email": "reader@example.org", "password": "x".repeat(72) });
    assert_eq!(post(&router, REGISTER, most.clone()).await.status, 201);
    assert_eq!(post(&router, LOGIN, most).await.status, 200);
    let other = json!({ "email": "nobody@example.org", "password": PASSWORD });
    let unknown = post(&router, LOGIN, other).await;
    assert_eq!(unknown.json()["detail"], wrong.json()["detail"]);
}
