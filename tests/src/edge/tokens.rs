//! Tokens and keys that do not hold, where guests would be let in.

use serde_json::json;
use uuid::Uuid;

use super::{CHAT, FRONT, KEY, OIL, RAG, SAVE, SECRET, STREAM, assert_problem, bundle};
use crate::support;

/// `{"typ":"JWT","alg":"HS256"}`
const HEAD: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9";

/// Of a reader whom no database knows, until 2100, under [`SECRET`].
const GOOD: &str = "eyJzdWIiOiIwMTk5YjFhMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJpYXQiOjk3ODMwNzIwMCwiZXhwIjo0MTAyNDQ0ODAwLCJqdGkiOiIwMTk5YjFhMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDIiLCJpc3MiOiJsZWN0ZXJuIn0";
const GOOD_TAG: &str = "gyBkjnt-GZlDCrNWFZgLHcc0hx8XC9X_PrmkDyr5xxc";

/// What is sent as `Authorization`, each refused for a reason of its own.
fn refused() -> Vec<String> {
    let bearer =
        |head: &str, claims: &str, tag: &str| format!("Bearer {head}.{claims}.{tag}");
    vec![
        // Run out in 2001, and signed as it should be.
        bearer(
            HEAD,
            "eyJzdWIiOiIwMTk5YjFhMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJpYXQiOjk3ODMwNzIwMCwiZXhwIjo5NzgzMTA4MDAsImp0aSI6IjAxOTliMWEwLTAwMDAtNzAwMC04MDAwLTAwMDAwMDAwMDAwMiIsImlzcyI6ImxlY3Rlcm4ifQ",
            "Pk3lWGu19Q15VVJgMGYooKz3V-vz4mQSfrwhzsyTzTY",
        ),
        // Another issuer's, and signed as it should be.
        bearer(
            HEAD,
            "eyJzdWIiOiIwMTk5YjFhMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJpYXQiOjk3ODMwNzIwMCwiZXhwIjo0MTAyNDQ0ODAwLCJqdGkiOiIwMTk5YjFhMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDIiLCJpc3MiOiJlbHNld2hlcmUifQ",
            "3jiS_XMgiztoZXVu-4bKA0ukFzV5PWWRABg7FiUNXyM",
        ),
        // Another key's.
        bearer(HEAD, GOOD, "SZ-tpRqOnglYqOOo9SrZfCiGSNWBekcHMKmDyZmbs0s"),
        // `none`, and HS512 under our key.
        bearer("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0", GOOD, ""),
        bearer("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0", GOOD, GOOD_TAG),
        bearer(
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiJ9",
            GOOD,
            "m6kQVrOvphjRHe2_3zE_4TqVz1lQcwnkqDuBhidI_kNrWy2loexjYZmKdvfdl9-nEgR5jR_Xc-xJdoXVXZRhww",
        ),
        bearer(HEAD, GOOD, ""),
        format!("Bearer {HEAD}.{GOOD}"),
        format!("Basic {HEAD}.{GOOD}.{GOOD_TAG}"),
        format!("{HEAD}.{GOOD}.{GOOD_TAG}"),
        format!("Bearer {KEY}"),
        format!("Bearer {SECRET}"),
        "Bearer".to_owned(),
        "Bearer null".to_owned(),
        String::new(),
        "'; drop table users; --".to_owned(),
    ]
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_401_and_never_a_guest_or_a_service() {
    let router = bundle().await;
    for path in [CHAT, STREAM, RAG, SAVE] {
        for token in refused() {
            for key in [None, Some(FRONT)] {
                let mut headers = vec![("authorization", token.as_str())];
                headers.extend(key);
                let body = super::fine(path);
                let reply = support::call(&router, "POST", path, &headers, body).await;
                assert_problem(&reply, 401, "unauthorized");
                assert_eq!(reply.headers["www-authenticate"], "Bearer");
            }
        }
        for key in ["", " ", "wrong", &KEY[1..], &format!("{KEY}x")] {
            let headers = [("x-api-key", key)];
            let body = super::fine(path);
            let reply = support::call(&router, "POST", path, &headers, body).await;
            assert_problem(&reply, 401, "unauthorized");
        }
    }
}

#[tokio::test]
async fn the_same_token_unspoilt_holds() {
    let router = bundle().await;
    let token = format!("bearer {HEAD}.{GOOD}.{GOOD_TAG}");
    let headers = [("authorization", token.as_str())];
    let found =
        support::call(&router, "POST", RAG, &headers, json!({ "query": OIL })).await;
    assert_eq!(found.status, 200, "{}", found.text);
    // It is well signed, and its account is gone: that is known only where it is looked up.
    for path in [CHAT, STREAM] {
        let reply =
            support::call(&router, "POST", path, &headers, super::fine(path)).await;
        assert_problem(&reply, 401, "unauthorized");
    }
}

#[tokio::test]
async fn a_user_id_in_a_body_never_gives_a_right() {
    let router = bundle().await;
    let token = format!("Bearer {HEAD}.{GOOD}.{GOOD_TAG}");
    let headers = [("authorization", token.as_str())];
    let other = Uuid::now_v7().to_string();
    for named in [other.as_str(), "user_2abc", ""] {
        let save = json!({ "user_id": named, "query": "q", "response": "a" });
        let ask = json!({ "message": { "content": OIL, "user_id": named } });
        for (path, body) in [(SAVE, save), (CHAT, ask.clone()), (STREAM, ask.clone())] {
            let reply = support::call(&router, "POST", path, &headers, body).await;
            assert_problem(&reply, 403, "forbidden");
        }
        let guest = support::call(&router, "POST", CHAT, &[], ask).await;
        assert_eq!(guest.status, 200, "{}", guest.text);
        let answer = &guest.json()["response"];
        assert!(answer["conversation_id"].is_null() && answer["saved"].is_null());
    }
}
