//! Paths, methods, origins and what caches may do.

use serde_json::{Value, json};

use super::{
    FRONT, HEALTH, LOGIN, POSTED, REGISTER, STREAM, assert_problem, bundle, fine, post,
    raw,
};
use crate::support;

const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW"];

#[tokio::test]
async fn every_path_is_the_same_with_slashes_at_its_end() {
    let router = bundle().await;
    post(&router, REGISTER, fine(REGISTER)).await;
    for path in POSTED {
        let mut body = fine(path);
        for (n, end) in ["", "/", "//", "/?a=b", "?a=b"].iter().enumerate() {
            if path == REGISTER {
                body["email"] = json!(format!("reader{n}@example.org"));
            }
            let reply = post(&router, &format!("{path}{end}"), body.clone()).await;
            assert!(matches!(reply.status, 200 | 201), "{path}{end}: {}", reply.text);
        }
    }
    for path in ["/health", "/health/", "/health?deep=0", "/health/?deep=no"] {
        let reply = support::call(&router, "GET", path, &[], Value::Null).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_no_reason_to_refuse_a_health_check() {
    let router = bundle().await;
    for query in ["deep=0&deep=0", "deep=%ff", "deep", "%", "&&", "deep=%3Cb%3E"] {
        let path = format!("/health?{query}");
        let reply = support::call(&router, "GET", &path, &[], Value::Null).await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.text);
    }
    for query in ["deep=1", "deep=true", "a=b&deep=1"] {
        let path = format!("/health?{query}");
        let reply = support::call(&router, "GET", &path, &[], Value::Null).await;
        assert_problem(&reply, 401, "unauthorized");
    }
}

#[tokio::test]
async fn a_preflight_is_answered_on_every_path_and_names_only_friends() {
    let router = bundle().await;
    for path in POSTED.into_iter().chain([HEALTH]) {
        for path in [path.to_owned(), format!("{path}/")] {
            for (origin, allowed) in [
                ("https://book.example", Some("https://book.example")),
                ("https://beta.book.example", Some("https://beta.book.example")),
                ("https://evil.example", None),
                ("https://book.example.evil.example", None),
                ("http://book.example", None),
                ("https://book.example:8443", None),
                ("null", None),
            ] {
                let headers = [
                    ("origin", origin),
                    ("access-control-request-method", "POST"),
                    ("access-control-request-headers", "authorization,content-type"),
                ];
                let reply = raw(&router, "OPTIONS", &path, &headers, "").await;
                assert_eq!(reply.status, 200, "{path}");
                let told = reply.headers.get("access-control-allow-origin");
                assert_eq!(told.map(|it| it.to_str().unwrap()), allowed, "{origin}");
                assert!(reply.headers["vary"].to_str().unwrap().contains("origin"));
                assert!(!reply.headers.contains_key("access-control-allow-credentials"));
                let headers = reply.headers["access-control-allow-headers"].clone();
                for name in ["authorization", "content-type", "idempotency-key"] {
                    assert!(headers.to_str().unwrap().contains(name), "{headers:?}");
                }
            }
            // Without anything that a browser would add, too.
            assert_eq!(raw(&router, "OPTIONS", &path, &[], "").await.status, 200);
        }
    }
}

#[tokio::test]
async fn an_error_reaches_a_friendly_page_and_no_foreign_one() {
    let router = bundle().await;
    for (path, body, status) in
        [(LOGIN, "{", 400), (LOGIN, "{}", 422), ("/nowhere", "", 404)]
    {
        for (origin, allowed) in
            [("https://book.example", true), ("https://evil.example", false)]
        {
            let headers = [("origin", origin), ("content-type", "application/json")];
            let reply = raw(&router, "POST", path, &headers, body).await;
            assert_eq!(reply.status, status);
            let told = reply.headers.get("access-control-allow-origin");
            assert_eq!(told.is_some(), allowed, "{path} {origin}");
            let exposed = reply.headers["access-control-expose-headers"].clone();
            assert!(exposed.to_str().unwrap().contains("x-request-id"));
        }
    }
}

#[tokio::test]
async fn undeclared_methods_are_refused_and_the_declared_one_is_named() {
    let router = bundle().await;
    for path in POSTED.into_iter().chain([HEALTH]) {
        for method in METHODS {
            let declared = match path {
                HEALTH => ["GET", "HEAD"].as_slice(),
                _ => &["POST"],
            };
            if declared.contains(&method) {
                continue;
            }
            for path in [path.to_owned(), format!("{path}/")] {
                let json = [("content-type", "application/json")];
                let reply = raw(&router, method, &path, &json, "{}").await;
                if method == "HEAD" {
                    // A head has no body; everything else is the same.
                    assert_eq!((reply.status, reply.text.as_str()), (405, ""));
                } else {
                    assert_problem(&reply, 405, "method-not-allowed");
                }
                let allow = reply.headers["allow"].to_str().unwrap();
                assert!(allow.contains(declared[0]), "{method} {path}: {allow}");
            }
        }
    }
}

#[tokio::test]
async fn unknown_paths_are_404_for_every_method() {
    let router = bundle().await;
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/auth",
        "/api/v1//chat",
        "//api/v1/chat",
        "/API/V1/CHAT",
        "/api/v1/chat/stream/more",
        "/api/v1/chat%2Fstream",
        "/api/v1/%2e%2e/v1/chat",
        "/api/v1/../v1/chat",
        "/health/deep",
        "/%00",
        "/%ff",
        "/.env",
        "/api/v1/auth/login.rs",
        "/<script>alert(1)</script>",
    ] {
        let path = path.replace('<', "%3C").replace('>', "%3E");
        for method in METHODS {
            let json = [("content-type", "application/json")];
            let reply = raw(&router, method, &path, &json, "{}").await;
            if method == "HEAD" {
                assert_eq!(reply.status, 404);
                continue;
            }
            assert_problem(&reply, 404, "not-found");
            assert!(!reply.text.contains("script"));
        }
    }
}

#[tokio::test]
async fn a_head_request_gets_the_heads_of_health() {
    let router = bundle().await;
    let reply = raw(&router, "HEAD", HEALTH, &[], "").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.text, "");
    assert_eq!(reply.headers["content-type"], "application/json");
}

#[tokio::test]
async fn nothing_on_the_way_keeps_an_answer() {
    let router = bundle().await;
    for path in POSTED {
        let answered = post(&router, path, fine(path)).await;
        let refused = post(&router, path, json!({})).await;
        assert_eq!((answered.status / 100, refused.status), (2, 422), "{path}");
        let kept = if path == STREAM { "no-cache, no-transform" } else { "no-store" };
        assert_eq!(answered.headers["cache-control"], kept, "{path}");
        assert_eq!(refused.headers["cache-control"], "no-store", "{path}");
    }
    for path in ["/api/v1/conversations", HEALTH, "/nowhere"] {
        let reply = raw(&router, "GET", path, &[FRONT], "").await;
        assert_eq!(reply.headers["cache-control"], "no-store", "{path}");
    }
}
