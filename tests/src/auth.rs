//! Accounts through the door: register, login, and tokens that do not hold.

use insta::assert_json_snapshot;
use serde_json::{Value, json};
use shared::{Error, auth::users, config::Env};

use crate::support::{
    self, Reply, database,
    house::{self, SECRET},
};

const REGISTER: &str = "/api/v1/auth/register";
const LOGIN: &str = "/api/v1/auth/login";
const SAVE: &str = "/api/v1/conversations/internal-save";
const PASSWORD: &str = "correct horse battery";

/// An address at which no Postgres listens.
const NOBODY_THERE: &str = "postgresql://app@%2Fnonexistent/book";

async fn router() -> axum::Router {
    support::router(house::settings(&database::fresh().await))
}

async fn post(router: &axum::Router, path: &str, email: &str, password: &str) -> Reply {
    let body = json!({ "email": email, "password": password });
    support::call(router, "POST", path, &[], body).await
}

/// A problem without the two parts that differ from request to request.
fn told(reply: &Reply) -> Value {
    let mut told = reply.json();
    told.as_object_mut().expect("a problem is an object").remove("request_id");
    told
}

#[tokio::test]
async fn an_account_is_made_and_signs_in() {
    let router = router().await;
    let made = post(&router, REGISTER, "  Reader@Example.org ", PASSWORD).await;
    assert_eq!(made.status, 201);
    assert_json_snapshot!(made.json(), { ".id" => "[uuid]", ".created_at" => "[time]" }, @r#"
    {
      "created_at": "[time]",
      "email": "reader@example.org",
      "id": "[uuid]"
    }
    "#);
    let created_at = made.json()["created_at"].to_string();
    assert!(created_at.ends_with("Z\""), "{created_at}");

    let signed_in = post(&router, LOGIN, "READER@example.org", PASSWORD).await;
    assert_eq!(signed_in.status, 200);
    assert_json_snapshot!(
        signed_in.json(),
        { ".user_id" => "[uuid]", ".access_token" => "[token]" },
        @r#"
    {
      "access_token": "[token]",
      "email": "reader@example.org",
      "expires_in": 86400,
      "token_type": "Bearer",
      "user_id": "[uuid]"
    }
    "#
    );
    assert_eq!(signed_in.json()["user_id"], made.json()["id"]);
}

#[tokio::test]
async fn the_token_of_a_login_opens_what_is_the_readers() {
    let router = router().await;
    post(&router, REGISTER, "reader@example.org", PASSWORD).await;
    let signed_in = post(&router, LOGIN, "reader@example.org", PASSWORD).await.json();
    let bearer = format!("Bearer {}", signed_in["access_token"].as_str().unwrap());
    let body = json!({ "user_id": signed_in["user_id"], "query": "q", "response": "a" });
    let headers = [("authorization", bearer.as_str())];
    assert_eq!(support::call(&router, "POST", SAVE, &headers, body).await.status, 201);
}

#[tokio::test]
async fn an_email_is_taken_in_every_spelling_and_also_at_the_same_moment() {
    let router = router().await;
    let both = tokio::join!(
        post(&router, REGISTER, "reader@example.org", PASSWORD),
        post(&router, REGISTER, "Reader@example.org", PASSWORD),
    );
    let mut codes = [both.0.status, both.1.status];
    codes.sort_unstable();
    assert_eq!(codes, [201, 409]);
    let again = post(&router, REGISTER, " READER@EXAMPLE.ORG", PASSWORD).await;
    assert_eq!(again.problem(), (409, "email-taken".into()));
    let other = post(&router, REGISTER, "reader2@example.org", PASSWORD).await;
    assert_eq!(other.status, 201);
}

#[tokio::test]
async fn a_bad_address_or_password_is_refused_and_not_repeated() {
    let router = router().await;
    let long = "x".repeat(73);
    for (email, password, fields) in [
        ("no address", PASSWORD, json!(["email"])),
        ("reader@example.org", "sh0rt!!", json!(["password"])),
        ("reader@example.org", long.as_str(), json!(["password"])),
        ("rea\0der@example.org", "12\u{0}345678", json!(["email", "password"])),
    ] {
        let refused = post(&router, REGISTER, email, password).await;
        assert_eq!(refused.status, 422, "{fields}");
        let errors = refused.json()["errors"].take();
        let errors = errors.as_array().unwrap();
        let named: Value = errors.iter().map(|it| it["field"].clone()).collect();
        assert_eq!(named, fields);
        let text = &refused.text;
        assert!(!text.contains(password) && !text.contains(email));
    }
    for body in [json!({}), json!({ "email": 1, "password": PASSWORD }), json!([])] {
        let refused = support::call(&router, "POST", REGISTER, &[], body).await;
        assert_eq!(refused.status, 422);
        assert!(!refused.text.contains(PASSWORD));
    }
    let longest = post(&router, REGISTER, "reader@example.org", &long[1..]).await;
    assert_eq!(longest.status, 201, "72 bytes are a password");
}

#[tokio::test]
async fn an_unknown_email_is_answered_like_a_wrong_password() {
    let router = router().await;
    let longest = "x".repeat(72);
    post(&router, REGISTER, "reader@example.org", &longest).await;
    let wrong = post(&router, LOGIN, "reader@example.org", "another password").await;
    assert_eq!(wrong.problem(), (401, "wrong-credentials".into()));
    for (email, password) in [
        ("stranger@example.org", "another password"),
        ("no address", "another password"),
        ("rea\0der@example.org", "another password"),
        ("reader@example.org", ""),
        ("reader@example.org", &format!("{longest}x")),
        ("reader@example.org", "another\0password"),
        ("' or true --@example.org", "' or true --"),
    ] {
        let same = post(&router, LOGIN, email, password).await;
        assert_eq!((same.status, told(&same)), (401, told(&wrong)), "{email}");
    }
    assert_eq!(post(&router, LOGIN, "reader@example.org", &longest).await.status, 200);
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_never_a_guest() {
    let url = database::fresh().await;
    let router = support::router(house::settings(&url));
    let foreign = Env::from([("JWT_SECRET_KEY", "the secret of somebody else entirely")]);
    let foreign = shared::auth::Signer::from_env(&foreign).unwrap();
    let (foreign, _) = foreign.sign(uuid::Uuid::now_v7()).unwrap();
    let body = json!({ "user_id": "u", "query": "q", "response": "a" });
    for header in [
        "Bearer ",
        "Bearer x",
        "Basic cmVhZGVyOnBhc3N3b3Jk",
        &format!("Bearer {foreign}"),
        &format!("Bearer {EXPIRED}"),
    ] {
        let headers = [("authorization", header)];
        let refused = support::call(&router, "POST", SAVE, &headers, body.clone()).await;
        assert_eq!(refused.problem(), (401, "unauthorized".into()), "{header}");
        assert!(!refused.text.contains(SECRET));
    }
    let headers = [("authorization", &*format!("Bearer {LASTING}"))];
    let known = support::call(&router, "POST", SAVE, &headers, body).await;
    assert_eq!(known.problem(), (403, "forbidden".into()), "only its time was wrong");
}

/// Made by another JWT library with the house's [`SECRET`], for the nil user: its `exp` is in
/// 2001.
const EXPIRED: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIwMDAwMDAwMC0wMDAwLTAwMDAtMDA\
    wMC0wMDAwMDAwMDAwMDAiLCJpYXQiOjk5OTk5NjQwMCwiZXhwIjoxMDAwMDAwMDAwLCJqdGkiOiI\
    wMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDAiLCJpc3MiOiJsZWN0ZXJuIn0.IQL\
    b5jImYt1sY6EQWXI1lL8f_7HGtPTP-eVVXaEDWns";

/// The same with its `exp` in 2100.
const LASTING: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIwMDAwMDAwMC0wMDAwLTAwMDAtMDA\
    wMC0wMDAwMDAwMDAwMDAiLCJpYXQiOjk5OTk5NjQwMCwiZXhwIjo0MTAyNDQ0ODAwLCJqdGkiOiI\
    wMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDAiLCJpc3MiOiJsZWN0ZXJuIn0.i-o\
    8_E3xdp7J3eNCdr1XcG8llGN_OXCsT4Wid7T9MQs";

#[tokio::test]
async fn without_postgres_both_say_503_and_nothing_about_the_reader() {
    let router = support::router(house::settings(NOBODY_THERE));
    for path in [REGISTER, LOGIN] {
        let down = post(&router, path, "reader@example.org", PASSWORD).await;
        assert_eq!(down.problem(), (503, "unavailable".into()), "{path}");
        let text = &down.text;
        for inner in ["nonexistent", "postgres", "reader@", PASSWORD, SECRET] {
            assert!(!text.contains(inner), "{inner} in the answer");
        }
    }
}

#[tokio::test]
async fn a_missing_or_short_secret_is_misconfigured_and_not_named() {
    let url = database::fresh().await;
    for secret in ["", "short"] {
        let env = Env::from([
            ("DATABASE_URL", url.as_str()),
            ("JWT_SECRET_KEY", secret),
            ("BCRYPT_COST", "4"),
        ]);
        let router = support::router(env);
        let email = format!("r{secret}@example.org");
        let made = post(&router, REGISTER, &email, PASSWORD).await;
        assert_eq!(made.status, 201, "register signs nothing");
        let refused = post(&router, LOGIN, "r@example.org", PASSWORD).await;
        assert_eq!(refused.problem(), (503, "misconfigured".into()));
        assert!(!refused.text.contains("JWT"));
    }
}

#[tokio::test]
async fn an_owner_sets_another_password() {
    let url = database::fresh().await;
    let env = house::settings(&url);
    let router = support::router(env.clone());
    post(&router, REGISTER, "reader@example.org", PASSWORD).await;
    let db = shared::db::Pool::from_env(&env).unwrap();
    let set = async |email: &str, password: &str| {
        shared::auth::users::set_password(&env, &db, email, password.into()).await
    };
    set("Reader@Example.org", "another password").await.unwrap();
    assert_eq!(post(&router, LOGIN, "reader@example.org", PASSWORD).await.status, 401);
    let signed_in = post(&router, LOGIN, "reader@example.org", "another password").await;
    assert_eq!(signed_in.status, 200);

    let short = set("reader@example.org", "short").await;
    assert!(matches!(short, Err(Error::Invalid(_))));
    let unknown = set("stranger@example.org", "another password").await;
    assert!(matches!(unknown, Err(Error::NotFound("account"))));
}

#[tokio::test]
async fn an_account_is_there_or_not() {
    let url = database::fresh().await;
    let (db, pool) = (database::client(&url).await, database::pool(&url));
    let id = house::account(&db).await;
    assert!(users::exists(&pool, id).await.unwrap());
    assert!(!users::exists(&pool, uuid::Uuid::nil()).await.unwrap());
}
